//! What the last run was: which backup it took, and how it ended.
//!
//! It is among the records, which no backup holds and no restore replaces: so `rollback`
//! knows which backup is meant when the ledger is damaged or the database gone, going back twice
//! goes back once, and a run that a crash cut off is noticed.

use super::Outcome;
use crate::{
    Kind, Result, disk,
    event::{Event, Observer},
    format, records,
    restore::Footprint,
    store::BackupId,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How the last run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It has not ended, or a crash cut it off.
    Open,
    /// It did what it was to do.
    Done,
    /// It failed, or was taken back: everything is as before it.
    AsBefore,
    /// It failed, and what it left could not be put right.
    Unsettled,
}

impl Ending {
    /// How a run with this outcome ended.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Problem(Kind::NotRestored) => Self::Unsettled,
            Outcome::Problem(_) => Self::AsBefore,
            _ => Self::Done,
        }
    }
}

/// How far a run has come that has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its backup is being taken: it has changed nothing.
    Preparing,
    /// It may have changed something.
    #[default]
    Running,
}

/// The newest format of the note.
const FORMAT: u32 = 1;

/// The last run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The format of the note.
    #[serde(default = "format::first")]
    pub format: u32,
    /// The backup that it took.
    pub backup: Option<BackupId>,
    /// When it began.
    pub started: DateTime<Utc>,
    /// How it ended.
    pub ending: Ending,
    /// How far it had come.
    #[serde(default)]
    pub stage: Stage,
    /// The backup from before the last run that went well, which may be an earlier one.
    #[serde(default)]
    pub last_done: Option<BackupId>,
    /// The run that was cut off and that this one goes on with: going back is to before both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<CutOff>,
    /// The files of the databases when it ended: what is another file by now may have been written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Footprint>,
}

/// A run that was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutOff {
    /// The backup that it took.
    pub backup: BackupId,
    /// When it began.
    pub started: DateTime<Utc>,
}

impl LastRun {
    /// Whether it began and has not ended; its process is gone where the caller holds the lock.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.ending == Ending::Open && self.stage == Stage::Running
    }

    /// A run that is about to take its backup, after another or as the first.
    #[must_use]
    pub fn prepared(started: DateTime<Utc>, before: Option<Self>) -> Self {
        Self { stage: Stage::Preparing, ..Self::begun(None, started, before) }
    }

    /// The run that took a backup, where nothing else is known of it: its note is lost.
    #[must_use]
    pub fn of_backup(backup: BackupId, taken: DateTime<Utc>) -> Self {
        Self { ending: Ending::Done, ..Self::begun(Some(backup), taken, None) }
    }

    /// A run that begins now, after another or as the first.
    #[must_use]
    pub fn begun(backup: Option<BackupId>, started: DateTime<Utc>, before: Option<Self>) -> Self {
        let cut_off = before.as_ref().filter(|run| run.is_cut_off());
        let continues = cut_off.and_then(|run| {
            let first = || Some(CutOff { backup: run.backup.clone()?, started: run.started });
            run.continues.clone().or_else(first)
        });
        let last_done = before.and_then(|run| match run.ending {
            Ending::Done => run.backup.or(run.last_done),
            _ => run.last_done,
        });
        let (ending, stage) = (Ending::Open, Stage::Running);
        Self { format: FORMAT, backup, started, ending, stage, last_done, continues, left: None }
    }

    /// The backup from before it, or from before the run that was cut off and that it goes on with.
    #[must_use]
    pub fn way_back(&self) -> Option<&BackupId> {
        self.continues.as_ref().map(|first| &first.backup).or(self.backup.as_ref())
    }

    /// When it began, or the run that it goes on with.
    #[must_use]
    pub fn since(&self) -> DateTime<Utc> {
        self.continues.as_ref().map_or(self.started, |first| first.started)
    }
}

const NAME: &str = "last-run.json";

/// Reads it; none where there was none, or where the file cannot be understood.
#[must_use]
pub fn read(data: &Path) -> Option<LastRun> {
    let path = records::folder(data).ok()?.join(NAME);
    serde_json::from_slice(&records::read(&path).ok()??).ok()
}

/// Refuses a note that a later piton wrote; one that is malformed says nothing.
///
/// # Errors
/// [`crate::Error::Newer`].
pub fn require_known(data: &Path) -> Result<()> {
    let Ok(path) = records::folder(data).map(|folder| folder.join(NAME)) else { return Ok(()) };
    let Ok(Some(json)) = records::read(&path) else { return Ok(()) };
    match format::parse::<LastRun>(&json, FORMAT, &path, crate::Error::Internal) {
        Err(newer @ crate::Error::Newer { .. }) => Err(newer),
        _ => Ok(()),
    }
}

/// Writes how a run ended. The run itself has ended: a note that cannot be written is said, and
/// makes no success a failure.
pub fn note(data: &Path, run: &LastRun, observer: &dyn Observer) {
    if let Err(error) = write(data, run) {
        let text = format!("how the run ended could not be noted: {error}");
        observer.event(Event::Warning { text });
    }
}

/// Makes the note what it was before a run that has not begun after all.
pub fn take_back(data: &Path, before: Option<&LastRun>, observer: &dyn Observer) {
    match before {
        Some(run) => note(data, run, observer),
        // Without a run before it there was no note.
        None => {
            if let Ok(folder) = records::folder(data) {
                drop(disk::remove_file("last-run-remove", &folder.join(NAME)));
            }
        }
    }
}

/// Writes it; the caller holds the lock.
///
/// # Errors
/// The system's, with the path.
pub fn write(data: &Path, run: &LastRun) -> Result<()> {
    let text = serde_json::to_vec_pretty(run)
        .map_err(|error| crate::Error::Internal(format!("cannot write JSON: {error}")))?;
    let path = records::make_folder(data)?.join(NAME);
    Ok(disk::write_atomic("last-run", &path, disk::PRIVATE_FILE, &text)?)
}
