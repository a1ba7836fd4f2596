//! What the live rows tell about data statements: whether one ran, or whether it would change
//! anything at all. Read only.

use super::{
    assess::Witnesses,
    data::{has_rows, is_idle},
    timeline::{Step, StepKind},
};
use crate::{
    schema::{ObjectKind, ObjectName, Part},
    sql::{class, rows},
};
use std::{collections::BTreeSet, ops::Range};

impl Witnesses<'_> {
    /// How many of a unit's data statements, in their order, need not run: they ran, or they would
    /// change no row. None where nothing tells.
    ///
    /// Statements run in their order, so one that did not run means that none behind it did, and
    /// one that ran means that all before it did.
    pub(super) fn finished(&self, unit: usize, open: &[usize]) -> Option<usize> {
        let evidence: Vec<Option<bool>> = open.iter().map(|&step| self.ran(unit, step)).collect();
        let first_missing = evidence.iter().position(|ran| *ran == Some(false));
        let filled = open.iter().rposition(|&step| self.filled(unit, step) == Some(true));
        let certain = filled.map_or(0, |at| at + 1);
        let end = first_missing.unwrap_or(open.len());
        if end < certain {
            return None;
        }
        evidence[certain..end].iter().all(|ran| *ran == Some(true)).then_some(end)
    }

    /// Whether each of these data statements may run although it perhaps ran already.
    pub(super) fn repeatable(&self, unit: usize, open: &[usize]) -> bool {
        let migration = &self.units[unit].replayed;
        open.iter().all(|&step| {
            let found = &self.timeline.steps[step];
            found.kind == StepKind::Data
                && rows::is_repeatable(
                    migration.statements()[found.statement].text(&migration.text),
                )
        })
    }

    /// Whether a data statement need not run; none where nothing tells.
    fn ran(&self, unit: usize, step: usize) -> Option<bool> {
        let found = &self.timeline.steps[step];
        let migration = &self.units[unit].replayed;
        if found.kind == StepKind::Script {
            return None;
        }
        let text = migration.statements()[found.statement].text(&migration.text);
        if is_idle(self.connection, text) {
            return Some(true);
        }
        self.filled(unit, step)
    }

    /// Whether a statement ran, by the rows of a table that its own migration made and that no
    /// other statement of it fills.
    fn filled(&self, unit: usize, step: usize) -> Option<bool> {
        let found = &self.timeline.steps[step];
        let migration = &self.units[unit].replayed;
        let text = |number: usize| migration.statements()[number].text(&migration.text);
        if found.kind == StepKind::Script || !rows::is_insertion(text(found.statement)) {
            return None;
        }
        let table = class::written_table(text(found.statement))?;
        let steps = self.timeline.of_unit(unit);
        let made_here = steps.iter().any(|other| {
            other.statement < found.statement
                && other.effect.changes.iter().any(|change| {
                    *change.object.name == *table
                        && change.part == Part::Whole
                        && change.before.is_none()
                })
        });
        let writers = steps.iter().filter(|other| {
            other.kind == StepKind::Data
                && class::written_table(text(other.statement)).as_deref() == Some(&*table)
        });
        if !made_here || writers.count() != 1 {
            return None;
        }
        has_rows(self.connection, &table)
    }

    /// Whether steps change rows: data statements, scripts, or a DROP of something that the live
    /// database has rows in. Where the schema is the same before and after such steps, the schema
    /// does not tell whether they ran, and running them twice would cost.
    ///
    /// A rebuild of a table that the history never made is no such work: what it was before is
    /// taken from what it is now, so it is only natural that the rebuild seems to change nothing.
    pub(super) fn row_work(&self, between: Range<usize>) -> bool {
        let steps = &self.timeline.steps[between.clone()];
        let made: BTreeSet<&ObjectName> = steps
            .iter()
            .flat_map(|step| &step.effect.changes)
            .filter(|change| change.part == Part::Whole && change.before.is_none())
            .map(|change| &change.object)
            .collect();
        let rebuilds_base = made.iter().any(|name| self.timeline.first.objects.contains_key(*name));
        between.clone().any(|at| {
            let step = &self.timeline.steps[at];
            match step.kind {
                StepKind::Data if rebuilds_base => {
                    let table = self.written_at(at);
                    !table.is_some_and(|table| made.contains(&table))
                }
                StepKind::Data | StepKind::Script => true,
                _ => self.drops_rows(step, &made),
            }
        })
    }

    /// The table that a data step writes to.
    fn written_at(&self, at: usize) -> Option<ObjectName> {
        let unit = self.timeline.starts.iter().rposition(|&start| start <= at)?;
        let migration = &self.units.get(unit)?.replayed;
        let statement = &migration.statements()[self.timeline.steps[at].statement];
        let table = class::written_table(statement.text(&migration.text))?;
        Some(ObjectName::new(ObjectKind::Table, &table))
    }

    fn drops_rows(&self, step: &Step, made: &BTreeSet<&ObjectName>) -> bool {
        step.effect.changes.iter().any(|change| {
            let part = matches!(change.part, Part::Whole | Part::Column(_));
            let is_base = self.timeline.first.objects.contains_key(&change.object);
            change.object.kind == ObjectKind::Table
                && part
                && change.after.is_none()
                && !(is_base && made.contains(&change.object))
                && self.live.fact(&change.object, &change.part).is_some()
                && has_rows(self.connection, &change.object.name) != Some(false)
        })
    }
}
