//! `adopt`: a person's word about what ran.

use super::{Context, selection, version};
use crate::render::{Report, text};
use anyhow::Result;
use piton::{
    lock::Patience,
    project::{MissingEffect, Outcome},
};
use serde_json::json;

/// What `--missing` asks for.
pub fn effect(missing: bool) -> MissingEffect {
    if missing { MissingEffect::Record } else { MissingEffect::Refuse }
}

/// Writes it into the ledgers; runs nothing.
pub fn run(
    context: &Context,
    (at, accept): (Option<&str>, Option<&str>),
    effect: MissingEffect,
    targets: &[String],
    patience: Patience,
) -> Result<Report> {
    let selection = selection(targets, None, false, false)?;
    let adopted = match (at, accept) {
        (Some(at), _) => context.project.adopt_at(
            &version(at)?,
            &selection,
            effect,
            patience,
            &context.teller,
        )?,
        (None, Some(accept)) => context.project.adopt_text(
            &version(accept)?,
            &selection,
            effect,
            patience,
            &context.teller,
        )?,
        (None, None) => Vec::new(),
    };
    let mut human = String::new();
    for database in &adopted {
        for migration in &database.migrations {
            let word = text::styled(text::GOOD, "recorded");
            human.push_str(&format!("{word} {}: {migration}\n", database.database.display()));
        }
    }
    let any = adopted.iter().any(|database| !database.migrations.is_empty());
    human.push_str(&text::next("piton status"));
    let outcome = if any { Outcome::Done } else { Outcome::NothingToDo };
    Ok(Report::new(outcome, json!({ "adopted": adopted }), human))
}
