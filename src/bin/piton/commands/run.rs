//! `run`: a data operation by name.

use super::{Context, offsite};
use crate::{
    interrupt::in_order,
    render::{Report, text},
};
use anyhow::Result;
use piton::{
    Kind,
    project::{OperationOptions, OperationReport, Outcome},
};
use serde_json::json;

/// Lists what there is.
pub fn list(context: &Context) -> Result<Report> {
    let scripts = context.project.scripts()?;
    let mut human: String = scripts.iter().map(|name| format!("{name}\n")).collect();
    human.push_str(&text::next("piton run NAME (takes a backup first)"));
    Ok(Report::new(Outcome::Done, json!({ "scripts": scripts }), human))
}

/// Runs one.
pub fn run(context: &Context, options: &OperationOptions) -> Result<Report> {
    let report = in_order(|| context.project.run_script(options, &context.teller))?;
    Ok(render(&report))
}

/// What its queries gave, and how many rows of which tables it changed.
fn effects(report: &OperationReport) -> String {
    let mut human = String::new();
    for answer in &report.answers {
        human.push_str(&format!("{}\n", text::styled(text::STRONG, &answer.columns.join(" | "))));
        for row in &answer.rows {
            human.push_str(&format!("{}\n", row.join(" | ")));
        }
        if answer.more > 0 {
            human.push_str(&format!("… and {} more\n", answer.more));
        }
    }
    for change in &report.changes {
        let parts = [
            (change.inserted, "inserted"),
            (change.updated, "updated"),
            (change.deleted, "deleted"),
        ];
        let parts = parts.iter().filter(|(rows, _)| *rows > 0);
        let parts: Vec<String> = parts.map(|(rows, what)| format!("{rows} {what}")).collect();
        human.push_str(&format!("rows    {}: {}\n", change.table, parts.join(", ")));
    }
    let is_silent = report.changes.is_empty() && report.answers.is_empty();
    if report.outcome == Outcome::Done && is_silent && report.script.ends_with(".sql") {
        human.push_str("rows    none changed\n");
    }
    human
}

fn render(report: &OperationReport) -> Report {
    let mut human = String::new();
    let mut problems = String::new();
    let backup = report.backup.as_ref().map(ToString::to_string);
    if let Some(backup) = &backup {
        human.push_str(&format!("backup  {backup}, verified\n"));
    }
    human.push_str(&effects(report));
    for error in report.failure.iter().chain(&report.restore_failure) {
        problems.push_str(&text::failure(error));
    }
    let script = &report.script;
    match report.outcome {
        Outcome::NothingToDo => human.push_str(&format!(
            "{}: the guard of {script} says that it is done\n",
            text::styled(text::GOOD, "nothing to do")
        )),
        Outcome::Problem(Kind::Restored) => problems.push_str(&format!(
            "{}: the backup before it was put back\n",
            text::styled(text::BAD, "failed and restored")
        )),
        Outcome::Problem(Kind::NotRestored) => problems.push_str(&format!(
            "{}: stop the service, then: piton restore {} --yes\n",
            text::styled(text::BAD, "failed and NOT restored"),
            backup.as_deref().unwrap_or("latest")
        )),
        Outcome::Problem(Kind::Interrupted) => {
            problems.push_str(&format!(
                "{}: everything is as before\n",
                text::styled(text::BAD, "interrupted")
            ));
        }
        Outcome::Problem(_) => {
            problems.push_str(&format!(
                "{}: everything is as before\n",
                text::styled(text::BAD, "failed")
            ));
        }
        _ => human.push_str(&format!(
            "{}: {script}. To go back: piton rollback\n",
            text::styled(text::GOOD, "done")
        )),
    }
    human.push_str(&offsite::line(report.offsite.as_ref()));
    problems.push_str(&offsite::warning(report.offsite.as_ref()));
    let fields = json!({
        "script": script,
        "database": report.database,
        "backup": backup,
        "ran": report.done,
        "changes": report.changes,
        "answers": report.answers,
        "failure": report.failure.as_ref().map(|error| json!({ "message": error.to_string(), "hint": error.hint() })),
        "offsite": report.offsite.as_ref().map(offsite::to_json),
        "restore_failure": report.restore_failure.as_ref().map(ToString::to_string),
    });
    Report::new(report.outcome, fields, human).with_problems(problems)
}
