//! What the library tells while it works: events to an observer, never text to a terminal.

use crate::{Error, Result};
use serde::Serialize;
use std::path::PathBuf;

/// Receives events in the order in which things happen; it may be called from several threads.
pub trait Observer: Sync {
    /// Takes one event.
    fn event(&self, event: Event);

    /// Whether the work should end as soon as everything is as before; asked between steps.
    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Goes on, unless the work is interrupted.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn go_on(observer: &dyn Observer) -> Result<()> {
    if observer.is_interrupted() { Err(Error::Interrupted) } else { Ok(()) }
}

/// Passes everything on but an interruption: what puts things right must come to its end.
pub struct Steadfast<'a>(pub &'a dyn Observer);

impl Observer for Steadfast<'_> {
    fn event(&self, event: Event) {
        self.0.event(event);
    }
}

/// An observer that takes no notice.
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event) {}
}

/// One thing that happened. The JSON form (`event` names the variant) is a documented contract.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// Another piton holds the lock, and this one waits for it.
    Waiting {
        /// Who holds it: pid, host and command.
        holder: String,
    },
    /// An interrupted restore was found and rolled forward or back.
    Recovered {
        /// The backup whose restore was interrupted.
        backup: String,
        /// `forward` or `back`.
        direction: &'static str,
    },
    /// A long piece of work begins.
    WorkStarted {
        /// Which work.
        work: Work,
        /// Bytes to do, where known beforehand.
        total_bytes: Option<u64>,
    },
    /// A long piece of work went on.
    WorkAdvanced {
        /// Which work.
        work: Work,
        /// Bytes done so far.
        done_bytes: u64,
    },
    /// A long piece of work ended well.
    WorkEnded {
        /// Which work.
        work: Work,
    },
    /// A backup was verified and published.
    BackupTaken {
        /// Its id.
        id: String,
        /// Size of the archive in bytes.
        archive_bytes: u64,
    },
    /// A migration begins on a database.
    MigrationStarted {
        /// The database, relative to the data directory.
        database: PathBuf,
        /// The migration's file name.
        migration: String,
    },
    /// A migration is committed on a database.
    MigrationEnded {
        /// The database, relative to the data directory.
        database: PathBuf,
        /// The migration's file name.
        migration: String,
        /// How long it took, in milliseconds.
        milliseconds: u64,
        /// What was done: `applied`, `resumed` or `recorded`.
        outcome: &'static str,
    },
    /// A phase of a deploy begins.
    PhaseStarted {
        /// Its word.
        phase: &'static str,
    },
    /// A phase of a deploy ended.
    PhaseEnded {
        /// Its word.
        phase: &'static str,
        /// How long it took, in milliseconds.
        milliseconds: u64,
        /// `done` or `failed`.
        result: &'static str,
        /// What was found or done, in a few words.
        detail: String,
    },
    /// A line that a script wrote.
    Output {
        /// The line, without its end.
        line: String,
    },
    /// The place off the machine does not answer, and is asked again a little later.
    Retrying {
        /// What went wrong, as a sentence.
        reason: String,
        /// How long until then, in milliseconds.
        milliseconds: u64,
    },
    /// A backup now lies off the machine too.
    BackupCopied {
        /// Its id.
        id: String,
        /// Size of the archive in bytes.
        archive_bytes: u64,
    },
    /// Something that the user should know and that stops nothing.
    Warning {
        /// One sentence.
        text: String,
    },
}

/// The long pieces of work that report progress.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Writing the archive of a backup.
    Archive,
    /// Reading an archive back.
    Verify,
    /// Unpacking an archive beside the live data.
    Unpack,
    /// Putting the unpacked files in place.
    Publish,
    /// Copying an archive off the machine.
    Copy,
    /// Reading back what was copied.
    Compare,
    /// Fetching an archive from off the machine.
    Fetch,
}
