//! `drill`: what a restore of the newest backup shows.

use super::{Context, selector};
use crate::{
    interrupt::in_order,
    render::{Report, text},
};
use anyhow::Result;
use piton::project::{Alarm, Counts, DrillRecord, DrillReport, DrillResult, DrillStanding};
use serde_json::{Value, json};

/// Restores a backup into a scratch folder and says what is in it.
pub fn run(context: &Context, id: &str, counts: Counts) -> Result<Report> {
    let selector = selector(id)?;
    let report = in_order(|| context.project.drill(&selector, counts, &context.teller))?;
    let mut human = String::new();
    let (record, id) = (&report.record, report.backup.id());
    let word = match record.result {
        DrillResult::Proved => text::styled(text::GOOD, "proved"),
        _ => text::styled(text::BAD, "not proved:"),
    };
    human.push_str(&format!(
        "{word} {id} of {}, unpacked in {}, checked in {}\n",
        text::ago(report.backup.manifest.created, text::now()),
        time(record.unpack_ms),
        time(record.check_ms)
    ));
    let compared = text::count(report.compared, "earlier backup", "earlier backups");
    if report.compared > 0 {
        human.push_str(&format!("  counts compared with {compared}\n"));
    }
    for passed in &report.passed {
        human.push_str(&format!("  {passed}: well\n"));
    }
    for note in &report.notes {
        human.push_str(&format!("  {} {note}\n", text::styled(text::NOTICE, "note:")));
    }
    let problems: String = match problem(&report) {
        Some((message, hint)) => text::problem(&message, Some(&hint)),
        None => String::new(),
    };
    Ok(Report::new(report.outcome, fields(&report), human).with_problems(problems))
}

/// All alarms as one message, and what to do.
fn problem(report: &DrillReport) -> Option<(String, String)> {
    let alarms: Vec<&str> = report.alarms.iter().map(|alarm| alarm.message.as_str()).collect();
    let message = match alarms.as_slice() {
        [] => return None,
        [one] => (*one).to_string(),
        all => format!("the backup is not as it should be:\n  {}", all.join("\n  ")),
    };
    let id = report.backup.id();
    let hint = match report.alarms.iter().all(Alarm::is_about_counts) {
        true => format!(
            "look at the live data and at `piton diff {id}`; if it is meant: `piton drill {id} --accept`"
        ),
        false => format!("`piton restore {id} --to DIR` unpacks it, to look at what is in it"),
    };
    Some((message, hint))
}

fn fields(report: &DrillReport) -> Value {
    let mut fields = json!({
        "backup": report.backup.id(),
        "result": report.record.result,
        "alarms": report.alarms,
        "notes": report.notes,
        "passed": report.passed,
        "compared": report.compared,
        "timings": { "unpack": report.record.unpack_ms, "check": report.record.check_ms },
        "data_bytes": report.record.data_bytes,
        "accepted": report.record.accepted,
    });
    if let Some((message, hint)) = problem(report) {
        fields["error"] = json!({ "message": message, "hint": hint });
    }
    fields
}

/// What `status` says about drills.
pub fn standing(standing: &DrillStanding) -> String {
    let mut human = match &standing.proved {
        Some(proved) => format!("last proved: {}\n", told(proved)),
        None => format!(
            "{} no backup was proved by a drill yet: piton drill\n",
            text::styled(text::NOTICE, "note:")
        ),
    };
    if let Some(last) = &standing.last
        && last.result != DrillResult::Proved
    {
        human.push_str(&format!(
            "{} the drill of {}, {}, did not prove it: {}\n",
            text::styled(text::BAD, "note:"),
            last.backup,
            text::ago(last.at, text::now()),
            last.alarms.join("; ")
        ));
    }
    human
}

fn told(proved: &DrillRecord) -> String {
    format!(
        "{}, {}, restored in {}",
        proved.backup,
        text::ago(proved.at, text::now()),
        time(proved.unpack_ms.saturating_add(proved.check_ms))
    )
}

fn time(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{milliseconds} ms"),
        _ => format!("{} s", milliseconds / 1000),
    }
}
