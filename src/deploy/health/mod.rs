//! Whether the service is healthy: it runs and is not restarted, and every probe passes, for a
//! while.
//!
//! Nothing here decides what follows from the answer, and no probe changes anything.

mod command;
mod http;
mod query;
mod settings;
mod tcp;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use http::Http;
pub use query::Query;
pub use settings::Settings;
pub use tcp::Tcp;

use super::service::{Ground, Service, State};
use crate::{
    Result,
    error::{HealthError, ProbeFailure, ServiceError},
};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// The name under which the service itself is reported where it has no parts.
const SERVICE: &str = "service";

/// What was found of a healthy service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// From the beginning of the check until everything passed, in milliseconds.
    pub milliseconds: u64,
    /// How often everything was looked at.
    pub looks: u32,
    /// How often a part of the service was started anew meanwhile.
    pub restarts: u32,
    /// What passed.
    pub passed: Vec<String>,
}

/// One question to the service.
trait Probe {
    /// What it asks, for messages.
    fn name(&self) -> String;

    /// Asks once; the answer must be there within the limit.
    ///
    /// # Errors
    /// What was wrong, in words.
    fn look(&self, ground: &Ground<'_>, limit: Duration) -> Result<(), String>;

    /// The time that one answer may take.
    fn timeout(&self) -> Duration;

    /// Whether it comes with the release, so that what ran before cannot pass it.
    fn is_new(&self) -> bool;
}

/// How often a probe is asked before a deploy: one slow answer is no reason to refuse.
const LOOKS_BEFORE: u32 = 3;

/// What fails on a service that runs before a deploy, apart from probes that come with the release.
/// Of one that does not run nothing is asked: it can always be deployed.
///
/// # Errors
/// The manager cannot be asked.
pub fn failing_before(
    settings: &Settings,
    service: &dyn Service,
    ground: &Ground<'_>,
) -> Result<Vec<ProbeFailure>> {
    let probes = settings.probes();
    let mut left: Vec<&dyn Probe> = probes.into_iter().filter(|probe| !probe.is_new()).collect();
    if left.is_empty() {
        return Ok(Vec::new());
    }
    let parts = service.state()?;
    if parts.is_empty() || parts.iter().any(|part| !matches!(part.state, State::Running)) {
        return Ok(Vec::new());
    }
    let mut failures = Vec::new();
    for look in 0..LOOKS_BEFORE {
        if look > 0 && !left.is_empty() {
            ground.clock.pause(settings.interval);
        }
        failures.clear();
        left.retain(|probe| match probe.look(ground, probe.timeout()) {
            Ok(()) => false,
            Err(reason) => {
                failures.push(failure(&probe.name(), reason));
                true
            }
        });
    }
    Ok(failures)
}

/// Waits until the service is healthy, and stays so for the window.
///
/// # Errors
/// [`HealthError::Unhealthy`] with the last answer of everything that failed: at once where its
/// manager has given it up, else after the deadline. [`ServiceError::Interrupted`].
pub fn check(settings: &Settings, service: &dyn Service, ground: &Ground<'_>) -> Result<Report> {
    Watch {
        settings,
        service,
        ground,
        probes: settings.probes(),
        lives: BTreeMap::new(),
        restarts: 0,
        looks: 0,
        runs_anything: false,
    }
    .run()
}

struct Watch<'a> {
    settings: &'a Settings,
    service: &'a dyn Service,
    ground: &'a Ground<'a>,
    probes: Vec<&'a dyn Probe>,
    /// What was seen of each part's lives last.
    lives: BTreeMap<String, String>,
    restarts: u32,
    looks: u32,
    /// Whether the manager ever named a part.
    runs_anything: bool,
}

/// What one look at everything showed.
enum Look {
    Good,
    /// A part was started anew: what passed before it counts no more.
    Restarted,
    Bad(Vec<ProbeFailure>),
    /// It will not get better by waiting.
    Hopeless(Vec<ProbeFailure>),
}

impl Watch<'_> {
    fn run(&mut self) -> Result<Report> {
        let clock = self.ground.clock;
        let began = clock.now();
        let deadline = began + self.settings.deadline;
        let mut good_since: Option<Duration> = None;
        loop {
            if clock.is_interrupted() {
                let during = "the service's health was checked".into();
                return Err(ServiceError::Interrupted { during }.into());
            }
            let began_look = clock.now();
            let elapsed = began_look - began;
            let failures = match self.look(deadline) {
                Look::Good => {
                    let since = *good_since.get_or_insert(began_look);
                    if clock.now() - since >= self.window() {
                        return Ok(self.report(since - began));
                    }
                    Vec::new()
                }
                Look::Restarted => {
                    good_since = None;
                    vec![failure(SERVICE, format!("it was restarted {} times", self.restarts))]
                }
                Look::Bad(failures) => {
                    good_since = None;
                    failures
                }
                Look::Hopeless(failures) => return Err(unhealthy(elapsed, failures)),
            };
            if good_since.is_none() && clock.now() >= deadline {
                return Err(unhealthy(clock.now() - began, failures));
            }
            let left = good_since.map(|since| since + self.window());
            self.pause(left.unwrap_or(deadline));
        }
    }

    /// Where nothing runs and nothing is asked, there is nothing to keep watching.
    fn window(&self) -> Duration {
        let is_watched = self.runs_anything || !self.probes.is_empty();
        if is_watched { self.settings.window } else { Duration::ZERO }
    }

    /// Until the next look, which is not later than the end of what is waited for.
    fn pause(&self, end: Duration) {
        let clock = self.ground.clock;
        clock.pause(self.settings.interval.min(end.saturating_sub(clock.now())));
    }

    fn look(&mut self, deadline: Duration) -> Look {
        self.looks += 1;
        let mut failures = Vec::new();
        let parts = match self.service.state() {
            Ok(parts) => parts,
            Err(error) => return Look::Bad(vec![failure(SERVICE, error.to_string())]),
        };
        self.runs_anything |= !parts.is_empty();
        let mut hopeless = false;
        let mut restarted = false;
        for part in parts {
            if let Some(life) = part.life {
                let before = self.lives.insert(part.name.clone(), life.clone());
                if before.is_some_and(|before| before != life) {
                    restarted = true;
                    self.restarts += 1;
                }
            }
            hopeless |= matches!(part.state, State::Failed { .. });
            if let Some(reason) = ailing(part.state) {
                failures.push(failure(&part.name, reason));
            }
        }
        if self.restarts > self.settings.restarts {
            let reason = format!("it was restarted {} times", self.restarts);
            failures.insert(0, failure(SERVICE, reason));
            hopeless = true;
        }
        if hopeless {
            return Look::Hopeless(failures);
        }
        if restarted {
            return Look::Restarted;
        }
        // A service that is down answers nothing: asking would only use up the time.
        if failures.is_empty() {
            self.ask(deadline, &mut failures);
        }
        if failures.is_empty() { Look::Good } else { Look::Bad(failures) }
    }

    fn ask(&self, deadline: Duration, failures: &mut Vec<ProbeFailure>) {
        let clock = self.ground.clock;
        for probe in &self.probes {
            // After the deadline only the window is left, in which everything did pass already.
            let limit = match deadline.checked_sub(clock.now()) {
                Some(left) if !left.is_zero() => probe.timeout().min(left),
                _ => probe.timeout(),
            };
            if let Err(reason) = probe.look(self.ground, limit) {
                failures.push(failure(&probe.name(), reason));
            }
            if clock.is_interrupted() {
                return;
            }
        }
    }

    fn report(&self, until_good: Duration) -> Report {
        let mut passed: Vec<String> = self.lives.keys().cloned().collect();
        passed.extend(self.probes.iter().map(|probe| probe.name()));
        Report {
            milliseconds: u64::try_from(until_good.as_millis()).unwrap_or(u64::MAX),
            looks: self.looks,
            restarts: self.restarts,
            passed,
        }
    }
}

/// What is wrong with a part; none where it runs.
fn ailing(state: State) -> Option<String> {
    Some(match state {
        State::Running => return None,
        State::Starting => "it is still starting".into(),
        State::Stopping => "it is stopping".into(),
        State::Stopped => "it does not run".into(),
        State::Restarting { reason } => format!("{reason} and is about to be restarted"),
        State::Failed { reason } | State::Unclear { reason } => reason,
    })
}

fn failure(probe: &str, reason: String) -> ProbeFailure {
    ProbeFailure { probe: probe.into(), reason }
}

fn unhealthy(after: Duration, failures: Vec<ProbeFailure>) -> crate::Error {
    let verdict = format!("not healthy after {:.1} s", after.as_secs_f64());
    HealthError::Unhealthy { verdict, failures }.into()
}
