//! What a deploy asks of the project: the verbs that a person would type, one after another.
//!
//! The facade implements it; so the state machine knows nothing of configuration, locks and plans,
//! and can be tested with operations that fail where a test wants it.

use crate::{Error, Result, error::FileHolder, event::Observer, store::BackupId};

/// What the preflight found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// The pending migrations, as `database: file`.
    pub pending: Vec<String>,
    /// Warnings of the plan, one sentence each.
    pub warnings: Vec<String>,
}

/// When a backup is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Beside the running service.
    Running,
    /// While nothing can write: every second counts, since nobody is served.
    Stopped,
}

/// What migrating came to.
#[derive(Debug)]
pub struct Migrated {
    /// What ran, as `database: file`.
    pub ran: Vec<String>,
    /// Why it stopped.
    pub failure: Option<Error>,
    /// What a failure left.
    pub left: Left,
}

/// What a failed run left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Everything is as before this run.
    AsBefore,
    /// Something may have changed.
    Changed,
}

/// The project's verbs.
pub trait Operations {
    /// Plans, and checks that there is room; nothing is changed.
    ///
    /// # Errors
    /// A plan with a denied finding, too little space.
    fn examine(&self, observer: &dyn Observer) -> Result<Examination>;

    /// Takes a verified backup; nothing where there is no data yet.
    ///
    /// # Errors
    /// Those of taking a backup; nothing is left behind.
    fn back_up(&self, moment: Moment, observer: &dyn Observer) -> Result<Option<BackupId>>;

    /// Carries the plan out on a copy unpacked from a backup; says what it showed.
    ///
    /// # Errors
    /// What would fail.
    fn rehearse(&self, backup: &BackupId, observer: &dyn Observer) -> Result<String>;

    /// The processes that hold a database.
    ///
    /// # Errors
    /// The system's.
    fn holders(&self) -> Result<Vec<FileHolder>>;

    /// Runs what is pending under a backup that was taken.
    ///
    /// # Errors
    /// What went wrong before anything was begun.
    fn migrate(&self, backup: Option<&BackupId>, observer: &dyn Observer) -> Result<Migrated>;

    /// Puts a backup back, after a backup of what is there, which it names.
    ///
    /// # Errors
    /// Those of a restore.
    fn put_back(&self, backup: &BackupId, observer: &dyn Observer) -> Result<Option<BackupId>>;

    /// What may happen once the service runs: pruning and the like. It never fails a deploy.
    fn tidy(&self, observer: &dyn Observer);
}
