//! Integration tests.

mod engine;
mod fixtures;
mod judge;
mod laws;
mod seeds;
