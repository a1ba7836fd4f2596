//! Tells the program of `[notify]` that a command ended badly, after everything was printed. The exit code
//! stays what it is.

use crate::{
    args::{Arguments, Command, Deploy, OfBackup},
    render::{Report, terminal},
};
use piton::project::{Failure, Notify};

/// Who is told, and about what.
pub struct Notice {
    notify: Notify,
    command: &'static str,
}

impl Notice {
    /// For a command of those that run where nobody looks.
    pub fn of(arguments: &Arguments, notify: Option<Notify>) -> Option<Self> {
        // What a deploy starts ends badly with it.
        if std::env::var_os("PITON_DEPLOY").is_some() {
            return None;
        }
        let command = match &arguments.command {
            Command::Backup { .. } => "backup",
            Command::Up(up) if !up.dry_run => "up",
            Command::Deploy(Deploy { dry_run: false, status: false, .. }) => "deploy",
            Command::Prune { dry_run: false, .. } => "prune",
            Command::Backups { action: Some(OfBackup::Sync { dry_run: false }), .. } => "sync",
            Command::Drill { .. } => "drill",
            _ => return None,
        };
        Some(Self { notify: notify?, command })
    }

    /// Runs the program if the command ended badly.
    pub fn send(&self, code: u8, report: &Report) {
        // Pending is only said where it was asked for.
        if matches!(code, 0 | 3) {
            return;
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let message = message(report);
        let failure = Failure {
            command: self.command,
            code,
            outcome: report.outcome.word(),
            message: &message,
            host: &host,
        };
        if let Err(reason) = self.notify.send(&failure) {
            let _ = terminal::say(&format!(
                "warning: `[notify] on-failure` did not succeed: {reason}\n"
            ));
        }
    }
}

/// What went wrong, without colours.
fn message(report: &Report) -> String {
    let error = report.json.get("error").and_then(|error| error.get("message")?.as_str());
    match error {
        Some(message) => message.to_string(),
        None => anstream::adapter::strip_str(&report.problems).to_string().trim().to_string(),
    }
}
