//! `status`: where things stand, and what to type next.

use super::{Context, drill, offsite, surroundings};
use crate::{
    args::Look,
    render::{Report, plan as shown, text},
};
use anyhow::Result;
use piton::{
    Kind,
    plan::DatabasePlan,
    project::{InterruptedRun, Outcome, Overdue, Status},
};
use serde_json::json;

/// Looks, and changes nothing.
pub fn run(context: &Context, look: &Look) -> Result<Report> {
    let status = context.project.status(&super::looked_at(look)?, &context.teller)?;
    let state = surroundings::outcome(&status, overall(&status.plans));
    let details = |plan: &DatabasePlan| shown::states(plan) + &shown::findings(plan);
    let mut human = shown::overview(&status.plans, &details);
    if status.plans.is_empty() {
        human.push_str("no database, and no migration that would make one\n");
    }
    human.push_str(&surroundings::lines(&status, &context.project.config().migrations));
    if let Some(run) = &status.interrupted {
        human.push_str(&cut_off(run));
    }
    human.push_str(&notices(&status));
    human.push_str(&backups(&status));
    human.push_str(&status.overdue.as_ref().map(overdue).unwrap_or_default());
    human.push_str(&status.drill.as_ref().map(drill::standing).unwrap_or_default());
    human.push_str(&offsite::standing(status.offsite.as_ref(), status.backups));
    human.push_str(&match state {
        _ if status.worker.is_some() => text::next("piton status, when that process has ended"),
        Outcome::Pending if status.blocked.is_some() => {
            let hint = status.blocked.as_ref().and_then(piton::Error::hint);
            text::next(&hint.unwrap_or_else(|| "piton deploy --status".into()))
        }
        Outcome::Pending => text::next("piton plan shows what would be done, piton up does it"),
        Outcome::Problem(_) => text::next("follow a hint above, then piton status"),
        _ if status.plans.iter().any(super::up::has_drift) => text::next(
            "follow a hint above: no migration is pending, but the schema is not what they make",
        ),
        _ => format!("{}\n", text::styled(text::GOOD, "nothing to do")),
    });
    let fields = || {
        json!({
            "databases": status.plans.iter().map(shown::to_json).collect::<Vec<_>>(),
            "ignored": status.ignored.iter().map(|ignored| json!({ "path": ignored.path, "reason": ignored.reason })).collect::<Vec<_>>(),
            "not_understood": status.not_understood,
            "foreign_ledgers": surroundings::ledgers(&status),
            "interrupted": status.interrupted,
            "worker": status.worker,
            "blocked": status.blocked.as_ref().map(|error| json!({ "message": error.to_string(), "hint": error.hint() })),
            "failed": status.failed,
            "backups": status.backups,
            "drill": status.drill,
            "overdue": status.overdue,
            "offsite": status.offsite.as_ref().map(offsite::standing_to_json),
            "newest_backup": status.newest_backup.as_ref().map(|backup| backup.id().to_string()),
        })
    };
    let unread = surroundings::outcome(&status, Outcome::Done);
    let outcome = if look.exit_code { state } else { unread };
    Ok(Report::lazily(context.screen, outcome, fields, human))
}

/// Who works now, what holds runs up, and what failed last.
fn notices(status: &Status) -> String {
    let mut human = String::new();
    let note = text::styled(text::NOTICE, "note:");
    if let Some(worker) = &status.worker {
        let since =
            worker.since.map(|since| format!(", since {}", since.format("%Y-%m-%d %H:%M:%S UTC")));
        human.push_str(&format!(
            "{note} pid {} works on the data directory ({}{})\n",
            worker.pid,
            worker.command,
            since.unwrap_or_default()
        ));
    }
    if let Some(error) = &status.blocked {
        human.push_str(&format!("{note} {error}\n"));
    }
    if let Some(entry) = &status.failed {
        human.push_str(&format!("{note} the last thing that happened did not end well:\n"));
        human.push_str(&super::history::happening(entry));
    }
    human
}

/// A run that did not end: what it committed, and the two ways on.
pub fn cut_off(run: &InterruptedRun) -> String {
    let mut human = format!(
        "{} the run of {} was cut off{}\n",
        text::styled(text::BAD, "note:"),
        run.started.format("%Y-%m-%d %H:%M:%S UTC"),
        if run.left_nothing() { " before it committed anything" } else { "" }
    );
    if run.left_nothing() {
        return human;
    }
    for it in &run.databases {
        let committed = match it.committed.is_empty() {
            true => "nothing".into(),
            false => it.committed.join(", "),
        };
        human.push_str(&format!("  {}: committed {committed}\n", it.database.display()));
        for unfinished in &it.unfinished {
            human.push_str(&format!("    {unfinished} began and did not end\n"));
        }
    }
    let go_on = run.databases.iter().all(|it| it.unfinished.is_empty());
    human.push_str(match go_on {
        true => "  `piton up` goes on from there, `piton rollback` goes back to before it\n",
        false => "  `piton rollback` goes back to before it\n",
    });
    human
}

/// What the plans come to: refused, pending, or nothing to do.
pub fn overall(plans: &[DatabasePlan]) -> Outcome {
    if plans.iter().any(|plan| plan.denials().next().is_some()) {
        Outcome::Problem(Kind::Refused)
    } else if plans.iter().any(DatabasePlan::acts) {
        Outcome::Pending
    } else {
        Outcome::NothingToDo
    }
}

fn backups(status: &Status) -> String {
    match &status.newest_backup {
        None => "no backup yet\n".into(),
        Some(newest) => format!(
            "{}, the newest {} ({})\n",
            text::count(status.backups, "backup", "backups"),
            newest.id(),
            text::ago(newest.manifest.created, text::now())
        ),
    }
}

/// A promise that is not kept.
fn overdue(overdue: &Overdue) -> String {
    let note = text::styled(text::BAD, "note:");
    let hours = overdue.every_seconds / 3600;
    let every = match hours {
        24.. if hours % 24 == 0 => format!("{} d", hours / 24),
        _ => format!("{hours} h"),
    };
    match overdue.last {
        Some(last) => format!(
            "{note} the newest backup is of {}; one is promised every {every}: look at the timer, or piton backup\n",
            text::ago(last, text::now())
        ),
        None => format!("{note} no backup yet; one is promised every {every}: piton backup\n"),
    }
}
