//! Errors of a rehearsal.

use super::Kind;

/// A rehearsal that did what it must not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RehearsalError {
    /// The live data changed.
    #[error(
        "live data changed while it was rehearsed: {changes}{}",
        cause.as_ref().map(|cause| format!("; the rehearsal failed as well: {cause}")).unwrap_or_default()
    )]
    Reached {
        /// What changed.
        changes: String,
        /// How it failed besides, if it did.
        cause: Option<String>,
    },
}

impl RehearsalError {
    /// The class of this error.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::NotRestored
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("`piton backups` shows the backup from before it; `piton diff ID` shows what is different since".into())
    }
}
