//! The only module that changes the file system, SQLite's own writes aside.
//!
//! Every call carries a label, its *fault point*, so that a test can fail exactly one of them
//! (see [`fault`]). It must never close a database file to which this process holds a connection:
//! closing any descriptor of such a file drops the process's POSIX locks on it.
#![expect(clippy::disallowed_methods, reason = "this is the module that the lint points others to")]

mod attributes;
mod confined;
mod copying;
pub mod fault;
mod freeing;
mod inside;
mod lease;
mod looking;
mod lost_pages;
mod mounts;
mod opening;
mod range_lock;
mod steady;

pub use attributes::{
    inherit_owner, knows_extended, set_extended, set_mode, set_modified, set_owner,
};
pub use confined::{Named, Reached, confine, name_of};
pub use copying::{copy_beginning, copy_file, copy_open_file, share_beginning};
pub use freeing::Freeing;
pub use inside::{Inside, stay_inside};
pub use lease::{Lease, is_lease_called, lease};
pub use looking::{
    entries, exists, find, free_space, is_file, is_folder, mount_of, reached, read_link,
    size_of_tree,
};
pub use lost_pages::{Changing, explain_lost_pages};
pub use mounts::{Mount, mounts};
pub use opening::{
    begin_log, create_private_file, open_folder, open_lock_file, open_log_file, open_to_change,
    open_to_lock, open_to_read, open_to_sniff,
};
pub use range_lock::{Claim, Owner, lock_range, range_owner};
pub use steady::{Steady, sync_steadily};

use crate::error::DiskError;
use confined::{reach, reach_itself};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The result of every function here.
pub type Result<T> = std::result::Result<T, DiskError>;

/// The mode of files that may hold somebody's data.
pub const PRIVATE_FILE: u32 = 0o600;

/// The last extension of a file that [`write_atomic`] has not finished.
pub const PARTIAL: &str = "partial";

/// Makes a closure that turns an I/O error into a [`DiskError`] with its place.
pub fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError + use<> {
    let path = path.to_path_buf();
    move |source| DiskError { action, path, source }
}

fn step(
    point: &'static str,
    action: &'static str,
    path: &Path,
    act: impl FnOnce() -> io::Result<()>,
) -> Result<()> {
    let done = fault::check(point, action).and_then(|meeting| match meeting {
        fault::Meeting::Act => act(),
        fault::Meeting::LeaveOut => {
            fault::mark(path);
            Ok(())
        }
    });
    done.map_err(failed(action, path))
}

/// A step without whose result nothing can go on.
fn open<T>(
    point: &'static str,
    action: &'static str,
    path: &Path,
    act: impl FnOnce() -> io::Result<T>,
) -> Result<T> {
    fault::check(point, action).and_then(|_| act()).map_err(failed(action, path))
}

/// Creates a folder and its parents with mode 0700; one that exists is left as it is.
///
/// # Errors
/// The system's, with the path.
pub fn create_private_folders(point: &'static str, path: &Path) -> Result<()> {
    step(point, "create the folder", path, || {
        let Err(error) = make_folder(path) else { return Ok(()) };
        match (error.kind(), path.parent()) {
            (io::ErrorKind::AlreadyExists, _) if is_folder(path).unwrap_or(false) => Ok(()),
            (io::ErrorKind::NotFound, Some(parent)) if !parent.as_os_str().is_empty() => {
                make_folders(parent)?;
                make_folder(path)
            }
            _ => Err(error),
        }
    })
}

/// Creates a folder and its parents with the default mode.
///
/// # Errors
/// The system's, with the path.
pub fn create_folders(point: &'static str, path: &Path) -> Result<()> {
    step(point, "create the folder", path, || fs::create_dir_all(path))
}

/// Writes a file so that its name always shows either the old content or the whole new one:
/// a partial file beside it, fsync, rename, fsync of the folder.
///
/// # Errors
/// The system's, with the path; the partial file is removed.
pub fn write_atomic(point: &'static str, path: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    write_atomic_with(point, path, mode, |file| file.write_all(bytes))
}

/// Writes a file as [`write_atomic`] does, its content in as many pieces as the caller likes.
///
/// # Errors
/// The system's, with the path; the partial file is removed.
pub fn write_atomic_with(
    point: &'static str,
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(PARTIAL);
    let partial = path.with_file_name(name);
    let written = step(point, "write", path, || {
        // What has the name by now may be a link to something else, or a second name of it.
        let (from, to) = (reach(&partial)?, reach(path)?);
        gone(fs::remove_file(&from))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&from)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        write(&mut file)?;
        match fault::is_left_out(point, "sync") {
            true => fault::mark(&partial),
            false => file.sync_all()?,
        }
        fs::rename(from, to)
    });
    if written.is_err() {
        // Best effort: the error that matters is the one being returned.
        drop(reach(&partial).and_then(fs::remove_file));
    }
    written?;
    match fault::is_left_out(point, "sync-folder") {
        true => {
            fault::mark(&parent(path));
            Ok(())
        }
        false => sync_parent(point, path),
    }
}

/// Flushes a file's content and metadata to the disk.
///
/// # Errors
/// The system's, with the path.
pub fn sync_file(point: &'static str, path: &Path, file: &File) -> Result<()> {
    step(point, "sync", path, || file.sync_all())
}

/// Flushes a folder, so that names created, renamed or removed in it survive a power cut.
///
/// # Errors
/// The system's, with the path.
pub fn sync_folder(point: &'static str, path: &Path) -> Result<()> {
    // A file that has the name may be leased, and opening it would wait.
    let flags = rustix::fs::OFlags::DIRECTORY.bits().cast_signed();
    step(point, "sync the folder", path, || {
        OpenOptions::new().read(true).custom_flags(flags).open(reach_itself(path)?)?.sync_all()
    })
}

/// Flushes everything that was written to the file system of a path, by whomever.
///
/// # Errors
/// The system's, with the path.
pub fn sync_file_system(point: &'static str, path: &Path) -> Result<()> {
    step(point, "sync the file system of", path, || Ok(rustix::fs::syncfs(File::open(path)?)?))
}

/// Flushes the folder that holds a path.
///
/// # Errors
/// The system's, with the path.
pub fn sync_parent(point: &'static str, path: &Path) -> Result<()> {
    sync_folder(point, &parent(path))
}

/// Renames a file or folder over whatever has the new name; the caller syncs the folders.
///
/// Where both are names of one file, as a power cut can leave them, the old one is gone as well:
/// rename(2) itself would leave both.
///
/// # Errors
/// The system's, with the old path.
pub fn rename(point: &'static str, from: &Path, to: &Path) -> Result<()> {
    step(point, "rename", from, || {
        let (from, to) = (&*reach(from)?, &*reach(to)?);
        fs::rename(from, to)?;
        match (fs::symlink_metadata(from), fs::symlink_metadata(to)) {
            (Ok(old), Ok(new)) if (old.dev(), old.ino()) == (new.dev(), new.ino()) => {
                gone(fs::remove_file(from))
            }
            _ => Ok(()),
        }
    })
}

/// Gives a file a second name.
///
/// # Errors
/// The system's, with the old path.
pub fn hard_link(point: &'static str, from: &Path, to: &Path) -> Result<()> {
    step(point, "link", from, || fs::hard_link(reach(from)?, reach(to)?))
}

/// Creates a symbolic link.
///
/// # Errors
/// The system's, with the link's path.
pub fn symlink(point: &'static str, target: &Path, link: &Path) -> Result<()> {
    step(point, "create the link", link, || std::os::unix::fs::symlink(target, reach(link)?))
}

/// Removes a file; one that is not there is as good as removed.
///
/// # Errors
/// The system's, with the path.
pub fn remove_file(point: &'static str, path: &Path) -> Result<()> {
    step(point, "remove", path, || gone(reach(path).and_then(fs::remove_file)))
}

/// Removes a folder with all that is in it; one that is not there is as good as removed.
///
/// # Errors
/// The system's, with the path.
pub fn remove_tree(point: &'static str, path: &Path) -> Result<()> {
    step(point, "remove the folder", path, || gone(reach(path).and_then(fs::remove_dir_all)))
}

/// Removes an empty folder; one that is not there is as good as removed.
///
/// # Errors
/// The system's, with the path.
pub fn remove_empty_folder(point: &'static str, path: &Path) -> Result<()> {
    step(point, "remove the folder", path, || gone(reach(path).and_then(fs::remove_dir)))
}

/// Cuts a file off, or makes it longer by a hole.
///
/// # Errors
/// The system's, with the path.
pub fn set_length(point: &'static str, path: &Path, file: &File, length: u64) -> Result<()> {
    step(point, "set the length of", path, || file.set_len(length))
}

/// Creates one folder with mode 0700; its parent must exist and it must not.
///
/// # Errors
/// The system's, with the path.
pub fn create_private_folder(point: &'static str, path: &Path) -> Result<()> {
    step(point, "create the folder", path, || make_folder(path))
}

/// Overwrites bytes in the middle of a file.
///
/// # Errors
/// The system's, with the path.
pub fn write_at(point: &'static str, path: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    step(point, "write", path, || {
        let path = reach(path)?;
        let flags = path.flags().bits().cast_signed();
        OpenOptions::new().write(true).custom_flags(flags).open(path)?.write_all_at(bytes, offset)
    })
}

/// Raises the soft limit of open files where this many more need it, and returns how many more there can be.
/// The hard limit, which is the administrator's, stays as it is.
pub fn allow_descriptors(more: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const OTHERS: u64 = 64;
    let needed = more.saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current.filter(|current| *current < needed) else { return more };
    let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
    // Where it is refused, opening the files says what is missing.
    let done = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    if done.is_ok() { raised } else { current }.saturating_sub(OTHERS)
}

/// One private folder.
fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(reach(path)?)
}

/// A private folder with those above it that are missing.
fn make_folders(path: &Path) -> io::Result<()> {
    match make_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Err(error), make_folders)?;
            make_folder(path)
        }
        other => other,
    }
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}
