//! What the project wants done about a finding, by its code.
//!
//! A finding has a weight of its own; `[findings]` in `piton.toml` changes it for a whole project, and
//! a line `-- allow: CODE reason` for one file. What no run can do (a statement that SQLite refuses, a
//! database that is not what the ledger says) has no policy.

use super::finding::{Finding, Severity};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The codes that a policy can be about, in the order of the documentation.
pub const CODES: [&str; 22] = [
    "destructive",
    "rows-not-copied",
    "column-not-copied",
    "columns-swapped",
    "values-cast",
    "constraint-lost",
    "sequence-lost",
    "quoted-text",
    "not-null",
    "refused-with-rows",
    "rows-break",
    "object-lost",
    "rows-lost",
    "dangling-reference",
    "rename",
    "mixed",
    "schema-only",
    "non-deterministic",
    "no-guard",
    "base",
    "unknown-function",
    "view-broken",
];

/// The codes about files that no policy can be about.
const FIXED: [&str; 5] = ["sql", "in-transaction", "attach", "rollback", "down-half"];

/// Whether a finding is about the text of a file, and not about the state of a database.
pub fn is_about_files(finding: &Finding) -> bool {
    CODES.contains(&finding.code) || FIXED.contains(&finding.code)
}

/// What is done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It is not reported.
    Ignore,
    /// It is reported, and nothing is refused.
    Warn,
    /// The plan is refused.
    Refuse,
}

/// The levels that a project sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    levels: BTreeMap<String, Level>,
}

impl Policy {
    /// A policy from codes and their levels.
    ///
    /// # Errors
    /// The first code that no policy can be about, with the nearest one that it can.
    pub fn new(levels: BTreeMap<String, Level>) -> Result<Self, String> {
        let unknown = levels.keys().find(|code| !CODES.contains(&code.as_str()));
        let Some(unknown) = unknown else { return Ok(Self { levels }) };
        let distance = |code: &&&str| strsim::osa_distance(unknown, code);
        let nearest = CODES.iter().min_by_key(distance).copied().unwrap_or_default();
        Err(format!("`{unknown}` is not a code that can be set; is `{nearest}` meant?"))
    }

    /// What the project says of a code.
    #[must_use]
    pub fn level(&self, code: &str) -> Option<Level> {
        self.levels.get(code).copied()
    }

    /// A finding with the weight that the project gives it; none where it is ignored.
    #[must_use]
    pub fn apply(&self, mut finding: Finding) -> Option<Finding> {
        match self.level(finding.code) {
            Some(Level::Ignore) => return None,
            Some(Level::Warn) => finding.severity = Severity::Warning,
            Some(Level::Refuse) => finding.severity = Severity::Denied,
            None => {}
        }
        Some(finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let policy = |code: &str, level| Policy::new(BTreeMap::from([(code.to_string(), level)]));
        let found = |level| {
            let finding = Finding::new("destructive", Severity::Warning, "x");
            policy("destructive", level).unwrap().apply(finding).map(|found| found.severity)
        };
        assert_eq!(found(Level::Ignore), None);
        assert_eq!(found(Level::Warn), Some(Severity::Warning));
        assert_eq!(found(Level::Refuse), Some(Severity::Denied));
        let other = Finding::new("rename", Severity::Note, "x");
        let kept = policy("destructive", Level::Refuse).unwrap().apply(other);
        assert_eq!(kept.map(|found| found.severity), Some(Severity::Note));
        let wrong = policy("destrutive", Level::Warn).unwrap_err();
        assert!(wrong.contains("`destructive`"), "{wrong}");
        assert!(policy("drift", Level::Ignore).is_err());
    }
}
