//! Errors of the ledger, before it is known which file it is in.

use super::DatabaseError;
use std::path::Path;

/// A ledger that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// SQLite reported an error.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A newer piton wrote it.
    #[error("the ledger has format {format}")]
    Newer {
        /// The format that its newest row has.
        format: i64,
        /// The newest format that this piton reads.
        known: i64,
    },
    /// It has a value that piton never writes.
    #[error("the ledger is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// An object of this name exists, and piton did not make it.
    #[error("`{name}` is not piton's")]
    Foreign {
        /// Its kind: `table`, `view` or `index`.
        kind: String,
        /// Its name as it is written in the schema.
        name: String,
    },
}

impl LedgerError {
    /// The same with its file; `action` is a verb phrase such as `read the ledger of`.
    #[must_use]
    pub fn at(self, action: &'static str, path: &Path) -> DatabaseError {
        let path = path.to_path_buf();
        match self {
            Self::Sqlite(
                error @ (rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)),
            ) => DatabaseError::DamagedLedger { path, reason: error.to_string() },
            Self::Damaged { reason } => DatabaseError::DamagedLedger { path, reason },
            Self::Sqlite(source) => DatabaseError::Sqlite { action, path, source },
            Self::Newer { format, known } => DatabaseError::NewerLedger { path, format, known },
            Self::Foreign { kind, name } => DatabaseError::ForeignLedger { path, kind, name },
        }
    }
}
