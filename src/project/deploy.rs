//! `deploy`: the verbs that its state machine asks for, and the ways into it.

use super::{
    DatabaseReport, Outcome, Project, RestoreOptions, Selection, Standing, UpOptions, databases,
    last_run::{self, Ending as RunEnding},
    rehearsal::RehearsalReport,
    up::Anchor,
};
use crate::{
    Error, Kind, Result, apply, backup, clock,
    deploy::{
        self, Deploy, Ending, Entrance, Examination, Finished, Left, Migrated, Moment, Operations,
        Record, Rehearsal, Restart, hold, service, state,
    },
    disk,
    error::{DeployError, FileHolder},
    event::Observer,
    lock::{self, Patience, Scope},
    offsite,
    plan::{DatabasePlan, Finding, Severity},
    restore::{self, Gate},
    store::{BackupId, LOGS_NAME, Reason},
};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// So many logs of deploys are kept.
const LOGS: usize = 50;

/// What the user chose for a deploy.
#[derive(Clone, Debug)]
pub struct DeployOptions {
    /// The release that becomes current; the current one where none is named.
    pub release: Option<String>,
    /// Whether the service is restarted where nothing is pending, against the settings.
    pub restart: Option<Restart>,
    /// What to do when another piton works.
    pub patience: Patience,
}

/// What a deploy came to.
#[derive(Debug)]
pub struct DeployReport {
    /// Its record.
    pub record: Record,
    /// How it ended, and what was wrong at its very end.
    pub finished: Finished,
    /// What was copied off the machine; nothing where no place is configured, or the deploy failed.
    pub offsite: Option<offsite::Report>,
}

impl DeployReport {
    /// Exit code and word.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        outcome(self.finished.ending, self.finished.error.as_ref())
    }
}

impl Project {
    /// Deploys: everything from the preflight to a healthy service, or back.
    ///
    /// # Errors
    /// What went wrong before it began; everything else is in the report.
    pub fn deploy(
        &self,
        options: &DeployOptions,
        interrupted: &(dyn Fn() -> bool + Sync),
        observer: &dyn Observer,
    ) -> Result<DeployReport> {
        let data = &self.config.data;
        if options.release.is_some() && self.config.deploy.releases.is_none() {
            return Err(DeployError::NoReleases.into());
        }
        let holder = &self.world.holder;
        let lock = lock::acquire(data, Scope::Deploy, holder, options.patience, observer)?;
        if let Some(last) = state::read(data)?
            && (last.is_under_way() || last.ending == Some(Ending::RollbackFailed))
        {
            let (id, phase) = (last.id.to_string(), last.phase.word());
            return Err(DeployError::Unfinished { id, phase }.into());
        }
        let now = (self.world.clock)();
        let id = BackupId::new(now, (self.world.random)());
        let log = self.config.backups.join(LOGS_NAME).join(format!("{id}.log"));
        let by = format!("{} on {}", holder.command, holder.host);
        let mut record = Record::begun(id, now, by, log);
        record.release.clone_from(&options.release);
        record.rehearsal = self.config.deploy.rehearsal;
        let settings = &self.config.deploy;
        let restart = match settings.service {
            // Nothing runs that could run older code.
            service::Settings::None => Restart::WhenNeeded,
            _ => options.restart.unwrap_or(settings.restart),
        };
        let entrance = Entrance::Begin;
        let report = self.with_machine(restart, record, interrupted, observer, entrance)?;
        drop(lock);
        Ok(self.copied(report, observer))
    }

    /// Goes on with the last deploy, gives it up, or takes it back.
    ///
    /// # Errors
    /// [`DeployError::NoDeploy`] where there is none that this could be done with.
    pub fn enter_deploy(
        &self,
        entrance: Entrance,
        patience: Patience,
        interrupted: &(dyn Fn() -> bool + Sync),
        observer: &dyn Observer,
    ) -> Result<DeployReport> {
        let data = &self.config.data;
        let verb = entrance.verb();
        let none = || DeployError::NoDeploy { verb, reason: "none has been made".into() };
        if state::read(data)?.is_none() {
            return Err(none().into());
        }
        let lock = lock::acquire(data, Scope::Deploy, &self.world.holder, patience, observer)?;
        let record = state::read(data)?.ok_or_else(none)?;
        let restart = self.config.deploy.restart;
        let report = self.with_machine(restart, record, interrupted, observer, entrance)?;
        drop(lock);
        Ok(self.copied(report, observer))
    }

    /// Copies after the service is up again; of a deploy that failed, its failure is read first.
    fn copied(&self, mut report: DeployReport, observer: &dyn Observer) -> DeployReport {
        if report.outcome().exit_code() == 0 {
            report.offsite = self.copy_after(Reason::Deploy, observer);
        }
        report
    }

    /// The record of the last deploy, and why migrations are held, where they are.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub fn last_deploy(&self) -> Result<(Option<Record>, Option<hold::Hold>)> {
        let data = &self.config.data;
        Ok((state::read(data)?, hold::read(data)))
    }

    /// Lets migrations run again after a rollback; says what held them.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn lift_hold(&self) -> Result<Option<hold::Hold>> {
        hold::lift(&self.config.data)
    }

    /// Refuses what would disturb a deploy that is not finished.
    pub(super) fn refuse_in_deploy(&self) -> Result<()> {
        deploy::refuse_unfinished(&self.config.data, self.world.deploy.as_deref())
    }

    fn with_machine(
        &self,
        restart: Restart,
        mut record: Record,
        interrupted: &(dyn Fn() -> bool + Sync),
        observer: &dyn Observer,
        entrance: Entrance,
    ) -> Result<DeployReport> {
        let config = &self.config;
        disk::create_private_folders("deploy-folder", &config.data.join(lock::PRIVATE_FOLDER))?;
        let wall_clock = &*self.world.clock;
        let log = deploy::log::Log::open(&record.log, wall_clock, observer)?;
        let environment = self.script_environment(None);
        let root = std::path::absolute(&config.root).unwrap_or_else(|_| config.root.clone());
        let heeding = AtomicBool::new(true);
        let asked = || heeding.load(Ordering::Relaxed) && interrupted();
        let timer = clock::System::new(&asked);
        let ground = service::Ground {
            root: &root,
            data: &config.data,
            run: std::path::Path::new("/run"),
            environment: &environment,
            clock: &timer,
            observer: &log,
        };
        let service = config.deploy.service.service(ground);
        let deploy = Deploy {
            data: &config.data,
            operations: self,
            service: &*service,
            health: &config.deploy.health,
            releases: config.deploy.releases.as_ref(),
            hooks: &config.deploy.hooks,
            restart,
            release_limit: release_limit(&config.deploy.service),
            environment: &environment,
            clock: wall_clock,
            ground: &ground,
            heeding: &heeding,
        };
        let finished = deploy.enter(entrance, &mut record, &log)?;
        Ok(DeployReport { record, finished, offsite: None })
    }

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
        let data = &self.config.data;
        let room = |path: &PathBuf, what: &'static str, needed: u64| -> Result<()> {
            let free = disk::free_space(existing(path))?;
            if free < needed {
                let path = path.clone();
                return Err(DeployError::NoRoom { path, what, free, needed }.into());
            }
            Ok(())
        };
        if self.config.deploy.rehearsal == Rehearsal::Do {
            let excluded = crate::store::Filter::new(&self.config.exclude)?;
            let needed = backup::size_of_data(data, &excluded)?;
            room(data, "rehearsal's copy", needed)?;
        }
        let needed = self.with_backup_request(Reason::Deploy, None, |request, store| {
            backup::needed_space(request, store)
        })?;
        // One beside the running service, and one after the stop.
        room(&self.config.backups, "backups", needed.saturating_mul(2))
    }

    fn prune_logs(&self) -> Result<()> {
        let folder = self.config.backups.join(LOGS_NAME);
        let listing = std::fs::read_dir(&folder).map_err(disk::failed("list", &folder))?;
        let mut logs: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
        logs.retain(|path| path.extension().is_some_and(|end| end == "log"));
        // Their names begin with the time.
        logs.sort();
        let surplus = logs.len().saturating_sub(LOGS);
        for path in &logs[..surplus] {
            disk::remove_file("deploy-log-prune", path)?;
        }
        Ok(())
    }
}

impl Operations for Project {
    fn examine(&self, observer: &dyn Observer) -> Result<Examination> {
        let plans = self.plan(&Selection::default(), observer)?;
        Self::refuse_denied(&plans)?;
        for plan in plans.iter().filter(|plan| plan.acts()) {
            databases::require_in_backups(&self.config, &plan.database)?;
        }
        let mut found = Examination::default();
        for plan in &plans {
            let name = plan.database.display();
            found.pending.extend(plan.actions().map(|action| format!("{name}: {}", action.title)));
            let warnings = plan.findings.iter().filter(|it| it.severity == Severity::Warning);
            found.warnings.extend(warnings.map(|finding| described(plan, finding)));
        }
        if !found.pending.is_empty() && self.config.data.exists() {
            self.require_room()?;
        }
        Ok(found)
    }

    fn back_up(&self, moment: Moment, observer: &dyn Observer) -> Result<Option<BackupId>> {
        let _lock = self.begin(Patience::Wait, observer)?;
        let label = match moment {
            Moment::Running => "before the stop",
            Moment::Stopped => "after the stop",
        };
        self.back_up_existing(Reason::Deploy, Some(label.into()), observer)
    }

    fn rehearse(&self, backup: &BackupId, observer: &dyn Observer) -> Result<String> {
        let selection = Selection::default();
        let report = self.rehearse_on(Some(backup), &selection, Patience::Wait, observer)?;
        let count: usize = report.databases.iter().map(|database| database.done.len()).sum();
        match report.outcome {
            Outcome::Done | Outcome::NothingToDo => Ok(format!("{count} run on a copy, twice")),
            _ => Err(DeployError::Rehearsal { reason: rehearsed(&report) }.into()),
        }
    }

    fn holders(&self) -> Result<Vec<FileHolder>> {
        let excluded = crate::store::Filter::new(&self.config.exclude)?;
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

/// A stopped service has as long to let go of its files as it has to stop.
fn release_limit(service: &service::Settings) -> Duration {
    match service {
        service::Settings::None => Duration::from_secs(10),
        service::Settings::Systemd(systemd) => systemd.stop_timeout,
        service::Settings::Commands(commands) => commands.stop_timeout,
    }
}

/// What stopped a run, with the plan's own words where it was refused.
fn failure_of(report: super::UpReport) -> Result<Error> {
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
fn existing(path: &std::path::Path) -> &std::path::Path {
    let mut found = path;
    while !found.exists() {
        found = match found.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => return std::path::Path::new("."),
        };
    }
    found
}

/// The exit code of an ending; one that left the service untouched has that of its error.
#[must_use]
pub fn outcome(ending: Ending, error: Option<&Error>) -> Outcome {
    match (ending, error, ending.kind()) {
        (Ending::Refused, Some(error), _) => Outcome::Problem(error.kind()),
        (Ending::NothingToDo, ..) => Outcome::NothingToDo,
        (_, _, Some(kind)) => Outcome::Problem(kind),
        _ => Outcome::Done,
    }
}
