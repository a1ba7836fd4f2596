//! `deploy`: from a new release to a healthy service, or back to where it was.
//!
//! The phases and their order are in `phase.rs`, what each does in `machine.rs` and `steps.rs`, and what is kept
//! of them in `state.rs`. What it does with data it asks of the project (`operations.rs`), what it does
//! with the service of a manager (`service/`). Two deploys at once are refused by a lock of their own;
//! the lock of the data directory is held only by each operation, so that the service itself can run
//! `piton recover` at its start.

mod ending;
pub mod health;
pub mod hold;
pub mod hooks;
pub mod log;
mod machine;
pub mod operations;
pub mod phase;
pub mod releases;
pub mod service;
pub mod settings;
pub mod state;
mod steps;
#[cfg(test)]
mod tests;

pub use ending::Ending;
pub use hooks::Hooks;
pub use machine::Finished;
pub use operations::{Anchored, Archiving, Examination, Form, Left, Migrated, Operations};
pub use phase::{DataState, Phase, Rehearsal, Work};
pub use releases::Releases;
pub use settings::{FailingProbes, Restart, Settings};
pub use state::{Failure, Record, Step, StepResult};

use crate::{Error, Result, error::DeployError, event::Observer};
use chrono::{DateTime, Utc};
use machine::{Entry, Machine};
use service::Service;
use std::{ffi::OsString, path::Path, sync::atomic::AtomicBool, time::Duration};

/// What a deploy works with.
pub struct Deploy<'a> {
    /// The data directory, whose private folder keeps the record.
    pub data: &'a Path,
    /// The project's verbs.
    pub operations: &'a dyn Operations,
    /// What keeps the service running.
    pub service: &'a dyn Service,
    /// How the service proves that it is well.
    pub health: &'a health::Settings,
    /// Where releases lie, where they are kept.
    pub releases: Option<&'a Releases>,
    /// The hooks.
    pub hooks: &'a Hooks,
    /// Whether the service is restarted where nothing is pending.
    pub restart: Restart,
    /// What a probe that fails before the deploy means.
    pub failing_probes: FailingProbes,
    /// How long the last process of a stopped service may take to let go of the databases.
    pub release_limit: Duration,
    /// What hooks find in their environment, besides what the deploy itself says.
    pub environment: &'a [(String, OsString)],
    /// The time now.
    pub clock: &'a (dyn Fn() -> DateTime<Utc> + Send + Sync),
    /// What the service is managed with; its clock ends waits when somebody asks for it.
    pub ground: &'a service::Ground<'a>,
    /// Whether such a wish is heeded: on the way back it is not, since a service that is left down
    /// helps nobody.
    pub heeding: &'a AtomicBool,
}

/// A way into the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// A new deploy.
    Begin,
    /// Go on with one that was cut off, or try again what failed on its way back.
    Resume,
    /// Give one up that was cut off.
    Abort,
    /// Take the last one back although it went well.
    RollBack,
}

impl Entrance {
    /// What is typed for it.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::RollBack => "roll back",
        }
    }
}

impl Deploy<'_> {
    /// Takes a deploy from where it is to an end.
    ///
    /// # Errors
    /// [`DeployError::NoDeploy`] where the record does not stand for what is asked; where the record cannot be
    /// written. Everything else is in what it returns.
    pub fn enter(
        &self,
        entrance: Entrance,
        record: &mut Record,
        observer: &dyn Observer,
    ) -> Result<Finished> {
        let finished = match entrance {
            Entrance::Begin => self.run(record, observer),
            Entrance::Resume => self.resume(record, observer),
            Entrance::Abort => self.abort(record, observer),
            Entrance::RollBack => self.roll_back(record, observer),
        };
        match finished {
            // What stands on the disk counts, also where it could not be written any more.
            Err(error) if !is_refusal(&error) => match state::read(self.data)? {
                Some(written) if written.is_under_way() => {
                    *record = written;
                    Ok(Finished { ending: None, error: Some(error) })
                }
                _ => Err(error),
            },
            finished => finished,
        }
    }

    fn run(&self, record: &mut Record, observer: &dyn Observer) -> Result<Finished> {
        Machine { deploy: self, record, observer, entry: Entry::Fresh }.run()
    }

    /// What was cut off goes on in the phase in which it was.
    fn resume(&self, record: &mut Record, observer: &dyn Observer) -> Result<Finished> {
        let verb = "resume";
        match record.ending {
            None if record.phase.reach(record.work) == phase::Reach::Untouched => {
                // The world may have changed since, and looking again costs no downtime.
                record.phase = Phase::Preflight;
            }
            None => {}
            Some(_) if record.failed_to_go_back() => record.ending = None,
            Some(_) => {
                let reason = format!("{} has ended", record.id);
                return Err(DeployError::NoDeploy { verb, reason }.into());
            }
        }
        Machine { deploy: self, record, observer, entry: Entry::Resumed }.run()
    }

    /// Back to the old state, or to nothing where nothing was touched.
    fn abort(&self, record: &mut Record, observer: &dyn Observer) -> Result<Finished> {
        let verb = "abort";
        if record.failed_to_go_back() {
            return self.resume(record, observer);
        }
        if !record.is_open() {
            let reason = format!("{} has ended", record.id);
            return Err(DeployError::NoDeploy { verb, reason }.into());
        }
        let given_up = Error::from(DeployError::GivenUp { verb });
        match record.phase.reach(record.work) {
            phase::Reach::Untouched => {
                record.ending = Some(Ending::Interrupted);
                record.ended = Some((self.clock)());
                state::write(self.data, record)?;
                self.service.remove_fence()?;
                self.operations.discard_copy()?;
                let ending = Some(Ending::Interrupted);
                return Ok(Finished { ending, error: Some(given_up) });
            }
            phase::Reach::Back => {}
            phase::Reach::Stopped | phase::Reach::Changed => {
                let phase = record.phase;
                record.phase = phase.turn_back(record.data);
                let mut machine = Machine { deploy: self, record, observer, entry: Entry::Resumed };
                machine.note_failure(phase, &given_up);
                return machine.run();
            }
        }
        Machine { deploy: self, record, observer, entry: Entry::Resumed }.run()
    }

    /// The way back of a deploy that went well, or the rest of it.
    fn roll_back(&self, record: &mut Record, observer: &dyn Observer) -> Result<Finished> {
        let verb = "roll back";
        if record.failed_to_go_back() || record.goes_back() {
            return self.resume(record, observer);
        }
        if record.is_open() {
            let (id, phase) = (record.id.to_string(), record.phase.word());
            return Err(DeployError::Unfinished { id, phase }.into());
        }
        if record.ending != Some(Ending::Deployed) {
            let reason = format!("{} has not gone well", record.id);
            return Err(DeployError::NoDeploy { verb, reason }.into());
        }
        record.ending = None;
        record.ended = None;
        record.phase = Phase::StopAgain;
        record.asked_back = true;
        Machine { deploy: self, record, observer, entry: Entry::Fresh }.run()
    }
}

/// Whether it was refused before anything began: then another deploy may be under way.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Deploy(DeployError::NoDeploy { .. } | DeployError::Unfinished { .. }))
}

/// Whether a hook of this name is ever run.
fn is_hook_name(name: &str) -> bool {
    let phase = name.strip_prefix("before-").or_else(|| name.strip_prefix("after-"));
    name == "rollback"
        || phase.is_some_and(|word| Phase::ALL.iter().any(|phase| phase.word() == word))
}

/// Refuses what would disturb a deploy that is not finished; what the deploy itself starts may go on.
///
/// # Errors
/// [`DeployError::Unfinished`]; a record that cannot be read.
pub fn refuse_unfinished(data: &Path, own: Option<&str>) -> Result<()> {
    match state::read(data)? {
        Some(record) if record.is_under_way() && own != Some(record.id.as_str()) => {
            let (id, phase) = (record.id.to_string(), record.phase.word());
            Err(DeployError::Unfinished { id, phase }.into())
        }
        _ => Ok(()),
    }
}

/// Refuses a start of the service between the stop and the start of a deploy.
///
/// # Errors
/// [`DeployError::Fenced`]; a record that cannot be read.
pub fn refuse_fenced(data: &Path, own: Option<&str>) -> Result<()> {
    match state::read(data)? {
        Some(record) if record.is_fenced() && own != Some(record.id.as_str()) => {
            let (id, phase) = (record.id.to_string(), record.phase.word());
            Err(DeployError::Fenced { id, phase }.into())
        }
        _ => Ok(()),
    }
}

/// Refuses migrations that a rollback holds.
///
/// # Errors
/// [`DeployError::Held`].
pub fn refuse_held(data: &Path) -> Result<()> {
    match hold::read(data) {
        Some(hold) => {
            let since = hold.since.format("%Y-%m-%d %H:%M UTC").to_string();
            let reason = machine::first_line(&hold.reason);
            Err(DeployError::Held { id: hold.deploy.to_string(), since, reason }.into())
        }
        None => Ok(()),
    }
}
