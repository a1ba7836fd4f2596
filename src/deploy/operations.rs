//! What a deploy asks of the project: the verbs that a person would type, one after another.
//!
//! The facade implements it; so the state machine knows nothing of configuration, locks and plans,
//! and can be tested with operations that fail where a test wants it.

use super::phase::Work;
use crate::{Error, Result, error::FileHolder, event::Observer, store::BackupId};
use serde::{Deserialize, Serialize};

/// What the preflight found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// The pending migrations, as `database: file`.
    pub pending: Vec<String>,
    /// Warnings of the plan, one sentence each.
    pub warnings: Vec<String>,
    /// When the archive of the rollback point is needed.
    pub archiving: Archiving,
}

/// When the rollback point becomes a verified archive. Every second of it is one in which nobody is
/// served, unless the service runs again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Archiving {
    /// Before the migrations: a script among them finds it in its environment.
    #[default]
    BeforeMigrating,
    /// Once the service is healthy, or before it is put back.
    OnceHealthy,
}

/// What stands for the data as the service left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchored {
    /// The backup, whose archive may not be made yet.
    pub backup: BackupId,
    /// What it is now.
    pub form: Form,
}

/// What a rollback point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A verified archive.
    Archive,
    /// A copy, equal to the data.
    Copy,
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

    /// Takes a verified backup beside the running service; nothing where there is no data yet. Where
    /// migrations follow, it also makes ready for [`Operations::anchor`].
    ///
    /// # Errors
    /// Those of taking a backup; nothing is left behind.
    fn back_up(&self, work: Work, observer: &dyn Observer) -> Result<Option<BackupId>>;

    /// Makes the rollback point while nothing can write; nothing where there is no data yet.
    ///
    /// # Errors
    /// Those of taking a backup.
    fn anchor(&self, archiving: Archiving, observer: &dyn Observer) -> Result<Option<Anchored>>;

    /// Makes the verified archive of the rollback point, where there is none yet.
    ///
    /// # Errors
    /// Those of taking a backup; the rollback point stays.
    fn archive(&self, backup: &BackupId, observer: &dyn Observer) -> Result<()>;

    /// Removes what a rollback point is besides its archive.
    ///
    /// # Errors
    /// The system's.
    fn discard_copy(&self) -> Result<()>;

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

    /// Puts a backup back, after its archive, where it has none yet, and a backup of what is there,
    /// which it names.
    ///
    /// # Errors
    /// Those of a restore.
    fn put_back(&self, backup: &BackupId, observer: &dyn Observer) -> Result<Option<BackupId>>;

    /// What may happen once the service runs: pruning and the like. It never fails a deploy.
    fn tidy(&self, observer: &dyn Observer);
}
