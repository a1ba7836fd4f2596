//! What can go wrong: one small enum per module, one sum type with a kind and a hint.
//!
//! The enums hold plain data only, so every layer may use them. They never format for a terminal.

mod apply;
mod backup;
mod database;
mod deploy;
mod disk;
mod drill;
mod health;
mod history;
mod ledger;
mod offsite;
mod place;
mod project;
mod records;
mod rehearsal;
mod restore;
mod service;
mod store;
mod table;

pub use apply::ApplyError;
pub use backup::BackupError;
pub use database::DatabaseError;
pub use deploy::DeployError;
pub use disk::DiskError;
pub use drill::DrillError;
pub use health::{HealthError, ProbeFailure};
pub use history::{HistoryError, NotUnderstood};
pub use ledger::LedgerError;
pub use offsite::OffsiteError;
pub use place::Place;
pub use project::ProjectError;
pub use records::RecordsError;
pub use rehearsal::RehearsalError;
pub use restore::{FileHolder, Held, HotParts, Limit, RestoreError};
pub use service::ServiceError;
pub use store::StoreError;
pub use table::TableError;

use std::path::PathBuf;

/// The result of every fallible function of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong; `kind` gives the exit code, `hint` what to type next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file system operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A database could not be opened, read or written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The project cannot be worked on as it is configured.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A plan could not be carried out.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A migration file cannot be used as it is.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The backups directory or an archive in it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A snapshot could not be taken.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A restore was refused or could not be finished.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A drill could not start.
    #[error(transparent)]
    Drill(#[from] DrillError),
    /// A restore of single tables was refused.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The place of piton's own records and staged files.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A rehearsal did what it must not.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
    /// The place off the machine.
    #[error(transparent)]
    Offsite(#[from] OffsiteError),
    /// A deploy was refused, or turned back.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The service could not be managed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The service is not healthy.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// Another piton works on the data directory.
    #[error("`{}` is locked by {holder}", data.display())]
    Locked {
        /// The data directory.
        data: PathBuf,
        /// Who holds the lock: pid, host and command.
        holder: String,
    },
    /// A newer piton wrote a record.
    #[error(
        "`{}` was made by a newer piton: its format is {format}, this piton reads up to {known}",
        path.display()
    )]
    Newer {
        /// The record.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The newest format that this piton reads.
        known: u32,
    },
    /// A signal ended it before it had changed anything, or after it had taken everything back.
    #[error("interrupted; everything is as before")]
    Interrupted,
    /// A state that the code rules out: a defect of piton.
    #[error("internal: {0}")]
    Internal(String),
}

/// The class of an error, which is its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A defect of piton.
    Internal,
    /// Wrong flags or configuration; nothing touched.
    Usage,
    /// The plan was refused; nothing touched.
    Refused,
    /// It failed, and everything is as before.
    Failed,
    /// It failed, and the backup of this run was restored.
    Restored,
    /// It failed, and putting things right failed too.
    NotRestored,
    /// Another piton works on this data directory.
    Locked,
    /// A process holds a database that must be replaced.
    InUse,
    /// A backup or database does not verify.
    Damaged,
    /// A deploy failed; the old state runs and is healthy.
    RolledBack,
    /// A deploy failed; the old state is back, and the service is not healthy.
    RolledBackUnhealthy,
    /// A deploy failed, and the old state could not be brought back.
    RollbackFailed,
    /// It was cut off, or asked to end.
    Interrupted,
}

impl Kind {
    /// The documented exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Refused => 4,
            Self::Failed => 5,
            Self::Restored => 6,
            Self::NotRestored => 7,
            Self::Locked => 8,
            Self::InUse => 9,
            Self::Damaged => 10,
            Self::RolledBack => 11,
            Self::RolledBackUnhealthy => 12,
            Self::RollbackFailed => 13,
            Self::Interrupted => 14,
        }
    }

    /// The word of the `outcome` field in JSON.
    #[must_use]
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Restored => "restored",
            Self::NotRestored => "not-restored",
            Self::Locked => "locked",
            Self::InUse => "in-use",
            Self::Damaged => "damaged",
            Self::RolledBack => "rolled-back",
            Self::RolledBackUnhealthy => "rolled-back-unhealthy",
            Self::RollbackFailed => "rollback-failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A number of bytes as people read it: `12 B`, `3.4 MiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

impl Error {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Disk(error) => error.kind(),
            Self::Database(error) => error.kind(),
            Self::History(error) => error.kind(),
            Self::Apply(error) => error.kind(),
            Self::Project(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Backup(error) => error.kind(),
            Self::Restore(error) => error.kind(),
            Self::Table(error) => error.kind(),
            Self::Drill(error) => error.kind(),
            Self::Records(error) => error.kind(),
            Self::Rehearsal(error) => error.kind(),
            Self::Offsite(error) => error.kind(),
            Self::Deploy(error) => error.kind(),
            Self::Service(error) => error.kind(),
            Self::Health(error) => error.kind(),
            Self::Locked { .. } => Kind::Locked,
            Self::Newer { .. } => Kind::Refused,
            Self::Interrupted => Kind::Interrupted,
            Self::Internal(_) => Kind::Internal,
        }
    }

    /// The place in a file that it is about, where there is one.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::History(error) => error.place(),
            Self::Apply(error) => error.place(),
            Self::Project(error) => error.place(),
            _ => None,
        }
    }

    /// One sentence that says what to type next, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.hint(),
            Self::Database(error) => error.hint(),
            Self::History(error) => error.hint(),
            Self::Apply(error) => error.hint(),
            Self::Project(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Backup(error) => error.hint(),
            Self::Restore(error) => error.hint(),
            Self::Table(error) => error.hint(),
            Self::Drill(error) => error.hint(),
            Self::Records(error) => error.hint(),
            Self::Rehearsal(error) => error.hint(),
            Self::Offsite(error) => error.hint(),
            Self::Deploy(error) => error.hint(),
            Self::Service(error) => error.hint(),
            Self::Health(error) => error.hint(),
            Self::Locked { .. } => {
                Some("wait for it to end, or let this command wait: add `--wait`".into())
            }
            Self::Newer { .. } => {
                Some("update piton on this machine, then run the command again".into())
            }
            Self::Interrupted => Some("type the same again when you want it done".into()),
            Self::Internal(_) => Some("please report this as a defect of piton".into()),
        }
    }
}
