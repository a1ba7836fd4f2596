//! Errors of the place where piton keeps its records and its staged files.

use super::Kind;
use std::path::PathBuf;

/// What piton keeps cannot be kept there, or cannot be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// Another user could replace the records that root believes.
    #[error("`{}` {reason}, so root cannot keep its records of this data directory in `{}`", path.display(), records.display())]
    Unsafe {
        /// The folder that decides.
        path: PathBuf,
        /// Why it is not safe.
        reason: &'static str,
        /// What makes it safe: a command without the path.
        fix: &'static str,
        /// Where the records would be.
        records: PathBuf,
    },
    /// Nobody said where the backups are, beside which the records would be.
    #[error("`{}` belongs to another user, and it is not known where its backups are", data.display())]
    Unknown {
        /// The data directory.
        data: PathBuf,
    },
    /// The private folder is not one of this user alone.
    #[error("`{}` {reason}: piton does not use it", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// Something else has the name of a record.
    #[error("`{}` is not an ordinary file of this user: it {reason}", path.display())]
    NotARecord {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: &'static str,
    },
    /// A record is longer than any that piton writes.
    #[error("`{}` is longer than any record that piton writes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The owner of the data has a restore that was interrupted; root does not act on it.
    #[error("a restore by user {user} was interrupted: its journal is `{}`", journal.display())]
    OfAnother {
        /// The journal.
        journal: PathBuf,
        /// The user's number.
        user: u32,
    },
    /// A restore was interrupted, and its records are elsewhere.
    #[error("a restore of `{}` was interrupted, and its journal is in `{}`", data.display(), records.display())]
    Elsewhere {
        /// The data directory.
        data: PathBuf,
        /// The folder that has the journal.
        records: PathBuf,
        /// The mark in the data directory that says so.
        mark: PathBuf,
    },
    /// The folder with the staged files is not the one that the journal was written for.
    #[error("`{}` is not the folder that the interrupted restore has written to", path.display())]
    Replaced {
        /// The folder.
        path: PathBuf,
    },
}

impl RecordsError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Replaced { .. } => Kind::NotRestored,
            _ => Kind::Refused,
        }
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unsafe { path, fix, .. } => {
                format!("`{fix} {}`, or run piton as the user that owns the data", path.display())
            }
            Self::Unknown { .. } => "run piton as the user that owns the data".into(),
            Self::NotOurs { path, .. } | Self::NotARecord { path, .. } | Self::TooLong { path } => {
                let path = path.display();
                format!(
                    "see what it is (`ls -ld {path}`), and move it away (`mv {path} {path}.old`)"
                )
            }
            Self::OfAnother { user, .. } => {
                format!("let that user finish it: `sudo -u '#{user}' piton recover`")
            }
            Self::Elsewhere { records, mark, .. } => format!(
                "run `piton recover` as root with the `--backups` above `{}`; if that restore is not \
                 yours, remove `{}`",
                records.display(),
                mark.display()
            ),
            Self::Replaced { path } => format!(
                "move the folder that the restore has written to back to `{}` and run `piton recover`, \
                 or restore a backup from before it into a new data directory",
                path.display()
            ),
        })
    }
}
