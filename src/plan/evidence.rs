//! What the live rows tell about data statements: whether one ran, or whether it would change
//! anything at all. Read only.

use super::{
    assess::Witnesses,
    data::{has_rows, is_idle},
    timeline::{Step, StepKind},
};
use crate::{
    schema::{ObjectKind, Part},
    sql::{class, rows},
};

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
                && rows::is_repeatable(migration.statements()[found.statement].text(&migration.text))
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

    /// Whether a step changes rows: a data statement, a script, or a DROP of something that the
    /// live database has rows in. Where the schema is the same before and after such a step, the
    /// schema does not tell whether it ran, and running it twice would cost.
    pub(super) fn touches_rows(&self, step: &Step) -> bool {
        if matches!(step.kind, StepKind::Data | StepKind::Script) {
            return true;
        }
        step.effect.changes.iter().any(|change| {
            let part = matches!(change.part, Part::Whole | Part::Column(_));
            change.object.kind == ObjectKind::Table
                && part
                && change.after.is_none()
                && self.live.fact(&change.object, &change.part).is_some()
                && has_rows(self.connection, &change.object.name) != Some(false)
        })
    }
}
