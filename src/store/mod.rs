//! The backups directory: archives, their manifests, and the list of them.
//!
//! A backup is an archive such as `ID.tar.gz` and, beside it, `ID.json`. The archive gets its name
//! only after it was read back, so a backup that is listed is one that verified. Nothing here opens
//! a live database.

mod catalog;
mod compress;
mod dated;
mod digest;
mod entry;
mod extended;
mod extract;
mod filter;
mod form;
mod frame;
mod id;
mod inspect;
mod manifest;
mod member;
mod order;
mod path;
mod peek;
mod proof;
mod pump;
mod reader;
mod remark;
pub mod retention;
mod seal;
mod sealing;
mod segment;
mod selector;
mod session;
mod summary;
#[cfg(test)]
mod tests;
mod text;
mod verify;
mod workers;
mod writer;

pub use catalog::{Catalog, Stray};
pub use dated::is_in_future;
pub use digest::Digest;
pub use entry::Item;
pub use extended::Extended;
pub use extract::Folders;
pub use filter::Filter;
pub use form::Compression;
pub use id::BackupId;
pub use manifest::{
    Access, Attributes, Check, Cut, DatabaseFacts, DatabaseRecord, FORMAT, FileKind, FileRecord,
    Manifest, Reason,
};
pub use order::Order;
pub use path::{LinkTarget, StoredPath};
pub use proof::{Checked, Checking, Damage, Noted, Verified};
pub use remark::{Changed, Remark};
pub use retention::Retention;
pub use seal::{Keys, SECRET, Sealed};
pub use segment::Segment;
pub use selector::Selector;

pub(crate) use catalog::{described, is_backups_folder};
pub(crate) use digest::{Hashing, digest_of};
pub(crate) use extended::is_kept;
pub(crate) use extract::{Bare, dress};
pub(crate) use inspect::{check_quickly, facts, open_copy, row_counts, schema_hash};
pub(crate) use manifest::Substance;
pub(crate) use path::{Escaped, escape};
pub(crate) use session::Session;
pub(crate) use summary::Summary;
pub(crate) use verify::{compare_archive, compare_database};
pub(crate) use writer::{Draft, Supply, Written};

use crate::{Error, Result, disk, error::StoreError, event::Observer};
use chrono::{DateTime, Utc};
use form::{Form, Secrecy};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

const MANIFEST: &str = ".json";
pub(crate) const PARTIAL: &str = ".partial";
const LOCK_NAME: &str = ".lock";
const STAGING_NAME: &str = ".staging";
/// The folder of a rollback point that has no archive yet.
pub(crate) const POINT_NAME: &str = ".point";
/// What copying off the machine keeps here has names that begin so.
pub(crate) const OFFSITE: &str = ".offsite";
/// What drills keep beside the backups has names that begin so: the scratch folder and its lock.
pub(crate) const DRILL: &str = ".drill";
/// The file of the drills that were made.
pub(crate) const DRILLS_NAME: &str = ".drills.jsonl";
/// The note of the last backup.
pub(crate) const LAST_BACKUP_NAME: &str = ".last-backup.json";
/// The folder beside the backups that takes the logs of deploys.
pub const LOGS_NAME: &str = "deploys";
/// The file of what happened, in the backups directory.
pub(crate) const LOGBOOK_NAME: &str = ".logbook.jsonl";

/// A backups directory, which need not exist yet.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    /// How new archives are compressed.
    compression: Compression,
    keys: Keys,
    reserve: u64,
}

/// Bytes that a backup leaves to the service, unless the project says otherwise.
pub const RESERVE: u64 = 16 << 20;

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
    /// What reading it back has found; nothing while it is sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
    /// How it is encrypted; nothing where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// What is in it. Of an encrypted one that was not opened, it names neither databases nor files.
    pub manifest: Manifest,
}

impl Backup {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &BackupId {
        &self.manifest.id
    }

    /// Bytes that its files take when they are unpacked.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.sealed.as_ref().map_or_else(|| self.manifest.data_bytes(), |sealed| sealed.data_bytes)
    }
}

impl Store {
    /// Names a backups directory; nothing is read or created.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        let compression = Compression::default();
        Self { root, compression, keys: Keys::default(), reserve: RESERVE }
    }

    /// The same directory, with new archives compressed so; those that are there may be of any form.
    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// The same directory, with new archives encrypted to these recipients, and old ones opened with
    /// these identities.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// The same directory, with so many bytes of its file system left to the service.
    #[must_use]
    pub fn with_reserve(self, reserve: u64) -> Self {
        Self { reserve, ..self }
    }

    /// Bytes of its file system that are left to the service.
    pub(crate) fn reserve(&self) -> u64 {
        self.reserve
    }

    /// What new archives are made as.
    fn form(&self) -> Form {
        let secrecy = if self.keys.encrypts() { Secrecy::Age } else { Secrecy::Open };
        Form { compression: self.compression, secrecy }
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the archive of a backup lies, whatever its form; where there is none, where one that
    /// is made with gzip would lie.
    #[must_use]
    pub fn archive_path(&self, id: &BackupId) -> PathBuf {
        let mut found = self.archives(id);
        if found.len() > 1
            && let Some(bytes) = self.described_bytes(id)
        {
            // Somebody has unpacked or compressed it himself, and kept both.
            let has_them = |path: &PathBuf| path.metadata().is_ok_and(|it| it.len() == bytes);
            found.sort_by_key(|path| !has_them(path));
        }
        let first = found.into_iter().next();
        first.unwrap_or_else(|| self.path_of(id, Form::ALL[0]))
    }

    /// All files that by their name are the archive of a backup.
    fn archives(&self, id: &BackupId) -> Vec<PathBuf> {
        let paths = Form::ALL.into_iter().map(|form| self.path_of(id, form));
        paths.filter(|path| path.symlink_metadata().is_ok()).collect()
    }

    /// An archive with what opens it.
    fn source<'a>(&'a self, archive: &'a Path) -> reader::Source<'a> {
        reader::Source { archive, keys: &self.keys }
    }

    fn path_of(&self, id: &BackupId, form: Form) -> PathBuf {
        self.root.join(format!("{id}{}", form.suffix()))
    }

    /// Where an archive lies that is being written.
    fn partial_path(&self, id: &BackupId, form: Form) -> PathBuf {
        partial_of(&self.path_of(id, form))
    }

    /// Where the manifest of a backup lies.
    #[must_use]
    pub fn manifest_path(&self, id: &BackupId) -> PathBuf {
        self.root.join(format!("{id}{MANIFEST}"))
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
        let archive = self.archive_path(backup.id());
        extract::extract(self.source(&archive), backup, folder, wanted, folders, observer)
    }
}

/// The name of an archive while it is being written or removed.
fn partial_of(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_os_string();
    name.push(PARTIAL);
    name.into()
}

/// The text of a manifest, where it is needed as a whole.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = Vec::new();
    let written = text::write(&mut json, value);
    written.map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
    Ok(json)
}

fn from_json<T: DeserializeOwned>(json: &[u8], path: &Path) -> Result<T> {
    serde_json::from_slice(json)
        .map_err(|error| newer(json, path).unwrap_or_else(|| malformed(error, path)))
}

/// What is known of a manifest, or of the file beside an archive, that cannot be read: a later one may
/// have another shape, and is not damaged.
#[derive(Deserialize)]
struct Head {
    format: Option<u32>,
    manifest: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    format: u32,
}

fn newer(json: impl Read, path: &Path) -> Option<Error> {
    let head: Head = serde_json::from_reader(json).ok()?;
    let format = head.format.or(head.manifest.map(|inner| inner.format))?;
    (format > FORMAT)
        .then(|| StoreError::NewerFormat { archive: path.into(), format, known: FORMAT }.into())
}

/// Reads a file of JSON that piton keeps for itself in the backups directory.
///
/// # Errors
/// The system's, with the path; [`Error::Internal`] where it is not what piton writes.
pub(crate) fn read_private_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let file = BufReader::with_capacity(64 * 1024, disk::open_to_read(path)?);
    serde_json::from_reader(file).map_err(|error| match error.is_io() {
        true => disk::failed("read", path)(error.into()).into(),
        false => Error::Internal(format!("`{}` is malformed ({error})", path.display())),
    })
}

/// Reads a manifest file; its text, which is long where there are many files, is never held whole.
fn read_beside<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let open = || -> Result<_> {
        let file = disk::open_to_read(path)?.take(reader::MAX_MANIFEST);
        Ok(BufReader::with_capacity(64 * 1024, file))
    };
    serde_json::from_reader(open()?).map_err(|error| {
        let later = (!error.is_io()).then(|| newer(open().ok()?, path)).flatten();
        later.unwrap_or_else(|| malformed(error, path))
    })
}

fn malformed(error: serde_json::Error, path: &Path) -> Error {
    if error.is_io() {
        return disk::failed("read", path)(error.into()).into();
    }
    let reason = format!("its manifest is malformed ({error})");
    StoreError::Damaged { archive: path.into(), reason }.into()
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
