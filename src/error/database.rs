//! Errors of opening, reading and writing a SQLite database.

use super::Kind;
use rusqlite::ErrorCode;
use std::path::PathBuf;

/// A database that could not be used, with the reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The file's first bytes are not those of a SQLite database.
    #[error("`{}` is not a SQLite database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database does not exist and may not be created.
    #[error("the database `{}` does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// SQLite reported an error.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Sqlite {
        /// What was tried, as a verb phrase: `open`, `read the schema of`.
        action: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer piton wrote the ledger.
    #[error(
        "the ledger of `{}` was made by a newer piton: it has format {format}, this piton reads up to {known}",
        path.display()
    )]
    NewerLedger {
        /// The database file.
        path: PathBuf,
        /// The format of the ledger.
        format: i64,
        /// The newest format that this piton reads.
        known: i64,
    },
    /// The ledger has a value that piton never writes.
    #[error("the ledger of `{}` (its table `_piton_ledger`) is damaged: {reason}", path.display())]
    DamagedLedger {
        /// The database file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An object has the name of the ledger, and piton did not make it.
    #[error("`{}` has an object `{name}` ({kind}) that piton did not make", path.display())]
    ForeignLedger {
        /// The database file.
        path: PathBuf,
        /// Its kind: `table`, `view` or `index`.
        kind: String,
        /// Its name as it is written in the schema.
        name: String,
    },
    /// Another user may have put something else in its place.
    #[error(
        "`{}` is not an ordinary file, or a link is on the way to it, in a folder that another user can change",
        path.display()
    )]
    Diverted {
        /// The database, or a file beside it.
        path: PathBuf,
    },
    /// `integrity_check` or `foreign_key_check` found something.
    #[error("`{}` is damaged: {findings}", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// The first findings, one per line.
        findings: String,
    },
}

impl DatabaseError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotADatabase { .. } | Self::Damaged { .. } | Self::DamagedLedger { .. } => {
                Kind::Damaged
            }
            Self::Missing { .. } => Kind::Usage,
            Self::NewerLedger { .. } | Self::ForeignLedger { .. } => Kind::Refused,
            Self::Diverted { .. } => Kind::Refused,
            Self::Sqlite { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Kind::Damaged,
                _ => Kind::Failed,
            },
        }
    }

    /// What to type next, for the causes that have one remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotADatabase { path } => Some(format!(
                "look at the file (`file {}`); `piton restore latest` puts the last good one back",
                path.display()
            )),
            Self::Missing { .. } => {
                Some("check `--data` and `--database`, or create it with `piton up`".into())
            }
            Self::Diverted { .. } => {
                Some("root follows no links there: run piton as the user that owns the data".into())
            }
            Self::Damaged { .. } | Self::DamagedLedger { .. } => {
                Some("`piton backups` lists what can be put back, `piton restore` does it".into())
            }
            Self::NewerLedger { .. } => {
                Some("update piton on this machine, then run the command again".into())
            }
            Self::ForeignLedger { path, kind, name } if kind == "table" => Some(format!(
                "piton keeps its record in a table of this name: give yours another one, such as \
                 `sqlite3 {} 'ALTER TABLE {name} RENAME TO other{name}'`, then run the command again",
                path.display()
            )),
            Self::ForeignLedger { kind, .. } => Some(format!(
                "piton keeps its record in a table of this name: create your {kind} under another \
                 name, drop this one, then run the command again"
            )),
            Self::Sqlite { source, path, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Some(format!(
                    "another process is writing: `fuser {}` names it; try again when it is done",
                    path.display()
                )),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Some(
                    "`piton backups` lists what can be put back, `piton restore` does it".into(),
                ),
                Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                    Some("run piton as the user that owns the data directory".into())
                }
                Some(ErrorCode::DiskFull) => {
                    Some("free some space on the disk and run the command again".into())
                }
                _ => None,
            },
        }
    }
}
