//! `up`: plan, back up, carry out, and put the backup back where a failure left something.

use super::{
    Outcome, Project, Selection,
    backups::where_there_is_data,
    databases,
    findings::announce,
    last_run::{self, Ending, LastRun, Stage},
    targets::Targets,
};
use crate::{
    Error, Kind, Result,
    apply::{self, Done, Failure, Lasting},
    database, deploy, disk,
    event::{self, Event, Observer},
    lock::Patience,
    offsite,
    plan::DatabasePlan,
    restore,
    store::{BackupId, Reason},
};
use serde::Serialize;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// What the user chose for `up`.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Targets and planning choices.
    pub selection: Selection,
    /// What to do when another piton works.
    pub patience: Patience,
}

/// Which backup a run goes back to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor<'a> {
    /// One that is taken now.
    Take,
    /// One that was taken before, while nothing could write since; none where there was no data.
    Given(Option<&'a BackupId>),
}

/// What happened on one database.
#[derive(Debug)]
pub struct DatabaseReport {
    /// The database, relative to the data directory.
    pub database: PathBuf,
    /// What ran.
    pub done: Vec<Done>,
    /// Whether that stays.
    pub standing: Standing,
    /// Why it stopped, and at which migration.
    pub failure: Option<(Error, Option<String>)>,
}

/// Whether what ran on a database stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is committed and stays.
    Kept,
    /// The database is as before the run.
    AsBefore,
    /// It could not be put right.
    Unsettled,
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
    /// What was copied off the machine; nothing where no place is configured, or the run failed.
    pub offsite: Option<offsite::Report>,
}

impl UpReport {
    /// Whether anything that the run did stays.
    #[must_use]
    pub fn keeps_anything(&self) -> bool {
        self.databases.iter().any(|database| database.standing == Standing::Kept)
    }
}

impl Project {
    /// Brings every selected database to the end of its history.
    ///
    /// # Errors
    /// What went wrong before anything was begun; what went wrong afterwards is in the report.
    pub fn up(&self, options: &UpOptions, observer: &dyn Observer) -> Result<UpReport> {
        let started = (self.world.clock)();
        let result = self.up_under(options, Anchor::Take, observer);
        self.log_run(started, &result, observer);
        let mut report = result?;
        // Whoever has a failure before them should read it at once: the next one copies.
        if report.outcome == Outcome::Done && report.backup.is_some() {
            report.offsite = self.copy_after(Reason::Run, observer);
        }
        Ok(report)
    }

    /// The same, under a backup that was taken before, as a deploy does.
    pub(super) fn up_under(
        &self,
        options: &UpOptions,
        anchor: Anchor<'_>,
        observer: &dyn Observer,
    ) -> Result<UpReport> {
        let config = &self.config;
        let targets = self.planned(&options.selection)?;
        let planned =
            || databases::plan_all(config, &targets, &options.selection.settings, observer);
        let mut early = None;
        if !disk::exists(&config.data)? {
            // The lock lies in the data directory, which a refused run must not make.
            let plans = planned()?;
            if let Some(outcome) = without_a_run(&plans, &targets) {
                return Ok(report(outcome, plans));
            }
            early = Some(plans);
        }
        let _lock = self.begin(options.patience, observer)?;
        let plans = match early {
            Some(plans) if none_exists(&plans)? => plans,
            _ => planned()?,
        };
        let cut_off = self.run_cut_off();
        let outcome = without_a_run(&plans, &targets);
        if outcome == Some(Outcome::NothingToDo)
            && cut_off.is_some()
            && is_whole(&options.selection)
        {
            // Cut off at its very end: everything that it was to do is done, so nothing went wrong.
            self.end_run()?;
            return Ok(report(Outcome::NothingToDo, plans));
        }
        if let Some(run) = &cut_off {
            self.log_killed(run, observer);
        }
        if let Some(outcome) = outcome {
            return Ok(report(outcome, plans));
        }
        if matches!(anchor, Anchor::Take) {
            announce(&plans, observer);
        }
        if let Some(run) = cut_off {
            observer.event(Event::Warning { text: format!("{run}; this one goes on from there") });
        }
        for plan in plans.iter().filter(|plan| plan.acts()) {
            databases::require_in_backups(config, &plan.database)?;
        }
        let backup = match anchor {
            Anchor::Given(backup) => backup.cloned(),
            Anchor::Take => {
                self.refuse_in_deploy()?;
                deploy::refuse_held(&config.data)?;
                if let Some(extent) = Self::extent_of_run(&plans, &targets) {
                    self.require_way_back(&plans, &extent)?;
                }
                self.back_up_for_run(Reason::Run, observer)?
            }
        };
        let mut report = report(Outcome::Done, plans);
        report.backup = backup.clone();
        let mut run = self.run_begins(backup)?;
        self.carry_out(&targets, &mut report, observer);
        run.ending =
            if report.keeps_anything() { Ending::Done } else { Ending::of(report.outcome) };
        self.note_end(&mut run, observer);
        if report.outcome == Outcome::Done {
            self.prune_after(report.backup.as_ref(), observer);
        }
        Ok(report)
    }

    /// Notes how the last run ended after all.
    fn end_run(&self) -> Result<()> {
        let Some(run) = last_run::read(&self.config.data) else { return Ok(()) };
        let ending = match run.stage {
            Stage::Preparing => Ending::AsBefore,
            Stage::Running => Ending::Done,
        };
        last_run::write(&self.config.data, &LastRun { ending, ..run })
    }

    /// Takes the backup of a run, which is noted before: one that is interrupted here has changed
    /// nothing, and `rollback` must not go back over the run before it. Unless that was cut off itself:
    /// what it left is still there, and its note says so until this run begins.
    pub(super) fn back_up_for_run(
        &self,
        reason: Reason,
        observer: &dyn Observer,
    ) -> Result<Option<BackupId>> {
        let before = last_run::read(&self.config.data);
        let is_cut_off = before.as_ref().is_some_and(LastRun::is_cut_off);
        if !is_cut_off {
            let prepared = LastRun::prepared((self.world.clock)(), before.clone());
            last_run::write(&self.config.data, &prepared)?;
        }
        let taken = self.back_up_existing(reason, None, observer);
        let taken = taken.and_then(|backup| event::go_on(observer).map(|()| backup));
        let take_back = || last_run::take_back(&self.config.data, before.as_ref(), observer);
        taken.inspect_err(|_| {
            if !is_cut_off {
                take_back()
            }
        })
    }

    /// Notes how a run ended, and what it left.
    pub(super) fn note_end(&self, run: &mut LastRun, observer: &dyn Observer) {
        let excluded = self.config.left_out();
        // Without it, a rollback asks once more.
        run.left = excluded
            .ok()
            .and_then(|excluded| restore::Footprint::of(&self.config.data, &excluded).ok());
        last_run::note(&self.config.data, run, observer);
    }

    /// Notes that a run begins, so that a crash in it is noticed.
    pub(super) fn run_begins(&self, backup: Option<BackupId>) -> Result<LastRun> {
        let before = last_run::read(&self.config.data);
        let run = LastRun::begun(backup, (self.world.clock)(), before);
        last_run::write(&self.config.data, &run)?;
        Ok(run)
    }

    /// A backup of the data directory, where there is anything in it.
    pub(super) fn back_up_existing(
        &self,
        reason: Reason,
        label: Option<String>,
        observer: &dyn Observer,
    ) -> Result<Option<BackupId>> {
        where_there_is_data(self.take_backup(reason, label, observer))
    }

    /// Carries the plans out: named databases one after another, since the first failure ends the
    /// run; then those of patterns, on all processors.
    fn carry_out(&self, targets: &Targets, report: &mut UpReport, observer: &dyn Observer) {
        let _changing = disk::Changing::begin();
        let plans = std::mem::take(&mut report.plans);
        let backup = report.backup.as_ref().map(ToString::to_string);
        let environment = self.script_environment(report.backup.as_ref());
        let run = |plan: &DatabasePlan| {
            apply::carry_out(&apply::Run {
                plan,
                backup: backup.as_deref(),
                purpose: match targets.guards_itself(&plan.target) {
                    true => apply::Purpose::Operate,
                    false => apply::Purpose::Migrate,
                },
                clock: &*self.world.clock,
                busy: self.config.busy_timeout,
                script_limit: self.config.script_timeout,
                environment: &environment,
                arguments: &[],
                folder: &self.config.root,
                enclosure: None,
                observer,
            })
        };
        let acting = plans.iter().filter(|plan| plan.acts() && !is_refused(plan));
        let (matching, named): (Vec<_>, Vec<_>) =
            acting.partition(|plan| targets.is_matching(&plan.target));
        let mut whole = true;
        for plan in named {
            let lasting = self.note(plan, run(plan), report);
            if let Some(lasting) = lasting {
                self.put_all_right(&plans, lasting, report, observer);
                whole = false;
                break;
            }
        }
        if whole {
            let outcomes = databases::in_parallel(&matching, |plan| run(plan));
            for (plan, outcome) in matching.iter().zip(outcomes) {
                // Putting right is one restore after another: each has the journal to itself.
                if let Some(lasting) = self.note(plan, outcome, report) {
                    self.put_one_right(plan, lasting, report, observer);
                }
            }
        }
        if plans.iter().any(is_refused) {
            worsen(&mut report.outcome, Kind::Refused);
        }
        report.plans = plans;
    }

    /// Notes what happened on a database; of a failure, what it left.
    fn note(
        &self,
        plan: &DatabasePlan,
        outcome: Result<apply::Outcome, Box<Failure>>,
        report: &mut UpReport,
    ) -> Option<Lasting> {
        let database = plan.database.clone();
        match outcome {
            Ok(outcome) => {
                let (done, standing) = (outcome.done, Standing::Kept);
                report.databases.push(DatabaseReport { database, done, standing, failure: None });
                None
            }
            Err(failure) => {
                let Failure { error, lasting, migration, done } = *failure;
                let (standing, failure) = (Standing::AsBefore, Some((error, migration)));
                report.databases.push(DatabaseReport { database, done, standing, failure });
                if lasting == Lasting::Nothing && !plan.exists {
                    self.remove_created(plan);
                }
                Some(lasting)
            }
        }
    }

    /// One database of a pattern failed: it alone is put back, the others go on.
    fn put_one_right(
        &self,
        plan: &DatabasePlan,
        lasting: Lasting,
        report: &mut UpReport,
        observer: &dyn Observer,
    ) {
        let restored = match (lasting, &report.backup) {
            (Lasting::Something, Some(backup)) => {
                Some(self.put_back(backup, Some(plan.database.clone()), observer))
            }
            _ => None,
        };
        let last = report.databases.last_mut();
        let (kind, standing) = match &restored {
            None => (kind_of_end(observer), Standing::AsBefore),
            Some(Ok(())) => (Kind::Restored, Standing::AsBefore),
            Some(Err(_)) => (Kind::NotRestored, Standing::Unsettled),
        };
        if let Some(last) = last {
            last.standing = standing;
        }
        worsen(&mut report.outcome, kind);
        report.restore_failure = restored.and_then(Result::err).or(report.restore_failure.take());
    }

    /// A named database failed: everything that the run changed is put back.
    fn put_all_right(
        &self,
        plans: &[DatabasePlan],
        lasting: Lasting,
        report: &mut UpReport,
        observer: &dyn Observer,
    ) {
        if lasting == Lasting::Nothing && !report.keeps_anything() {
            worsen(&mut report.outcome, kind_of_end(observer));
            return;
        }
        let restored = match &report.backup {
            Some(backup) => self.put_back(backup, None, observer),
            // There was nothing before the run: what it made goes.
            None => {
                plans.iter().filter(|plan| !plan.exists).for_each(|plan| self.remove_created(plan));
                Ok(())
            }
        };
        let (kind, standing) = match &restored {
            Ok(()) => (Kind::Restored, Standing::AsBefore),
            Err(_) => (Kind::NotRestored, Standing::Unsettled),
        };
        report.databases.iter_mut().for_each(|database| database.standing = standing);
        worsen(&mut report.outcome, kind);
        report.restore_failure = restored.err();
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
        self.environment_of(&self.config.data, backup)
    }

    /// The same, for scripts that work on another data directory, such as a copy.
    pub(super) fn environment_of(
        &self,
        data: &Path,
        backup: Option<&BackupId>,
    ) -> Vec<(String, OsString)> {
        let absolute = |path: &Path| {
            std::path::absolute(path).unwrap_or_else(|_| path.into()).into_os_string()
        };
        let archive = backup.map(|id| self.store().archive_path(id));
        vec![
            ("PITON_DATA_DIR".into(), absolute(data)),
            ("PITON_BACKUPS_DIR".into(), absolute(&self.config.backups)),
            ("PITON_BACKUP".into(), archive.map(|path| absolute(&path)).unwrap_or_default()),
        ]
    }
}

/// How a run ends that does nothing. A refused database of a pattern stops only itself.
fn without_a_run(plans: &[DatabasePlan], targets: &Targets) -> Option<Outcome> {
    let refused = plans.iter().filter(|plan| is_refused(plan));
    let (of_patterns, named): (Vec<_>, Vec<_>) =
        refused.partition(|plan| targets.is_matching(&plan.target));
    let acts = plans.iter().any(|plan| plan.acts() && !is_refused(plan));
    match (named.is_empty(), of_patterns.is_empty(), acts) {
        (false, ..) | (_, false, false) => Some(Outcome::Problem(Kind::Refused)),
        (.., false) => Some(Outcome::NothingToDo),
        _ => None,
    }
}

/// Whether what did not exist when it was planned does not exist now either.
fn none_exists(plans: &[DatabasePlan]) -> Result<bool> {
    for plan in plans {
        if disk::exists(&plan.path)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a run is that stopped with everything as before.
pub(super) fn kind_of_end(observer: &dyn Observer) -> Kind {
    if observer.is_interrupted() { Kind::Interrupted } else { Kind::Failed }
}

/// Whether nothing of the histories is left out.
fn is_whole(selection: &Selection) -> bool {
    selection.targets.is_empty() && selection.settings.last.is_none()
}

fn is_refused(plan: &DatabasePlan) -> bool {
    plan.denials().next().is_some()
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
    UpReport {
        outcome,
        plans,
        backup: None,
        databases: Vec::new(),
        restore_failure: None,
        offsite: None,
    }
}
