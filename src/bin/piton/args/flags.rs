//! Flags of commands that have many, or share them.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Flags of `status`.
#[derive(Args, Debug)]
pub struct Status {
    /// What to look at.
    #[command(flatten)]
    pub look: Look,
    /// Show what the configuration names, and open nothing: every path, or rules for rsync.
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "lines", conflicts_with_all = ["target", "exit_code", "to", "out_of_order", "heal"])]
    pub paths: Option<PathsForm>,
}

/// How `status --paths` is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PathsForm {
    /// A name, a tab and a path on each line.
    Lines,
    /// Filter rules that keep a copy of the current folder away from data and backups.
    Rsync,
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
    /// Run although a rolled back deploy holds the migrations.
    #[arg(long)]
    pub lift_hold: bool,
}

/// Arguments of `restore`.
#[derive(Args, Debug)]
pub struct Restore {
    /// `latest`, an id or the beginning of one, a label, `yesterday`, or a day such as `2026-11-30`.
    #[arg(default_value = "latest")]
    pub id: String,
    /// The newest backup at this time (UTC), such as `2026-11-29 22:00`.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["id", "before", "undo"])]
    pub at: Option<String>,
    /// The newest backup before this time (UTC).
    #[arg(long, value_name = "TIME", conflicts_with_all = ["id", "undo"])]
    pub before: Option<String>,
    /// Unpack it into this folder instead of over the live data.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["undo", "hot", "dry_run", "save_lost"])]
    pub to: Option<PathBuf>,
    /// Only what this pattern matches, or one table, such as `app.db:orders`; may be given several times.
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// Undo the last restore: what it replaced takes its place again.
    #[arg(long, conflicts_with_all = ["only", "hot", "save_lost", "offsite"])]
    pub undo: bool,
    /// How to go about it.
    #[command(flatten)]
    pub back: Back,
}

/// Flags of `rollback`.
#[derive(Args, Debug)]
pub struct Rollback {
    /// With `--yes`: go back although rows that were written since the run get lost.
    #[arg(long)]
    pub lose_rows: bool,
    /// How to go about it.
    #[command(flatten)]
    pub back: Back,
}

/// Flags of `restore` and `rollback`.
#[derive(Args, Debug)]
pub struct Back {
    /// Fetch the backup from off the machine first, where it is not here.
    #[arg(long)]
    pub offsite: bool,
    /// Write into databases that a process has open: atomic for each, not over several.
    #[arg(long)]
    pub hot: bool,
    /// Show what would change, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Save the rows that get lost to this file, as SQL that puts them back.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub save_lost: Option<PathBuf>,
    /// Wait for another piton to end.
    #[arg(long)]
    pub wait: bool,
}
