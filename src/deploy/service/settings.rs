//! The table `[deploy.service]` of `piton.toml`.

use super::{Ground, Program, Service, commands::Commanded, none::Nothing};
use crate::history::duration;
use serde::{Deserialize, Deserializer, de::Error};
use std::time::Duration;

/// The time that a service has to stop or to start where nobody says. Longer than the 90 s after
/// which systemd kills by itself.
const LIMIT: Duration = Duration::from_secs(120);

/// Who manages the service, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub enum Settings {
    /// Nobody.
    #[default]
    None,
    /// Commands of the project.
    Commands(Box<Commands>),
}

/// Commands that manage a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// Stops it, and comes back when it has stopped or soon after it has asked.
    pub stop: Program,
    /// Starts it, and comes back.
    pub start: Program,
    /// Says what it is by its exit status.
    pub status: Program,
    /// Starts it anew; a stop and a start where there is none.
    pub restart: Option<Program>,
    /// Ends it at once, where it does not stop.
    pub kill: Option<Program>,
    /// Keeps everybody from starting it.
    pub fence: Option<Program>,
    /// The opposite.
    pub unfence: Option<Program>,
    /// The time to stop in.
    pub stop_timeout: Duration,
    /// The time to start in.
    pub start_timeout: Duration,
}

impl Settings {
    /// The service that they describe.
    #[must_use]
    pub fn service<'a>(&'a self, ground: Ground<'a>) -> Box<dyn Service + 'a> {
        match self {
            Self::None => Box::new(Nothing::new(ground)),
            Self::Commands(commands) => Box::new(Commanded::new(commands, ground)),
        }
    }
}

/// The keys as they stand in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    manager: Manager,
    stop: Option<Program>,
    start: Option<Program>,
    status: Option<Program>,
    restart: Option<Program>,
    kill: Option<Program>,
    fence: Option<Program>,
    unfence: Option<Program>,
    #[serde(default, deserialize_with = "some_time")]
    stop_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "some_time")]
    start_timeout: Option<Duration>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Manager {
    Command,
    None,
}

impl TryFrom<Keys> for Settings {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let foreign = keys.foreign();
        if !foreign.is_empty() {
            let word = match keys.manager {
                Manager::Command => "command",
                Manager::None => "none",
            };
            return Err(format!(
                "`{}` has no meaning with `manager = \"{word}\"`",
                foreign.join("`, `")
            ));
        }
        match keys.manager {
            Manager::None => Ok(Self::None),
            Manager::Command => keys.commands().map(|it| Self::Commands(Box::new(it))),
        }
    }
}

impl Keys {
    /// Keys that the chosen manager does not know.
    fn foreign(&self) -> Vec<&'static str> {
        let command = [
            ("stop", self.stop.is_some()),
            ("start", self.start.is_some()),
            ("status", self.status.is_some()),
            ("restart", self.restart.is_some()),
            ("kill", self.kill.is_some()),
            ("fence", self.fence.is_some()),
            ("unfence", self.unfence.is_some()),
        ];
        let both = [
            ("stop-timeout", self.stop_timeout.is_some()),
            ("start-timeout", self.start_timeout.is_some()),
        ];
        let keys: Vec<(&str, bool)> = match self.manager {
            Manager::Command => Vec::new(),
            Manager::None => command.into_iter().chain(both).collect(),
        };
        keys.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
    }

    fn commands(self) -> Result<Commands, String> {
        let needed = |key: &str, program: Option<Program>| {
            program.ok_or_else(|| format!("`manager = \"command\"` needs `{key} = \"…\"`"))
        };
        if self.fence.is_some() != self.unfence.is_some() {
            return Err("`fence` and `unfence` belong together".into());
        }
        Ok(Commands {
            stop: needed("stop", self.stop)?,
            start: needed("start", self.start)?,
            status: needed("status", self.status)?,
            restart: self.restart,
            kill: self.kill,
            fence: self.fence,
            unfence: self.unfence,
            stop_timeout: self.stop_timeout.unwrap_or(LIMIT),
            start_timeout: self.start_timeout.unwrap_or(LIMIT),
        })
    }
}

/// A time such as `30s`, where there is one.
fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration(&text).map(Some).map_err(D::Error::custom)
}
