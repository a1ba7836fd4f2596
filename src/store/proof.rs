//! `verify`: reading a listed backup back, and noting what that showed.
//!
//! It needs no right to write to the backups directory; without it nothing is noted.

use super::{Backup, BackupId, Session, Store, verify};
use crate::{
    Error, Kind, Result, disk,
    error::{DiskError, StoreError},
    event::Observer,
};
use chrono::{DateTime, Utc};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};

/// What verifying needs besides the store.
pub struct Checking<'a> {
    /// The time now.
    pub now: DateTime<Utc>,
    /// Where a private folder can be made for unpacked databases if the store is read-only.
    pub scratch: &'a Path,
    /// Tells the position of a database from a copy of it; the path is relative to the data
    /// directory.
    pub inspect: &'a dyn Fn(&Connection, &Path) -> Option<String>,
}

/// A backup that verified.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The backup.
    pub backup: Backup,
    /// What was read.
    pub checked: Checked,
    /// Whether the time was noted.
    pub noted: Noted,
    /// What the reader should know: positions that are not as listed.
    pub notes: Vec<String>,
}

/// What of a backup was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    /// Every byte of its content, and every database in it.
    Content,
    /// The encrypted archive, byte for byte the one whose content was checked when it was written:
    /// there is no identity to open it with.
    Archive,
}

/// Whether the backup says from now on that it verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noted {
    /// It does.
    Yes,
    /// The backups directory is read-only.
    ReadOnly,
}

/// What verifying has found wrong with a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// When it was found.
    pub found: DateTime<Utc>,
    /// What differs.
    pub reason: String,
}

impl Store {
    /// Reads a backup back, as was done before it was listed, checks every database in it, and
    /// notes the time or the damage. A damaged one is no longer listed as a backup.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Hostile`] with what differs.
    pub fn verify(
        &self,
        id: &BackupId,
        checking: &Checking<'_>,
        observer: &dyn Observer,
    ) -> Result<Verified> {
        // Looked at before the session, which would create a directory that is not there.
        let found = self.load(id)?;
        let session = match self.session() {
            Err(error) if is_read_only(&error) => return self.look(found, checking, observer),
            other => other?,
        };
        let before = self.load(id)?;
        let proof = self.prove(&before, session.staging(), checking, observer);
        let (checked, notes) = proof.inspect_err(|error| {
            if error.kind() == Kind::Damaged {
                // The error that matters is the one being returned.
                drop(note_damage(&session, &before, error, checking.now));
            }
        })?;
        let backup = Backup { verified: checking.now, damage: None, ..before };
        session.describe(&backup)?;
        Ok(Verified { backup, checked, noted: Noted::Yes, notes })
    }

    /// The same where nothing can be written: with a folder of its own, and without a note.
    fn look(
        &self,
        backup: Backup,
        checking: &Checking<'_>,
        observer: &dyn Observer,
    ) -> Result<Verified> {
        let staging = Scratch::make(checking.scratch, backup.id())?;
        let (checked, notes) = self.prove(&backup, &staging.0, checking, observer)?;
        Ok(Verified { backup, checked, noted: Noted::ReadOnly, notes })
    }

    fn prove(
        &self,
        backup: &Backup,
        staging: &Path,
        checking: &Checking<'_>,
        observer: &dyn Observer,
    ) -> Result<(Checked, Vec<String>)> {
        self.prove_at(&self.archive_path(backup.id()), backup, staging, checking, observer)
    }

    /// The same of an archive that lies elsewhere.
    pub(crate) fn prove_at(
        &self,
        archive: &Path,
        backup: &Backup,
        staging: &Path,
        checking: &Checking<'_>,
        observer: &dyn Observer,
    ) -> Result<(Checked, Vec<String>)> {
        // Opened with a wrong identity, a sound archive looks like one with a damaged head.
        let digest = || -> Result<_> {
            let file = disk::open_to_read(archive)?;
            Ok(super::digest_of(file).map_err(disk::failed("read", archive))?)
        };
        if backup.sealed.is_some() && digest()? != (backup.archive_sha256, backup.archive_bytes) {
            let archive = archive.into();
            let reason = "the file is not the one that was written".into();
            return Err(StoreError::Damaged { archive, reason }.into());
        }
        let opened = match self.unseal(backup) {
            Err(Error::Store(StoreError::NoIdentity { .. })) => {
                return Ok((Checked::Archive, Vec::new()));
            }
            other => other?,
        };
        let source = self.source(archive);
        let notes = verify::verify(source, &opened, staging, checking.inspect, observer)?;
        Ok((Checked::Content, notes))
    }
}

fn note_damage(
    session: &Session<'_>,
    backup: &Backup,
    error: &Error,
    found: DateTime<Utc>,
) -> Result<()> {
    let reason = match error {
        // Whoever reads it knows which backup is meant.
        Error::Store(StoreError::Damaged { reason, .. } | StoreError::Hostile { reason, .. }) => {
            reason.clone()
        }
        other => other.to_string(),
    };
    session.describe(&Backup { damage: Some(Damage { found, reason }), ..backup.clone() })
}

fn is_read_only(error: &Error) -> bool {
    let Error::Disk(DiskError { source, .. }) = error else { return false };
    matches!(source.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// A private folder that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn make(parent: &Path, id: &BackupId) -> Result<Self> {
        let path = parent.join(format!("piton-verify-{}-{id}", std::process::id()));
        disk::create_private_folder("verify-scratch", &path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: nothing depends on it.
        drop(disk::remove_tree("verify-scratch-end", &self.0));
    }
}
