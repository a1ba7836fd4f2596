//! Checking a database while it is archived: the one keeps a core busy, the other a disk.

use super::Request;
use crate::{
    Error, Result, database, disk,
    store::{self, Attributes, DatabaseFacts, DatabaseRecord, Draft, StoredPath},
};
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Scope, ScopedJoinHandle},
};

/// Steps of SQLite's virtual machine, and pages of a check, between two looks whether to stop.
const STEPS: i32 = 1000;

/// A connection, and what was found by it.
pub(super) type Checked = (Connection, Result<DatabaseFacts>);

/// The check of a database, by a thread of its own.
pub(super) struct Checking<'scope> {
    thread: ScopedJoinHandle<'scope, Checked>,
    stop: Arc<AtomicBool>,
}

impl<'scope> Checking<'scope> {
    /// Begins to check; `shown` is the path that messages name.
    ///
    /// # Errors
    /// The system's, where there can be no thread.
    pub(super) fn begin<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        mut connection: Connection,
        shown: &'env Path,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let check = move || {
            let look = move || stopped.load(Ordering::Relaxed);
            let facts = connection
                .progress_handler(STEPS, Some(look))
                .map_err(|error| database::failed("check", shown)(error).into())
                .and_then(|()| store::facts(&connection, shown));
            (connection, facts)
        };
        let started = thread::Builder::new().spawn_scoped(scope, check);
        let thread = started.map_err(disk::failed("start a thread that checks", shown))?;
        Ok(Self { thread, stop })
    }

    /// Makes it end soon, with an error or with facts that nobody should take for any.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether its result is there.
    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// The connection and what was found, when it is over.
    ///
    /// # Errors
    /// Where the thread has died.
    pub(super) fn end(self) -> Result<Checked> {
        self.thread.join().map_err(|_| Error::Internal("checking a database panicked".into()))
    }
}

/// Checks and archives a copy.
///
/// # Errors
/// [`crate::error::DatabaseError`] where it is damaged, with the path that it is a copy of; the system's.
pub(super) fn archive_copy(
    copy: &Path,
    request: &Request<'_>,
    (path, attributes): (StoredPath, Attributes),
    draft: &mut Draft<'_>,
) -> Result<DatabaseRecord> {
    let shown = path.below(request.data);
    thread::scope(|scope| {
        let checking = Checking::begin(scope, store::open_copy(copy)?, &shown)?;
        archive_checked(copy, checking, request, (path, attributes), draft)
    })
}

/// Archives a copy whose check has begun.
///
/// # Errors
/// As of [`archive_copy`].
pub(super) fn archive_checked(
    copy: &Path,
    checking: Checking<'_>,
    request: &Request<'_>,
    (path, attributes): (StoredPath, Attributes),
    draft: &mut Draft<'_>,
) -> Result<DatabaseRecord> {
    let mut file = disk::open_to_read(copy)?;
    let size = file.metadata().map_err(disk::failed("read", copy))?.len();
    let digest = draft.add_database(&path, &attributes, size, (copy, &mut file));
    if digest.is_err() {
        checking.stop();
    }
    let (connection, facts) = checking.end()?;
    let sha256 = digest?;
    let position = (request.inspect)(&connection, path.as_path());
    Ok(DatabaseRecord { path, attributes, size, sha256, facts: facts?, position })
}
