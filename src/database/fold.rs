//! Folding the logs of a database into it, so that its file alone is the whole of it.

use super::{Access, SIDE_SUFFIXES, failed, open, side_file};
use crate::{Error, Kind, Result, disk, error::DatabaseError};
use rusqlite::{Connection, ErrorCode};
use std::{path::Path, time::Duration};

/// What a database was found to be.
#[derive(Debug)]
pub(crate) enum Folded {
    /// One whole file, alone.
    Whole,
    /// Somebody else has it open or locked.
    Held,
    /// It cannot be opened: it is as it was, with whatever lies beside it.
    Raw(DatabaseError),
}

/// Folds the log, rolls back a hot journal, and makes sure that nobody else has it open. No
/// connection is left.
///
/// # Errors
/// [`DatabaseError`] where it cannot be written.
pub(crate) fn fold(path: &Path) -> Result<Folded> {
    let folded = open(path, Access::Write, Duration::ZERO).and_then(|connection| {
        fold_open(&connection).map_err(failed("fold the log of", path))?;
        // Closing the last connection is what removes the log.
        connection.close().map_err(|(_, error)| failed("close", path)(error).into())
    });
    match folded {
        Ok(()) => {}
        Err(Error::Database(DatabaseError::Sqlite { source, .. })) if is_busy(&source) => {
            return Ok(Folded::Held);
        }
        Err(Error::Database(error)) if error.kind() == Kind::Damaged => {
            return Ok(Folded::Raw(error));
        }
        Err(error) => return Err(error),
    }
    // A journal may stay by the database's own setting; the log stays only if somebody holds it.
    match disk::exists(&side_file(path, SIDE_SUFFIXES[0]))? {
        true => Ok(Folded::Held),
        false => Ok(Folded::Whole),
    }
}

fn fold_open(connection: &Connection) -> rusqlite::Result<()> {
    // Reading rolls back a hot journal and recovers the log of a process that died.
    connection.execute_batch("SELECT 1 FROM sqlite_schema")?;
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy != 0 {
        return Err(busy_error());
    }
    connection.execute_batch("BEGIN EXCLUSIVE; ROLLBACK")
}

fn busy_error() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
