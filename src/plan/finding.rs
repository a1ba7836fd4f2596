//! What the user should know about a plan, with a code that a file can allow.

use crate::error::Place;
use serde::Serialize;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Worth a look before going on.
    Warning,
    /// The plan is refused.
    Denied,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A word that does not change, such as `drift` or `rows-lost`.
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// The migration it is about, by file name.
    pub migration: Option<String>,
    /// Where in the file.
    pub place: Option<Place>,
    /// What is the case.
    pub message: String,
    /// What to type or write.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding about a whole migration or database.
    #[must_use]
    pub fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Self { code, severity, migration: None, place: None, message: message.into(), hint: None }
    }

    /// Says which migration it is about.
    #[must_use]
    pub fn about(mut self, migration: &str) -> Self {
        self.migration = Some(migration.into());
        self
    }

    /// Says where it is.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
