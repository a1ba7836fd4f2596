//! A run that was cut off, by a crash or a kill: what it committed, and what it only began.
//!
//! The note of a run that began and has not ended is the sign; the ledgers tell the rest, because a
//! migration and its row are both there or both absent.

use super::{
    Outcome, Project, databases,
    last_run::{self, Ending, LastRun},
    logbook::Note,
};
use crate::{
    Kind,
    event::Observer,
    ledger::{self, Entry, EntryState},
    lock,
    store::BackupId,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use std::{fmt, path::PathBuf};

/// A run that began and did not end, and whose process is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InterruptedRun {
    /// When it began.
    pub started: DateTime<Utc>,
    /// The backup that it took before it changed anything.
    pub backup: Option<BackupId>,
    /// Every database that could be read.
    pub databases: Vec<InterruptedDatabase>,
}

/// What such a run did to one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InterruptedDatabase {
    /// The database, relative to the data directory.
    pub database: PathBuf,
    /// What is committed: versions and names.
    pub committed: Vec<String>,
    /// What began and did not end: scripts, and files without a transaction.
    pub unfinished: Vec<String>,
}

impl InterruptedRun {
    /// Whether nothing of it stayed.
    #[must_use]
    pub fn left_nothing(&self) -> bool {
        self.databases.iter().all(|it| it.committed.is_empty() && it.unfinished.is_empty())
    }
}

impl fmt::Display for InterruptedRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = self.started.format("%Y-%m-%d %H:%M:%S UTC");
        write!(formatter, "the run of {started} was cut off")?;
        if self.left_nothing() {
            return formatter.write_str(" before it committed anything");
        }
        for (nth, it) in self.databases.iter().enumerate() {
            let database = it.database.display();
            write!(formatter, "{} `{database}`: ", if nth > 0 { ";" } else { ":" })?;
            match it.committed.is_empty() {
                true => formatter.write_str("nothing committed")?,
                false => write!(formatter, "{} committed", it.committed.join(", "))?,
            }
            if !it.unfinished.is_empty() {
                write!(formatter, ", {} began and did not end", it.unfinished.join(", "))?;
            }
        }
        Ok(())
    }
}

impl Project {
    /// The last run, where it was cut off; nothing while it still goes on.
    #[must_use]
    pub fn interrupted_run(&self) -> Option<InterruptedRun> {
        let run = open_run(self)?;
        (!lock::is_held(&self.config.data)).then(|| self.describe(run))
    }

    /// The same where the caller holds the lock, so that no other run can go on.
    pub(super) fn run_cut_off(&self) -> Option<InterruptedRun> {
        open_run(self).map(|run| self.describe(run))
    }

    /// Notes a run that a crash or a kill ended, when that is noticed.
    pub(super) fn log_killed(&self, run: &InterruptedRun, observer: &dyn Observer) {
        let note = Note {
            command: "up",
            started: run.started,
            outcome: Outcome::Problem(Kind::Interrupted),
            about: None,
            backup: run.backup.as_ref(),
            reason: Some(run.to_string()),
            log: None,
        };
        self.log(note, observer);
    }

    /// What the ledgers have of a run.
    pub(super) fn describe(&self, run: LastRun) -> InterruptedRun {
        let mut found = Vec::new();
        for database in self.database_paths() {
            let live = self.config.data.join(&database);
            let Ok(Some(connection)) = databases::open_to_read(&live, &self.config) else {
                continue;
            };
            let Ok(entries) = ledger::read_brief(&connection) else { continue };
            let of_run = |state: fn(EntryState) -> bool| {
                let entries = entries.iter().filter(|it| belongs(it, &run) && state(it.state));
                entries.map(title).collect::<Vec<String>>()
            };
            let committed = of_run(|state| state != EntryState::Started);
            let unfinished = of_run(|state| state == EntryState::Started);
            found.push(InterruptedDatabase { database, committed, unfinished });
        }
        let backup = run.way_back().cloned();
        InterruptedRun { started: run.since(), backup, databases: found }
    }
}

fn open_run(project: &Project) -> Option<LastRun> {
    last_run::read(&project.config.data).filter(|run| run.ending == Ending::Open)
}

/// Runs that find nothing new share a backup, so the time decides as well. What a run goes on with belongs
/// to it.
fn belongs(entry: &Entry, run: &LastRun) -> bool {
    let text = |backup: &BackupId| backup.to_string();
    let first = run.continues.as_ref().map(|first| text(&first.backup));
    let is_of_it =
        entry.backup == run.backup.as_ref().map(text) || first.is_some() && entry.backup == first;
    let since = run.since() - TimeDelta::seconds(1);
    let began = DateTime::parse_from_rfc3339(&entry.started);
    is_of_it && began.is_ok_and(|began| began >= since)
}

/// The version and name of a row, or the name of an operation.
pub(super) fn title(entry: &Entry) -> String {
    match entry.kind {
        ledger::EntryKind::Operation => entry.name.clone(),
        _ => format!("{}_{}", entry.version, entry.name),
    }
}
