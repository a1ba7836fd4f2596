//! Encrypted backups in the catalog: what the file beside one says, and how it is opened.

use super::{Backup, Cut, Digest, Form, Manifest, Reason, Secrecy, Store, Substance, seal::Sealed};
use crate::{
    Result,
    error::{Error, StoreError},
};
use std::borrow::Cow;

/// What is written beside an archive: of an encrypted one nothing that tells what is in it.
pub(super) fn beside(backup: &Backup) -> Cow<'_, Backup> {
    if backup.sealed.is_none() {
        return Cow::Borrowed(backup);
    }
    let manifest = outside(&backup.manifest);
    let (label, sealed) = (backup.label.clone(), backup.sealed.clone());
    let damage = backup.damage.clone();
    Cow::Owned(Backup { manifest, label, sealed, damage, ..*backup })
}

/// Id, time, machine, versions, reason and label: what the list, retention and `rollback` need.
/// Names of databases, tables and files, counts of rows, positions, digests of content and notes
/// tell what the data is, or prove a guess of it.
fn outside(manifest: &Manifest) -> Manifest {
    Manifest {
        git_revision: None,
        cut: match manifest.cut {
            Cut::All => Cut::All,
            Cut::PerDatabase { .. } => Cut::PerDatabase { reason: "encrypted".into() },
        },
        excluded: Vec::new(),
        included: Vec::new(),
        data_directory: None,
        databases: Vec::new(),
        files: Vec::new(),
        content: Digest::of(b""),
        notes: Vec::new(),
        ..manifest.clone()
    }
}

/// What is known where the file beside the archive is lost.
pub(super) fn unknown(manifest: &Manifest) -> Sealed {
    Sealed {
        recipients: Vec::new(),
        data_bytes: manifest.data_bytes(),
        likeness: None,
        manifest: String::new(),
    }
}

impl Store {
    /// The backup, with its whole manifest where that can be had, where it is as good as a new one
    /// of this substance.
    pub(super) fn stands_for(
        &self,
        backup: Backup,
        substance: Substance<'_>,
        reason: Reason,
    ) -> Option<Backup> {
        let sealed = match &backup.sealed {
            None if self.keys.encrypts() => return None,
            None => return (backup.manifest.substance() == substance).then_some(backup),
            Some(sealed) => sealed,
        };
        let likeness = self.keys.likeness(substance);
        if likeness.is_none()
            || sealed.likeness != likeness
            || sealed.recipients != self.keys.names()
        {
            return None;
        }
        // What fails is put right with the backup taken before it, by the process that took it.
        let is_way_back = matches!(reason, Reason::Run | Reason::Script | Reason::Deploy);
        match self.unseal(&backup) {
            Ok(opened) => (opened.manifest.substance() == substance).then(|| opened.into_owned()),
            Err(_) => (!is_way_back).then_some(backup),
        }
    }

    /// The backup with its whole manifest: that of an encrypted one is opened.
    ///
    /// # Errors
    /// [`StoreError::NoIdentity`], [`StoreError::WrongIdentity`]; [`StoreError::Damaged`] where the
    /// two manifests do not fit together.
    pub fn unseal<'a>(&self, backup: &'a Backup) -> Result<Cow<'a, Backup>> {
        let Some(sealed) = backup.sealed.as_ref().filter(|sealed| !sealed.manifest.is_empty())
        else {
            return Ok(Cow::Borrowed(backup));
        };
        let (archive, beside) = (self.archive_path(backup.id()), self.manifest_path(backup.id()));
        let manifest = self.keys.open(sealed, &archive).map_err(|error| match error {
            Error::Store(StoreError::Damaged { reason, .. }) => {
                Error::Store(StoreError::Damaged { archive: beside.clone(), reason })
            }
            other => other,
        })?;
        let damaged = |reason: String| StoreError::Damaged { archive: beside.clone(), reason };
        manifest.check().map_err(damaged)?;
        if outside(&manifest) != outside(&backup.manifest) {
            let reason = "the encrypted manifest in it belongs to another backup".into();
            return Err(damaged(reason).into());
        }
        Ok(Cow::Owned(Backup { manifest, ..backup.clone() }))
    }

    /// Whether an archive is encrypted, by its name.
    pub(super) fn is_sealed(&self, backup: &Backup) -> bool {
        Form::of_path(&self.archive_path(backup.id()))
            .is_some_and(|form| form.secrecy == Secrecy::Age)
    }
}

#[cfg(test)]
#[cfg(feature = "encryption")]
#[path = "sealing_tests.rs"]
mod tests;
