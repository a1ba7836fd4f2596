//! Flags of `deploy`.

use clap::{Args, ValueEnum};

/// Flags of `deploy`.
#[derive(Args, Debug)]
pub struct Deploy {
    /// The release that becomes current; the current one where none is named.
    #[arg(long, value_name = "ID", conflicts_with_all = ["resume", "abort", "rollback", "status"])]
    pub release: Option<String>,
    /// Go on with a deploy that was cut off, or try again what failed on its way back.
    #[arg(long, conflicts_with_all = ["abort", "rollback", "status", "dry_run"])]
    pub resume: bool,
    /// Give a deploy up that was cut off, and bring the old state back.
    #[arg(long, conflicts_with_all = ["rollback", "status", "dry_run"])]
    pub abort: bool,
    /// Take the last deploy back although it went well: data, release and service.
    #[arg(long, conflicts_with_all = ["status"])]
    pub rollback: bool,
    /// Tell how the last deploy went, or where it is.
    #[arg(long, conflicts_with = "dry_run")]
    pub status: bool,
    /// With --status: end with the code of that deploy, with 14 while it is not finished.
    #[arg(long, requires = "status")]
    pub exit_code: bool,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Whether the service is restarted where nothing is pending.
    #[arg(long, value_enum, value_name = "WHEN")]
    pub restart: Option<When>,
    /// Deploy although a probe fails on the service that runs now.
    #[arg(long, conflicts_with_all = ["resume", "abort", "rollback", "status", "dry_run"])]
    pub ignore_failing_probes: bool,
    /// Print the report as Markdown, for a chat or a CI job.
    #[arg(long)]
    pub markdown: bool,
    /// Wait for another piton to end.
    #[arg(long)]
    pub wait: bool,
}

/// When a service is restarted where nothing is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// In any case: the code may be new.
    Always,
    /// Only where another release becomes current.
    WhenNeeded,
}
