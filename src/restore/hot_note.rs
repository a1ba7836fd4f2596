//! How far a restore into open databases has come: a note that is there from the first write to
//! the end of the restore.
//!
//! There are no old files of such databases, so nothing can be rolled back by itself. The note says
//! which of them are new, and by which backup everything is put back.

use super::{
    journal::{Area, Journal},
    undo::{LastRestore, Way},
};
use crate::{
    Error, Result, disk,
    error::{HotParts, RestoreError},
    format, records,
    store::{BackupId, StoredPath},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The newest format of the note.
const FORMAT: u32 = 1;

/// How far it has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HotNote {
    #[serde(default = "format::first")]
    format: u32,
    backup: BackupId,
    safety: Option<BackupId>,
    /// The patterns that the restore was limited to.
    only: Vec<String>,
    /// The backup whose restore it undoes, where it is an undo.
    #[serde(default)]
    undoes: Option<BackupId>,
    databases: Vec<StoredPath>,
    /// How many of them, from the first, have their new content.
    done: usize,
    /// Whether the next one was being written: it is all old or all new, SQLite sees to that.
    writing: bool,
}

impl HotNote {
    pub(super) fn new(journal: &Journal) -> Self {
        Self {
            format: FORMAT,
            backup: journal.backup.clone(),
            safety: journal.safety.clone(),
            only: journal.only.clone(),
            undoes: journal.undoes.clone(),
            databases: journal.hot.clone(),
            done: 0,
            writing: false,
        }
    }

    /// One is about to be written.
    pub(super) fn begins(&mut self, area: &Area) -> Result<()> {
        self.writing = true;
        self.write(area).inspect_err(|_| self.writing = false)
    }

    /// It has its new content.
    pub(super) fn ends(&mut self) {
        self.writing = false;
        self.done += 1;
    }

    /// Makes the note durable.
    pub(super) fn write(&self, area: &Area) -> Result<()> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
        Ok(disk::write_atomic("hot-note", &path(area), disk::PRIVATE_FILE, &json)?)
    }

    /// What is said where it stopped; that nothing is new yet is the cause alone.
    pub(super) fn half(&self, cause: &Error) -> Error {
        let names = |paths: &[StoredPath]| paths.iter().map(|it| it.as_path().into()).collect();
        let (done, rest) = self.databases.split_at(self.done);
        let (writing, left) = rest.split_at(usize::from(self.writing).min(rest.len()));
        RestoreError::HalfHot {
            parts: Box::new(HotParts {
                done: names(done),
                writing: names(writing),
                left: names(left),
            }),
            backup: self.backup.to_string(),
            safety: self.safety.as_ref().map(ToString::to_string),
            cause: cause.to_string(),
        }
        .into()
    }
}

/// What is said where the open databases are new and the rest failed.
pub(super) fn after_all(journal: &Journal, cause: &Error) -> Error {
    HotNote { done: journal.hot.len(), ..HotNote::new(journal) }.half(cause)
}

/// Removes the note, whatever it holds: the data is whole again.
pub(super) fn remove(area: &Area) -> Result<()> {
    if disk::find(&path(area))?.is_some() {
        disk::remove_file("hot-note-end", &path(area))?;
        disk::sync_folder("hot-note-sync", &area.records)?;
    }
    Ok(())
}

/// The backups that such a restore still needs.
pub(super) fn needed(area: &Area) -> Result<Vec<BackupId>> {
    let note = read(area)?;
    Ok(note.map_or_else(Vec::new, |it| [it.backup].into_iter().chain(it.safety).collect()))
}

/// Refuses where a restore into open databases stopped in the middle.
///
/// # Errors
/// [`RestoreError::HalfHot`], which says what is where; [`RestoreError::BadHotNote`].
pub fn require_whole(data: &Path) -> Result<()> {
    match Area::new(data).and_then(|area| read(&area)) {
        Ok(None) => Ok(()),
        // Whoever may not look into the private folder may look at the data all the same.
        Err(Error::Disk(error)) if error.source.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
        Ok(Some(note)) => Err(note.half(&Error::Restore(RestoreError::Interrupted))),
    }
}

/// Refuses a note that a later piton wrote; one that is malformed says nothing to a restore.
///
/// # Errors
/// [`Error::Newer`].
pub fn require_known(data: &Path) -> Result<()> {
    match Area::new(data).and_then(|area| read(&area)) {
        Err(newer @ Error::Newer { .. }) => Err(newer),
        _ => Ok(()),
    }
}

/// The restore that stopped among open databases, as what can be undone.
///
/// # Errors
/// [`RestoreError::BadHotNote`]; the system's, with the path.
pub(super) fn stopped(area: &Area) -> Result<Option<LastRestore>> {
    let note = read(area)?;
    // As long as it is not whole nothing else is restored: it is the last one.
    let (way, taken) = (Way::OpenDatabases, DateTime::<Utc>::MAX_UTC);
    Ok(note.map(|HotNote { backup, safety, only, undoes, .. }| match undoes {
        // What it was restoring is the state before: the same again ends it.
        Some(undone) => LastRestore { backup: undone, before: Some(backup), only, way, taken },
        None => LastRestore { backup, before: safety, only, way, taken },
    }))
}

/// The safety backup that an interrupted restore of this backup into open databases took: it has the
/// state before, of which another one would have only half.
pub(super) fn first_safety(area: &Area, backup: &BackupId) -> Option<BackupId> {
    // One that cannot be read says nothing, and the restore replaces it.
    let note = read(area).ok().flatten();
    note.filter(|note| note.backup == *backup).and_then(|note| note.safety)
}

fn read(area: &Area) -> Result<Option<HotNote>> {
    let path = path(area);
    match records::read(&path)? {
        None => Ok(None),
        Some(json) => {
            let bad = |reason| RestoreError::BadHotNote { path: path.clone(), reason }.into();
            format::parse(&json, FORMAT, &path, bad).map(Some)
        }
    }
}

fn path(area: &Area) -> PathBuf {
    area.records.join("hot.json")
}
