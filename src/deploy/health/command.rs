//! A probe that runs a program: healthy where it ends with status 0.

use super::{
    Ground, Probe,
    settings::{some_time, timeout},
};
use crate::deploy::service::Program;
use serde::Deserialize;
use std::time::Duration;

/// A program that must succeed. It runs in the project's folder, again and again, so it must not
/// change anything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Command {
    /// The program.
    pub run: Program,
    /// The time that it has.
    #[serde(default = "timeout", deserialize_with = "some_time")]
    pub timeout: Duration,
    /// Whether it comes with this release: the service that runs before is not asked.
    #[serde(default)]
    pub new: bool,
}

impl Probe for Command {
    fn name(&self) -> String {
        format!("command `{}`", self.run)
    }

    fn is_new(&self) -> bool {
        self.new
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn look(&self, ground: &Ground<'_>, limit: Duration) -> Result<(), String> {
        self.run.check(ground, limit)
    }
}
