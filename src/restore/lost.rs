//! Saving the rows that a restore takes away, durable before the first of them is gone.
//!
//! One file of SQL for each database that loses rows: the file that was named where it is one, and
//! a folder of that name, with the files under the names of their databases, where there are more.

use super::{
    Request,
    journal::{Action, Area, Journal, What},
    prepare::Contents,
};
use crate::{
    Result,
    backup::scan::Tree,
    difference::{self, Lost, Sides},
    disk,
    error::{Error, RestoreError},
    event::Observer,
    store::{BackupId, StoredPath},
};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

/// What was saved of the rows that a restore took away.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Saved {
    /// The file, or the folder with one file for each database.
    pub path: PathBuf,
    /// By database.
    pub databases: Vec<SavedRows>,
}

/// The rows of one database.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SavedRows {
    /// The database.
    pub database: StoredPath,
    /// The file that puts them back.
    pub file: PathBuf,
    /// How many there are.
    #[serde(flatten)]
    pub lost: Lost,
}

/// What a restore is about to do, and what it is known of the databases.
pub(super) struct Moment<'a> {
    pub(super) area: &'a Area,
    pub(super) journal: &'a Journal,
    pub(super) live: &'a Tree,
    pub(super) damaged: &'a [StoredPath],
    pub(super) safety: Option<&'a BackupId>,
    pub(super) contents: Option<&'a Contents>,
}

/// A database that loses its rows, and where to read both states of it.
struct Pair {
    path: StoredPath,
    live: PathBuf,
    backup: Option<PathBuf>,
}

/// Refuses where the file exists already, or its folder does not.
///
/// # Errors
/// [`RestoreError::SaveTo`].
pub(super) fn require_free(target: &Path) -> Result<()> {
    let refused = |reason: &'static str| RestoreError::SaveTo { path: target.into(), reason };
    match fs::symlink_metadata(target) {
        Ok(_) => Err(refused("it exists already").into()),
        Err(_) if !folder_of(target).is_dir() => Err(refused("its folder does not exist").into()),
        Err(_) => Ok(()),
    }
}

/// Writes the rows and makes them durable; nobody may write to the databases meanwhile.
///
/// # Errors
/// [`crate::error::DatabaseError`]; the system's, with the path. Nothing is left then.
pub(super) fn save(
    request: &Request<'_>,
    moment: &Moment<'_>,
    target: &Path,
    observer: &dyn Observer,
) -> Result<Saved> {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".partial");
    let partial = target.with_file_name(name);
    let copies = moment.area.scratch();
    disk::remove_tree("lost-sweep", &partial)?;
    disk::remove_tree("lost-sweep", &copies)?;
    let saved = disk::create_private_folder("lost-folder", &partial)
        .map_err(Error::from)
        .and_then(|()| disk::create_private_folder("lost-copies", &copies).map_err(Error::from))
        .and_then(|()| copy_open(request, moment, &copies, observer))
        .and_then(|()| write(request, moment, (&partial, &copies), target));
    drop(disk::remove_tree("lost-copies-end", &copies));
    if saved.is_err() {
        discard(&partial);
        discard(target);
    }
    saved
}

/// Removes what was saved, since nothing was taken away after all.
pub(super) fn discard(target: &Path) {
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() => drop(disk::remove_tree("lost-discard", target)),
        Ok(_) => drop(disk::remove_file("lost-discard", target)),
        Err(_) => {}
    }
}

/// An open database cannot be read as a file: the safety backup has the same content.
fn copy_open(
    request: &Request<'_>,
    moment: &Moment<'_>,
    copies: &Path,
    observer: &dyn Observer,
) -> Result<()> {
    let (hot, Some(safety)) = (&moment.journal.hot, moment.safety) else { return Ok(()) };
    if hot.is_empty() {
        return Ok(());
    }
    let target = |path: &StoredPath| {
        let number = hot.iter().position(|it| it == path)?;
        Some(copies.join(format!("{number}.db")))
    };
    request.store.unpack_databases(&request.store.load(safety)?, &target, observer)
}

/// The databases that lose rows, each with the two states of it.
fn pairs(request: &Request<'_>, moment: &Moment<'_>, copies: &Path) -> Vec<Pair> {
    let records = &request.backup.manifest.databases;
    let in_backup: BTreeSet<&StoredPath> = records.iter().map(|record| &record.path).collect();
    let staged =
        |path: &StoredPath| in_backup.contains(path).then(|| path.below(&moment.area.staging()));
    let cold = moment.journal.actions.iter().filter_map(|action| {
        let (path, backup) = match action {
            Action::Place { path, what: What::Database } => (path, staged(path)),
            Action::Displace { path, what: What::Database } => (path, None),
            _ => return None,
        };
        let readable = moment.live.databases.contains_key(path) && !moment.damaged.contains(path);
        let live = path.below(&moment.area.data);
        readable.then(|| Pair { path: path.clone(), live, backup })
    });
    let hot = moment.journal.hot.iter().enumerate().map(|(number, path)| Pair {
        path: path.clone(),
        live: copies.join(format!("{number}.db")),
        backup: staged(path),
    });
    // What equals the backup loses nothing, and need not be read.
    let equal = |pair: &Pair| {
        let now = moment.contents.and_then(|contents| contents.get(&pair.path));
        let then = records.iter().find(|record| record.path == pair.path);
        pair.backup.is_some() && now.is_some() && now == then.map(|record| &record.sha256)
    };
    let mut pairs: Vec<Pair> = cold.chain(hot).filter(|pair| !equal(pair)).collect();
    pairs.sort_by(|one, other| one.path.cmp(&other.path));
    pairs
}

fn write(
    request: &Request<'_>,
    moment: &Moment<'_>,
    (partial, copies): (&Path, &Path),
    target: &Path,
) -> Result<Saved> {
    let mut found: Vec<(StoredPath, PathBuf, Lost)> = Vec::new();
    for (number, pair) in pairs(request, moment, copies).into_iter().enumerate() {
        let file = partial.join(format!("{number}.sql"));
        let heading = heading(request, &pair.path);
        let sides =
            Sides { shown: pair.path.as_path(), backup: pair.backup.as_deref(), live: &pair.live };
        let lost = write_file(&file, |out| difference::write_lost(&sides, &heading, (out, &file)))?;
        match lost.is_empty() {
            true => disk::remove_file("lost-empty", &file)?,
            false => found.push((pair.path, file, lost)),
        }
    }
    let saved = |path: &StoredPath, file: PathBuf, lost: &Lost| SavedRows {
        database: path.clone(),
        file,
        lost: lost.clone(),
    };
    let mut databases = Vec::new();
    if let [(path, file, lost)] = found.as_slice() {
        disk::rename("lost-name", file, target)?;
        databases.push(saved(path, target.into(), lost));
    } else if found.is_empty() {
        let file = partial.join("nothing.sql");
        let text = format!("-- The restore of backup {} took no row away.\n", request.backup.id());
        write_file(&file, |out| {
            Ok(out.write_all(text.as_bytes()).map_err(disk::failed("write", &file))?)
        })?;
        disk::rename("lost-name-nothing", &file, target)?;
    } else {
        for (path, file, lost) in &found {
            let name = path.with_suffix(".sql");
            let whole = name.below(partial);
            disk::create_private_folders("lost-folder", folder_of(&whole))?;
            disk::rename("lost-name-each", file, &whole)?;
            disk::sync_parent("lost-sync-each", &whole)?;
            databases.push(saved(path, name.below(target), lost));
        }
        disk::sync_folder("lost-sync-all", partial)?;
        disk::rename("lost-name-all", partial, target)?;
    }
    disk::remove_tree("lost-end", partial)?;
    disk::sync_folder("lost-sync-name", folder_of(target))?;
    Ok(Saved { path: target.into(), databases })
}

/// Writes one private file, and syncs it.
fn write_file<T>(file: &Path, act: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let mut out = BufWriter::new(disk::create_private_file("lost-file", file)?);
    let result = act(&mut out)?;
    let written = out.into_inner().map_err(|error| error.into_error());
    let written = written.map_err(disk::failed("write", file))?;
    disk::sync_file("lost-sync", file, &written)?;
    Ok(result)
}

fn heading(request: &Request<'_>, path: &StoredPath) -> String {
    let database = path.below(request.data);
    // A name with a line end would end the comment.
    let database = database.display().to_string().replace(['\n', '\r'], "?");
    let (id, now) = (request.backup.id(), request.now.format("%Y-%m-%d %H:%M:%S UTC"));
    format!(
        "-- The rows of `{database}` that the restore of backup {id} took away, {now}.\n\
         -- To put them back:  sqlite3 -bail {database} < this file\n\
         -- What is there by then is never overwritten. A row whose key is taken stops it, and\n\
         -- nothing is put back; without -bail such rows are reported and the others put back.\n\
         -- Triggers fire as for every other change; rows of virtual tables are not in here.\n"
    )
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
