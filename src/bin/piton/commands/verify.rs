//! `verify`: reads backups back.

use super::{Context, selector};
use crate::render::{Report, text};
use anyhow::Result;
use piton::{
    Kind,
    project::Outcome,
    store::{Checked, Noted, Verified},
};
use serde_json::{Value, json};

/// Where the backups lie that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// On this machine.
    Here,
    /// Off it.
    Offsite,
}

/// Reads one or all of them; ends with `damaged` where any does not verify.
pub fn run(context: &Context, id: Option<&String>, from: From) -> Result<Report> {
    let chosen = id.map(|id| selector(id)).transpose()?;
    let found = match from {
        From::Here => context.project.verify(chosen.as_ref(), &context.teller)?,
        From::Offsite => context.project.verify_offsite(chosen.as_ref(), &context.teller)?,
    };
    let mut human = String::new();
    for verified in &found.verified {
        human.push_str(&line(verified));
    }
    let problems = found.failures.iter();
    let problems: String = problems
        .map(|(_, error)| text::problem(&error.to_string(), error.hint().as_deref()))
        .collect();
    // A directory that cannot be read is no damage, so the first failure says what it is.
    let worst = found.failures.iter().map(|(_, error)| error.kind());
    let outcome = match worst.reduce(|one, other| if one == Kind::Damaged { one } else { other }) {
        Some(kind) => Outcome::Problem(kind),
        None if found.verified.is_empty() => Outcome::NothingToDo,
        None => Outcome::Done,
    };
    if outcome == Outcome::NothingToDo {
        human.push_str("no backup yet\n");
    }
    let verified: Vec<_> = found.verified.iter().map(|it| it.backup.id()).collect();
    let checks: Vec<_> = found.verified.iter().map(to_json).collect();
    let failures = found.failures.iter().map(
        |(id, error)| json!({ "backup": id, "message": error.to_string(), "hint": error.hint() }),
    );
    let failures: Vec<_> = failures.collect();
    let first = failures.first().cloned();
    let mut fields = json!({ "verified": verified, "checks": checks, "failures": failures });
    if let Some(first) = first {
        // Where every other command says what went wrong.
        fields["error"] = json!({ "message": first["message"], "hint": first["hint"] });
    }
    Ok(Report::new(outcome, fields, human).with_problems(problems))
}

fn line(verified: &Verified) -> String {
    let mut line = format!("{} {}", text::styled(text::GOOD, "verified"), verified.backup.id());
    if verified.checked == Checked::Archive {
        line.push_str(": the archive only, for want of an identity");
    }
    if verified.noted == Noted::ReadOnly {
        line.push_str(", not noted: the directory is read-only");
    }
    line.push('\n');
    for note in &verified.notes {
        line.push_str(&format!("  {} {note}\n", text::styled(text::NOTICE, "note:")));
    }
    line
}

fn to_json(verified: &Verified) -> Value {
    let Verified { backup, checked, noted, notes } = verified;
    json!({ "backup": backup.id(), "checked": checked, "noted": noted, "notes": notes })
}
