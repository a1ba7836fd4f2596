//! What lies off the machine: the list, the copying, and what other commands say about it.

use super::Context;
use crate::render::{Report, text};
use anyhow::Result;
use piton::{
    offsite::{self, Plan, Standing},
    project::Outcome,
};
use serde_json::{Value, json};

/// `backups --offsite`: the copies, and which of them are here too.
pub fn list(context: &Context) -> Result<Report> {
    let holdings = context.project.offsite_holdings(&context.teller)?;
    let here = context.project.backups()?.backups;
    let is_here = |copy: &offsite::Copy| here.iter().any(|backup| *backup.id() == copy.backup);
    let place = place(context);
    let mut human = String::new();
    for copy in &holdings.copies {
        human.push_str(&format!(
            "{}  {:>9}  {:<14}  {}\n",
            text::styled(text::STRONG, copy.backup.as_str()),
            text::bytes(copy.archive_bytes),
            text::ago(copy.backup.taken(), text::now()),
            if is_here(copy) { "here too" } else { "only there" },
        ));
    }
    for stray in &holdings.strays {
        let word = text::styled(text::NOTICE, "not a backup:");
        human.push_str(&format!("{word} {stray}\n"));
    }
    let bytes: u64 = holdings.copies.iter().map(|copy| copy.archive_bytes).sum();
    let count = text::count(holdings.copies.len(), "copy", "copies");
    human.push_str(&format!("{count}, {} in {place}\n", text::bytes(bytes)));
    let surplus = context.project.offsite_standing()?.map(|it| it.surplus).unwrap_or_default();
    let missing = here.iter().map(|backup| backup.id());
    let missing = missing.filter(|id| holdings.copy_of(id).is_none() && !surplus.contains(id));
    let missing = missing.count();
    human.push_str(&match (missing, holdings.copies.is_empty()) {
        (0, true) => text::next("piton backup"),
        (0, false) => text::next("piton restore ID --offsite puts one back"),
        (_, _) => {
            let missing = text::count(missing, "backup is", "backups are");
            format!(
                "{missing} only here\n{}",
                text::next("piton backups sync copies what is missing")
            )
        }
    });
    let copies: Vec<Value> = holdings.copies.iter().map(|copy| {
        json!({ "backup": copy.backup, "archive": copy.archive, "archive_bytes": copy.archive_bytes, "taken": copy.backup.taken(), "here": is_here(copy) })
    }).collect();
    let fields = json!({ "place": place, "copies": copies, "strays": holdings.strays });
    Ok(Report::new(Outcome::Done, fields, human))
}

/// `backups sync`: copies what is missing; here a failure is one of the command.
pub fn sync(context: &Context) -> Result<Report> {
    let report = context.project.sync_offsite(&context.teller)?;
    let mut fields = to_json(&report);
    let human = line(Some(&report));
    if let Some(error) = &report.failure {
        fields["error"] = failure_to_json(error);
        let report = Report::new(Outcome::Problem(error.kind()), fields, human);
        return Ok(report.with_problems(text::failure(error)));
    }
    let quiet = report.copied.is_empty() && report.removed.is_empty();
    let outcome = if quiet { Outcome::NothingToDo } else { Outcome::Done };
    let human = if quiet { idle(&report.place) } else { human };
    Ok(Report::new(outcome, fields, human))
}

/// `backups sync --dry-run`.
pub fn plan(context: &Context) -> Result<Report> {
    let plan = context.project.plan_offsite(&context.teller)?;
    let fields = plan_to_json(&plan, &place(context));
    let idle = plan.copy.is_empty() && plan.remove.is_empty();
    let outcome = if idle { Outcome::NothingToDo } else { Outcome::Done };
    Ok(Report::new(outcome, fields, planned(&plan, &place(context))))
}

/// What would be copied and removed, for programs.
pub fn plan_to_json(plan: &Plan, place: &str) -> Value {
    json!({
        "place": place,
        "copy": plan.copy,
        "remove": plan.remove,
        "surplus": plan.surplus,
        "verdicts": super::prune::verdicts(&plan.verdicts),
    })
}

/// What would be copied and removed, in words.
pub fn planned(plan: &Plan, place: &str) -> String {
    let mut human = String::new();
    for (ids, verb) in [(&plan.copy, "would be copied to"), (&plan.remove, "would be removed from")]
    {
        for id in ids {
            human
                .push_str(&format!("{} {verb} {place}\n", text::styled(text::STRONG, id.as_str())));
        }
    }
    if human.is_empty() {
        human = idle(place);
    }
    human
}

fn idle(place: &str) -> String {
    let word = text::styled(text::GOOD, "nothing to do");
    format!("{word}: {place} has every backup that it should\n")
}

/// What a command says about the copies that it made.
pub fn line(report: Option<&offsite::Report>) -> String {
    let Some(report) = report else { return String::new() };
    let mut human = String::new();
    let word = text::styled(text::GOOD, "copied");
    human.push_str(&match report.copied.as_slice() {
        [] => String::new(),
        [one] => format!("{word}  {one} to {}\n", report.place),
        all => format!("{word}  {} backups to {}\n", all.len(), report.place),
    });
    if !report.removed.is_empty() {
        let count = text::count(report.removed.len(), "old copy", "old copies");
        human.push_str(&format!("removed  {count} from {}\n", report.place));
    }
    human
}

/// What a command that did its own work says about copies that could not be made.
pub fn warning(report: Option<&offsite::Report>) -> String {
    let Some((report, error)) = report.and_then(|it| Some((it, it.failure.as_ref()?))) else {
        return String::new();
    };
    let only = text::count(report.only_here.len(), "backup is", "backups are");
    caution(error, &format!("{error}; {only} only here"))
}

/// A failure that is none of the command.
pub fn caution(error: &piton::Error, message: &str) -> String {
    let mut text = format!("{} {message}\n", text::styled(text::NOTICE, "warning:"));
    if let Some(hint) = error.hint() {
        text.push_str(&format!("  {} {hint}\n", text::styled(text::STRONG, "hint:")));
    }
    text
}

/// The same for programs.
pub fn to_json(report: &offsite::Report) -> Value {
    json!({
        "place": report.place,
        "copied": report.copied,
        "removed": report.removed,
        "only_here": report.only_here,
        "failure": report.failure.as_ref().map(failure_to_json),
    })
}

/// An error for programs.
pub fn failure_to_json(error: &piton::Error) -> Value {
    json!({ "message": error.to_string(), "hint": error.hint() })
}

/// What `status` says, without asking the place.
pub fn standing(standing: Option<&Standing>, backups: usize) -> String {
    let Some(standing) = standing else { return String::new() };
    if standing.only_here.is_empty() {
        return match backups {
            0 => String::new(),
            _ if standing.surplus.is_empty() => {
                format!("all of them copied to {}\n", standing.place)
            }
            _ => format!("copied to {}, all but those that its rules drop\n", standing.place),
        };
    }
    let only = text::count(standing.only_here.len(), "backup is", "backups are");
    let word = text::styled(text::NOTICE, "only here:");
    let mut human = format!("{word} {only} not copied to {}\n", standing.place);
    if let Some(failure) = &standing.failure {
        let ago = text::ago(failure.at, text::now());
        human.push_str(&format!("  the last attempt failed {ago}: {}\n", failure.message));
    }
    human.push_str(&text::next("piton backups sync"));
    human
}

/// The same for programs.
pub fn standing_to_json(standing: &Standing) -> Value {
    let failure = standing.failure.as_ref();
    json!({
        "place": standing.place,
        "only_here": standing.only_here,
        "failure": failure.map(|it| json!({ "at": it.at, "message": it.message, "hint": it.hint })),
    })
}

fn place(context: &Context) -> String {
    let settings = context.project.config().offsite.as_ref();
    settings.map(|settings| settings.location.to_string()).unwrap_or_default()
}
