//! `constraint-lost`, `sequence-lost`: what a rebuilt table no longer holds its rows to.

use super::{
    lineage::{AllFacts, Column, Drop, Facts, Lineage},
    scene::{Amount, Knowledge, Scene, ask},
};
use crate::{
    plan::finding::{Finding, Severity},
    schema::{ObjectKind, Part},
    sql::class,
};
use std::sync::Arc;

/// The findings.
pub fn analyze(scene: &Scene<'_>, lineage: &Lineage) -> Vec<Finding> {
    let mut found = Vec::new();
    for dropped in &lineage.drops {
        let Some(rebuilt) = &dropped.rebuilt else { continue };
        let old = Old::of(lineage, dropped, &rebuilt.name);
        if scene.rows(lineage.tables[dropped.table].live.as_deref()) == Amount::Known(0) {
            continue;
        }
        // In a rebuild over several files an index may follow in a later one.
        let made = lineage.tables[rebuilt.heir].made;
        let is_one_file = made.is_some_and(|made| made.unit == rebuilt.at.unit);
        let at_end = lineage.ends.get(&rebuilt.at.unit).filter(|_| is_one_file);
        let all = at_end.unwrap_or(&lineage.facts);
        let name = Arc::from(rebuilt.name.as_str());
        let Some(facts) = all.get(&(ObjectKind::Table, name)) else { continue };
        let new = New { facts, all, name: &rebuilt.name };
        found.extend(new.lost(scene, dropped, &old));
        found.extend(sequence(scene, lineage, dropped, &old, &new));
    }
    found
}

/// The table before the rebuild: where its rows were copied aside and back, the one that was dropped
/// first.
struct Old<'a> {
    facts: &'a Facts,
    columns: &'a [Column],
}

impl<'a> Old<'a> {
    fn of(lineage: &'a Lineage, dropped: &'a Drop, name: &str) -> Self {
        let is_named = |other: &&Drop| lineage.tables[other.table].name == name;
        let before = lineage.drops.iter().filter(|other| other.at <= dropped.at);
        let first = before.rev().find(is_named).unwrap_or(dropped);
        Self { facts: &first.facts, columns: &lineage.tables[first.table].columns }
    }
}

/// The table after the rebuild.
struct New<'a> {
    facts: &'a Facts,
    all: &'a AllFacts,
    name: &'a str,
}

impl New<'_> {
    fn lost(&self, scene: &Scene<'_>, dropped: &Drop, old: &Old<'_>) -> Vec<Finding> {
        let lost = old.facts.iter().filter(|(part, text)| self.lacks(part, text, old));
        let findings = lost.map(|(part, definition)| {
            let what = match part {
                Part::PrimaryKey => format!("primary key {definition}"),
                _ => part.to_string(),
            };
            let message = format!("the rebuilt table `{}` no longer has the {what}", self.name);
            scene.finding(dropped.at, "constraint-lost", Severity::Warning, message)
        });
        findings.collect()
    }

    fn has_columns(&self, text: &str, old: &Old<'_>) -> bool {
        let words = class::mentions(text);
        let mut named = old.columns.iter().filter(|column| words.contains(&column.name));
        named.all(|column| self.facts.contains_key(&Part::Column(column.name.as_str().into())))
    }

    /// Whether a constraint is gone, and nothing of its kind took its place.
    fn lacks(&self, part: &Part, definition: &str, old: &Old<'_>) -> bool {
        if self.facts.contains_key(part) {
            return false;
        }
        match part {
            Part::Whole | Part::Column(_) => false,
            Part::Unique(columns) => {
                let keys = format!("({columns})");
                let is_key = self
                    .facts
                    .get(&Part::PrimaryKey)
                    .is_some_and(|key| **key == *keys || key.starts_with(&format!("{keys} ")));
                !is_key && !self.has_unique_index(columns) && self.has_columns(columns, old)
            }
            Part::PrimaryKey => self.has_columns(definition, old),
            Part::Check(check) => {
                let is_new =
                    |part: &Part| matches!(part, Part::Check(_)) && !old.facts.contains_key(part);
                !self.facts.keys().any(is_new) && self.has_columns(check, old)
            }
            Part::ForeignKey(key) => {
                let columns = |key: &str| key.split(" references ").next().map(str::to_string);
                let is_changed = |part: &Part| match part {
                    Part::ForeignKey(other) => columns(other) == columns(key),
                    _ => false,
                };
                let own = columns(key).unwrap_or_default();
                !self.facts.keys().any(is_changed) && self.has_columns(&own, old)
            }
        }
    }

    fn has_unique_index(&self, columns: &str) -> bool {
        let start = format!("unique on {} ", self.name);
        let end = format!("[{columns}]");
        self.all.iter().any(|((kind, _), facts)| {
            *kind == ObjectKind::Index
                && facts.get(&Part::Whole).is_some_and(|index| {
                    index.starts_with(&start) && index.ends_with(&end) && !index.contains(" where ")
                })
        })
    }
}

/// The numbers that AUTOINCREMENT has given out and that would be given out again.
fn sequence(
    scene: &Scene<'_>,
    lineage: &Lineage,
    dropped: &Drop,
    old: &Old<'_>,
    new: &New<'_>,
) -> Option<Finding> {
    let is_counted = |facts: &Facts| {
        facts.get(&Part::PrimaryKey).is_some_and(|key| key.ends_with(" autoincrement"))
    };
    if !is_counted(old.facts) {
        return None;
    }
    let is_set = scene.statements().any(|(_, step)| {
        step.trace.updates.contains_key("sqlite_sequence")
            || step.trace.inserts.contains("sqlite_sequence")
    });
    if is_set {
        return None;
    }
    let live = lineage.tables[dropped.table].live.as_deref()?;
    let message = match scene.knowledge {
        Knowledge::Live(connection) => {
            let key = old.facts.get(&Part::PrimaryKey)?;
            let column = key.strip_prefix('(')?.split(')').next()?;
            let text = crate::sql::quote;
            let last = ask(
                connection,
                &format!(
                    "SELECT seq FROM main.sqlite_sequence WHERE lower(name) = lower('{}')",
                    live.replace('\'', "''")
                ),
            )?;
            let highest = ask(
                connection,
                &format!("SELECT coalesce(max({}), 0) FROM main.{}", text(column), text(live)),
            )?;
            if last <= highest && is_counted(new.facts) {
                return None;
            }
            format!(
                "the rebuilt table `{}` would give out numbers again: {last} was the last one, and {highest} is the highest row",
                new.name
            )
        }
        _ if is_counted(new.facts) => return None,
        _ => format!("the rebuilt table `{}` is no longer AUTOINCREMENT", new.name),
    };
    let finding = scene.finding(dropped.at, "sequence-lost", Severity::Warning, message);
    Some(finding.hint("UPDATE sqlite_sequence after the copy"))
}
