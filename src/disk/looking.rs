//! Looking at the file system; nothing is changed.

use super::{
    Result,
    confined::{reach, reach_itself},
    failed,
};
use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
};

/// Which mount a path belongs to, where the kernel tells: one file system can be mounted in several
/// places, and nothing can be renamed from one of them to another.
///
/// # Errors
/// The system's, with the path.
pub fn mount_of(path: &Path) -> Result<Option<u64>> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    let found = reach(path)
        .and_then(|path| Ok(statx(CWD, &*path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID)?));
    let found = found.map_err(failed("read", path))?;
    let told = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Ok(told.then_some(found.stx_mnt_id))
}

/// Whether something has this name; a link counts as what it leads to.
///
/// `Path::exists` takes a path that cannot be looked at for one that is not there. What is decided
/// by that is whether a backup is taken, and which file is the old one.
///
/// # Errors
/// The system's, with the path.
pub fn exists(path: &Path) -> Result<bool> {
    Ok(look(path, metadata(path))?.is_some())
}

/// Whether a folder has this name.
///
/// # Errors
/// The system's, with the path.
pub fn is_folder(path: &Path) -> Result<bool> {
    Ok(look(path, metadata(path))?.is_some_and(|found| found.is_dir()))
}

/// Whether an ordinary file has this name, or what it leads to is one.
///
/// # Errors
/// The system's, with the path.
pub fn is_file(path: &Path) -> Result<bool> {
    Ok(look(path, metadata(path))?.is_some_and(|found| found.is_file()))
}

/// What has this name, itself and not what it leads to; nothing where the name is not there. Where no
/// link on the way is followed, nothing is there below one.
///
/// # Errors
/// The system's, with the path.
pub fn find(path: &Path) -> Result<Option<Metadata>> {
    match reach(path) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        reached => look(path, reached.and_then(fs::symlink_metadata)),
    }
}

/// The names in a folder; nothing where there is no folder of this name.
///
/// # Errors
/// The system's, with the path.
pub fn entries(folder: &Path) -> Result<Option<Vec<OsString>>> {
    let listed = reach_itself(folder)
        .and_then(fs::read_dir)
        .and_then(|listing| listing.map(|entry| Ok(entry?.file_name())).collect());
    match listed {
        Ok(names) => Ok(Some(names)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(failed("read the folder", folder)(error)),
    }
}

/// Where a parent is a file or missing, the path is as absent as where only its name is.
fn look(path: &Path, found: io::Result<Metadata>) -> Result<Option<Metadata>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Bytes that an unprivileged process may still write to the file system of a path.
///
/// # Errors
/// The system's, with the path.
pub fn free_space(path: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(path)
        .map_err(|error| failed("read the free space of", path)(error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of a file, or of all files below a folder; links count as themselves.
///
/// # Errors
/// The system's, with the path.
pub fn size_of_tree(path: &Path) -> Result<u64> {
    fs_extra::dir::get_size(path).map_err(|error| {
        let source = match error.kind {
            fs_extra::error::ErrorKind::Io(source) => source,
            _ => io::Error::other(error.to_string()),
        };
        failed("measure", path)(source)
    })
}

/// What a path leads to. Where another user could have made a link, it is the link itself.
fn metadata(path: &Path) -> io::Result<Metadata> {
    let path = reach(path)?;
    if path.is_confined() { fs::symlink_metadata(path) } else { fs::metadata(path) }
}

/// Where a link leads.
///
/// # Errors
/// The system's, with the path.
pub fn read_link(path: &Path) -> Result<PathBuf> {
    reach(path).and_then(fs::read_link).map_err(failed("read the link", path))
}

/// Reaches a path for one step that this module does not know, which must not follow a link at its
/// end.
///
/// # Errors
/// The system's, with the path.
pub fn reached(path: &Path) -> Result<super::Reached> {
    reach(path).map_err(failed("read", path))
}

#[cfg(test)]
mod tests {
    use super::{exists, find, is_folder};

    #[test]
    fn what_cannot_be_looked_at_is_not_absent() {
        let folder = tempfile::tempdir().unwrap();
        let endless = folder.path().join("endless");
        std::os::unix::fs::symlink("endless", &endless).unwrap();
        assert!(exists(&endless).is_err() && is_folder(&endless).is_err());
        assert!(exists(&endless.join("below")).is_err() && find(&endless.join("below")).is_err());
        assert!(find(&endless).unwrap().is_some());
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(exists(&file).unwrap() && !is_folder(&file).unwrap());
        for absent in [folder.path().join("absent"), file.join("below")] {
            assert!(!exists(&absent).unwrap() && find(&absent).unwrap().is_none());
        }
    }
}
