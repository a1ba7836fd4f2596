//! Errors of taking a snapshot of a data directory.

use super::Kind;
use std::path::PathBuf;

/// A snapshot that could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The data directory does not exist or is not a directory.
    #[error("the data directory `{}` is not a directory", data.display())]
    NoData {
        /// The data directory.
        data: PathBuf,
    },
    /// A database with a write-ahead log lies where this process may not write.
    #[error("cannot read `{}`: it has a write-ahead log, and its folder is read-only", database.display())]
    ReadOnly {
        /// The database.
        database: PathBuf,
    },
    /// New databases kept appearing while the snapshot was being cut.
    #[error("databases keep appearing in `{}`, the last one is `{}`", data.display(), database.display())]
    Restless {
        /// The data directory.
        data: PathBuf,
        /// The newest database.
        database: PathBuf,
    },
    /// Somebody writes all the time to a database that cannot be read here.
    #[error("`{}` was locked by a writer for {seconds} s, and cannot be read while it is written to", database.display())]
    OpaqueBusy {
        /// The database.
        database: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
}

impl BackupError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoData { .. } => Kind::Usage,
            Self::ReadOnly { .. } | Self::Restless { .. } | Self::OpaqueBusy { .. } => Kind::Failed,
        }
    }

    /// What to type next, for the causes that have one remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoData { .. } => Some("check `--data`, or begin with `piton init`".into()),
            Self::ReadOnly { .. } => Some(
                "run piton as the user that owns the data directory, or remount it writable".into(),
            ),
            Self::OpaqueBusy { .. } => Some(
                "try again, wait longer with `--barrier-limit`, or stop what writes to it".into(),
            ),
            Self::Restless { .. } => {
                Some("try again when the service creates no databases, or stop it".into())
            }
        }
    }
}
