//! What the live rows tell about data statements: whether one ran, or whether it would change
//! anything at all. Read only.

use super::{
    assess::Witnesses,
    data::{has_rows, is_idle},
    timeline::StepKind,
};
use crate::{
    schema::{ObjectKind, ObjectName, Part},
    sql::{class, fold, rows},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Range, RangeInclusive},
};

/// By folded table, how many data statements of a unit write to it.
type Writers = BTreeMap<String, usize>;

impl Witnesses<'_> {
    /// How many of a unit's data statements, in their order, need not run: they ran, or they would
    /// change no row. None where nothing tells.
    ///
    /// Statements run in their order, so one that did not run means that none behind it did, and
    /// one that ran means that all before it did.
    pub(super) fn finished(&self, unit: usize, open: &[usize]) -> Option<usize> {
        let writers = self.writers(unit);
        let evidence: Vec<Option<bool>> =
            open.iter().map(|&step| self.ran(unit, step, &writers)).collect();
        let first_missing = evidence.iter().position(|ran| *ran == Some(false));
        let filled = open.iter().rposition(|&step| self.filled(unit, step, &writers) == Some(true));
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
        let text = |statement: usize| migration.statements()[statement].text(&migration.text);
        let steps = self.timeline.of_unit(unit).iter();
        // A temporary table is filled anew from rows that the first run may have changed.
        let temporary: BTreeSet<String> = steps
            .filter(|step| step.kind == StepKind::Temporary)
            .filter_map(|step| class::defined_object(text(step.statement)).map(|(_, name)| name))
            .collect();
        open.iter().all(|&step| {
            let found = &self.timeline.steps[step];
            let text = text(found.statement);
            found.kind == StepKind::Data
                && rows::is_repeatable(text)
                && !self.triggers(text)
                && class::mentions(text).is_disjoint(&temporary)
        })
    }

    /// Whether a statement writes to what has a trigger: that does more than the statement says.
    fn triggers(&self, text: &str) -> bool {
        let table = class::written_table(text);
        self.live.objects.iter().any(|(name, object)| {
            name.kind == ObjectKind::Trigger
                && table.as_ref().is_none_or(|table| *table == fold(&object.table))
        })
    }

    /// How many data statements of a unit write to each table.
    fn writers(&self, unit: usize) -> Writers {
        let migration = &self.units[unit].replayed;
        let mut writers = Writers::new();
        let mut last = None;
        let steps = self.timeline.of_unit(unit).iter();
        for step in steps.filter(|step| step.kind == StepKind::Data) {
            let statement = &migration.statements()[step.statement];
            if !statement.repeats {
                last = class::written_table(statement.text(&migration.text));
            }
            if let Some(table) = &last {
                *writers.entry(table.clone()).or_default() += 1;
            }
        }
        writers
    }

    /// Whether a data statement need not run; none where nothing tells.
    fn ran(&self, unit: usize, step: usize, writers: &Writers) -> Option<bool> {
        let found = &self.timeline.steps[step];
        let migration = &self.units[unit].replayed;
        if found.kind == StepKind::Script {
            return None;
        }
        let text = migration.statements()[found.statement].text(&migration.text);
        if is_idle(self.connection, text) {
            return Some(true);
        }
        self.filled(unit, step, writers)
    }

    /// Whether a statement ran, by the rows of a table that its own migration made and that no
    /// other statement of it fills.
    fn filled(&self, unit: usize, step: usize, writers: &Writers) -> Option<bool> {
        let found = &self.timeline.steps[step];
        let migration = &self.units[unit].replayed;
        let text = |number: usize| migration.statements()[number].text(&migration.text);
        if found.kind == StepKind::Script || !rows::is_insertion(text(found.statement)) {
            return None;
        }
        let table = class::written_table(text(found.statement))?;
        if writers.get(&table) != Some(&1) {
            return None;
        }
        let steps = self.timeline.of_unit(unit);
        let made_here = steps.iter().any(|other| {
            let made = text(other.statement);
            // A table that is renamed or copied into its place has rows of its own.
            let is_empty =
                class::renamed_table(made).is_none() && rows::copied_rows(made).is_none();
            other.statement < found.statement
                && is_empty
                && other.effect.changes.iter().any(|change| {
                    *change.object.name == *table
                        && change.part == Part::Whole
                        && change.before.is_none()
                })
        });
        if !made_here {
            return None;
        }
        has_rows(self.connection, &table)
    }

    /// Whether steps change rows: data statements, scripts, or a DROP of something that the live
    /// database has rows in. Where the schema is the same before and after such steps, the schema
    /// does not tell whether they ran, and running them twice would cost.
    ///
    /// The steps are those from the points at which the schema is the live one `first` up to a later
    /// such point. Data statements at `first` itself count as well, unless the rows tell that they
    /// ran: at the later point they would all be taken to have run.
    ///
    /// A rebuild of a table that the history never made is no such work: what it was before is
    /// taken from what it is now, so it is only natural that the rebuild seems to change nothing.
    pub(super) fn row_work(&self, first: &RangeInclusive<usize>, later: usize) -> bool {
        let between = *first.end()..later;
        let made: BTreeSet<&ObjectName> = self.timeline.steps[between.clone()]
            .iter()
            .flat_map(|step| &step.effect.changes)
            .filter(|change| change.part == Part::Whole && change.before.is_none())
            .map(|change| &change.object)
            .collect();
        let rebuilds_base = made.iter().any(|name| self.timeline.first.objects.contains_key(*name));
        let open = (*first.start()..*first.end()).any(|at| {
            let lasts = matches!(self.timeline.steps[at].kind, StepKind::Data | StepKind::Script);
            let ran = |unit| self.ran(unit, at, &self.writers(unit)) == Some(true);
            lasts && !self.unit_of(at).is_some_and(ran)
        });
        open || between.clone().any(|at| match self.timeline.steps[at].kind {
            StepKind::Data if rebuilds_base => {
                !self.written_at(at).is_some_and(|table| self.makes(at, &table))
            }
            StepKind::Data | StepKind::Script => true,
            _ => self.drops_rows(between.start..at, &made),
        })
    }

    /// Whether the unit of a step makes an object.
    fn makes(&self, at: usize, name: &ObjectName) -> bool {
        let steps = self.unit_of(at).map_or(&[][..], |unit| self.timeline.of_unit(unit));
        steps.iter().flat_map(|step| &step.effect.changes).any(|change| {
            change.object == *name && change.part == Part::Whole && change.before.is_none()
        })
    }

    /// The unit of a step.
    fn unit_of(&self, at: usize) -> Option<usize> {
        self.timeline.starts.partition_point(|&start| start <= at).checked_sub(1)
    }

    /// The text of a step's statement.
    fn text_at(&self, at: usize) -> Option<&str> {
        let migration = &self.units.get(self.unit_of(at)?)?.replayed;
        let statement = migration.statements().get(self.timeline.steps[at].statement)?;
        Some(statement.text(&migration.text))
    }

    /// The table that a data step writes to.
    fn written_at(&self, at: usize) -> Option<ObjectName> {
        let table = class::written_table(self.text_at(at)?)?;
        Some(ObjectName::new(ObjectKind::Table, &table))
    }

    /// Whether the step behind these takes rows that the live database has.
    fn drops_rows(&self, before: Range<usize>, made: &BTreeSet<&ObjectName>) -> bool {
        let step = &self.timeline.steps[before.end];
        step.effect.changes.iter().any(|change| {
            let part = matches!(change.part, Part::Whole | Part::Column(_));
            let is_rebuilt = self.timeline.first.objects.contains_key(&change.object)
                && made.contains(&change.object)
                && self.keeps_rows(before.clone(), &change.object.name);
            change.object.kind == ObjectKind::Table
                && part
                && change.after.is_none()
                && !is_rebuilt
                && self.live.fact(&change.object, &change.part).is_some()
                && has_rows(self.connection, &change.object.name) != Some(false)
        })
    }

    /// Whether the step behind these only renames a table, or one of them has copied its rows.
    fn keeps_rows(&self, mut before: Range<usize>, table: &str) -> bool {
        let renames =
            self.text_at(before.end).is_some_and(|sql| class::renamed_table(sql).is_some());
        renames
            || before.any(|at| {
                let copied = self.text_at(at).and_then(rows::copied_rows);
                copied.is_some_and(|(_, words)| words.contains(table))
            })
    }
}
