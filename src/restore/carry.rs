//! Carrying out a restore, step by step in the order that makes it safe.

use super::{
    Request, Restored, directory, excluded,
    hold::Hold,
    hot_note,
    journal::{Action, Area, Direction, Journal},
    left_out, lost,
    prepare::{Prepared, prepare, stage},
    recovery::{remove_undo, sweep},
    require_match,
    same::{self, Same},
    selected,
    timings::{Timings, timed, whole},
    transaction::Transaction,
};
use crate::{
    Error, Kind, Result,
    backup::scan,
    disk,
    error::RestoreError,
    event::{Event, Observer, Work},
    records,
    store::{self, BackupId, FileKind, FileRecord, Item, StoredPath},
};
use std::{collections::BTreeSet, path::PathBuf, time::Instant};

/// Puts a backup back. When it returns without an error, the new content is durable.
///
/// # Errors
/// Before the journal is written, everything is as before: [`RestoreError::InUse`],
/// [`crate::error::StoreError`]. Afterwards [`RestoreError::RolledBack`] means the same, and only
/// [`RestoreError::Stuck`] and [`RestoreError::Differs`] leave something to do.
pub fn carry_out(request: &Request<'_>, observer: &dyn Observer) -> Result<Restored> {
    let same = match request.seen {
        // The preview has looked.
        Some(seen) => seen.same.clone(),
        None => look(request)?,
    };
    match attempt(request, &same, observer) {
        // Nobody was shown anything, so what changes meanwhile is no reason to stop.
        Err(Error::Restore(RestoreError::Unsettled { .. })) => {
            attempt(request, &Same::default(), observer)
        }
        other => other,
    }
}

/// The files that are live as the backup has them.
fn look(request: &Request<'_>) -> Result<Same> {
    let (excluded, left_out) = (excluded(request)?, left_out(request));
    let scope = scan::Scope { data: request.data, excluded: &excluded, left_out: &left_out };
    let live = match disk::exists(request.data)? {
        true => scan::scan(scope)?,
        false => scan::Tree::default(),
    };
    if request.undoes.is_none() {
        require_match(request.backup, request.only, &live)?;
    }
    same::unchanged(request, &live, &selected(request, &excluded))
}

/// Restores everything but what is the same.
fn attempt(request: &Request<'_>, same: &Same, observer: &dyn Observer) -> Result<Restored> {
    let area = Area::new(request.data)?;
    let excluded = excluded(request)?;
    let items = selected(request, &excluded);
    let mut timings = Timings::default();
    let differing: Vec<&Item<'_>> = items.iter().filter(|it| !same.has(it.path())).collect();
    let all = (items.as_slice(), same);
    let begun = stage(request, &area, &differing, &mut timings, observer)
        .and_then(|()| prepare(request, &area, all, &excluded, &mut timings, observer));
    let Prepared { journal, damaged, hold, saved } = match begun {
        Ok(prepared) => prepared,
        Err(error) => {
            // Nothing live was touched; what was unpacked is of no more use.
            drop(disk::remove_tree("staging-discard", &area.staging()));
            drop(disk::remove_tree("raw-discard", &area.raw()));
            return Err(error);
        }
    };
    let compared = |hold: &Hold| compare(request, &journal, &items, hold);
    let kept = commit(&area, &journal, hold, &mut timings, observer, compared);
    let kept = kept.map_err(|error| match journal.hot.is_empty() {
        true => {
            if error.kind() != Kind::NotRestored {
                request.save_lost.into_iter().for_each(lost::discard);
            }
            error
        }
        false => hot_note::after_all(&journal, &error),
    })?;
    hot_note::remove(&area)?;
    remove_older(&area, &journal.id, observer);
    let not_owned = directory::not_owned(request, &journal, &items)?;
    Ok(Restored { saved, not_owned, ..restored(&journal, kept, damaged, timings) })
}

/// What is reported of a journal that was carried out.
pub(super) fn restored(
    journal: &Journal,
    undo: PathBuf,
    damaged: Vec<StoredPath>,
    timings: Timings,
) -> Restored {
    let placed = journal.actions.iter().filter(|it| matches!(it, Action::Place { .. })).count();
    let displaced = journal.actions.iter().filter_map(|action| match action {
        Action::Displace { path, .. } => Some(path.clone()),
        _ => None,
    });
    Restored {
        backup: journal.backup.clone(),
        safety: journal.safety.clone(),
        undo,
        placed: placed + journal.hot.len(),
        displaced: displaced.collect(),
        damaged,
        hot: journal.hot.clone(),
        saved: None,
        not_owned: Vec::new(),
        timings,
    }
}

/// Writes the journal and carries it out; gives the undo area. Nobody gets into a database before
/// it has ended either way.
pub(super) fn commit(
    area: &Area,
    journal: &Journal,
    mut hold: Hold,
    timings: &mut Timings,
    observer: &dyn Observer,
    compare: impl FnOnce(&Hold) -> Result<Option<StoredPath>>,
) -> Result<PathBuf> {
    let _inside = disk::stay_inside(&area.data)?;
    let _changing = disk::Changing::begin();
    let clock = Instant::now();
    let grounded;
    let journal = match area.ground(journal)? {
        None => journal,
        ground => {
            grounded = Journal { ground, ..journal.clone() };
            &grounded
        }
    };
    let undo = area.undo(&journal.id);
    Transaction { area, journal, hold: &hold }
        .prepare()
        // Not earlier: from here on whoever opens a database waits.
        .and_then(|()| hold.lease(Direction::Forward))
        .inspect_err(|_| sweep(area, journal, Direction::Back))?;
    let transaction = Transaction { area, journal, hold: &hold };
    observer.event(Event::WorkStarted { work: Work::Publish, total_bytes: None });
    // A journal that could not be synced may still be there: that is gone back from as well.
    let swapped = records::mark_restore(&area.data)
        .and_then(|()| area.write_journal(journal))
        .and_then(|()| transaction.forward())
        .map(|mixed| timings.exchange = whole(mixed))
        .map(|()| timed(&mut timings.compare, || compare(&hold)))
        // Who looked the name up before the exchange may come to the old file only now.
        .and_then(|compared| hold.require_old_unheld().map(|()| compared));
    let differing = match swapped {
        Ok(compared) => compared,
        Err(error) => return Err(go_back(&transaction, error, observer)),
    };
    area.end_forward(journal).map_err(|error| stuck(area, journal, &error, "it is complete"))?;
    drop(hold);
    timings.publish = whole(clock.elapsed()).saturating_sub(timings.compare);
    drop(disk::remove_tree("staging-end", &area.staged(journal)));
    drop(disk::remove_tree("scratch-end", &area.scratch()));
    drop(disk::remove_tree("raw-end", &area.raw()));
    drop(disk::remove_tree("folded-end", &area.folded()));
    observer.event(Event::WorkEnded { work: Work::Publish });
    match differing {
        Ok(None) => Ok(undo),
        Ok(Some(path)) => {
            let path = path.as_path().into();
            Err(RestoreError::Differs { path, undo }.into())
        }
        Err(error) => Err(stuck(area, journal, &error, "what is in place was not compared")),
    }
}

/// Puts the old state back after a step failed, and says which of the two it came to.
pub(super) fn go_back(forward: &Transaction<'_>, cause: Error, observer: &dyn Observer) -> Error {
    let area = forward.area;
    let journal = Journal { direction: Direction::Back, ..forward.journal.clone() };
    let reverted = area
        .write_journal(&journal)
        .and_then(|()| Transaction { journal: &journal, ..*forward }.back())
        .and_then(|()| area.end_back());
    match reverted {
        Ok(()) => {
            warn_of_lost(forward.hold, observer);
            sweep(area, &journal, Direction::Back);
            RestoreError::RolledBack { cause: Box::new(cause) }.into()
        }
        Err(error) => stuck(area, &journal, &cause, &error.to_string()),
    }
}

/// Says who came to a new file that is gone again: nothing can give it the old one.
pub(super) fn warn_of_lost(hold: &Hold, observer: &dyn Observer) {
    if let Err(error) = hold.require_new_unheld() {
        let text = format!("{error}; it works on a file that is gone: start it again");
        observer.event(Event::Warning { text });
    }
}

pub(super) fn stuck(area: &Area, journal: &Journal, cause: &Error, then: &str) -> Error {
    let cause = format!("{cause}; then: {then}");
    RestoreError::Stuck { cause, undo: area.undo(&journal.id) }.into()
}

/// The first path that was put in place and whose live content is not what the manifest says.
fn compare(
    request: &Request<'_>,
    journal: &Journal,
    items: &[Item<'_>],
    hold: &Hold,
) -> Result<Option<StoredPath>> {
    let placed: BTreeSet<&StoredPath> = journal.actions.iter().filter_map(Action::placed).collect();
    for item in items {
        let live = item.path().below(request.data);
        let is_folder = matches!(item, Item::File(FileRecord { kind: FileKind::Folder, .. }));
        if !is_folder && !placed.contains(item.path()) {
            continue;
        }
        let equal = match item {
            Item::File(FileRecord { kind: FileKind::Folder, .. }) => {
                disk::find(&live)?.is_some_and(|found| found.is_dir())
            }
            Item::File(FileRecord { kind: FileKind::Symlink { target }, .. }) => {
                disk::read_link(&live).is_ok_and(|found| found.as_os_str() == target.0)
            }
            Item::Database(_) | Item::File(_) => {
                let file = hold.open_to_read(&live)?;
                let found = store::digest_of(file).map_err(disk::failed("read", &live))?;
                item.content().is_some_and(|(size, digest)| found == (digest, size))
            }
        };
        if !equal {
            return Ok(Some(item.path().clone()));
        }
    }
    Ok(None)
}

/// Removes the undo areas before this one, as far as a safety backup holds the same.
fn remove_older(area: &Area, id: &BackupId, observer: &dyn Observer) {
    let remove = |older: &BackupId| match area.read_record(older)? {
        Some(record) if record.safety.is_some() => remove_undo(area, older),
        _ => Ok(()),
    };
    for older in area.undo_areas().unwrap_or_default().iter().filter(|older| *older < id) {
        // It only takes room: a failure is said and is no failure of the restore.
        if let Err(error) = remove(older) {
            observer.event(Event::Warning { text: error.to_string() });
        }
    }
}
