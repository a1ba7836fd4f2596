//! `status` and `history`: where things stand, and what ran when.

use super::{
    DrillStanding, InterruptedRun, LogEntry, Overdue, Project, Selection, Targets, databases,
    last_run::{self, Ending},
};
use crate::{
    Error, Result, database, deploy,
    error::NotUnderstood,
    event::Observer,
    history::Ignored,
    ledger::{self, Entry, ForeignLedger},
    lock::{self, Worker},
    offsite::Standing,
    plan::DatabasePlan,
    store::Backup,
};
use serde::Serialize;
use std::path::PathBuf;

/// Where a project stands.
#[derive(Debug)]
pub struct Status {
    /// The plan of each database.
    pub plans: Vec<DatabasePlan>,
    /// Files in the migrations folder that are no migrations.
    pub ignored: Vec<Ignored>,
    /// Files and folders there that may be meant as migrations: `up` would refuse to run.
    pub not_understood: Vec<NotUnderstood>,
    /// Ledgers of other tools, by database.
    pub foreign_ledgers: Vec<(PathBuf, ForeignLedger)>,
    /// The process that works on the data directory now.
    pub worker: Option<Worker>,
    /// Why a run would be refused, whatever is pending: a hold, or a deploy that is not finished.
    pub blocked: Option<Error>,
    /// The last thing that happened, if it did not end well and nothing went well since.
    pub failed: Option<LogEntry>,
    /// The last run, where it was cut off.
    pub interrupted: Option<InterruptedRun>,
    /// The newest backup.
    pub newest_backup: Option<Backup>,
    /// Whether the newest backup is older than promised.
    pub overdue: Option<Overdue>,
    /// How many backups there are.
    pub backups: usize,
    /// Where drills stand; nothing where the project makes none.
    pub drill: Option<DrillStanding>,
    /// What is known about the copies off the machine; nothing where no place is configured.
    pub offsite: Option<Standing>,
}

/// One row of a ledger, with its database.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryRow {
    /// The database, relative to the data directory.
    pub database: PathBuf,
    /// The row.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Project {
    /// Where every selected database stands.
    ///
    /// # Errors
    /// Those of the files and of SQLite.
    pub fn status(&self, selection: &Selection, observer: &dyn Observer) -> Result<Status> {
        self.settle(observer)?;
        let targets = self.selected(selection)?;
        let plans = databases::plan_all(&self.config, &targets, &selection.settings, observer)?;
        let catalog = self.store().list()?;
        let settings = self.config.offsite.as_ref();
        let offsite = settings.map(|settings| Standing::of(settings, &self.store(), &catalog));
        let overdue = self.overdue(&catalog);
        let backups = catalog.backups;
        Ok(Status {
            plans,
            foreign_ledgers: self.foreign_ledgers(&targets)?,
            ignored: targets.ignored,
            not_understood: targets.not_understood,
            worker: lock::worker(&self.config.data),
            blocked: self.blocked(),
            failed: self.last_failure(),
            interrupted: self.interrupted_run(),
            overdue,
            backups: backups.len(),
            drill: self.drill_standing()?,
            offsite,
            newest_backup: backups.into_iter().next(),
        })
    }

    /// Why `up` would be refused before it plans.
    fn blocked(&self) -> Option<Error> {
        let unfinished = self.refuse_in_deploy();
        unfinished.and_then(|()| deploy::refuse_held(&self.config.data)).err()
    }

    /// The last entry of the logbook, if it did not end well and no run went well since. What cannot be
    /// read says nothing: `history` reports that.
    fn last_failure(&self) -> Option<LogEntry> {
        let last = self.logbook().ok()?.pop().filter(|entry| !entry.is_success())?;
        let run = last_run::read(&self.config.data);
        let is_over = run.is_some_and(|it| it.ending == Ending::Done && it.started > last.started);
        (!is_over).then_some(last)
    }

    /// The ledgers of other tools in the databases, of a pattern those in its first one.
    fn foreign_ledgers(&self, targets: &Targets) -> Result<Vec<(PathBuf, ForeignLedger)>> {
        let mut found = Vec::new();
        for target in &targets.targets {
            let Some(path) = target.paths(&self.config.data)?.into_iter().next() else { continue };
            let live = self.config.data.join(&path);
            let Some(connection) = databases::open_to_read(&live, &self.config)? else { continue };
            let ledgers = ledger::foreign(&connection).map_err(database::failed("read", &live))?;
            found.extend(ledgers.into_iter().map(|ledger| (path.clone(), ledger)));
        }
        Ok(found)
    }

    /// What ran on every selected database, oldest first.
    ///
    /// # Errors
    /// Those of the files and of SQLite.
    pub fn history(
        &self,
        selection: &Selection,
        observer: &dyn Observer,
    ) -> Result<Vec<HistoryRow>> {
        self.settle(observer)?;
        let mut rows = Vec::new();
        for target in self.selected(selection)?.targets {
            for path in target.paths(&self.config.data)? {
                let live = self.config.data.join(&path);
                let Some(connection) = databases::open_to_read(&live, &self.config)? else {
                    continue;
                };
                let entries = ledger::read(&connection)
                    .map_err(ledger::failed("read the ledger of", &live))?;
                rows.extend(
                    entries.into_iter().map(|entry| HistoryRow { database: path.clone(), entry }),
                );
            }
        }
        Ok(rows)
    }
}
