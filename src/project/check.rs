//! `check`: the histories themselves, before they meet a database.

use super::{Outcome, Project, Selection, databases};
use crate::{
    Kind, Result, database,
    plan::{self, Finding, HouseRule, Severity},
    schema::{Introspector, Schema},
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
        let rule = if self.config.schema_only { HouseRule::SchemaOnly } else { HouseRule::Free };
        let mut checked = Vec::new();
        for target in self.planned(selection)?.targets {
            let mut live = Schema::default();
            if let Some(first) = target.paths(&self.config.data)?.first() {
                let path = self.config.data.join(first);
                if let Some(connection) = databases::open_to_read(&path, &self.config)? {
                    let read = Introspector::default().read(&connection);
                    live = read.map_err(database::failed("read the schema of", &path))?;
                }
            }
            let findings = plan::check(&target.migrations, &live, rule)?;
            checked.push(CheckedTarget {
                target: target.name,
                migrations: target.migrations.len(),
                findings,
            });
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
