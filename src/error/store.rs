//! Errors of the backups directory and of the archives in it.

use super::Kind;
use std::path::PathBuf;

/// A backup that cannot be found, read, trusted or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The text is not a backup id.
    #[error("`{text}` is not a backup id (they look like `20261120T131907Z-3f9a2c`)")]
    BadId {
        /// What was given.
        text: String,
    },
    /// The directory holds no backup at all.
    #[error("there is no backup in `{}`", store.display())]
    Empty {
        /// The backups directory.
        store: PathBuf,
    },
    /// No backup answers to the selector.
    #[error("no backup `{selector}` in `{}`", store.display())]
    NotFound {
        /// The id, prefix or word asked for.
        selector: String,
        /// The backups directory.
        store: PathBuf,
    },
    /// Several backups begin with the prefix.
    #[error("`{prefix}` is the beginning of several backups: {}", matches.join(", "))]
    Ambiguous {
        /// The prefix asked for.
        prefix: String,
        /// The ids that begin with it.
        matches: Vec<String>,
    },
    /// The archive or its manifest is not what was written.
    #[error("the backup `{}` is damaged: {reason}", archive.display())]
    Damaged {
        /// The archive or the manifest file.
        archive: PathBuf,
        /// What differs.
        reason: String,
    },
    /// The archive contains something that piton never writes.
    #[error("the archive `{}` is refused: {reason}", archive.display())]
    Hostile {
        /// The archive.
        archive: PathBuf,
        /// The entry and what is wrong with it.
        reason: String,
    },
    /// The backup was written by a newer piton.
    #[error("the backup `{}` has format {format}, and this piton reads up to {known}", archive.display())]
    NewerFormat {
        /// The archive or the manifest file.
        archive: PathBuf,
        /// The format that the manifest names.
        format: u32,
        /// The newest format this piton knows.
        known: u32,
    },
    /// There is not enough room, found out before anything was written.
    #[error("`{}` has {free} bytes free, and {needed} are needed", path.display())]
    NoSpace {
        /// Where it would be written.
        path: PathBuf,
        /// Bytes that may be written there.
        free: u64,
        /// Bytes needed, the reserve included.
        needed: u64,
    },
    /// Every user of the machine may write to the backups directory.
    #[error("the backups directory `{}` may be written to by every user", path.display())]
    Open {
        /// The backups directory.
        path: PathBuf,
    },
    /// Nothing that is compared answers to the filter.
    #[error("nothing on either side matches `{pattern}`")]
    NothingCompared {
        /// The filter.
        pattern: String,
    },
    /// A pattern of an include or exclude list is malformed.
    #[error("the pattern `{pattern}` is malformed: {reason}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it, and where.
        reason: String,
    },
}

impl StoreError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::BadId { .. }
            | Self::Empty { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::NothingCompared { .. }
            | Self::BadPattern { .. } => Kind::Usage,
            Self::Damaged { .. } | Self::Hostile { .. } => Kind::Damaged,
            Self::NewerFormat { .. } | Self::NoSpace { .. } | Self::Open { .. } => Kind::Refused,
        }
    }

    /// What to type next, for the causes that have one remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadId { .. } | Self::NotFound { .. } => {
                Some("`piton backups` lists what there is".into())
            }
            Self::Empty { .. } => {
                Some("take one with `piton backup`, or check `--backups`".into())
            }
            Self::Ambiguous { .. } => Some("type a few more characters of the id".into()),
            Self::Damaged { .. } | Self::Hostile { .. } => Some(
                "nothing was changed; `piton backups` lists the others, `piton verify ID` checks one"
                    .into(),
            ),
            Self::NewerFormat { .. } => Some("update piton on this machine".into()),
            Self::NoSpace { .. } => {
                Some("free some space (`piton prune --dry-run` shows what old backups hold), or name another disk with `--backups`".into())
            }
            Self::Open { path } => Some(format!("close it: `chmod go-w {}`", path.display())),
            Self::NothingCompared { .. } => {
                Some("`piton backups ID --json` lists the paths in a backup".into())
            }
            Self::BadPattern { .. } => Some("`*`, `?`, `[…]` and `**/` are what patterns know".into()),
        }
    }
}
