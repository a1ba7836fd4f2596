//! Unpacking into a folder that belongs to piton alone, every file and folder synced.
//!
//! It only ever creates: a name that exists is an error, so nothing can be followed or overwritten.

use super::{Attributes, Backup, FileKind, FileRecord, Item, StoredPath, reader};
use crate::{
    Result,
    disk::{self, failed},
    event::{Observer, Work},
};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

/// Unpacks the wanted entries; folders get their attributes last, children first.
///
/// The archive is read to its end whatever is wanted, so that a damaged one is found.
///
/// # Errors
/// Those of [`reader::read`]; [`crate::error::DiskError`] where the folder cannot be written.
pub(crate) fn extract(
    source: reader::Source<'_>,
    backup: &Backup,
    root: &Path,
    wanted: &dyn Fn(&StoredPath) -> bool,
    folders: Folders,
    observer: &dyn Observer,
) -> Result<()> {
    let mut sink = Unpack { root: root.into(), wanted, folders: Vec::new() };
    let found = reader::read(source, &backup.manifest, &mut sink, (Work::Unpack, observer))?;
    super::verify::compare_archive(source.archive, backup, found)?;
    for (path, attributes) in sink.folders.iter().rev() {
        if folders == Folders::AsListed {
            dress(path, attributes, Bare::Folder)?;
        }
        disk::sync_folder("unpack-sync-folder", path)?;
    }
    Ok(disk::sync_folder("unpack-sync-folder", root)?)
}

/// What becomes of the attributes of folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folders {
    /// They get those that the manifest lists.
    AsListed,
    /// They stay private and writable, because their content is going to be moved out of them.
    Private,
}

/// What a path that gets its attributes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    /// An ordinary file or database.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, which has no mode.
    Symlink,
}

/// Gives a path its mode, its time and, where this process is root, its owner.
///
/// # Errors
/// The system's, with the path.
pub(crate) fn dress(path: &Path, attributes: &Attributes, bare: Bare) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        disk::set_owner("dress-owner", path, attributes.user, attributes.group)?;
    }
    match bare {
        // A file of data has no use for set-user-id, and an archive must not bring one.
        Bare::File => disk::set_mode("dress-mode", path, attributes.mode & 0o777)?,
        Bare::Folder => disk::set_mode("dress-mode", path, attributes.mode & 0o7777)?,
        Bare::Symlink => {}
    }
    let modified = attributes.modified;
    let nanoseconds = modified.timestamp_subsec_nanos().min(999_999_999);
    disk::set_modified("dress-time", path, modified.timestamp(), nanoseconds)?;
    Ok(())
}

struct Unpack<'a> {
    root: PathBuf,
    wanted: &'a dyn Fn(&StoredPath) -> bool,
    folders: Vec<(PathBuf, Attributes)>,
}

impl reader::Sink for Unpack<'_> {
    fn take(&mut self, item: Item<'_>, content: &mut reader::Content<'_>) -> Result<()> {
        let (path, attributes) = (item.path(), item.attributes());
        if !(self.wanted)(path) {
            return Ok(());
        }
        let target = path.below(&self.root);
        self.make_parents(path)?;
        match item {
            Item::File(FileRecord { kind: FileKind::Folder, .. }) => {
                disk::create_private_folders("unpack-folder", &target)?;
                self.folders.push((target, attributes.clone()));
            }
            Item::File(FileRecord { kind: FileKind::Symlink { target: to }, .. }) => {
                disk::symlink("unpack-link", Path::new(&to.0), &target)?;
                dress(&target, attributes, Bare::Symlink)?;
            }
            Item::Database(_) | Item::File(_) => {
                let file = write_file(&target, content)?;
                dress(&target, attributes, Bare::File)?;
                disk::sync_file("unpack-sync", &target, &file)?;
            }
        }
        Ok(())
    }
}

impl Unpack<'_> {
    /// Databases lie before the folders in the archive, and a filter may leave folders out.
    fn make_parents(&self, path: &StoredPath) -> Result<()> {
        match path.parent() {
            Some(parent) => {
                let folder = parent.below(&self.root);
                Ok(disk::create_private_folders("unpack-folder", &folder)?)
            }
            None => Ok(()),
        }
    }
}

/// Writes content to a new private file.
///
/// # Errors
/// The system's, with the path; the archive's.
pub(crate) fn write_file(target: &Path, content: &mut reader::Content<'_>) -> Result<File> {
    let mut file = disk::create_private_file("unpack-file", target)?;
    while let Some(piece) = content.next()? {
        file.write_all(piece).map_err(failed("write", target))?;
    }
    Ok(file)
}
