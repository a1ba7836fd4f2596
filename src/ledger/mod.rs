//! The ledger: the table `_piton_ledger` inside each database, which says what ran there, and
//! `_piton_base`, which says what was there before.
//!
//! A migration and its row commit in one transaction. Rows are only added or completed; nothing
//! here deletes one. Every format that piton ever wrote is read; see `docs/formats.md`.

mod base;
mod current;
mod foreign;
mod format;
mod row;
mod table;

pub use base::{BaseObject, read_base, write_base};
pub use current::{current, places, rows_of};
pub use foreign::{ForeignLedger, foreign};
pub use format::{FORMAT, TABLE};
pub use row::{BASELINE, Entry, EntryKind, EntryState, Witness};
pub use table::{
    complete, create, failed, insert, read, read_brief, remove, set_progress, settled_hash,
};
