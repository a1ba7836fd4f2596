//! Undoing the last restore: the files that it replaced take their places again. It is a restore too,
//! with a safety backup of its own, and is done once: the state that it replaces is in that backup.

use super::{
    Change, DatabaseChange, Preview, Restored, Seen, View,
    carry::{commit, restored},
    hold::Hold,
    holders, hot_note,
    journal::{AccessChange, Action, Area, Direction, Journal, Staged, What},
    pair,
    prepare::{fold_all, require_idle, take_safety},
    recovery::sweep,
    seen::{changed_since, sights},
    timings::{Timings, timed},
};
use crate::{
    Error, Result, backup, disk,
    error::{RestoreError, StoreError},
    event::{Event, Observer},
    store::{BackupId, Filter, Store, StoredPath},
};
use chrono::{DateTime, Utc};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// What undoes the last restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRestore {
    /// The backup that was restored.
    pub backup: BackupId,
    /// The backup of the state before it, where one could be taken.
    pub before: Option<BackupId>,
    /// The patterns that it was limited to; everything where there is none.
    pub only: Vec<String>,
    /// How it is undone.
    pub way: Way,
    /// When it was done.
    pub taken: DateTime<Utc>,
}

/// How a restore is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It was undone already.
    Undone,
    /// The files that it replaced take their places again.
    Files,
    /// There are no old files of open databases: the backup of the state before is restored.
    OpenDatabases,
}

/// What an undo needs.
pub struct Undo<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// What a preview has seen; the data must still be that.
    pub seen: Option<&'a Seen>,
    /// How to back up the state that it replaces, and where to; nothing where it is worth nothing.
    pub safety: Option<(&'a backup::Request<'a>, &'a Store)>,
    /// The time now.
    pub now: DateTime<Utc>,
    /// Three random bytes, which with the time name the undo area.
    pub random: [u8; 3],
}

/// The last restore, also one that stopped among open databases; nothing where there was none.
///
/// # Errors
/// [`RestoreError::BadHotNote`], [`RestoreError::BadRecord`]; the system's, with the path.
pub fn last(data: &Path) -> Result<Option<LastRestore>> {
    let area = Area::new(data)?;
    if let Some(stopped) = hot_note::stopped(&area)? {
        return Ok(Some(stopped));
    }
    Ok(area.last_record()?.map(|Journal { id, backup, safety, only, undoes, hot, .. }| {
        let way = match (&undoes, hot.is_empty()) {
            (Some(_), _) => Way::Undone,
            (None, true) => Way::Files,
            (None, false) => Way::OpenDatabases,
        };
        let (backup, before) = (undoes.unwrap_or(backup), safety);
        LastRestore { backup, before, only, way, taken: id.taken() }
    }))
}

/// The paths that an undo of the last restore would change.
///
/// # Errors
/// [`RestoreError::BadRecord`]; the system's, with the path.
pub fn paths_to_undo(data: &Path) -> Result<Filter> {
    let record = Area::new(data)?.last_record()?;
    let actions = record.into_iter().flat_map(|record| record.actions);
    Ok(Filter::of_paths(actions.map(|action| action.path().clone())))
}

/// What an undo would change, found out from the files that it would put in place alone, where the
/// backup of the state before is not there to compare with.
///
/// # Errors
/// [`RestoreError::NothingToUndo`], [`RestoreError::BadRecord`]; the system's, with the path.
pub fn plan_undo(data: &Path, now: DateTime<Utc>) -> Result<Preview> {
    let area = Area::new(data)?;
    let (last, journal) = reversed(&area, now, [0; 3])?;
    let found = holders::holders(&holders::wanted(data, journal.guarded())?, &[]);
    let changes = |wanted: What| {
        let each = move |action: &Action| match action {
            Action::Place { path, what } if *what == wanted => {
                Some((path.clone(), Change::Replaced))
            }
            Action::Displace { path, what } if *what == wanted => {
                Some((path.clone(), Change::Displaced))
            }
            _ => None,
        };
        journal.actions.iter().filter_map(each).collect::<Vec<_>>()
    };
    let databases = changes(What::Database).into_iter().map(|(path, change)| DatabaseChange {
        path,
        change,
        tables: BTreeMap::new(),
        backup_position: None,
        live_position: None,
        unreadable: None,
    });
    let (files, gone): (Vec<_>, Vec<_>) =
        changes(What::File).into_iter().partition(|(_, change)| *change == Change::Replaced);
    let names = |changes: Vec<(StoredPath, Change)>| changes.into_iter().map(|(path, _)| path);
    let folders = |of: fn(&Action) -> bool| {
        let folders = journal.actions.iter().filter(|action| of(action));
        folders.map(|action| action.path().clone()).collect()
    };
    Ok(Preview {
        backup: last.backup.clone(),
        age_seconds: (now - last.id.taken()).num_seconds(),
        databases: databases.collect(),
        files_restored: names(files).collect(),
        files_displaced: names(gone).collect(),
        folders_restored: folders(|action| matches!(action, Action::MakeFolder { .. })),
        folders_displaced: folders(|action| matches!(action, Action::RemoveFolder { .. })),
        data_directory: journal.data_directory,
        view: if found.limits.is_empty() { View::Whole } else { View::Partial },
        limits: found.limits,
        holders: found.holders,
        uncounted: Some("there is no backup of the state before that restore".into()),
        seen: Seen::default(),
    })
}

/// Puts back what the last restore replaced.
///
/// # Errors
/// [`RestoreError::NothingToUndo`], [`RestoreError::UndoHot`], [`RestoreError::BadRecord`], and those of
/// [`carry_out`](super::carry_out).
pub fn undo(request: &Undo<'_>, observer: &dyn Observer) -> Result<Restored> {
    let data = request.data;
    let area = Area::new(data)?;
    let (_, mut journal) = reversed(&area, request.now, request.random)?;
    require_idle(data, &journal)?;
    let damaged = fold_all(data, journal.databases(), observer)?;
    let still = sights(data, journal.databases())?;
    let mut timings = Timings::default();
    let (safety, contents) = timed(&mut timings.safety, || back_up(request, &damaged, observer))?;
    journal.safety = safety;
    // The backup took its time: look again at who holds a database.
    require_idle(data, &journal)?;
    journal.folded = pair::fold_staged(&area, &journal)
        .inspect_err(|_| drop(disk::remove_tree("folded-discard", &area.folded())))?;
    let hold = Hold::take(&area, &journal)?;
    let mut changed = changed_since(data, journal.databases(), &still)?;
    if let Some(seen) = request.seen {
        changed.extend(seen.changed_of(data, &journal, contents.as_ref())?);
    }
    if !changed.is_empty() {
        drop(disk::remove_tree("folded-discard", &area.folded()));
        let look = "piton restore --undo --dry-run".into();
        return Err(RestoreError::Changed { changed, look }.into());
    }
    let undo = commit(&area, &journal, hold, &mut timings, observer, |_| Ok(None))?;
    sweep(&area, &journal, Direction::Forward);
    Ok(restored(&journal, undo, damaged, timings))
}

/// The record of the last restore, and the journal of its undo.
fn reversed(area: &Area, now: DateTime<Utc>, random: [u8; 3]) -> Result<(Journal, Journal)> {
    let _inside = disk::stay_inside(&area.data)?;
    let last = area.last_record()?;
    let last = last.ok_or_else(|| RestoreError::NothingToUndo { data: area.data.clone() })?;
    if !last.hot.is_empty() {
        let safety = last.safety.map(|id| id.to_string());
        return Err(RestoreError::UndoHot { safety }.into());
    }
    let tree = area.undo_tree(&last.id);
    let mut kept = BTreeSet::new();
    for action in &last.actions {
        if let Action::Place { path, .. } = action
            && disk::find(&path.below(&tree))?.is_some_and(|found| !found.is_dir())
        {
            kept.insert(path.clone());
        }
    }
    let kept = |path: &StoredPath| kept.contains(path);
    let staged = Staged::Undo(last.id.clone());
    let mut journal = Journal::new(area.new_id(now, random)?, last.backup.clone(), staged);
    journal.actions = last.actions.iter().rev().map(|action| action.reversed(kept)).collect();
    journal.only.clone_from(&last.only);
    journal.undoes = Some(last.backup.clone());
    journal.opaque.clone_from(&last.opaque);
    journal.data_directory = last
        .data_directory
        .map(|AccessChange { before, after }| AccessChange { before: after, after: before });
    Ok((last, journal))
}

/// Backs up the state that goes. Where there is no room for it, the undo area has the same files.
fn back_up(
    request: &Undo<'_>,
    damaged: &[StoredPath],
    observer: &dyn Observer,
) -> Result<(Option<BackupId>, Option<super::prepare::Contents>)> {
    let Some((safety, store)) = request.safety else { return Ok((None, None)) };
    match take_safety((safety, store), damaged, observer) {
        Err(Error::Store(error @ (StoreError::NoSpace { .. } | StoreError::NoRoom { .. }))) => {
            let text = format!("no safety backup: {error}; the old files are kept as they are");
            observer.event(Event::Warning { text });
            Ok((None, None))
        }
        other => other,
    }
}
