//! From verdicts to a plan: states, actions, and the findings that refuse it.

use super::{
    analysis::down_half,
    assess::{Assessed, Verdict},
    data::{malformed, truth},
    edited,
    finding::{Finding, Severity},
    model::{Action, Assessment, PlannedStatement, State},
    order::Unit,
    pieces,
    planner::{Healing, OutOfOrder, Request},
    timeline::{StepKind, Timeline},
};
use crate::{
    ledger::Witness,
    schema::{Change, Schema},
    sql::Statement,
};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// A plan in the making: verdicts become states, actions and findings.
pub struct Draft<'a> {
    /// What is planned.
    pub request: &'a Request<'a>,
    /// The units in replay order.
    pub units: &'a [Unit],
    /// Their timeline.
    pub timeline: &'a Timeline,
    /// The live schema.
    pub live: &'a Schema,
    /// The findings so far.
    pub findings: Vec<Finding>,
}

impl Draft<'_> {
    /// What would be done about each unit.
    pub fn assessments(&mut self, assessed: &Assessed, connection: &Connection) -> Vec<Assessment> {
        let newest_done = self
            .units
            .iter()
            .zip(&assessed.verdicts)
            .filter(|(_, verdict)| matches!(verdict, Verdict::Applied | Verdict::Recorded(_)))
            .map(|(unit, _)| unit.version.clone())
            .max();
        let pairs: Vec<_> = self.units.iter().enumerate().zip(&assessed.verdicts).collect();
        pairs
            .into_iter()
            .map(|((at, unit), verdict)| {
                let late = newest_done.as_ref().is_some_and(|newest| unit.version < *newest);
                self.findings.extend(down_half(unit));
                let (state, witness, action) = self.judge(at, unit, verdict, late);
                if !matches!(action, Action::None | Action::Record(_)) {
                    self.inspect(unit, connection);
                }
                Assessment {
                    version: unit.version.clone(),
                    title: unit.title.clone(),
                    migration: unit.file.clone(),
                    state,
                    witness,
                    action,
                    entry: unit.entry.clone(),
                }
            })
            .collect()
    }

    fn judge(
        &mut self,
        at: usize,
        unit: &Unit,
        verdict: &Verdict,
        late: bool,
    ) -> (State, Option<Witness>, Action) {
        let all = || (self.timeline.starts[at]..self.timeline.starts[at + 1]).collect::<Vec<_>>();
        match verdict {
            Verdict::Applied => self.applied(unit),
            Verdict::Recorded(witness) => {
                (State::Recorded, Some(*witness), Action::Record(*witness))
            }
            Verdict::Pending => self.pending(unit, State::Pending, late, &all()),
            Verdict::Resumed(steps) => self.pending(unit, State::Resumed, late, steps),
            Verdict::Again(steps) => self.pending(unit, State::Resumed, false, steps),
            Verdict::Drift { missing, facts } => self.drift(unit, missing, facts),
            Verdict::Conflict(facts) => {
                self.deny(
                    unit,
                    "conflict",
                    format!(
                        "`{}`: something else is where its effect would be:\n{}",
                        unit.title,
                        lines(facts)
                    ),
                    "bring the schema in line, or say that it is done: `piton adopt --at VERSION`",
                );
                (State::Conflict, None, Action::None)
            }
            Verdict::Dirty => {
                self.deny(unit, "dirty", format!(
                    "`{}` began on {} and did not end", unit.title, started(unit)
                ), "`piton rollback` goes back to before it; `piton adopt --at VERSION` says that it is done");
                (State::Dirty, Some(Witness::Run), Action::None)
            }
            Verdict::Undecided(reason) => {
                let (shown, further) = numbered(unit);
                self.deny(unit, "undecided", format!("`{}`: {reason}{shown}", unit.title), &format!(
                    "say up to where it is done: `piton adopt --at VERSION` (the last one that ran){further}, or \
                     add a line `-- skip-if: SELECT …` to `{}`", unit.title
                ));
                (State::Undecided, None, Action::None)
            }
        }
    }

    fn applied(&mut self, unit: &Unit) -> (State, Option<Witness>, Action) {
        let witness = unit.entry.as_ref().map(|entry| entry.witness);
        if unit.file.is_none() {
            let newest = self.request.migrations.last().map(|migration| &migration.version);
            if newest.is_none_or(|newest| unit.version > *newest) {
                self.deny(unit, "ahead", format!(
                    "the database is ahead of this checkout: `{}` ran here and is not among the files", unit.title
                ), "check out the release that has it, or go back to before it: `piton rollback`");
            } else {
                self.deny(
                    unit,
                    "missing",
                    format!("`{}` ran here, and its file is gone", unit.title),
                    "put the file back (`piton history --text VERSION` prints what ran)",
                );
            }
            return (State::Missing, witness, Action::None);
        }
        if unit.is_divergent() && pieces::is_another(unit) {
            self.deny(unit, "divergent", format!(
                "`{}` did not run here: another file with its number did, `{}`, which is gone", unit.title, unit.ran_title()
            ), &format!(
                "give `{}` a number of its own, and put `{}` back (`piton history --text {}` prints it)",
                unit.title, unit.ran_title(), unit.version
            ));
            return (State::Divergent, witness, Action::None);
        }
        if unit.is_divergent() {
            let entry = unit.entry.as_ref();
            let before = entry.map_or("", |entry| entry.text.as_str());
            let after = unit.file.as_ref().map_or("", |file| file.text.as_str());
            self.deny(unit, "divergent", format!(
                "`{}` was edited after it ran:\n{}", unit.title, edited::text_diff(before, after)
            ), &format!(
                "put the old text back and write the change as a new migration, or accept the new text: `piton adopt --accept {}`",
                unit.version
            ));
            return (State::Divergent, witness, Action::None);
        }
        (State::Applied, witness, Action::None)
    }

    fn pending(
        &mut self,
        unit: &Unit,
        state: State,
        late: bool,
        steps: &[usize],
    ) -> (State, Option<Witness>, Action) {
        if self.request.settings.last.as_ref().is_some_and(|last| unit.version > *last) {
            return (state, None, Action::None);
        }
        if late && self.request.settings.out_of_order == OutOfOrder::Refuse {
            self.deny(
                unit,
                "out-of-order",
                format!("`{}` is pending, though later migrations are applied", unit.title),
                "run it all the same: `piton up --out-of-order`, or give it a new number",
            );
            return (State::OutOfOrder, None, Action::None);
        }
        let action = if unit.replayed.is_script() {
            Action::Script
        } else {
            Action::Statements(self.planned(steps))
        };
        (state, None, action)
    }

    fn planned(&self, steps: &[usize]) -> Vec<PlannedStatement> {
        let steps = steps.iter().map(|&step| &self.timeline.steps[step]);
        steps
            .map(|step| PlannedStatement {
                index: step.statement,
                class: step.class.clone(),
                effect: step.effect.clone(),
                legacy: step.legacy,
            })
            .collect()
    }

    fn drift(
        &mut self,
        unit: &Unit,
        missing: &[usize],
        facts: &[Change],
    ) -> (State, Option<Witness>, Action) {
        let witness = unit.entry.as_ref().map(|entry| entry.witness);
        let only_schema =
            missing.iter().all(|&step| self.timeline.steps[step].kind == StepKind::Schema);
        let can_be_made = !missing.is_empty() && only_schema;
        let is_asked_for = self.request.settings.healing == Healing::Redo;
        if is_asked_for && can_be_made {
            return (State::Drift, witness, Action::Statements(self.planned(missing)));
        }
        // A person has said that it is done, and knew what was missing.
        let known = unit.entry.as_ref().is_some_and(|entry| {
            let objects: BTreeSet<&str> = entry.objects.lines().collect();
            entry.witness == Witness::Adopted
                && facts.iter().all(|it| objects.contains(it.object.to_string().as_str()))
        });
        let hint = match (can_be_made, known) {
            (true, _) => "`piton up --heal` makes just what is missing",
            (false, true) => "write a migration that brings the schema in line",
            (false, false) => {
                "bring the schema in line by hand, or put a backup back: `piton restore`"
            }
        };
        if known && !is_asked_for {
            self.findings.push(
                Finding::new(
                    "drift",
                    Severity::Warning,
                    format!(
                        "`{}` was adopted, and its effect is missing or different:\n{}",
                        unit.title,
                        lines(facts)
                    ),
                )
                .about(&unit.title)
                .hint(hint),
            );
            return (State::Drift, witness, Action::None);
        }
        let what =
            if witness == Some(Witness::Adopted) { "was adopted, and" } else { "ran here, but" };
        let (title, facts) = (&unit.title, lines(facts));
        let message = format!("`{title}` {what} its effect is missing or different:\n{facts}");
        self.deny(unit, "drift", message, hint);
        (State::Drift, witness, Action::None)
    }

    /// Findings about the header of a unit that would run.
    fn inspect(&mut self, unit: &Unit, connection: &Connection) {
        for (directive, query) in unit.replayed.header.queries() {
            if let Some(reason) = malformed(connection, query) {
                let message = format!("`{}`: `{directive}: {query}`: {reason}", unit.title);
                self.deny(unit, "declared", message, "correct the query in the file's header");
            }
        }
        for query in &unit.replayed.header.require {
            // A query about objects that do not exist yet is asked again when it is reached.
            if truth(connection, query) == Ok(false) {
                self.deny(
                    unit,
                    "require",
                    format!("`{}` requires what is not true: {query}", unit.title),
                    "make it true, then run `piton up` again",
                );
            }
        }
    }

    /// Findings about the database as a whole.
    pub fn general(&mut self, assessed: &Assessed, assessments: &[Assessment]) {
        if !assessed.choices.is_empty() {
            let places = assessed.choices.join("`, `");
            let message = format!(
                "the schema is the same after `{places}`: the database may stand at any of them"
            );
            self.findings.push(
                Finding::new("undecided", Severity::Denied, message)
                    .hint("say which: `piton adopt --at VERSION`"),
            );
        }
        if !assessed.extra.is_empty() {
            let acts = assessments.iter().any(Assessment::acts);
            let severity = if acts { Severity::Denied } else { Severity::Warning };
            let message = format!(
                "the database has what no migration made:\n{}",
                lines(&exchanged(&assessed.extra))
            );
            self.findings.push(Finding::new("drift", severity, message).hint(
                "write a migration that makes it, then run `piton up`: what is there already is recorded",
            ));
        }
        let drifted =
            assessments.iter().any(|found| matches!(found.state, State::Drift | State::Conflict));
        if drifted {
            let point = self.timeline.nearest(self.live);
            let unit = self.timeline.starts.iter().rposition(|&start| start < point);
            let nearest = unit.map_or("nothing", |unit| self.units[unit].title.as_str());
            let differences = self.timeline.differences(point, self.live);
            let message = format!(
                "the schema is nearest to that after `{nearest}`, with these differences:\n{}",
                lines(&exchanged(&differences))
            );
            self.findings.push(Finding::new("nearest", Severity::Note, message));
        }
    }

    fn deny(&mut self, unit: &Unit, code: &'static str, message: String, hint: &str) {
        self.findings
            .push(Finding::new(code, Severity::Denied, message).about(&unit.title).hint(hint));
    }
}

/// The statements of a half-run file with their numbers, and how to name the last one that ran.
fn numbered(unit: &Unit) -> (String, String) {
    let migration = &unit.replayed;
    let statements = migration.statements();
    if statements.len() < 2 {
        return Default::default();
    }
    let line = |(at, found): (usize, &Statement)| {
        let first = found.text(&migration.text).lines().next().unwrap_or_default();
        let text: String = first.chars().take(72).collect();
        format!("\n  {:>3}  {text}", at + 1)
    };
    let mut shown: String = statements.iter().enumerate().take(20).map(line).collect();
    if statements.len() > 20 {
        shown.push_str(&format!("\n  … and {} more", statements.len() - 20));
    }
    let further = format!(
        " or `piton adopt --at {}:STATEMENT` (the number of the last statement that ran, 0 for none)",
        unit.version
    );
    (shown, further)
}

fn started(unit: &Unit) -> String {
    unit.entry.as_ref().map_or_else(String::new, |entry| entry.started.clone())
}

/// Facts as lines, the first twenty: what is found (`before`) and what is wanted (`after`).
pub fn lines(changes: &[Change]) -> String {
    let distinct: BTreeSet<String> = changes.iter().map(line).collect();
    let count = distinct.len();
    let mut text = distinct.into_iter().take(20).collect::<Vec<_>>().join("\n");
    if count > 20 {
        text.push_str(&format!("\n  … and {} more", count - 20));
    }
    text
}

fn line(change: &Change) -> String {
    let place = change.place();
    match (&change.before, &change.after) {
        (None, Some(wanted)) if change.has_definition() => format!("  missing: {place}: {wanted}"),
        (None, Some(_)) => format!("  missing: {place}"),
        (Some(_), None) => format!("  not of the history: {place}"),
        (Some(found), Some(wanted)) => {
            format!("  different: {place}: is {found}, should be {wanted}")
        }
        (None, None) => format!("  {place}"),
    }
}

/// The same facts with found and wanted exchanged.
fn exchanged(changes: &[Change]) -> Vec<Change> {
    let exchange = |change: &Change| Change {
        before: change.after.clone(),
        after: change.before.clone(),
        ..change.clone()
    };
    changes.iter().map(exchange).collect()
}
