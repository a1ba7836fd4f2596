//! Carrying out a restore, step by step in the order that makes it safe.

use super::{
    Gate, Request, Restored, arrange, excluded,
    fold::{self, Folded},
    holders, hot,
    journal::{Action, Area, Direction, Journal},
    left_out,
    recovery::{remove_undo, sweep},
    require_match, require_space, selected,
    transaction::Transaction,
};
use crate::{
    Error, Kind, Result, backup,
    backup::scan,
    database, disk,
    error::RestoreError,
    event::{Event, Observer, Work},
    store::{self, BackupId, FileKind, FileRecord, Filter, Folders, Item, StoredPath},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Puts a backup back. When it returns without an error, the new content is durable.
///
/// # Errors
/// Before the journal is written, everything is as before: [`RestoreError::InUse`],
/// [`crate::error::StoreError`]. Afterwards [`RestoreError::RolledBack`] means the same, and only
/// [`RestoreError::Stuck`] and [`RestoreError::Differs`] leave something to do.
pub fn carry_out(request: &Request<'_>, observer: &dyn Observer) -> Result<Restored> {
    let area = Area::new(request.data);
    require_match(request.backup, request.only)?;
    let excluded = excluded(request)?;
    let items = selected(request, &excluded);
    let begun = stage(request, &area, &items, observer)
        .and_then(|()| prepare(request, &area, &items, &excluded, observer));
    let (journal, damaged) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            // Nothing live was touched; what was unpacked is of no more use.
            drop(disk::remove_tree("staging-discard", &area.staging()));
            return Err(error);
        }
    };
    let kept = commit(&area, &journal, observer, || compare(request, &journal, &items));
    let kept = kept.map_err(|error| match journal.hot.is_empty() {
        true => error,
        false => half_hot(&journal, &error),
    })?;
    remove_older(&area, &journal.id, observer);
    Ok(restored(&journal, kept, damaged))
}

/// What is reported of a journal that was carried out.
pub(super) fn restored(journal: &Journal, undo: PathBuf, damaged: Vec<StoredPath>) -> Restored {
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
    }
}

/// Unpacks the backup inside the private folder and checks every database in it.
fn stage(
    request: &Request<'_>,
    area: &Area,
    items: &[Item<'_>],
    observer: &dyn Observer,
) -> Result<()> {
    let sizes = items.iter().filter_map(|item| item.content()).map(|(size, _)| size);
    // It may be gone altogether.
    disk::create_folders("data-folder", request.data)?;
    require_space(request.data, sizes.fold(0, u64::saturating_add))?;
    disk::create_private_folders("private-folder", &area.private)?;
    let staging = area.staging();
    disk::remove_tree("staging-sweep", &staging)?;
    disk::create_private_folder("staging", &staging)?;
    let wanted: BTreeSet<&StoredPath> = items.iter().map(|item| item.path()).collect();
    let wanted = |path: &StoredPath| wanted.contains(path);
    request.store.extract(request.backup, &staging, &wanted, Folders::Private, observer)?;
    let archive = request.store.archive_path(request.backup.id());
    for item in items {
        if let Item::Database(record) = item {
            store::compare_database(&archive, record, &record.path.below(&staging))?;
        }
    }
    Ok(disk::sync_folder("staging-sync", &area.private)?)
}

/// Everything between unpacking and the first change of the live data.
fn prepare(
    request: &Request<'_>,
    area: &Area,
    items: &[Item<'_>],
    excluded: &Filter,
    observer: &dyn Observer,
) -> Result<(Journal, Vec<StoredPath>)> {
    let left_out = left_out(request);
    let scope = scan::Scope { data: request.data, excluded, left_out: &left_out };
    let concerned = |path: &StoredPath| request.only.is_empty() || request.only.matches(path);
    let id = BackupId::new(request.now, request.random);
    let mut journal = Journal::new(id, request.backup.id().clone(), "staging".into());
    let arranged = |hot: &[StoredPath]| -> Result<(scan::Tree, Vec<Action>)> {
        let live = scan::scan(scope)?;
        let mut actions = arrange::arrange(&live, items, &request.backup.manifest, concerned);
        actions
            .retain(|action| !matches!(action, Action::Place { path, .. } if hot.contains(path)));
        arrange::require_one_file_system(request.data, &live, &actions)?;
        Ok((live, actions))
    };
    let (live, actions) = arranged(&[])?;
    if request.gate == Gate::Hot {
        let there = |item: &Item<'_>| match item {
            Item::Database(record) if live.databases.contains_key(&record.path) => {
                Some(record.path.clone())
            }
            _ => None,
        };
        journal.hot = items.iter().filter_map(there).collect();
    }
    journal.actions = actions;
    require_idle(request.data, &journal)?;
    journal.safety = take_safety(request, observer)?;
    // The backup took its time: look again at what is there, and at who holds it.
    let (_, actions) = arranged(&journal.hot)?;
    journal.actions = actions;
    require_idle(request.data, &journal)?;
    let damaged = fold_all(request.data, journal.databases(), observer)?;
    restore_hot(request, area, &journal)?;
    Ok((journal, damaged))
}

fn restore_hot(request: &Request<'_>, area: &Area, journal: &Journal) -> Result<()> {
    for (done, path) in journal.hot.iter().enumerate() {
        let (staged, live) = (path.below(&area.staging()), path.below(request.data));
        hot::restore(&staged, &live, path.as_path()).map_err(|error| match done {
            0 => error,
            // The open databases before this one have their new content, and no old files.
            _ => half_hot(journal, &error),
        })?;
    }
    Ok(())
}

fn half_hot(journal: &Journal, cause: &Error) -> Error {
    let cause = cause.to_string();
    let safety = journal.safety.as_ref().map(ToString::to_string);
    RestoreError::HalfHot { cause, safety }.into()
}

/// Refuses where a process holds a database that would be replaced or moved.
pub(super) fn require_idle(data: &Path, journal: &Journal) -> Result<()> {
    let databases = journal.databases().filter(|path| !journal.hot.contains(path));
    if disk::fault::is_left_out("gate", "look") {
        return Ok(());
    }
    let (holders, _) = holders::holders(data, databases);
    match holders.is_empty() {
        true => Ok(()),
        false => Err(RestoreError::InUse { holders }.into()),
    }
}

fn take_safety(request: &Request<'_>, observer: &dyn Observer) -> Result<Option<BackupId>> {
    let Some(safety) = request.safety else { return Ok(None) };
    match backup::take(safety, request.store, observer) {
        Ok(taken) => Ok(Some(taken.backup.id().clone())),
        // What is damaged cannot be backed up; the undo area keeps it as it is.
        Err(error) if error.kind() == Kind::Damaged => {
            let text = format!("no safety backup: {error}; the old files are kept as they are");
            observer.event(Event::Warning { text });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Folds the logs of the live databases among these; gives those that cannot be opened.
pub(super) fn fold_all<'a>(
    data: &Path,
    databases: impl Iterator<Item = &'a StoredPath>,
    observer: &dyn Observer,
) -> Result<Vec<StoredPath>> {
    let mut damaged = Vec::new();
    if disk::fault::is_left_out("fold", "logs") {
        return Ok(damaged);
    }
    for path in databases {
        let live = path.below(data);
        let is_file = disk::find(&live)?.is_some_and(|found| found.is_file());
        if !is_file || !database::sniff(&live)? {
            continue;
        }
        let folded = match database::require_first_page(&live) {
            Ok(()) => fold::fold(&live, path.as_path())?,
            Err(Error::Database(error)) => Folded::Raw(error),
            Err(error) => return Err(error),
        };
        if let Folded::Raw(error) = folded {
            let text = format!("{error}; it is kept in the undo area as it is");
            observer.event(Event::Warning { text });
            damaged.push(path.clone());
        }
    }
    Ok(damaged)
}

/// Writes the journal and carries it out; gives the undo area.
pub(super) fn commit(
    area: &Area,
    journal: &Journal,
    observer: &dyn Observer,
    compare: impl FnOnce() -> Result<Option<StoredPath>>,
) -> Result<PathBuf> {
    let transaction = Transaction { area, journal };
    let undo = area.undo(&journal.id);
    transaction.prepare().inspect_err(|_| sweep(area, journal, Direction::Back))?;
    observer.event(Event::WorkStarted { work: Work::Publish, total_bytes: None });
    // A journal that could not be synced may still be there: that is gone back from as well.
    if let Err(error) = area.write_journal(journal).and_then(|()| transaction.forward()) {
        return Err(go_back(area, journal, error));
    }
    let differing = compare();
    area.end_forward(journal).map_err(|error| stuck(area, journal, &error, "it is complete"))?;
    drop(disk::remove_tree("staging-end", &area.private.join(&journal.staged)));
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
pub(super) fn go_back(area: &Area, journal: &Journal, cause: Error) -> Error {
    let journal = Journal { direction: Direction::Back, ..journal.clone() };
    let reverted = area
        .write_journal(&journal)
        .and_then(|()| Transaction { area, journal: &journal }.back())
        .and_then(|()| area.end_back());
    match reverted {
        Ok(()) => {
            sweep(area, &journal, Direction::Back);
            RestoreError::RolledBack { cause: Box::new(cause) }.into()
        }
        Err(error) => stuck(area, &journal, &cause, &error.to_string()),
    }
}

pub(super) fn stuck(area: &Area, journal: &Journal, cause: &Error, then: &str) -> Error {
    let cause = format!("{cause}; then: {then}");
    RestoreError::Stuck { cause, undo: area.undo(&journal.id) }.into()
}

/// The first path whose live content is not what the manifest says.
fn compare(
    request: &Request<'_>,
    journal: &Journal,
    items: &[Item<'_>],
) -> Result<Option<StoredPath>> {
    for item in items {
        let live = item.path().below(request.data);
        if journal.hot.contains(item.path()) {
            continue;
        }
        let equal = match item {
            Item::File(FileRecord { kind: FileKind::Folder, .. }) => live.is_dir(),
            Item::File(FileRecord { kind: FileKind::Symlink { target }, .. }) => {
                std::fs::read_link(&live).is_ok_and(|found| found.as_os_str() == target.0)
            }
            Item::Database(_) | Item::File(_) => {
                let file = disk::open_to_read(&live)?;
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
    let older = area.records().unwrap_or_default().into_iter();
    for record in older.filter(|record| record.id < *id && record.safety.is_some()) {
        // It only takes room: a failure is said and is no failure of the restore.
        if let Err(error) = remove_undo(area, &record.id) {
            observer.event(Event::Warning { text: error.to_string() });
        }
    }
}
