//! The facade: one short method per verb. Configuration, lock and clock meet here.
//!
//! Every method that changes something takes the lock and begins with `recover`; none prints.

mod adopt;
mod backups;
mod candidates;
mod check;
pub mod config;
mod databases;
mod deploy;
mod diff;
mod drill;
mod findings;
mod forget;
mod guarded;
mod init;
mod interrupted;
pub mod last_run;
mod logbook;
mod notify;
mod numbering;
mod offsite;
pub mod offsite_keys;
mod operate;
mod outcome;
mod paths;
mod point;
mod promise;
mod prune;
mod rehearsal;
mod renumber;
mod restores;
pub mod retention;
mod rollback;
pub mod sealing;
mod status;
mod survey;
mod tables;
pub mod targets;
#[cfg(test)]
mod tests;
mod timers;
mod undo;
mod up;
mod way_back;
mod world;

pub use adopt::{Adopted, MissingEffect};
pub use backups::{BackupReport, Remarked, Verification};
pub use check::{CheckedTarget, Strictness};
pub use config::{Config, Overrides};
pub use deploy::{DeployOptions, DeployOutline, DeployReport, outcome as deploy_outcome};
pub use diff::{DiffReport, Opposite};
pub use drill::{Alarm, Counts, DrillConfig, DrillRecord, DrillReport, DrillResult, DrillStanding};
pub use init::{Created, Initiated, Made, NewFile};
pub use interrupted::{InterruptedDatabase, InterruptedRun};
pub use logbook::LogEntry;
pub use notify::{Failure, Notify};
pub use operate::{OperationOptions, OperationReport, Repeat};
pub use outcome::Outcome;
pub use paths::Paths;
pub use promise::Overdue;
pub use prune::PruneReport;
pub use rehearsal::{NotRehearsed, RehearsalReport, ScriptReach};
pub use restores::{RestoreOptions, RestoreReport, Source};
pub use rollback::RolledBack;
pub use status::{HistoryRow, Status};
pub use tables::TablesReport;
pub use targets::{Databases, Target, Targets};
pub use timers::Timers;
pub use undo::UndoReport;
pub use up::{DatabaseReport, Standing, UpOptions, UpReport};
pub use world::World;

use crate::{
    Result,
    error::ProjectError,
    event::Observer,
    history::Version,
    lock::{self, Lock, Patience},
    plan::DatabasePlan,
    records, restore,
    store::Store,
};

/// A project: its configuration and the world around it.
pub struct Project {
    config: Config,
    world: World,
}

/// Which part of a project a command is about.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Targets by name; all where none is given.
    pub targets: Vec<String>,
    /// Planning choices.
    pub settings: crate::plan::Settings,
}

impl Project {
    /// A project with a checked configuration.
    #[must_use]
    pub fn new(config: Config, world: World) -> Self {
        records::keep_beside(&config.data, &config.backups);
        // What takes the lock does both again, and says what is wrong.
        let _ = crate::disk::confine(&config.data).map(|()| records::take_over(&config.data));
        Self { config, world }
    }

    /// A project with everything at its default below one folder: `data`, `migrations`, `scripts`
    /// and `backups`, or what a `piton.toml` in it says.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn at(folder: &std::path::Path, command: &str) -> Result<Self> {
        let file = folder.join(config::FILE);
        let config = crate::disk::exists(&file)?.then_some(file);
        let below = |name: &str| config.is_none().then(|| folder.join(name));
        let overrides = Overrides {
            data: below("data"),
            migrations: below("migrations"),
            scripts: below("scripts"),
            backups: below("backups"),
            config: config.clone(),
            ..Overrides::default()
        };
        Ok(Self::new(Config::load(&overrides)?, World::system(command)))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The backups directory.
    #[must_use]
    pub fn store(&self) -> Store {
        Store::new(self.config.backups.clone())
            .with_compression(self.config.compression)
            .with_keys(self.config.keys.clone())
            .with_reserve(self.config.reserve)
    }

    /// Takes the lock and puts right what an interrupted restore left; refuses where that needs
    /// another restore.
    fn begin(&self, patience: Patience, observer: &dyn Observer) -> Result<Lock> {
        let lock = self.begin_restore(patience, observer)?;
        restore::require_whole(&self.config.data)?;
        Ok(lock)
    }

    /// The same for a restore, which makes whole what another one has left in parts.
    fn begin_restore(&self, patience: Patience, observer: &dyn Observer) -> Result<Lock> {
        let data = self.config.data.clone();
        if crate::disk::exists(&data)? && !crate::disk::is_folder(&data)? {
            return Err(crate::error::BackupError::NoData { data }.into());
        }
        let lock = lock::acquire(&data, lock::Scope::Data, &self.world.holder, patience, observer)?;
        restore::recover(&data, observer)?;
        last_run::require_known(&data)?;
        restore::require_known(&data)?;
        self.store().sweep_notes();
        Ok(lock)
    }

    /// Puts right what an interrupted restore left, where there is anything; a reader needs no
    /// lock otherwise.
    fn settle(&self, observer: &dyn Observer) -> Result<()> {
        if restore::is_interrupted(&self.config.data) {
            drop(self.begin_restore(Patience::Wait, observer)?);
        }
        last_run::require_known(&self.config.data)?;
        restore::require_whole(&self.config.data)
    }

    /// The targets that a selection names.
    fn selected(&self, selection: &Selection) -> Result<Targets> {
        let mut all = targets::read(&self.config)?;
        for name in &selection.targets {
            if all.targets.iter().all(|target| target.name != *name) {
                let known = all.targets.iter().map(|target| target.name.clone()).collect();
                return Err(ProjectError::NoTarget { name: name.clone(), known }.into());
            }
        }
        if !selection.targets.is_empty() {
            all.targets.retain(|target| selection.targets.contains(&target.name));
        }
        if let Some(last) = &selection.settings.last {
            require_version(&all, last)?;
        }
        Ok(all)
    }

    /// The targets that a selection names, where everything in their folders is understood.
    fn planned(&self, selection: &Selection) -> Result<Targets> {
        let targets = self.selected(selection)?;
        targets.require_understood(&self.config.migrations)?;
        Ok(targets)
    }

    /// The plans of all selected databases, in the order of their targets.
    ///
    /// # Errors
    /// Those of the files and of SQLite.
    pub fn plan(
        &self,
        selection: &Selection,
        observer: &dyn Observer,
    ) -> Result<Vec<DatabasePlan>> {
        self.settle(observer)?;
        let targets = self.planned(selection)?;
        databases::plan_all(&self.config, &targets, &selection.settings, observer)
    }
}

fn require_version(targets: &Targets, version: &Version) -> Result<()> {
    let mut all = targets.targets.iter().flat_map(|target| &target.migrations);
    if all.any(|migration| migration.version == *version) {
        return Ok(());
    }
    Err(crate::error::HistoryError::NoSuchVersion { version: version.to_string() }.into())
}
