//! The ledger: the table `_piton_ledger` inside each database, which says what ran there.
//!
//! A migration and its row commit in one transaction. Rows are only added or completed; nothing
//! here deletes one.

mod row;
mod table;

pub use row::{BASELINE, Entry, EntryKind, EntryState, Witness};
pub use table::{
    TABLE, complete, create, exists, insert, read, read_brief, set_progress, settled_hash,
};
