//! Keeping everybody out of the databases while their files are exchanged.
//!
//! Old and new files are locked as SQLite locks a database that it writes to, so that a process
//! which opens one meanwhile waits or is told that it is busy. It could read nothing from an old
//! file then, and whoever has one open after the exchange is found by looking.

use super::{
    holders::{self, Wanted},
    is_absent,
    journal::{Action, Area, Journal, What},
};
use crate::{
    Result,
    backup::scan::Found,
    database::{FIRST_LOCK_BYTE, LOCK_BYTES},
    disk::{self, Claim},
    error::RestoreError,
    store::StoredPath,
};
use std::{
    collections::HashSet,
    fs::File,
    os::fd::{AsRawFd, RawFd},
    path::Path,
};

/// The locks, held until this is dropped.
pub(super) struct Hold {
    files: Vec<File>,
    known: HashSet<(u64, u64)>,
    /// The files that are being replaced.
    old: Wanted,
}

impl Hold {
    /// Locks every database that a journal replaces, moves or puts in place.
    ///
    /// # Errors
    /// [`RestoreError::HeldUnseen`] where a process works with one; the system's, with the path.
    pub(super) fn take(area: &Area, journal: &Journal) -> Result<Self> {
        let staged = area.private.join(&journal.staged);
        let undo = area.undo_tree(&journal.id);
        let databases = || {
            journal.actions.iter().filter_map(|action| match action {
                Action::Place { path, what: What::Database } => Some((path, true)),
                Action::Displace { path, what: What::Database } => Some((path, false)),
                _ => None,
            })
        };
        disk::allow_descriptors(databases().count() as u64 * 2 + 64);
        let mut hold = Self { files: Vec::new(), known: HashSet::new(), old: Wanted::default() };
        for (path, is_placed) in databases() {
            let new = path.below(&staged);
            // After an interruption, what is live may be the new one already.
            let waits = is_placed && std::fs::symlink_metadata(&new).is_ok();
            let live = if waits || !is_placed { Age::Old } else { Age::New };
            hold.lock(&path.below(&area.data), path, live)?;
            hold.lock(&path.below(&undo), path, Age::Old)?;
            hold.lock(&new, path, Age::New)?;
        }
        Ok(hold)
    }

    fn lock(&mut self, file: &Path, path: &StoredPath, age: Age) -> Result<()> {
        match std::fs::symlink_metadata(file) {
            Ok(found) if found.is_file() => {}
            _ => return Ok(()),
        }
        let opened = match disk::open_to_lock(file) {
            Err(error) if is_absent(&error) => return Ok(()),
            other => other?,
        };
        let found = opened.metadata().map_err(disk::failed("read", file))?;
        // A second name of a file that is locked already would be refused.
        if !self.known.insert(Found::from(&found).identity()) {
            return Ok(());
        }
        let claim = disk::lock_range("hold", file, &opened, FIRST_LOCK_BYTE, LOCK_BYTES)?;
        if claim == Claim::Taken {
            return Err(holders::locked(file, path.as_path()).into());
        }
        if age == Age::Old {
            self.old.files.insert(Found::from(&found).identity(), path.as_path().into());
        }
        self.files.push(opened);
        Ok(())
    }

    /// Refuses where a process has opened one of the old files before it was replaced: what it
    /// writes would be lost with it.
    pub(super) fn require_old_unheld(&self) -> Result<()> {
        let own: Vec<RawFd> = self.files.iter().map(AsRawFd::as_raw_fd).collect();
        let holders = holders::holders(&self.old, &own).holders;
        match holders.is_empty() {
            true => Ok(()),
            false => Err(RestoreError::InUse { holders }.into()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Old,
    New,
}
