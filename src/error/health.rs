//! Errors of the health check.

use super::Kind;
use serde::Serialize;

/// Why the service does not count as healthy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealthError {
    /// It was not healthy in time, or did not stay so.
    #[error("the service is {verdict}: {}", lines(failures))]
    Unhealthy {
        /// `not healthy after 60.0 s`.
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

/// The first on the line of the verdict, since that line may be all that is shown; the others below.
pub(super) fn lines(failures: &[ProbeFailure]) -> String {
    let text = |it: &ProbeFailure| {
        format!("{}: {}", it.probe, it.reason.trim_end().replace('\n', "\n    "))
    };
    failures.iter().map(text).collect::<Vec<_>>().join("\n  ")
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

#[cfg(test)]
mod tests {
    use super::{HealthError, ProbeFailure};

    #[test]
    fn the_first_failure_stands_beside_the_verdict() {
        let failure =
            |probe: &str, reason: &str| ProbeFailure { probe: probe.into(), reason: reason.into() };
        let failures = vec![failure("tcp", "no"), failure("command", "exited\none\ntwo\n")];
        let error = HealthError::Unhealthy { verdict: "not healthy".into(), failures };
        let expected = "the service is not healthy: tcp: no\n  command: exited\n    one\n    two";
        assert_eq!(error.to_string(), expected);
    }
}
