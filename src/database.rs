//! Opening SQLite connections, the one place that knows the flags.
//!
//! A file is recognised by its first bytes, read *before* any connection to it exists in this
//! process; see [`sniff`]. Nothing here creates a file unless told to by [`Access::Create`].

mod fold;
mod foreign;
mod stop;
mod wanted;

pub(crate) use fold::{Folded, fold};
pub(crate) use stop::{is_stopped, stoppable};
pub(crate) use wanted::Wanted;

use crate::{Result, disk, error::DatabaseError};
use rusqlite::{Connection, OpenFlags};
use std::{
    io::Read,
    path::{Component, Path, PathBuf},
    time::Duration,
};

/// The first 16 bytes of every SQLite database that is not empty (SQLite file format, 1.3.1).
pub const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Suffixes of the files that SQLite keeps beside a database.
pub const SIDE_SUFFIXES: [&str; 3] = [LOG_SUFFIX, "-shm", JOURNAL_SUFFIX];

const LOG_SUFFIX: &str = "-wal";
const JOURNAL_SUFFIX: &str = "-journal";

/// All bytes by which SQLite locks a database: pending, reserved, and 510 shared ones
/// (SQLite file format, 1.3, "the lock-byte page").
pub const FIRST_LOCK_BYTE: i64 = 0x4000_0000;
/// How many of them there are.
pub const LOCK_BYTES: i64 = 512;

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write a database that exists.
    Write,
    /// Read and write, creating the file if need be.
    Create,
    /// Read a file that nobody changes: no locks, no side files.
    Immutable,
}

/// Opens a database with foreign keys off and the busy timeout given.
///
/// # Errors
/// [`DatabaseError`], with the path.
pub fn open(path: &Path, access: Access, busy: Duration) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let (flags, query) = match access {
        Access::Read => (flags | OpenFlags::SQLITE_OPEN_READ_ONLY, ""),
        Access::Immutable => (flags | OpenFlags::SQLITE_OPEN_READ_ONLY, "?immutable=1"),
        Access::Write => (flags | OpenFlags::SQLITE_OPEN_READ_WRITE, ""),
        Access::Create => {
            (flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, "")
        }
    };
    if access != Access::Create && !disk::exists(path)? {
        return Err(DatabaseError::Missing { path: path.into() }.into());
    }
    if access == Access::Read {
        take_back_half_a_transaction(path, busy);
    }
    let mut connection = match foreign::look(path)? {
        None => {
            Connection::open_with_flags(uri(path, query), flags).map_err(failed("open", path))?
        }
        Some(file) => file.open(path, query, flags)?,
    };
    connection.busy_timeout(busy).map_err(failed("open", path))?;
    stop::watch(&mut connection).map_err(failed("open", path))?;
    // The bundled SQLite has them on: a table rebuild would delete the children's rows.
    connection.pragma_update(None, "foreign_keys", false).map_err(failed("open", path))?;
    Ok(connection)
}

/// Opens a database for commits that a power cut does not take back.
///
/// # Errors
/// [`DatabaseError`], with the path; it is read, and so may be locked.
pub fn open_to_commit(path: &Path, access: Access, busy: Duration) -> Result<Connection> {
    let connection = open(path, access, busy)?;
    // In rollback-journal mode a commit is the removal of the journal. Without this its folder is
    // not synced, and the journal may come back and take back what was acknowledged.
    connection.pragma_update(None, "synchronous", "EXTRA").map_err(failed("open", path))?;
    Ok(connection)
}

/// A writer that was killed leaves its journal, and half a transaction in the database. Whoever
/// reads next takes that back, which a connection that is read only cannot.
///
/// Where it fails, the reader that comes after this has the same trouble and tells of it.
fn take_back_half_a_transaction(path: &Path, busy: Duration) {
    let length = |suffix| {
        let found = disk::find(&side_file(path, suffix)).ok().flatten();
        found.map_or(0, |it| it.len())
    };
    // Closing a writing connection would fold a log, and of a damaged file lose it.
    if length(JOURNAL_SUFFIX) == 0 || length(LOG_SUFFIX) > 0 || require_first_page(path).is_err() {
        return;
    }
    if let Ok(connection) = open(path, Access::Write, busy) {
        // The journal of a live writer is not touched: its lock says that it is in use.
        drop(connection.execute_batch("SELECT 1 FROM main.sqlite_schema"));
    }
}

/// Gives a connection a copy that nobody changes, to read from under a schema name.
///
/// # Errors
/// [`DatabaseError`], with the path.
pub fn attach_copy(connection: &Connection, copy: &Path, name: &str) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let uri = uri(copy, "?immutable=1&mode=ro");
    let uri = String::from_utf8_lossy(uri.as_os_str().as_bytes()).into_owned();
    let attached = connection.execute("ATTACH ?1 AS ?2", [uri.as_str(), name]);
    Ok(attached.map(drop).map_err(failed("attach", copy))?)
}

/// Opens a private database in memory with foreign keys off.
///
/// # Errors
/// [`DatabaseError`] where SQLite has no memory.
pub fn open_scratch() -> Result<Connection> {
    let name = Path::new(":memory:");
    let mut connection = Connection::open_in_memory().map_err(failed("open", name))?;
    connection.pragma_update(None, "foreign_keys", false).map_err(failed("open", name))?;
    stop::watch(&mut connection).map_err(failed("open", name))?;
    Ok(connection)
}

/// Makes a closure that turns SQLite's error into a [`DatabaseError`] with its place.
pub fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(rusqlite::Error) -> DatabaseError + use<> {
    let path = path.to_path_buf();
    move |source| DatabaseError::Sqlite { action, path, source }
}

/// Whether a file holds a SQLite database, by its first bytes.
///
/// Call it only before this process has a connection to the file: closing the descriptor drops
/// the process's POSIX locks on it (SQLite, "How To Corrupt", 2.2).
///
/// # Errors
/// The system's, with the path.
pub fn sniff(path: &Path) -> Result<bool> {
    Ok(read_head(path)?.0.starts_with(MAGIC))
}

/// Refuses a database that has not even one whole page. SQLite takes such a file for an empty
/// database, and opening it deletes the log in which its content may still be.
///
/// Call it only before this process has a connection to the file, as [`sniff`].
///
/// # Errors
/// [`DatabaseError::Damaged`]; the system's, with the path.
pub fn require_first_page(path: &Path) -> Result<()> {
    let (head, length) = read_head(path)?;
    // Two bytes, big-endian, where 1 means 65536 (SQLite file format, 1.3.2).
    let page = match head.get(16..18) {
        Some(&[0, 1]) => 65536,
        Some(&[high, low]) => u64::from(u16::from_be_bytes([high, low])),
        _ => 512,
    };
    if length >= page.max(512) {
        return Ok(());
    }
    let findings = format!("it has {length} bytes, which is less than one page");
    Err(DatabaseError::Damaged { path: path.into(), findings }.into())
}

/// The first bytes of a file, as far as it has them, and its length.
fn read_head(path: &Path) -> Result<(Vec<u8>, u64)> {
    let file = disk::open_to_sniff(path)?;
    let length = file.metadata().map_err(disk::failed("read", path))?.len();
    let mut head = Vec::with_capacity(18);
    file.take(18).read_to_end(&mut head).map_err(disk::failed("read", path))?;
    Ok((head, length))
}

/// Whether a path names a database inside the data directory: relative, and never upwards. One
/// outside of it would be in no backup.
#[must_use]
pub fn lies_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// The path of a side file: the database's name with a suffix of [`SIDE_SUFFIXES`].
#[must_use]
pub fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    name.into()
}

/// A `file:` URI with every byte escaped that the URI syntax gives a meaning to.
fn uri(path: &Path, query: &str) -> PathBuf {
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt, OsStringExt},
    };
    let mut text = b"file:".to_vec();
    let bytes = path.as_os_str().as_bytes();
    if path.is_relative() {
        // `file:name` is relative too, but a colon or slashes at its start would be misread.
        text.extend_from_slice(b"./");
    }
    for &byte in bytes {
        match byte {
            b'%' | b'?' | b'#' => text.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => text.push(byte),
        }
    }
    text.extend_from_slice(query.as_bytes());
    OsString::from_vec(text).into()
}

#[cfg(test)]
mod tests {
    use super::{Access, open_to_commit};
    use std::time::Duration;

    #[test]
    fn what_is_committed_is_durable_in_every_journal_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        for access in [Access::Create, Access::Write] {
            let connection = open_to_commit(&path, access, Duration::ZERO).unwrap();
            connection.execute_batch("CREATE TABLE IF NOT EXISTS t (id)").unwrap();
            let level = connection.pragma_query_value(None, "synchronous", |row| row.get(0));
            // 3 is EXTRA (SQLite, "PRAGMA synchronous").
            assert_eq!(level, Ok(3));
        }
    }
}
