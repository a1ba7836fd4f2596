//! Errors of migration files and scripts.

use super::{Kind, Place};
use std::path::PathBuf;

/// A migration file that cannot be used as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A directive in a header is misspelt or has a wrong value.
    #[error("{place}: {reason}")]
    Directive {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// Two files of one folder have the same number.
    #[error("`{}` and `{}` have the same number", first.display(), second.display())]
    SameVersion {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A migration is not UTF-8 text.
    #[error("`{}` is not UTF-8 text (line {line})", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first line that is not.
        line: usize,
    },
    /// A file's name is not UTF-8.
    #[error("the name of `{}` is not UTF-8", path.display())]
    NameNotText {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not SQL can not be executed.
    #[error("`{}` is not SQL, not executable, and has no `#!` line", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// A command of the `sqlite3` shell stands among the SQL.
    #[error("{place}: `{}` is a command of the sqlite3 shell, not SQL", place.excerpt.trim())]
    ShellCommand {
        /// Where it stands.
        place: Place,
    },
    /// No script has this name.
    #[error("there is no script `{name}` in `{}`", folder.display())]
    NoSuchScript {
        /// The name asked for.
        name: String,
        /// The scripts folder.
        folder: PathBuf,
        /// The names that exist.
        known: Vec<String>,
    },
    /// No migration has this version.
    #[error("there is no migration with the version `{version}`")]
    NoSuchVersion {
        /// The version asked for.
        version: String,
    },
}

impl HistoryError {
    /// The class of this error: nothing was touched.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Usage
    }

    /// The place in a file that it is about, where there is one.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Directive { place, .. } | Self::ShellCommand { place } => Some(place),
            _ => None,
        }
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SameVersion { second, .. } => {
                Some(format!("give `{}` the next free number", second.display()))
            }
            Self::NotExecutable { path } => Some(format!("chmod +x {}", path.display())),
            Self::ShellCommand { .. } => Some("write it as SQL, or remove the line".into()),
            Self::NotText { .. } => Some("save the file as UTF-8".into()),
            Self::NameNotText { .. } => Some("rename the file".into()),
            Self::NoSuchScript { known, .. } if known.is_empty() => {
                Some("the folder has no scripts".into())
            }
            Self::NoSuchScript { known, .. } => Some(format!("there are: {}", known.join(", "))),
            Self::NoSuchVersion { .. } => Some("`piton status` lists the versions".into()),
            Self::Directive { .. } => Some(
                "correct the line; the directives are skip-if, require, verify, database, transaction, foreign-keys, timeout and allow"
                    .into(),
            ),
        }
    }
}
