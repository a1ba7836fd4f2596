//! `rehearse`: the plan carried out on a copy of the live data, scripts included, twice.

use super::{DatabaseReport, Outcome, Project, Selection, Standing, databases, findings::announce};
use crate::{
    Kind, Result, apply,
    apply::Failure,
    disk,
    event::Observer,
    lock::{PRIVATE_FOLDER, Patience},
    plan::DatabasePlan,
    rehearse::{Comparison, Measure},
    store::{BackupId, Folders, Reason},
};
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
        let plans = databases::plan_all(&self.config, &targets, &selection.settings)?;
        let mut report = RehearsalReport {
            outcome: Outcome::NothingToDo,
            plans,
            backup: given.cloned(),
            databases: Vec::new(),
            comparisons: Vec::new(),
            again: Vec::new(),
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
        let folder = self.config.data.join(PRIVATE_FOLDER).join("rehearsal");
        disk::remove_tree("rehearsal-sweep", &folder)?;
        disk::create_private_folders("rehearsal-folder", &folder)?;
        let finished = self.rehearse_in(&folder, selection, &mut report, observer);
        disk::remove_tree("rehearsal-remove", &folder)?;
        finished?;
        Ok(report)
    }

    fn rehearse_in(
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
        let mut copy = self.config.clone();
        copy.data = folder.into();
        let targets = self.selected(selection)?;
        let plans = databases::plan_all(&copy, &targets, &selection.settings)?;
        let acting: Vec<&DatabasePlan> = plans.iter().filter(|plan| plan.acts()).collect();
        let before =
            acting.iter().map(|plan| Measure::of(&plan.path)).collect::<Result<Vec<_>>>()?;
        report.outcome = Outcome::Done;
        for plan in &acting {
            self.rehearse_one(plan, folder, backup.id(), report, observer);
        }
        for (plan, before) in acting.iter().zip(&before) {
            let comparison = Measure::of(&plan.path)?.since(before, &plan.path)?;
            if !comparison.damage.is_empty() {
                report.outcome = Outcome::Problem(Kind::Failed);
            }
            report.comparisons.push((plan.database.clone(), comparison));
        }
        if report.outcome == Outcome::Done {
            for plan in databases::plan_all(&copy, &targets, &selection.settings)? {
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
        folder: &Path,
        backup: &BackupId,
        report: &mut RehearsalReport,
        observer: &dyn Observer,
    ) {
        let environment = self.environment_of(folder, Some(backup));
        let run = apply::Run {
            plan,
            purpose: apply::Purpose::Migrate,
            backup: Some(backup.as_str()),
            clock: &*self.world.clock,
            busy: self.config.busy_timeout,
            script_limit: self.config.script_timeout,
            environment: &environment,
            arguments: &[],
            folder: &self.config.root,
            observer,
        };
        let database = plan.database.clone();
        let standing = Standing::AsBefore;
        let (done, failure) = match apply::carry_out(&run) {
            Ok(outcome) => (outcome.done, None),
            Err(failure) => {
                let Failure { error, migration, done, .. } = *failure;
                report.outcome = Outcome::Problem(Kind::Failed);
                (done, Some((error, migration)))
            }
        };
        report.databases.push(DatabaseReport { database, done, standing, failure });
    }
}
