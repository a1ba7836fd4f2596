//! Errors of the health check.

use super::Kind;
use serde::Serialize;

/// Why the service does not count as healthy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealthError {
    /// It was not healthy in time, or did not stay so.
    #[error("the service is {verdict}:\n{}", lines(failures))]
    Unhealthy {
        /// `not healthy after 60 s`, `gone again after 2 s`.
        verdict: String,
        /// What was wrong when it was looked at last.
        failures: Vec<ProbeFailure>,
    },
}

/// One thing that was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeFailure {
    /// What was looked at: the service itself, or a probe.
    pub probe: String,
    /// What was found.
    pub reason: String,
}

fn lines(failures: &[ProbeFailure]) -> String {
    let lines = failures
        .iter()
        .map(|it| format!("  {}: {}", it.probe, it.reason.trim_end().replace('\n', "\n    ")));
    lines.collect::<Vec<_>>().join("\n")
}

impl HealthError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Failed
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        None
    }
}
