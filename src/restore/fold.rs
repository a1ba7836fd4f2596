//! Folding the logs of a live database into it, so that none lies there when a new one comes.
//!
//! A write-ahead log beside a database that it does not belong to is replayed into it, and
//! `integrity_check` says ok. So the logs go before the swap, never after it.

use super::holders;
use crate::{
    Result,
    database::{self, Folded},
    error::DatabaseError,
};
use std::path::Path;

/// Folds the log, rolls back a hot journal, and makes sure that nobody else has it open. Gives why it
/// cannot be opened, where that is so: it is kept as it is then, with whatever lies beside it.
///
/// # Errors
/// [`crate::error::RestoreError::HeldUnseen`] where somebody has; [`DatabaseError`] where it cannot be written.
pub(crate) fn fold(path: &Path, shown: &Path) -> Result<Option<DatabaseError>> {
    match database::fold(path)? {
        Folded::Whole => Ok(None),
        Folded::Held => Err(holders::locked(path, shown).into()),
        Folded::Raw(error) => Ok(Some(error)),
    }
}
