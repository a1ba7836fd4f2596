//! `adopt`: a person's word about what ran.

use super::{Context, selection, version};
use crate::render::{Report, text};
use anyhow::Result;
use piton::{
    error::ProjectError,
    lock::Patience,
    project::{MissingEffect, Outcome},
};
use serde_json::json;

/// A version, and the number of a statement in its file: `VERSION:STATEMENT`.
fn statement(at: &str) -> Result<(&str, Option<usize>)> {
    let Some((version, number)) = at.split_once(':') else { return Ok((at, None)) };
    let reason = || ProjectError::Setting {
        name: "--at".into(),
        reason: format!("`{number}` is not the number of a statement"),
    };
    let number = number.parse().map_err(|_| piton::Error::from(reason()))?;
    Ok((version, Some(number)))
}

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
        (Some(at), _) => {
            let (at, statement) = statement(at)?;
            let last = (&version(at)?, statement);
            context.project.adopt_at(last, &selection, effect, patience, &context.teller)?
        }
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
