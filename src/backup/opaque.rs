//! Databases that SQLite cannot read here, such as encrypted ones (SQLCipher). They are stored as the
//! files that they are, and nothing in them is checked; but while they are read nobody writes to them, so
//! that database and log belong together.
//!
//! Their programs lock the same bytes as SQLite does (SQLite file format, 1.3, "the lock-byte page";
//! "WAL-index locks" of its documentation).

use super::scan::Tree;
use crate::{
    Result,
    database::{FIRST_LOCK_BYTE, side_file},
    disk::{self, Claim},
    error::BackupError,
    store::StoredPath,
};
use std::{
    fs::File,
    io::ErrorKind,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Whoever is about to write to a database with a rollback journal locks this byte of it.
const RESERVED: i64 = FIRST_LOCK_BYTE + 1;
/// Whoever writes to a log, or copies it into its database, locks these bytes of `-shm`.
const LOG_WRITERS: i64 = 120;
const PAUSE: Duration = Duration::from_millis(2);

/// Keeps writers out of one such database at a time.
pub(super) struct Guard<'a> {
    data: &'a Path,
    limit: Duration,
    held: Option<(StoredPath, Vec<File>)>,
}

impl<'a> Guard<'a> {
    /// `limit` is how long a writer is waited for.
    pub(super) fn new(data: &'a Path, limit: Duration) -> Self {
        Self { data, limit, held: None }
    }

    /// To be called before a file is read, in the order of the paths: locks the database that it
    /// belongs to, and lets go of the one before. Gives a sentence where that is not possible.
    ///
    /// # Errors
    /// [`BackupError::OpaqueBusy`]; the system's, with the path.
    pub(super) fn step(&mut self, tree: &Tree, path: &StoredPath) -> Result<Option<String>> {
        let base = tree.opaque_base(path);
        if self.held.as_ref().map(|(held, _)| held) == base.as_ref() {
            return Ok(None);
        }
        self.held = None;
        let Some(base) = base else { return Ok(None) };
        let main = base.below(self.data);
        let mut files = Vec::new();
        let deadline = Instant::now() + self.limit;
        for (file, start, length) in
            [(main.clone(), RESERVED, 1), (side_file(&main, "-shm"), LOG_WRITERS, 2)]
        {
            match self.lock(&file, (start, length), deadline) {
                Ok(Some(locked)) => files.push(locked),
                Ok(None) => {
                    let (database, seconds) = (main, self.limit.as_secs());
                    return Err(BackupError::OpaqueBusy { database, seconds }.into());
                }
                Err(error) if error.source.kind() == ErrorKind::NotFound => {}
                Err(error)
                    if matches!(
                        error.source.kind(),
                        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                    ) =>
                {
                    return Ok(Some(format!(
                        "`{base}` could not be locked: database and log may be of two moments"
                    )));
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.held = Some((base, files));
        Ok(None)
    }

    /// The locked file; nothing where somebody else keeps it locked.
    fn lock(
        &self,
        file: &Path,
        (start, length): (i64, i64),
        deadline: Instant,
    ) -> disk::Result<Option<File>> {
        let open = disk::open_to_lock(file)?;
        loop {
            match disk::lock_range("opaque-lock", file, &open, start, length)? {
                Claim::Granted => return Ok(Some(open)),
                Claim::Taken if Instant::now() >= deadline => return Ok(None),
                Claim::Taken => thread::sleep(PAUSE),
            }
        }
    }
}
