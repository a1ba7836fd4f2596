//! Archiving the databases of a data directory, those first whose writers wait for it.

use super::{
    Pinned, Request, Tree,
    checking::{Checking, archive_checked, archive_copy},
    copy,
    cut::{Journal, Source},
    distinct, dressed,
    in_place::{self, Place},
};
use crate::{
    Error, Result,
    disk::{self, Freeing},
    store::{self, Attributes, DatabaseRecord, Draft, Session, StoredPath},
};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    thread,
};

/// Archives databases as of the instant of the cut.
///
/// # Errors
/// [`crate::error::DatabaseError`] for one that is damaged; the system's.
pub(super) fn archive(
    request: &Request<'_>,
    tree: &Tree,
    mut pinned: Vec<Pinned>,
    session: &Session<'_>,
    draft: &mut Draft<'_>,
) -> Result<Vec<DatabaseRecord>> {
    let names = distinct(tree);
    let others = |path: &StoredPath| names.get(path).cloned().unwrap_or_default();
    let attributes = |path: &StoredPath| -> Result<Attributes> {
        let found = tree.databases.get(path).ok_or_else(|| {
            Error::Internal(format!("`{path}` was pinned and is not in the tree"))
        })?;
        dressed(found, &path.below(request.data))
    };
    let largest = largest(&pinned, &|path| others(path).is_empty())?;
    let is_other = |path: &StoredPath| largest.as_ref() != Some(path);
    // An order that the content alone determines, however each comes to be read.
    pinned.sort_by_cached_key(|it| (it.journal, is_other(&it.path), it.path.clone()));
    let staging = session.staging();
    let (mut held, mut tasks) = (None, Vec::new());
    for (number, pinned) in pinned.into_iter().enumerate() {
        let target = staging.join(format!("copy-{number}.db"));
        let is_live = matches!(pinned.source, Source::Live(_));
        match pinned.journal {
            Journal::Wal | Journal::Unlocked if is_live => {
                tasks.push(Task { path: pinned.path.clone(), copy: target, source: Some(pinned) });
            }
            Journal::Rollback if !is_other(&pinned.path) => {
                match in_place::hold(pinned, target.clone())? {
                    Place::Live(database) => held = Some((database, target)),
                    Place::Copy(path) => tasks.push(Task { path, copy: target, source: None }),
                }
            }
            _ => {
                let path = copy::copy(pinned, &target)?;
                tasks.push(Task { path, copy: target, source: None });
            }
        }
    }
    let mut records = Vec::new();
    let mut freeing = Freeing::default();
    if let Some((database, target)) = held {
        let attributes = attributes(database.path())?;
        records.push(in_place::archive(*database, request, attributes, draft)?);
        if disk::exists(&target)? {
            freeing.remove("copy-remove", &target)?;
        }
    }
    let mut one = |task: &Task, checking: Checking<'_>, freeing: &mut Freeing| -> Result<()> {
        let first = attributes(&task.path)?;
        records.push(archive_checked(
            &task.copy,
            checking,
            request,
            (task.path.clone(), first),
            draft,
        )?);
        for path in others(&task.path) {
            let attributes = attributes(&path)?;
            records.push(archive_copy(&task.copy, request, (path, attributes), draft)?);
        }
        Ok(freeing.remove("copy-remove", &task.copy)?)
    };
    each_checked(request, tasks, &mut freeing, &mut one)?;
    Ok(records)
}

/// A database that is to be archived from a copy.
struct Task {
    path: StoredPath,
    copy: PathBuf,
    /// From what the copy is made; nothing where it is there already.
    source: Option<Pinned>,
}

/// How many small copies are checked before their turn, so that many of them keep all cores busy.
const AHEAD: usize = 3;
/// What is small: the check of one that is large has all the memory that a check may take.
const SMALL: u64 = 4 << 20;

/// Does something with each copy in turn, while it is checked.
fn each_checked(
    request: &Request<'_>,
    mut tasks: Vec<Task>,
    freeing: &mut Freeing,
    act: &mut dyn FnMut(&Task, Checking<'_>, &mut Freeing) -> Result<()>,
) -> Result<()> {
    let shown: Vec<PathBuf> = tasks.iter().map(|task| task.path.below(request.data)).collect();
    let is_ready = |task: &Task| -> Result<bool> {
        let small = || disk::find(&task.copy).map(|it| it.is_some_and(|it| it.len() <= SMALL));
        Ok(task.source.is_none() && small()?)
    };
    thread::scope(|scope| {
        let mut checks = VecDeque::new();
        for at in 0..tasks.len() {
            if let Some(source) = tasks[at].source.take() {
                // Only one of these copies takes room at a time.
                freeing.wait();
                copy::copy(source, &tasks[at].copy)?;
            }
            loop {
                let next = at + checks.len();
                let starts = checks.is_empty()
                    || next < tasks.len() && checks.len() <= AHEAD && is_ready(&tasks[next])?;
                if !starts {
                    break;
                }
                let connection = store::open_copy(&tasks[next].copy)?;
                checks.push_back(Checking::begin(scope, connection, &shown[next])?);
            }
            let Some(checking) = checks.pop_front() else { continue };
            act(&tasks[at], checking, freeing)?;
        }
        Ok(())
    })
}

/// The largest database that may be archived where it lies: one that is large, of which a writer would be
/// noticed, and which is archived once. Of several, the writers of those that come later would wait longer.
fn largest(
    pinned: &[Pinned],
    is_single: &dyn Fn(&StoredPath) -> bool,
) -> Result<Option<StoredPath>> {
    let mut largest = (in_place::LARGE, None);
    for it in pinned.iter().filter(|it| it.journal == Journal::Rollback && is_single(&it.path)) {
        let length = match &it.source {
            Source::Live(connection) => copy::length(connection, &it.absolute)?,
            Source::Copy(copy) => disk::find(copy)?.map_or(0, |found| found.len()),
        };
        if length >= largest.0 {
            largest = (length, Some(it.path.clone()));
        }
    }
    Ok(largest.1)
}

/// Archives databases that are copies themselves.
///
/// # Errors
/// As of [`archive`].
pub(super) fn archive_copies(
    request: &Request<'_>,
    root: &Path,
    tree: &Tree,
    draft: &mut Draft<'_>,
) -> Result<Vec<DatabaseRecord>> {
    let archive = |(path, found): (&StoredPath, &super::scan::Found)| {
        let copy = path.below(root);
        let attributes = dressed(found, &copy)?;
        archive_copy(&copy, request, (path.clone(), attributes), draft)
    };
    tree.databases.iter().map(archive).collect()
}
