//! The single steps of a transaction, each of which may find that it was done before.

use crate::{
    Result,
    database::side_file,
    disk,
    store::{Attributes, Bare, dress},
};
use std::{
    collections::BTreeSet,
    fs::Metadata,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Moves an entry if it is there; it may have been moved before an interruption, and a folder may
/// have its name by now.
pub(super) fn move_entry(point: &'static str, from: &Path, to: &Path) -> Result<()> {
    let Some(found) = disk::find(from)?.filter(|found| !found.is_dir()) else { return Ok(()) };
    // A power cut may have left both names, and a rename would too.
    match disk::find(to)? {
        Some(there) if identity(&there) == identity(&found) => Ok(disk::remove_file(point, from)?),
        _ => Ok(disk::rename(point, from, to)?),
    }
}

/// A folder that is not empty has something that is excluded, or came later: it stays. So does a
/// file that has its name by now, and a folder on which something has been mounted.
pub(super) fn remove_if_empty(point: &'static str, path: &Path) -> Result<()> {
    match disk::remove_empty_folder(point, path) {
        Err(error)
            if matches!(
                error.source.kind(),
                ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory | ErrorKind::ResourceBusy
            ) =>
        {
            Ok(())
        }
        other => Ok(other?),
    }
}

pub(super) fn dress_folder(path: &Path, attributes: &Attributes) -> Result<()> {
    match disk::find(path)? {
        // What cannot be set here was said when the folder was unpacked.
        Some(found) if found.is_dir() => dress(path, attributes, Bare::Folder).map(drop),
        _ => Ok(()),
    }
}

/// A name beside one that is taken; nothing where what is to be kept has one already, from before an
/// interruption.
pub(super) fn later_name(
    path: &Path,
    is_kept: impl Fn(&Path) -> Result<bool>,
) -> Result<Option<PathBuf>> {
    let mut number = 2_u32;
    loop {
        let candidate = side_file(path, &format!("~{number}"));
        match disk::find(&candidate)? {
            None => return Ok(Some(candidate)),
            Some(_) if is_kept(&candidate)? => return Ok(None),
            Some(_) => number += 1,
        }
    }
}

pub(super) fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

pub(super) fn parent(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Syncs folders, and all that are above them up to the private folder.
pub(super) fn sync_up_to(
    point: &'static str,
    private: &Path,
    folders: BTreeSet<PathBuf>,
) -> Result<()> {
    let mut all = BTreeSet::new();
    for folder in &folders {
        let above = folder.ancestors().take_while(|it| it.starts_with(private));
        all.extend(above.map(Path::to_path_buf));
    }
    all.iter().try_for_each(|folder| Ok(disk::sync_folder(point, folder)?))
}
