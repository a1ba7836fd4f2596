//! `check`: the migrations themselves.

use super::{Context, selection};
use crate::render::{Report, plan::finding, text};
use anyhow::Result;
use piton::project::{Outcome, Strictness};
use serde_json::json;

/// Checks, and changes nothing.
pub fn run(context: &Context, targets: &[String], strict: bool) -> Result<Report> {
    let strictness = if strict { Strictness::Warnings } else { Strictness::Denied };
    let (outcome, checked) =
        context.project.check(&selection(targets, None, false, false)?, strictness)?;
    let mut human = String::new();
    for target in &checked {
        for found in &target.findings {
            human.push_str(&finding(found, &target.target));
        }
        let migrations = text::count(target.migrations, "migration", "migrations");
        let findings = text::count(target.findings.len(), "finding", "findings");
        human.push_str(&format!("{}: {migrations}, {findings}\n", target.target));
    }
    human.push_str(&match outcome {
        Outcome::Done => format!("{}\n", text::styled(text::GOOD, "checked")),
        _ => format!("{}: see above\n", text::styled(text::BAD, "refused")),
    });
    Ok(Report::new(outcome, json!({ "targets": checked }), human))
}
