//! The service that uses the data: whatever manages it, it is asked the same few things.
//!
//! Everything here may be done twice, so that a deploy that was killed anywhere can be taken up
//! again. Nothing here decides what a failure means for a deploy.

mod commands;
mod fence;
mod none;
mod program;
mod settings;
mod systemd;
#[cfg(test)]
mod tests;

pub use fence::FENCE_FILE;
use fence::Fence;
pub use program::Program;
pub use settings::{Commands, Scope, Settings, Systemd};

use crate::{Result, clock::Clock, event::Observer};
use serde::{Deserialize, Serialize};
use std::{ffi::OsString, path::Path};

/// A service under one of the managers.
///
/// The order of a deploy: `check`, `running` (kept by the caller), `prepare_fence`, `raise_fence`,
/// `stop`, the work, `lift_fence`, `start`, and `remove_fence` in the end. The fence may be raised
/// before the stop: it hinders nothing that runs already, and then no instant lies between.
pub trait Service {
    /// What it is, for messages: `app.service`, `no service`.
    fn name(&self) -> String;

    /// Whether there is a service at all.
    fn is_managed(&self) -> bool {
        true
    }

    /// Whether it can be managed: the tool and the units are there, and so are the rights. Nothing
    /// is changed.
    ///
    /// # Errors
    /// What is missing.
    fn check(&self) -> Result<()>;

    /// What it is now, part by part; none where nothing is managed.
    ///
    /// # Errors
    /// The manager cannot be asked.
    fn state(&self) -> Result<Vec<Part>>;

    /// What has to be started again after a stop: what was configured, and what stands now and
    /// would be stopped with it.
    ///
    /// # Errors
    /// The manager cannot be asked.
    fn running(&self) -> Result<Running>;

    /// Makes the fence ready, so that raising it costs no time while the service is down. It still
    /// lets everything through.
    ///
    /// # Errors
    /// The manager's configuration cannot be changed.
    fn prepare_fence(&self) -> Result<()>;

    /// From now on nothing starts the service: no person, no timer, no socket. What runs, runs on.
    ///
    /// # Errors
    /// The fence could not be raised.
    fn raise_fence(&self) -> Result<()>;

    /// Stops the service and everything that would start it again, and waits until it is stopped.
    ///
    /// # Errors
    /// It runs on after the time limit, and could not be killed either.
    fn stop(&self) -> Result<Stopped>;

    /// Lets the service be started again.
    ///
    /// # Errors
    /// The fence could not be lifted.
    fn lift_fence(&self) -> Result<()>;

    /// Takes away what `prepare_fence` made.
    ///
    /// # Errors
    /// The manager's configuration cannot be changed.
    fn remove_fence(&self) -> Result<()>;

    /// Starts what is to run. The manager says that it started; whether it is healthy is another
    /// question.
    ///
    /// # Errors
    /// The manager says that it could not be started.
    fn start(&self, what: &Running) -> Result<()>;

    /// Stops and starts it as quickly as its manager can, with no fence.
    ///
    /// # Errors
    /// The manager says that it could not be started.
    fn restart(&self) -> Result<()>;

    /// The last lines that it wrote to its log, where its manager keeps one.
    fn log_tail(&self, lines: usize) -> Option<String>;
}

/// What a service is managed with, beside its settings.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The project's folder, where commands run.
    pub root: &'a Path,
    /// The data directory; its private folder takes the fence and the output of a start.
    pub data: &'a Path,
    /// `/run`, where systemd takes configuration that ends with a reboot.
    pub run: &'a Path,
    /// Environment variables of commands beyond those of the caller.
    pub environment: &'a [(String, OsString)],
    /// Measures time limits, and ends waits that are interrupted.
    pub clock: &'a dyn Clock,
    /// Takes what commands write.
    pub observer: &'a dyn Observer,
}

/// A unit, or the one service that commands manage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The unit's name, or `service`.
    pub name: String,
    /// What it is now.
    #[serde(flatten)]
    pub state: State,
    /// Tells one life from the next: it changes with every start. None where the manager does not
    /// tell.
    pub life: Option<String>,
}

/// What a part of a service is at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// It runs.
    Running,
    /// It is on its way.
    Starting,
    /// It ended, and its manager will start it again.
    Restarting {
        /// How it ended.
        reason: String,
    },
    /// It is about to end.
    Stopping,
    /// It does not run.
    Stopped,
    /// It ended badly, and its manager will not start it again.
    Failed {
        /// How it ended.
        reason: String,
    },
    /// Its manager gave no answer that says one of these.
    Unclear {
        /// The answer.
        reason: String,
    },
}

impl State {
    /// Whether no process of it is left.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped | Self::Failed { .. })
    }
}

/// What has to be started again: the caller keeps it from before the stop until after the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Units in the order in which they are started.
    pub units: Vec<String>,
}

/// How a stop went; the caller tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// Parts that did not stop in time and were killed.
    pub killed: Vec<String>,
}
