//! `prune`: removing the backups that the rules of `[retention]` do not keep.

use super::{
    Project,
    last_run::{self, Ending},
};
use crate::{
    Result, deploy, disk,
    event::{Event, Observer},
    lock::Patience,
    offsite, restore,
    store::{
        Backup, BackupId, Catalog, Reason, Retention,
        retention::{Protection, Verdict},
    },
};

/// What pruning would do, or did.
#[derive(Debug)]
pub struct PruneReport {
    /// The rules.
    pub retention: Retention,
    /// What becomes of each backup, newest first.
    pub verdicts: Vec<Verdict>,
    /// The backups that were removed.
    pub removed: Vec<BackupId>,
    /// Bytes that the backups directory takes, with whatever else lies there.
    pub directory_bytes: u64,
    /// What was done off the machine; nothing where no place is configured.
    pub offsite: Option<offsite::Report>,
}

impl PruneReport {
    /// The verdicts on the backups that do not stay.
    pub fn surplus(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| !verdict.is_kept())
    }
}

impl Project {
    /// What [`Project::prune`] would remove, and why the rest stays.
    ///
    /// # Errors
    /// The system's, with the path; a journal that cannot be read.
    pub fn plan_prune(&self, observer: &dyn Observer) -> Result<PruneReport> {
        self.settle(observer)?;
        self.judge(None)
    }

    /// Removes the backups that no rule keeps; without rules, none.
    ///
    /// # Errors
    /// The system's, with the path; what was removed until then stays removed.
    pub fn prune(&self, patience: Patience, observer: &dyn Observer) -> Result<PruneReport> {
        // A restore that reads a backup holds the lock.
        let lock = match disk::exists(&self.config.data)? {
            true => Some(self.begin(patience, observer)?),
            false => None,
        };
        let mut report = self.prune_surplus(None)?;
        drop(lock);
        report.offsite = self.sync_where_configured(observer);
        Ok(report)
    }

    /// Prunes after a backup, where rules are set; the caller holds the lock.
    pub(super) fn prune_after(&self, used: Option<&BackupId>, observer: &dyn Observer) {
        if self.config.retention.is_empty() {
            return;
        }
        // What was asked for is done: this is no reason to fail.
        if let Err(error) = self.prune_surplus(used) {
            observer.event(Event::Warning { text: format!("pruning failed: {error}") });
        }
    }

    /// Prunes and keeps one backup more; the caller holds the lock.
    pub(super) fn prune_surplus(&self, used: Option<&BackupId>) -> Result<PruneReport> {
        let mut report = self.judge(used)?;
        let surplus: Vec<BackupId> = report.surplus().map(|it| it.backup.clone()).collect();
        if surplus.is_empty() {
            return Ok(report);
        }
        self.store().remove_all(&surplus)?;
        report.removed = surplus;
        report.directory_bytes = self.store().size()?;
        Ok(report)
    }

    pub(super) fn judge(&self, used: Option<&BackupId>) -> Result<PruneReport> {
        let (store, retention) = (self.store(), self.config.retention);
        let Catalog { backups, strays } = store.list()?;
        let directory_bytes = store.size()?;
        // What is no backup does not count: no backup has to go for it.
        let foreign = strays.iter().filter(|stray| stray.damaged.is_none());
        let foreign: u64 = foreign.filter_map(|it| disk::size_of_tree(&it.path).ok()).sum();
        let mut protection = self.protection(&backups)?;
        protection.unfinished.extend(used.cloned());
        let taken = directory_bytes.saturating_sub(foreign);
        let verdicts = retention.judge(&backups, &protection, (self.world.clock)(), taken);
        let removed = Vec::new();
        Ok(PruneReport { retention, verdicts, removed, directory_bytes, offsite: None })
    }

    /// What the last runs and an interrupted restore need.
    pub(super) fn protection(&self, backups: &[Backup]) -> Result<Protection> {
        let mut protection = Protection::default();
        protection.unfinished.extend(restore::needed_backups(&self.config.data)?);
        if let Some(record) = deploy::state::read(&self.config.data)? {
            let needed = [&record.backup, &record.final_backup, &record.failed_state];
            let needed = needed.into_iter().flatten().cloned();
            match record.ending {
                None | Some(deploy::Ending::RollbackFailed) => protection.unfinished.extend(needed),
                Some(_) => protection.before_last_run.extend(needed),
            }
        }
        match last_run::read(&self.config.data) {
            Some(run) => {
                let open = matches!(run.ending, Ending::Open | Ending::Unsettled);
                let needed =
                    if open { &mut protection.unfinished } else { &mut protection.before_last_run };
                needed.extend(run.continues.map(|first| first.backup));
                needed.extend(run.backup);
                protection.before_last_run.extend(run.last_done);
            }
            // The note is lost with the data directory, which is when going back matters most.
            None => {
                let of_a_run =
                    |it: &&Backup| matches!(it.manifest.reason, Reason::Run | Reason::Deploy);
                let newest = backups.iter().find(of_a_run);
                protection.before_last_run.extend(newest.map(|backup| backup.id().clone()));
            }
        }
        Ok(protection)
    }
}
