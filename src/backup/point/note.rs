//! What is known of a rollback point: a note beside the copy, written when the copy is what it says.

use super::{Sights, beside};
use crate::{
    Error, Result,
    backup::Request,
    disk, format,
    store::{BackupId, Cut, read_private_json},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

const NOTE: &str = "point.json";
const SIGHTS: &str = "files.json";

/// The newest format of the note and of the list of files beside it.
const FORMAT: u32 = 1;

/// What the copy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub(super) enum State {
    /// Equal to a backup that was taken beside the running service.
    Beside {
        /// That backup.
        backup: BackupId,
    },
    /// Partly that, partly newer.
    Between,
    /// What the stopped service left.
    Still {
        /// The backup that will be made of it.
        id: BackupId,
    },
}

/// The note.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    #[serde(default = "format::first")]
    format: u32,
    pub(super) state: State,
    /// When it was cut.
    pub(super) taken: DateTime<Utc>,
    /// The number of the backup that will be made of it.
    #[serde(default)]
    pub(super) sequence: Option<u64>,
    pub(super) cut: Cut,
    /// What a manifest says of it.
    pub(super) notes: Vec<String>,
    excluded: Vec<String>,
    included: Vec<String>,
}

impl Note {
    pub(super) fn of(request: &Request<'_>, cut: Cut, notes: Vec<String>) -> Self {
        Self {
            format: FORMAT,
            state: State::Between,
            taken: request.now,
            sequence: None,
            cut,
            notes,
            excluded: request.excluded.texts(),
            included: request.excluded.included_texts(),
        }
    }

    /// Whether it is of the same part of the data directory.
    pub(super) fn is_of(&self, request: &Request<'_>) -> bool {
        self.excluded == request.excluded.texts()
            && self.included == request.excluded.included_texts()
    }

    /// Whether this backup will be made of it.
    pub(super) fn waits(&self, wanted: &BackupId) -> bool {
        matches!(&self.state, State::Still { id } if id == wanted)
    }
}

/// Reads the note; nothing where there is none.
///
/// # Errors
/// The system's, with the path; a note that cannot be understood.
pub(super) fn read(folder: &Path) -> Result<Option<Note>> {
    let path = beside(folder, NOTE);
    if disk::find(&path)?.is_none() {
        return Ok(None);
    }
    let json = fs::read(&path).map_err(disk::failed("read", &path))?;
    let bad = |reason| Error::Internal(format!("`{}` is malformed ({reason})", path.display()));
    format::parse(&json, FORMAT, &path, bad).map(Some)
}

/// Writes the note, durably.
///
/// # Errors
/// The system's, with the path.
pub(super) fn write(folder: &Path, note: &Note) -> Result<()> {
    write_json("point-note", &beside(folder, NOTE), note)
}

/// Removes the note, durably.
///
/// # Errors
/// The system's, with the path.
pub(super) fn remove(folder: &Path) -> Result<()> {
    let path = beside(folder, NOTE);
    if disk::find(&path)?.is_none() {
        return Ok(());
    }
    disk::remove_file("point-note-remove", &path)?;
    Ok(disk::sync_folder("point-note-sync", folder)?)
}

/// As what the ordinary files were copied.
///
/// # Errors
/// Those of [`read`].
pub(super) fn read_sights(folder: &Path) -> Result<Sights> {
    let pairs: Vec<_> = read_private_json(&beside(folder, SIGHTS))?;
    Ok(Sights::from_iter(pairs))
}

/// Writes it, durably.
///
/// # Errors
/// The system's, with the path.
pub(super) fn write_sights(folder: &Path, sights: &Sights) -> Result<()> {
    write_json("point-files", &beside(folder, SIGHTS), &sights.iter().collect::<Vec<_>>())
}

fn write_json(point: &'static str, path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(value)
        .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
    Ok(disk::write_atomic(point, path, disk::PRIVATE_FILE, &text)?)
}

#[cfg(test)]
mod tests {
    use super::{NOTE, State, read};

    #[test]
    fn a_note_of_the_first_piton_is_read_and_a_later_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NOTE);
        let first = include_bytes!("../../../tests/data/formats/0.1/records/point.json");
        crate::disk::write_atomic("test", &path, 0o600, first).unwrap();
        assert!(matches!(read(folder.path()).unwrap().unwrap().state, State::Beside { .. }));
        crate::disk::write_atomic("test", &path, 0o600, b"{\"format\": 9}").unwrap();
        assert!(matches!(read(folder.path()), Err(crate::Error::Newer { format: 9, .. })));
    }
}
