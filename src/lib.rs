//! Backups, guarded migrations and restore for applications on SQLite.
//!
//! This file lists the modules from the top layer to the bottom; imports point down only
//! (`tests/it/layers.rs` holds that), and the library never prints, never exits and never reads
//! the environment, the clock or random numbers on its own.

pub mod project;

pub mod deploy;

pub mod offsite;
pub mod rehearse;
pub mod restore;

pub mod difference;

pub mod apply;
pub mod backup;

pub mod plan;
pub mod store;

pub mod ledger;

pub mod history;

pub mod guard;

pub mod schema;

pub mod sql;

pub mod lock;

pub mod database;
pub mod process;

pub mod records;

pub mod clock;
pub mod disk;
pub mod error;
pub mod event;
pub mod format;

pub use error::{Error, Kind, Result};
pub use rusqlite;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
