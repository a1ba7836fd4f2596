//! How a deploy ends, as a word and an exit code of its own.

use crate::Kind;
use serde::{Deserialize, Serialize};

/// How a deploy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The new release runs and is healthy.
    Deployed,
    /// Nothing was pending, and no restart was asked for.
    NothingToDo,
    /// Refused, or failed, before the service was touched.
    Refused,
    /// The old state runs and is healthy.
    RolledBack,
    /// The old state is back, and the service is not healthy.
    RolledBackUnhealthy,
    /// The old state could not be brought back.
    RollbackFailed,
    /// It was given up before the service was touched.
    Interrupted,
}

impl Ending {
    /// The class, for exit code and JSON; nothing where all went well.
    #[must_use]
    pub const fn kind(self) -> Option<Kind> {
        match self {
            Self::Deployed | Self::NothingToDo => None,
            Self::Refused => Some(Kind::Refused),
            Self::RolledBack => Some(Kind::RolledBack),
            Self::RolledBackUnhealthy => Some(Kind::RolledBackUnhealthy),
            Self::RollbackFailed => Some(Kind::RollbackFailed),
            Self::Interrupted => Some(Kind::Interrupted),
        }
    }
}
