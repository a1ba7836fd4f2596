//! Leases: the kernel's word that nobody else has a file open, and its promise that whoever opens
//! it from now on waits (fcntl(2), "Leases").
//!
//! A lease belongs to the open file and ends with it, or after `/proc/sys/fs/lease-break-time` once
//! somebody waits. Whoever has one must not open the file by its name: it would wait for itself.

use super::{Result, failed, open};
use std::{fs::File, io, os::fd::AsRawFd, path::Path};

/// Names the signal; the same on every architecture, and not in every version of the crate
/// (`asm-generic/fcntl.h` in Linux).
const F_SETSIG: libc::c_int = 10;

/// Whether a file was open elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It was open nowhere else, and whoever opens it waits until this file is closed.
    Granted,
    /// Somebody has it open.
    Taken,
    /// The file system has no leases, or this user may have none of this file.
    Unavailable,
}

/// Takes a lease on a file, which must be open for writing; never waits.
///
/// # Errors
/// The system's, with the path; what [`Lease`] names is none.
pub fn lease(point: &'static str, path: &Path, file: &File) -> Result<Lease> {
    match open(point, "lease", path, || take(file)) {
        Ok(()) => Ok(Lease::Granted),
        Err(error) => match error.source.raw_os_error() {
            Some(libc::EAGAIN) => Ok(Lease::Taken),
            // No regular file or no leases there; not the owner's; forbidden by the system.
            Some(
                libc::EINVAL
                | libc::EACCES
                | libc::EPERM
                | libc::ENOLCK
                | libc::ENOSYS
                | libc::EOPNOTSUPP,
            ) => Ok(Lease::Unavailable),
            _ => Err(error),
        },
    }
}

/// Whether somebody has come to a leased file: waits in opening it, has given up, or has it open
/// since the kernel ended the lease.
///
/// # Errors
/// The system's, with the path.
pub fn is_lease_called(path: &Path, file: &File) -> Result<bool> {
    // Not what the lease is but what it is to become.
    let kind = fcntl(file, libc::F_GETLEASE, 0).map_err(failed("read the lease of", path))?;
    Ok(kind != libc::F_WRLCK)
}

fn take(file: &File) -> io::Result<()> {
    // Who comes is told of by a signal, and that of the default ends the process. This one is
    // ignored where nobody asked for it, and named before there is anything to tell of.
    fcntl(file, F_SETSIG, libc::SIGURG)?;
    fcntl(file, libc::F_SETLEASE, libc::F_WRLCK)?;
    // The lease has made this process the one to be told: from now on it is nobody.
    fcntl(file, libc::F_SETOWN, 0).map(drop)
}

#[expect(unsafe_code, reason = "no safe wrapper at hand knows leases")]
fn fcntl(file: &File, command: libc::c_int, value: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: the descriptor is open as long as the file lives, and these commands take a number.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, value) } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::{Lease, is_lease_called, lease};
    use crate::disk::{fault, open_to_lock, open_to_read};
    use std::{
        fs::File,
        path::Path,
        process::{Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    fn made(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("app.db");
        std::fs::write(&path, "content").unwrap();
        path
    }

    /// Children of other tests have every descriptor until they begin their program.
    fn granted(path: &Path) -> File {
        let clock = Instant::now();
        loop {
            let file = open_to_lock(path).unwrap();
            match lease("lease", path, &file).unwrap() {
                Lease::Granted => return file,
                other => assert!(clock.elapsed() < Duration::from_secs(5), "{other:?}"),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn whoever_has_it_open_already_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        for held in [open_to_read(&path).unwrap(), open_to_lock(&path).unwrap()] {
            let file = open_to_lock(&path).unwrap();
            assert_eq!(lease("lease", &path, &file).unwrap(), Lease::Taken);
            drop(held);
        }
        let file = granted(&path);
        assert!(!is_lease_called(&path, &file).unwrap());
    }

    #[test]
    fn who_opens_it_waits_and_no_signal_ends_this_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        let file = granted(&path);
        let mut reader = Command::new("cat");
        let mut child = reader.arg(&path).stdout(Stdio::piped()).spawn().unwrap();
        let clock = Instant::now();
        while !is_lease_called(&path, &file).unwrap() {
            assert!(clock.elapsed() < Duration::from_secs(20), "nobody came");
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(50));
        assert!(child.try_wait().unwrap().is_none(), "it did not wait");
        // Its names may change meanwhile.
        std::fs::rename(&path, folder.path().join("other")).unwrap();
        drop(file);
        assert_eq!(child.wait_with_output().unwrap().stdout, b"content");
    }

    #[test]
    fn a_look_without_waiting_is_told_so_and_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        let file = granted(&path);
        let looked = open_to_read(&path).unwrap_err();
        assert_eq!(looked.source.kind(), std::io::ErrorKind::WouldBlock);
        assert!(is_lease_called(&path, &file).unwrap());
    }

    #[test]
    fn where_there_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        let file = open_to_lock(&path).unwrap();
        for number in [libc::EINVAL, libc::EACCES, libc::EPERM, libc::ENOLCK] {
            fault::arm_here("lease", 1, fault::Fault::Error(number));
            assert_eq!(lease("lease", &path, &file).unwrap(), Lease::Unavailable);
        }
        fault::arm_here("lease", 1, fault::Fault::Error(libc::EIO));
        assert!(lease("lease", &path, &file).is_err());
        fault::disarm();
    }
}
