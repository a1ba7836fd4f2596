//! `prune`: removes the backups that no rule keeps, and says why the others stay.

use super::{Context, offsite};
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
    let mut rendered = render(&report, "would be freed");
    if let Some(settings) = &context.project.config().offsite {
        let place = settings.location.to_string();
        let fields = match context.project.plan_offsite(&context.teller) {
            Ok(plan) => {
                rendered.human.push_str(&offsite::planned(&plan, &place));
                offsite::plan_to_json(&plan, &place)
            }
            // What was asked about the backups here is answered all the same.
            Err(error) => {
                rendered.problems.push_str(&offsite::caution(&error, &error.to_string()));
                json!({ "place": place, "failure": offsite::failure_to_json(&error) })
            }
        };
        rendered.json.insert("offsite".into(), fields);
    }
    Ok(rendered)
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
        "verdicts": verdicts(&report.verdicts),
        "removed": report.removed,
        "freed_bytes": if report.removed.is_empty() { 0 } else { bytes },
        "directory_bytes": report.directory_bytes,
        "offsite": report.offsite.as_ref().map(offsite::to_json),
    });
    let warning = offsite::warning(report.offsite.as_ref());
    if report.retention.is_empty() {
        let human = NO_RULES.to_string() + &offsite::line(report.offsite.as_ref());
        return Report::new(Outcome::NothingToDo, fields, human).with_problems(warning);
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
    human.push_str(&offsite::line(report.offsite.as_ref()));
    Report::new(outcome, fields, human).with_problems(warning)
}

fn line(verdict: &Verdict) -> String {
    let id = text::styled(text::STRONG, verdict.backup.as_str());
    format!("{id}  {:>9}  {verdict}\n", text::bytes(verdict.archive_bytes))
}

/// The verdicts for programs.
pub fn verdicts(verdicts: &[Verdict]) -> Vec<Value> {
    verdicts.iter().map(to_json).collect()
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
