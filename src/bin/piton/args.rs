//! What can be typed. The doc comments are the help texts.

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    builder::BoolishValueParser,
};
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
10 damaged.";

/// Flags of every command; each is also a key of piton.toml and an environment variable.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The configuration file [default: piton.toml, where it exists].
    #[arg(long, global = true, env = "PITON_CONFIG", value_name = "FILE", help_heading = "Global")]
    pub config: Option<PathBuf>,
    /// The data directory [default: data].
    #[arg(long, global = true, env = "PITON_DATA", value_name = "DIR", help_heading = "Global")]
    pub data: Option<PathBuf>,
    /// The default database, inside the data directory [default: app.db].
    #[arg(
        long,
        global = true,
        env = "PITON_DATABASE",
        value_name = "FILE",
        help_heading = "Global"
    )]
    pub database: Option<PathBuf>,
    /// The migrations folder [default: migrations].
    #[arg(
        long,
        global = true,
        env = "PITON_MIGRATIONS",
        value_name = "DIR",
        help_heading = "Global"
    )]
    pub migrations: Option<PathBuf>,
    /// The scripts folder [default: scripts].
    #[arg(long, global = true, env = "PITON_SCRIPTS", value_name = "DIR", help_heading = "Global")]
    pub scripts: Option<PathBuf>,
    /// The backups directory [default: backups].
    #[arg(long, global = true, env = "PITON_BACKUPS", value_name = "DIR", help_heading = "Global")]
    pub backups: Option<PathBuf>,
    /// A pattern of what a backup leaves out; may be given several times.
    #[arg(
        long,
        global = true,
        env = "PITON_EXCLUDE",
        value_name = "GLOB",
        value_delimiter = ',',
        help_heading = "Global"
    )]
    pub exclude: Vec<String>,
    /// How long to wait for another writer [default: 5s].
    #[arg(
        long,
        global = true,
        env = "PITON_BUSY_TIMEOUT",
        value_name = "TIME",
        help_heading = "Global"
    )]
    pub busy_timeout: Option<String>,
    /// The time limit of scripts that declare none [default: 1h].
    #[arg(
        long,
        global = true,
        env = "PITON_SCRIPT_TIMEOUT",
        value_name = "TIME",
        help_heading = "Global"
    )]
    pub script_timeout: Option<String>,
    /// How long a backup may hold up writers [default: 2s].
    #[arg(
        long,
        global = true,
        env = "PITON_BARRIER_LIMIT",
        value_name = "TIME",
        help_heading = "Global"
    )]
    pub barrier_limit: Option<String>,
    /// Hold migrations to schema changes only, in `check` [default: false].
    #[arg(long, global = true, env = "PITON_SCHEMA_ONLY", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), help_heading = "Global")]
    pub schema_only: Option<bool>,
    /// Print one JSON document.
    #[arg(long, global = true, env = "PITON_JSON", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), help_heading = "Global")]
    pub json: Option<bool>,
    /// Do not ask.
    #[arg(long, short, global = true, env = "PITON_YES", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), help_heading = "Global")]
    pub yes: Option<bool>,
    /// Print only what went wrong.
    #[arg(long, short, global = true, env = "PITON_QUIET", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), help_heading = "Global")]
    pub quiet: Option<bool>,
    /// Whether to use colour [default: auto].
    #[arg(long, global = true, env = "PITON_COLOR", value_name = "WHEN", help_heading = "Global")]
    pub color: Option<Color>,
}

/// Whether to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a commented piton.toml, the folders and deploy.sh; what exists stays as it is.
    Init {
        /// Where.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Tell where every database stands, and what to type next.
    Status(Look),
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
        /// Its file name, with or without the extension.
        script: Option<String>,
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
    /// List the backups, show one, pin or label it.
    #[command(args_conflicts_with_subcommands = true)]
    Backups {
        /// `latest`, an id or the beginning of one: show what is in it.
        id: Option<String>,
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
    },
    /// Remove the backups that the rules of `[retention]` do not keep.
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
    },
    /// Put a backup back, after a backup of what is there now.
    Restore(Restore),
    /// Put back the backup that the last run took.
    Rollback(Back),
    /// Finish or revert an interrupted restore; every other command does so too.
    Recover {
        /// Wait for another piton to end.
        #[arg(long)]
        wait: bool,
    },
    /// Say what ran, where nothing else can tell; runs nothing.
    Adopt {
        /// Everything up to this version is done; 0 says that nothing is.
        #[arg(
            long,
            value_name = "VERSION",
            conflicts_with = "accept",
            required_unless_present = "accept"
        )]
        at: Option<String>,
        /// Accept the text of this version, which was edited after it ran.
        #[arg(long, value_name = "VERSION")]
        accept: Option<String>,
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
}

/// Flags of `status` and `plan`.
#[derive(Args, Debug)]
pub struct Look {
    /// Only these targets.
    #[arg(long)]
    pub target: Vec<String>,
    /// End with 3 where something is pending, with 4 where the plan is refused.
    #[arg(long)]
    pub exit_code: bool,
    /// Nothing behind this version.
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Plan older pending migrations too.
    #[arg(long)]
    pub out_of_order: bool,
    /// Plan to redo what is missing of applied migrations.
    #[arg(long)]
    pub heal: bool,
}

/// Flags of `rehearse`.
#[derive(Args, Debug)]
pub struct Rehearse {
    /// Only these targets.
    #[arg(long)]
    pub target: Vec<String>,
    /// Nothing behind this version.
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Wait for another piton to end.
    #[arg(long)]
    pub wait: bool,
    /// Run older pending migrations too.
    #[arg(long)]
    pub out_of_order: bool,
    /// Redo what is missing of applied migrations.
    #[arg(long)]
    pub heal: bool,
}

/// Flags of `up`.
#[derive(Args, Debug)]
pub struct Up {
    /// Only these targets.
    #[arg(long)]
    pub target: Vec<String>,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Rehearse on a copy first; the live data is not touched where that fails.
    #[arg(long, conflicts_with = "dry_run")]
    pub rehearse: bool,
    /// Nothing behind this version.
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Wait for another piton to end.
    #[arg(long)]
    pub wait: bool,
    /// Run older pending migrations too.
    #[arg(long)]
    pub out_of_order: bool,
    /// Redo what is missing of applied migrations.
    #[arg(long)]
    pub heal: bool,
}

/// Arguments of `restore`.
#[derive(Args, Debug)]
pub struct Restore {
    /// `latest`, an id or the beginning of one.
    #[arg(default_value = "latest")]
    pub id: String,
    /// Unpack it into this folder instead of over the live data.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["undo", "hot", "dry_run"])]
    pub to: Option<PathBuf>,
    /// Only what this pattern means; may be given several times.
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// Put back what the last restore replaced.
    #[arg(long, conflicts_with_all = ["only", "hot", "dry_run"])]
    pub undo: bool,
    /// How to go about it.
    #[command(flatten)]
    pub back: Back,
}

/// Flags of `restore` and `rollback`.
#[derive(Args, Debug)]
pub struct Back {
    /// Write into databases that a process has open: atomic for each, not over several.
    #[arg(long)]
    pub hot: bool,
    /// Show what would change, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Wait for another piton to end.
    #[arg(long)]
    pub wait: bool,
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
            Self::Prune { .. } => "prune",
            Self::Restore(_) => "restore",
            Self::Rollback(_) => "rollback",
            Self::Recover { .. } => "recover",
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
