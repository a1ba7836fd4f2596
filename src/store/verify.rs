//! Proof that a backup is what was taken: the whole archive is read back, and every database in it
//! is unpacked, checked and compared with what the manifest says about it.

use super::{Backup, DatabaseRecord, Digest, Item, extract::write_file, inspect, reader};
use crate::{
    Result, disk,
    error::StoreError,
    event::{Observer, Work},
    schema::search,
};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// Tells the position of a database from a copy of it.
type Position<'a> = &'a dyn Fn(&Connection, &Path) -> Option<String>;

/// Reads an archive through; databases are unpacked into `staging` one at a time. Gives what the
/// reader should know: positions that are not as listed.
///
/// # Errors
/// [`StoreError::Damaged`] or [`StoreError::Hostile`] with what differs.
pub(crate) fn verify(
    source: reader::Source<'_>,
    backup: &Backup,
    staging: &Path,
    position: Position<'_>,
    observer: &dyn Observer,
) -> Result<Vec<String>> {
    let copy = staging.join("verify.db");
    let archive = source.archive;
    let mut sink = Inspect { archive, copy, position, notes: Vec::new() };
    let found = reader::read(source, &backup.manifest, &mut sink, (Work::Verify, observer))?;
    compare_archive(archive, backup, found)?;
    Ok(sink.notes)
}

/// Compares the archive file itself with what its manifest file says.
///
/// # Errors
/// [`StoreError::Damaged`] where it differs.
pub(crate) fn compare_archive(
    archive: &Path,
    backup: &Backup,
    (sha256, bytes): (Digest, u64),
) -> Result<()> {
    if (sha256, bytes) == (backup.archive_sha256, backup.archive_bytes) {
        return Ok(());
    }
    let reason = "the file is not the one that was written".into();
    Err(StoreError::Damaged { archive: archive.into(), reason }.into())
}

/// Compares an unpacked database with its record.
///
/// # Errors
/// [`StoreError::Damaged`] where it differs, [`crate::error::DatabaseError`] where it is unsound.
pub(crate) fn compare_database(archive: &Path, record: &DatabaseRecord, copy: &Path) -> Result<()> {
    let connection = inspect::open_copy(copy)?;
    let mut facts = inspect::facts(&connection, record.path.as_path())?;
    // Another release of SQLite may check search indexes more strictly: that is not another content.
    facts.stale_indexes.clone_from(&record.facts.stale_indexes);
    if facts == record.facts {
        return Ok(());
    }
    let reason = format!("`{}` does not contain what is listed", record.path);
    Err(StoreError::Damaged { archive: archive.into(), reason }.into())
}

struct Inspect<'a> {
    archive: &'a Path,
    copy: PathBuf,
    position: Position<'a>,
    notes: Vec<String>,
}

impl reader::Sink for Inspect<'_> {
    fn take(&mut self, item: Item<'_>, content: &mut reader::Content<'_>) -> Result<()> {
        match item {
            Item::Database(_) => write_file(&self.copy, content).map(drop),
            Item::File(_) => Ok(()),
        }
    }

    fn accept(&mut self, item: Item<'_>) -> Result<()> {
        let Item::Database(record) = item else { return Ok(()) };
        let path = record.path.to_string();
        let stale = record.facts.stale_indexes.iter();
        self.notes.extend(stale.map(|index| search::advice(&path, index)));
        let compared = compare_database(self.archive, record, &self.copy)
            .and_then(|()| self.compare_position(record));
        disk::remove_file("verify-remove", &self.copy)?;
        compared
    }
}

impl Inspect<'_> {
    /// The migration files may have changed since, so that a difference is no damage.
    fn compare_position(&mut self, record: &DatabaseRecord) -> Result<()> {
        let Some(listed) = &record.position else { return Ok(()) };
        let found = (self.position)(&inspect::open_copy(&self.copy)?, record.path.as_path());
        if let Some(found) = found.filter(|found| found != listed) {
            self.notes.push(format!("`{}` is listed at {listed} and is at {found}", record.path));
        }
        Ok(())
    }
}
