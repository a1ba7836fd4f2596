//! Makes ledger rows.

use crate::{
    history::{Migration, Version},
    ledger::{self, Entry, EntryKind, EntryState, Witness},
    schema::{Schema, diff},
};
use chrono::{DateTime, SecondsFormat, Utc};
use std::{collections::BTreeSet, time::Duration};

/// The version of piton that writes the row.
pub const PITON: &str = env!("CARGO_PKG_VERSION");

/// A row about a migration, before it is known how long it took.
pub fn entry(migration: &Migration, started: DateTime<Utc>, backup: Option<&str>) -> Entry {
    let started = started.to_rfc3339_opts(SecondsFormat::Millis, true);
    Entry { backup: backup.map(Into::into), ..Entry::of(migration, started) }
}

/// A row that says that nothing of the history ran before piton came.
pub fn baseline(started: DateTime<Utc>, schema_hash: &str) -> Entry {
    Entry {
        id: 0,
        version: Version::zero(),
        name: ledger::BASELINE.into(),
        kind: EntryKind::Operation,
        state: EntryState::Recorded,
        witness: Witness::Adopted,
        checksum: String::new(),
        forgiving: String::new(),
        text: String::new(),
        started: started.to_rfc3339_opts(SecondsFormat::Millis, true),
        milliseconds: 0,
        statements: 0,
        schema_hash: schema_hash.into(),
        objects: String::new(),
        backup: None,
        piton: PITON.into(),
        output: None,
    }
}

/// A duration in whole milliseconds.
pub fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The objects that differ between two schemas, one per line.
pub fn changed_objects(before: &Schema, after: &Schema) -> String {
    let names: BTreeSet<String> =
        diff(before, after).into_iter().map(|change| change.object.to_string()).collect();
    names.into_iter().collect::<Vec<_>>().join("\n")
}
