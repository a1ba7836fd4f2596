//! The whole log of a deploy, kept beside the backups: what happened when, as lines for a person.
//!
//! It passes every event on; a log that cannot be written is said once and stops nothing.

use crate::{
    Result, disk,
    event::{Event, Observer},
};
use chrono::{DateTime, SecondsFormat, Utc};
use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
};

/// Writes events to a file and passes them on.
pub struct Log<'a> {
    file: Mutex<Option<File>>,
    clock: &'a (dyn Fn() -> DateTime<Utc> + Send + Sync),
    next: &'a dyn Observer,
}

impl<'a> Log<'a> {
    /// Opens the log, at its end where the deploy has one already.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn open(
        path: &Path,
        clock: &'a (dyn Fn() -> DateTime<Utc> + Send + Sync),
        next: &'a dyn Observer,
    ) -> Result<Self> {
        if let Some(folder) = path.parent() {
            disk::create_private_folders("deploy-log", folder)?;
        }
        let file = disk::open_log_file("deploy-log", path)?;
        Ok(Self { file: Mutex::new(Some(file)), clock, next })
    }

    fn write(&self, text: &str) -> bool {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = file.as_mut() else { return true };
        let time = (self.clock)().to_rfc3339_opts(SecondsFormat::Millis, true);
        let written = writeln!(open, "{time}  {text}");
        if written.is_err() {
            *file = None;
        }
        written.is_ok()
    }
}

impl Observer for Log<'_> {
    fn event(&self, event: Event) {
        if let Some(text) = line(&event)
            && !self.write(&text)
        {
            let text = "the log of this deploy cannot be written any more".into();
            self.next.event(Event::Warning { text });
        }
        self.next.event(event);
    }
}

/// What the log says of an event; progress is for a screen.
fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Waiting { holder } => format!("waiting for {holder}"),
        Event::Recovered { backup, direction } => {
            format!("an interrupted restore of {backup} was rolled {direction}")
        }
        Event::BackupTaken { id, archive_bytes } => {
            format!("backup {id}, verified, {archive_bytes} bytes")
        }
        Event::MigrationStarted { database, migration } => {
            format!("{}: {migration} begins", database.display())
        }
        Event::MigrationEnded { database, migration, milliseconds, outcome } => {
            format!("{}: {migration} {outcome}, {milliseconds} ms", database.display())
        }
        Event::PhaseStarted { phase } => format!("{phase} begins"),
        Event::PhaseEnded { phase, milliseconds, result, detail } => {
            let colon = if detail.is_empty() { "" } else { ": " };
            format!("{phase} {result}, {milliseconds} ms{colon}{detail}")
        }
        Event::Output { line } => format!("| {line}"),
        Event::Warning { text } => format!("warning: {text}"),
        _ => return None,
    })
}
