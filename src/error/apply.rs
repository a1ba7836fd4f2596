//! Errors of carrying out a plan.

use super::{Kind, Place};
use std::path::PathBuf;

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// SQLite refused a statement.
    #[error("{place}: {message}")]
    Statement {
        /// Where it stands.
        place: Place,
        /// What SQLite said.
        message: String,
        /// The database, relative to the data directory.
        database: PathBuf,
    },
    /// A file ended the transaction that it runs in.
    #[error(
        "{place}: the file ended the transaction of the run, so that what ran before is committed or undone"
    )]
    TransactionEnded {
        /// The statement that did it.
        place: Place,
    },
    /// The live schema is neither as a statement expects it nor as it would leave it.
    #[error("{place}: something else is where its effect would be:\n{facts}")]
    Conflict {
        /// Where the statement stands.
        place: Place,
        /// The facts, one per line.
        facts: String,
    },
    /// The database changed between planning and running.
    #[error("`{}` changed since the plan was made", database.display())]
    Changed {
        /// The database.
        database: PathBuf,
    },
    /// A declared query was not true, or failed.
    #[error("`{migration}`: {directive} {reason}: {query}")]
    Declared {
        /// The migration's file name.
        migration: String,
        /// `require:` or `verify:`.
        directive: &'static str,
        /// `is not true`, or what SQLite said.
        reason: String,
        /// The query.
        query: String,
    },
    /// Rows vanished from a table that no statement deletes from or drops.
    #[error(
        "{}{lost} of {before} rows vanished from `{table}`, which the file neither deletes from nor drops",
        start(place.as_deref())
    )]
    RowsLost {
        /// The statement after which they were gone, where it was found.
        place: Option<Box<Place>>,
        /// The table.
        table: String,
        /// Rows before.
        before: u64,
        /// Rows that are gone.
        lost: u64,
        /// The migration's file name.
        migration: String,
    },
    /// A trigger, index or view vanished that no statement drops.
    #[error("{place}: the {object} vanished, and no statement drops it")]
    ObjectLost {
        /// The statement after which it was gone.
        place: Place,
        /// What it was: kind and name.
        object: String,
        /// The migration's file name.
        migration: String,
    },
    /// A view or trigger that SQLite prepared before does not prepare any more.
    #[error("after `{migration}` SQLite cannot prepare {what}: {reason}")]
    ViewBroken {
        /// The last file of the transaction.
        migration: String,
        /// The view, or the statement that fires the trigger.
        what: String,
        /// What SQLite said.
        reason: String,
    },
    /// A file wrote into the schema's table, and the database is not whole after it.
    #[error("`{}` is not whole after `writable_schema` was used: {found}", database.display())]
    Unsound {
        /// The database, relative to the data directory.
        database: PathBuf,
        /// The first line of SQLite's integrity check.
        found: String,
    },
    /// References without a parent appeared.
    #[error(
        "{}{count} rows of `{table}` refer to rows of `{parent}` that do not exist, and did not do so before{}",
        start(place.as_deref()), named(keys)
    )]
    ForeignKeys {
        /// The statement since which it is so, where it was found.
        place: Option<Box<Place>>,
        /// The file of that statement.
        migration: Option<String>,
        /// The keys of some of the rows (`rowid`).
        keys: Vec<i64>,
        /// The child table.
        table: String,
        /// The parent table.
        parent: String,
        /// How many more there are than before.
        count: u64,
    },
    /// A script could not be started.
    #[error("cannot start `{}`: {reason}", path.display())]
    ScriptStart {
        /// The script.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A script ended badly.
    #[error("`{}` {how}{}", path.display(), tail(output))]
    Script {
        /// The script.
        path: PathBuf,
        /// `exited with status 3`, `was killed by signal 9`, `ran longer than 30 s and was stopped`.
        how: String,
        /// The end of what it wrote.
        output: String,
    },
}

fn start(place: Option<&Place>) -> String {
    place.map_or_else(String::new, |place| format!("{place}: "))
}

fn named(keys: &[i64]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    format!(" (rowid {})", keys.join(", "))
}

/// The last lines that a program wrote, as the end of a message.
pub(super) fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    if last.is_empty() {
        String::new()
    } else {
        format!("; it wrote last:\n  {}", last.join("\n  "))
    }
}

impl ApplyError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Conflict { .. } | Self::Changed { .. } => Kind::Refused,
            _ => Kind::Failed,
        }
    }

    /// The place in a file that it is about, where there is one.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Statement { place, .. }
            | Self::TransactionEnded { place }
            | Self::Conflict { place, .. }
            | Self::ObjectLost { place, .. } => Some(place),
            Self::RowsLost { place, .. } | Self::ForeignKeys { place, .. } => place.as_deref(),
            _ => None,
        }
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Changed { .. } => {
                Some("look at the new plan (`piton plan`) and run it again".into())
            }
            Self::RowsLost { table, migration, .. } => Some(format!(
                "if that is intended, say so at the top of `{migration}`: \
                 `-- allow: rows-lost REASON` (rows of `{table}` go then)"
            )),
            Self::ObjectLost { migration, .. } => Some(format!(
                "create it again in `{migration}`, or say that it may go: `-- allow: object-lost REASON`"
            )),
            Self::ViewBroken { migration, .. } => Some(format!(
                "drop it and make it again in `{migration}`, or say that a later release does: \
                 `-- allow: view-broken REASON`"
            )),
            Self::Unsound { .. } => Some(
                "make the change by a new table, a copy of the rows and a rename instead".into(),
            ),
            // Never `foreign-keys: on`: it deletes the rows that refer to a table that is rebuilt.
            Self::ForeignKeys { migration, .. } => {
                let file = migration
                    .as_ref()
                    .map_or_else(String::new, |it| format!(" at the top of `{it}`"));
                Some(format!(
                    "correct the migration or the rows; if the references may lead nowhere, say so{file}: \
                     `-- allow: dangling-reference REASON`"
                ))
            }
            Self::ScriptStart { path, .. } => {
                Some(format!("check its first line and its mode: `ls -l {}`", path.display()))
            }
            Self::Script { .. } => {
                Some("correct the script, then run the same command again".into())
            }
            Self::TransactionEnded { .. } => Some(
                "remove what begins or ends transactions from the file, then run it again".into(),
            ),
            Self::Statement { .. } | Self::Conflict { .. } | Self::Declared { .. } => {
                Some("correct the migration or the data, then run the same command again".into())
            }
        }
    }
}
