//! `schema-only`, `mixed`, `no-guard`: what a file holds, and what remembers that it ran.

use super::scene::{At, Scene};
use crate::{
    plan::{
        finding::{Finding, Severity},
        timeline::StepKind,
    },
    schema::Part,
};
use std::collections::BTreeSet;

/// Whether migrations may hold data statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HouseRule {
    /// They may.
    #[default]
    Free,
    /// Migrations change schemas only; data operations are in the scripts folder.
    SchemaOnly,
}

/// The findings.
pub fn analyze(scene: &Scene<'_>, rule: HouseRule) -> Vec<Finding> {
    let mut found = Vec::new();
    for unit in scene.of_units() {
        found.extend(mixed(scene, unit, rule));
        found.extend(undeclared(scene, unit));
    }
    found
}

fn mixed(scene: &Scene<'_>, unit: &[At], rule: HouseRule) -> Option<Finding> {
    let kind = |at: &At| scene.step(*at).kind;
    let made = made(scene, unit);
    let data = unit.iter().filter(|at| kind(at) == StepKind::Data);
    // The copy of a rebuild is part of changing the schema.
    let own = *data.clone().find(|&&at| !fills(scene, at, &made))?;
    if rule == HouseRule::SchemaOnly {
        let message = "a data statement, and the house rule is that migrations change schemas only";
        let finding = scene.finding(own, "schema-only", Severity::Denied, message.into());
        return Some(finding.hint("move it to a file in the scripts folder"));
    }
    let first = *data.clone().next()?;
    let schema = unit.iter().any(|at| kind(at) == StepKind::Schema);
    (schema && !fills(scene, first, &made)).then(|| {
        let message = "schema and data in one file: stopped in the middle, only the schema tells how far it came";
        scene
            .finding(first, "mixed", Severity::Note, message.into())
            .hint("put the data statements into a file of their own, with a `skip-if:` line")
    })
}

/// The tables that a file makes.
fn made<'a>(scene: &'a Scene<'_>, unit: &[At]) -> BTreeSet<&'a str> {
    let changes = unit.iter().flat_map(|&at| &scene.step(at).effect.changes);
    changes
        .filter(|change| change.part == Part::Whole && change.before.is_none())
        .map(|change| &*change.object.name)
        .collect()
}

/// Whether a data statement fills one of these tables.
fn fills(scene: &Scene<'_>, at: At, made: &BTreeSet<&str>) -> bool {
    let trace = &scene.step(at).trace;
    let mut written = trace.inserts.iter().chain(trace.updates.keys()).chain(&trace.deletes);
    written.next().is_some_and(|table| made.contains(table.as_str()))
}

/// Data that nothing but the ledger remembers.
fn undeclared(scene: &Scene<'_>, unit: &[At]) -> Option<Finding> {
    // Of a statement that SQLite refuses, that is said, and nothing about when it runs.
    if unit.iter().any(|at| scene.step(*at).problem.is_some()) {
        return None;
    }
    let kinds = || unit.iter().map(|at| scene.step(*at).kind);
    let remembered = |kind| matches!(kind, StepKind::Schema | StepKind::Temporary);
    let only_data = !kinds().any(remembered) && kinds().any(|kind| kind != StepKind::Neutral);
    let unit = &scene.units[unit.first()?.unit];
    (only_data && unit.replayed.header.skip_if.is_none()).then(|| {
        Finding::new("no-guard", Severity::Note, "only the ledger will know whether it ran")
            .about(&unit.title)
            .hint("add a line `-- skip-if: SELECT …` that is true when it is done")
    })
}
