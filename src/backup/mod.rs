//! Taking a snapshot of a data directory: all databases at one instant, then everything else.
//!
//! The caller holds the data directory's lock and has no connection to any database in it.

mod checking;
mod copies;
mod copy;
mod cut;
mod databases;
mod extended;
mod files;
mod found;
mod holes;
mod in_place;
mod many;
mod mounts;
mod opaque;
mod outside;
pub mod point;
pub(crate) mod scan;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use copies::copy_databases;
pub(crate) use copy::copy_connection;

use crate::{
    Error, Result,
    database::{self, SIDE_SUFFIXES},
    disk,
    error::{BackupError, DatabaseError},
    event::{Event, Observer, Work},
    schema::search,
    store::{
        Access, Attributes, Backup, BackupId, Cut, FORMAT, Filter, Manifest, Reason, Session,
        Store, StoredPath,
    },
};
use chrono::{DateTime, Utc};
use cut::Pinned;
use files::Moved;
use opaque::Guard;
use rusqlite::Connection;
use scan::{Scope, Tree};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long writers may be kept waiting for the one instant, unless the project says otherwise.
pub const BARRIER_LIMIT: Duration = Duration::from_secs(2);
/// How often the cut is repeated because new databases appeared during it.
const ATTEMPTS: u32 = 5;

/// What to back up, and everything that the library does not find out on its own.
#[derive(Clone)]
pub struct Request<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// What is left out, by pattern.
    pub excluded: &'a Filter,
    /// Files and folders that are left out wherever they lie; the store itself always is.
    pub left_out: &'a [PathBuf],
    /// Why it is taken.
    pub reason: Reason,
    /// A word for the list.
    pub label: Option<String>,
    /// The time now.
    pub now: DateTime<Utc>,
    /// Three random bytes for the id.
    pub random: [u8; 3],
    /// The machine's name.
    pub host: &'a str,
    /// Git revision of the project, where known.
    pub git_revision: Option<String>,
    /// How long the barrier may take, see [`BARRIER_LIMIT`].
    pub barrier_limit: Duration,
    /// Tells the position of a database from a copy of it; the path is relative to the data
    /// directory.
    pub inspect: &'a dyn Fn(&Connection, &Path) -> Option<String>,
}

/// A backup that now stands for the state of the data directory.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The backup.
    pub backup: Backup,
    /// Whether it was made now.
    pub origin: Origin,
}

/// Where a backup came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It was made now.
    New,
    /// An earlier one has the same content.
    Earlier,
}

/// Bytes that so many backups of this data directory may need, with the reserve for the service.
///
/// # Errors
/// [`BackupError::NoData`]; the system's, with the path.
pub fn needed_space(request: &Request<'_>, store: &Store, backups: u64) -> Result<u64> {
    let left_out = left_out(request, store);
    needed(&scan::scan(scope(request, &left_out))?, store, backups)
}

/// Bytes of everything in a data directory that a backup would hold.
///
/// # Errors
/// [`BackupError::NoData`]; the system's, with the path.
pub fn size_of_data(data: &Path, excluded: &Filter) -> Result<u64> {
    Ok(scan::scan(Scope { data, excluded, left_out: &[] })?.bytes())
}

/// Bytes of the databases in a data directory that a backup would hold.
///
/// # Errors
/// As of [`size_of_data`].
pub fn size_of_databases(data: &Path, excluded: &Filter) -> Result<u64> {
    let tree = scan::scan(Scope { data, excluded, left_out: &[] })?;
    Ok(tree.databases.values().map(scan::Found::len).sum())
}

/// What is mounted inside a data directory, where the system tells.
#[must_use]
pub fn mounts_inside(data: &Path) -> Vec<StoredPath> {
    mounts::inside(data)
}

/// Takes a snapshot, reads it back and publishes it; or refers to an earlier one that is equal.
///
/// # Errors
/// Nothing is left behind: [`crate::error::DatabaseError`] for a database that is locked or
/// damaged, [`crate::error::StoreError::NoSpace`] before anything is written.
pub fn take(request: &Request<'_>, store: &Store, observer: &dyn Observer) -> Result<Taken> {
    let left_out = left_out(request, store);
    let scope = scope(request, &left_out);
    let first_look = scan::scan(scope)?;
    let is_copied = make_room(store, &first_look)?;
    let session = store.session()?;
    let mut notes = outside::notes(request.data, &first_look);
    notes.extend(mounts::notes(request.data, &first_look));
    let staging = is_copied.then(|| session.staging());
    let (tree, pinned, cut) = cut_steadily(request, scope, first_look, staging)?;
    warn_of_cut(&cut, observer);
    let material = Material {
        root: request.data,
        tree,
        databases: Databases::Pinned(pinned),
        cut,
        notes,
        id: BackupId::new(request.now, request.random),
        created: request.now,
        sequence: None,
        twins: Twins::Refer,
    };
    archive(request, store, &session, material, observer)
}

/// Asks for the room of a backup, and says whether there is room for copies of very many databases too. Without
/// it all of them are held open, if the system lets this process.
fn make_room(store: &Store, first_look: &Tree) -> Result<bool> {
    let archive = needed(first_look, store, 1)?;
    let lengths = first_look.databases.values().map(scan::Found::len);
    let copies = many::room(lengths, many::Bounds::of_system().most);
    match store.require_space(archive.saturating_add(copies)) {
        Err(_) if copies > 0 && many::can_hold(first_look.databases.len()) => {
            store.require_space(archive).map(|()| false)
        }
        other => other.map(|()| true),
    }
}

/// What goes into an archive.
struct Material<'a> {
    /// The folder below which it lies.
    root: &'a Path,
    tree: Tree,
    databases: Databases,
    cut: Cut,
    notes: Vec<String>,
    id: BackupId,
    /// When it was cut.
    created: DateTime<Utc>,
    /// Its number, where that was given out with the id.
    sequence: Option<u64>,
    twins: Twins,
}

/// How databases are read.
enum Databases {
    /// As of the instant of the cut, by a copy of each.
    Pinned(Vec<Pinned>),
    /// The files are copies already, and nobody changes them.
    Copies,
}

/// What becomes of an archive whose content an earlier one has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Twins {
    /// The earlier one stands for it.
    Refer,
    /// It is published all the same, because its id was given out.
    Publish,
}

fn archive(
    request: &Request<'_>,
    store: &Store,
    session: &Session<'_>,
    material: Material<'_>,
    observer: &dyn Observer,
) -> Result<Taken> {
    let Material { root, tree, databases, cut, mut notes, id, created, sequence, twins } = material;
    let total_bytes = Some(tree.bytes());
    observer.event(Event::WorkStarted { work: Work::Archive, total_bytes });
    let mut draft = session.draft(&id, observer)?;
    notes.extend_from_slice(&tree.notes);
    for (path, others) in distinct(&tree) {
        notes.extend(others.iter().map(|other| format!("`{other}` is a second name of `{path}`")));
    }
    let is_live = matches!(databases, Databases::Pinned(_));
    let databases = match databases {
        Databases::Pinned(pinned) => {
            databases::archive(request, &tree, pinned, session, &mut draft)?
        }
        Databases::Copies => databases::archive_copies(request, root, &tree, &mut draft)?,
    };
    for record in &databases {
        let path = record.path.to_string();
        for index in &record.facts.stale_indexes {
            observer.event(Event::Warning { text: search::advice(&path, index) });
        }
    }
    let excluded = left_out(request, store);
    let look = || match is_live {
        true => scan::scan_again(scope(request, &excluded), &tree),
        // Nothing is renamed in a copy.
        false => Ok(Tree::default()),
    };
    let mut moved = Moved::new(&look);
    let mut guard = Guard::new(root, request.barrier_limit);
    let out = (&mut draft, &mut notes);
    let files = files::archive((root, created), &tree, (&mut moved, &mut guard), out)?;
    drop(guard);
    // Of many files it takes much memory, and the records have all that is needed.
    drop(tree);
    let content = Manifest::content_of(&databases, &files);
    let own = directory_access(request.data)?;
    let survey = store.survey()?;
    if twins == Twins::Refer
        && let Some(backup) =
            store.find_identical(&content, request.reason, (request.excluded, Some(&own)), &survey)
    {
        return Ok(Taken { backup, origin: Origin::Earlier });
    }
    let next = || store.next_sequence(&survey, request.now);
    let mut manifest = Manifest {
        format: FORMAT,
        id,
        sequence: Some(sequence.map_or_else(next, Ok)?),
        created,
        host: request.host.into(),
        piton_version: env!("CARGO_PKG_VERSION").into(),
        sqlite_version: rusqlite::version().into(),
        reason: request.reason,
        label: request.label.clone(),
        git_revision: request.git_revision.clone(),
        cut,
        excluded: request.excluded.texts(),
        included: request.excluded.included_texts(),
        data_directory: Some(own),
        databases,
        files,
        content,
        notes,
    };
    manifest.format = manifest.oldest_format();
    let written = draft.finish(&manifest)?;
    let (archive_sha256, archive_bytes) = session.read_back(&written, &manifest, observer)?;
    let backup = Backup {
        archive_bytes,
        archive_sha256,
        label: manifest.label.clone(),
        pinned: false,
        verified: request.now,
        damage: None,
        sealed: written.sealed.clone(),
        manifest,
    };
    session.publish(&written, &backup)?;
    let (id, archive_bytes) = (backup.id().to_string(), backup.archive_bytes);
    observer.event(Event::BackupTaken { id, archive_bytes });
    Ok(Taken { backup, origin: Origin::New })
}

/// Mode and owner of a data directory itself, which may be reached through a link.
///
/// # Errors
/// The system's, with the path.
pub(crate) fn directory_access(data: &Path) -> Result<Access> {
    let found = std::fs::metadata(data).map_err(disk::failed("read", data))?;
    let Attributes { mode, user, group, .. } = scan::Found::from(&found).attributes();
    Ok(Access { mode, user, group })
}

fn warn_of_cut(cut: &Cut, observer: &dyn Observer) {
    if let Cut::PerDatabase { reason } = cut {
        let text = format!("the databases are not of one instant: {reason}");
        observer.event(Event::Warning { text });
    }
}

fn left_out(request: &Request<'_>, store: &Store) -> Vec<PathBuf> {
    request.left_out.iter().cloned().chain([store.root().to_path_buf()]).collect()
}

fn scope<'a>(request: &Request<'a>, left_out: &'a [PathBuf]) -> Scope<'a> {
    Scope { data: request.data, excluded: request.excluded, left_out }
}

/// So many archives at the worst ratio of the newest backups, and room for one copy of the largest database.
fn needed(tree: &Tree, store: &Store, backups: u64) -> Result<u64> {
    let bytes = tree.bytes();
    // The worst of the newest: those of one second are told apart by chance.
    let newest = store.summaries()?.map(|(_, it)| it).filter(|it| it.data_bytes > 0).take(3);
    let ratios = newest.map(|it| it.archive_bytes as f64 / it.data_bytes as f64);
    let archive = match ratios.max_by(f64::total_cmp) {
        // A quarter more, since what was added may compress less well.
        Some(ratio) => (bytes as f64 * (ratio * 1.25).clamp(0.1, 1.0)) as u64,
        None => bytes,
    };
    let archives = archive.saturating_mul(backups);
    Ok(archives.saturating_add(tree.largest_database()).saturating_add(store.reserve()))
}

/// The databases of a tree, each by one name: a second name of the same file must not be opened,
/// since its log would be looked for beside that name.
fn distinct(tree: &Tree) -> BTreeMap<StoredPath, Vec<StoredPath>> {
    let mut names: BTreeMap<(u64, u64), Vec<&StoredPath>> = BTreeMap::new();
    for (path, found) in &tree.databases {
        names.entry(found.identity()).or_default().push(path);
    }
    let has_log = |path: &StoredPath| {
        SIDE_SUFFIXES.iter().any(|suffix| tree.side_files.contains_key(&path.with_suffix(suffix)))
    };
    let split = |paths: Vec<&StoredPath>| {
        let main = paths.iter().copied().find(|path| has_log(path)).unwrap_or(paths[0]);
        let others = paths.into_iter().filter(|path| *path != main).cloned().collect();
        (main.clone(), others)
    };
    names.into_values().map(split).collect()
}

/// Cuts, and looks again: a database that appeared or went between look and cut makes it begin
/// anew.
fn cut_steadily(
    request: &Request<'_>,
    scope: Scope<'_>,
    mut before: Tree,
    staging: Option<&Path>,
) -> Result<(Tree, Vec<Pinned>, Cut)> {
    let mut newest = None;
    for _ in 0..ATTEMPTS {
        let paths: Vec<StoredPath> = distinct(&before).into_keys().collect();
        for path in &paths {
            database::require_first_page(&path.below(request.data))?;
        }
        match cut::cut(request.data, &paths, request.barrier_limit, staging) {
            Ok((pinned, cut)) => {
                // Files are listed after the cut, so that no row points to one that is missing.
                let after = scan::scan_steadily(scope, &before)?;
                let differs = |path: &&StoredPath| !before.databases.contains_key(path);
                match after.databases.keys().find(differs) {
                    None if after.databases.len() == before.databases.len() => {
                        return Ok((after, pinned, cut));
                    }
                    appeared => newest = appeared.map(|path| path.below(request.data)),
                }
            }
            Err(Error::Database(DatabaseError::Missing { path })) => newest = Some(path),
            Err(error) => return Err(error),
        }
        // No connection is left, since this look reads the first bytes of files.
        before = scan::scan(scope)?;
    }
    let database = newest.unwrap_or_default();
    Err(BackupError::Restless { data: request.data.into(), database }.into())
}

/// What a manifest says of a path besides its content.
pub(crate) fn dressed(found: &scan::Found, absolute: &Path) -> Result<Attributes> {
    Ok(Attributes { extended: extended::read(absolute)?, ..found.attributes() })
}
