//! One instant over all databases: a short write barrier, and a read transaction on each behind it.
//!
//! Nothing is written. Writers wait for as long as it takes to begin one read transaction per
//! database; readers never wait.

use crate::{
    Error, Result,
    database::{self, Access, failed},
    disk,
    error::{BackupError, DatabaseError},
    store::{Cut, StoredPath},
};
use rusqlite::{Connection, ErrorCode};
use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Between two attempts; SQLite's own waiting grows to 100 ms, in which other writers would stand.
const PAUSE: Duration = Duration::from_micros(200);

/// A database with a read transaction that shows the instant of the cut.
pub(crate) struct Pinned {
    pub(crate) path: StoredPath,
    pub(crate) absolute: PathBuf,
    pub(crate) connection: Connection,
    pub(crate) journal: Journal,
}

/// How a database keeps its transactions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Journal {
    /// A rollback journal: the read transaction keeps writers from committing.
    Rollback,
    /// A write-ahead log: nobody waits for a read transaction.
    Wal,
}

/// Cuts all databases at one instant, or each on its own where that cannot be had in time.
///
/// `paths` are sorted, so that two runs can never wait for each other.
///
/// # Errors
/// [`DatabaseError`] for one that cannot be read, for instance because it is locked exclusively.
pub(crate) fn cut(
    data: &Path,
    paths: &[StoredPath],
    limit: Duration,
) -> Result<(Vec<Pinned>, Cut)> {
    allow_descriptors(paths.len());
    let reason = match behind_barrier(data, paths, limit) {
        Ok(pinned) => return Ok((pinned, Cut::All)),
        Err(Obstacle::Other(error)) => return Err(error),
        Err(Obstacle::Barrier(reason)) => reason,
    };
    let deadline = Instant::now() + limit;
    let pinned = paths.iter().map(|path| pin(data, path, deadline)).collect::<Result<Vec<_>>>()?;
    // One database is one instant whatever else happens.
    let cut = if paths.len() < 2 { Cut::All } else { Cut::PerDatabase { reason } };
    Ok((pinned, cut))
}

/// Raises the soft limit of open files where so many databases need it: two connections to each,
/// with database, log and index. The hard limit, which is the administrator's, stays as it is.
fn allow_descriptors(databases: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = databases as u64 * 6 + 64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < needed) {
        let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
        // Where it is refused, opening the databases says what is missing.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    }
}

enum Obstacle {
    /// The barrier cannot be put up, with the reason.
    Barrier(String),
    Other(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

fn behind_barrier(
    data: &Path,
    paths: &[StoredPath],
    limit: Duration,
) -> Result<Vec<Pinned>, Obstacle> {
    if paths.len() < 2 {
        return Err(Obstacle::Barrier("there is nothing to hold together".into()));
    }
    // Connections are opened beforehand, so that the writers do not wait for that.
    let open = |path: &StoredPath| open_source(&path.below(data), Access::Write);
    let barriers: Vec<Connection> = paths.iter().map(open).collect::<Result<_>>()?;
    let readers: Vec<Connection> = paths.iter().map(open).collect::<Result<_>>()?;
    let deadline = Instant::now() + limit;
    for (barrier, path) in barriers.iter().zip(paths) {
        match patiently(deadline, || barrier.execute_batch("BEGIN IMMEDIATE")) {
            Ok(()) => {}
            Err(error) if is_busy(&error) => {
                let reason = format!("`{path}` stayed locked for {} ms", limit.as_millis());
                return Err(Obstacle::Barrier(reason));
            }
            Err(error) if is_read_only(&error) => {
                return Err(Obstacle::Barrier(format!("`{path}` is read-only")));
            }
            Err(error) => {
                return Err(Error::from(failed("lock", &path.below(data))(error)).into());
            }
        }
    }
    let mut pinned = Vec::with_capacity(paths.len());
    for (connection, path) in readers.into_iter().zip(paths) {
        pinned.push(begin(data, path, connection, deadline)?);
    }
    // Dropping the barriers rolls them back: they have written nothing.
    Ok(pinned)
}

/// Pins one database on its own.
fn pin(data: &Path, path: &StoredPath, deadline: Instant) -> Result<Pinned> {
    let absolute = path.below(data);
    let first = open_source(&absolute, Access::Write)
        .and_then(|connection| begin(data, path, connection, deadline));
    let error = match first {
        Err(Error::Database(DatabaseError::Sqlite { source, action, path }))
            if is_read_only(&source) =>
        {
            Error::Database(DatabaseError::Sqlite { source, action, path })
        }
        other => return other,
    };
    // Nothing can be written beside it. Without a log the file alone is the database, and whoever
    // cannot write here cannot be protected from those who can, so this is the best there is.
    let log = database::side_file(&absolute, "-wal");
    if disk::find(&log)?.is_some_and(|found| found.len() > 0) {
        return Err(BackupError::ReadOnly { database: absolute }.into());
    }
    if disk::exists(&database::side_file(&absolute, "-journal"))? {
        return Err(error);
    }
    begin(data, path, open_source(&absolute, Access::Immutable)?, deadline)
}

fn open_source(path: &Path, access: Access) -> Result<Connection> {
    database::open(path, access, Duration::ZERO)
}

fn begin(
    data: &Path,
    path: &StoredPath,
    connection: Connection,
    deadline: Instant,
) -> Result<Pinned> {
    let absolute = path.below(data);
    // Reading something is what begins the transaction.
    let read = || {
        connection.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema").inspect_err(|_| {
            // The transaction may have begun although the read failed.
            drop(connection.execute_batch("ROLLBACK"));
        })
    };
    patiently(deadline, read).map_err(failed("read", &absolute))?;
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(failed("read the journal mode of", &absolute))?;
    let journal = if mode == "wal" { Journal::Wal } else { Journal::Rollback };
    Ok(Pinned { path: path.clone(), absolute, connection, journal })
}

fn patiently(
    deadline: Instant,
    mut act: impl FnMut() -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    loop {
        match act() {
            Err(error) if is_busy(&error) && Instant::now() < deadline => thread::sleep(PAUSE),
            other => return other,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn is_read_only(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied)
    )
}
