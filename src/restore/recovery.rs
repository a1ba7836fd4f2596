//! Finishing or reverting a restore that was interrupted.

use super::{
    carry::{go_back, stuck, warn_of_lost},
    hold::Hold,
    hot_note,
    journal::{Action, Area, Direction, Journal, Staged},
    pair,
    prepare::{fold_all, require_idle},
    transaction::Transaction,
};
use crate::{
    Kind, Result, disk,
    error::{Error, RestoreError},
    event::{Event, Observer},
    records,
    store::{BackupId, StoredPath},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// What was done about an interrupted restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The backup that was being put back.
    pub backup: BackupId,
    /// Which state the data is in now.
    pub direction: Direction,
}

/// Whether a restore was interrupted, so that [`recover`] has something to do. It changes nothing,
/// so that a command that only reads needs no lock.
#[must_use]
pub fn is_interrupted(data: &Path) -> bool {
    let interrupted = Area::new(data).and_then(|area| {
        records::refuse_restore_of_others(data)?;
        Ok(disk::find(&area.journal())?.is_some())
    });
    interrupted.unwrap_or_else(|error| {
        // Who may not look into the private folder can recover nothing, and may still read the
        // data. Any other trouble is found and said by what recovers.
        !is_forbidden(&error)
    })
}

/// Whether this user may not look there.
fn is_forbidden(error: &Error) -> bool {
    let kind = std::io::ErrorKind::PermissionDenied;
    matches!(error, Error::Disk(error) if error.source.kind() == kind)
}

/// The backups that an interrupted restore still needs.
///
/// # Errors
/// [`RestoreError::BadJournal`], [`RestoreError::BadHotNote`]; the system's, with the path.
pub fn needed_backups(data: &Path) -> Result<Vec<BackupId>> {
    let area = Area::new(data)?;
    let journal = area.read_journal()?;
    let of_journal = journal.into_iter().flat_map(|it| [it.backup].into_iter().chain(it.safety));
    Ok(of_journal.chain(hot_note::needed(&area)?).collect())
}

/// Finishes an interrupted restore, or puts the old state back where that is not possible; nothing
/// where none was interrupted. Every command begins with it; it may be interrupted itself.
///
/// # Errors
/// [`RestoreError::InUse`] where a service already runs on the half-restored data;
/// [`RestoreError::Stuck`] where neither way works.
pub fn recover(data: &Path, observer: &dyn Observer) -> Result<Option<Recovered>> {
    let area = Area::new(data)?;
    records::refuse_restore_of_others(data)?;
    let Some(journal) = area.read_journal()? else {
        // Without a journal nothing live was touched, and what was prepared is of no use.
        remove_leftovers(&area)?;
        return Ok(None);
    };
    let _inside = disk::stay_inside(data)?;
    let _changing = disk::Changing::begin();
    require_idle(data, &journal)?;
    let mut direction = journal.direction;
    if direction == Direction::Forward {
        let replaceable = |path: &StoredPath| {
            // Of a pair that is half in place, the log is needed once more.
            is_staged(&area, &journal, path)
                && !pair::is_between(&area, &journal, path).unwrap_or(true)
        };
        let mut hold = Hold::default();
        // A service that ran in between may have left a log beside what is still to be replaced.
        let ready = fold_all(data, journal.databases().filter(|path| replaceable(path)), observer)
            .and_then(|_| Transaction { area: &area, journal: &journal, hold: &hold }.prepare())
            .and_then(|()| Hold::take(&area, &journal))
            .and_then(|taken| {
                hold = taken;
                hold.lease(Direction::Forward)
            });
        if let Err(error) = ready.as_ref()
            && error.kind() == Kind::InUse
        {
            // Going back might take a file from under whoever it is.
            return ready.map(|()| None);
        }
        let transaction = Transaction { area: &area, journal: &journal, hold: &hold };
        let finished = ready.and_then(|()| {
            transaction.forward()?;
            hold.require_old_unheld()?;
            area.end_forward(&journal)
        });
        if let Err(cause) = finished {
            match go_back(&transaction, cause, observer) {
                Error::Restore(RestoreError::RolledBack { .. }) => direction = Direction::Back,
                error => return Err(error),
            }
        }
    } else {
        let reverted = Hold::take(&area, &journal).and_then(|mut hold| {
            hold.lease(Direction::Back)?;
            Transaction { area: &area, journal: &journal, hold: &hold }.back()?;
            area.end_back()?;
            warn_of_lost(&hold, observer);
            Ok(())
        });
        reverted.map_err(|error| match error.kind() {
            Kind::InUse => error,
            _ => stuck(&area, &journal, &error, "run it again"),
        })?;
    }
    sweep(&area, &journal, direction);
    let backup = journal.backup.clone();
    observer.event(Event::Recovered { backup: backup.to_string(), direction: direction.word() });
    Ok(Some(Recovered { backup, direction }))
}

/// Removes what a restore that has ended leaves in the private folder; what cannot be removed
/// takes room and harms nothing.
pub(super) fn sweep(area: &Area, journal: &Journal, direction: Direction) {
    drop(disk::remove_tree("sweep-scratch", &area.scratch()));
    drop(disk::remove_tree("sweep-raw", &area.raw()));
    drop(disk::remove_tree("sweep-folded", &area.folded()));
    match &journal.staged {
        Staged::Staging => drop(disk::remove_tree("sweep-staging", &area.staging())),
        // The undo area whose files are all in place again.
        Staged::Undo(undone) if direction == Direction::Forward => drop(remove_undo(area, undone)),
        Staged::Undo(_) => {}
    }
    drop(remove_empty_undo(area, &journal.id));
}

/// Removes the folders of an undo area that came to hold nothing.
fn remove_empty_undo(area: &Area, id: &BackupId) -> Result<()> {
    remove_empty_folders(&area.undo(id))?;
    remove_empty_folders(&area.record_folder(id))
}

/// Removes an undo area, its record last: what is left of it is still known for what it is.
pub(super) fn remove_undo(area: &Area, id: &BackupId) -> Result<()> {
    disk::remove_tree("undo-remove", &area.undo_tree(id))?;
    disk::sync_folder("undo-remove-sync", &area.undo(id))?;
    disk::remove_tree("undo-remove", &area.undo(id))?;
    Ok(disk::remove_tree("undo-remove", &area.record_folder(id))?)
}

fn remove_leftovers(area: &Area) -> Result<()> {
    remove_partial(area)?;
    disk::remove_tree("sweep-scratch", &area.scratch())?;
    disk::remove_tree("sweep-raw", &area.raw())?;
    disk::remove_tree("sweep-folded", &area.folded())?;
    let staging = area.staging();
    if disk::exists(&staging)? {
        disk::remove_tree("sweep-staging", &staging)?;
    }
    for id in area.undo_areas()? {
        // Files come into an undo area only after the journal: without one there are just folders.
        remove_empty_undo(area, &id)?;
    }
    records::unmark_restore(&area.data)
}

/// Removes notes that were cut off while they were written; the caller holds the lock.
fn remove_partial(area: &Area) -> Result<()> {
    for folder in BTreeSet::from([&area.private, &area.records]) {
        for path in disk::entries(folder)?.unwrap_or_default().iter().map(|name| folder.join(name))
        {
            if path.extension().is_some_and(|extension| extension == disk::PARTIAL) {
                disk::remove_file("sweep-note", &path)?;
            }
        }
    }
    Ok(())
}

/// Removes folders that hold nothing but folders; anything else stays, with what is above it.
fn remove_empty_folders(folder: &Path) -> Result<()> {
    let Some(names) = disk::entries(folder)? else { return Ok(()) };
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in names.into_iter().map(|name| folder.join(name)) {
        if !disk::find(&path)?.is_some_and(|found| found.is_dir()) {
            return Ok(());
        }
        paths.push(path);
    }
    paths.iter().try_for_each(|path| remove_empty_folders(path))?;
    match disk::remove_empty_folder("sweep-undo", folder) {
        Err(error) if error.source.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => Ok(other?),
    }
}

fn is_staged(area: &Area, journal: &Journal, path: &StoredPath) -> bool {
    let placing = |action: &Action| matches!(action, Action::Place { path: it, .. } if it == path);
    let staged = path.below(&area.staged(journal));
    // What cannot be looked at may wait.
    let waits = disk::find(&staged).map_or(true, |found| found.is_some());
    waits || !journal.actions.iter().any(placing)
}
