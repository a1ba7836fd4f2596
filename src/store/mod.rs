//! The backups directory: archives, their manifests, and the list of them.
//!
//! A backup is `ID.tar.gz` and, beside it, `ID.json`. The archive gets its name only after it was
//! read back, so a backup that is listed is one that verified. Nothing here opens a live database.

mod catalog;
mod compress;
mod digest;
mod entry;
mod extract;
mod filter;
mod id;
mod inspect;
mod manifest;
mod member;
mod path;
mod peek;
mod reader;
mod remark;
pub mod retention;
mod session;
#[cfg(test)]
mod tests;
mod verify;
mod workers;
mod writer;

pub use catalog::{Catalog, Selector, Stray};
pub use digest::Digest;
pub use entry::Item;
pub use extract::Folders;
pub use filter::Filter;
pub use id::BackupId;
pub use manifest::{
    Attributes, Check, Cut, DatabaseFacts, DatabaseRecord, FORMAT, FileKind, FileRecord, Manifest,
    Reason,
};
pub use path::{LinkTarget, StoredPath};
pub use remark::{Changed, Remark};
pub use retention::Retention;

pub(crate) use catalog::described;
pub(crate) use digest::{Hashing, digest_of};
pub(crate) use extract::{Bare, dress};
pub(crate) use inspect::{facts, open_copy, row_counts};
pub(crate) use path::{Escaped, escape};
pub(crate) use session::Session;
pub(crate) use verify::{compare_database, verify as verify_archive};
pub(crate) use writer::{Draft, Supply, Written};

use crate::{Error, Result, error::StoreError, event::Observer};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io,
    path::{Path, PathBuf},
};

const ARCHIVE: &str = ".tar.gz";
const MANIFEST: &str = ".json";
pub(crate) const PARTIAL: &str = ".partial";
const LOCK_NAME: &str = ".lock";
const STAGING_NAME: &str = ".staging";
/// What copying off the machine keeps here has names that begin so.
pub(crate) const OFFSITE: &str = ".offsite";
/// The folder beside the backups that takes the logs of deploys.
pub const LOGS_NAME: &str = "deploys";

/// A backups directory, which need not exist yet.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A backup in the store, as the file beside its archive describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// Size of the archive in bytes.
    pub archive_bytes: u64,
    /// SHA-256 of the archive.
    pub archive_sha256: Digest,
    /// Its label now; the manifest has the one it was taken with.
    pub label: Option<String>,
    /// Whether pruning must leave it alone.
    pub pinned: bool,
    /// When it was last read back without a finding.
    pub verified: DateTime<Utc>,
    /// What is in it.
    pub manifest: Manifest,
}

impl Backup {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &BackupId {
        &self.manifest.id
    }
}

impl Store {
    /// Names a backups directory; nothing is read or created.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the archive of a backup lies.
    #[must_use]
    pub fn archive_path(&self, id: &BackupId) -> PathBuf {
        self.root.join(format!("{id}{ARCHIVE}"))
    }

    /// Where an archive lies that is being written or removed.
    fn partial_path(&self, id: &BackupId) -> PathBuf {
        self.root.join(format!("{id}{ARCHIVE}{PARTIAL}"))
    }

    /// Where the manifest of a backup lies.
    #[must_use]
    pub fn manifest_path(&self, id: &BackupId) -> PathBuf {
        self.root.join(format!("{id}{MANIFEST}"))
    }

    /// Reads a backup back, as was done before it was listed, checks every database in it, and
    /// notes the time.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Hostile`] with what differs.
    pub fn verify(
        &self,
        id: &BackupId,
        now: DateTime<Utc>,
        observer: &dyn Observer,
    ) -> Result<Backup> {
        // Looked at before the session, which would create a directory that is not there.
        self.load(id)?;
        let session = self.session()?;
        let mut backup = self.load(id)?;
        verify::verify(&self.archive_path(id), &backup, session.staging(), observer)?;
        backup.verified = now;
        session.describe(&backup)?;
        Ok(backup)
    }

    /// Unpacks the wanted entries into an empty folder that belongs to piton alone, and syncs them.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Hostile`] with what differs; the system's, with
    /// the path.
    pub fn extract(
        &self,
        backup: &Backup,
        folder: &Path,
        wanted: &dyn Fn(&StoredPath) -> bool,
        folders: Folders,
        observer: &dyn Observer,
    ) -> Result<()> {
        extract::extract(&self.archive_path(backup.id()), backup, folder, wanted, folders, observer)
    }
}

/// The JSON form: indented, because people read it.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
    json.push(b'\n');
    Ok(json)
}

/// Whether a text is what [`to_json`] makes of a value; nothing is held in memory for it.
fn is_json_of(value: &impl Serialize, json: &[u8]) -> bool {
    struct Compare<'a>(&'a [u8]);
    impl io::Write for Compare<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut left = Compare(json);
    serde_json::to_writer_pretty(&mut left, value).is_ok() && left.0 == b"\n"
}

fn from_json<T: DeserializeOwned>(json: &[u8], path: &Path) -> Result<T> {
    // The format is looked at first: a newer one may well not parse.
    serde_json::from_slice(json).map_err(|error| {
        let reason = format!("its manifest is malformed ({error})");
        StoreError::Damaged { archive: path.into(), reason }.into()
    })
}

fn manifest_from_json(json: &[u8], archive: &Path) -> Result<Manifest> {
    let manifest = from_json(json, archive)?;
    accept_format(&manifest, archive)?;
    Ok(manifest)
}

fn accept_format(manifest: &Manifest, path: &Path) -> Result<()> {
    let format = manifest.format;
    if (1..=FORMAT).contains(&format) {
        return Ok(());
    }
    Err(StoreError::NewerFormat { archive: path.into(), format, known: FORMAT }.into())
}
