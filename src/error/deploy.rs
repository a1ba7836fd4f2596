//! Errors of a deploy: what its state machine itself refuses, beyond those of its parts.

use super::{FileHolder, Kind, ProbeFailure, health};
use std::path::PathBuf;

/// A deploy that is refused, or that turned back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The record of the last deploy cannot be understood.
    #[error("the record of the last deploy, `{}`, cannot be used: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Something else is asked for while a deploy is not finished.
    #[error("deploy {id} is not finished: it is at `{phase}`")]
    Unfinished {
        /// The deploy.
        id: String,
        /// Where it is.
        phase: &'static str,
    },
    /// What a rollback took out of the data is in it again: a restore was undone, say.
    #[error("deploy {id} was rolled back, and its migrations are in the data again")]
    CameBack {
        /// The deploy.
        id: String,
        /// The backup from before its migrations.
        backup: String,
    },
    /// The service may not start: a deploy is between its stop and its start.
    #[error("deploy {id} was cut off at `{phase}`: the data is between two releases")]
    Fenced {
        /// The deploy.
        id: String,
        /// Where it is.
        phase: &'static str,
    },
    /// Migrations are held since a deploy was rolled back.
    #[error("migrations are held since {since}: deploy {id} was rolled back ({reason})")]
    Held {
        /// The deploy.
        id: String,
        /// When.
        since: String,
        /// Why it was rolled back.
        reason: String,
    },
    /// There is nothing that could be resumed, aborted or rolled back.
    #[error("there is no deploy to {verb}: {reason}")]
    NoDeploy {
        /// What was asked for.
        verb: &'static str,
        /// Why there is none.
        reason: String,
    },
    /// The plan has denied findings.
    #[error("the plan is refused:\n{findings}")]
    Plan {
        /// What is denied, a line each.
        findings: String,
    },
    /// There is too little room for what the deploy will write.
    #[error(
        "`{}` has {} free, and the {what} need about {}",
        path.display(), super::bytes(*free), super::bytes(*needed)
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What for.
        what: &'static str,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// A probe fails before anything was done: it would fail after the deploy as well.
    #[error("the service that runs now does not pass its probes: {}", health::lines(failures))]
    FailingProbes {
        /// What fails.
        failures: Vec<ProbeFailure>,
    },
    /// The rehearsal failed.
    #[error("the rehearsal failed: {reason}")]
    Rehearsal {
        /// How.
        reason: String,
    },
    /// Processes hold databases although the service is stopped.
    #[error("the service is stopped, and still in use: {}", list(holders))]
    StillHeld {
        /// Who holds what.
        holders: Vec<FileHolder>,
    },
    /// No release has this name.
    #[error("there is no release `{id}` in `{}`", folder.display())]
    NoRelease {
        /// The name.
        id: String,
        /// Where releases lie.
        folder: PathBuf,
        /// Those that are there.
        known: Vec<String>,
    },
    /// A release was named, and the project keeps none.
    #[error("a release is named, and `[deploy]` says nothing of `releases`")]
    NoReleases,
    /// What ought to be the link to the current release is none.
    #[error("`{}` cannot be the link to the current release: {reason}", path.display())]
    Current {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A hook cannot be executed.
    #[error("the hook `{}` is not executable", path.display())]
    HookMode {
        /// Its path.
        path: PathBuf,
    },
    /// Somebody asked it to end.
    #[error("interrupted by a signal")]
    Interrupted,
    /// A person gave the deploy up.
    #[error("given up by `piton deploy --{verb}`")]
    GivenUp {
        /// What was typed.
        verb: &'static str,
    },
}

impl DeployError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoRelease { .. } | Self::NoReleases | Self::Current { .. } => Kind::Usage,
            Self::Fenced { .. } | Self::Interrupted => Kind::Interrupted,
            Self::StillHeld { .. } => Kind::InUse,
            _ => Kind::Refused,
        }
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Record { path, .. } => format!(
                "`piton status` shows where the data stands; then move `{}` away",
                path.display()
            ),
            Self::Unfinished { .. } | Self::Fenced { .. } => {
                "`piton deploy --status` tells more; `piton deploy --resume` goes on, `piton deploy --abort` goes back".into()
            }
            Self::CameBack { backup, .. } => format!(
                "stop the service; `piton restore {backup}` restores the state before it, or deploy a release that is mended"
            ),
            Self::Held { .. } => {
                "deploy a release that is mended, or let them run: `piton up --lift-hold`".into()
            }
            Self::NoDeploy { .. } => "`piton deploy --status` tells how the last one ended".into(),
            Self::Plan { .. } => "`piton plan` shows the whole plan; do what its hints say".into(),
            Self::NoRoom { what: "backups", .. } => {
                "make room, for example by `piton prune`, then deploy again".into()
            }
            Self::NoRoom { path, .. } => format!(
                "free so much on the file system of `{0}` (`df {0}`), then run the command again",
                path.display()
            ),
            Self::FailingProbes { .. } => {
                "correct the probe or the service; `new = true` marks a probe that comes with the release, \
                 and `piton deploy --ignore-failing-probes` deploys all the same"
                    .into()
            }
            Self::Rehearsal { .. } => {
                "nothing was touched; `piton rehearse` shows it again in full".into()
            }
            Self::StillHeld { .. } => {
                "end these processes, or name their unit in `[deploy.service]`, then deploy again".into()
            }
            Self::NoRelease { known, .. } if known.is_empty() => "there are none yet".into(),
            Self::NoRelease { known, .. } => format!("there are: {}", known.join(", ")),
            Self::NoReleases => "set `releases` under `[deploy]`, or leave `--release` out".into(),
            Self::Current { .. } => "move it away, or name another with `current` under `[deploy]`".into(),
            Self::HookMode { path } => format!("chmod +x {}", path.display()),
            Self::Interrupted | Self::GivenUp { .. } => return None,
        })
    }
}

fn list(holders: &[FileHolder]) -> String {
    holders.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
