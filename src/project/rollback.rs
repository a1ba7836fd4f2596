//! Which run `rollback` goes back over, and what was written since.

use super::{
    Project, Selection, databases,
    interrupted::InterruptedDatabase,
    last_run::{self, Ending, LastRun, Stage},
};
use crate::{
    Result,
    error::ProjectError,
    ledger,
    restore::Preview,
    store::{Backup, Reason},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::path::PathBuf;

/// The run that a rollback goes back over.
#[derive(Clone, Debug, Serialize)]
pub struct RolledBack {
    /// When it started.
    pub started: DateTime<Utc>,
    /// How long ago, in seconds.
    pub age_seconds: i64,
    /// What it committed and what it only began, by database.
    pub databases: Vec<InterruptedDatabase>,
    /// Rows that may have been written since it ended, and that only the live data has or has otherwise.
    /// Nothing is where no database has been written to since.
    pub rows_since: u64,
}

impl Project {
    /// The backup of the last run: by its own note, else by the ledgers, else by the catalog, which stays readable when
    /// the databases are damaged or gone.
    pub(super) fn last_run_backup(&self) -> Result<Backup> {
        if let Some(run) = self.run_to_roll_back()?
            && let Some(backup) = run.way_back()
        {
            return self.store().load(backup);
        }
        let mut newest: Option<(String, String)> = None;
        for path in self.database_paths() {
            let live = self.config.data.join(&path);
            let Ok(Some(connection)) = databases::open_to_read(&live, &self.config) else {
                continue;
            };
            let Ok(entries) = ledger::read_brief(&connection) else { continue };
            for entry in entries {
                if let Some(backup) = entry.backup {
                    newest = newest.max(Some((entry.started, backup)));
                }
            }
        }
        if let Some((_, id)) = newest
            && let Ok(backup) = self.store().find(&id.parse()?)
        {
            return Ok(backup);
        }
        let of_a_run = |backup: &Backup| {
            matches!(backup.manifest.reason, Reason::Run | Reason::Script | Reason::Deploy)
        };
        let store = self.store();
        match store.list()?.backups.into_iter().find(of_a_run) {
            Some(found) => store.load(found.id()),
            None => Err(ProjectError::NothingToRollBack.into()),
        }
    }

    /// The last run by its note; nothing where there is none.
    ///
    /// # Errors
    /// [`ProjectError::AlreadyBack`] where nothing of it is left: a restore of a later state may have
    /// brought back what a rollback took away, and the ledgers say so.
    pub(super) fn run_to_roll_back(&self) -> Result<Option<LastRun>> {
        let Some(run) = last_run::read(&self.config.data) else { return Ok(None) };
        let started = run.started.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        if run.ending == Ending::Open && run.stage == Stage::Preparing {
            return Err(ProjectError::NeverBegan { started }.into());
        }
        if run.ending == Ending::AsBefore && self.describe(run.clone()).left_nothing() {
            return Err(ProjectError::AlreadyBack { started }.into());
        }
        Ok(Some(run))
    }

    /// The run that a rollback with this preview goes back over.
    /// `databases` are what the run did, read before the preview: as root, each look at a database gives its
    /// log another time.
    pub(super) fn rolled_back(
        &self,
        backup: &Backup,
        databases: Vec<InterruptedDatabase>,
        preview: &Preview,
    ) -> RolledBack {
        let run = self.run_before(backup);
        let is_still = |path| {
            let left = run.left.as_ref();
            left.is_some_and(|left| left.is_still(&self.config.data, path))
        };
        let written = preview.databases.iter().filter(|database| !is_still(&database.path));
        let lost = written.flat_map(|database| database.lost()).map(|(_, rows)| rows);
        let rows_since = lost.fold(0, u64::saturating_add);
        let (started, age) = (run.since(), (self.world.clock)() - run.since());
        RolledBack { started, age_seconds: age.num_seconds(), databases, rows_since }
    }

    /// The last run by its note, or the run that took this backup where the note is lost: on another
    /// machine, say.
    pub(super) fn run_before(&self, backup: &Backup) -> LastRun {
        let of_backup = || LastRun::of_backup(backup.id().clone(), backup.manifest.created);
        last_run::read(&self.config.data).unwrap_or_else(of_backup)
    }

    pub(super) fn database_paths(&self) -> Vec<PathBuf> {
        let Ok(targets) = self.selected(&Selection::default()) else {
            return vec![self.config.database.clone()];
        };
        targets
            .targets
            .iter()
            .flat_map(|target| target.paths(&self.config.data).unwrap_or_default())
            .collect()
    }
}
