//! Archiving the databases of a data directory, those first whose writers wait for it.

use super::{
    Pinned, Request, Tree,
    checking::archive_copy,
    copy,
    cut::{Journal, Source},
    distinct, dressed,
    in_place::{self, Place},
};
use crate::{
    Error, Result,
    disk::{self, Freeing},
    store::{Attributes, DatabaseRecord, Draft, Session, StoredPath},
};
use std::path::{Path, PathBuf};

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
    let (mut held, mut copied, mut waiting) = (None, Vec::new(), Vec::new());
    for (number, source) in pinned.into_iter().enumerate() {
        let target = staging.join(format!("copy-{number}.db"));
        match source.journal {
            Journal::Wal | Journal::Unlocked => waiting.push((source, target)),
            Journal::Rollback if !is_other(&source.path) => {
                match in_place::hold(source, target.clone())? {
                    Place::Live(database) => held = Some((database, target)),
                    Place::Copy(path) => copied.push((path, target)),
                }
            }
            Journal::Rollback => copied.push((copy::copy(source, &target)?, target)),
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
    let mut archive = |path: StoredPath, copy: PathBuf, freeing: &mut Freeing| -> Result<()> {
        let others = others(&path);
        for path in [path].into_iter().chain(others) {
            let attributes = attributes(&path)?;
            records.push(archive_copy(&copy, request, (path, attributes), draft)?);
        }
        Ok(freeing.remove("copy-remove", &copy)?)
    };
    copied.into_iter().try_for_each(|(path, copy)| archive(path, copy, &mut freeing))?;
    for (source, target) in waiting {
        // Only one of these copies takes room at a time.
        freeing.wait();
        archive(copy::copy(source, &target)?, target, &mut freeing)?;
    }
    Ok(records)
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
