//! The effect of a statement: the facts that introspection shows to differ before and after it.

use crate::schema::{Change, Schema, diff};
use std::fmt;

/// Facts added, removed and changed by one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// The facts, in the order of their objects and parts.
    pub changes: Vec<Change>,
}

impl Effect {
    /// The effect that leads from one schema to another.
    #[must_use]
    pub fn between(before: &Schema, after: &Schema) -> Self {
        Self { changes: diff(before, after) }
    }

    /// Whether the statement left the schema as it was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, change) in self.changes.iter().enumerate() {
            if at > 0 {
                formatter.write_str("\n")?;
            }
            change.fmt(formatter)?;
        }
        Ok(())
    }
}
