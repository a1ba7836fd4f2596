//! The fence: a file in the folder `.piton` of the data directory. While it exists, nothing may start the service.
//!
//! It lies beside the data and not in `/run`, so that it outlives a reboot.

use super::Ground;
use crate::{Result, disk, records::PRIVATE_FOLDER};
use std::path::{Path, PathBuf};

/// The fence's name in the private folder of the data directory.
pub const FENCE_FILE: &str = "fence";

const TEXT: &str = "piton is deploying: while this file exists, the service must not start.\n\
    piton deploy --status says more, piton deploy --resume goes on.\n";

/// The file, and how it is raised and lifted.
pub(super) struct Fence<'a> {
    data: &'a Path,
}

impl<'a> Fence<'a> {
    pub(super) fn new(ground: &Ground<'a>) -> Self {
        Self { data: ground.data }
    }

    /// The file as systemd has to know it.
    ///
    /// # Errors
    /// The current folder is gone.
    pub(super) fn absolute(&self) -> Result<PathBuf> {
        let path = self.path();
        Ok(std::path::absolute(&path).map_err(disk::failed("find", &path))?)
    }

    fn path(&self) -> PathBuf {
        self.data.join(PRIVATE_FOLDER).join(FENCE_FILE)
    }

    /// # Errors
    /// The system's, with the path.
    pub(super) fn raise(&self) -> Result<()> {
        // The service manager knows this name, whoever the private folder belongs to. It is only
        // written to, and what is in it decides nothing for piton.
        let folder = self.data.join(PRIVATE_FOLDER);
        if disk::find(&folder)?.is_none() {
            disk::create_private_folder("fence-folder", &folder)?;
            // The service's own piton can use the folder then.
            disk::inherit_owner("fence-folder-owner", &folder)?;
        }
        Ok(disk::write_atomic("fence", &self.path(), disk::PRIVATE_FILE, TEXT.as_bytes())?)
    }

    /// # Errors
    /// The system's, with the path.
    pub(super) fn lift(&self) -> Result<()> {
        let path = self.path();
        if !disk::exists(&self.data.join(PRIVATE_FOLDER))? {
            return Ok(());
        }
        disk::remove_file("fence-lift", &path)?;
        Ok(disk::sync_parent("fence-lift-sync", &path)?)
    }
}
