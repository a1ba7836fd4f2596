//! The list of backups, derived from the directory each time: no index that could go stale.
//!
//! What does not belong there or cannot be trusted is reported and never deleted.

use super::{
    Access, Backup, BackupId, Damage, Digest, Filter, Form, Reason, Secrecy, Selector, Store,
    Substance, Summary, digest, reader,
};
use crate::{Result, disk, error::StoreError, event::Silent};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// What a backups directory holds.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The backups, newest first, with manifests that have no files: [`Store::load`] gives these.
    pub backups: Vec<Backup>,
    /// What is there besides, and why it is not listed.
    pub strays: Vec<Stray>,
}

/// Something in the backups directory that is not a backup that can be used.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Stray {
    /// Its path.
    pub path: PathBuf,
    /// Why it is not listed, as a phrase.
    pub reason: String,
    /// The backup that it ought to be: it is damaged. Nothing for what is not a backup at all.
    pub damaged: Option<BackupId>,
    /// Whether a newer piton made it, and this one cannot tell whether it is whole.
    pub newer: bool,
}

impl Store {
    /// Lists the backups, newest first, and whatever else lies there. Of their manifests it gives
    /// all but the files, which many backups of many files would fill the memory with:
    /// [`Store::load`] gives those of one.
    ///
    /// # Errors
    /// [`crate::error::DiskError`] where the directory cannot be read; a missing one is empty.
    pub fn list(&self) -> Result<Catalog> {
        let mut catalog = Catalog::default();
        let entries = match fs::read_dir(self.root()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(catalog),
            other => other.map_err(disk::failed("read the folder", self.root()))?,
        };
        let mut ids = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(disk::failed("read the folder", self.root()))?.path();
            match classify(&path) {
                Found::Archive(id) => *ids.entry(id).or_insert(0) += 1,
                Found::Manifest(id) => drop(ids.entry(id).or_insert(0)),
                Found::Own => {}
                Found::Stray(reason) => {
                    let reason = reason.into();
                    catalog.strays.push(Stray { path, reason, damaged: None, newer: false });
                }
            }
        }
        for (id, archives) in ids.into_iter().rev() {
            if archives > 1 {
                let used = self.archive_path(&id);
                let others = self.archives(&id).into_iter().filter(|path| *path != used);
                let reason = "a second archive of a backup";
                catalog.strays.extend(others.map(|path| Stray {
                    path,
                    reason: reason.into(),
                    damaged: None,
                    newer: false,
                }));
            }
            match self.load(&id) {
                Ok(Backup { damage: Some(damage), .. }) => catalog.strays.push(Stray {
                    path: self.archive_path(&id),
                    reason: self.damaged(&id, &damage).to_string(),
                    damaged: Some(id),
                    newer: false,
                }),
                Ok(mut backup) => {
                    backup.manifest.files = Vec::new();
                    catalog.backups.push(backup);
                }
                // Its manifest is written before the archive has its name, and removed after.
                Err(_) if self.is_in_between(&id) => {}
                Err(error) => {
                    let path = [self.archive_path(&id), self.manifest_path(&id)]
                        .into_iter()
                        .find(|path| path.exists())
                        .unwrap_or_else(|| self.archive_path(&id));
                    let newer =
                        matches!(error, crate::Error::Store(StoreError::NewerFormat { .. }));
                    let reason = error.to_string();
                    catalog.strays.push(Stray { path, reason, damaged: Some(id), newer });
                }
            }
        }
        catalog.backups.sort_by_key(|backup| std::cmp::Reverse(backup.order()));
        catalog.strays.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(catalog)
    }

    /// Finds the backup that is meant.
    ///
    /// # Errors
    /// [`StoreError::Empty`], [`StoreError::NotFound`], [`StoreError::Ambiguous`]; the reason why
    /// it cannot be used where it is damaged. `latest` never means an older one instead: whoever
    /// restores it would lose what lies between them without a word.
    pub fn find(&self, selector: &Selector) -> Result<Backup> {
        let backup = self.load(&self.find_id(selector)?)?;
        match (&backup.damage, selector) {
            (Some(damage), Selector::Latest) => Err(self.damaged(backup.id(), damage).into()),
            _ => Ok(backup),
        }
    }

    /// The id of the backup that is meant, which may be damaged.
    ///
    /// # Errors
    /// [`StoreError::Empty`], [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub fn find_id(&self, selector: &Selector) -> Result<BackupId> {
        let catalog = self.list()?;
        let prefix = match selector {
            Selector::Latest => return self.latest(catalog),
            Selector::Prefix(prefix) => prefix,
            other => return self.picked(catalog, other),
        };
        if let Ok(id) = prefix.parse::<BackupId>()
            && (!self.archives(&id).is_empty() || self.manifest_path(&id).exists())
        {
            return Ok(id);
        }
        let listed = catalog.backups.iter().map(|backup| backup.id().clone());
        let mut matching: Vec<BackupId> =
            listed.filter(|id| id.as_str().starts_with(prefix.as_str())).collect();
        match matching.len() {
            0 => self.picked(catalog, selector),
            1 => Ok(matching.swap_remove(0)),
            _ => {
                let matches = matching.iter().map(ToString::to_string).collect();
                Err(StoreError::Ambiguous { prefix: prefix.clone(), matches }.into())
            }
        }
    }

    /// The backup of a label or a time: by a label there must be one, by a time it is the newest.
    fn picked(&self, catalog: Catalog, selector: &Selector) -> Result<BackupId> {
        let picks = |it: &Backup| {
            selector.picks(it.manifest.created, it.manifest.reason, it.label.as_deref())
        };
        let mut found = catalog.backups.into_iter().filter(picks).map(|it| it.manifest.id);
        let newest = found.next();
        let others: Vec<BackupId> = found.collect();
        let by_label = matches!(selector, Selector::Prefix(_) | Selector::Label(_));
        match newest {
            None => {
                let (selector, store) = (selector.to_string(), self.root().into());
                Err(StoreError::NotFound { selector, store }.into())
            }
            Some(newest) if by_label && !others.is_empty() => {
                let matches = [newest].iter().chain(&others).map(ToString::to_string).collect();
                Err(StoreError::Ambiguous { prefix: selector.to_string(), matches }.into())
            }
            Some(newest) => Ok(newest),
        }
    }

    /// What verifying has found, as an error.
    fn damaged(&self, id: &BackupId, damage: &Damage) -> StoreError {
        let Damage { found, reason } = damage;
        let reason = format!("{reason} (found {})", found.format("%Y-%m-%d %H:%M UTC"));
        StoreError::Damaged { archive: self.archive_path(id), reason }
    }

    /// The newest backup that is no safety backup, or the damaged one that may be newer.
    fn latest(&self, catalog: Catalog) -> Result<BackupId> {
        let safety = catalog.backups.first().map(|backup| backup.id().clone());
        let mut backups = catalog.backups.into_iter();
        let newest = backups.find(|backup| backup.manifest.reason != Reason::Safety);
        let damaged = catalog.strays.into_iter().filter_map(|stray| stray.damaged);
        // Where there is no archive, somebody removed it.
        let damaged = damaged.filter(|id| !self.archives(id).is_empty());
        match (damaged.filter(|id| self.may_be_newer(id, newest.as_ref())).max(), newest, safety) {
            (Some(damaged), ..) => Ok(damaged),
            (None, Some(newest), _) => Ok(newest.manifest.id),
            (None, None, Some(safety)) => {
                let (store, newest) = (self.root().into(), safety.to_string());
                Err(StoreError::OnlySafety { store, newest }.into())
            }
            (None, None, None) => Err(StoreError::Empty { store: self.root().into() }.into()),
        }
    }

    /// Whether a damaged backup may have been taken after this one.
    fn may_be_newer(&self, damaged: &BackupId, newest: Option<&Backup>) -> bool {
        let second = |id: &BackupId| id.as_str().get(..16).map(str::to_string);
        match (self.summary(damaged), newest) {
            (Some(it), _) if it.reason == Reason::Safety => false,
            (_, None) => true,
            (Some(it), Some(newest)) => it.order(damaged) > newest.order(),
            // Nothing but its name is known.
            (None, Some(newest)) => second(damaged) >= second(newest.id()),
        }
    }

    /// The backup with this content whose archive is still there in full, that is as good as a new
    /// one for this reason, and which a restore would take for the same part of the data directory.
    /// Only a safety backup may be an older one than the newest: `latest` means what was taken last.
    pub(crate) fn find_identical(
        &self,
        content: &Digest,
        reason: Reason,
        (left_out, data_directory): (&Filter, Option<&Access>),
        survey: &[(BackupId, Summary)],
    ) -> Option<Backup> {
        let regular = survey.iter().filter(|(_, it)| it.reason != Reason::Safety);
        let newest = regular.max_by_key(|(id, it)| it.order(id)).map(|(id, _)| id);
        let is_current = |id: &BackupId| reason == Reason::Safety || newest == Some(id);
        // What is surely other content is never loaded, and what is damaged is none.
        let candidates = survey.iter().filter(|(id, it)| it.may_have(content) && is_current(id));
        let (excluded, included) = (left_out.texts(), left_out.included_texts());
        let (excluded, included) = (&*excluded, &*included);
        let substance = Substance { content: *content, data_directory, excluded, included };
        let mut standing = candidates
            .filter_map(|(id, _)| self.load(id).ok())
            .filter(|backup| backup.damage.is_none())
            .filter_map(|backup| self.stands_for(backup, substance, reason));
        standing.next()
    }

    /// Reads what is known about a backup: from the file beside it, else from the archive itself.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where the two do not fit together.
    pub fn load(&self, id: &BackupId) -> Result<Backup> {
        let (archive, beside) = (self.archive_path(id), self.manifest_path(id));
        let damaged = |path: &Path, reason: &str| StoreError::Damaged {
            archive: path.into(),
            reason: reason.into(),
        };
        let bytes = match fs::symlink_metadata(&archive) {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) => return Err(damaged(&archive, "it is not an ordinary file").into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(&archive, "the archive is missing").into());
            }
            Err(error) => return Err(disk::failed("read", &archive)(error).into()),
        };
        if !beside.exists() {
            return self.load_from_archive(id, &archive);
        }
        let backup = accepted(super::read_beside(&beside)?, id, &beside)?;
        if backup.sealed.is_some() != self.is_sealed(&backup) {
            let reason = "one of archive and manifest is encrypted, the other is not";
            return Err(damaged(&beside, reason).into());
        }
        if backup.archive_bytes != bytes {
            let reason = format!("it has {bytes} bytes instead of {}", backup.archive_bytes);
            return Err(damaged(&archive, &reason).into());
        }
        Ok(backup)
    }

    /// Reads the archive twice, once for its manifest and once against it.
    fn load_from_archive(&self, id: &BackupId, archive: &Path) -> Result<Backup> {
        let manifest = reader::find_manifest(self.source(archive))?;
        if manifest.id != *id {
            let reason = "it belongs to another backup".into();
            return Err(StoreError::Damaged { archive: archive.into(), reason }.into());
        }
        let work = (crate::event::Work::Verify, &Silent as _);
        let (archive_sha256, archive_bytes) =
            reader::read(self.source(archive), &manifest, &mut reader::Discard, work)?;
        let (label, verified) = (manifest.label.clone(), manifest.created);
        let sealed = Form::of_path(archive)
            .filter(|form| form.secrecy == Secrecy::Age)
            .map(|_| super::sealing::unknown(&manifest));
        let (pinned, damage) = (false, None);
        Ok(Backup {
            archive_bytes,
            archive_sha256,
            label,
            pinned,
            verified,
            damage,
            sealed,
            manifest,
        })
    }

    /// Whether a backup is being written or removed, or was when piton died.
    fn is_in_between(&self, id: &BackupId) -> bool {
        let partial = || Form::ALL.into_iter().any(|form| self.partial_path(id, form).exists());
        self.archives(id).is_empty() && (partial() || !self.manifest_path(id).exists())
    }

    /// How long the archive is by the manifest beside it.
    pub(super) fn described_bytes(&self, id: &BackupId) -> Option<u64> {
        #[derive(serde::Deserialize)]
        struct Described {
            archive_bytes: u64,
        }
        let file = disk::open_to_read(&self.manifest_path(id)).ok()?;
        let json = std::io::BufReader::new(file.take(reader::MAX_MANIFEST));
        serde_json::from_reader::<_, Described>(json).ok().map(|it| it.archive_bytes)
    }

    /// Bytes that the whole directory takes.
    ///
    /// # Errors
    /// The system's, with the path; a missing directory takes none.
    pub fn size(&self) -> Result<u64> {
        if !self.root().exists() {
            return Ok(0);
        }
        Ok(disk::size_of_tree(self.root())?)
    }

    /// Whether the archive file has the digest that its manifest file names.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn archive_digest_agrees(&self, backup: &Backup) -> Result<bool> {
        let archive = self.archive_path(backup.id());
        let file = disk::open_to_read(&archive)?;
        let found = digest::digest_of(file).map_err(disk::failed("read", &archive))?;
        Ok(found == (backup.archive_sha256, backup.archive_bytes))
    }
}

/// Understands the description of a backup, which may come from anywhere.
///
/// # Errors
/// [`StoreError::Damaged`] where it is none, or that of another backup.
pub(crate) fn described(json: &[u8], id: &BackupId, shown: &Path) -> Result<Backup> {
    accepted(super::from_json(json, shown)?, id, shown)
}

fn accepted(backup: Backup, id: &BackupId, shown: &Path) -> Result<Backup> {
    let damaged = |reason: String| StoreError::Damaged { archive: shown.into(), reason };
    super::accept_format(&backup.manifest, shown)?;
    if backup.id() != id {
        return Err(damaged("it belongs to another backup".into()).into());
    }
    backup.manifest.check().map_err(damaged)?;
    Ok(backup)
}

/// Whether a folder with these names, which are sorted, is or was a backups directory.
pub(crate) fn is_backups_folder(names: &[OsString]) -> bool {
    let has = |name: &str| names.binary_search_by(|it| it.as_os_str().cmp(name.as_ref())).is_ok();
    let is_whole = |name: &OsString| {
        let id = name.to_str().and_then(Form::of_name).map(|(id, _)| id);
        id.is_some_and(|id| has(&format!("{id}{}", super::MANIFEST)))
    };
    has(super::LOCK_NAME) && names.iter().any(is_whole)
}

enum Found {
    Archive(BackupId),
    Manifest(BackupId),
    /// The lock and the staging area of a session, the rollback point of a deploy, notes, and what drills and
    /// copying off the machine keep.
    Own,
    Stray(&'static str),
}

fn classify(path: &Path) -> Found {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let own = [
        super::LOCK_NAME,
        super::STAGING_NAME,
        super::POINT_NAME,
        super::LOGS_NAME,
        super::LOGBOOK_NAME,
        super::LAST_BACKUP_NAME,
    ];
    let own = own.contains(&&*name) || name == crate::records::BESIDE;
    if own || name.starts_with(super::OFFSITE) || name.starts_with(super::DRILL) {
        return Found::Own;
    }
    if name.ends_with(super::PARTIAL) {
        return Found::Stray(
            "a backup that is not finished or is being removed; the next one sweeps it away",
        );
    }
    if let Some((id, _)) = Form::of_name(&name) {
        return Found::Archive(id);
    }
    match name.strip_suffix(super::MANIFEST).map(str::parse) {
        Some(Ok(id)) => Found::Manifest(id),
        _ => Found::Stray("not a backup"),
    }
}
