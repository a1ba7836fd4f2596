//! `[backup] every`: how old the newest backup may be, and whether it is older.
//!
//! A backup of unchanged data refers to an earlier one, so the time of the newest says little: a note beside
//! the backups says when one was last taken or found to be needless.

use super::Project;
use crate::{
    Error, Result, disk,
    event::{Event, Observer},
    format,
    store::{BackupId, Catalog, LAST_BACKUP_NAME, Reason, is_in_future},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::{io::Read as _, path::PathBuf};

/// The newest format of the note.
const FORMAT: u32 = 1;
/// The longest note that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// The last backup.
#[derive(Serialize, Deserialize)]
struct Note {
    #[serde(default = "format::first")]
    format: u32,
    backup: BackupId,
    at: DateTime<Utc>,
}

/// A promise that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Overdue {
    /// What was promised, in seconds.
    pub every_seconds: i64,
    /// When a backup was last taken; nothing where there is none.
    pub last: Option<DateTime<Utc>>,
    /// How long ago that is, in seconds.
    pub age_seconds: Option<i64>,
}

impl Project {
    /// Notes that a backup was taken now, or would have had the same content as this one, where any is
    /// promised.
    pub(super) fn note_backup(&self, backup: &BackupId, observer: &dyn Observer) {
        if self.config.backup_every.is_none() {
            return;
        }
        let at = (self.world.clock)();
        let note = Note { format: FORMAT, backup: backup.clone(), at };
        let written = serde_json::to_vec_pretty(&note)
            .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))
            .and_then(|json| {
                let path = self.last_backup_path();
                Ok(disk::write_atomic("last-backup", &path, disk::PRIVATE_FILE, &json)?)
            });
        if let Err(error) = written {
            let text = format!("when the backup was taken could not be noted: {error}");
            observer.event(Event::Warning { text });
        }
    }

    /// Whether the newest backup is older than promised; nothing where nothing is promised. A quarter
    /// more is allowed, for a timer that waits and a backup that takes its time.
    pub(super) fn overdue(&self, catalog: &Catalog) -> Option<Overdue> {
        let every = TimeDelta::from_std(self.config.backup_every?).ok()?;
        let now = (self.world.clock)();
        let regular = catalog.backups.iter().filter(|it| it.manifest.reason != Reason::Safety);
        let times = regular.map(|it| it.manifest.created).chain(self.last_backup());
        let last = times.filter(|time| !is_in_future(*time, now)).max();
        let age = last.map(|last| now - last);
        let is_kept = age.is_some_and(|age| age <= every + every / 4);
        (!is_kept).then(|| Overdue {
            every_seconds: every.num_seconds(),
            last,
            age_seconds: age.map(|age| age.num_seconds()),
        })
    }

    /// When a backup was last taken, by the note; what cannot be read says nothing.
    fn last_backup(&self) -> Option<DateTime<Utc>> {
        let path = self.last_backup_path();
        let read = || -> Result<Note> {
            let mut json = Vec::new();
            let mut file = disk::open_to_read(&path)?.take(LONGEST);
            file.read_to_end(&mut json).map_err(disk::failed("read", &path))?;
            format::parse(&json, FORMAT, &path, Error::Internal)
        };
        // Of a backup that is gone, it says nothing about those that are there.
        let note = read().ok()?;
        disk::exists(&self.store().archive_path(&note.backup)).ok()?.then_some(note.at)
    }

    fn last_backup_path(&self) -> PathBuf {
        self.config.backups.join(LAST_BACKUP_NAME)
    }
}
