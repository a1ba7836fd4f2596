//! `up`: plan, back up, carry out, and put the backup back where a failure left something.

use super::{Outcome, Project, Selection, databases, targets::Targets};
use crate::{
    Error, Kind, Result,
    apply::{self, Done, Failure, Lasting},
    backup, database, disk,
    event::Observer,
    lock::Patience,
    plan::DatabasePlan,
    store::{BackupId, Reason},
};
use std::{ffi::OsString, path::PathBuf};

/// What the user chose for `up`.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Targets and planning choices.
    pub selection: Selection,
    /// What to do when another piton works.
    pub patience: Patience,
}

/// What happened on one database.
#[derive(Debug)]
pub struct DatabaseReport {
    /// The database, relative to the data directory.
    pub database: PathBuf,
    /// What ran; rolled back again where the run was restored.
    pub done: Vec<Done>,
    /// Why it stopped, and at which migration.
    pub failure: Option<(Error, Option<String>)>,
}

/// What a run did.
#[derive(Debug)]
pub struct UpReport {
    /// How it ended.
    pub outcome: Outcome,
    /// The plans that it followed.
    pub plans: Vec<DatabasePlan>,
    /// The backup that it took.
    pub backup: Option<BackupId>,
    /// By database, those on which something was begun.
    pub databases: Vec<DatabaseReport>,
    /// Why the backup could not be put back, where that failed.
    pub restore_failure: Option<Error>,
}

impl Project {
    /// Brings every selected database to the end of its history.
    ///
    /// # Errors
    /// What went wrong before anything was begun; what went wrong afterwards is in the report.
    pub fn up(&self, options: &UpOptions, observer: &dyn Observer) -> Result<UpReport> {
        let config = &self.config;
        let targets = self.selected(&options.selection)?;
        let created = !config.data.exists();
        if created && self.has_nothing_to_make(&targets)? {
            return Ok(report(Outcome::NothingToDo, Vec::new()));
        }
        let _lock = self.begin(options.patience, observer)?;
        let plans = databases::plan_all(config, &targets, &options.selection.settings)?;
        if plans.iter().any(|plan| plan.denials().next().is_some()) {
            return Ok(report(Outcome::Problem(Kind::Refused), plans));
        }
        if !plans.iter().any(DatabasePlan::acts) {
            return Ok(report(Outcome::NothingToDo, plans));
        }
        let backup = self.back_up_existing(Reason::Run, None, observer)?;
        let mut report = report(Outcome::Done, plans);
        report.backup = backup.clone();
        self.carry_out(&targets, &mut report, observer);
        Ok(report)
    }

    fn has_nothing_to_make(&self, targets: &Targets) -> Result<bool> {
        for target in &targets.targets {
            if !target.paths(&self.config.data)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A backup of the data directory, where there is anything in it.
    pub(super) fn back_up_existing(
        &self,
        reason: Reason,
        label: Option<String>,
        observer: &dyn Observer,
    ) -> Result<Option<BackupId>> {
        match self.take_backup(reason, label, observer) {
            Ok(taken)
                if taken.backup.manifest.databases.is_empty()
                    && taken.backup.manifest.files.is_empty() =>
            {
                Ok(Some(taken.backup.id().clone()))
            }
            Ok(taken) => Ok(Some(taken.backup.id().clone())),
            Err(Error::Backup(crate::error::BackupError::NoData { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn carry_out(&self, targets: &Targets, report: &mut UpReport, observer: &dyn Observer) {
        let backup = report.backup.as_ref().map(ToString::to_string);
        let environment = self.script_environment(report.backup.as_ref());
        let mut left = Vec::new();
        for plan in report.plans.iter().filter(|plan| plan.acts()) {
            let run = apply::Run {
                plan,
                backup: backup.as_deref(),
                purpose: apply::Purpose::Migrate,
                clock: &*self.world.clock,
                busy: self.config.busy_timeout,
                script_limit: self.config.script_timeout,
                environment: &environment,
                folder: &self.config.root,
                observer,
            };
            let tolerant = targets
                .targets
                .iter()
                .any(|target| target.name == plan.target && target.is_matching());
            match apply::carry_out(&run) {
                Ok(outcome) => {
                    if !tolerant {
                        left.push(plan.database.clone());
                    }
                    report.databases.push(DatabaseReport {
                        database: plan.database.clone(),
                        done: outcome.done,
                        failure: None,
                    });
                }
                Err(failure) => {
                    let Failure { error, lasting, migration, done } = *failure;
                    report.databases.push(DatabaseReport {
                        database: plan.database.clone(),
                        done,
                        failure: Some((error, migration)),
                    });
                    if lasting == Lasting::Nothing && !plan.exists {
                        self.remove_created(plan);
                    }
                    let only = tolerant.then(|| plan.database.clone());
                    let must_restore =
                        lasting == Lasting::Something || (!tolerant && !left.is_empty());
                    let outcome = self.after_failure(
                        report.backup.as_ref(),
                        must_restore,
                        only,
                        &report.plans,
                        observer,
                    );
                    match outcome {
                        Ok(kind) => worsen(&mut report.outcome, kind),
                        Err(error) => {
                            worsen(&mut report.outcome, Kind::NotRestored);
                            report.restore_failure = Some(error);
                        }
                    }
                    if !tolerant {
                        return;
                    }
                }
            }
        }
    }

    /// Puts the run's backup back where a failure left something.
    fn after_failure(
        &self,
        backup: Option<&BackupId>,
        must_restore: bool,
        only: Option<PathBuf>,
        plans: &[DatabasePlan],
        observer: &dyn Observer,
    ) -> Result<Kind> {
        if !must_restore {
            return Ok(Kind::Failed);
        }
        match backup {
            Some(backup) => self.put_back(backup, only, observer)?,
            // There was nothing before the run: what it made goes.
            None => {
                for plan in plans.iter().filter(|plan| !plan.exists) {
                    self.remove_created(plan);
                }
            }
        }
        Ok(Kind::Restored)
    }

    /// Removes a database that this run created and that nothing was committed to.
    fn remove_created(&self, plan: &DatabasePlan) {
        // What cannot be removed is an empty database, which the next run takes for a new one.
        let _ = disk::remove_file("created-database", &plan.path);
        for suffix in database::SIDE_SUFFIXES {
            let _ = disk::remove_file("created-database", &database::side_file(&plan.path, suffix));
        }
    }

    /// What scripts find in their environment, besides the database.
    pub(super) fn script_environment(&self, backup: Option<&BackupId>) -> Vec<(String, OsString)> {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let mut environment = vec![
            ("PITON_DATA_DIR".to_string(), absolute(&self.config.data).into_os_string()),
            ("PITON_BACKUPS_DIR".to_string(), absolute(&self.config.backups).into_os_string()),
        ];
        let archive = backup.map(|id| self.store().archive_path(id));
        let archive = archive.map(|path| absolute(&path).into_os_string()).unwrap_or_default();
        environment.push(("PITON_BACKUP".to_string(), archive));
        environment
    }

    pub(super) fn take_backup(
        &self,
        reason: Reason,
        label: Option<String>,
        observer: &dyn Observer,
    ) -> Result<backup::Taken> {
        self.with_backup_request(reason, label, |request, store| {
            backup::take(request, store, observer)
        })
    }
}

fn worsen(outcome: &mut Outcome, kind: Kind) {
    let rank = |outcome: Outcome| match outcome {
        Outcome::Problem(Kind::NotRestored) => 3,
        Outcome::Problem(Kind::Restored) => 2,
        Outcome::Problem(_) => 1,
        _ => 0,
    };
    let new = Outcome::Problem(kind);
    if rank(new) > rank(*outcome) {
        *outcome = new;
    }
}

fn report(outcome: Outcome, plans: Vec<DatabasePlan>) -> UpReport {
    UpReport { outcome, plans, backup: None, databases: Vec::new(), restore_failure: None }
}
