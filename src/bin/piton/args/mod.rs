//! What can be typed. The doc comments are the help texts.

mod deploy;
mod flags;
mod global;

pub use deploy::{Deploy, When};
pub use flags::{Back, Look, PathsForm, Rehearse, Restore, Rollback, Status, Up};
pub use global::{Color, Global};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::{ffi::OsString, path::PathBuf};

/// Anchor a SQLite application before a deploy: back up, migrate behind guards, restore.
///
/// Every command is safe to repeat. `piton status` tells where things stand, `piton up` does what
/// is pending, `piton rollback` goes back to before it.
#[derive(Debug, Parser)]
#[command(name = "piton", version, max_term_width = 100, after_help = AFTER)]
pub struct Arguments {
    /// Global flags.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "Exit codes: 0 done or nothing to do, 1 defect, 2 usage, 3 pending, 4 refused, \
5 failed and as before, 6 failed and restored, 7 failed and not restored, 8 locked, 9 in use, \
10 damaged; of deploy: 11 rolled back, 12 rolled back and unhealthy, 13 rollback failed, \
14 interrupted.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a commented piton.toml, the folders and deploy.sh; what exists stays as it is.
    Init {
        /// Where.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Write units and timers of systemd for backup, prune, sync and drill into this folder, and nothing else.
        #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "systemd")]
        timers: Option<PathBuf>,
    },
    /// Tell where every database stands, and what to type next.
    Status(Status),
    /// Show what `up` would do.
    Plan(Look),
    /// Check the migrations themselves; no database is needed.
    Check {
        /// Only these targets.
        #[arg(long)]
        target: Vec<String>,
        /// End with 4 for warnings too.
        #[arg(long)]
        strict: bool,
    },
    /// Carry the plan out on a copy of the live data, twice, and tell what it does.
    Rehearse(Rehearse),
    /// Back up, then run every pending migration; restore the backup if that fails.
    Up(Up),
    /// Make an empty migration with the next number.
    New {
        /// What it does, such as `add email`.
        name: String,
        /// Make a script instead of SQL.
        #[arg(long)]
        script: bool,
        /// The target it belongs to.
        #[arg(long)]
        target: Option<String>,
    },
    /// Run a data operation from the scripts folder, or list them.
    Run {
        /// Its file name, with or without the extension, or its path.
        script: Option<String>,
        /// Arguments that a script gets; they follow `--`.
        #[arg(last = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
        /// Run it once more, although it ran already and has no guard.
        #[arg(long)]
        again: bool,
        /// Wait for another piton to end.
        #[arg(long)]
        wait: bool,
    },
    /// Tell what ran when, under which backup.
    History {
        /// Only these targets.
        #[arg(long)]
        target: Vec<String>,
        /// Print the text of this version as it ran.
        #[arg(long, value_name = "VERSION")]
        text: Option<String>,
    },
    /// Take a backup now.
    Backup {
        /// A word for the list.
        #[arg(long)]
        label: Option<String>,
        /// Wait for another piton to end.
        #[arg(long)]
        wait: bool,
    },
    /// List the backups, show one, pin or label it, copy them off the machine.
    #[command(args_conflicts_with_subcommands = true)]
    Backups {
        /// `latest`, an id or the beginning of one: show what is in it.
        id: Option<String>,
        /// List what lies off the machine.
        #[arg(long, conflicts_with = "id")]
        offsite: bool,
        /// What to do with one of them.
        #[command(subcommand)]
        action: Option<OfBackup>,
    },
    /// Read backups back and check every database in them.
    Verify {
        /// `latest`, an id or the beginning of one.
        #[arg(default_value = "latest")]
        id: String,
        /// All of them.
        #[arg(long)]
        all: bool,
        /// Read what lies off the machine.
        #[arg(long)]
        offsite: bool,
    },
    /// Restore a backup into a scratch folder, and look at what is in it.
    Drill {
        /// `latest`, an id or the beginning of one, a label, or a day.
        #[arg(default_value = "latest")]
        id: String,
        /// The tables and their rows are meant as they are: from now on earlier backups do not count.
        #[arg(long)]
        accept: bool,
    },
    /// Remove the backups that the rules of `[retention]` do not keep, here and off the machine.
    Prune {
        /// Show what would be removed and why the rest stays, and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// Wait for another piton to end.
        #[arg(long)]
        wait: bool,
    },
    /// Tell what differs between a backup and the live data, or between two backups.
    Diff {
        /// `latest`, an id or the beginning of one.
        #[arg(default_value = "latest")]
        first: String,
        /// The same, or `live`.
        #[arg(default_value = "live")]
        second: String,
        /// List the keys of the rows, so many of each kind and table [default: 20].
        #[arg(long, value_name = "COUNT", num_args = 0..=1, require_equals = true, default_missing_value = "20")]
        rows: Option<usize>,
        /// Only what this pattern means; may be given several times.
        #[arg(long, value_name = "GLOB")]
        only: Vec<String>,
        /// Exit with 3 if anything differs.
        #[arg(long)]
        exit_code: bool,
    },
    /// Put a backup back, after a backup of what is there now.
    Restore(Restore),
    /// Put back the backup that the last run took.
    Rollback(Rollback),
    /// Finish or revert an interrupted restore; every other command does so too.
    Recover {
        /// Wait for another piton to end.
        #[arg(long)]
        wait: bool,
    },
    /// Deploy: back up, rehearse, stop, migrate, start and prove the service, or bring it all back.
    Deploy(Deploy),
    /// Say what ran, where nothing else can tell; runs nothing.
    Adopt {
        /// Everything up to this version is done; 0 says that nothing is.
        #[arg(
            long,
            value_name = "VERSION",
            conflicts_with_all = ["accept", "renumbered", "forget"],
            required_unless_present_any = ["accept", "renumbered", "forget"]
        )]
        at: Option<String>,
        /// Accept the text of this version, which was edited after it ran.
        #[arg(long, value_name = "VERSION", conflicts_with = "forget")]
        accept: Option<String>,
        /// Files ran here under other numbers, or in one file or in several; up to VERSION, where the
        /// schema is the same after several of them.
        #[arg(
            long,
            value_name = "VERSION",
            num_args = 0..=1,
            conflicts_with_all = ["accept", "forget"]
        )]
        renumbered: Option<Option<String>>,
        /// Take back what was said of this version and of those behind it; what ran stays.
        #[arg(long, value_name = "VERSION", conflicts_with = "missing")]
        forget: Option<String>,
        /// Record also what the schema lacks; it stays visible as drift; what is only missing, `up --heal` makes.
        #[arg(long)]
        missing: bool,
        /// Only these targets.
        #[arg(long)]
        target: Vec<String>,
        /// Wait for another piton to end.
        #[arg(long)]
        wait: bool,
    },
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// What can be done with a backup.
#[derive(Debug, Subcommand)]
pub enum OfBackup {
    /// Show what is in it.
    Show {
        /// `latest`, an id or the beginning of one.
        id: String,
    },
    /// Keep it, whatever the rules of `[retention]` say.
    Pin {
        /// `latest`, an id or the beginning of one.
        id: String,
    },
    /// Leave it to the rules of `[retention]` again.
    Unpin {
        /// `latest`, an id or the beginning of one.
        id: String,
    },
    /// Give it a word for the list; without one, take the word away.
    Label {
        /// `latest`, an id or the beginning of one.
        id: String,
        /// The word.
        word: Option<String>,
    },
    /// Copy off the machine what is missing there, and remove there what its rules do not keep.
    Sync {
        /// Show what would be copied and removed, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

impl Command {
    /// The word that was typed.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Init { .. } => "init",
            Self::Status(_) => "status",
            Self::Plan(_) => "plan",
            Self::Check { .. } => "check",
            Self::Rehearse(_) => "rehearse",
            Self::Up(_) => "up",
            Self::New { .. } => "new",
            Self::Run { .. } => "run",
            Self::History { .. } => "history",
            Self::Backup { .. } => "backup",
            Self::Backups { .. } => "backups",
            Self::Verify { .. } => "verify",
            Self::Diff { .. } => "diff",
            Self::Drill { .. } => "drill",
            Self::Prune { .. } => "prune",
            Self::Restore(_) => "restore",
            Self::Rollback(_) => "rollback",
            Self::Recover { .. } => "recover",
            Self::Deploy(_) => "deploy",
            Self::Adopt { .. } => "adopt",
            Self::Completions { .. } => "completions",
            Self::Man => "man",
        }
    }
}

/// What was typed cannot be understood, or asks for help.
pub struct Usage {
    error: clap::Error,
    json: bool,
}

impl Usage {
    /// Prints it and returns the exit code.
    pub fn print(&self) -> u8 {
        let code = if self.error.use_stderr() { 2 } else { 0 };
        if self.json && code == 2 {
            let message = self.error.to_string();
            let document = serde_json::json!({
                "command": null, "outcome": "usage", "exit_code": 2,
                "error": { "message": message.trim(), "hint": "piton --help" },
            });
            println!("{document:#}");
        } else {
            // A closed pipe is no reason to complain.
            let _ = self.error.print();
        }
        code
    }
}

/// The definition of all arguments, for completions, the manual and the documentation test.
pub fn definition() -> clap::Command {
    Arguments::command()
}

/// Understands what was typed.
pub fn parse(words: &[OsString]) -> Result<Arguments, Usage> {
    let json = words.iter().any(|word| word == "--json" || word == "--json=true")
        || std::env::var("PITON_JSON")
            .is_ok_and(|value| ["1", "true", "yes", "on"].contains(&&*value));
    let usage = |error| Usage { error, json };
    let matches = definition().try_get_matches_from(words).map_err(usage)?;
    Arguments::from_arg_matches(&matches).map_err(usage)
}
