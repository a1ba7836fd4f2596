//! `verify`: reads backups back.

use super::{Context, selector};
use crate::render::{Report, text};
use anyhow::Result;
use piton::project::Outcome;
use serde_json::json;

/// Reads one or all of them; the first that does not verify ends it.
pub fn run(context: &Context, id: &str, all: bool) -> Result<Report> {
    let chosen = if all { None } else { Some(selector(id)?) };
    let verified = context.project.verify(chosen.as_ref(), &context.teller)?;
    let mut human = String::new();
    for backup in &verified {
        human.push_str(&format!("{} {}\n", text::styled(text::GOOD, "verified"), backup.id()));
    }
    let outcome = if verified.is_empty() { Outcome::NothingToDo } else { Outcome::Done };
    if verified.is_empty() {
        human.push_str("no backup yet\n");
    }
    let ids: Vec<String> = verified.iter().map(|backup| backup.id().to_string()).collect();
    Ok(Report::new(outcome, json!({ "verified": ids }), human))
}
