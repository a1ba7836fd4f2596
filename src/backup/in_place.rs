//! Archiving a database where it lies, as long as nobody wants to write to it.
//!
//! A read transaction on a database with a rollback journal keeps its file as it is, but for writers that
//! wait. So nothing is copied at first; once a writer comes, the file is copied, the writer goes on, and so
//! does the backup, with the copy. A writer that comes waits for the copy, as it would for one made at once.

use super::{
    Request,
    checking::Checking,
    copy,
    cut::{Pinned, Source},
};
use crate::{
    Error, Result,
    database::Wanted,
    disk,
    error::DiskError,
    store::{self, Attributes, DatabaseFacts, DatabaseRecord, Digest, Draft, StoredPath},
};
use rusqlite::Connection;
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread::{self, Scope},
    time::Duration,
};

/// Smaller databases are copied at once, which takes hardly longer than a writer notices.
pub(super) const LARGE: u64 = 32 << 20;
/// Between two looks for a writer while a check goes on.
const PAUSE: Duration = Duration::from_millis(1);

/// A database to which nobody can write.
pub(super) struct Held {
    connection: Connection,
    live: Live,
    path: StoredPath,
}

impl Held {
    /// Its path in the data directory.
    pub(super) fn path(&self) -> &StoredPath {
        &self.path
    }
}

/// Its file. Closing it drops the locks that the connection has, so that this lives longer.
struct Live {
    file: File,
    length: u64,
    absolute: PathBuf,
    wanted: Wanted,
    /// Where a copy is made if need be.
    target: PathBuf,
}

/// How a database can be read.
pub(super) enum Place {
    /// Where it lies.
    Live(Box<Held>),
    /// It was copied to the target, and its writers go on.
    Copy(StoredPath),
}

/// Holds a database; one whose copy costs nothing is copied.
///
/// # Errors
/// [`crate::error::DatabaseError`], with the path of the database; the system's.
pub(super) fn hold(pinned: Pinned, target: PathBuf) -> Result<Place> {
    let Pinned { path, absolute, journal, source } = pinned;
    let connection = match source {
        Source::Live(connection) => connection,
        source @ Source::Copy(_) => {
            let made = Pinned { path, absolute, journal, source };
            return Ok(Place::Copy(copy::copy(made, &target)?));
        }
    };
    let file = disk::open_to_read(&absolute)?;
    let Some(length) = copy::length_in(&connection, &absolute, &file)? else {
        let pinned = Pinned { path, absolute, journal, source: Source::Live(connection) };
        return Ok(Place::Copy(copy::copy(pinned, &target)?));
    };
    if copy::share((&file, &absolute), &target, length)? {
        drop(connection);
        return Ok(Place::Copy(path));
    }
    let wanted = Wanted::new(&absolute);
    let live = Live { file, length, absolute, wanted, target };
    Ok(Place::Live(Box::new(Held { connection, live, path })))
}

/// Checks and archives a database that is held, and lets go of it.
///
/// # Errors
/// [`crate::error::DatabaseError`] where it is damaged; the system's.
pub(super) fn archive(
    held: Held,
    request: &Request<'_>,
    attributes: Attributes,
    draft: &mut Draft<'_>,
) -> Result<DatabaseRecord> {
    let Held { connection, live, path } = held;
    let (connection, facts, sha256) = thread::scope(|scope| {
        let mut reading = Reading::begin(scope, &live, connection)?;
        let source: (&Path, &mut dyn Read) = (&live.absolute, &mut reading);
        let digest = draft.add_database(&path, &attributes, live.length, source);
        reading.end(digest)
    })?;
    let position = (request.inspect)(&connection, path.as_path());
    drop(connection);
    Ok(DatabaseRecord { path, attributes, size: live.length, sha256, facts, position })
}

/// The content of a database that is held, as a copy of it would have it.
struct Reading<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    live: &'env Live,
    /// Taken out of here only where it is replaced, or nobody asks for it any more.
    checking: Option<Checking<'scope>>,
    copy: Option<File>,
    offset: u64,
    /// What went wrong besides reading.
    failure: Option<Error>,
}

impl<'scope, 'env> Reading<'scope, 'env> {
    fn begin(
        scope: &'scope Scope<'scope, 'env>,
        live: &'env Live,
        connection: Connection,
    ) -> Result<Self> {
        let checking = Some(Checking::begin(scope, connection, &live.absolute)?);
        Ok(Self { scope, live, checking, copy: None, offset: 0, failure: None })
    }

    /// Lets a writer go on if there is one.
    fn look(&mut self) -> Result<()> {
        if self.copy.is_none() && self.live.wanted.is_so(&self.live.file) {
            let Live { file, length, absolute, target, .. } = self.live;
            if let Some(checking) = &self.checking {
                // It would begin anew anyway, and takes a core from the copy that a writer waits for.
                checking.stop();
            }
            copy::copy_held((file, absolute), target, *length)?;
            if let Some(checking) = self.checking.take() {
                let (connection, _) = checking.end()?;
                // A check that stops ends no transaction; had it, the copy would be worth nothing.
                if connection.is_autocommit() {
                    let path = absolute.display();
                    return Err(Error::Internal(format!(
                        "`{path}` was let go while it was copied"
                    )));
                }
                // The end of the transaction is what writers wait for.
                drop(connection);
            }
            self.copy = Some(disk::open_to_read(target)?);
            let connection = store::open_copy(target)?;
            self.checking = Some(Checking::begin(self.scope, connection, absolute)?);
        }
        Ok(())
    }

    /// The connection, what the check has found, and the digest.
    fn end(mut self, digest: Result<Digest>) -> Result<(Connection, DatabaseFacts, Digest)> {
        let ended =
            digest.map_err(|error| self.failure.take().unwrap_or(error)).and_then(|digest| {
                while self.checking.as_ref().is_some_and(|it| !it.is_over()) {
                    self.look()?;
                    thread::sleep(PAUSE);
                }
                Ok(digest)
            });
        let Some(checking) = self.checking else {
            let gone = || Error::Internal("the check of a database is gone".into());
            return Err(ended.err().unwrap_or_else(gone));
        };
        if ended.is_err() {
            checking.stop();
        }
        let (connection, facts) = checking.end()?;
        let digest = ended?;
        Ok((connection, facts?, digest))
    }
}

impl Read for Reading<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Err(failure) = self.look() {
            let error = match &failure {
                Error::Disk(DiskError { source, .. }) => source.kind(),
                _ => io::ErrorKind::Other,
            };
            self.failure = Some(failure);
            return Err(error.into());
        }
        let count = match &self.copy {
            Some(copy) => copy.read_at(buffer, self.offset)?,
            None => {
                let count = self.live.file.read_at(buffer, self.offset)?;
                copy::dress(&mut buffer[..count], self.offset);
                count
            }
        };
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
#[path = "in_place_tests.rs"]
mod tests;
