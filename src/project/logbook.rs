//! What happened beyond the ledgers, beside the backups: runs that failed or were interrupted, restores,
//! rollbacks, undos and deploys. Who, when, what, why, and which backup.
//!
//! One line of JSON for each, newest last. Nothing is decided by it: an entry that cannot be written is
//! said, and changes no outcome.

use super::{Outcome, Project, UpReport};
use crate::{
    Error, Kind, Result, disk,
    event::{Event, Observer},
    format,
    store::{BackupId, LOGBOOK_NAME},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{io::Read, path::PathBuf};

/// The newest format of an entry.
const FORMAT: u32 = 1;
/// So many entries are kept.
const KEPT: usize = 1000;
/// The longest file that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// One thing that happened. The JSON form is a documented contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The format of the entry.
    #[serde(default = "format::first")]
    pub format: u32,
    /// `up`, `run`, `restore`, `rollback`, `undo` or `deploy`.
    pub command: String,
    /// How it ended, as the word of `outcome`.
    pub outcome: String,
    /// The exit code; of a run that was killed that of `interrupted`.
    pub exit_code: u8,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it ended, or when its end was noticed.
    pub ended: DateTime<Utc>,
    /// The number of the user.
    pub user: u32,
    /// The host.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// What was typed.
    pub typed: String,
    /// What it was about: a backup that was restored, a script, a deploy.
    pub about: Option<String>,
    /// The backup of the state before it.
    pub backup: Option<BackupId>,
    /// Why it ended so, if not well.
    pub reason: Option<String>,
    /// The file with the whole log, if there is one.
    pub log: Option<PathBuf>,
}

/// What is noted about a piece of work; the rest the project knows.
pub(super) struct Note<'a> {
    pub(super) command: &'a str,
    pub(super) started: DateTime<Utc>,
    pub(super) outcome: Outcome,
    pub(super) about: Option<String>,
    pub(super) backup: Option<&'a BackupId>,
    pub(super) reason: Option<String>,
    pub(super) log: Option<PathBuf>,
}

impl LogEntry {
    /// Whether it ended well.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.exit_code == 0
    }
}

/// Whether something was begun: what was refused touched nothing and is not noted.
pub(super) const fn is_worth_noting(kind: Kind) -> bool {
    !matches!(kind, Kind::Usage | Kind::Refused | Kind::Locked | Kind::InUse)
}

impl Project {
    /// What happened, oldest first. A line that cannot be understood is left out.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn logbook(&self) -> Result<Vec<LogEntry>> {
        let path = self.logbook_path();
        let lines = self.lines()?;
        let parse =
            |line: &String| format::parse(line.as_bytes(), FORMAT, &path, Error::Internal).ok();
        Ok(lines.iter().filter_map(parse).collect())
    }

    /// Notes that something ended.
    pub(super) fn log(&self, note: Note<'_>, observer: &dyn Observer) {
        let holder = &self.world.holder;
        let entry = LogEntry {
            format: FORMAT,
            command: note.command.into(),
            outcome: note.outcome.word().into(),
            exit_code: note.outcome.exit_code(),
            started: note.started,
            ended: (self.world.clock)(),
            user: rustix::process::getuid().as_raw(),
            host: holder.host.clone(),
            pid: holder.pid,
            typed: holder.command.clone(),
            about: note.about,
            backup: note.backup.cloned(),
            reason: note.reason,
            log: note.log,
        };
        if let Err(error) = self.add(&entry) {
            let text = format!("what happened could not be noted beside the backups: {error}");
            observer.event(Event::Warning { text });
        }
    }

    /// Notes a run that did not end well; one that did is in the ledgers.
    pub(super) fn log_run(
        &self,
        started: DateTime<Utc>,
        result: &Result<UpReport>,
        observer: &dyn Observer,
    ) {
        let (kind, reason, backup) = match result {
            Ok(report) => {
                let Outcome::Problem(kind) = report.outcome else { return };
                let failures = report.databases.iter().filter_map(|it| it.failure.as_ref());
                let reason = failures.map(|(error, _)| error).chain(&report.restore_failure);
                let reason: Vec<String> = reason.map(ToString::to_string).collect();
                (kind, reason.join("; "), report.backup.as_ref())
            }
            Err(error) => (error.kind(), error.to_string(), None),
        };
        if is_worth_noting(kind) {
            let outcome = Outcome::Problem(kind);
            let (reason, about, log) = (Some(reason), None, None);
            let note = Note { command: "up", started, outcome, about, backup, reason, log };
            self.log(note, observer);
        }
    }

    /// Notes what replaced the live data, or failed to.
    pub(super) fn log_restore(
        &self,
        command: &str,
        (started, backup): (DateTime<Utc>, &BackupId),
        result: Result<Option<&BackupId>, &Error>,
        observer: &dyn Observer,
    ) {
        let (outcome, before, reason) = match result {
            Ok(safety) => (Outcome::Done, safety, None),
            Err(error) if !is_worth_noting(error.kind()) => return,
            Err(error) => (Outcome::Problem(error.kind()), None, Some(error.to_string())),
        };
        let (about, log) = (Some(backup.to_string()), None);
        self.log(Note { command, started, outcome, about, backup: before, reason, log }, observer);
    }

    fn logbook_path(&self) -> PathBuf {
        self.config.backups.join(LOGBOOK_NAME)
    }

    fn lines(&self) -> Result<Vec<String>> {
        let path = self.logbook_path();
        if disk::find(&path)?.is_none_or(|found| !found.is_file()) {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        let mut file = disk::open_to_read(&path)?.take(LONGEST);
        file.read_to_end(&mut bytes).map_err(disk::failed("read", &path))?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().map(String::from).collect())
    }

    /// The whole file is written again, so that a crash leaves the one before or the new one.
    fn add(&self, entry: &LogEntry) -> Result<()> {
        let mut lines = self.lines()?;
        let line = serde_json::to_string(entry)
            .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
        lines.push(line);
        let first = lines.len().saturating_sub(KEPT);
        let text = lines.split_off(first).join("\n") + "\n";
        if !disk::exists(&self.config.backups)? {
            disk::create_private_folders("logbook-folder", &self.config.backups)?;
        }
        let path = self.logbook_path();
        Ok(disk::write_atomic("logbook", &path, disk::PRIVATE_FILE, text.as_bytes())?)
    }
}
