//! `rehearse`: the plan carried out on a copy of the live data, scripts included, twice.
//!
//! Scripts run where the copy is in the place of the live data, or not at all; afterwards the live
//! databases are compared with what they were.

use super::{DatabaseReport, Outcome, Project, Selection, Standing, databases, findings::announce};
use crate::{
    Error, Kind, Result, apply,
    apply::Failure,
    backup, disk,
    error::{DeployError, RehearsalError},
    event::Observer,
    ledger::Witness,
    lock::Patience,
    plan::{Action, Assessment, DatabasePlan},
    process::Enclosure,
    records,
    rehearse::{Comparison, Live, Measure, Reach, reach, way_out},
    restore,
    store::{BackupId, Folders, Reason},
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What a rehearsal showed.
#[derive(Debug)]
pub struct RehearsalReport {
    /// How it ended.
    pub outcome: Outcome,
    /// The plans that it followed.
    pub plans: Vec<DatabasePlan>,
    /// The backup that was unpacked for it.
    pub backup: Option<BackupId>,
    /// What ran on each copy.
    pub databases: Vec<DatabaseReport>,
    /// What differs afterwards, by database.
    pub comparisons: Vec<(PathBuf, Comparison)>,
    /// Migrations that a second run would act on again: there should be none.
    pub again: Vec<String>,
    /// The scripts of the plan, and what was done about each.
    pub scripts: Vec<ScriptReach>,
    /// What was not rehearsed, since it comes after a script that was left out and failed without it.
    pub not_rehearsed: Vec<NotRehearsed>,
    /// What changed in the live databases meanwhile: there should be nothing.
    pub live: Vec<String>,
}

/// What a rehearsal did about a script.
#[derive(Clone, Debug, Serialize)]
pub struct ScriptReach {
    /// The database, relative to the data directory.
    pub database: PathBuf,
    /// The script's file name.
    pub migration: String,
    /// What was done.
    #[serde(flatten)]
    pub reach: Reach,
}

/// Migrations that were not rehearsed.
#[derive(Clone, Debug, Serialize)]
pub struct NotRehearsed {
    /// The database, relative to the data directory.
    pub database: PathBuf,
    /// Their file names.
    pub migrations: Vec<String>,
    /// What the first of them said.
    pub reason: String,
}

/// Where the copy is, and how scripts are kept away from the live data.
struct Stage<'a> {
    folder: &'a Path,
    enclosure: std::result::Result<Enclosure, String>,
    /// How scripts could reach live data all the same.
    way_out: Option<String>,
    backup: &'a BackupId,
}

impl Project {
    /// Rehearses what `up` would do. Nothing live is changed.
    ///
    /// # Errors
    /// What went wrong before anything was rehearsed.
    pub fn rehearse(
        &self,
        selection: &Selection,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<RehearsalReport> {
        self.rehearse_on(None, selection, patience, observer)
    }

    /// The same on a backup that was taken before, as a deploy does.
    pub(super) fn rehearse_on(
        &self,
        given: Option<&BackupId>,
        selection: &Selection,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<RehearsalReport> {
        let targets = self.planned(selection)?;
        let _lock = self.begin(patience, observer)?;
        let plans = databases::plan_all(&self.config, &targets, &selection.settings, observer)?;
        let mut report = RehearsalReport {
            outcome: Outcome::NothingToDo,
            plans,
            backup: given.cloned(),
            databases: Vec::new(),
            comparisons: Vec::new(),
            again: Vec::new(),
            scripts: Vec::new(),
            not_rehearsed: Vec::new(),
            live: Vec::new(),
        };
        if report.plans.iter().any(|plan| plan.denials().next().is_some()) {
            report.outcome = Outcome::Problem(Kind::Refused);
            return Ok(report);
        }
        if !report.plans.iter().any(DatabasePlan::acts) {
            return Ok(report);
        }
        if given.is_none() {
            announce(&report.plans, observer);
        }
        for plan in report.plans.iter().filter(|plan| plan.acts()) {
            databases::require_in_backups(&self.config, &plan.database)?;
        }
        if disk::exists(&self.config.data)? {
            self.require_room_to_rehearse()?;
        }
        let folder = records::make_private(&self.config.data)?.join("rehearsal");
        disk::remove_tree("rehearsal-sweep", &folder)?;
        disk::create_private_folders("rehearsal-folder", &folder)?;
        let finished = self.rehearse_beside(&folder, selection, &mut report, observer);
        disk::remove_tree("rehearsal-remove", &folder)?;
        match finished {
            Err(error) if !report.live.is_empty() => {
                let changes = report.live.join("; ");
                Err(RehearsalError::Reached { changes, cause: Some(error.to_string()) }.into())
            }
            other => other.map(|()| report),
        }
    }

    /// The rehearsal unpacks a whole copy.
    pub(super) fn require_room_to_rehearse(&self) -> Result<()> {
        let data = &self.config.data;
        let needed = backup::size_of_data(data, &self.config.left_out()?)?;
        let free = disk::free_space(data)?;
        if free < needed {
            let (path, what) = (data.clone(), "files of the rehearsal");
            return Err(DeployError::NoRoom { path, what, free, needed }.into());
        }
        Ok(())
    }

    /// Compares the live databases before and after, however the rehearsal ends.
    fn rehearse_beside(
        &self,
        folder: &Path,
        selection: &Selection,
        report: &mut RehearsalReport,
        observer: &dyn Observer,
    ) -> Result<()> {
        let backup = match &report.backup {
            Some(given) => self.store().load(given)?,
            None => self.take_backup(Reason::Run, None, observer)?.backup,
        };
        report.backup = Some(backup.id().clone());
        self.store().extract(&backup, folder, &|_| true, Folders::AsListed, observer)?;
        let data = &self.config.data;
        let look = || -> Result<_> {
            let (names, open) = restore::open_databases(data)?;
            Ok((Live::of(data, names, self.config.busy_timeout)?, open))
        };
        let (before, mut open) = look()?;
        let finished = self.rehearse_in(folder, backup.id(), selection, report, observer);
        let (after, open_now) = look()?;
        open.extend(open_now);
        // SQL has only the copy. Of a script nothing is known, even in an enclosure: root can leave it.
        let ran = |script: &ScriptReach| !matches!(script.reach, Reach::LeftOut { .. });
        let any_ran = report.scripts.iter().any(ran);
        let is_alone = |database: &Path| any_ran && !open.contains(database);
        report.live = before.changes_to(&after, is_alone);
        if !report.live.is_empty() {
            report.outcome = Outcome::Problem(Kind::NotRestored);
        }
        finished
    }

    fn rehearse_in(
        &self,
        folder: &Path,
        backup: &BackupId,
        selection: &Selection,
        report: &mut RehearsalReport,
        observer: &dyn Observer,
    ) -> Result<()> {
        let mut copy = self.config.clone();
        copy.data = folder.into();
        let targets = self.selected(selection)?;
        let plans = databases::plan_all(&copy, &targets, &selection.settings, observer)?;
        let acting: Vec<&DatabasePlan> = plans.iter().filter(|plan| plan.acts()).collect();
        let before =
            acting.iter().map(|plan| Measure::of(&plan.path)).collect::<Result<Vec<_>>>()?;
        report.outcome = Outcome::Done;
        let enclosure = Enclosure::new(folder, &self.config.data, &self.config.root);
        let enclosure = enclosure.map_err(|error| error.to_string());
        let (names, _) = restore::open_databases(&self.config.data)?;
        let way_out = way_out(&self.config.data, folder, &names)?;
        let stage = Stage { folder, enclosure, way_out, backup };
        for plan in &acting {
            self.rehearse_one(plan, &stage, report, observer);
        }
        for (plan, before) in acting.iter().zip(&before) {
            let comparison = Measure::of(&plan.path)?.since(before, &plan.path)?;
            if !comparison.damage.is_empty() {
                report.outcome = Outcome::Problem(Kind::Failed);
            }
            report.comparisons.push((plan.database.clone(), comparison));
        }
        if report.outcome == Outcome::Done {
            for plan in databases::plan_all(&copy, &targets, &selection.settings, observer)? {
                // What was left out would run: nothing is known of a second run then.
                if report.is_partial(&plan.database) {
                    continue;
                }
                let name = plan.database.display();
                report.again.extend(plan.actions().map(|found| format!("{name}: {}", found.title)));
                report
                    .again
                    .extend(plan.denials().map(|found| format!("{name}: {}", found.message)));
            }
            if !report.again.is_empty() {
                report.outcome = Outcome::Problem(Kind::Failed);
            }
        }
        Ok(())
    }

    fn rehearse_one(
        &self,
        plan: &DatabasePlan,
        stage: &Stage<'_>,
        report: &mut RehearsalReport,
        observer: &dyn Observer,
    ) {
        let plan = &with_scripts(plan, stage, report);
        let environment = self.environment_of(stage.folder, Some(stage.backup));
        let run = apply::Run {
            plan,
            purpose: apply::Purpose::Migrate,
            backup: Some(stage.backup.as_str()),
            clock: &*self.world.clock,
            busy: self.config.busy_timeout,
            script_limit: self.config.script_timeout,
            environment: &environment,
            arguments: &[],
            folder: &self.config.root,
            enclosure: stage.enclosure.as_ref().ok(),
            observer,
        };
        let database = plan.database.clone();
        let standing = Standing::AsBefore;
        let (mut done, failure) = match apply::carry_out(&run) {
            Ok(outcome) => (outcome.done, None),
            Err(failure) => {
                let Failure { error, migration, done, .. } = *failure;
                (done, Some((error, migration)))
            }
        };
        let left_out = report.left_out(&database);
        done.retain(|done| !left_out.contains(&done.migration));
        let failure = match failure {
            Some((error, Some(migration)))
                if !matches!(error, Error::Interrupted)
                    && comes_after(plan, &migration, &left_out) =>
            {
                report.not_rehearsed.push(NotRehearsed {
                    database: database.clone(),
                    migrations: from(plan, &migration),
                    reason: error.to_string(),
                });
                None
            }
            other => other,
        };
        if failure.is_some() {
            report.outcome = Outcome::Problem(Kind::Failed);
        }
        report.databases.push(DatabaseReport { database, done, standing, failure });
    }
}

impl RehearsalReport {
    /// What was left out and not rehearsed, in a few words; nothing where all of it was.
    #[must_use]
    pub fn omissions(&self) -> Option<String> {
        let is_left_out = |script: &&ScriptReach| matches!(script.reach, Reach::LeftOut { .. });
        let left_out = self.scripts.iter().filter(is_left_out).map(|script| &script.migration);
        let after = self.not_rehearsed.iter().flat_map(|part| &part.migrations);
        let names: Vec<&str> = left_out.chain(after).map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("not rehearsed: {}", names.join(", ")))
    }

    /// The scripts that did not run on the copy of a database.
    fn left_out(&self, database: &Path) -> Vec<String> {
        let scripts = self.scripts.iter().filter(|script| script.database == database);
        let left_out = scripts.filter(|script| matches!(script.reach, Reach::LeftOut { .. }));
        left_out.map(|script| script.migration.clone()).collect()
    }

    /// Whether something of a database was left out.
    fn is_partial(&self, database: &Path) -> bool {
        !self.left_out(database).is_empty()
    }
}

/// The plan with the scripts that are left out as if they had run, and what is done about each script.
fn with_scripts(
    plan: &DatabasePlan,
    stage: &Stage<'_>,
    report: &mut RehearsalReport,
) -> DatabasePlan {
    let refusal = stage.enclosure.as_ref().err().map(String::as_str);
    let decide = |found: &Assessment| {
        let (Action::Script, Some(migration)) = (&found.action, &found.migration) else {
            return found.clone();
        };
        let reach = match &stage.way_out {
            Some(reason) => Reach::LeftOut { reason: reason.clone() },
            None => reach(&migration.text, refusal),
        };
        let is_left_out = matches!(reach, Reach::LeftOut { .. });
        report.scripts.push(ScriptReach {
            database: plan.database.clone(),
            migration: found.title.clone(),
            reach,
        });
        let action = if is_left_out { Action::Record(Witness::Adopted) } else { Action::Script };
        Assessment { action, ..found.clone() }
    };
    let assessments = plan.assessments.iter().map(decide).collect();
    DatabasePlan { assessments, ..plan.clone() }
}

/// Whether a migration runs after one of these.
fn comes_after(plan: &DatabasePlan, migration: &str, earlier: &[String]) -> bool {
    let mut before = plan.actions().take_while(|found| found.title != migration);
    before.any(|found| earlier.contains(&found.title))
}

/// A migration and all that run after it.
fn from(plan: &DatabasePlan, migration: &str) -> Vec<String> {
    let rest = plan.actions().skip_while(|found| found.title != migration);
    rest.map(|found| found.title.clone()).collect()
}
