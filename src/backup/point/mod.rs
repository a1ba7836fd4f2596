//! The rollback point of a deploy: what the data directory held when its service had stopped, had
//! without keeping the service down for as long as an archive takes.
//!
//! [`prepare`] makes a second directory beside the backups while the service runs, and the first
//! backup from it. When the service has stopped, [`take`] brings over what has changed since, which
//! proves byte by byte that the databases are equal. [`archive`] makes the verified backup of it,
//! when the service runs again or when it has to be put back. Where a copy cannot stand for the
//! directory (no room, attributes that cannot be set here), there is none, and the caller takes an
//! ordinary backup instead.

mod note;
mod pages;
mod refresh;
mod replica;
#[cfg(test)]
mod tests;

use super::opaque::Guard;
use super::{
    BackupId, Databases, Material, Origin, Request, Scope, Taken, Tree, Twins, archive as pack,
    copy, cut_steadily, distinct, left_out, needed, outside, scan, scope, warn_of_cut,
};
use crate::{
    Error, Result, disk,
    error::StoreError,
    event::{self, Event, Observer},
    store::{Cut, POINT_NAME, Session, Store},
};
use note::{Note, State};
use replica::{Replica, Sight, Sights, Sync};
use std::path::{Path, PathBuf};

/// Takes a backup beside a running service, as [`super::take`] does, and leaves a copy by which
/// [`take`] is quick; without one, where it says so.
///
/// # Errors
/// Those of [`super::take`].
pub fn prepare(request: &Request<'_>, store: &Store, observer: &dyn Observer) -> Result<Taken> {
    discard(store)?;
    let without = |reason: String| {
        let text = format!("{reason}: the service will stay down while the backup is made");
        observer.event(Event::Warning { text });
        super::take(request, store, observer)
    };
    let left_out = left_out(request, store);
    let scope = scope(request, &left_out);
    let first_look = scan::scan(scope)?;
    let archives = needed(&first_look, store, 1)?;
    store.require_space(archives)?;
    // The copy, this backup, and that of the rollback point.
    let all = archives.saturating_mul(2).saturating_add(first_look.bytes());
    match store.require_space(all) {
        Err(Error::Store(StoreError::NoSpace { free, needed, .. })) => {
            let (free, needed) = (free >> 20, needed >> 20);
            return without(format!("no room for a copy ({needed} MiB needed, {free} MiB free)"));
        }
        other => other?,
    }
    let session = store.session()?;
    let root = root(store);
    disk::create_private_folder("point-folder", &folder(store))?;
    disk::create_private_folder("point-folder", &root)?;
    let replica = Replica { live: request.data, root: &root };
    let places = (&replica, session.staging());
    let copied = copy_beside(request, scope, first_look, places, observer)?;
    if let Some(path) = replica.first_unlike(&copied.tree)? {
        drop(session);
        discard(store)?;
        return without(format!("`{path}` cannot be copied with its owner and attributes"));
    }
    warn_of_cut(&copied.cut, observer);
    disk::sync_file_system("point-sync-all", &root)?;
    note::write_sights(&folder(store), &copied.sights)?;
    let Copied { cut, notes, .. } = copied;
    let id = BackupId::new(request.now, request.random);
    let mut note = Note::of(request, cut, notes);
    let taken = pack_copy((request, store, &session), &note, &id, Twins::Refer, observer)?;
    note.state = State::Beside { backup: taken.backup.id().clone() };
    note::write(&folder(store), &note)?;
    Ok(taken)
}

/// Makes the copy equal to the data directory, whose service has stopped; gives the id of the
/// backup that stands for it, or that [`archive`] will make. Nothing where there is no copy to go
/// by, or where somebody still uses a database.
///
/// # Errors
/// The system's, with the path; the copy may be half of each then, and is no rollback point.
pub fn take(request: &Request<'_>, store: &Store) -> Result<Option<BackupId>> {
    let Some(note) = note::read(&folder(store))? else { return Ok(None) };
    if !note.is_of(request) {
        return Ok(None);
    }
    let _session = store.session()?;
    refresh::refresh(request, store, note)
}

/// Makes the backup of a rollback point, verified, and gives it; nothing where none of this id
/// waits for it.
///
/// # Errors
/// Those of [`super::take`]; the rollback point stays.
pub fn archive(
    request: &Request<'_>,
    store: &Store,
    id: &BackupId,
    observer: &dyn Observer,
) -> Result<Option<Taken>> {
    let note = note::read(&folder(store))?.filter(|note| note.waits(id));
    let Some(note) = note else { return Ok(None) };
    let session = store.session()?;
    let packed = (request, store, &session);
    pack_copy(packed, &note, id, Twins::Publish, observer).map(Some)
}

/// Whether a rollback point of this id waits for its archive.
///
/// # Errors
/// The system's, with the path.
pub fn is_waiting(store: &Store, id: &BackupId) -> Result<bool> {
    Ok(note::read(&folder(store))?.is_some_and(|note| note.waits(id)))
}

/// Removes whatever there is but the backups themselves.
///
/// # Errors
/// The system's, with the path.
pub fn discard(store: &Store) -> Result<()> {
    let folder = folder(store);
    // First of all, so that half a copy is never taken for a whole one.
    note::remove(&folder)?;
    Ok(disk::remove_tree("point-discard", &folder)?)
}

fn folder(store: &Store) -> PathBuf {
    store.root().join(POINT_NAME)
}

fn root(store: &Store) -> PathBuf {
    folder(store).join("data")
}

/// What was copied beside a running service.
struct Copied {
    tree: Tree,
    cut: Cut,
    notes: Vec<String>,
    sights: Sights,
}

fn copy_beside(
    request: &Request<'_>,
    scope: Scope<'_>,
    first_look: Tree,
    (replica, staging): (&Replica<'_>, &Path),
    observer: &dyn Observer,
) -> Result<Copied> {
    let mut notes = outside::notes(request.data, &first_look);
    let (mut tree, mut pinned, cut) = cut_steadily(request, scope, first_look, Some(staging))?;
    notes.append(&mut tree.notes);
    let names = distinct(&tree);
    // Those first whose writers wait for it.
    pinned.sort_by_key(|pinned| pinned.journal);
    for source in pinned {
        event::go_on(observer)?;
        let target = replica.place(&source.path)?;
        let path = copy::copy(source, &target)?;
        for other in names.get(&path).into_iter().flatten() {
            disk::hard_link("point-second-name", &target, &replica.place(other)?)?;
        }
    }
    for (path, found) in &tree.databases {
        // Before the rest: the service's commits would wait for all of it at once.
        disk::sync_steadily("point-steady", &path.below(replica.root))?;
        replica.dress(path, found)?;
    }
    let mut sights = Sights::new();
    let mut guard = Guard::new(request.data, request.barrier_limit);
    for path in tree.files.keys() {
        event::go_on(observer)?;
        notes.extend(guard.step(&tree, path)?);
        if let Some(sight) = replica.copy_file(path, Sync::Later)? {
            sights.insert(path.clone(), sight);
        }
    }
    drop(guard);
    for (path, found) in &tree.symlinks {
        replica.link(path, found)?;
    }
    for path in tree.folders.keys() {
        let folder = replica.place(path)?;
        disk::create_private_folders("point-folder", &folder)?;
    }
    for (path, found) in tree.folders.iter().rev() {
        replica.dress(path, found)?;
    }
    // What changed while it was copied is copied again when the service has stopped.
    let still = |path: &crate::store::StoredPath, sight: &mut Sight| {
        sight.is_settled(request.now)
            && disk::find(&path.below(request.data))
                .is_ok_and(|found| found.is_some_and(|it| Sight::of(&(&it).into()) == *sight))
    };
    sights.retain(still);
    Ok(Copied { tree, cut, notes, sights })
}

/// Archives the copy.
fn pack_copy(
    (request, store, session): (&Request<'_>, &Store, &Session<'_>),
    note: &Note,
    id: &BackupId,
    twins: Twins,
    observer: &dyn Observer,
) -> Result<Taken> {
    let root = root(store);
    let tree = Replica { live: request.data, root: &root }.look()?;
    let material = Material {
        root: &root,
        tree,
        databases: Databases::Copies,
        cut: note.cut.clone(),
        notes: note.notes.clone(),
        id: id.clone(),
        created: note.taken,
        sequence: note.sequence,
        twins,
    };
    let taken = pack(request, store, session, material, observer)?;
    debug_assert!(taken.origin == Origin::New || twins == Twins::Refer);
    Ok(taken)
}

/// The path of something in the folder of a rollback point.
fn beside(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}
