//! What a plan is: for each database, each migration's state and what would be done about it.

use super::finding::{Finding, Severity};
use crate::{
    guard::Effect,
    history::{Migration, Version},
    ledger::{BaseObject, Entry, Witness},
    sql::Class,
};
use serde::Serialize;
use std::{path::PathBuf, sync::Arc};

/// The state of a migration on one database, in the field's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// In the ledger, and its effect is there.
    Applied,
    /// Not in the ledger, but known to be done: it will be recorded.
    Recorded,
    /// Neither in the ledger nor in the schema.
    Pending,
    /// Partly there: its missing statements will run.
    Resumed,
    /// In the ledger, but its effect is missing or different.
    Drift,
    /// Not in the ledger, and something else is where its effect would be.
    Conflict,
    /// Applied, and its file was edited since.
    Divergent,
    /// The same ran under another number, or in other files.
    Renumbered,
    /// Applied, and its file is gone.
    Missing,
    /// Pending, though a later one is applied.
    OutOfOrder,
    /// A script or a file without transaction that began and did not end.
    Dirty,
    /// Nothing can tell whether it ran.
    Undecided,
}

impl State {
    /// The word in output and JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Recorded => "recorded",
            Self::Pending => "pending",
            Self::Resumed => "resumed",
            Self::Drift => "drift",
            Self::Conflict => "conflict",
            Self::Divergent => "divergent",
            Self::Renumbered => "renumbered",
            Self::Missing => "missing",
            Self::OutOfOrder => "out-of-order",
            Self::Dirty => "dirty",
            Self::Undecided => "undecided",
        }
    }
}

/// One statement that would run.
#[derive(Clone, Debug)]
pub struct PlannedStatement {
    /// Its number in the file, from 0.
    pub index: usize,
    /// What it is.
    pub class: Class,
    /// What it does to the schema, as the replay showed.
    pub effect: Arc<Effect>,
    /// Whether it needs `legacy_alter_table`: a view or trigger dangles while a table is rebuilt.
    pub legacy: bool,
}

/// What would be done about a migration.
#[derive(Clone, Debug)]
pub enum Action {
    /// Nothing.
    None,
    /// A ledger row is written, nothing runs.
    Record(Witness),
    /// These statements run; in a migration that resumes, the others are there already.
    Statements(Vec<PlannedStatement>),
    /// The script runs.
    Script,
}

/// One migration on one database.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// Its version.
    pub version: Version,
    /// Its file name.
    pub title: String,
    /// The file; none where it is missing.
    pub migration: Option<Arc<Migration>>,
    /// Its state.
    pub state: State,
    /// How that is known.
    pub witness: Option<Witness>,
    /// What would be done.
    pub action: Action,
    /// Its row in the ledger.
    pub entry: Option<Entry>,
}

impl Assessment {
    /// Whether something would be done.
    #[must_use]
    pub fn acts(&self) -> bool {
        !matches!(self.action, Action::None)
    }
}

/// Where a database stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The version up to which everything is done; none before the first.
    pub version: Option<Version>,
    /// How it is known: `ledger`, `schema` or `new`.
    pub known_by: &'static str,
}

/// The plan for one database.
#[derive(Clone, Debug)]
pub struct DatabasePlan {
    /// The target's name.
    pub target: String,
    /// The database, relative to the data directory.
    pub database: PathBuf,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it exists.
    pub exists: bool,
    /// Where it stands.
    pub position: Position,
    /// Its migrations in order.
    pub assessments: Arc<[Assessment]>,
    /// What the user should know.
    pub findings: Vec<Finding>,
    /// The hash of the live schema's text at the time of planning.
    pub schema_hash: String,
    /// The objects that no migration made, where the ledger has not recorded them yet: the first run
    /// records them.
    pub base: Option<Vec<BaseObject>>,
    /// What the replay made, where the database does not exist yet and its history is schema alone:
    /// the run then writes it in one step instead of making it a second time.
    pub image: Option<Image>,
}

/// A database as bytes.
#[derive(Clone)]
pub struct Image(Arc<[u8]>);

impl Image {
    /// An image of these bytes.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Image({} bytes)", self.0.len())
    }
}

impl DatabasePlan {
    /// The migrations about which something would be done.
    pub fn actions(&self) -> impl Iterator<Item = &Assessment> {
        self.assessments.iter().filter(|assessment| assessment.acts())
    }

    /// Whether anything would be done.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.actions().next().is_some()
    }

    /// Whether anything but ledger rows would be written.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.actions().any(|assessment| !matches!(assessment.action, Action::Record(_)))
    }

    /// The findings for which the plan is refused.
    pub fn denials(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Denied)
    }
}
