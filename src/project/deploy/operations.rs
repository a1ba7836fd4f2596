//! The verbs that the state machine of a deploy asks for.

use super::super::{
    DatabaseReport, Outcome, Project, RestoreOptions, Selection, Standing, UpOptions,
    backups::where_there_is_data,
    databases,
    last_run::{self, Ending as RunEnding},
    point::AFTER,
    rehearsal::RehearsalReport,
    up::{Anchor, UpReport},
    way_back::Extent,
};
use crate::{
    Error, Kind, Result, apply, backup,
    deploy::{Anchored, Archiving, Examination, Form, Left, Migrated, Operations, Rehearsal, Work},
    disk,
    error::{DeployError, FileHolder, RehearsalError},
    event::{Event, Observer},
    lock::Patience,
    plan::{Action, DatabasePlan, Finding, Severity},
    restore::{self, Gate},
    store::{BackupId, Filter, Reason},
};
use std::path::{Path, PathBuf};

/// The backups of a deploy that goes back: one beside the running service, one after the stop, and one of
/// the state that failed.
const BACKUPS: u64 = 3;

impl Project {
    fn refuse_denied(plans: &[DatabasePlan]) -> Result<()> {
        let mut lines = Vec::new();
        for plan in plans {
            lines.extend(plan.denials().map(|finding| format!("  {}", described(plan, finding))));
        }
        if lines.is_empty() {
            return Ok(());
        }
        Err(DeployError::Plan { findings: lines.join("\n") }.into())
    }

    /// The rehearsal unpacks a whole copy; the backups' own need is judged when they are taken.
    fn require_room(&self) -> Result<()> {
        let room = |path: &PathBuf, what: &'static str, needed: u64| -> Result<()> {
            let free = disk::free_space(existing(path))?;
            if free < needed {
                let path = path.clone();
                return Err(DeployError::NoRoom { path, what, free, needed }.into());
            }
            Ok(())
        };
        if self.config.deploy.rehearsal == Rehearsal::Do {
            self.require_room_to_rehearse()?;
        }
        let needed = self.with_backup_request(Reason::Deploy, None, |request, store| {
            backup::needed_space(request, store, BACKUPS)
        })?;
        let prunable = match self.config.retention.is_empty() {
            true => 0,
            // Room is made by the rules when it is short.
            false => self.judge(None)?.surplus().map(|it| it.archive_bytes).sum(),
        };
        room(&self.config.backups, "backups", needed.saturating_sub(prunable))
    }
}

impl Operations for Project {
    fn examine(&self, observer: &dyn Observer) -> Result<Examination> {
        let plans = self.plan(&Selection::default(), observer)?;
        Self::refuse_denied(&plans)?;
        for plan in plans.iter().filter(|plan| plan.acts()) {
            databases::require_in_backups(&self.config, &plan.database)?;
        }
        let scripts = plans
            .iter()
            .flat_map(DatabasePlan::actions)
            .any(|action| matches!(action.action, Action::Script));
        let archiving = if scripts { Archiving::BeforeMigrating } else { Archiving::OnceHealthy };
        let mut found = Examination { archiving, ..Examination::default() };
        for plan in &plans {
            let name = plan.database.display();
            found.pending.extend(plan.actions().map(|action| format!("{name}: {}", action.title)));
            let warnings = plan.findings.iter().filter(|it| it.severity == Severity::Warning);
            found.warnings.extend(warnings.map(|finding| described(plan, finding)));
        }
        if !found.pending.is_empty() && disk::exists(&self.config.data)? {
            let extent = if scripts { Extent::Everything } else { Extent::AllDatabases };
            self.require_way_back(&plans, &extent)?;
            self.require_room()?;
        }
        Ok(found)
    }

    fn back_up(&self, work: Work, observer: &dyn Observer) -> Result<Option<BackupId>> {
        let _lock = self.begin(Patience::Wait, observer)?;
        let label = Some("before the stop".into());
        let taken = match work {
            Work::Migrate => self.prepare_point(label, observer),
            Work::Restart | Work::Nothing => self.take_backup(Reason::Deploy, label, observer),
        };
        where_there_is_data(taken)
    }

    fn anchor(&self, archiving: Archiving, observer: &dyn Observer) -> Result<Option<Anchored>> {
        let _lock = self.begin(Patience::Wait, observer)?;
        match self.take_point() {
            Ok(Some(backup)) => {
                if archiving == Archiving::BeforeMigrating {
                    self.archive_point(&backup, observer)?;
                }
                let copied = backup::point::is_waiting(&self.store(), &backup)?;
                let form = if copied { Form::Copy } else { Form::Archive };
                return Ok(Some(Anchored { backup, form }));
            }
            Ok(None) => {}
            Err(error) => {
                let text = format!("the copy cannot be used, which costs time: {error}");
                observer.event(Event::Warning { text });
            }
        }
        let label = Some(AFTER.into());
        let taken = where_there_is_data(self.take_backup(Reason::Deploy, label, observer))?;
        Ok(taken.map(|backup| Anchored { backup, form: Form::Archive }))
    }

    fn archive(&self, backup: &BackupId, observer: &dyn Observer) -> Result<()> {
        self.archive_point(backup, observer)
    }

    fn discard_copy(&self) -> Result<()> {
        backup::point::discard(&self.store())
    }

    fn rehearse(&self, backup: &BackupId, observer: &dyn Observer) -> Result<String> {
        let selection = Selection::default();
        let report = self.rehearse_on(Some(backup), &selection, Patience::Wait, observer)?;
        let count: usize = report.databases.iter().map(|database| database.done.len()).sum();
        if !report.live.is_empty() {
            let changes = report.live.join("; ");
            return Err(RehearsalError::Reached { changes, cause: None }.into());
        }
        match report.outcome {
            Outcome::Done | Outcome::NothingToDo => Ok(format!(
                "{count} run on a copy, twice{}",
                report.omissions().map(|text| format!("; {text}")).unwrap_or_default()
            )),
            _ => Err(DeployError::Rehearsal { reason: rehearsed(&report) }.into()),
        }
    }

    fn holders(&self) -> Result<Vec<FileHolder>> {
        let excluded = Filter::new(&self.config.exclude)?;
        restore::holders_of(&self.config.data, &excluded)
    }

    fn migrate(&self, backup: Option<&BackupId>, observer: &dyn Observer) -> Result<Migrated> {
        let options = UpOptions { selection: Selection::default(), patience: Patience::Wait };
        let report = self.up_under(&options, Anchor::Given(backup), observer)?;
        let kept = |database: &&DatabaseReport| database.standing == Standing::Kept;
        let title = |database: &DatabaseReport, done: &apply::Done| {
            format!("{}: {}", database.database.display(), done.migration)
        };
        let ran = report.databases.iter().filter(kept);
        let ran = ran.flat_map(|it| it.done.iter().map(move |done| title(it, done))).collect();
        let left = match report.outcome {
            Outcome::Problem(Kind::NotRestored) => Left::Changed,
            Outcome::Problem(_) if report.keeps_anything() => Left::Changed,
            _ => Left::AsBefore,
        };
        let failure = match report.outcome {
            Outcome::Problem(_) => Some(failure_of(report)?),
            _ => None,
        };
        Ok(Migrated { ran, failure, left })
    }

    fn put_back(&self, backup: &BackupId, observer: &dyn Observer) -> Result<Option<BackupId>> {
        let _lock = self.begin(Patience::Wait, observer)?;
        self.archive_point(backup, observer)?;
        let backup = self.store().load(backup)?;
        let options =
            RestoreOptions { only: Vec::new(), gate: Gate::Refuse, patience: Patience::Wait };
        let restored = self.put_back_safely(&backup, &options, observer)?;
        if let Some(mut run) = last_run::read(&self.config.data) {
            run.ending = RunEnding::AsBefore;
            last_run::write(&self.config.data, &run)?;
        }
        Ok(restored.safety)
    }

    fn tidy(&self, observer: &dyn Observer) {
        self.prune_after(None, observer);
        // A log too many harms nobody.
        let _ = self.prune_logs();
    }
}

/// What stopped a run, with the plan's own words where it was refused.
fn failure_of(report: UpReport) -> Result<Error> {
    Project::refuse_denied(&report.plans)?;
    let failure = report.databases.into_iter().find_map(|database| database.failure);
    Ok(match failure {
        Some((error, _)) => error,
        None => Error::Internal("a run failed and does not say why".into()),
    })
}

fn rehearsed(report: &RehearsalReport) -> String {
    let failures = report.databases.iter().filter_map(|database| {
        let (error, migration) = database.failure.as_ref()?;
        let migration = migration.as_deref().unwrap_or("a migration");
        Some(format!("{}: {migration}: {error}", database.database.display()))
    });
    let denials = report
        .plans
        .iter()
        .flat_map(|plan| plan.denials().map(move |finding| described(plan, finding)));
    let again = report.again.iter().map(|title| format!("it would run again: {title}"));
    let damage = report.comparisons.iter().flat_map(|(database, comparison)| {
        comparison.damage.iter().map(move |line| format!("{}: {line}", database.display()))
    });
    let all: Vec<String> = failures.chain(denials).chain(damage).chain(again).collect();
    all.join("; ")
}

fn described(plan: &DatabasePlan, finding: &Finding) -> String {
    let place = finding.migration.as_ref().map_or_else(String::new, |name| format!(" {name}:"));
    let hint = finding.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("{}:{place} {}{hint}", plan.database.display(), finding.message)
}

/// The path, or the nearest folder above it that exists.
fn existing(path: &Path) -> &Path {
    let mut found = path;
    while !found.exists() {
        found = match found.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => return Path::new("."),
        };
    }
    found
}
