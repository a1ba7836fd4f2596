//! The table `[deploy.service]` of `piton.toml`.

use super::{Ground, Program, Service, commands::Commanded, none::Nothing, systemd::Units};
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
    /// systemd.
    Systemd(Systemd),
    /// Commands of the project.
    Commands(Box<Commands>),
}

/// Units of systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Systemd {
    /// The units in the order in which they are started; each has its suffix.
    pub units: Vec<String>,
    /// Whose units they are.
    pub scope: Scope,
    /// The program and arguments that stand before every `systemctl` argument.
    pub systemctl: Vec<String>,
    /// The time to stop in.
    pub stop_timeout: Duration,
    /// The time to start in.
    pub start_timeout: Duration,
}

/// Whose units they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The machine's.
    System,
    /// Those of the user who runs piton.
    User,
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
            Self::Systemd(systemd) => Box::new(Units::new(systemd, ground)),
            Self::Commands(commands) => Box::new(Commanded::new(commands, ground)),
        }
    }
}

/// The keys as they stand in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    manager: Manager,
    units: Option<Vec<String>>,
    user: Option<bool>,
    systemctl: Option<Vec<String>>,
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
    Systemd,
    Command,
    None,
}

impl TryFrom<Keys> for Settings {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let foreign = keys.foreign();
        if !foreign.is_empty() {
            let word = match keys.manager {
                Manager::Systemd => "systemd",
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
            Manager::Systemd => keys.systemd().map(Self::Systemd),
            Manager::Command => keys.commands().map(|it| Self::Commands(Box::new(it))),
        }
    }
}

impl Keys {
    /// Keys that the chosen manager does not know.
    fn foreign(&self) -> Vec<&'static str> {
        let systemd = [
            ("units", self.units.is_some()),
            ("user", self.user.is_some()),
            ("systemctl", self.systemctl.is_some()),
        ];
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
            Manager::Systemd => command.into(),
            Manager::Command => systemd.into(),
            Manager::None => systemd.into_iter().chain(command).chain(both).collect(),
        };
        keys.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
    }

    fn systemd(self) -> Result<Systemd, String> {
        let units = self.units.unwrap_or_default();
        if units.is_empty() {
            return Err("`units` lists the service's units: `units = [\"app.service\"]`".into());
        }
        let units = units.into_iter().map(unit_name).collect::<Result<Vec<_>, _>>()?;
        if let Some((_, twice)) =
            units.iter().enumerate().find(|(at, unit)| units[..*at].contains(unit))
        {
            return Err(format!("`units` lists `{twice}` twice"));
        }
        let systemctl = self.systemctl.unwrap_or_else(|| vec!["systemctl".into()]);
        if systemctl.first().is_none_or(String::is_empty) {
            return Err("`systemctl` is a list of a program and its arguments".into());
        }
        let scope = if self.user == Some(true) { Scope::User } else { Scope::System };
        Ok(Systemd {
            units,
            scope,
            systemctl,
            stop_timeout: self.stop_timeout.unwrap_or(LIMIT),
            start_timeout: self.start_timeout.unwrap_or(LIMIT),
        })
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

/// A unit with its suffix; systemd knows every name without one as a service.
fn unit_name(name: String) -> Result<String, String> {
    const KINDS: [&str; 6] = [".service", ".socket", ".timer", ".path", ".target", ".scope"];
    let is_part = |it: char| it.is_ascii_alphanumeric() || ":-_.\\@".contains(it);
    if name.is_empty() || name.starts_with('-') || !name.chars().all(is_part) {
        return Err(format!("`{name}` is no name of a unit"));
    }
    match KINDS.iter().any(|kind| name.ends_with(kind)) {
        true => Ok(name),
        false => Ok(format!("{name}.service")),
    }
}

/// A time such as `30s`, where there is one.
fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration(&text).map(Some).map_err(D::Error::custom)
}
