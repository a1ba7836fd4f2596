//! Copying a pinned database into a file of its own, equal byte for byte for equal content.
//!
//! With a rollback journal the file is the database as long as a read transaction keeps writers out,
//! so that it can be copied as a file; otherwise SQLite's backup puts its pages together.

use super::cut::{Journal, Pinned, Source};
use crate::{
    Error, Result,
    database::{self, Access, failed},
    disk,
    store::StoredPath,
};
use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use std::{fs::File, path::Path, thread, time::Duration};

/// What every copy has in its header (SQLite file format, 1.3), as offsets and numbers of 4 bytes: change
/// counter, schema cookie, version-valid-for, and the version of the library. The counters tell a process that
/// its cached pages are old, and nobody has cached a copy.
fn header() -> [(u64, u32); 4] {
    let version = u32::try_from(rusqlite::version_number()).unwrap_or_default();
    [(24, 1), (40, 1), (92, 1), (96, version)]
}

/// Copies a database and lets go of it: writers of a rollback journal wait for that, and checkpoints of a
/// log. A copy that was made already is moved there. Gives its path.
///
/// # Errors
/// [`crate::error::DatabaseError`], with the path of the database; the system's.
pub(super) fn copy(pinned: Pinned, target: &Path) -> Result<StoredPath> {
    let Pinned { path, absolute, journal, source } = pinned;
    match (source, journal) {
        (Source::Copy(copy), _) => disk::rename("copy-move", &copy, target)?,
        (Source::Live(connection), Journal::Rollback) => copy_file(connection, &absolute, target)?,
        (Source::Live(connection), Journal::Wal | Journal::Unlocked) => {
            copy_connection(&connection, &absolute, target)?;
        }
    }
    Ok(path)
}

/// Copies the file of a database to which nobody can write.
fn copy_file(connection: Connection, absolute: &Path, target: &Path) -> Result<()> {
    let file = disk::open_to_read(absolute)?;
    let copied = length_in(&connection, absolute, &file).and_then(|length| match length {
        Some(length) => copy_held((&file, absolute), target, length),
        None => copy_connection(&connection, absolute, target),
    });
    // In this order: closing the file drops the locks that the connection has.
    drop(connection);
    drop(file);
    copied
}

/// Copies a file to which nobody can write while it is copied.
///
/// # Errors
/// The system's, with the path of the file.
pub(super) fn copy_held(from: (&File, &Path), target: &Path, length: u64) -> Result<()> {
    disk::copy_beginning("copy-file", from, target, length)?;
    set_header(target)
}

/// The same where the two files can share their bytes, so that it takes no time; tells whether they can.
///
/// # Errors
/// The system's, with the path of the copy.
pub(super) fn share(from: (&File, &Path), target: &Path, length: u64) -> Result<bool> {
    let shared = disk::share_beginning("copy-share", from.0, target, length)?;
    if shared {
        set_header(target)?;
    }
    Ok(shared)
}

/// How many bytes a database has, which may be fewer than its file.
pub(super) fn length(connection: &Connection, absolute: &Path) -> Result<u64> {
    let number = |pragma: &str| -> Result<u64> {
        let number = connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
        Ok(number.map(u64::from).map_err(failed("read the size of", absolute))?)
    };
    Ok(number("page_count")? * number("page_size")?)
}

/// How many bytes of a file are its database; nothing where SQLite itself has to say what it is.
pub(super) fn length_in(
    connection: &Connection,
    absolute: &Path,
    file: &File,
) -> Result<Option<u64>> {
    let length = length(connection, absolute)?;
    let found = file.metadata().map_err(disk::failed("read", absolute))?;
    Ok((0 < length && length <= found.len()).then_some(length))
}

/// Copies what a connection in a read transaction sees, with a header as [`copy`] writes it.
///
/// All pages go in one step: in several, a steady writer could make it begin again and again.
///
/// # Errors
/// [`crate::error::DatabaseError`], with the path of the database.
pub(crate) fn copy_connection(source: &Connection, shown: &Path, target: &Path) -> Result<()> {
    let reading = || failed("copy", shown);
    {
        let mut copy = database::open(target, Access::Create, Duration::ZERO)?;
        // The copy is worth nothing until it is archived: neither journal nor sync.
        copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
            .map_err(failed("prepare the copy", target))?;
        let backup = Backup::new(source, &mut copy).map_err(reading())?;
        let mut attempts = 0;
        loop {
            match backup.step(-1).map_err(reading())? {
                StepResult::Done => break,
                _ if attempts < 1000 => {
                    attempts += 1;
                    thread::sleep(Duration::from_millis(2));
                }
                _ => {
                    let path = shown.display();
                    return Err(Error::Internal(format!("copying `{path}` makes no progress")));
                }
            }
        }
    }
    let found = std::fs::metadata(target).map_err(disk::failed("read", target))?;
    if found.len() > 0 {
        set_header(target)?;
    }
    Ok(())
}

/// Gives bytes of a database, which lie at so many bytes from its beginning, the header of a copy.
pub(super) fn dress(bytes: &mut [u8], offset: u64) {
    for (field, number) in header() {
        for (at, byte) in (field..).zip(number.to_be_bytes()) {
            let place = at.checked_sub(offset).and_then(|at| usize::try_from(at).ok());
            if let Some(found) = place.and_then(|at| bytes.get_mut(at)) {
                *found = byte;
            }
        }
    }
}

fn set_header(target: &Path) -> Result<()> {
    for (offset, number) in header() {
        disk::write_at("copy-header", target, offset, &number.to_be_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::{super::cut::cut, copy, copy_connection};
    use crate::{
        database::{self, Access},
        store::StoredPath,
    };
    use rusqlite::Connection;
    use std::{fs, io::Write, path::Path, time::Duration};

    const FILL: &str = "CREATE TABLE t (a INTEGER PRIMARY KEY, b);
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 900)
        INSERT INTO t (b) SELECT randomblob(n % 700) FROM n;
        CREATE INDEX i ON t (b);
        DELETE FROM t WHERE a % 3 = 0;";

    /// The bytes of a copy as it is made for a backup, and as SQLite makes it of the same file.
    fn both(folder: &Path) -> (Vec<u8>, Vec<u8>) {
        let (ours, theirs) = (folder.join("ours"), folder.join("theirs"));
        for path in [&ours, &theirs] {
            drop(fs::remove_file(path));
        }
        let (mut pinned, _) =
            cut(folder, &[StoredPath::new("app.db").unwrap()], Duration::ZERO, None).unwrap();
        copy(pinned.pop().unwrap(), &ours).unwrap();
        let live = folder.join("app.db");
        let source = database::open(&live, Access::Read, Duration::ZERO).unwrap();
        copy_connection(&source, &live, &theirs).unwrap();
        (fs::read(ours).unwrap(), fs::read(theirs).unwrap())
    }

    #[test]
    fn a_file_that_is_copied_is_what_sqlite_copies() {
        for before in [
            "",
            "PRAGMA page_size = 512; PRAGMA auto_vacuum = INCREMENTAL;",
            "PRAGMA page_size = 65536; PRAGMA journal_mode = PERSIST;",
            "PRAGMA journal_mode = TRUNCATE; PRAGMA user_version = 7; PRAGMA encoding = 'UTF-16';",
            "PRAGMA journal_mode = WAL;",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let live = folder.path().join("app.db");
            Connection::open(&live).unwrap().execute_batch(&format!("{before}{FILL}")).unwrap();
            let (ours, theirs) = both(folder.path());
            assert!(ours == theirs, "{before}");
            // What lies behind the database is no part of it.
            if !before.contains("WAL") {
                let mut file = fs::OpenOptions::new().append(true).open(&live).unwrap();
                file.write_all(&[7; 100_000]).unwrap();
                assert!(both(folder.path()).0 == theirs, "{before}");
            }
        }
    }

    #[test]
    fn whoever_writes_waits_until_the_copy_is_made_and_not_longer() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("app.db");
        let writer = Connection::open(&live).unwrap();
        writer.execute_batch(FILL).unwrap();
        writer.busy_timeout(Duration::ZERO).unwrap();
        let (mut pinned, _) =
            cut(folder.path(), &[StoredPath::new("app.db").unwrap()], Duration::ZERO, None)
                .unwrap();
        let write = || writer.execute_batch("INSERT INTO t (b) VALUES (1)");
        write().unwrap_err();
        copy(pinned.pop().unwrap(), &folder.path().join("copy")).unwrap();
        write().unwrap();
    }
}
