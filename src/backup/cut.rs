//! One instant over all databases: a short write barrier, and a read transaction on each behind it.
//!
//! Nothing is written. Writers wait for as long as it takes to begin one read transaction per
//! database; readers never wait.

use super::many;
use crate::{
    Error, Result,
    database::{self, Access, failed},
    disk,
    error::{BackupError, DatabaseError},
    store::{Cut, StoredPath},
};
use rusqlite::{Connection, ErrorCode, config::DbConfig};
use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Between two attempts; SQLite's own waiting grows to 100 ms, in which other writers would stand.
const PAUSE: Duration = Duration::from_micros(200);

/// A database as of the instant of the cut.
pub(crate) struct Pinned {
    pub(crate) path: StoredPath,
    pub(crate) absolute: PathBuf,
    pub(crate) journal: Journal,
    pub(crate) source: Source,
}

/// From what a database is read.
pub(crate) enum Source {
    /// A read transaction that shows the instant.
    Live(Connection),
    /// A copy that was made already, and that equals the database at the instant.
    Copy(PathBuf),
}

/// How a database keeps its transactions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Journal {
    /// A rollback journal: the read transaction keeps writers from committing, and so the file as it
    /// is.
    Rollback,
    /// A write-ahead log: nobody waits for a read transaction.
    Wal,
    /// Whichever: the file is read without locks, because none can be had.
    Unlocked,
}

/// Cuts all databases at one instant, or each on its own where that cannot be had in time. Of very many,
/// copies are made in `staging` before the instant (see [`many`]); without it all of them are held.
///
/// `paths` are sorted, so that two runs can never wait for each other.
///
/// # Errors
/// [`DatabaseError`] for one that cannot be read, for instance because it is locked exclusively.
pub(crate) fn cut(
    data: &Path,
    paths: &[StoredPath],
    limit: Duration,
    staging: Option<&Path>,
) -> Result<(Vec<Pinned>, Cut)> {
    let bounds = many::Bounds::of_system();
    if let Some(staging) = staging.filter(|_| paths.len() > bounds.most) {
        return many::cut((data, staging), paths, limit, bounds);
    }
    match hold_together(data, paths, limit, &|| Ok(true))? {
        Some(found) => Ok(found),
        None => Err(Error::Internal("nothing else can have changed".into())),
    }
}

/// Cuts databases that can all be held open at one time. `are_still` is asked at the instant, and decides
/// whether it is one for the others too; nothing is held where it is not.
///
/// # Errors
/// As of [`cut`].
pub(super) fn hold_together(
    data: &Path,
    paths: &[StoredPath],
    limit: Duration,
    are_still: &dyn Fn() -> Result<bool>,
) -> Result<Option<(Vec<Pinned>, Cut)>> {
    let reason = match behind_barrier(data, paths, limit, are_still) {
        Ok(pinned) => return Ok(Some((pinned, Cut::All))),
        Err(Obstacle::Other(error)) => return Err(error),
        Err(Obstacle::Restless) => return Ok(None),
        Err(Obstacle::Barrier(reason)) => reason,
    };
    let deadline = Instant::now() + limit;
    let pinned = paths.iter().map(|path| pin(data, path, deadline)).collect::<Result<Vec<_>>>()?;
    if paths.len() < 2 {
        // One database is one instant whatever else happens.
        return Ok(are_still()?.then_some((pinned, Cut::All)));
    }
    Ok(Some((pinned, Cut::PerDatabase { reason })))
}

enum Obstacle {
    /// The barrier cannot be put up, with the reason.
    Barrier(String),
    /// The instant is none for the others.
    Restless,
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
    are_still: &dyn Fn() -> Result<bool>,
) -> Result<Vec<Pinned>, Obstacle> {
    if paths.len() < 2 {
        return Err(Obstacle::Barrier("there is nothing to hold together".into()));
    }
    // Connections are opened beforehand, so that the writers do not wait for that. SQLite opens
    // the files when it first reads; what goes wrong in this look is met again below.
    let open = |path: &StoredPath| {
        let connection = open_source(&path.below(data), Access::Write)?;
        drop(connection.execute_batch("SELECT 1 FROM sqlite_schema"));
        Ok(connection)
    };
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
    let begun: Result<Vec<()>> = readers
        .iter()
        .zip(paths)
        .map(|(reader, path)| begin(&path.below(data), reader, deadline))
        .collect();
    let still = are_still();
    // They have written nothing. Closing them takes longer and keeps nobody waiting.
    for barrier in &barriers {
        drop(barrier.execute_batch("ROLLBACK"));
    }
    begun?;
    if !still? {
        return Err(Obstacle::Restless);
    }
    let sources = readers.into_iter().zip(paths);
    Ok(sources.map(|(reader, path)| pinned(data, path, reader)).collect::<Result<_>>()?)
}

/// Pins one database on its own.
pub(super) fn pin(data: &Path, path: &StoredPath, deadline: Instant) -> Result<Pinned> {
    let absolute = path.below(data);
    let first = open_source(&absolute, Access::Write)
        .and_then(|connection| begin(&absolute, &connection, deadline).map(|()| connection))
        .and_then(|connection| pinned(data, path, connection));
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
    let connection = open_source(&absolute, Access::Immutable)?;
    begin(&absolute, &connection, deadline)?;
    let source = Source::Live(connection);
    Ok(Pinned { path: path.clone(), absolute, journal: Journal::Unlocked, source })
}

fn open_source(path: &Path, access: Access) -> Result<Connection> {
    let connection = database::open(path, access, Duration::ZERO)?;
    let log = database::side_file(path, "-wal");
    if disk::find(&log)?.is_some_and(|found| found.len() > 0) {
        // The last one that closes folds the log; a look leaves it as it was found, because a crash
        // may have left it, and nobody has said yet that it belongs to this database.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(failed("open", path))?;
    }
    Ok(connection)
}

fn begin(absolute: &Path, connection: &Connection, deadline: Instant) -> Result<()> {
    // Reading something is what begins the transaction.
    let read = || {
        connection.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema").inspect_err(|_| {
            // The transaction may have begun although the read failed.
            drop(connection.execute_batch("ROLLBACK"));
        })
    };
    Ok(patiently(deadline, read).map_err(failed("read", absolute))?)
}

/// A connection whose read transaction has begun.
fn pinned(data: &Path, path: &StoredPath, connection: Connection) -> Result<Pinned> {
    let absolute = path.below(data);
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(failed("read the journal mode of", &absolute))?;
    let journal = if mode == "wal" { Journal::Wal } else { Journal::Rollback };
    let source = Source::Live(connection);
    Ok(Pinned { path: path.clone(), absolute, journal, source })
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
