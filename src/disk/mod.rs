//! The only module that changes the file system, SQLite's own writes aside.
//!
//! Every call carries a label, its *fault point*, so that a test can fail exactly one of them
//! (see [`fault`]). It must never close a database file to which this process holds a connection:
//! closing any descriptor of such a file drops the process's POSIX locks on it.
#![expect(clippy::disallowed_methods, reason = "this is the module that the lint points others to")]

mod attributes;
mod copying;
pub mod fault;
mod freeing;
mod lease;
mod lost_pages;
mod range_lock;
mod steady;

pub use attributes::{
    inherit_owner, knows_extended, set_extended, set_mode, set_modified, set_owner,
};
pub use copying::{copy_beginning, copy_file, copy_open_file, share_beginning};
pub use freeing::Freeing;
pub use lease::{Lease, is_lease_called, lease};
pub use lost_pages::explain_lost_pages;
pub use range_lock::{Claim, Owner, lock_range, range_owner};
pub use steady::{Steady, sync_steadily};

use crate::error::DiskError;
use std::{
    fs::{self, File, Metadata, OpenOptions},
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
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    })
}

/// Creates a folder and its parents with the default mode.
///
/// # Errors
/// The system's, with the path.
pub fn create_folders(point: &'static str, path: &Path) -> Result<()> {
    step(point, "create the folder", path, || fs::create_dir_all(path))
}

/// Creates a new file for writing with mode 0600; it must not exist.
///
/// # Errors
/// The system's, with the path.
pub fn create_private_file(point: &'static str, path: &Path) -> Result<File> {
    open(point, "create", path, || {
        OpenOptions::new().write(true).read(true).create_new(true).mode(PRIVATE_FILE).open(path)
    })
}

/// Opens a lock file for reading and writing, creating it with mode 0600.
///
/// # Errors
/// The system's, with the path.
pub fn open_lock_file(point: &'static str, path: &Path) -> Result<File> {
    open(point, "open the lock file", path, || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(path)
    })
}

/// Opens a log for writing at its end, creating it with mode 0600.
///
/// # Errors
/// The system's, with the path.
pub fn open_log_file(point: &'static str, path: &Path) -> Result<File> {
    open(point, "open", path, || {
        OpenOptions::new().append(true).create(true).mode(PRIVATE_FILE).open(path)
    })
}

/// Begins a log anew: an empty file of mode 0600 at whose end everybody who has it writes.
///
/// # Errors
/// The system's, with the path.
pub fn begin_log(point: &'static str, path: &Path) -> Result<File> {
    open(point, "begin the log", path, || {
        // The standard library refuses to empty a file while opening it for appending.
        let file = OpenOptions::new().append(true).create(true).mode(PRIVATE_FILE).open(path)?;
        file.set_len(0)?;
        Ok(file)
    })
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
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&partial)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        write(&mut file)?;
        match fault::is_left_out(point, "sync") {
            true => fault::mark(&partial),
            false => file.sync_all()?,
        }
        fs::rename(&partial, path)
    });
    if written.is_err() {
        // Best effort: the error that matters is the one being returned.
        drop(fs::remove_file(&partial));
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
        OpenOptions::new().read(true).custom_flags(flags).open(path)?.sync_all()
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
    step(point, "link", from, || fs::hard_link(from, to))
}

/// Which mount a path belongs to, where the kernel tells: one file system can be mounted in several
/// places, and nothing can be renamed from one of them to another.
///
/// # Errors
/// The system's, with the path.
pub fn mount_of(path: &Path) -> Result<Option<u64>> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID);
    let found = found.map_err(|error| failed("read", path)(error.into()))?;
    let told = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Ok(told.then_some(found.stx_mnt_id))
}

/// Creates a symbolic link.
///
/// # Errors
/// The system's, with the link's path.
pub fn symlink(point: &'static str, target: &Path, link: &Path) -> Result<()> {
    step(point, "create the link", link, || std::os::unix::fs::symlink(target, link))
}

/// Removes a file; one that is not there is as good as removed.
///
/// # Errors
/// The system's, with the path.
pub fn remove_file(point: &'static str, path: &Path) -> Result<()> {
    step(point, "remove", path, || gone(fs::remove_file(path)))
}

/// Removes a folder with all that is in it; one that is not there is as good as removed.
///
/// # Errors
/// The system's, with the path.
pub fn remove_tree(point: &'static str, path: &Path) -> Result<()> {
    step(point, "remove the folder", path, || gone(fs::remove_dir_all(path)))
}

/// Removes an empty folder; one that is not there is as good as removed.
///
/// # Errors
/// The system's, with the path.
pub fn remove_empty_folder(point: &'static str, path: &Path) -> Result<()> {
    step(point, "remove the folder", path, || gone(fs::remove_dir(path)))
}

/// Opens an ordinary file for reading: never through a symbolic link, never waiting for the
/// other end of a pipe that took its place. The caller looks at what it has opened.
///
/// # Errors
/// The system's, with the path.
pub fn open_to_read(path: &Path) -> Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(failed("read", path))
}

/// Opens an ordinary file for a lock, never through a symbolic link; nothing is written to it.
///
/// # Errors
/// The system's, with the path.
pub fn open_to_lock(path: &Path) -> Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(failed("lock", path))
}

/// Opens a copy that belongs to piton alone, to change parts of it; never through a symbolic link.
///
/// # Errors
/// The system's, with the path.
pub fn open_to_change(point: &'static str, path: &Path) -> Result<File> {
    open(point, "open", path, || {
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
    })
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
    step(point, "create the folder", path, || fs::DirBuilder::new().mode(0o700).create(path))
}

/// Overwrites bytes in the middle of a file.
///
/// # Errors
/// The system's, with the path.
pub fn write_at(point: &'static str, path: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    step(point, "write", path, || {
        OpenOptions::new().write(true).open(path)?.write_all_at(bytes, offset)
    })
}

/// Whether something has this name; a link counts as what it leads to.
///
/// `Path::exists` takes a path that cannot be looked at for one that is not there. What is decided
/// by that is whether a backup is taken, and which file is the old one.
///
/// # Errors
/// The system's, with the path.
pub fn exists(path: &Path) -> Result<bool> {
    Ok(look(path, fs::metadata(path))?.is_some())
}

/// Whether a folder has this name.
///
/// # Errors
/// The system's, with the path.
pub fn is_folder(path: &Path) -> Result<bool> {
    Ok(look(path, fs::metadata(path))?.is_some_and(|found| found.is_dir()))
}

/// Whether an ordinary file has this name, or what it leads to is one.
///
/// # Errors
/// The system's, with the path.
pub fn is_file(path: &Path) -> Result<bool> {
    Ok(look(path, fs::metadata(path))?.is_some_and(|found| found.is_file()))
}

/// What has this name, itself and not what it leads to; nothing where the name is not there.
///
/// # Errors
/// The system's, with the path.
pub fn find(path: &Path) -> Result<Option<Metadata>> {
    look(path, fs::symlink_metadata(path))
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

/// Raises the soft limit of open files where this many more need it. The hard limit, which is the
/// administrator's, stays as it is.
pub fn allow_descriptors(more: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = more.saturating_add(64);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < needed) {
        let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
        // Where it is refused, opening the files says what is missing.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    }
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
