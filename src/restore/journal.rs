//! The journal of a restore: every action, written down before the first one is carried out.
//!
//! It is also the record by which a restore is undone: when all is done it is renamed into the undo
//! area, and that rename is what ends the restore.

use crate::{
    Result, disk,
    error::{RecordsError, RestoreError},
    format, records,
    store::{Access, Attributes, BackupId, StoredPath},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fmt,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The newest format; see `docs/formats.md`.
const FORMAT: u32 = 1;

/// What a restore does, and which way it is going.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Journal {
    #[serde(default = "format::first")]
    pub(crate) format: u32,
    /// Names the undo area.
    pub(crate) id: BackupId,
    /// The backup that is put back, or whose restore is undone.
    pub(crate) backup: BackupId,
    /// The backup of the state before, where one could be taken.
    pub(crate) safety: Option<BackupId>,
    pub(crate) direction: Direction,
    /// Where the new files wait.
    pub(crate) staged: Staged,
    /// Which folders it was written for, where its records are not beside its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ground: Option<Ground>,
    /// Databases of which the undo area gets the files as they were found, not as SQLite left them
    /// after it folded their logs.
    #[serde(default)]
    pub(crate) raw: Vec<StoredPath>,
    /// Databases that come, or are kept, with a log beside them, and of which there is a single
    /// file with the log folded into it.
    #[serde(default)]
    pub(crate) folded: Vec<StoredPath>,
    /// The patterns that the restore is limited to.
    #[serde(default)]
    pub(crate) only: Vec<String>,
    /// Databases among the files that cannot be read: nobody may have one open that changes.
    #[serde(default)]
    pub(crate) opaque: Vec<StoredPath>,
    /// The backup whose restore it undoes, where it is an undo.
    #[serde(default)]
    pub(crate) undoes: Option<BackupId>,
    /// Databases that were restored while open; there are no old files of them.
    pub(crate) hot: Vec<StoredPath>,
    pub(crate) actions: Vec<Action>,
    /// Mode and owner of the data directory itself, where they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data_directory: Option<AccessChange>,
}

/// What a folder had, and what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessChange {
    /// What it has now.
    pub before: Access,
    /// What it gets.
    pub after: Access,
}

/// Where the new files of a restore wait: one of two places in the private folder, whatever a journal
/// says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Staged {
    /// Where backups are unpacked.
    Staging,
    /// What an earlier restore has replaced.
    Undo(BackupId),
}

impl TryFrom<String> for Staged {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let id = text.strip_prefix("undo/").and_then(|rest| rest.strip_suffix("/tree"));
        match (text.as_str(), id.map(str::parse)) {
            ("staging", _) => Ok(Self::Staging),
            (_, Some(Ok(id))) => Ok(Self::Undo(id)),
            _ => Err(format!("`{text}` is not a place where files are staged")),
        }
    }
}

impl From<Staged> for String {
    fn from(staged: Staged) -> Self {
        staged.to_string()
    }
}

impl fmt::Display for Staged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Staging => formatter.write_str("staging"),
            Self::Undo(id) => write!(formatter, "undo/{id}/tree"),
        }
    }
}

/// The folders that a journal was written for, by inode. The number of a device is another one
/// after a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ground {
    private: u64,
    staged: u64,
}

/// Which way an interrupted restore goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the state of the backup.
    Forward,
    /// To the state before.
    Back,
}

impl Direction {
    /// The word for it in events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Back => "back",
        }
    }
}

/// One change of the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub(crate) enum Action {
    /// The live entry goes to the undo area, a database with its logs.
    Displace { path: StoredPath, what: What },
    /// The folder goes, if it is empty by then.
    RemoveFolder { path: StoredPath, attributes: Attributes },
    /// The folder comes.
    MakeFolder { path: StoredPath, attributes: Attributes },
    /// The staged entry takes the place of the live one, which stays in the undo area.
    Place { path: StoredPath, what: What },
    /// The folder stays and gets other attributes.
    DressFolder { path: StoredPath, before: Attributes, after: Attributes },
}

/// Whether logs belong to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// A database: its logs go and come with it.
    Database,
    /// An ordinary file or a link.
    File,
}

impl Action {
    /// The file, link or database that it is about; folders are none.
    pub(crate) fn entry(&self) -> Option<&StoredPath> {
        match self {
            Self::Place { path, .. } | Self::Displace { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The path that it is about.
    pub(crate) fn path(&self) -> &StoredPath {
        match self {
            Self::Place { path, .. }
            | Self::Displace { path, .. }
            | Self::MakeFolder { path, .. }
            | Self::RemoveFolder { path, .. }
            | Self::DressFolder { path, .. } => path,
        }
    }

    /// What it puts in place.
    pub(crate) fn placed(&self) -> Option<&StoredPath> {
        match self {
            Self::Place { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The folder in which it changes a name.
    pub(crate) fn parent(&self) -> Option<StoredPath> {
        match self {
            Self::Place { path, .. }
            | Self::Displace { path, .. }
            | Self::MakeFolder { path, .. }
            | Self::RemoveFolder { path, .. } => path.parent(),
            Self::DressFolder { .. } => None,
        }
    }

    /// What puts the data back; `kept` tells whether the undo area has an old file of that path.
    pub(crate) fn reversed(&self, kept: impl Fn(&StoredPath) -> bool) -> Self {
        match self.clone() {
            Self::Displace { path, what } => Self::Place { path, what },
            Self::RemoveFolder { path, attributes } => Self::MakeFolder { path, attributes },
            Self::MakeFolder { path, attributes } => Self::RemoveFolder { path, attributes },
            Self::Place { path, what } if kept(&path) => Self::Place { path, what },
            Self::Place { path, what } => Self::Displace { path, what },
            Self::DressFolder { path, before, after } => {
                Self::DressFolder { path, before: after, after: before }
            }
        }
    }
}

impl Journal {
    /// A journal for a restore that begins.
    pub(crate) fn new(id: BackupId, backup: BackupId, staged: Staged) -> Self {
        Self {
            format: FORMAT,
            id,
            backup,
            safety: None,
            direction: Direction::Forward,
            staged,
            ground: None,
            raw: Vec::new(),
            folded: Vec::new(),
            only: Vec::new(),
            opaque: Vec::new(),
            undoes: None,
            hot: Vec::new(),
            actions: Vec::new(),
            data_directory: None,
        }
    }

    /// The databases that nobody may have open, readable or not.
    pub(crate) fn guarded(&self) -> impl Iterator<Item = &StoredPath> {
        self.databases().chain(&self.opaque)
    }

    /// The databases that an action replaces or moves.
    pub(crate) fn databases(&self) -> impl Iterator<Item = &StoredPath> {
        self.actions.iter().filter_map(|action| match action {
            Action::Place { path, what: What::Database }
            | Action::Displace { path, what: What::Database } => Some(path),
            _ => None,
        })
    }
}

/// What a restore keeps: its files in the private folder of the data directory, and its records.
#[derive(Clone, Debug)]
pub(crate) struct Area {
    pub(crate) data: PathBuf,
    pub(crate) private: PathBuf,
    /// Where the journal and the records are, which decide what is done.
    pub(crate) records: PathBuf,
}

impl Area {
    /// Finds the folders; nothing is created.
    ///
    /// # Errors
    /// [`crate::error::RecordsError`] where they would not be safe.
    pub(crate) fn new(data: &Path) -> Result<Self> {
        let (private, records) = (records::private(data)?, records::folder(data)?);
        Ok(Self { data: data.into(), private, records })
    }

    /// Makes the folders, durable.
    ///
    /// # Errors
    /// Those of [`Self::new`]; the system's, with the path.
    pub(crate) fn make(&self) -> Result<()> {
        records::make_private(&self.data)?;
        records::make_folder(&self.data).map(drop)
    }

    /// Where the new files of a journal wait.
    pub(crate) fn staged(&self, journal: &Journal) -> PathBuf {
        match &journal.staged {
            Staged::Staging => self.staging(),
            Staged::Undo(id) => self.undo_tree(id),
        }
    }

    /// The folders as they are now; nothing where they need not be known again, because the journal
    /// is in one of them.
    pub(crate) fn ground(&self, journal: &Journal) -> Result<Option<Ground>> {
        if self.records == self.private {
            return Ok(None);
        }
        let inode =
            |path: &Path| -> Result<u64> { Ok(disk::find(path)?.map_or(0, |found| found.ino())) };
        let (private, staged) = (inode(&self.private)?, inode(&self.staged(journal))?);
        Ok(Some(Ground { private, staged }))
    }

    /// Refuses where the files of an interrupted restore are not those that it has written. What was
    /// swept away by then is no other one.
    fn require_ground(&self, journal: &Journal) -> Result<()> {
        let (Some(then), Some(now)) = (journal.ground, self.ground(journal)?) else {
            return Ok(());
        };
        let replaced = |path| Err(RecordsError::Replaced { path }.into());
        if then.private != now.private {
            return replaced(self.private.clone());
        }
        match now.staged == 0 || then.staged == now.staged {
            true => Ok(()),
            false => replaced(self.staged(journal)),
        }
    }

    /// Where backups are unpacked.
    pub(crate) fn staging(&self) -> PathBuf {
        self.private.join("staging")
    }

    /// Where copies lie for as long as it takes to read them.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.private.join("scratch")
    }

    /// Where databases are kept as they were found, until they go to the undo area.
    pub(crate) fn raw(&self) -> PathBuf {
        self.private.join("raw")
    }

    /// What belongs to databases that come or go with a log.
    pub(super) fn folded(&self) -> PathBuf {
        self.private.join("folded")
    }

    /// The single files of these databases, under the names that they have.
    pub(super) fn singles(&self) -> PathBuf {
        self.folded().join("tree")
    }

    /// The second name of a file that is about to be put in place.
    pub(super) fn next(&self) -> PathBuf {
        self.folded().join("next")
    }

    /// What one restore has replaced.
    pub(crate) fn undo(&self, id: &BackupId) -> PathBuf {
        self.private.join("undo").join(id.as_str())
    }

    /// The replaced files, under the names they had.
    pub(crate) fn undo_tree(&self, id: &BackupId) -> PathBuf {
        self.undo(id).join("tree")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.records.join(records::JOURNAL)
    }

    /// The folder of the record of a restore.
    pub(super) fn record_folder(&self, id: &BackupId) -> PathBuf {
        self.records.join("undo").join(id.as_str())
    }

    fn record(&self, id: &BackupId) -> PathBuf {
        self.record_folder(id).join("record.json")
    }

    /// The journal of a restore that has not ended.
    ///
    /// # Errors
    /// [`RestoreError::BadJournal`]; the system's, with the path.
    pub(crate) fn read_journal(&self) -> Result<Option<Journal>> {
        let journal =
            read(&self.journal(), |path, reason| RestoreError::BadJournal { path, reason })?;
        journal.iter().try_for_each(|journal| self.require_ground(journal))?;
        Ok(journal)
    }

    /// Makes the journal durable; from here on the restore is carried out, whatever happens.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(crate) fn write_journal(&self, journal: &Journal) -> Result<()> {
        let path = self.journal();
        let json = serde_json::to_vec_pretty(journal)
            .map_err(|error| crate::Error::Internal(format!("cannot write JSON: {error}")))?;
        Ok(disk::write_atomic("journal-write", &path, disk::PRIVATE_FILE, &json)?)
    }

    /// Ends a restore that went forward: its journal becomes the record of the undo area.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(crate) fn end_forward(&self, journal: &Journal) -> Result<()> {
        disk::rename("journal-end", &self.journal(), &self.record(&journal.id))?;
        disk::sync_folder("record-sync", &self.record_folder(&journal.id))?;
        disk::sync_folder("journal-end-sync", &self.records)?;
        records::unmark_restore(&self.data)?;
        // By its new owner, the records may belong elsewhere.
        match journal.data_directory {
            Some(_) => records::take_over(&self.data),
            None => Ok(()),
        }
    }

    /// Ends a restore that went back.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(crate) fn end_back(&self) -> Result<()> {
        disk::remove_file("journal-remove", &self.journal())?;
        disk::sync_folder("journal-remove-sync", &self.records)?;
        records::unmark_restore(&self.data)
    }

    /// The record of a restore that ended; none where its undo area is only half made or removed.
    ///
    /// # Errors
    /// [`RestoreError::BadRecord`]; the system's, with the path.
    pub(crate) fn read_record(&self, id: &BackupId) -> Result<Option<Journal>> {
        let bad = |path, reason| RestoreError::BadRecord { path, reason };
        read(&self.record(id), bad)
    }

    /// The record of the last restore that ended.
    ///
    /// # Errors
    /// [`RestoreError::BadRecord`]; the system's, with the path.
    pub(crate) fn last_record(&self) -> Result<Option<Journal>> {
        for id in self.undo_areas()? {
            if let Some(record) = self.read_record(&id)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// An id for a restore that begins: behind those of all that ended, also within one second or
    /// where the clock was set back. Their order says which was the last.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn new_id(&self, now: DateTime<Utc>, random: [u8; 3]) -> Result<BackupId> {
        let id = BackupId::new(now, random);
        Ok(match self.undo_areas()?.into_iter().next() {
            Some(last) if id <= last => BackupId::new(last.taken() + TimeDelta::seconds(1), random),
            _ => id,
        })
    }

    /// The undo areas, newest first, also those without a record.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(crate) fn undo_areas(&self) -> Result<Vec<BackupId>> {
        let mut ids = BTreeSet::new();
        for folder in [&self.private, &self.records].map(|folder| folder.join("undo")) {
            for entry in disk::entries(&folder)?.unwrap_or_default() {
                let name = entry.to_str().and_then(|name| name.parse::<BackupId>().ok());
                ids.extend(name);
            }
        }
        Ok(ids.into_iter().rev().collect())
    }
}

fn read(path: &Path, bad: fn(PathBuf, String) -> RestoreError) -> Result<Option<Journal>> {
    let bad = |reason: String| bad(path.into(), reason);
    match records::read(path)? {
        None => Ok(None),
        Some(json) => format::parse(&json, FORMAT, path, |reason| bad(reason).into()).map(Some),
    }
}
