//! Putting a backup back: wholly, or not at all, whatever interrupts it.
//!
//! The order is what makes it safe: verify and unpack beside the data, see that nobody holds a
//! database, back up what is there, fold the old logs, write the journal, swap, compare, end the
//! journal. Until the journal is written nothing live has changed; from then on [`recover`] finishes
//! or reverts it. The caller holds the data directory's lock and has no connection to a database.

mod arrange;
mod carry;
mod directory;
mod fold;
mod hold;
mod holders;
mod hot;
mod hot_note;
mod journal;
mod logs;
mod losses;
mod lost;
mod moves;
mod pair;
mod prepare;
mod preview;
mod raw;
mod recovery;
mod same;
mod second_name;
mod seen;
mod table;
#[cfg(test)]
mod tests;
mod timings;
mod transaction;
mod undo;

pub use carry::carry_out;
pub use holders::{View, holders_of, open_databases};
pub use hot_note::{require_known, require_whole};
pub use journal::{AccessChange, Direction};
pub use losses::count_losses;
pub use lost::{Saved, SavedRows};
pub use preview::{Change, DatabaseChange, Preview, Rows, plan};
pub use recovery::{Recovered, is_interrupted, needed_backups, recover};
pub use seen::{Footprint, Seen};
pub use table::{
    Change as TableFate, Request as TablesRequest, TableChange, Tables, TablesPreview,
    chosen_tables, preview_tables, restore_tables,
};
pub use timings::Timings;
pub use undo::{LastRestore, Undo, Way, last, paths_to_undo, plan_undo, undo};

use crate::{
    Result,
    backup::{self, scan::Tree},
    disk,
    error::{DiskError, RestoreError},
    event::Observer,
    store::{Backup, BackupId, Filter, Folders, Item, Store, StoredPath},
};
use chrono::{DateTime, Utc};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What to put back, and where.
#[derive(Clone)]
pub struct Request<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// Where the backup lies.
    pub store: &'a Store,
    /// The backup.
    pub backup: &'a Backup,
    /// Only what these patterns mean; with none, everything.
    pub only: &'a Filter,
    /// What is left alone, besides what the backup itself left out.
    pub excluded: &'a Filter,
    /// Files and folders that are left alone wherever they lie; the store itself always is.
    pub left_out: &'a [PathBuf],
    /// What to do about open databases.
    pub gate: Gate,
    /// What the preview has seen, where there was one: the restore stops if that has changed.
    pub seen: Option<&'a Seen>,
    /// Where the rows that get lost are saved as SQL.
    pub save_lost: Option<&'a Path>,
    /// The backup whose restore this undoes, where it is an undo.
    pub undoes: Option<&'a BackupId>,
    /// How to back up the present state first; nothing where it is worth nothing.
    pub safety: Option<&'a backup::Request<'a>>,
    /// The time now.
    pub now: DateTime<Utc>,
    /// Three random bytes, which with the time name the undo area.
    pub random: [u8; 3],
}

/// What to do about databases that a process holds open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Refuse, and name the process.
    Refuse,
    /// Write into the open databases: atomic for each of them, not over several.
    Hot,
}

/// What a restore did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Restored {
    /// The backup that was put back, or whose restore was undone.
    pub backup: BackupId,
    /// The backup of the state before.
    pub safety: Option<BackupId>,
    /// Where the replaced files are.
    pub undo: PathBuf,
    /// How many files, links and databases were put in place.
    pub placed: usize,
    /// What was saved of the rows that it took away.
    pub saved: Option<Saved>,
    /// What the backup does not have and was moved to the undo area.
    pub displaced: Vec<StoredPath>,
    /// Live databases that were damaged; they are in the undo area as they were.
    pub damaged: Vec<StoredPath>,
    /// Databases that were written to while a process had them open.
    pub hot: Vec<StoredPath>,
    /// What belongs to another user or group than in the backup, because only root can set that;
    /// `.` is the data directory itself.
    pub not_owned: Vec<PathBuf>,
    /// How long its parts took.
    pub timings: Timings,
}

/// Unpacks a backup into a folder that is empty or does not exist; it appears there as a whole.
///
/// # Errors
/// [`RestoreError::NotEmpty`], [`RestoreError::NothingMatches`];
/// [`crate::error::StoreError`] where the backup is damaged.
pub fn to_directory(
    store: &Store,
    backup: &Backup,
    folder: &Path,
    only: &Filter,
    observer: &dyn Observer,
) -> Result<()> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => return Err(RestoreError::NotEmpty { path: folder.into() }.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(disk::failed("read the folder", folder)(error).into()),
    }
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    disk::create_folders("look-parent", parent)?;
    require_space(parent, backup.manifest.data_bytes())?;
    let mut name = std::ffi::OsString::from(".");
    name.push(folder.file_name().unwrap_or_default());
    name.push(".partial");
    let partial = parent.join(name);
    disk::remove_tree("look-sweep", &partial)?;
    disk::create_private_folder("look-folder", &partial)?;
    let wanted = |path: &StoredPath| only.is_empty() || only.matches(path);
    require_match(backup, only, &Tree::default())?;
    let unpacked = store
        .extract(backup, &partial, &wanted, Folders::AsListed, observer)
        // Renaming over an empty folder replaces it, and fails if it is no longer empty.
        .and_then(|()| Ok(disk::rename("look-rename", &partial, folder)?));
    if unpacked.is_err() {
        drop(disk::remove_tree("look-discard", &partial));
    }
    unpacked?;
    Ok(disk::sync_folder("look-sync", parent)?)
}

/// The entries to put back.
fn selected<'a>(request: &Request<'a>, excluded: &Filter) -> Vec<Item<'a>> {
    let wanted = |path: &StoredPath| {
        (request.only.is_empty() || request.only.matches(path)) && !excluded.matches(path)
    };
    request.backup.manifest.items().filter(|item| wanted(item.path())).collect()
}

/// What is excluded now, and what was when the backup was taken: neither is touched.
fn excluded(request: &Request<'_>) -> Result<Filter> {
    Ok(request.excluded.or(&request.backup.manifest.left_out()?))
}

fn left_out(request: &Request<'_>) -> Vec<PathBuf> {
    request.left_out.iter().cloned().chain([request.store.root().to_path_buf()]).collect()
}

/// Refuses where nothing in the backup is meant, and a pattern that means nothing there or in the live
/// data: whoever typed it meant something.
fn require_match(backup: &Backup, only: &Filter, live: &Tree) -> Result<()> {
    let listed: Vec<&StoredPath> = backup.manifest.items().map(Item::path).collect();
    let any = only.is_empty() || listed.iter().any(|path| only.matches(path));
    let all = listed.iter().copied().chain(live.paths());
    let Some(pattern) = only.unmatched(all).or((!any).then_some("")) else { return Ok(()) };
    let pattern = if pattern.is_empty() { only.texts().join(", ") } else { pattern.into() };
    Err(RestoreError::NothingMatches { backup: backup.id().to_string(), pattern }.into())
}

/// What a restore of so many bytes needs beside the live data, in bytes: what is unpacked, and a reserve.
#[must_use]
pub const fn room_for(bytes: u64) -> u64 {
    const RESERVE: u64 = 16 << 20;
    bytes.saturating_add(RESERVE)
}

fn require_space(folder: &Path, bytes: u64) -> Result<()> {
    let needed = room_for(bytes);
    let free = disk::free_space(folder)?;
    if free < needed {
        let path = folder.into();
        return Err(crate::error::StoreError::NoSpace { path, free, needed }.into());
    }
    Ok(())
}

/// Where a parent is a file, a link or missing, the path is as absent as where only its name is.
fn is_absent(error: &DiskError) -> bool {
    matches!(error.source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.source.raw_os_error() == Some(libc::ELOOP)
}
