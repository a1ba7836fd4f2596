//! Writing to the backups directory: one session at a time, with a staging area that ends with it.

use super::{
    Backup, BackupId, Digest, Draft, Form, LAST_BACKUP_NAME, LOCK_NAME, LOGBOOK_NAME, MANIFEST,
    Manifest, PARTIAL, STAGING_NAME, Store, Written,
};
use crate::{Result, disk, error::StoreError, event::Observer};
use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The right to write to a store, released when it is dropped.
pub(crate) struct Session<'a> {
    store: &'a Store,
    staging: PathBuf,
    _lock: File,
}

impl Store {
    /// Removes the half-written notes of a command that was killed; the caller holds the lock of the data,
    /// so that no other one writes them. A note too many harms nobody.
    pub(crate) fn sweep_notes(&self) {
        for name in [LOGBOOK_NAME, LAST_BACKUP_NAME] {
            let path = self.root().join(format!("{name}{PARTIAL}"));
            if disk::exists(&path).unwrap_or(false) {
                drop(disk::remove_file("sweep-note", &path));
            }
        }
    }

    /// Opens a session: creates the directory if need be, waits for another session to end, and
    /// sweeps away what a session that died has left. A process must not open two.
    ///
    /// # Errors
    /// [`StoreError::Open`] and [`StoreError::OfAnother`] where others may write there; the
    /// system's, with the path.
    pub(crate) fn session(&self) -> Result<Session<'_>> {
        disk::create_private_folders("store-folder", self.root())?;
        let found = fs::metadata(self.root()).map_err(disk::failed("read", self.root()))?;
        if found.mode() & 0o022 != 0 {
            return Err(StoreError::Open { path: self.root().into() }.into());
        }
        // Its owner can put links there, through which this process would write elsewhere.
        if ![0, rustix::process::geteuid().as_raw()].contains(&found.uid()) {
            return Err(StoreError::OfAnother { path: self.root().into() }.into());
        }
        let path = self.root().join(LOCK_NAME);
        let lock = disk::open_lock_file("store-lock", &path)?;
        if !disk::fault::is_left_out("store-lock", "take") {
            lock.lock().map_err(disk::failed("lock", &path))?;
        }
        let staging = self.root().join(STAGING_NAME);
        self.sweep(&staging)?;
        disk::create_private_folder("store-staging", &staging)?;
        Ok(Session { store: self, staging, _lock: lock })
    }

    /// Removes what only a dead session can have left, since this one holds the lock.
    fn sweep(&self, staging: &Path) -> Result<()> {
        disk::remove_tree("sweep-staging", staging)?;
        let root = self.root();
        for entry in fs::read_dir(root).map_err(disk::failed("read the folder", root))? {
            let path = entry.map_err(disk::failed("read the folder", root))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(whole) = name.strip_suffix(PARTIAL) else { continue };
            let of_manifest = || whole.strip_suffix(MANIFEST)?.parse::<BackupId>().ok();
            // A partial file of somebody else is none of our business.
            let id = Form::of_name(whole).map(|(id, _)| id).or_else(of_manifest);
            let Some(id) = id else { continue };
            if !disk::exists(&self.archive_path(&id))? {
                disk::remove_file("sweep-manifest", &self.manifest_path(&id))?;
            }
            disk::remove_file("sweep-partial", &path)?;
        }
        Ok(())
    }

    /// Removes backups: unlisted first, then without a manifest, then gone, each step on the disk
    /// before the next. So nothing is ever listed that is not there in full, no manifest is left
    /// alone, and the next session sweeps what an interruption leaves.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn remove_all(&self, ids: &[BackupId]) -> Result<()> {
        let _session = self.session()?;
        let mut partial = Vec::new();
        for id in ids {
            let archive = self.archive_path(id);
            partial.push(super::partial_of(&archive));
            disk::rename("prune-rename", &archive, &super::partial_of(&archive))?;
        }
        disk::sync_folder("prune-sync", self.root())?;
        for id in ids {
            disk::remove_file("prune-manifest", &self.manifest_path(id))?;
        }
        disk::sync_folder("prune-sync-manifests", self.root())?;
        for path in partial {
            disk::remove_file("prune-remove", &path)?;
        }
        Ok(disk::sync_folder("prune-end", self.root())?)
    }

    /// Refuses where the file system has less room than needed.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] with the figures.
    pub fn require_space(&self, needed: u64) -> Result<()> {
        // A directory that does not exist yet lies where its nearest parent lies.
        let mut place = self.root();
        while !place.exists() {
            place = match place.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
        }
        let free = disk::free_space(place)?;
        if free < needed {
            return Err(StoreError::NoSpace { path: self.root().into(), free, needed }.into());
        }
        Ok(())
    }
}

impl Session<'_> {
    /// A private folder that is removed with the session.
    pub(crate) fn staging(&self) -> &Path {
        &self.staging
    }

    /// Begins the archive of a backup.
    pub(crate) fn draft<'b>(&self, id: &BackupId, observer: &'b dyn Observer) -> Result<Draft<'b>> {
        let form = self.store.form();
        Draft::create(self.store.partial_path(id, form), form, &self.store.keys, observer)
    }

    /// Reads a written archive back and gives the digest and the size of its file, as they were read.
    /// An archive that is not what was to be written is removed.
    ///
    /// The databases in it were checked as copies before they were archived; their digests prove
    /// here that the archive has the same bytes.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Hostile`] with what differs; the system's.
    pub(crate) fn read_back(
        &self,
        written: &Written,
        manifest: &Manifest,
        observer: &dyn Observer,
    ) -> Result<(Digest, u64)> {
        let source = self.store.source(&written.partial);
        let work = (crate::event::Work::Verify, observer);
        let read = super::reader::read(source, manifest, &mut super::reader::Discard, work);
        read.inspect_err(|_| self.discard(written))
    }

    /// Gives an archive that was read back its name, and describes it.
    ///
    /// # Errors
    /// The system's, with the path; then nothing of it is left.
    pub(crate) fn publish(&self, written: &Written, backup: &Backup) -> Result<()> {
        self.name(written, backup).inspect_err(|_| {
            // Best effort: what stays is swept by the next session.
            self.discard(written);
            if disk::exists(&self.store.archive_path(backup.id())).is_ok_and(|there| !there) {
                let beside = self.store.manifest_path(backup.id());
                drop(disk::remove_file("publish-discard", &beside));
            }
        })
    }

    /// Removes a written archive that is not wanted after all.
    pub(crate) fn discard(&self, written: &Written) {
        drop(disk::remove_file("publish-discard", &written.partial));
    }

    /// Writes the manifest beside an archive.
    pub(crate) fn describe(&self, backup: &Backup) -> Result<()> {
        let beside = self.store.manifest_path(backup.id());
        if backup.sealed.as_ref().is_some_and(|sealed| sealed.manifest.is_empty()) {
            // It was lost, and this process may not know for whom to encrypt it again.
            return Ok(());
        }
        let written = super::sealing::beside(backup);
        let write = |out: &mut fs::File| super::text::write(out, &written);
        Ok(disk::write_atomic_with("publish-manifest", &beside, disk::PRIVATE_FILE, write)?)
    }

    fn name(&self, written: &Written, backup: &Backup) -> Result<()> {
        let archive = written.partial.with_extension("");
        self.describe(backup)?;
        // The archive's name is what lists the backup, so it comes last.
        disk::rename("publish-rename", &written.partial, &archive)?;
        disk::sync_folder("publish-sync", self.store.root())?;
        // The directory itself may be new.
        Ok(disk::sync_parent("publish-sync-parent", self.store.root())?)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // Best effort: what stays is swept by the next session.
        drop(disk::remove_tree("session-end", &self.staging));
    }
}
