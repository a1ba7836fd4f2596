//! `rehearse`: the plan on a copy.

use super::{Context, patience, selection};
use crate::{
    args::Rehearse,
    render::{Report, plan as shown, text},
};
use anyhow::Result;
use piton::{
    Kind,
    project::{NotRehearsed, Outcome, RehearsalReport, Selection},
    rehearse::Reach,
};
use serde_json::{Value, json};

/// Rehearses, and changes nothing live.
pub fn run(context: &Context, options: &Rehearse) -> Result<Report> {
    let selection =
        selection(&options.target, options.to.as_deref(), options.out_of_order, options.heal)?;
    of_selection(context, &selection, options.wait)
}

/// The rehearsal of a selection.
pub fn of_selection(context: &Context, selection: &Selection, wait: bool) -> Result<Report> {
    let report = context.project.rehearse(selection, patience(wait), &context.teller)?;
    Ok(render(&report))
}

fn render(report: &RehearsalReport) -> Report {
    let mut human = String::new();
    let mut problems = String::new();
    for database in &report.databases {
        for done in &database.done {
            let word = text::styled(text::GOOD, &format!("{:<8}", done.outcome));
            human.push_str(&format!(
                "{word} copy of {}: {} {}\n",
                database.database.display(),
                done.migration,
                text::duration(done.milliseconds)
            ));
        }
        if let Some((error, _)) = &database.failure {
            problems.push_str(&text::failure(error));
        }
    }
    human.push_str(&scripts(report));
    for change in &report.live {
        problems.push_str(&text::problem(
            &format!("live data changed while it was rehearsed: {change}"),
            None,
        ));
    }
    for (database, comparison) in &report.comparisons {
        human.push_str(&format!(
            "{} afterwards:\n",
            text::styled(text::STRONG, &database.display().to_string())
        ));
        comparison.schema.iter().for_each(|line| human.push_str(&format!("  {line}\n")));
        for (table, rows) in &comparison.rows {
            let say =
                |count: Option<u64>| count.map_or_else(|| "none".into(), |count| count.to_string());
            human.push_str(&format!(
                "  rows of {table}: {} -> {}\n",
                say(rows.before),
                say(rows.after)
            ));
        }
        comparison.damage.iter().for_each(|line| problems.push_str(&text::problem(line, None)));
    }
    for again in &report.again {
        let message = format!("a second run would not be nothing: {again}");
        problems.push_str(&text::problem(
            &message,
            Some("a rerun must be harmless: correct the migration"),
        ));
    }
    if report.outcome == Outcome::Problem(Kind::Refused) {
        report.plans.iter().for_each(|plan| problems.push_str(&shown::findings(plan)));
    }
    match report.outcome {
        Outcome::NothingToDo => {
            human.push_str(&format!(
                "{}: every migration is applied\n",
                text::styled(text::GOOD, "nothing to do")
            ));
        }
        Outcome::Done => human.push_str(&format!(
            "{}: {}\n{}",
            text::styled(text::GOOD, "rehearsed"),
            match report.omissions() {
                Some(omissions) => format!("the rest works on a copy; {omissions}"),
                None => "it works on a copy, and a second run does nothing".into(),
            },
            text::next("piton up")
        )),
        _ if !report.live.is_empty() => problems.push_str(&format!(
            "{}: it reached the live data; `piton diff {id}` shows what is different since the backup \
             before it, `piton restore {id}` restores that\n",
            text::styled(text::BAD, "the rehearsal failed"),
            id = report.backup.as_ref().map(ToString::to_string).unwrap_or_default(),
        )),
        _ => problems.push_str(&format!(
            "{}: {}\n",
            text::styled(text::BAD, "the rehearsal failed"),
            match report.backup {
                Some(_) => "the live databases were compared, and are what they were",
                None => "nothing was touched",
            }
        )),
    }
    Report::new(report.outcome, fields(report), human).with_problems(problems)
}

/// What was done about each script, and what could not be rehearsed without one.
fn scripts(report: &RehearsalReport) -> String {
    let mut lines = String::new();
    for script in &report.scripts {
        let how = match &script.reach {
            Reach::Enclosed => "ran with the copy in the place of the data directory".into(),
            Reach::Named => "ran on the data directory that it was given, the copy".into(),
            Reach::LeftOut { reason } => format!("left out: {reason}"),
        };
        lines.push_str(&format!("script  {}: {how}\n", script.migration));
    }
    for part in &report.not_rehearsed {
        let names = part.migrations.join(", ");
        let NotRehearsed { database, reason, .. } = part;
        lines.push_str(&format!(
            "{} {}: {names}: a script before it was left out ({reason})\n",
            text::styled(text::NOTICE, "not rehearsed"),
            database.display()
        ));
    }
    lines
}

fn fields(report: &RehearsalReport) -> Value {
    let ran: Vec<Value> = report
        .databases
        .iter()
        .map(|database| {
            let failure = database.failure.as_ref().map(|(error, migration)| {
                json!({ "migration": migration, "message": error.to_string(), "hint": error.hint() })
            });
            json!({ "database": database.database, "ran": database.done, "failure": failure })
        })
        .collect();
    let comparisons: Vec<Value> = report
        .comparisons
        .iter()
        .map(|(database, comparison)| json!({ "database": database, "changes": comparison }))
        .collect();
    json!({
        "backup": report.backup.as_ref().map(ToString::to_string),
        "ran": ran,
        "comparisons": comparisons,
        "again": report.again,
        "scripts": report.scripts,
        "not_rehearsed": report.not_rehearsed,
        "live": report.live,
        "databases": report.plans.iter().map(shown::to_json).collect::<Vec<_>>(),
    })
}
