//! One runner at a time per data directory: an advisory `flock` that the kernel releases on death.
//!
//! The lock is on the data directory itself. So it is one lock for every user, works where nothing
//! may be written, and nobody can put another file in its place. A deploy has a lock of its own: a
//! file among the records, of which nothing is ever written.

mod worker;

pub use worker::{Worker, worker};

use crate::{
    Error, Result, disk,
    event::{Event, Observer, go_on},
    process, records,
};
use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

pub use crate::records::PRIVATE_FOLDER;

/// Between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(20);

/// Who asks for the lock.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// The command line.
    pub command: String,
}

/// What to do when another process holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Give up at once.
    Refuse,
    /// Wait until it is released.
    Wait,
}

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What a lock is for; each is on a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The data directory: held while something is done to it.
    Data,
    /// A deploy: held from its first to its last phase, also while the service runs.
    Deploy,
}

/// Takes a lock of a data directory, which is created if need be.
///
/// # Errors
/// [`Error::Locked`] names the holder; [`Error::Disk`] where the directory cannot be opened.
pub fn acquire(
    data: &Path,
    scope: Scope,
    holder: &Holder,
    patience: Patience,
    observer: &dyn Observer,
) -> Result<Lock> {
    if !disk::is_folder(data)? {
        disk::create_private_folders("lock-folder", data)?;
        disk::sync_parent("lock-folder-sync", data)?;
    }
    disk::confine(data)?;
    let (mut path, mut file) = match scope {
        Scope::Data => (data.to_path_buf(), disk::open_folder(data)?),
        Scope::Deploy => {
            records::take_over(data)?;
            lock_file(data, "deploy.lock")?
        }
    };
    loop {
        match try_lock(&file, scope) {
            Ok(()) => {
                records::take_over(data)?;
                return Ok(Lock { _file: file });
            }
            Err(TryLockError::WouldBlock) if patience == Patience::Refuse => {
                return Err(Error::Locked { data: data.into(), holder: holder_of(&file, holder) });
            }
            Err(TryLockError::WouldBlock) => {
                observer.event(Event::Waiting { holder: holder_of(&file, holder) });
                return wait(file, scope, &path, observer);
            }
            // Network file systems lock nothing that is not open for writing.
            Err(TryLockError::Error(error)) if has_no_folder_locks(&error) && path == data => {
                (path, file) = lock_file(data, "lock")?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(disk::failed("lock", &path)(error).into());
            }
        }
    }
}

/// A file to lock, among the records.
fn lock_file(data: &Path, name: &str) -> Result<(PathBuf, File)> {
    let path = records::make_folder(data)?.join(name);
    let file = disk::open_lock_file("lock-file", &path)?;
    Ok((path, file))
}

fn has_no_folder_locks(error: &std::io::Error) -> bool {
    let numbers = [libc::EBADF, libc::EINVAL, libc::EOPNOTSUPP, libc::ENOLCK, libc::ENOSYS];
    error.raw_os_error().is_some_and(|number| numbers.contains(&number))
}

fn try_lock(file: &File, scope: Scope) -> Result<(), TryLockError> {
    let point = match scope {
        Scope::Data => "lock",
        Scope::Deploy => "deploy-lock",
    };
    match disk::fault::is_left_out(point, "take") {
        true => Ok(()),
        false => file.try_lock(),
    }
}

/// Waits in small steps, so that a signal can end it.
fn wait(file: File, scope: Scope, path: &Path, observer: &dyn Observer) -> Result<Lock> {
    loop {
        go_on(observer)?;
        match try_lock(&file, scope) {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => {
                return Err(disk::failed("lock", path)(error).into());
            }
        }
    }
}

/// Whether another process holds the lock of a data directory; nothing is created.
#[must_use]
pub fn is_held(data: &Path) -> bool {
    let is_locked = |file: File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    let in_records = || disk::open_to_lock(&records::folder(data).ok()?.join("lock")).ok();
    disk::open_folder(data).is_ok_and(is_locked) || in_records().is_some_and(is_locked)
}

/// The process that has locked a file, by `/proc/locks` (proc_locks(5)): its kind, its owner's number
/// and the file's device and inode stand in each line.
fn holder_of(file: &File, asking: &Holder) -> String {
    let unseen = || "another process, which cannot be seen from here".to_string();
    let Ok(inode) = file.metadata().map(|found| format!(":{}", found.ino())) else {
        return unseen();
    };
    let text = fs::read_to_string("/proc/locks").unwrap_or_default();
    let mut pids = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, pid, place, ..] if place.ends_with(&inode) => pid.parse().ok(),
            _ => None,
        }
    });
    match pids.find(|pid| *pid > 0) {
        Some(pid) => {
            let command = process::command_line(pid);
            format!("pid {pid} on {} ({command})", asking.host)
        }
        None => unseen(),
    }
}
