//! The global flags: each is also a key of piton.toml and an environment variable.

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use std::path::PathBuf;

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
    /// How a backup is compressed: gzip, zstd or none [default: gzip].
    #[arg(
        long,
        global = true,
        env = "PITON_COMPRESSION",
        value_name = "KIND",
        help_heading = "Global"
    )]
    pub compression: Option<String>,
    /// An age recipient that backups are encrypted to; may be given several times.
    #[arg(
        long,
        global = true,
        env = "PITON_RECIPIENTS",
        value_name = "AGE1",
        value_delimiter = ',',
        help_heading = "Global"
    )]
    pub recipients: Vec<String>,
    /// The file of the age identity that opens encrypted backups.
    #[arg(
        long,
        global = true,
        env = "PITON_IDENTITY",
        value_name = "FILE",
        help_heading = "Global"
    )]
    pub identity: Option<PathBuf>,
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
