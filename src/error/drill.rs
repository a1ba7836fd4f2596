//! Errors of a drill that could not start.

use super::{Kind, bytes};
use std::path::PathBuf;

/// A drill that could not start; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrillError {
    /// Another one is under way.
    #[error("another drill works in `{}`", folder.display())]
    Another {
        /// Where.
        folder: PathBuf,
    },
    /// What is unpacked there would be in the next backup.
    #[error("`{}` is inside the data directory", folder.display())]
    InData {
        /// The folder.
        folder: PathBuf,
    },
    /// There is too little room to unpack the backup.
    #[error(
        "`{}` has {} free, and unpacking the backup needs {}",
        path.display(), bytes(*free), bytes(*needed)
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
}

impl DrillError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Another { .. } => Kind::Locked,
            Self::InData { .. } => Kind::Usage,
            Self::NoRoom { .. } => Kind::Refused,
        }
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Another { .. } => "wait for it to end, then run `piton drill` again".into(),
            Self::InData { .. } => "name another `folder` under `[drill]`, or none".into(),
            Self::NoRoom { .. } => {
                "free so much there, or name a folder with more room as `folder` under `[drill]`"
                    .into()
            }
        })
    }
}
