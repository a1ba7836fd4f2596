//! A second name for a file: a hard link, or a copy where the file system has none.
//!
//! Links are refused on FAT, for files of other users where the kernel protects them, and beyond a
//! number of them. A copy has another identity, so that after an interruption it is known by its
//! content.

use super::hold::Hold;
use crate::{
    Result,
    backup::{self, scan},
    disk,
    store::{Bare, digest_of, dress},
};
use std::{fs::Metadata, io::ErrorKind, os::unix::fs::MetadataExt, path::Path};

/// System errors that say that this file cannot have a link (link(2)).
const NO_LINK: [i32; 4] = [libc::EPERM, libc::EMLINK, libc::EOPNOTSUPP, libc::ENOSYS];

/// Gives what has one name another; the new name is never half a file. The caller syncs the
/// folder.
///
/// # Errors
/// The system's, with the path.
pub(super) fn give(
    points: [&'static str; 2],
    from: &Path,
    to: &Path,
    scratch: &Path,
    hold: &Hold,
) -> Result<()> {
    let [link, copy] = points;
    if give_link(link, from, to)? == Linked::Yes {
        return Ok(());
    }
    disk::create_private_folders(copy, scratch)?;
    let partial = scratch.join("second-name");
    disk::remove_file(copy, &partial)?;
    let found = require(from)?;
    if found.is_symlink() {
        let target = disk::read_link(from)?;
        disk::symlink(copy, &target, &partial)?;
        dress(&partial, &backup::dressed(&scan::Found::from(&found), from)?, Bare::Symlink)?;
    } else {
        let file = disk::copy_open_file(copy, hold.open_to_read(from)?, from, &partial)?;
        dress(&partial, &backup::dressed(&scan::Found::from(&found), from)?, Bare::File)?;
        disk::sync_file(copy, &partial, &file)?;
    }
    Ok(disk::rename(copy, &partial, to)?)
}

/// Whether a file can have another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linked {
    Yes,
    Never,
}

/// Gives what has one name another, where the file system can.
///
/// # Errors
/// The system's, with the path; that it cannot is none.
pub(super) fn give_link(point: &'static str, from: &Path, to: &Path) -> Result<Linked> {
    match disk::hard_link(point, from, to) {
        Ok(()) => Ok(Linked::Yes),
        Err(error) if error.source.raw_os_error().is_some_and(|it| NO_LINK.contains(&it)) => {
            Ok(Linked::Never)
        }
        Err(error) => Err(error.into()),
    }
}

/// What is there, which must be.
fn require(path: &Path) -> Result<Metadata> {
    let absent = || disk::failed("read", path)(ErrorKind::NotFound.into());
    Ok(disk::find(path)?.ok_or_else(absent)?)
}

/// Whether two paths are names of one file, or of two with the same content.
///
/// # Errors
/// The system's, with the path.
pub(super) fn is_same(one: &Path, other: &Path, hold: &Hold) -> Result<bool> {
    let (Some(first), Some(second)) = (disk::find(one)?, disk::find(other)?) else {
        return Ok(false);
    };
    if (first.dev(), first.ino()) == (second.dev(), second.ino()) {
        return Ok(true);
    }
    if first.file_type() != second.file_type() || first.len() != second.len() {
        return Ok(false);
    }
    if first.is_symlink() {
        return Ok(disk::read_link(one)? == disk::read_link(other)?);
    }
    if !first.is_file() {
        return Ok(false);
    }
    let digest = |path: &Path| -> Result<_> {
        Ok(digest_of(hold.open_to_read(path)?).map_err(disk::failed("read", path))?)
    };
    Ok(digest(one)? == digest(other)?)
}
