//! Errors of managing the service that uses the data.

use super::{Kind, apply::tail};
use std::path::PathBuf;

/// Why the service could not be checked, stopped, fenced off or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A command could not be run at all.
    #[error("cannot run the `{action}` command of the service (`{command}`): {reason}")]
    CannotRun {
        /// The key of the configuration.
        action: &'static str,
        /// The command.
        command: String,
        /// What the system said.
        reason: String,
    },
    /// A command ended badly.
    #[error("the `{action}` command of the service (`{command}`) {how}{}", tail(output))]
    Command {
        /// The key of the configuration.
        action: &'static str,
        /// The command.
        command: String,
        /// `exited with status 3`, `ran longer than 30 s and was stopped`.
        how: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A manager's own program cannot be run.
    #[error("cannot run `{tool}`: {reason}")]
    NoTool {
        /// The program.
        tool: String,
        /// What the system said.
        reason: String,
    },
    /// A manager refused or failed.
    #[error("`{command}` {how}{}", tail(output))]
    Manager {
        /// What was run.
        command: String,
        /// `exited with status 1`, `ran longer than 30 s and was stopped`.
        how: String,
        /// The end of what it wrote.
        output: String,
        /// What shows more.
        look: String,
    },
    /// systemd does not take the drop-in.
    #[error("`{unit}` does not heed the fence, though its drop-in lies in `{}`", folder.display())]
    NotFenced {
        /// The unit.
        unit: String,
        /// The folder of runtime unit files.
        folder: PathBuf,
    },
    /// It did not stop in time, and nothing could make it.
    #[error("{service} is not stopped after {seconds} s: {state}")]
    NotStopped {
        /// The service.
        service: String,
        /// How long it was waited for.
        seconds: u64,
        /// What it is instead.
        state: String,
    },
    /// There is no such unit.
    #[error("there is no unit `{unit}`{reason}")]
    NoUnit {
        /// The unit.
        unit: String,
        /// What the manager says about it, after a colon.
        reason: String,
        /// What asks for its definition.
        look: String,
    },
    /// A path cannot be written into a unit file.
    #[error("`{}` cannot be written into a unit file: {reason}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// The place where the fence is prepared cannot be written.
    #[error("cannot write `{}`, where the fence around {service} belongs", path.display())]
    NoRights {
        /// The folder.
        path: PathBuf,
        /// The service.
        service: String,
        /// The line that a unit file can have instead.
        line: String,
    },
    /// A wait was interrupted.
    #[error("interrupted while {during}")]
    Interrupted {
        /// What was waited for: `stopping app.service`.
        during: String,
    },
}

impl ServiceError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoUnit { .. }
            | Self::NoTool { .. }
            | Self::Path { .. }
            | Self::NoRights { .. } => Kind::Usage,
            Self::Interrupted { .. } => Kind::Interrupted,
            _ => Kind::Failed,
        }
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::CannotRun { action, .. } => {
                Some(format!("correct `{action}` in `[deploy.service]` of `piton.toml`"))
            }
            Self::Command { command, .. } => Some(format!("run it yourself: {command}")),
            Self::NoTool { .. } => Some(
                "install it, or let `manager` in `[deploy.service]` of `piton.toml` be `command`"
                    .into(),
            ),
            Self::Manager { output, .. } if is_denied(output) => Some(
                "run piton as root, or write `systemctl = [\"sudo\", \"-n\", \"systemctl\"]` into \
                 `[deploy.service]` of `piton.toml`"
                    .into(),
            ),
            Self::Manager { look, .. } => Some(format!("`{look}` shows more")),
            Self::NotFenced { unit, .. } => {
                Some(format!("`systemctl cat {unit}` shows what is read of it"))
            }
            Self::NotStopped { service, .. } => Some(format!(
                "look at what {service} waits for, stop it yourself, then run the same command again"
            )),
            Self::NoUnit { look, .. } => Some(format!(
                "correct `units` in `[deploy.service]` of `piton.toml`; `{look}` shows the unit"
            )),
            Self::Path { .. } => Some("move the data directory to a path without it".into()),
            Self::NoRights { line, .. } => Some(format!(
                "run piton as root, or write `{line}` into the unit's `[Unit]` section once"
            )),
            Self::Interrupted { .. } => None,
        }
    }
}

/// Whether systemd refused for want of rights; it says so in words only (polkit or none).
fn is_denied(output: &str) -> bool {
    ["Access denied", "authentication required"].iter().any(|words| output.contains(words))
}

#[cfg(test)]
mod tests {
    use super::ServiceError;

    #[test]
    fn hints_tell_rights_from_other_failures() {
        let hint = |output: &str| {
            let command = "systemctl stop app.service".into();
            let how = "exited with status 4".into();
            let look = "journalctl -u app.service -n 50".into();
            ServiceError::Manager { command, how, output: output.into(), look }.hint().unwrap()
        };
        assert!(hint("Failed to stop app.service: Access denied\n").contains("sudo"));
        assert!(hint("Interactive authentication required.\n").contains("sudo"));
        assert_eq!(hint("Job failed.\n"), "`journalctl -u app.service -n 50` shows more");
    }
}
