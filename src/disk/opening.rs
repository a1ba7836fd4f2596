//! Opening files: what a path means is settled once, and no link at its end is followed.

use super::{
    PRIVATE_FILE, Result,
    confined::{reach, reach_itself},
    failed, open,
};
use rustix::fs::OFlags;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// A link is an error then, and a pipe that nobody writes to is not waited for.
const UNFOLLOWED: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();

/// Creates a new file for writing with mode 0600; it must not exist.
///
/// # Errors
/// The system's, with the path.
pub fn create_private_file(point: &'static str, path: &Path) -> Result<File> {
    open(point, "create", path, || {
        let path = reach(path)?;
        OpenOptions::new().write(true).read(true).create_new(true).mode(PRIVATE_FILE).open(path)
    })
}

/// Opens a lock file, creating it with mode 0600: never through a symbolic link, never a pipe that
/// has its name. Nothing is written to it.
///
/// # Errors
/// The system's, with the path.
pub fn open_lock_file(point: &'static str, path: &Path) -> Result<File> {
    open(point, "open the lock file", path, || {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .custom_flags(UNFOLLOWED)
            .open(reach(path)?)?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file")),
        }
    })
}

/// Opens a folder, for what concerns itself.
///
/// # Errors
/// The system's, with the path.
pub fn open_folder(path: &Path) -> Result<File> {
    let flags = OFlags::DIRECTORY.bits().cast_signed();
    let opened = reach_itself(path)
        .and_then(|path| OpenOptions::new().read(true).custom_flags(flags).open(path));
    opened.map_err(failed("open", path))
}

/// Opens a log for writing at its end, creating it with mode 0600.
///
/// # Errors
/// The system's, with the path.
pub fn open_log_file(point: &'static str, path: &Path) -> Result<File> {
    open(point, "open", path, || appending(path))
}

/// Begins a log anew: an empty file of mode 0600 at whose end everybody who has it writes.
///
/// # Errors
/// The system's, with the path.
pub fn begin_log(point: &'static str, path: &Path) -> Result<File> {
    open(point, "begin the log", path, || {
        // The standard library refuses to empty a file while opening it for appending.
        let file = appending(path)?;
        file.set_len(0)?;
        Ok(file)
    })
}

/// Opens an ordinary file for reading: never through a symbolic link, never waiting for the
/// other end of a pipe that took its place. The caller looks at what it has opened.
///
/// # Errors
/// The system's, with the path.
pub fn open_to_read(path: &Path) -> Result<File> {
    let opened = reach(path)
        .and_then(|path| OpenOptions::new().read(true).custom_flags(UNFOLLOWED).open(path));
    opened.map_err(failed("read", path))
}

/// Opens an ordinary file for a lock, never through a symbolic link; nothing is written to it.
///
/// # Errors
/// The system's, with the path.
pub fn open_to_lock(path: &Path) -> Result<File> {
    let opened = reach(path).and_then(|path| {
        OpenOptions::new().read(true).write(true).custom_flags(UNFOLLOWED).open(path)
    });
    opened.map_err(failed("lock", path))
}

/// Opens a copy that belongs to piton alone, to change parts of it; never through a symbolic link.
///
/// # Errors
/// The system's, with the path.
pub fn open_to_change(point: &'static str, path: &Path) -> Result<File> {
    open(point, "open", path, || {
        OpenOptions::new().read(true).write(true).custom_flags(UNFOLLOWED).open(reach(path)?)
    })
}

/// Opens a file to look at its first bytes: through a link at its end as well, where links mean what
/// their author may see. Never waits for the other end of a pipe.
///
/// # Errors
/// The system's, with the path.
pub fn open_to_sniff(path: &Path) -> Result<File> {
    let opened = reach(path).and_then(|path| {
        let flags = (path.flags() | OFlags::NONBLOCK).bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    });
    opened.map_err(failed("read", path))
}

fn appending(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(PRIVATE_FILE).custom_flags(UNFOLLOWED);
    let file = options.open(reach(path)?)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file")),
    }
}
