//! Locks on a range of bytes that belong to an open file, as SQLite's own locks understand them.
//!
//! Ordinary POSIX locks belong to the process, and closing any descriptor of the file drops them.
//! These go with the one descriptor, and hold against POSIX locks of others all the same.

use super::{Result, failed, fault, open};
use std::{fs::File, io, os::fd::AsRawFd, path::Path};

/// Whether a range was free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is locked now, until the file is closed.
    Granted,
    /// Somebody else holds a lock in it.
    Taken,
}

/// Locks a range of bytes against every other reader and writer; never waits.
///
/// # Errors
/// The system's, with the path; a lock of somebody else is none.
pub fn lock_range(
    point: &'static str,
    path: &Path,
    file: &File,
    start: i64,
    length: i64,
) -> Result<Claim> {
    if fault::is_left_out(point, "take") {
        return Ok(Claim::Granted);
    }
    open(point, "lock", path, || match set_lock(file, start, length) {
        Ok(()) => Ok(Claim::Granted),
        // Both are documented for a lock of somebody else (fcntl, "EAGAIN or EACCES").
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(Claim::Taken)
        }
        Err(error) => Err(error),
    })
}

/// Whose lock it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process by its number.
    Process(u32),
    /// A process that has no number here, or an open file that several may share.
    Unknown,
}

/// Who has locked a part of a range, if anybody has.
///
/// # Errors
/// The system's, with the path.
pub fn range_owner(path: &Path, file: &File, start: i64, length: i64) -> Result<Option<Owner>> {
    let mut lock = write_lock(start, length);
    fcntl(file, libc::F_OFD_GETLK, &mut lock).map_err(failed("read the locks of", path))?;
    if lock.l_type == libc::F_UNLCK as libc::c_short {
        return Ok(None);
    }
    let pid = u32::try_from(lock.l_pid).ok().filter(|pid| *pid > 0);
    Ok(Some(pid.map_or(Owner::Unknown, Owner::Process)))
}

fn set_lock(file: &File, start: i64, length: i64) -> io::Result<()> {
    fcntl(file, libc::F_OFD_SETLK, &mut write_lock(start, length))
}

#[expect(unsafe_code, reason = "the structure has fields that differ between systems")]
fn write_lock(start: i64, length: i64) -> libc::flock {
    // SAFETY: all fields are integers, for which zero is a value; the kernel demands a zero pid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start;
    lock.l_len = length;
    lock
}

#[expect(unsafe_code, reason = "no safe wrapper at hand knows locks of an open file")]
fn fcntl(file: &File, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as the file lives, and the structure outlives the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, std::ptr::from_mut(lock)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
