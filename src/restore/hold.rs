//! Keeping everybody out of the databases while their files are exchanged.
//!
//! Old and new files are locked as SQLite locks a database that it writes to, so that nobody can
//! read or write one. For the exchange itself they are leased as well, where that is possible: then
//! nobody has an old one open, and whoever opens one waits and is noticed. Nothing here may open a
//! leased file by its name. Without leases, whoever has one open is found by looking.

use super::{
    holders::{self, Wanted},
    is_absent,
    journal::{Action, Area, Direction, Journal, What},
    pair,
};
use crate::{
    Result,
    backup::scan::Found,
    database::{FIRST_LOCK_BYTE, LOCK_BYTES},
    disk::{self, Claim, Lease},
    error::RestoreError,
    store::StoredPath,
};
use std::{
    collections::HashMap,
    fs::File,
    io::{Seek, SeekFrom},
    os::fd::{AsRawFd, RawFd},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long a file that is open elsewhere is tried again: it may be a look of some milliseconds.
const PATIENCE: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(5);

/// The locks and leases, held until this is dropped.
#[derive(Default)]
pub(super) struct Hold {
    files: Vec<Held>,
    /// Which of them it is, by device and inode.
    known: HashMap<(u64, u64), usize>,
    /// The files that are being replaced.
    old: Wanted,
}

/// One file of a database.
struct Held {
    file: File,
    /// Where it was found.
    path: PathBuf,
    /// The database, relative to the data directory.
    database: PathBuf,
    age: Age,
    is_leased: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Old,
    New,
}

impl Hold {
    /// Locks every database that a journal replaces, moves or puts in place.
    ///
    /// # Errors
    /// [`RestoreError::HeldUnseen`] where a process works with one; the system's, with the path.
    pub(super) fn take(area: &Area, journal: &Journal) -> Result<Self> {
        let _inside = disk::stay_inside(&area.data)?;
        let staged = area.staged(journal);
        let undo = area.undo_tree(&journal.id);
        let databases = || {
            journal.actions.iter().filter_map(|action| match action {
                Action::Place { path, what: What::Database } => Some((path, true)),
                Action::Displace { path, what: What::Database } => Some((path, false)),
                _ => None,
            })
        };
        disk::allow_descriptors(databases().count() as u64 * 2 + 64);
        let mut hold = Self::default();
        for (path, is_placed) in databases() {
            let new = path.below(&staged);
            // After an interruption, what is live may be the new one already.
            let waits = is_placed && disk::find(&new)?.is_some();
            let waits = waits && !pair::is_between(area, journal, path)?;
            let live = if waits || !is_placed { Age::Old } else { Age::New };
            hold.lock(&path.below(&area.data), path, live)?;
            let single = if journal.raw.contains(path) { Age::Old } else { Age::New };
            hold.lock(&path.below(&area.singles()), path, single)?;
            hold.lock(&path.below(&undo), path, Age::Old)?;
            hold.lock(&new, path, Age::New)?;
        }
        // Their logs are entries of their own.
        for path in &journal.opaque {
            let new = path.below(&staged);
            let is_placed = journal.actions.iter().any(|action| action.placed() == Some(path));
            // After an interruption, what is live may be the new one already.
            let is_old = !is_placed || disk::find(&new)?.is_some();
            let age = if is_old { Age::Old } else { Age::New };
            hold.lock(&path.below(&area.data), path, age)?;
            hold.lock(&new, path, Age::New)?;
        }
        Ok(hold)
    }

    fn lock(&mut self, file: &Path, path: &StoredPath, age: Age) -> Result<()> {
        if !disk::find(file)?.is_some_and(|found| found.is_file()) {
            return Ok(());
        }
        let opened = match disk::open_to_lock(file) {
            Err(error) if is_absent(&error) => return Ok(()),
            other => other?,
        };
        let found = opened.metadata().map_err(disk::failed("read", file))?;
        let identity = Found::from(&found).identity();
        // A second name of a file that is locked already would be refused.
        if self.known.contains_key(&identity) {
            return Ok(());
        }
        let claim = disk::lock_range("hold", file, &opened, FIRST_LOCK_BYTE, LOCK_BYTES)?;
        if claim == Claim::Taken {
            return Err(holders::locked(file, path.as_path()).into());
        }
        if age == Age::Old {
            self.old.files.insert(identity, path.as_path().into());
        }
        self.known.insert(identity, self.files.len());
        let database = path.as_path().into();
        self.files.push(Held { file: opened, path: file.into(), database, age, is_leased: false });
        Ok(())
    }

    /// Takes leases as well, for as long as the exchange lasts: whoever opens a database meanwhile
    /// waits, and is noticed where it is one that goes.
    ///
    /// # Errors
    /// [`RestoreError::InUse`] and [`RestoreError::HeldUnseen`] where a process has one open that
    /// goes; the system's, with the path.
    pub(super) fn lease(&mut self, direction: Direction) -> Result<()> {
        if disk::fault::is_left_out("hold", "lease") {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        for index in 0..self.files.len() {
            let held = &self.files[index];
            let goes = held.age == Age::Old || direction == Direction::Back;
            let lease = loop {
                match disk::lease("lease", &held.path, &held.file)? {
                    Lease::Taken if goes && Instant::now() < deadline => thread::sleep(PAUSE),
                    other => break other,
                }
            };
            if goes && lease == Lease::Taken {
                return Err(self.held_by_others(index).into());
            }
            self.files[index].is_leased = lease == Lease::Granted;
        }
        Ok(())
    }

    /// Who has a file open, if that can be seen.
    fn held_by_others(&self, index: usize) -> RestoreError {
        let held = &self.files[index];
        let mut wanted = Wanted::default();
        let found = held.file.metadata().map(|found| Found::from(&found).identity());
        wanted.files.extend(found.ok().map(|identity| (identity, held.database.clone())));
        let found = holders::holders(&wanted, &self.descriptors());
        match found.holders.is_empty() {
            false => RestoreError::InUse { holders: found.holders },
            true => {
                let (database, limits) = (held.database.clone(), found.limits);
                RestoreError::HeldUnseen { database, limits }
            }
        }
    }

    /// Refuses where a process has opened one of the old files, or is about to: what it writes
    /// would be lost with it. Whoever waits has it once this is dropped.
    ///
    /// # Errors
    /// [`RestoreError::InUse`], [`RestoreError::OpenedMeanwhile`]; the system's, with the path.
    pub(super) fn require_old_unheld(&self) -> Result<()> {
        self.require_uncalled(Age::Old)?;
        if self.files.iter().all(|held| held.age == Age::New || held.is_leased) {
            return Ok(());
        }
        let holders = holders::holders(&self.old, &self.descriptors()).holders;
        match holders.is_empty() {
            true => Ok(()),
            false => Err(RestoreError::InUse { holders }.into()),
        }
    }

    /// The same of the new files, after they had to go again.
    ///
    /// # Errors
    /// Those of [`Self::require_old_unheld`].
    pub(super) fn require_new_unheld(&self) -> Result<()> {
        self.require_uncalled(Age::New)
    }

    fn require_uncalled(&self, age: Age) -> Result<()> {
        let leased = self.files.iter().enumerate();
        for (index, held) in leased.filter(|(_, held)| held.age == age && held.is_leased) {
            if !disk::is_lease_called(&held.path, &held.file)? {
                continue;
            }
            let found = held.file.metadata().map_err(disk::failed("read", &held.path))?;
            let holders = holders::waiting(Found::from(&found).identity().1, &held.database);
            if !holders.is_empty() {
                return Err(RestoreError::InUse { holders }.into());
            }
            // It has it open by now, or has given up.
            return Err(match self.held_by_others(index) {
                RestoreError::InUse { holders } => RestoreError::InUse { holders }.into(),
                _ => RestoreError::OpenedMeanwhile { database: held.database.clone() }.into(),
            });
        }
        Ok(())
    }

    /// Opens a file for reading: one that is held through what holds it, since its name would lead
    /// into its own lease.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn open_to_read(&self, path: &Path) -> disk::Result<File> {
        let found = disk::find(path)?.map(|found| Found::from(&found).identity());
        let Some(index) = found.and_then(|identity| self.known.get(&identity)) else {
            return disk::open_to_read(path);
        };
        let mut file = self.files[*index].file.try_clone().map_err(disk::failed("read", path))?;
        // The place in the file is common to both.
        file.seek(SeekFrom::Start(0)).map_err(disk::failed("read", path))?;
        Ok(file)
    }

    fn descriptors(&self) -> Vec<RawFd> {
        self.files.iter().map(|held| held.file.as_raw_fd()).collect()
    }
}
