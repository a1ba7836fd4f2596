//! Live databases with a log that a crash has left, kept as they are beside what SQLite makes of
//! them.
//!
//! Opening a database replays whatever log lies beside it, also one that belongs to another, and
//! nothing can tell whether that is so. So the very files are copied before any of them is opened.

use super::{
    is_absent,
    journal::Area,
    moves::{parent, sync_up_to},
};
use crate::{
    Result,
    backup::{self, scan},
    database::{self, Access, SIDE_SUFFIXES, side_file},
    disk,
    store::{self, Bare, StoredPath, dress},
};
use std::{path::Path, time::Duration};

/// The first bytes of a rollback journal that has not been played back (SQLite file format, 3).
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// What a crash has left beside a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// A write-ahead log with content.
    Log,
    /// A rollback journal that the next one who opens the database plays back.
    Journal,
}

/// What lies beside a database that nobody has open.
///
/// # Errors
/// The system's, with the path.
pub(super) fn left(main: &Path) -> Result<Left> {
    let [log, _, journal] = SIDE_SUFFIXES.map(|suffix| side_file(main, suffix));
    if is_to_play_back(&journal)? {
        return Ok(Left::Journal);
    }
    match disk::find(&log)? {
        Some(found) if found.len() > 0 => Ok(Left::Log),
        _ => Ok(Left::Nothing),
    }
}

/// Whether a journal is one that has not been played back, and not what is left of one.
///
/// # Errors
/// The system's, with the path.
pub(super) fn is_to_play_back(journal: &Path) -> Result<bool> {
    let mut head = [0; 8];
    let read = disk::open_to_read(journal).and_then(|file| {
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut head, 0)
            .map_err(disk::failed("read", journal))
    });
    match read {
        Ok(()) => Ok(head == JOURNAL_MAGIC),
        // Absent, or too short to be one.
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) if error.source.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Copies a database and the logs that were left beside it, before anything opens them; tells
/// whether there was any log.
///
/// # Errors
/// The system's, with the path.
pub(super) fn keep(area: &Area, path: &StoredPath) -> Result<Left> {
    let _inside = disk::stay_inside(&area.data)?;
    let main = path.below(&area.data);
    let is_file = disk::find(&main)?.is_some_and(|found| found.is_file());
    if !is_file || !database::sniff(&main)? {
        return Ok(Left::Nothing);
    }
    let left = left(&main)?;
    if left == Left::Nothing {
        return Ok(left);
    }
    let copy = path.below(&area.raw());
    disk::create_private_folders("raw-folder", copy.parent().unwrap_or(&copy))?;
    copy_pair("raw-copy", &main, &copy)?;
    // Before the journal, which counts on them.
    sync_up_to("raw-sync", &area.private, [parent(&copy)].into())?;
    Ok(left)
}

/// Copies a database with the logs beside it, durable but for the names.
///
/// # Errors
/// The system's, with the path.
pub(super) fn copy_pair(point: &'static str, main: &Path, copy: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-journal"] {
        let (from, to) = (side_file(main, suffix), side_file(copy, suffix));
        match disk::find(&from)? {
            Some(found) if found.is_file() => {
                let file = disk::copy_file(point, &from, &to)?;
                dress(&to, &backup::dressed(&scan::Found::from(&found), &from)?, Bare::File)?;
                disk::sync_file(point, &to, &file)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is wrong with a database now that its log was folded into it.
pub(super) fn damage(main: &Path) -> Option<String> {
    let checked = database::open(main, Access::Read, Duration::ZERO)
        .and_then(|connection| store::check_quickly(&connection, main));
    checked.err().map(|error| error.to_string())
}
