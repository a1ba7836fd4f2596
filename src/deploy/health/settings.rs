//! The table `[deploy.health]` of `piton.toml`.

use super::{Command, Http, Probe, Query, Tcp};
use crate::history::duration;
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use std::{fmt, marker::PhantomData, time::Duration};

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
    #[serde(deserialize_with = "tables")]
    pub http: Vec<Http>,
    /// Connections.
    #[serde(deserialize_with = "tables")]
    pub tcp: Vec<Tcp>,
    /// Programs that must succeed.
    #[serde(deserialize_with = "tables")]
    pub command: Vec<Command>,
    /// Queries that must be true.
    #[serde(deserialize_with = "tables")]
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
    /// What every probe asks, for messages.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.probes().iter().map(|probe| probe.name()).collect()
    }

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

/// Reads probes of one kind; one pair of brackets too few is easily written.
fn tables<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Tables<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Tables<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter
                .write_str("tables, each under a heading in two brackets: `[[deploy.health…]]`")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
    }

    deserializer.deserialize_any(Tables(PhantomData))
}

/// The timeout of a probe that names none.
pub(super) const fn timeout() -> Duration {
    TIMEOUT
}
