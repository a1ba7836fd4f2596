//! Folding the logs of a live database into it, so that none lies there when a new one comes.
//!
//! A write-ahead log beside a database that it does not belong to is replayed into it, and
//! `integrity_check` says ok. So the logs go before the swap, never after it.

use crate::{
    Error, Kind, Result,
    database::{self, Access, SIDE_SUFFIXES},
    disk,
    error::{DatabaseError, RestoreError},
};
use rusqlite::{Connection, ErrorCode};
use std::{path::Path, time::Duration};

/// What a live database was found to be.
#[derive(Debug)]
pub(crate) enum Folded {
    /// One whole file, alone.
    Whole,
    /// It cannot be opened: it is kept as it is, with whatever lies beside it.
    Raw(DatabaseError),
}

/// Folds the log, rolls back a hot journal, and makes sure that nobody else has it open.
///
/// # Errors
/// [`RestoreError::HeldUnseen`] where somebody has; [`DatabaseError`] where it cannot be written.
pub(crate) fn fold(path: &Path, shown: &Path) -> Result<Folded> {
    let folded = database::open(path, Access::Write, Duration::ZERO).and_then(|connection| {
        fold_open(&connection).map_err(database::failed("fold the log of", path))?;
        // Closing the last connection is what removes the log.
        connection.close().map_err(|(_, error)| database::failed("close", path)(error).into())
    });
    match folded {
        Ok(()) => {}
        Err(Error::Database(DatabaseError::Sqlite { source, .. })) if is_busy(&source) => {
            return Err(RestoreError::HeldUnseen { database: shown.into() }.into());
        }
        Err(Error::Database(error)) if error.kind() == Kind::Damaged => {
            return Ok(Folded::Raw(error));
        }
        Err(error) => return Err(error),
    }
    // A journal may stay by the database's own setting; the log stays only if somebody holds it.
    let log = database::side_file(path, SIDE_SUFFIXES[0]);
    if disk::exists(&log)? {
        return Err(RestoreError::HeldUnseen { database: shown.into() }.into());
    }
    Ok(Folded::Whole)
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
