//! `deploy`: the ways into its state machine, and what is kept of it.

mod operations;
mod outline;

use super::{
    Outcome, Project,
    last_run::LastRun,
    logbook::{Note, is_worth_noting},
};
use crate::{
    Error, Kind, Result, clock,
    deploy::{
        self, Deploy, Ending, Entrance, FailingProbes, Finished, Phase, Record, Restart, hold,
        service, state,
    },
    disk,
    error::DeployError,
    event::Observer,
    lock::{self, Patience, Scope},
    offsite,
    store::{BackupId, LOGS_NAME, Reason},
};
use chrono::{DateTime, Utc};
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
    /// What a probe that fails before the deploy means.
    pub failing_probes: FailingProbes,
    /// What to do when another piton works.
    pub patience: Patience,
}

/// What a deploy would go through.
#[derive(Clone, Debug)]
pub struct DeployOutline {
    /// Its phases, in order.
    pub phases: Vec<Phase>,
    /// The service, where one is managed.
    pub service: Option<String>,
    /// What its probes ask.
    pub probes: Vec<String>,
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
        let fresh = self.missing_folders()?;
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
        let chosen = (restart, options.failing_probes);
        let started = (self.world.clock)();
        let report = self.with_machine(chosen, record, interrupted, observer, Entrance::Begin);
        let refused = |ending| matches!(ending, Some(Ending::Refused | Ending::Interrupted));
        let is_refused = report.as_ref().map_or(true, |it| refused(it.finished.ending));
        if is_refused && !fresh.is_empty() {
            Self::remove_empty(&fresh)?;
        }
        let report = report?;
        // The logbook of a refused deploy would be all that is there.
        if !is_refused || fresh.is_empty() {
            self.log_deploy(started, &report, observer);
        }
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
        let chosen = (self.config.deploy.restart, FailingProbes::Refuse);
        let started = (self.world.clock)();
        let report = self.with_machine(chosen, record, interrupted, observer, entrance)?;
        self.log_deploy(started, &report, observer);
        drop(lock);
        Ok(self.copied(report, observer))
    }

    fn log_deploy(&self, started: DateTime<Utc>, report: &DeployReport, observer: &dyn Observer) {
        let (outcome, record) = (report.outcome(), &report.record);
        if let Outcome::Problem(kind) = outcome
            && !is_worth_noting(kind)
        {
            return;
        }
        let release = record.release.as_ref().map(|release| format!(", release {release}"));
        let failure = record.failure.as_ref().map(|failure| failure.message.clone());
        let note = Note {
            command: "deploy",
            started,
            outcome,
            about: Some(format!("{}{}", record.id, release.unwrap_or_default())),
            backup: record.final_backup.as_ref().or(record.backup.as_ref()),
            reason: failure.or_else(|| report.finished.error.as_ref().map(ToString::to_string)),
            log: Some(record.log.clone()),
        };
        self.log(note, observer);
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

    /// Refuses to call a deploy rolled back whose migrations are in the data again.
    ///
    /// # Errors
    /// [`DeployError::CameBack`].
    pub fn require_still_back(&self, record: &Record) -> Result<()> {
        let Some(backup) = &record.final_backup else { return Ok(()) };
        let run = LastRun::of_backup(backup.clone(), DateTime::UNIX_EPOCH);
        if self.describe(run).left_nothing() {
            return Ok(());
        }
        let (id, backup) = (record.id.to_string(), backup.to_string());
        Err(DeployError::CameBack { id, backup }.into())
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
        (restart, failing_probes): (Restart, FailingProbes),
        mut record: Record,
        interrupted: &(dyn Fn() -> bool + Sync),
        observer: &dyn Observer,
        entrance: Entrance,
    ) -> Result<DeployReport> {
        let config = &self.config;
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
            failing_probes,
            release_limit: release_limit(&config.deploy.service),
            environment: &environment,
            clock: wall_clock,
            ground: &ground,
            heeding: &heeding,
        };
        let finished = deploy.enter(entrance, &mut record, &log)?;
        Ok(DeployReport { record, finished, offsite: None })
    }

    pub(super) fn prune_logs(&self) -> Result<()> {
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

/// A stopped service has as long to let go of its files as it has to stop.
fn release_limit(service: &service::Settings) -> Duration {
    match service {
        service::Settings::None => Duration::from_secs(10),
        service::Settings::Systemd(systemd) => systemd.stop_timeout,
        service::Settings::Commands(commands) => commands.stop_timeout,
    }
}

/// The exit code of an ending; one that left the service untouched has that of its error. Without an
/// ending, the deploy is not finished.
#[must_use]
pub fn outcome(ending: Option<Ending>, error: Option<&Error>) -> Outcome {
    let Some(ending) = ending else { return Outcome::Problem(Kind::Interrupted) };
    match (ending, error, ending.kind()) {
        (Ending::Refused, Some(error), _) => Outcome::Problem(error.kind()),
        (Ending::NothingToDo, ..) => Outcome::NothingToDo,
        (_, _, Some(kind)) => Outcome::Problem(kind),
        _ => Outcome::Done,
    }
}
