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

/// What a person says.
pub enum Word<'a> {
    /// Everything up to a version, or up to a statement of it, is done.
    At(&'a str),
    /// The text of a version is right as it is now.
    Accept(&'a str),
    /// What was said of a version and of those behind it does not hold.
    Forget(&'a str),
    /// Files ran under other numbers, up to a version where one is named.
    Renumbered(Option<&'a str>),
}

/// Writes it into the ledgers; runs nothing.
pub fn run(
    context: &Context,
    word: Word<'_>,
    effect: MissingEffect,
    targets: &[String],
    patience: Patience,
) -> Result<Report> {
    let selection = selection(targets, None, false, false)?;
    let (project, teller) = (&context.project, &context.teller);
    let (verb, key) = match word {
        Word::Forget(_) => ("forgotten", "forgotten"),
        _ => ("recorded", "adopted"),
    };
    let adopted = match word {
        Word::At(at) => {
            let (at, statement) = statement(at)?;
            let last = (&version(at)?, statement);
            project.adopt_at(last, &selection, effect, patience, teller)?
        }
        Word::Accept(accept) => {
            project.adopt_text(&version(accept)?, &selection, effect, patience, teller)?
        }
        Word::Forget(from) => {
            project.forget_adopted(&version(from)?, &selection, patience, teller)?
        }
        Word::Renumbered(last) => {
            let last = last.map(version).transpose()?;
            project.adopt_renumbered(last.as_ref(), &selection, patience, teller)?
        }
    };
    let mut human = String::new();
    for database in &adopted {
        for migration in &database.migrations {
            let word = text::styled(text::GOOD, verb);
            human.push_str(&format!("{word} {}: {migration}\n", database.database.display()));
        }
    }
    let any = adopted.iter().any(|database| !database.migrations.is_empty());
    if !any {
        human.push_str(match word {
            Word::At(_) => {
                "nothing to do: the ledger has all of it; `piton adopt --forget VERSION` takes back what was said\n"
            }
            Word::Accept(_) => "nothing to do: the text that ran is the text of the file\n",
            Word::Forget(_) => "nothing to do: nothing was only said of it\n",
            Word::Renumbered(_) => "nothing to do: nothing ran under other numbers\n",
        });
    }
    human.push_str(&text::next("piton status"));
    let outcome = if any { Outcome::Done } else { Outcome::NothingToDo };
    Ok(Report::new(outcome, json!({ key: adopted }), human))
}
