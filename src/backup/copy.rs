//! Copying a pinned database into a file of its own, equal byte for byte for equal content.

use super::cut::Pinned;
use crate::{
    Error, Result,
    database::{self, Access, failed},
    disk,
};
use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use std::{path::Path, thread, time::Duration};

/// Offsets of the change counter and of the counter for which the version was valid, both 4 bytes
/// (SQLite file format, 1.3.7 and 1.3.19). They must stay equal to each other.
pub(super) const COUNTERS: [u64; 2] = [24, 92];

/// Copies all pages in one step: in several, a steady writer could make it begin again and again.
///
/// # Errors
/// [`crate::error::DatabaseError`], with the path of the database.
pub(super) fn copy(pinned: &Pinned, target: &Path) -> Result<()> {
    copy_connection(&pinned.connection, &pinned.absolute, target)
}

/// Copies what a connection in a read transaction sees, as [`copy`] does.
///
/// # Errors
/// [`crate::error::DatabaseError`], with the path of the database.
pub(crate) fn copy_connection(source: &Connection, shown: &Path, target: &Path) -> Result<()> {
    let reading = || failed("copy", shown);
    {
        let mut copy = database::open(target, Access::Create, Duration::ZERO)?;
        // The copy is worth nothing until it is archived: neither journal nor sync.
        copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
            .map_err(failed("prepare the copy", target))?;
        let backup = Backup::new(source, &mut copy).map_err(reading())?;
        let mut attempts = 0;
        loop {
            match backup.step(-1).map_err(reading())? {
                StepResult::Done => break,
                _ if attempts < 1000 => {
                    attempts += 1;
                    thread::sleep(Duration::from_millis(2));
                }
                _ => {
                    let path = shown.display();
                    return Err(Error::Internal(format!("copying `{path}` makes no progress")));
                }
            }
        }
    }
    // The counter tells a process that its cached pages are old. Nobody has cached this file.
    let found = std::fs::metadata(target).map_err(disk::failed("read", target))?;
    if found.len() > 0 {
        for offset in COUNTERS {
            disk::write_at("copy-counter", target, offset, &1_u32.to_be_bytes())?;
        }
    }
    Ok(())
}
