//! `history`: what ran when, under which backup.

use super::{Context, selection};
use crate::render::{Report, text};
use anyhow::Result;
use piton::project::{HistoryRow, LogEntry, Outcome};
use serde_json::json;
use std::collections::BTreeSet;

/// So many things that happened are shown to a person.
const SHOWN: usize = 20;

/// Lists the rows of the ledgers, or prints the text of one.
pub fn run(context: &Context, targets: &[String], text_of: Option<&str>) -> Result<Report> {
    let rows =
        context.project.history(&selection(targets, None, false, false)?, &context.teller)?;
    if let Some(version) = text_of {
        let version = super::version(version)?;
        let found = rows.iter().rev().find(|row| row.entry.version == version);
        let wrong = || piton::error::HistoryError::NoSuchVersion { version: version.to_string() };
        let text =
            found.map(|row| row.entry.text.clone()).ok_or_else(|| piton::Error::from(wrong()))?;
        return Ok(Report::new(Outcome::Done, json!({ "text": text }), text).verbatim());
    }
    let mut human = String::new();
    let mut database = None;
    for row in &rows {
        if database != Some(&row.database) {
            human.push_str(&format!(
                "{}\n",
                text::styled(text::STRONG, &row.database.display().to_string())
            ));
            database = Some(&row.database);
        }
        human.push_str(&line(row, &rows));
    }
    let happened = context.project.logbook()?;
    if !happened.is_empty() {
        human.push_str(&format!("{}\n", text::styled(text::STRONG, "what else happened")));
        let first = happened.len().saturating_sub(SHOWN);
        happened[first..].iter().for_each(|entry| human.push_str(&happening(entry)));
        if first > 0 {
            human.push_str(&format!("  {first} earlier ones are in `piton history --json`\n"));
        }
    }
    if rows.is_empty() && happened.is_empty() {
        human.push_str("nothing has run yet\n");
        human.push_str(&text::next("piton plan"));
    }
    Ok(Report::new(Outcome::Done, json!({ "entries": rows, "happened": happened }), human))
}

/// Something that is in no ledger: a failure, a restore, a deploy.
pub fn happening(entry: &LogEntry) -> String {
    let about = entry.about.as_ref().map(|about| format!(" {about}")).unwrap_or_default();
    let backup = entry.backup.as_ref().map_or_else(|| "no backup".into(), ToString::to_string);
    let reason = entry.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let log = entry.log.as_ref().map(|log| format!(", log {}", log.display())).unwrap_or_default();
    let line = format!(
        "  {}  {:<11} {}{about} (user {} on {}, {backup}{log}){reason}",
        entry.started.format("%Y-%m-%d %H:%M:%S UTC"),
        entry.outcome,
        entry.command,
        entry.user,
        entry.host,
    );
    format!("{}\n", line.replace(char::is_control, " "))
}

fn line(row: &HistoryRow, all: &[HistoryRow]) -> String {
    let entry = &row.entry;
    let name = match entry.kind {
        piton::ledger::EntryKind::Operation => entry.name.clone(),
        _ => format!("{} {}{}", entry.version, entry.name, ran_as(row, all)),
    };
    let backup = entry.backup.as_deref().unwrap_or("no backup");
    let time = u64::try_from(entry.milliseconds).unwrap_or(0);
    format!(
        "  {}  {:<8} {:<7} {name} ({}, {backup})\n",
        text::time(&entry.started),
        entry.state.word(),
        entry.witness.word(),
        text::duration(time),
    )
}

/// What a row of `adopt --renumbered` ran as.
fn ran_as(row: &HistoryRow, all: &[HistoryRow]) -> String {
    let replaced: BTreeSet<i64> = row.entry.replaces().collect();
    if replaced.is_empty() {
        return String::new();
    }
    let is_replaced =
        |it: &&HistoryRow| it.database == row.database && replaced.contains(&it.entry.id);
    let names: BTreeSet<String> = all
        .iter()
        .filter(is_replaced)
        .map(|it| format!("{} {}", it.entry.version, it.entry.name))
        .collect();
    format!(", ran as {}", names.into_iter().collect::<Vec<_>>().join(", "))
}
