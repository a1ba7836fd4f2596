//! The table `[deploy.health]` of `piton.toml`.

use super::{Command, Http, Probe, Query, Tcp};
use crate::history::duration;
use serde::{Deserialize, Deserializer, de::Error};
use std::time::Duration;

/// The time that one answer of a probe may take where nobody says.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// What a healthy service is. Without any probe it is one whose manager says that it runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// How long everything has to stay well.
    #[serde(deserialize_with = "time")]
    pub window: Duration,
    /// The time until everything has passed once.
    #[serde(deserialize_with = "some_time")]
    pub deadline: Duration,
    /// From one look to the next.
    #[serde(deserialize_with = "some_time")]
    pub interval: Duration,
    /// How often the manager may restart the service before it counts as broken.
    pub restarts: u32,
    /// HTTP and HTTPS.
    pub http: Vec<Http>,
    /// Connections.
    pub tcp: Vec<Tcp>,
    /// Programs that must succeed.
    pub command: Vec<Command>,
    /// Queries that must be true.
    pub query: Vec<Query>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(5),
            deadline: Duration::from_secs(60),
            interval: Duration::from_millis(500),
            restarts: 3,
            http: Vec::new(),
            tcp: Vec::new(),
            command: Vec::new(),
            query: Vec::new(),
        }
    }
}

impl Settings {
    /// All probes, the cheapest first.
    pub(super) fn probes(&self) -> Vec<&dyn Probe> {
        let tcp = self.tcp.iter().map(|it| it as &dyn Probe);
        let http = self.http.iter().map(|it| it as &dyn Probe);
        let command = self.command.iter().map(|it| it as &dyn Probe);
        let query = self.query.iter().map(|it| it as &dyn Probe);
        tcp.chain(http).chain(command).chain(query).collect()
    }
}

/// Reads a time such as `5s`.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Reads a time that is more than nothing.
pub(super) fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match time(deserializer)? {
        Duration::ZERO => Err(D::Error::custom("a time of nothing lets nothing happen")),
        time => Ok(time),
    }
}

/// The timeout of a probe that names none.
pub(super) const fn timeout() -> Duration {
    TIMEOUT
}
