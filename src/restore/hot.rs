//! Restoring into databases that a service has open, through SQLite's own backup interface.
//!
//! It is atomic for each database and not over several. All are locked before the first is written,
//! so that what can be refused is refused while nothing has changed; a note says how far it came.

use super::{
    Request,
    hot_note::{self, HotNote},
    journal::{Area, Journal},
    prepare::Contents,
};
use crate::{
    Error, Result, backup,
    database::{self, Access, failed},
    disk,
    error::RestoreError,
    event::{Event, Observer},
    store::{self, DatabaseRecord, StoredPath},
};
use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
    ffi,
};
use std::{
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long a database that is being read or written is tried again, and how long between.
const LIMIT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
const PAUSE: Duration = Duration::from_millis(5);
/// Offset of the two bytes that tell whether a database has a write-ahead log (SQLite file format,
/// 1.3.3).
const JOURNAL_MODE: u64 = 18;

/// One open database.
struct Target<'a> {
    record: &'a DatabaseRecord,
    live: PathBuf,
    source: Connection,
    connection: Connection,
    /// What the content was known to be at, where it was looked at.
    version: Option<u32>,
}

/// Restores all open databases of a journal.
///
/// # Errors
/// Before any is written: [`RestoreError::PageSize`], [`RestoreError::HotBusy`],
/// [`RestoreError::Changed`]. Afterwards [`RestoreError::HalfHot`] says which of them are new.
pub(super) fn restore_all(
    request: &Request<'_>,
    area: &Area,
    journal: &Journal,
    contents: Option<&Contents>,
    observer: &dyn Observer,
) -> Result<()> {
    if journal.hot.is_empty() {
        return Ok(());
    }
    let _changing = disk::Changing::begin();
    let open = |path: &StoredPath| open(request, area, path);
    let mut targets = journal.hot.iter().map(open).collect::<Result<Vec<Target<'_>>>>()?;
    if let Some(contents) = contents {
        let changed = targets
            .iter_mut()
            .map(|target| Ok((!target.is_at(contents, area)?).then(|| target.shown().into())))
            .collect::<Result<Vec<Option<PathBuf>>>>()?;
        refuse(request, changed.into_iter().flatten().collect())?;
    }
    write_all(request, area, journal, &mut targets)?;
    let compared = targets.iter().try_for_each(|it| it.compare(area, journal, observer));
    drop(disk::remove_tree("hot-scratch", &area.scratch()));
    compared
}

fn open<'a>(request: &Request<'a>, area: &Area, path: &StoredPath) -> Result<Target<'a>> {
    let (staged, live) = (path.below(&area.staging()), path.below(request.data));
    let record = request.backup.manifest.databases.iter().find(|record| record.path == *path);
    let record = record.ok_or_else(|| Error::Internal(format!("`{path}` is in no manifest")))?;
    let source = store::open_copy(&staged)?;
    let connection = database::open_to_commit(&live, Access::Write, Duration::ZERO)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed("restore into", &live))?;
    let found: u32 = connection
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .map_err(failed("read the page size of", &live))?;
    let backup = record.facts.page_size;
    if found != backup {
        let database = path.as_path().into();
        return Err(RestoreError::PageSize { database, live: found, backup }.into());
    }
    Ok(Target { record, live, source, connection, version: None })
}

/// Locks all, sees that nobody has written since they were looked at, and writes one after the
/// other.
fn write_all(
    request: &Request<'_>,
    area: &Area,
    journal: &Journal,
    targets: &mut [Target<'_>],
) -> Result<()> {
    let known: Vec<(PathBuf, Option<u32>, Handle)> = targets
        .iter()
        .map(|target| (target.shown().into(), target.version, Handle::of(&target.connection)))
        .collect();
    let mut copying = Vec::new();
    for target in targets {
        let begun = Backup::new(&target.source, &mut target.connection);
        copying.push((begun.map_err(failed("restore into", &target.live))?, &target.live));
    }
    let deadline = Instant::now() + LIMIT;
    for ((copying, live), (shown, ..)) in copying.iter().zip(&known) {
        // No page yet: this takes the lock alone, which ends with the copying.
        while copying.step(0).map_err(failed("restore into", live))? != StepResult::More {
            if Instant::now() >= deadline {
                let database = shown.clone();
                return Err(RestoreError::HotBusy { database, seconds: LIMIT.as_secs() }.into());
            }
            thread::sleep(PAUSE);
        }
    }
    let mut changed = Vec::new();
    for (shown, version, handle) in &known {
        if version.is_some() && *version != Some(handle.data_version(shown)?) {
            changed.push(shown.clone());
        }
    }
    refuse(request, changed)?;
    let mut note = HotNote::new(journal);
    for ((copying, live), path) in copying.iter().zip(&journal.hot) {
        note.begins(area).map_err(|error| note.half(&error))?;
        let ended = copying.step(-1).map_err(failed("restore into", live));
        match ended.map_err(Error::from) {
            Ok(StepResult::Done) => note.ends(),
            Ok(step) => {
                let cause = Error::Internal(format!("`{path}` was locked, and then {step:?}"));
                return Err(note.half(&cause));
            }
            Err(error) => return Err(note.half(&error)),
        }
    }
    note.write(area).map_err(|error| note.half(&error))
}

fn refuse(request: &Request<'_>, changed: Vec<PathBuf>) -> Result<()> {
    match changed.is_empty() {
        true => Ok(()),
        false => {
            let look = format!("piton restore {}", request.backup.id());
            Err(RestoreError::Changed { changed, look }.into())
        }
    }
}

impl Target<'_> {
    fn shown(&self) -> &Path {
        self.record.path.as_path()
    }

    /// Whether the content is what the safety backup has; remembers the version of it.
    fn is_at(&mut self, contents: &Contents, area: &Area) -> Result<bool> {
        let (digest, version) = self.content(area, None)?;
        self.version = Some(version);
        Ok(contents.get(&self.record.path) == Some(&digest))
    }

    /// The digest of what a reader sees now, and the version that this is; with another file, as
    /// if it had the journal mode of that.
    fn content(&self, area: &Area, like: Option<&Path>) -> Result<(store::Digest, u32)> {
        let reading = || failed("read", &self.live);
        let copy = area.scratch().join("hot.db");
        disk::create_private_folders("hot-folder", &area.scratch())?;
        disk::remove_file("hot-copy", &copy)?;
        self.connection.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema").map_err(reading())?;
        let version = Handle::of(&self.connection).data_version(&self.live)?;
        let copied = backup::copy_connection(&self.connection, &self.live, &copy);
        self.connection.execute_batch("ROLLBACK").map_err(reading())?;
        copied?;
        if let Some(like) = like {
            let mut mode = [0; 2];
            let read = disk::open_to_read(like)?.read_exact_at(&mut mode, JOURNAL_MODE);
            read.map_err(disk::failed("read", like))?;
            disk::write_at("hot-copy", &copy, JOURNAL_MODE, &mode)?;
        }
        let file = disk::open_to_read(&copy)?;
        let (digest, _) = store::digest_of(file).map_err(disk::failed("read", &copy))?;
        disk::remove_file("hot-copy", &copy)?;
        Ok((digest, version))
    }

    /// Compares what is there now with the manifest. What a service has written since cannot be
    /// told apart from what the restore wrote, and is said.
    fn compare(&self, area: &Area, journal: &Journal, observer: &dyn Observer) -> Result<()> {
        let written = Handle::of(&self.connection).data_version(&self.live)?;
        // An open database keeps its journal mode, of which the header tells.
        let staged = self.record.path.below(&area.staging());
        let (digest, version) = self.content(area, Some(&staged))?;
        if digest == self.record.sha256 {
            return Ok(());
        }
        if version != written {
            let path = &self.record.path;
            let text = format!("`{path}` was written to before it could be compared");
            observer.event(Event::Warning { text });
            return Ok(());
        }
        let cause = Error::Restore(RestoreError::Differs {
            path: self.shown().into(),
            undo: area.undo(&journal.id),
        });
        Err(hot_note::after_all(journal, &cause))
    }
}

/// A connection while a backup into it runs, when SQLite allows no other call.
struct Handle(*mut ffi::sqlite3);

impl Handle {
    #[expect(unsafe_code, reason = "rusqlite has no wrapper for this file control")]
    fn of(connection: &Connection) -> Self {
        // SAFETY: it is only used as long as the connection lives, and never closed through it.
        Self(unsafe { connection.handle() })
    }

    /// A number that changes whenever this connection sees that anybody has changed the database
    /// (SQLite's documentation of SQLITE_FCNTL_DATA_VERSION).
    #[expect(unsafe_code, reason = "rusqlite has no wrapper for this file control")]
    fn data_version(&self, path: &Path) -> Result<u32> {
        let mut version = 0_u32;
        // SAFETY: the handle is that of an open connection, the name ends with NUL, and the
        // control writes one 32-bit number to where the pointer points.
        let code = unsafe {
            ffi::sqlite3_file_control(
                self.0,
                c"main".as_ptr(),
                ffi::SQLITE_FCNTL_DATA_VERSION,
                (&raw mut version).cast(),
            )
        };
        match code {
            ffi::SQLITE_OK => Ok(version),
            code => {
                let cause = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
                Err(failed("read the version of", path)(cause).into())
            }
        }
    }
}
