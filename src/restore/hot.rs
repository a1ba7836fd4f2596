//! Restoring into a database that a service has open, through SQLite's own backup interface.
//!
//! It is atomic for each database and not over several; there is nothing to undo it with but the
//! safety backup.

use super::{
    Request,
    journal::{Area, Journal},
};
use crate::{
    Error, Result,
    database::{self, Access, failed},
    error::RestoreError,
    store,
};
use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use std::{path::Path, thread, time::Duration};

/// How often a database that is being read or written is tried again, and how long between.
const ATTEMPTS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(10);

/// Restores all open databases of a journal, one after the other.
///
/// # Errors
/// Those of the first; [`RestoreError::HalfHot`] where others have their new content by then.
pub(super) fn restore_all(request: &Request<'_>, area: &Area, journal: &Journal) -> Result<()> {
    for (done, path) in journal.hot.iter().enumerate() {
        let (staged, live) = (path.below(&area.staging()), path.below(request.data));
        restore(&staged, &live, path.as_path()).map_err(|error| match done {
            0 => error,
            // The open databases before this one have their new content, and no old files.
            _ => half_done(journal, &error),
        })?;
    }
    Ok(())
}

/// What is said where the open databases have their new content and the rest failed.
pub(super) fn half_done(journal: &Journal, cause: &Error) -> Error {
    let cause = cause.to_string();
    let safety = journal.safety.as_ref().map(ToString::to_string);
    RestoreError::HalfHot { cause, safety }.into()
}

/// Writes the staged content into the live database, in one transaction.
///
/// # Errors
/// [`RestoreError::PageSize`]; [`RestoreError::HeldUnseen`] where the database stays locked.
fn restore(staged: &Path, live: &Path, shown: &Path) -> Result<()> {
    let source = store::open_copy(staged)?;
    let mut target = database::open(live, Access::Write, Duration::ZERO)?;
    let page_size = |connection: &Connection| {
        connection.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))
    };
    let backup = page_size(&source).map_err(failed("read the page size of", staged))?;
    let found = page_size(&target).map_err(failed("read the page size of", live))?;
    if found != backup {
        return Err(RestoreError::PageSize { database: shown.into(), live: found, backup }.into());
    }
    let copying = Backup::new(&source, &mut target).map_err(failed("restore into", live))?;
    for _ in 0..ATTEMPTS {
        match copying.step(-1).map_err(failed("restore into", live))? {
            StepResult::Done => return Ok(()),
            _ => thread::sleep(PAUSE),
        }
    }
    Err(RestoreError::HeldUnseen { database: shown.into() }.into())
}
