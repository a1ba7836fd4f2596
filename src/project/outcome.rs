//! How a command ended, as a word and an exit code.

use crate::Kind;
use serde::{Serialize, Serializer};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Done,
    /// Nothing needed doing.
    NothingToDo,
    /// There is something to do; only where it was asked for.
    Pending,
    /// It went wrong.
    Problem(Kind),
}

impl Outcome {
    /// The documented exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Done | Self::NothingToDo => 0,
            Self::Pending => 3,
            Self::Problem(kind) => kind.exit_code(),
        }
    }

    /// The word in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NothingToDo => "nothing-to-do",
            Self::Pending => "pending",
            Self::Problem(kind) => kind.outcome(),
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}
