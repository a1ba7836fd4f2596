//! `up`: back up, run what is pending, restore on failure.

use super::{Context, offsite, patience, plan, rehearse, selection};
use crate::{
    args::Up,
    interrupt::in_order,
    render::{Report, Screen, plan as shown, text},
};
use anyhow::Result;
use piton::{
    Kind,
    plan::{Action, DatabasePlan},
    project::{DatabaseReport, Outcome, Standing, UpOptions, UpReport},
};
use serde_json::{Value, json};

/// Brings every database to the end of its history.
pub fn run(context: &Context, options: &Up) -> Result<Report> {
    let selection =
        selection(&options.target, options.to.as_deref(), options.out_of_order, options.heal)?;
    if options.dry_run {
        let mut report = plan::of_selection(context, &selection, "piton up")?;
        if report.outcome == Outcome::Pending {
            report.outcome = Outcome::Done;
        }
        return Ok(report);
    }
    if options.rehearse {
        let rehearsed = rehearse::of_selection(context, &selection, options.wait)?;
        if rehearsed.outcome != Outcome::Done {
            return Ok(rehearsed);
        }
    }
    if options.lift_hold {
        context.project.lift_hold()?;
    }
    let options = UpOptions { selection, patience: patience(options.wait) };
    let report = in_order(|| context.project.up(&options, &context.teller))?;
    Ok(render(&report, context.screen))
}

fn render(report: &UpReport, screen: Screen) -> Report {
    let mut human = String::new();
    let mut problems = String::new();
    if let Some(backup) = &report.backup {
        human.push_str(&format!("backup  {backup}, verified\n"));
    }
    for database in &report.databases {
        for done in &database.done {
            let word = text::styled(text::GOOD, &format!("{:<8}", done.outcome));
            let time = text::styled(text::FAINT, &text::duration(done.milliseconds));
            human.push_str(&format!(
                "{word} {}: {} {time}\n",
                database.database.display(),
                done.migration
            ));
        }
        if let Some((error, migration)) = &database.failure {
            if let Some(migration) = migration {
                let word = text::styled(text::BAD, "failed  ");
                human.push_str(&format!("{word} {}: {migration}\n", database.database.display()));
            }
            if report.plans.len() > 1 {
                problems.push_str(&format!("{}:\n", database.database.display()));
            }
            problems.push_str(&text::failure(error));
        }
    }
    if report.outcome == Outcome::Problem(Kind::Refused) && report.databases.is_empty() {
        human.push_str(&shown::overview(&report.plans, &|_| String::new()));
    }
    let refused = report.plans.iter().filter(|plan| plan.denials().next().is_some());
    refused.for_each(|plan| problems.push_str(&shown::findings(plan)));
    if let Some(error) = &report.restore_failure {
        problems.push_str(&text::failure(error));
    }
    human.push_str(&offsite::line(report.offsite.as_ref()));
    let closing = closing(report);
    if report.outcome.exit_code() == 0 {
        human.push_str(&closing)
    } else {
        problems.push_str(&closing)
    }
    problems.push_str(&offsite::warning(report.offsite.as_ref()));
    Report::lazily(screen, report.outcome, || fields(report), human).with_problems(problems)
}

/// What a failed run leaves, in words.
fn left(report: &UpReport) -> String {
    if !report.keeps_anything() {
        return "everything is as before".into();
    }
    let is_kept = |database: &&DatabaseReport| database.standing == Standing::Kept;
    let (kept, back): (Vec<_>, Vec<_>) = report.databases.iter().partition(is_kept);
    let names: Vec<String> = back.iter().map(|it| it.database.display().to_string()).collect();
    let done = text::count(kept.len(), "other one is", "other ones are");
    format!("as before in {}; the {done} done", names.join(", "))
}

/// Whether its schema lacks what a person said is done, or has what no migration made.
pub fn has_drift(plan: &DatabasePlan) -> bool {
    plan.findings.iter().any(|finding| finding.code == "drift")
}

fn has_script(plan: &DatabasePlan) -> bool {
    plan.assessments.iter().any(|found| matches!(found.action, Action::Script))
}

fn closing(report: &UpReport) -> String {
    let backup = report.backup.as_ref().map_or_else(|| "none".to_string(), ToString::to_string);
    match report.outcome {
        Outcome::NothingToDo => {
            let any = report.plans.iter().any(|plan| !plan.assessments.is_empty());
            let differs = report.plans.iter().any(has_drift);
            let why = match (any, differs) {
                (_, true) => "no migration is pending, but the schema is not what they make",
                (true, false) => "every migration is applied",
                (false, false) => "there are no migrations yet",
            };
            let drifted = report.plans.iter().filter(|plan| has_drift(plan));
            let named: String = drifted.map(shown::findings).collect();
            format!("{named}{}: {why}\n", text::styled(text::GOOD, "nothing to do"))
        }
        Outcome::Done | Outcome::Pending => {
            let done: usize = report.databases.iter().map(|database| database.done.len()).sum();
            let what = text::count(done, "migration", "migrations");
            format!("{}: {what}. To go back: piton rollback\n", text::styled(text::GOOD, "done"))
        }
        Outcome::Problem(Kind::Refused) if report.keeps_anything() => format!(
            "{}: what is named above was not touched; {} done. To go back: piton rollback\n",
            text::styled(text::BAD, "refused in part"),
            text::count(report.databases.len(), "other database is", "other databases are"),
        ),
        Outcome::Problem(Kind::Refused) => {
            format!("{}: nothing was touched\n", text::styled(text::BAD, "refused"))
        }
        Outcome::Problem(Kind::Restored) => {
            let word = text::styled(text::BAD, "failed and restored");
            // A script may have changed what no backup holds.
            let left = match report.plans.iter().any(has_script) && !report.keeps_anything() {
                true => "what it holds is as before; what is excluded, or behind a link, is as the script left it".into(),
                false => left(report),
            };
            format!("{word}: the backup of this run ({backup}) was put back, {left}\n")
        }
        Outcome::Problem(Kind::NotRestored) => format!(
            "{}: the data is as the run left it; the backup before it is {backup}. \
             Stop the service, then: piton restore {backup} --yes\n",
            text::styled(text::BAD, "failed and NOT restored")
        ),
        Outcome::Problem(Kind::Interrupted) => {
            format!("{}: {}\n", text::styled(text::BAD, "interrupted"), left(report))
        }
        Outcome::Problem(_) => {
            format!("{}: {}\n", text::styled(text::BAD, "failed"), left(report))
        }
    }
}

fn fields(report: &UpReport) -> Value {
    let databases: Vec<Value> = report
        .databases
        .iter()
        .map(|database| {
            let failure = database.failure.as_ref().map(|(error, migration)| {
                json!({ "migration": migration, "message": error.to_string(), "hint": error.hint() })
            });
            json!({ "database": database.database, "ran": database.done, "standing": database.standing, "failure": failure })
        })
        .collect();
    json!({
        "backup": report.backup.as_ref().map(ToString::to_string),
        "ran": databases,
        "restore_failure": report.restore_failure.as_ref().map(ToString::to_string),
        "offsite": report.offsite.as_ref().map(offsite::to_json),
        "databases": report.plans.iter().map(shown::to_json).collect::<Vec<_>>(),
    })
}
