//! A probe that runs a program: healthy where it ends with status 0.

use super::{
    Ground, Probe,
    settings::{some_time, timeout},
};
use crate::{deploy::service::Program, event::Silent, process::Remains};
use serde::Deserialize;
use std::time::Duration;

/// Lines of output that a message shows.
const LINES: usize = 5;

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
        let ended = self.run.run(ground, limit, Remains::Killed, &Silent);
        let ended = ended.map_err(|error| format!("cannot be run: {error}"))?;
        if ended.how.is_success() {
            return Ok(());
        }
        let lines: Vec<&str> = ended.output.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        let last = last.iter().map(|line| format!("\n{line}")).collect::<String>();
        Err(format!("{}{last}", ended.how))
    }
}
