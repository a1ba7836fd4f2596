//! Backups: taking, listing and verifying them.

use super::{Project, targets};
use crate::{
    Result, backup,
    event::Observer,
    history::Migration,
    lock::Patience,
    plan::position_of,
    store::{Backup, Catalog, Filter, Reason, Selector, Store},
};
use rusqlite::Connection;
use std::{path::Path, sync::Arc};

impl Project {
    /// Takes a backup now.
    ///
    /// # Errors
    /// Those of [`backup::take`]; nothing is left behind.
    pub fn backup(
        &self,
        label: Option<String>,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<backup::Taken> {
        if !self.config.data.exists() {
            let data = self.config.data.clone();
            return Err(crate::error::BackupError::NoData { data }.into());
        }
        let _lock = self.begin(patience, observer)?;
        self.take_backup(Reason::Manual, label, observer)
    }

    /// The backups, newest first, and whatever else lies in their directory.
    ///
    /// # Errors
    /// The system's.
    pub fn backups(&self) -> Result<Catalog> {
        self.store().list()
    }

    /// Reads backups back: one, or all.
    ///
    /// # Errors
    /// The first that does not verify, or cannot be found.
    pub fn verify(
        &self,
        selector: Option<&Selector>,
        observer: &dyn Observer,
    ) -> Result<Vec<Backup>> {
        let store = self.store();
        let chosen = match selector {
            Some(selector) => vec![store.find(selector)?],
            None => {
                let catalog = store.list()?;
                if let Some(id) = catalog.strays.iter().find_map(|stray| stray.damaged.as_ref()) {
                    return Ok(vec![store.verify(id, observer)?]);
                }
                catalog.backups
            }
        };
        chosen.iter().map(|backup| store.verify(backup.id(), observer)).collect()
    }

    /// Makes the request of a backup and hands it on.
    pub(super) fn with_backup_request<T>(
        &self,
        reason: Reason,
        label: Option<String>,
        act: impl FnOnce(&backup::Request<'_>, &Store) -> Result<T>,
    ) -> Result<T> {
        let excluded = Filter::new(&self.config.exclude)?;
        // Without readable migrations a backup has no position, and is a backup all the same.
        let targets = targets::read(&self.config).unwrap_or_default();
        let histories: Vec<(glob::Pattern, Vec<Arc<Migration>>)> = targets
            .targets
            .iter()
            .filter_map(|target| {
                let pattern = match &target.databases {
                    targets::Databases::Named(path) => {
                        glob::Pattern::escape(&path.to_string_lossy())
                    }
                    targets::Databases::Matching(pattern) => pattern.clone(),
                };
                Some((glob::Pattern::new(&pattern).ok()?, target.migrations.clone()))
            })
            .collect();
        let inspect = |connection: &Connection, path: &Path| {
            let history = histories.iter().find(|(pattern, _)| pattern.matches_path(path))?;
            position_of(connection, &history.1)
        };
        let request = backup::Request {
            data: &self.config.data,
            excluded: &excluded,
            left_out: &[],
            reason,
            label,
            now: (self.world.clock)(),
            random: (self.world.random)(),
            host: &self.world.holder.host,
            git_revision: self.world.git_revision.clone(),
            barrier_limit: self.config.barrier_limit,
            inspect: &inspect,
        };
        act(&request, &self.store())
    }
}
