//! Bringing a new release to a healthy service, or everything back to where it was.

pub mod health;
pub mod service;
