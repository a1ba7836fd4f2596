//! Unpacking into a folder that belongs to piton alone, every file and folder synced.
//!
//! It only ever creates: a name that exists is an error, so nothing can be followed or overwritten.

use super::{Attributes, Backup, FileKind, FileRecord, Item, StoredPath, reader};
use crate::{
    Result,
    disk::{self, failed},
    event::{Event, Observer, Work},
};
use std::{
    fs::File,
    io::ErrorKind,
    os::unix::fs::FileExt,
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
    let mut sink = Unpack { root: root.into(), wanted, folders: Vec::new(), missing: Vec::new() };
    let found = reader::read(source, &backup.manifest, &mut sink, (Work::Unpack, observer))?;
    super::verify::compare_archive(source.archive, backup, found)?;
    for (path, attributes) in sink.folders.iter().rev() {
        if folders == Folders::AsListed {
            sink.missing.extend(dress(path, attributes, Bare::Folder)?);
        }
        disk::sync_folder("unpack-sync-folder", path)?;
    }
    if let Some(first) = sink.missing.first() {
        let text = match sink.missing.len() {
            1 => first.clone(),
            count => format!("{first} (and {} more extended attributes)", count - 1),
        };
        observer.event(Event::Warning { text });
    }
    Ok(disk::sync_folder("unpack-sync-root", root)?)
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

/// Gives a path its mode, its time, its extended attributes and, where this process is root, its
/// owner. Returns a sentence for each extended attribute that this file system does not have or
/// this user may not set: that is no reason to do without the data.
///
/// # Errors
/// The system's, with the path.
pub(crate) fn dress(path: &Path, attributes: &Attributes, bare: Bare) -> Result<Vec<String>> {
    if rustix::process::geteuid().is_root() {
        disk::set_owner("dress-owner", path, attributes.user, attributes.group)?;
    }
    let mut missing = Vec::new();
    // Before the mode, which may forbid it, and which says the same as an access control list.
    for (name, value) in attributes.extended.iter() {
        match disk::set_extended("dress-extended", path, name, value) {
            Err(error)
                if matches!(
                    error.source.kind(),
                    ErrorKind::Unsupported | ErrorKind::PermissionDenied
                ) =>
            {
                missing.push(format!(
                    "`{name}` of `{}` is not set: {}",
                    path.display(),
                    error.source
                ));
            }
            other => other?,
        }
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
    Ok(missing)
}

struct Unpack<'a> {
    root: PathBuf,
    wanted: &'a dyn Fn(&StoredPath) -> bool,
    folders: Vec<(PathBuf, Attributes)>,
    /// The extended attributes that could not be set.
    missing: Vec<String>,
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
                self.missing.extend(dress(&target, attributes, Bare::Symlink)?);
            }
            Item::Database(_) | Item::File(_) => {
                let file = write_file(&target, content)?;
                self.missing.extend(dress(&target, attributes, Bare::File)?);
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
    let file = disk::create_private_file("unpack-file", target)?;
    let mut end = 0;
    while let Some((offset, piece)) = content.next()? {
        file.write_all_at(piece, offset).map_err(failed("write", target))?;
        end = offset + piece.len() as u64;
    }
    if end < content.size() {
        // It ends with a hole.
        file.set_len(content.size()).map_err(failed("write", target))?;
    }
    Ok(file)
}
