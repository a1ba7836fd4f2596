//! A folder of this machine's file system: a mounted disk, a network share.
//!
//! It never creates the folder: where a disk is not mounted, that would fill the one below.

use super::{
    content::Content,
    place::{Object, PARTIAL, Place, Unfinished, damaged},
};
use crate::{
    Result, disk,
    error::{DiskError, OffsiteError},
    store::digest_of,
};
use chrono::{DateTime, Utc};
use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// The folder.
pub(super) struct Folder {
    root: PathBuf,
    shown: String,
}

impl Folder {
    pub(super) fn new(root: &Path, shown: String) -> Self {
        Self { root: root.into(), shown }
    }

    fn entries(&self) -> Result<Vec<Object>> {
        let wrong = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => missing(&self.root),
            _ => self.named(disk::failed("read the folder", &self.root)(error)),
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let read = entry.metadata().and_then(|it| it.modified().map(|time| (it, time)));
            let (about, modified) = match read {
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(wrong)?,
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            if about.is_file() {
                let modified = DateTime::<Utc>::from(modified);
                found.push(Object { name, bytes: about.len(), modified });
            }
        }
        Ok(found)
    }

    fn named(&self, error: DiskError) -> OffsiteError {
        let (place, reason) = (self.shown.clone(), error.to_string());
        match error.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                OffsiteError::Full { place, reason }
            }
            io::ErrorKind::ReadOnlyFilesystem => OffsiteError::ReadOnly { place, reason },
            io::ErrorKind::PermissionDenied => OffsiteError::Denied { place, reason },
            _ => OffsiteError::Failed { place, action: "do what was asked".into(), reason },
        }
    }

    fn write(&self, partial: &Path, content: &Content<'_>) -> Result<()> {
        let to_offsite = |error| self.named(error);
        disk::remove_file("offsite-sweep", partial).map_err(to_offsite)?;
        let mut file = disk::create_private_file("offsite-create", partial).map_err(to_offsite)?;
        io::copy(&mut content.send(0, content.bytes()), &mut file)
            .map_err(|error| self.named(disk::failed("write", partial)(error)))?;
        disk::sync_file("offsite-sync", partial, &file).map_err(to_offsite)?;
        file.seek(SeekFrom::Start(0)).map_err(disk::failed("read", partial))?;
        let found = digest_of(&mut file)
            .map_err(|error| self.named(disk::failed("read back", partial)(error)))?;
        if found != (content.sha256(), content.bytes()) {
            let name = partial.file_name().unwrap_or_default().to_string_lossy();
            return Err(damaged(&self.shown, &name, "it reads back differently").into());
        }
        Ok(())
    }
}

impl Place for Folder {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn list(&self) -> Result<Vec<Object>> {
        let mut found = self.entries()?;
        found.retain(|object| !object.name.ends_with(PARTIAL));
        Ok(found)
    }

    fn put(&self, name: &str, content: &Content<'_>) -> Result<()> {
        if !self.root.is_dir() {
            return Err(missing(&self.root).into());
        }
        let partial = self.root.join(format!("{name}{PARTIAL}"));
        let written = self.write(&partial, content);
        if written.is_err() {
            // Best effort: what stays is swept later.
            drop(disk::remove_file("offsite-discard", &partial));
        }
        written?;
        let to_offsite = |error| self.named(error);
        disk::rename("offsite-rename", &partial, &self.root.join(name)).map_err(to_offsite)?;
        Ok(disk::sync_folder("offsite-sync-folder", &self.root).map_err(to_offsite)?)
    }

    fn get(&self, name: &str, from: u64) -> Result<Box<dyn Read + '_>> {
        let path = self.root.join(name);
        let mut file = disk::open_to_read(&path).map_err(|error| self.named(error))?;
        file.seek(SeekFrom::Start(from)).map_err(disk::failed("read", &path))?;
        Ok(Box::new(file))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let to_offsite = |error| self.named(error);
        disk::remove_file("offsite-remove", &self.root.join(name)).map_err(to_offsite)?;
        Ok(disk::sync_folder("offsite-remove-sync", &self.root).map_err(to_offsite)?)
    }

    fn unfinished(&self) -> Result<Vec<Unfinished>> {
        Ok(self.entries()?.into_iter().filter_map(Unfinished::from_partial).collect())
    }

    fn abandon(&self, upload: &Unfinished) -> Result<()> {
        self.delete(&upload.handle)
    }
}

fn missing(root: &Path) -> OffsiteError {
    OffsiteError::Missing { what: "folder", name: root.display().to_string() }
}
