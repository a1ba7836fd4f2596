//! The drills that were made, beside the backups: which backup was proved, and when.

use super::Alarm;
use crate::{
    Error, Result, disk, format,
    store::{BackupId, DRILLS_NAME, Store},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{io::Read as _, path::PathBuf};

/// The newest format of an entry.
const FORMAT: u32 = 1;
/// So many are kept.
const KEPT: usize = 400;
/// The longest file that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// One drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillRecord {
    /// The format of the entry.
    #[serde(default = "format::first")]
    pub format: u32,
    /// The backup.
    pub backup: BackupId,
    /// When the drill ended.
    pub at: DateTime<Utc>,
    /// How it ended.
    pub result: DrillResult,
    /// How long unpacking took, in milliseconds.
    pub unpack_ms: u64,
    /// How long checking took, in milliseconds.
    pub check_ms: u64,
    /// Bytes that were unpacked.
    pub data_bytes: u64,
    /// What was wrong, one sentence each.
    pub alarms: Vec<String>,
    /// Whether a person has said that the counts are meant: earlier backups no longer count.
    #[serde(default)]
    pub accepted: bool,
}

/// How a drill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillResult {
    /// The backup restores, and its content is believable.
    Proved,
    /// It restores, and something in it is wrong.
    Alarmed,
    /// It does not restore.
    Failed,
}

impl DrillRecord {
    pub(super) fn new(backup: BackupId, at: DateTime<Utc>) -> Self {
        Self {
            format: FORMAT,
            backup,
            at,
            result: DrillResult::Failed,
            unpack_ms: 0,
            check_ms: 0,
            data_bytes: 0,
            alarms: Vec::new(),
            accepted: false,
        }
    }

    pub(super) fn alarmed(&mut self, alarms: &[Alarm]) {
        self.alarms = alarms.iter().map(|alarm| alarm.message.clone()).collect();
        self.result = if alarms.is_empty() { DrillResult::Proved } else { DrillResult::Alarmed };
    }
}

/// All of them, oldest first. A line that cannot be understood is left out.
///
/// # Errors
/// The system's, with the path.
pub(super) fn read(store: &Store) -> Result<Vec<DrillRecord>> {
    let path = path(store);
    let parse = |line: &String| format::parse(line.as_bytes(), FORMAT, &path, Error::Internal).ok();
    Ok(lines(store)?.iter().filter_map(parse).collect())
}

/// Adds one. The whole file is written again, so that a crash leaves the one before or the new one.
///
/// # Errors
/// The system's, with the path.
pub(super) fn add(store: &Store, record: &DrillRecord) -> Result<()> {
    let mut lines = lines(store)?;
    let line = serde_json::to_string(record)
        .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
    lines.push(line);
    let text = lines.split_off(lines.len().saturating_sub(KEPT)).join("\n") + "\n";
    Ok(disk::write_atomic("drills", &path(store), disk::PRIVATE_FILE, text.as_bytes())?)
}

fn lines(store: &Store) -> Result<Vec<String>> {
    let path = path(store);
    if disk::find(&path)?.is_none_or(|found| !found.is_file()) {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    let mut file = disk::open_to_read(&path)?.take(LONGEST);
    file.read_to_end(&mut bytes).map_err(disk::failed("read", &path))?;
    Ok(String::from_utf8_lossy(&bytes).lines().map(String::from).collect())
}

fn path(store: &Store) -> PathBuf {
    store.root().join(DRILLS_NAME)
}
