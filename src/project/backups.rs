//! Backups: taking, listing and verifying them.

use super::{Project, config::Naming, targets};
use crate::{
    Error, Result, backup,
    error::{BackupError, StoreError},
    event::Observer,
    history::Migration,
    lock::Patience,
    offsite,
    plan::position_of,
    store::{
        Backup, BackupId, Catalog, Changed, Checking, Reason, Remark, Selector, Store, Verified,
    },
};
use rusqlite::Connection;
use std::{path::Path, sync::Arc};

/// A backup, and what became of its copy off the machine.
#[derive(Debug)]
pub struct BackupReport {
    /// The backup.
    pub taken: backup::Taken,
    /// What was copied; nothing where no place is configured, or not for such backups.
    pub offsite: Option<offsite::Report>,
}

/// What is said about a backup now.
#[derive(Debug)]
pub struct Remarked {
    /// The backup.
    pub backup: Backup,
    /// Whether that is anything new.
    pub changed: Changed,
    /// Why it could not be said of the copy off the machine, where one is known of.
    pub offsite_failure: Option<Error>,
}

/// What reading backups back has shown.
#[derive(Debug, Default)]
pub struct Verification {
    /// Those that verified.
    pub verified: Vec<Verified>,
    /// Those that did not, and why.
    pub failures: Vec<(BackupId, Error)>,
}

impl Project {
    /// Takes a backup now, and copies it off the machine where that is configured.
    ///
    /// # Errors
    /// Those of [`backup::take`]; nothing is left behind.
    pub fn backup(
        &self,
        label: Option<String>,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<BackupReport> {
        if !crate::disk::exists(&self.config.data)? {
            let data = self.config.data.clone();
            return Err(BackupError::NoData { data }.into());
        }
        // A backup without the database that is meant would be no help on the day it is needed.
        let path = self.config.data.join(&self.config.database);
        if self.config.naming == Naming::Configured && !crate::disk::exists(&path)? {
            return Err(crate::error::DatabaseError::Missing { path }.into());
        }
        let lock = self.begin(patience, observer)?;
        let taken = self.take_backup(Reason::Manual, label, observer)?;
        self.prune_after(Some(taken.backup.id()), observer);
        drop(lock);
        Ok(BackupReport { taken, offsite: self.copy_after(Reason::Manual, observer) })
    }

    /// The backups, newest first, and whatever else lies in their directory.
    ///
    /// # Errors
    /// The system's.
    pub fn backups(&self) -> Result<Catalog> {
        self.store().list()
    }

    /// Changes what is said about a backup: pinned or not, its label. It is said of the copy off
    /// the machine too, and of that alone where the backup is not here.
    ///
    /// # Errors
    /// A backup that cannot be found; the system's, with the path.
    pub fn remark(
        &self,
        selector: &Selector,
        remark: &Remark,
        observer: &dyn Observer,
    ) -> Result<Remarked> {
        match self.store().remark(selector, remark) {
            Ok((backup, changed)) => {
                // Said there at once: pruning here may take away what would say it later.
                let copied = changed == Changed::Yes && self.is_copied(backup.id());
                let id = Selector::Prefix(backup.id().to_string());
                let said = copied.then(|| self.remark_offsite(&id, remark, observer));
                Ok(Remarked { backup, changed, offsite_failure: said.and_then(Result::err) })
            }
            Err(Error::Store(StoreError::NotFound { .. } | StoreError::Empty { .. }))
                if self.config.offsite.is_some() =>
            {
                let (backup, changed) = self.remark_offsite(selector, remark, observer)?;
                Ok(Remarked { backup, changed, offsite_failure: None })
            }
            Err(error) => Err(error),
        }
    }

    /// Reads backups back: one, or all that are there, damaged ones too.
    ///
    /// # Errors
    /// Where none can be found; what does not verify is in the report.
    pub fn verify(
        &self,
        selector: Option<&Selector>,
        observer: &dyn Observer,
    ) -> Result<Verification> {
        let store = self.store();
        let chosen = match selector {
            Some(selector) => vec![store.find_id(selector)?],
            None => {
                let Catalog { backups, strays } = store.list()?;
                let listed = backups.into_iter().map(|backup| backup.manifest.id);
                listed.chain(strays.into_iter().filter_map(|stray| stray.damaged)).collect()
            }
        };
        let mut verification = Verification::default();
        self.with_backup_request(Reason::Manual, None, |request, store| {
            for id in chosen {
                let checking = Checking {
                    now: (self.world.clock)(),
                    scratch: &self.world.temporary,
                    inspect: request.inspect,
                };
                match store.verify(&id, &checking, observer) {
                    Ok(verified) => verification.verified.push(verified),
                    Err(error) => verification.failures.push((id, error)),
                }
            }
            Ok(())
        })?;
        Ok(verification)
    }

    /// Takes a backup; where space is short and rules are set, prunes first.
    pub(super) fn take_backup(
        &self,
        reason: Reason,
        label: Option<String>,
        observer: &dyn Observer,
    ) -> Result<backup::Taken> {
        let taken =
            self.with_room(reason, label, |request, store| backup::take(request, store, observer))?;
        if reason != Reason::Safety {
            self.note_backup(taken.backup.id(), observer);
        }
        Ok(taken)
    }

    /// Does what a backup needs room for; where space is short and rules are set, prunes first.
    pub(super) fn with_room<T>(
        &self,
        reason: Reason,
        label: Option<String>,
        act: impl Fn(&backup::Request<'_>, &Store) -> Result<T>,
    ) -> Result<T> {
        self.make_secret()?;
        let take = || self.with_backup_request(reason, label.clone(), &act);
        match take() {
            Err(Error::Store(StoreError::NoSpace { .. })) if !self.config.retention.is_empty() => {
                self.prune_surplus(None)?;
                take().map_err(|error| self.with_backups(error))
            }
            other => other.map_err(|error| self.with_backups(error)),
        }
    }

    /// Says what the backups have to do with it where space is short.
    fn with_backups(&self, error: Error) -> Error {
        let Error::Store(StoreError::NoSpace { path, free, needed }) = error else { return error };
        let verdicts = self.judge(None).map(|report| report.verdicts).unwrap_or_default();
        let taken = verdicts.iter().map(|verdict| verdict.archive_bytes).sum();
        let surplus = verdicts.iter().filter(|verdict| !verdict.is_kept());
        // Without rules everything is kept.
        let rules = !self.config.retention.is_empty();
        let prunable = surplus.filter(|_| rules).map(|verdict| verdict.archive_bytes).sum();
        StoreError::NoRoom { path, free, needed, taken, prunable }.into()
    }

    /// Makes the request of a backup and hands it on.
    pub(super) fn with_backup_request<T>(
        &self,
        reason: Reason,
        label: Option<String>,
        act: impl FnOnce(&backup::Request<'_>, &Store) -> Result<T>,
    ) -> Result<T> {
        let excluded = self.config.left_out()?;
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

/// The backup that was taken; nothing where there is no data directory yet.
pub(super) fn where_there_is_data(taken: Result<backup::Taken>) -> Result<Option<BackupId>> {
    match taken {
        Ok(taken) => Ok(Some(taken.backup.id().clone())),
        Err(Error::Backup(BackupError::NoData { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}
