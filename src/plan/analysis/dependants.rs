//! `object-lost`: triggers, indexes and views that a rebuild takes along and does not bring back.

use super::{
    lineage::Lineage,
    scene::{At, Scene},
};
use crate::{
    plan::finding::{Finding, Severity},
    schema::{ObjectKind, ObjectName, Part},
    sql::class,
};
use std::sync::Arc;

/// An object that went with a table.
struct Vanished {
    object: ObjectName,
    /// What it was.
    definition: Arc<str>,
    /// The statement that dropped the table.
    at: At,
    table: String,
}

/// The findings.
pub fn analyze(scene: &Scene<'_>, lineage: &Lineage) -> Vec<Finding> {
    let mut found = Vec::new();
    for unit in scene.of_units() {
        for vanished in vanished(scene, unit) {
            let Vanished { object, at, table, .. } = &vanished;
            // A table that is dropped and made again without its rows is another table.
            let is_another =
                lineage.drops.iter().any(|dropped| dropped.at == *at && dropped.rebuilt.is_none());
            if is_another {
                continue;
            }
            let is_there = lineage.facts.contains_key(&(object.kind, object.name.clone()));
            if is_there || !stays(scene, unit, table) || needs_what_is_gone(&vanished, lineage) {
                continue;
            }
            let message =
                format!("the {object} vanishes with the old table and is not created again");
            found.push(
                scene
                    .finding(*at, "object-lost", Severity::Denied, message)
                    .hint(format!("create the {object} again after the rename")),
            );
        }
    }
    found
}

/// The objects that go with a table and are not made again by the same file.
fn vanished(scene: &Scene<'_>, unit: &[At]) -> Vec<Vanished> {
    let mut gone: Vec<Vanished> = Vec::new();
    for &at in unit {
        let step = scene.step(at);
        let table = class::defined_object(scene.text(at)).map(|(_, name)| name).unwrap_or_default();
        for change in step.effect.changes.iter().filter(|change| change.part == Part::Whole) {
            match (&change.before, &change.after) {
                (_, Some(_)) => gone.retain(|it| it.object != change.object),
                (Some(before), None)
                    if change.object.kind != ObjectKind::Table && *change.object.name != *table =>
                {
                    let (object, definition) = (change.object.clone(), before.clone());
                    gone.push(Vanished { object, definition, at, table: table.clone() });
                }
                _ => {}
            }
        }
    }
    gone
}

/// Whether the last change of a table in this file leaves it there: with a table that is gone for good,
/// its indexes and triggers go too.
fn stays(scene: &Scene<'_>, unit: &[At], table: &str) -> bool {
    let mut changes = unit.iter().flat_map(|&at| &scene.step(at).effect.changes);
    changes
        .rfind(|change| *change.object.name == *table && change.part == Part::Whole)
        .is_some_and(|change| change.after.is_some())
}

/// Whether an index is over a column that the new table does not have.
fn needs_what_is_gone(vanished: &Vanished, lineage: &Lineage) -> bool {
    let dropped = lineage.drops.iter().find(|dropped| dropped.at == vanished.at);
    let (Some(dropped), Some(heir)) = (dropped, lineage.find(&vanished.table)) else {
        return false;
    };
    let words = class::mentions(&vanished.definition);
    let kept = &lineage.tables[heir].columns;
    vanished.object.kind == ObjectKind::Index
        && lineage.tables[dropped.table].columns.iter().any(|column| {
            let is_kept = kept.iter().any(|found| found.name == column.name);
            !is_kept && words.contains(&column.name)
        })
}
