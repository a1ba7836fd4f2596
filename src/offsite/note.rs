//! What is known here about the copies there, so that `status` need not ask the place.
//!
//! It lies beside the backups and is worth nothing by itself: every copying compares it with what
//! the place lists, and losing it loses nothing.

use crate::{
    Error, Result, disk, format,
    store::{BackupId, Digest, Store},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, path::PathBuf};

const NAME: &str = ".offsite.json";

/// The newest format of the note.
const FORMAT: u32 = 1;

/// What is known here about the copies there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    #[serde(default = "format::first")]
    format: u32,
    /// The place that it is about.
    pub(super) place: String,
    /// The backups that nothing need be done about.
    pub(super) settled: BTreeMap<BackupId, Settled>,
    /// How the last attempt failed, where it did.
    pub(super) failure: Option<Failure>,
}

/// Why nothing need be done about a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Settled {
    /// It is there, with a description of this digest.
    Copied(Digest),
    /// It is there, put by somebody else or so long ago that the description is not known.
    Seen,
    /// No rule would keep it there.
    Surplus,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: DateTime<Utc>,
    /// How, as a sentence.
    pub message: String,
    /// What to type, where there is one thing.
    pub hint: Option<String>,
}

impl Note {
    /// Reads what is known about a place; nothing where the file is about another, or is none.
    pub(crate) fn read(store: &Store, place: &str) -> Self {
        // One of a later piton is not understood, and is worth nothing by itself.
        let parse = |json: Vec<u8>| format::parse(&json, FORMAT, &path(store), Error::Internal);
        let read = || parse(fs::read(path(store)).ok()?).ok();
        let fresh = || Self { format: FORMAT, place: place.into(), ..Self::default() };
        read().filter(|note: &Self| note.place == place).unwrap_or_else(fresh)
    }

    /// Writes it; the caller holds the lock of the copying.
    pub(super) fn write(&self, store: &Store) -> Result<()> {
        let json = crate::store::to_json(self)?;
        Ok(disk::write_atomic("offsite-note", &path(store), disk::PRIVATE_FILE, &json)?)
    }
}

fn path(store: &Store) -> PathBuf {
    store.root().join(NAME)
}

#[cfg(test)]
mod tests {
    use super::Note;
    use crate::store::Store;

    #[test]
    fn a_note_of_the_first_piton_is_read_and_a_later_one_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().into());
        let first = include_bytes!("../../tests/data/formats/0.1/records/offsite.json");
        crate::disk::write_atomic("test", &super::path(&store), 0o600, first).unwrap();
        assert_eq!(Note::read(&store, "file:///srv/copies").settled.len(), 2);
        let later = br#"{"format": 9, "place": "file:///srv/copies"}"#;
        crate::disk::write_atomic("test", &super::path(&store), 0o600, later).unwrap();
        assert!(Note::read(&store, "file:///srv/copies").settled.is_empty());
    }
}
