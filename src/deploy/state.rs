//! The record of a deploy, written before each phase is entered, so that one that was cut off can be
//! told, resumed or aborted.
//!
//! It is among the records of the data directory, which no backup holds and no restore replaces. The
//! record of the last deploy stays when it has ended: its rollback and its report go by it.

use super::{
    ending::Ending,
    operations::Archiving,
    phase::{Course, DataState, Phase, Reach, Rehearsal, Work},
    service::Running,
};
use crate::{Result, disk, error::DeployError, format, records, store::BackupId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The format of the file; a newer one is refused rather than misread.
const FORMAT: u32 = 1;

/// One deploy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The format of this file.
    #[serde(default = "format::first")]
    pub format: u32,
    /// The deploy's id, formed like that of a backup.
    pub id: BackupId,
    /// When it began.
    pub started: DateTime<Utc>,
    /// Who began it: host, and the command line.
    pub by: String,
    /// The release that is deployed, where releases are kept.
    pub release: Option<String>,
    /// The release from before.
    pub previous_release: Option<String>,
    /// Where it is, or was last.
    pub phase: Phase,
    /// What it has to do.
    pub work: Work,
    /// Whether the plan is rehearsed.
    pub rehearsal: Rehearsal,
    /// The service, where one is managed.
    #[serde(default)]
    pub service: Option<String>,
    /// Whether a person asked for the old state although all went well.
    #[serde(default)]
    pub asked_back: bool,
    /// What ran before the stop and is started again.
    pub running: Option<Running>,
    /// The backup beside the running service.
    pub backup: Option<BackupId>,
    /// The rollback point, taken after the stop.
    pub final_backup: Option<BackupId>,
    /// When it becomes an archive.
    #[serde(default)]
    pub archiving: Archiving,
    /// The backup of the failed state, taken on the way back.
    pub failed_state: Option<BackupId>,
    /// Whether the way back must restore the rollback point.
    pub data: DataState,
    /// The migrations that ran.
    pub ran: Vec<String>,
    /// Why it turned back, in one sentence.
    pub failure: Option<Failure>,
    /// Each phase that was entered, in order.
    pub steps: Vec<Step>,
    /// The log of everything, beside the backups.
    pub log: PathBuf,
    /// How it ended; nothing while it is open.
    pub ending: Option<Ending>,
    /// When it ended.
    pub ended: Option<DateTime<Utc>>,
}

/// Why a deploy turned back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where.
    pub phase: Phase,
    /// What happened.
    pub message: String,
    /// What to type, where something can be typed.
    pub hint: Option<String>,
}

/// One phase that was entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub phase: Phase,
    /// When it was entered.
    pub started: DateTime<Utc>,
    /// How long it took, in milliseconds; nothing where it did not end.
    pub milliseconds: Option<u64>,
    /// `done`, `failed` or nothing.
    pub result: Option<StepResult>,
    /// What was found or done, in a few words.
    pub detail: String,
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// As it should.
    Done,
    /// It failed.
    Failed,
}

impl Record {
    /// A deploy that begins.
    #[must_use]
    pub fn begun(id: BackupId, started: DateTime<Utc>, by: String, log: PathBuf) -> Self {
        Self {
            format: FORMAT,
            id,
            started,
            by,
            release: None,
            previous_release: None,
            phase: Phase::Preflight,
            work: Work::default(),
            rehearsal: Rehearsal::default(),
            service: None,
            asked_back: false,
            running: None,
            backup: None,
            final_backup: None,
            archiving: Archiving::default(),
            failed_state: None,
            data: DataState::default(),
            ran: Vec::new(),
            failure: None,
            steps: Vec::new(),
            log,
            ending: None,
            ended: None,
        }
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ending.is_none()
    }

    /// Whether it is open and on its way back.
    #[must_use]
    pub fn goes_back(&self) -> bool {
        self.is_open() && self.phase.reach(self.work) == Reach::Back
    }

    /// Whether its way back has ended and did not reach the old state or a healthy service.
    #[must_use]
    pub fn failed_to_go_back(&self) -> bool {
        matches!(self.ending, Some(Ending::RollbackFailed | Ending::RolledBackUnhealthy))
    }

    /// Whether it is open and has touched the service or the data.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.is_open() && self.phase.reach(self.work) != Reach::Untouched
    }

    /// Whether the service must not be started now by anybody else.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.is_open() && self.phase.is_fenced(self.work)
    }

    /// What decides which phase follows.
    #[must_use]
    pub fn course(&self) -> Course {
        Course { work: self.work, rehearsal: self.rehearsal, data: self.data }
    }

    /// Notes that a phase is entered.
    pub fn enter(&mut self, phase: Phase, now: DateTime<Utc>) {
        self.phase = phase;
        let detail = String::new();
        self.steps.push(Step { phase, started: now, milliseconds: None, result: None, detail });
    }

    /// Notes how the phase ended.
    pub fn leave(&mut self, result: StepResult, detail: &str, now: DateTime<Utc>) {
        if let Some(step) = self.steps.last_mut() {
            let spent = (now - step.started).num_milliseconds();
            step.milliseconds = Some(u64::try_from(spent).unwrap_or(0));
            step.result = Some(result);
            step.detail = detail.into();
        }
    }

    /// From the stop to the end of the start, in milliseconds, where both are known: for so long
    /// nobody was served.
    #[must_use]
    pub fn downtime_milliseconds(&self) -> Option<u64> {
        let stopped =
            self.steps.iter().find(|step| matches!(step.phase, Phase::Stop | Phase::StopAgain))?;
        let starts = |step: &&Step| matches!(step.phase, Phase::Start | Phase::StartAgain);
        let up = self.steps.iter().rev().find(starts)?;
        let spent = (up.started - stopped.started).num_milliseconds();
        Some(u64::try_from(spent).unwrap_or(0) + up.milliseconds?)
    }
}

const NAME: &str = "deploy.json";

/// Reads the record of the last deploy; none where there was none.
///
/// # Errors
/// [`DeployError::Record`] where it cannot be understood: guessing would be worse than stopping.
pub fn read(data: &Path) -> Result<Option<Record>> {
    let path = records::folder(data)?.join(NAME);
    let Some(text) = records::read(&path)? else { return Ok(None) };
    let wrong = |reason: String| DeployError::Record { path: path.clone(), reason };
    format::parse(&text, FORMAT, &path, |reason| wrong(reason).into()).map(Some)
}

/// Writes the record, durably.
///
/// # Errors
/// The system's, with the path.
pub fn write(data: &Path, record: &Record) -> Result<()> {
    let text = serde_json::to_vec_pretty(record)
        .map_err(|error| crate::Error::Internal(format!("cannot write JSON: {error}")))?;
    let path = records::make_folder(data)?.join(NAME);
    Ok(disk::write_atomic("deploy-record", &path, disk::PRIVATE_FILE, &text)?)
}
