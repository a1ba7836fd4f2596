//! The hold marker: after a rollback the new code must not migrate again by being restarted.
//!
//! It stops `up` only where something is pending, so the old release starts as ever. A person or the
//! next deploy lifts it.

use super::Record;
use crate::{Error, Result, disk, error::DeployError, format, records, store::BackupId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The newest format of the marker.
const FORMAT: u32 = 1;

/// Why migrations are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The format of the marker.
    #[serde(default = "format::first")]
    pub format: u32,
    /// The deploy that was rolled back.
    pub deploy: BackupId,
    /// Its release, where releases are kept.
    pub release: Option<String>,
    /// When.
    pub since: DateTime<Utc>,
    /// Why it was rolled back.
    pub reason: String,
}

const NAME: &str = "hold.json";

/// Reads the marker. One that cannot be understood holds all the same.
#[must_use]
pub fn read(data: &Path) -> Option<Hold> {
    let odd = |error: &dyn std::fmt::Display| Hold {
        format: FORMAT,
        deploy: BackupId::new(DateTime::UNIX_EPOCH, [0; 3]),
        release: None,
        since: DateTime::UNIX_EPOCH,
        reason: format!("the hold marker cannot be read: {error}"),
    };
    match records::folder(data).and_then(|folder| records::read(&folder.join(NAME))) {
        Ok(None) => None,
        Ok(Some(text)) => {
            let path = Path::new(NAME);
            let bad = |reason| DeployError::Record { path: path.into(), reason }.into();
            Some(format::parse(&text, FORMAT, path, bad).unwrap_or_else(|error| odd(&error)))
        }
        // This user may not look there.
        Err(Error::Disk(_)) => None,
        Err(error) => Some(odd(&error)),
    }
}

/// Holds the migrations of a deploy that was rolled back.
///
/// # Errors
/// The system's, with the path.
pub fn set(data: &Path, record: &Record, now: DateTime<Utc>) -> Result<()> {
    let reason = record.failure.as_ref().map_or("it was taken back", |failure| &failure.message);
    let hold = Hold {
        format: FORMAT,
        deploy: record.id.clone(),
        release: record.release.clone(),
        since: now,
        reason: reason.into(),
    };
    let text = serde_json::to_vec_pretty(&hold)
        .map_err(|error| crate::Error::Internal(format!("cannot write JSON: {error}")))?;
    let path = records::make_folder(data)?.join(NAME);
    Ok(disk::write_atomic("hold", &path, disk::PRIVATE_FILE, &text)?)
}

/// Lifts the hold, where there is one; says whether there was.
///
/// # Errors
/// The system's, with the path.
pub fn lift(data: &Path) -> Result<Option<Hold>> {
    let held = read(data);
    if held.is_some() {
        let path = records::folder(data)?.join(NAME);
        disk::remove_file("hold-lift", &path)?;
        disk::sync_parent("hold-lift", &path)?;
    }
    Ok(held)
}
