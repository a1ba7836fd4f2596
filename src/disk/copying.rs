//! Copying a file's content to a new file, which only piton can read.
//!
//! The system is asked to do it: where the file system shares the bytes of two files until one of them is
//! changed (XFS, btrfs), nothing is read or written.

use super::{Result, create_private_file, failed, open_to_read, remove_file, set_length};
use std::{
    fs::File,
    io::{self, Read, Seek},
    path::Path,
};

/// Copies a file's content to a new private file; the caller syncs it once it has its attributes,
/// which a power cut would take back as well.
///
/// # Errors
/// The system's, with the old path.
pub fn copy_file(point: &'static str, from: &Path, to: &Path) -> Result<File> {
    copy_open_file(point, open_to_read(from)?, from, to)
}

/// Copies a file that is open already; `from` is its name.
///
/// # Errors
/// The system's, with the old path.
pub fn copy_open_file(
    point: &'static str,
    mut source: File,
    from: &Path,
    to: &Path,
) -> Result<File> {
    let mut copy = create_private_file(point, to)?;
    io::copy(&mut source, &mut copy).map_err(failed("copy", from))?;
    Ok(copy)
}

/// Copies the first bytes of a file that is open already, which stays open; `from` is its name.
///
/// # Errors
/// The system's, with the old path; [`io::ErrorKind::UnexpectedEof`] where it has fewer.
pub fn copy_beginning(
    point: &'static str,
    (source, from): (&File, &Path),
    to: &Path,
    length: u64,
) -> Result<()> {
    let mut copy = create_private_file(point, to)?;
    // What is shared is shared as a whole.
    if rustix::fs::ioctl_ficlone(&copy, source).is_ok() {
        return set_length(point, to, &copy, length);
    }
    let mut source = source;
    source.rewind().map_err(failed("copy", from))?;
    let copied = io::copy(&mut source.take(length), &mut copy).map_err(failed("copy", from))?;
    if copied < length {
        return Err(failed("copy", from)(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

/// Makes a new private file that shares the first bytes of another one; tells whether it could. Where
/// not, there is no new file.
///
/// # Errors
/// The system's, with the new path.
pub fn share_beginning(point: &'static str, source: &File, to: &Path, length: u64) -> Result<bool> {
    let copy = create_private_file(point, to)?;
    if rustix::fs::ioctl_ficlone(&copy, source).is_err() {
        remove_file(point, to)?;
        return Ok(false);
    }
    set_length(point, to, &copy, length)?;
    Ok(true)
}
