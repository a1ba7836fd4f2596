//! `check`: the histories themselves, before they meet a database.

use super::{Outcome, Project, Selection, databases};
use crate::{
    Kind, Result,
    plan::{self, Finding, Request, Severity},
};
use serde::Serialize;

/// What was found about one target's history.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedTarget {
    /// The target's name.
    pub target: String,
    /// How many migrations it has.
    pub migrations: usize,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

/// From which weight on a finding makes the check fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Denied findings do.
    Denied,
    /// Warnings do too.
    Warnings,
}

impl Project {
    /// Checks every selected history. Base objects come from a target's first database, where it
    /// has one; none is needed.
    ///
    /// # Errors
    /// Those of the files and of SQLite.
    pub fn check(
        &self,
        selection: &Selection,
        strictness: Strictness,
    ) -> Result<(Outcome, Vec<CheckedTarget>)> {
        let mut checked = Vec::new();
        for target in self.planned(selection)?.targets {
            let first = target.paths(&self.config.data)?.into_iter().next().unwrap_or_default();
            let path = self.config.data.join(&first);
            let live = match first.as_os_str().is_empty() {
                true => None,
                false => databases::open_to_read(&path, &self.config)?,
            };
            let request = Request {
                target: &target.name,
                database: &first,
                path: &path,
                migrations: &target.migrations,
                settings: &selection.settings,
                rules: Some(&self.config.rules),
            };
            // What a script without a number does, only it knows; it looks for itself.
            let findings = match target.is_guarding() {
                true => Vec::new(),
                false => plan::check(&request, live.as_ref())?,
            };
            let migrations = target.migrations.len() + target.scripts.len();
            checked.push(CheckedTarget { target: target.name, migrations, findings });
        }
        let limit = match strictness {
            Strictness::Denied => Severity::Denied,
            Strictness::Warnings => Severity::Warning,
        };
        let fails = checked
            .iter()
            .flat_map(|target| &target.findings)
            .any(|finding| finding.severity >= limit);
        let outcome = if fails { Outcome::Problem(Kind::Refused) } else { Outcome::Done };
        Ok((outcome, checked))
    }
}
