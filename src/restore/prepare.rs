//! Everything between the request of a restore and its journal: nothing live is replaced yet.

use super::{
    Gate, Request,
    arrange::{self, Choice},
    directory, fold,
    hold::Hold,
    holders, hot, hot_note,
    journal::{Action, Area, Journal, Staged, What},
    left_out,
    lost::{self, Moment, Saved},
    raw::{self, Left},
    require_space,
    same::Same,
    seen::{Seen, changed_since, sights},
    timings::{Timings, timed},
};
use crate::{
    Error, Kind, Result, backup,
    backup::scan,
    database, disk,
    error::RestoreError,
    event::{self, Event, Observer},
    store::{self, Backup, BackupId, Digest, Filter, Folders, Item, Store, StoredPath},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Unpacks the backup inside the private folder and checks every database in it.
pub(super) fn stage(
    request: &Request<'_>,
    area: &Area,
    items: &[&Item<'_>],
    timings: &mut Timings,
    observer: &dyn Observer,
) -> Result<()> {
    let sizes = items.iter().filter_map(|item| item.content()).map(|(size, _)| size);
    request.save_lost.map_or(Ok(()), lost::require_free)?;
    // It may be gone altogether.
    disk::create_folders("data-folder", request.data)?;
    require_space(request.data, sizes.fold(0, u64::saturating_add))?;
    area.make()?;
    let staging = area.staging();
    disk::remove_tree("staging-sweep", &staging)?;
    disk::create_private_folder("staging", &staging)?;
    let wanted: BTreeSet<&StoredPath> = items.iter().map(|item| item.path()).collect();
    let wanted = |path: &StoredPath| wanted.contains(path);
    timed(&mut timings.unpack, || {
        request.store.extract(request.backup, &staging, &wanted, Folders::Private, observer)
    })?;
    let archive = request.store.archive_path(request.backup.id());
    let mut databases = items.iter().filter_map(|item| match item {
        Item::Database(record) => Some(record),
        Item::File(_) => None,
    });
    timed(&mut timings.check, || {
        databases.try_for_each(|record| {
            store::compare_database(&archive, record, &record.path.below(&staging))
        })
    })?;
    Ok(disk::sync_folder("staging-sync", &area.private)?)
}

/// What is ready to be carried out.
pub(super) struct Prepared {
    pub(super) journal: Journal,
    /// Live databases that cannot be read.
    pub(super) damaged: Vec<StoredPath>,
    pub(super) hold: Hold,
    pub(super) saved: Option<Saved>,
}

/// Everything between unpacking and the first change of the live data.
///
/// # Errors
/// [`RestoreError::InUse`], [`RestoreError::HeldUnseen`]; [`RestoreError::Changed`] where the data
/// is no longer what the preview has shown, or changes while this works.
pub(super) fn prepare(
    request: &Request<'_>,
    area: &Area,
    (items, same): (&[Item<'_>], &Same),
    excluded: &Filter,
    timings: &mut Timings,
    observer: &dyn Observer,
) -> Result<Prepared> {
    let left_out = left_out(request);
    let scope = scan::Scope { data: request.data, excluded, left_out: &left_out };
    let concerned = |path: &StoredPath| request.only.is_empty() || request.only.matches(path);
    let id = area.new_id(request.now, request.random)?;
    let mut journal = Journal::new(id, request.backup.id().clone(), Staged::Staging);
    let arranged = |hot: &[StoredPath]| -> Result<(scan::Tree, Vec<Action>)> {
        let live = scan::scan(scope)?;
        let choice = Choice { data: request.data, concerned: &concerned, same };
        let mut actions = arrange::arrange(&live, items, &request.backup.manifest, &choice);
        actions
            .retain(|action| !matches!(action, Action::Place { path, .. } if hot.contains(path)));
        arrange::require_one_file_system(request.data, &live, &actions)?;
        Ok((live, actions))
    };
    let (live, _) = arranged(&[])?;
    journal.only = request.only.texts();
    journal.data_directory = directory::change(request)?;
    journal.undoes = request.undoes.cloned();
    if request.gate == Gate::Hot {
        journal.hot = both_have(items, &live);
        journal.hot.retain(|path| !same.has(path));
    }
    let (live_again, actions) = arranged(&journal.hot)?;
    journal.opaque = arrange::opaque(&live_again, &actions);
    journal.actions = actions;
    require_idle(request.data, &journal)?;
    if let Some(seen) = request.seen {
        refuse(request, seen.changed_raw(request.data, journal.databases().chain(&journal.hot))?)?;
    }
    disk::remove_tree("raw-sweep", &area.raw())?;
    journal.raw = keep_raw(area, &journal, observer)?;
    // Folded first: then each database is one file, of which every later write shows.
    let mut damaged = fold_all(request.data, journal.databases(), observer)?;
    for path in
        journal.raw.iter().filter(|path| !damaged.contains(path)).cloned().collect::<Vec<_>>()
    {
        if let Some(reason) = raw::damage(&path.below(request.data)) {
            observer.event(Event::Warning { text: reason });
            damaged.push(path);
        }
    }
    // What SQLite has made of a damaged one is nothing to go back to.
    journal.folded = journal.raw.iter().filter(|path| !damaged.contains(path)).cloned().collect();
    let still = sights(request.data, journal.databases())?;
    let (safety, mut contents) = timed(&mut timings.safety, || match request.safety {
        Some(backup) => take_safety((backup, request.store), &damaged, observer),
        None => Ok((None, None)),
    })?;
    journal.safety = hot_note::first_safety(area, request.backup.id()).or(safety);
    if let (None, Some(backup)) = (&contents, request.safety)
        && request.seen.is_some_and(Seen::has_contents)
    {
        // A damaged database that could be copied for the preview can be once more.
        contents = Some(contents_now(request, area, backup)?);
    }
    event::go_on(observer)?;
    // The backup took its time: look again at what is there, and at who holds it.
    let (live, actions) = arranged(&journal.hot)?;
    journal.opaque = arrange::opaque(&live, &actions);
    journal.actions = actions;
    require_idle(request.data, &journal)?;
    let hold = Hold::take(area, &journal)?;
    refuse(request, changed_since(request.data, journal.databases(), &still)?)?;
    let changed = same.changed(&live, contents.as_ref());
    match request.seen {
        None if !changed.is_empty() => return Err(RestoreError::Unsettled { changed }.into()),
        _ => refuse(request, changed)?,
    }
    if let Some(seen) = request.seen {
        let entries: Vec<&StoredPath> =
            journal.actions.iter().filter_map(Action::entry).chain(&journal.hot).collect();
        refuse(request, seen.changed(&live, &entries, contents.as_ref()))?;
    }
    let moment = Moment {
        area,
        journal: &journal,
        live: &live,
        damaged: &damaged,
        safety: journal.safety.as_ref(),
        contents: contents.as_ref(),
    };
    let save = |target: &Path| lost::save(request, &moment, target, observer);
    let saved = request.save_lost.map(save).transpose()?;
    if let Err(error) = hot::restore_all(request, area, &journal, contents.as_ref(), observer) {
        if error.kind() != Kind::NotRestored {
            request.save_lost.into_iter().for_each(lost::discard);
        }
        return Err(error);
    }
    Ok(Prepared { journal, damaged, hold, saved })
}

fn refuse(request: &Request<'_>, changed: Vec<PathBuf>) -> Result<()> {
    match changed.is_empty() {
        true => Ok(()),
        false => {
            let look = format!("piton restore {}", request.backup.id());
            Err(RestoreError::Changed { changed, look }.into())
        }
    }
}

/// Keeps the databases that a crash has left with a log as they were found.
fn keep_raw(area: &Area, journal: &Journal, observer: &dyn Observer) -> Result<Vec<StoredPath>> {
    let mut kept = Vec::new();
    let placed = journal.actions.iter().filter_map(|action| match action {
        Action::Place { path, what: What::Database } => Some(path),
        _ => None,
    });
    for path in placed {
        match raw::keep(area, path) {
            Ok(Left::Nothing) => {}
            Ok(Left::Log | Left::Journal) => kept.push(path.clone()),
            Err(Error::Disk(error)) if error.source.kind() == ErrorKind::StorageFull => {
                let text = format!("`{path}` is not kept as it was found: {error}");
                observer.event(Event::Warning { text });
                disk::remove_tree("raw-sweep", &path.below(&area.raw()))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(kept)
}

/// The databases that are live and in the backup.
fn both_have(items: &[Item<'_>], live: &scan::Tree) -> Vec<StoredPath> {
    let both = |item: &Item<'_>| match item {
        Item::Database(record) if live.databases.contains_key(&record.path) => {
            Some(record.path.clone())
        }
        _ => None,
    };
    items.iter().filter_map(both).collect()
}

/// Refuses where a process holds a database that would be replaced or moved.
pub(super) fn require_idle(data: &Path, journal: &Journal) -> Result<()> {
    let databases = journal.guarded().filter(|path| !journal.hot.contains(path));
    if disk::fault::is_left_out("gate", "look") {
        return Ok(());
    }
    let holders = holders::holders(&holders::wanted(data, databases)?, &[]).holders;
    match holders.is_empty() {
        true => Ok(()),
        false => Err(RestoreError::InUse { holders }.into()),
    }
}

/// What databases contain.
pub(super) type Contents = BTreeMap<StoredPath, Digest>;

/// What the databases contain now, by copies that are of no other use.
fn contents_now(
    request: &Request<'_>,
    area: &Area,
    backup: &backup::Request<'_>,
) -> Result<Contents> {
    let folder = area.scratch();
    disk::remove_tree("contents-sweep", &folder)?;
    disk::create_private_folder("contents-folder", &folder)?;
    let copied = backup::copy_databases(backup, request.store, &folder);
    let digests = copied.and_then(|copies| {
        let copies = copies.databases.into_iter();
        let digest = |(path, file): (StoredPath, PathBuf)| {
            let (digest, _) = store::digest_of(disk::open_to_read(&file)?)
                .map_err(disk::failed("read", &file))?;
            Ok((path, digest))
        };
        copies.map(digest).collect()
    });
    disk::remove_tree("contents-end", &folder)?;
    digests
}

/// Backs up what is there; gives the backup, and what the databases contain.
pub(super) fn take_safety(
    (safety, store): (&backup::Request<'_>, &Store),
    damaged: &[StoredPath],
    observer: &dyn Observer,
) -> Result<(Option<BackupId>, Option<Contents>)> {
    if !damaged.is_empty() {
        // To try would open it, and change what is to be kept.
        let text = "no safety backup of a damaged database: the old files are kept as they are";
        observer.event(Event::Warning { text: text.into() });
        return Ok((None, None));
    }
    match backup::take(safety, store, observer) {
        Ok(taken) => {
            let Backup { manifest, .. } = taken.backup;
            let records = manifest.databases.into_iter();
            let contents = records.map(|record| (record.path, record.sha256)).collect();
            Ok((Some(manifest.id), Some(contents)))
        }
        // What is damaged cannot be backed up; the undo area keeps it as it is.
        Err(error) if error.kind() == Kind::Damaged => {
            let text = format!("no safety backup: {error}; the old files are kept as they are");
            observer.event(Event::Warning { text });
            Ok((None, None))
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
    let _inside = disk::stay_inside(data)?;
    for path in databases {
        let live = path.below(data);
        let is_file = disk::find(&live)?.is_some_and(|found| found.is_file());
        if !is_file || !database::sniff(&live)? {
            continue;
        }
        let unsound = match database::require_first_page(&live) {
            Ok(()) => fold::fold(&live, path.as_path())?,
            Err(Error::Database(error)) => Some(error),
            Err(error) => return Err(error),
        };
        if let Some(error) = unsound {
            let text = format!("{error}; it is kept in the undo area as it is");
            observer.event(Event::Warning { text });
            damaged.push(path.clone());
        }
    }
    Ok(damaged)
}
