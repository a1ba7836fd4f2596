//! One runner at a time per data directory: an advisory `flock` that the kernel releases on death.
//!
//! The lock file lies in the data directory's private folder and is never deleted, so two runners
//! can never hold locks on two different files of the same name.

mod worker;

pub use worker::{Worker, worker};

use crate::{
    Error, Result, disk,
    event::{Event, Observer, go_on},
};
use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
    time::Duration,
};

/// Between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(20);
/// The private folder inside the data directory: lock, staging, journal, undo.
pub const PRIVATE_FOLDER: &str = ".piton";

/// Who asks for the lock; written into the lock file for the next one to read.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// The command line.
    pub command: String,
}

/// What to do when somebody else holds the lock.
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

/// What a lock is for; each has a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The data directory: held while something is done to it.
    Data,
    /// A deploy: held from its first to its last phase, also while the service runs.
    Deploy,
}

/// Takes a lock of a data directory, creating the private folder if need be.
///
/// # Errors
/// [`Error::Locked`] names the holder; [`Error::Disk`] where the folder cannot be written.
pub fn acquire(
    data: &Path,
    scope: Scope,
    holder: &Holder,
    patience: Patience,
    observer: &dyn Observer,
) -> Result<Lock> {
    let folder = data.join(PRIVATE_FOLDER);
    if !disk::is_folder(&folder)? {
        disk::create_private_folders("lock-folder", &folder)?;
        // Whoever holds the lock writes notes there that must not go with the folder's own name.
        disk::sync_folder("lock-folder-sync", data)?;
    }
    let path = folder.join(match scope {
        Scope::Data => "lock",
        Scope::Deploy => "deploy.lock",
    });
    let mut file = disk::open_lock_file("lock-file", &path)?;
    match try_lock(&file, scope) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let other = read_holder(&mut file);
            if patience == Patience::Refuse {
                return Err(Error::Locked { data: data.into(), holder: other });
            }
            observer.event(Event::Waiting { holder: other });
            wait(&file, scope, &path, observer)?;
        }
        Err(TryLockError::Error(error)) => return Err(disk::failed("lock", &path)(error).into()),
    }
    write_holder(&mut file, holder).map_err(disk::failed("write", &path))?;
    Ok(Lock { _file: file })
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

/// Waits in small steps, so that whoever waits can be interrupted.
fn wait(file: &File, scope: Scope, path: &Path, observer: &dyn Observer) -> Result<()> {
    loop {
        go_on(observer)?;
        match try_lock(file, scope) {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => {
                return Err(disk::failed("lock", path)(error).into());
            }
        }
    }
}

/// Whether somebody holds the lock of a data directory; nothing is created.
#[must_use]
pub fn is_held(data: &Path) -> bool {
    let file = File::open(data.join(PRIVATE_FOLDER).join("lock"));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn write_holder(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "pid {} on {} ({})", holder.pid, holder.host, holder.command)
}

fn read_holder(file: &mut File) -> String {
    // The holder writes its name just after it took the lock: give it a moment.
    for _ in 0..20 {
        let mut text = String::new();
        if file.rewind().is_ok() && file.read_to_string(&mut text).is_ok() && !text.is_empty() {
            return text;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    "a process that did not leave its name".into()
}
