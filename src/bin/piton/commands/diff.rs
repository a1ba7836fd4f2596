//! `diff`: what differs between two backups, or between one and the live data.

use super::{Context, selector};
use crate::render::{Report, text};
use anyhow::Result;
use piton::{
    difference::{DatabaseDifference, Difference, Presence, TableDifference, Value},
    project::{DiffReport, Opposite, Outcome},
};
use serde_json::json;

/// The two sides as they are called here.
struct Names {
    first: String,
    second: String,
}

/// Compares and lists what differs; `differing` is how it ends where anything does.
pub fn run(
    context: &Context,
    (first, second): (&str, &str),
    (only, keys): (&[String], Option<usize>),
    differing: Outcome,
) -> Result<Report> {
    let opposite: Opposite = second.parse()?;
    let keys = keys.unwrap_or(0);
    let found =
        context.project.diff(&selector(first)?, &opposite, (only, keys), &context.teller)?;
    let DiffReport { first, second, difference } = &found;
    let fields = json!({
        "first": first,
        "second": second.as_ref().map_or("live", |id| id.as_str()),
        "equal": difference.is_empty(),
        "databases": difference.databases,
        "files": difference.files,
    });
    let second = second.as_ref().map_or("the live data", |id| id.as_str()).to_string();
    let names = Names { first: first.to_string(), second };
    let human = human(difference, &names, keys);
    let outcome = if difference.is_empty() { Outcome::NothingToDo } else { differing };
    Ok(Report::new(outcome, fields, human))
}

fn human(difference: &Difference, names: &Names, keys: usize) -> String {
    let Names { first, second } = names;
    if difference.is_empty() {
        return format!("{}: {first} and {second}\n", text::styled(text::GOOD, "equal"));
    }
    let mut human = format!("- {first}\n+ {second}\n");
    for it in &difference.databases {
        human.push_str(&database(it, keys));
    }
    let files = &difference.files;
    for (sign, paths) in
        [("-", &files.only_first), ("+", &files.only_second), ("~", &files.changed)]
    {
        for path in paths {
            human.push_str(&format!("{sign} {path}\n"));
        }
    }
    human
}

fn database(found: &DatabaseDifference, keys: usize) -> String {
    let sign = match found.presence {
        Presence::Both => "~",
        Presence::OnlyFirst => "-",
        Presence::OnlySecond => "+",
    };
    let path = text::styled(text::STRONG, &found.path.to_string());
    let at = match (&found.first_position, &found.second_position) {
        (Some(first), Some(second)) if first == second => format!(", at {first}"),
        (None, None) => String::new(),
        (first, second) => {
            let say = |position: &Option<String>| position.clone().unwrap_or_else(|| "none".into());
            format!(", from {} to {}", say(first), say(second))
        }
    };
    let mut human = format!("{sign} database {path}{at}\n");
    if let Some(note) = &found.note {
        human.push_str(&format!("    {note}\n"));
    }
    for change in &found.schema {
        human.push_str(&format!("    {change}\n"));
    }
    for it in &found.tables {
        human.push_str(&table(it, keys));
    }
    human
}

fn table(found: &TableDifference, keys: usize) -> String {
    let TableDifference { table, only_first, only_second, changed, .. } = found;
    let mut human = format!("    {table}: -{only_first} +{only_second} ~{changed} rows");
    if let Some(note) = &found.note {
        human.push_str(&format!(" ({note})"));
    }
    human.push('\n');
    let kinds = [
        ("-", &found.keys.only_first, *only_first),
        ("+", &found.keys.only_second, *only_second),
        ("~", &found.keys.changed, *changed),
    ];
    for (sign, listed, all) in kinds {
        for key in listed {
            let values: Vec<String> = key.iter().map(value).collect();
            human.push_str(&format!("      {sign} {}\n", values.join(", ")));
        }
        let rest = all.saturating_sub(listed.len() as u64);
        if keys > 0 && rest > 0 && !listed.is_empty() {
            human.push_str(&format!("      {sign} and {rest} more\n"));
        }
    }
    human
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("'{}'", text.escape_debug()),
    }
}
