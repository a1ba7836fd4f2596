//! Proof that a backup is what was taken: the whole archive is read back, and every database in it
//! is unpacked, checked and compared with what the manifest says about it.

use super::{Backup, DatabaseRecord, Digest, Item, extract::write_file, inspect, reader};
use crate::{
    Result, disk,
    error::StoreError,
    event::{Observer, Work},
};
use std::path::{Path, PathBuf};

/// Reads an archive through; databases are unpacked into `staging` one at a time.
///
/// # Errors
/// [`StoreError::Damaged`] or [`StoreError::Hostile`] with what differs.
pub(crate) fn verify(
    archive: &Path,
    backup: &Backup,
    staging: &Path,
    observer: &dyn Observer,
) -> Result<()> {
    let copy = staging.join("verify.db");
    let mut sink = Inspect { archive: archive.into(), copy };
    let found = reader::read(archive, &backup.manifest, &mut sink, (Work::Verify, observer))?;
    compare_archive(archive, backup, found)
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
    let facts = inspect::facts(&connection, record.path.as_path())?;
    if facts == record.facts {
        return Ok(());
    }
    let reason = format!("`{}` does not contain what is listed", record.path);
    Err(StoreError::Damaged { archive: archive.into(), reason }.into())
}

struct Inspect {
    archive: PathBuf,
    copy: PathBuf,
}

impl reader::Sink for Inspect {
    fn take(&mut self, item: Item<'_>, content: &mut reader::Content<'_>) -> Result<()> {
        match item {
            Item::Database(_) => write_file(&self.copy, content).map(drop),
            Item::File(_) => Ok(()),
        }
    }

    fn accept(&mut self, item: Item<'_>) -> Result<()> {
        let Item::Database(record) = item else { return Ok(()) };
        let compared = compare_database(&self.archive, record, &self.copy);
        disk::remove_file("verify-remove", &self.copy)?;
        compared
    }
}
