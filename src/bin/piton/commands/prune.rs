//! `prune`: removes the backups that no rule keeps, and says why the others stay.

use super::Context;
use crate::render::{Report, text};
use anyhow::Result;
use piton::{
    lock::Patience,
    project::{Outcome, PruneReport},
    store::retention::Verdict,
};
use serde_json::{Value, json};

const NO_RULES: &str = "nothing is ever pruned: there is no [retention] in piton.toml\n  \
    its keys: last, hourly, daily, weekly, monthly, yearly, within = \"30d\", max-size = \"20GiB\"\n";

/// Shows what would be removed.
pub fn plan(context: &Context) -> Result<Report> {
    let report = context.project.plan_prune(&context.teller)?;
    Ok(render(&report, "would be freed"))
}

/// Removes it.
pub fn run(context: &Context, patience: Patience) -> Result<Report> {
    let report = context.project.prune(patience, &context.teller)?;
    Ok(render(&report, "freed"))
}

fn render(report: &PruneReport, verb: &str) -> Report {
    let bytes: u64 = report.surplus().map(|verdict| verdict.archive_bytes).sum();
    let surplus = report.surplus().count();
    let fields = json!({
        "retention": (!report.retention.is_empty()).then_some(report.retention),
        "verdicts": report.verdicts.iter().map(to_json).collect::<Vec<_>>(),
        "removed": report.removed,
        "freed_bytes": if report.removed.is_empty() { 0 } else { bytes },
        "directory_bytes": report.directory_bytes,
    });
    if report.retention.is_empty() {
        return Report::new(Outcome::NothingToDo, fields, NO_RULES.into());
    }
    let mut human: String = report.verdicts.iter().map(line).collect();
    human.push_str(&match surplus {
        0 => format!("{}\n", text::styled(text::GOOD, "nothing to do")),
        _ => format!(
            "{}, {} {verb}\n",
            text::count(surplus, "backup", "backups"),
            text::bytes(bytes)
        ),
    });
    let outcome = if surplus == 0 { Outcome::NothingToDo } else { Outcome::Done };
    Report::new(outcome, fields, human)
}

fn line(verdict: &Verdict) -> String {
    let id = text::styled(text::STRONG, verdict.backup.as_str());
    format!("{id}  {:>9}  {verdict}\n", text::bytes(verdict.archive_bytes))
}

fn to_json(verdict: &Verdict) -> Value {
    json!({
        "backup": verdict.backup,
        "archive_bytes": verdict.archive_bytes,
        "verdict": if verdict.is_kept() { "keep" } else { "remove" },
        "reasons": verdict.keep,
        "over_size": verdict.over_size,
    })
}
