//! What the live rows tell about data statements: whether they need not run, have to run, or may run
//! again. Rows in a table are no proof that a statement put them there.

use super::{
    access::Access, assess::Witnesses, data::has_rows, literal_rows, live_rows::Trial,
    repeat::is_repeatable, timeline::StepKind,
};
use crate::{
    schema::{ObjectKind, ObjectName, Part},
    sql::{class, rows},
};
use std::{
    collections::BTreeSet,
    ops::{Range, RangeInclusive},
};

/// What the rows tell about data statements that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// From this one on they did not run; those before it change nothing. The number of them all where
    /// none changes anything.
    From(usize),
    /// From this one on nothing tells whether they ran, and a second run of them adds nothing.
    Again(usize),
    /// Nothing tells.
    Nothing,
}

impl Evidence {
    /// The statement from which on they run.
    pub fn start(self) -> Option<usize> {
        match self {
            Self::From(at) | Self::Again(at) => Some(at),
            Self::Nothing => None,
        }
    }
}

impl Witnesses<'_> {
    /// What the live rows tell about a unit's data statements at the live schema, in their order.
    ///
    /// Statements run in their order, so one that did not run means that none after it did.
    pub(super) fn evidence(&self, unit: usize, open: &[usize]) -> Evidence {
        if open.is_empty() {
            return Evidence::From(0);
        }
        let is_data = |step: &usize| self.timeline.steps[*step].kind == StepKind::Data;
        let (Some(trial), true) = (self.trial(), open.iter().all(is_data)) else {
            return Evidence::Nothing;
        };
        let texts: Vec<&str> = open.iter().filter_map(|&step| self.text_at(step)).collect();
        if texts.len() < open.len() {
            return Evidence::Nothing;
        }
        if trial.leaves_unchanged(&texts) {
            return Evidence::From(open.len());
        }
        if let Some(at) = self.own_rows(trial, unit, open) {
            return Evidence::From(at);
        }
        for (at, text) in texts.iter().enumerate() {
            if trial.leaves_unchanged(&[text]) {
                continue;
            }
            if self.has_empty_target(trial, unit, open[at]) {
                return Evidence::From(at);
            }
            if trial.only_adds_once(&texts[at..]) {
                return Evidence::Again(at);
            }
            break;
        }
        Evidence::Nothing
    }

    /// How many of these statements filled the tables that their own file makes: the tables hold just
    /// what so many of them put into empty ones, and the file writes to nothing else.
    fn own_rows(&self, trial: &Trial, unit: usize, open: &[usize]) -> Option<usize> {
        let (start, last) = (self.timeline.starts[unit], *open.last()?);
        let before: Vec<usize> = (start..open[0])
            .filter(|&step| self.timeline.steps[step].kind == StepKind::Data)
            .collect();
        let steps: Vec<usize> = before.iter().chain(open).copied().collect();
        let texts: Vec<&str> = steps.iter().filter_map(|&step| self.text_at(step)).collect();
        if texts.len() < steps.len() {
            return None;
        }
        let mut tables = BTreeSet::new();
        for access in trial.accesses(&texts)? {
            let writes = access.writes();
            if access.triggers || !writes.iter().all(|table| self.makes_empty(start..last, table)) {
                return None;
            }
            tables.extend(writes);
        }
        if texts.len() >= literal_rows::FROM {
            // Each trial would run them all: the rows are looked up instead, or nothing tells.
            return trial.filled_by(&texts)?.checked_sub(before.len());
        }
        (0..=open.len())
            .rev()
            .find(|count| trial.holds_just(&tables, &texts[..before.len() + count]))
    }

    /// Whether one of these steps makes a table without rows.
    fn makes_empty(&self, steps: Range<usize>, table: &str) -> bool {
        let made = ObjectName::new(ObjectKind::Table, table);
        let creates = |at: usize| {
            let step = &self.timeline.steps[at];
            let text = self.text_at(at).unwrap_or_default();
            // A table that is renamed or copied into its place has rows of its own.
            class::renamed_table(text).is_none()
                && rows::copied_rows(text).is_none()
                && step.effect.changes.iter().any(|change| {
                    change.object == made && change.part == Part::Whole && change.before.is_none()
                })
        };
        let renames = |at: usize| {
            let renamed = self.text_at(at).and_then(class::renamed_table);
            renamed.is_some_and(|(old, new)| old == table || new == table)
        };
        steps.clone().any(creates) && !steps.clone().any(renames)
    }

    /// Whether what a statement fills is empty: the table of an INSERT, or columns that an earlier
    /// statement of its file adds and that hold nothing but their default.
    fn has_empty_target(&self, trial: &Trial, unit: usize, step: usize) -> bool {
        let Some(text) = self.text_at(step) else { return false };
        let Some(access) = trial.access(text) else { return false };
        if access.triggers {
            return false;
        }
        if self.is_emptied_later(trial, step, &access) {
            return false;
        }
        if access.changes.is_empty() {
            return access.inserts.iter().all(|table| trial.is_empty(table) == Some(true));
        }
        let Some(table) = class::written_table(text) else { return false };
        let object = ObjectName::new(ObjectKind::Table, &table);
        let added = |column: &String| {
            let part = Part::Column(column.as_str().into());
            let adds = (self.timeline.starts[unit]..step).any(|at| {
                let changes = &self.timeline.steps[at].effect.changes;
                let made = |part: &Part| {
                    changes
                        .iter()
                        .any(|it| it.object == object && it.part == *part && it.before.is_none())
                };
                made(&part) && !made(&Part::Whole)
            });
            adds && trial.is_default(&table, column) == Some(true)
        };
        access.inserts.is_empty()
            && !access.takes
            && !access.updated.is_empty()
            && access.updated.iter().all(added)
    }

    /// Whether a later statement, which may have run as the schema is now, takes the rows or overwrites
    /// the columns that a statement fills.
    fn is_emptied_later(&self, trial: &Trial, step: usize, filled: &Access) -> bool {
        let later = (step + 1..self.timeline.steps.len())
            .take_while(|&at| self.timeline.steps[at].kind != StepKind::Schema)
            .filter(|&at| self.timeline.steps[at].kind.lasts());
        later.into_iter().any(|at| {
            let Some(access) = self.text_at(at).and_then(|text| trial.access(text)) else {
                return true;
            };
            access.triggers
                || !access.changes.is_disjoint(&filled.writes())
                    && (access.takes || !access.updated.is_disjoint(&filled.updated))
        })
    }

    /// Whether data statements may run although they perhaps ran already.
    pub(super) fn is_repeatable(&self, open: &[usize]) -> bool {
        let is_data = |step: &usize| self.timeline.steps[*step].kind == StepKind::Data;
        let texts: Vec<&str> = open.iter().filter_map(|&step| self.text_at(step)).collect();
        open.iter().all(is_data) && self.trial().is_some_and(|it| is_repeatable(it, &texts))
    }

    /// Whether a data statement, by itself, would change nothing now.
    fn is_idle(&self, step: usize) -> bool {
        let (Some(trial), Some(text)) = (self.trial(), self.text_at(step)) else { return false };
        self.timeline.steps[step].kind == StepKind::Data && trial.leaves_unchanged(&[text])
    }

    /// Whether steps change rows: data statements, scripts, or a DROP of something that the live
    /// database has rows in. Where the schema is the same before and after such steps, the schema
    /// does not tell whether they ran, and running them twice would cost.
    ///
    /// The steps are those from the points at which the schema is the live one `first` up to a later
    /// such point. Data statements at `first` itself count as well, unless the rows tell that they
    /// ran: at the later point they would all be taken to have run.
    ///
    /// Steps that leave every row as it is are no such work: a rebuild of a table that the history never
    /// made, for example, when it ran already.
    pub(super) fn row_work(&self, first: &RangeInclusive<usize>, later: usize) -> bool {
        let kind = |at: usize| self.timeline.steps[at].kind;
        let lasts = |at: &usize| matches!(kind(*at), StepKind::Data | StepKind::Script);
        if (*first.start()..*first.end()).filter(lasts).any(|at| !self.is_idle(at)) {
            return true;
        }
        let between = *first.end()..later;
        let works = |at: usize| match kind(at) {
            StepKind::Data | StepKind::Script => true,
            _ => self.drops_rows(at),
        };
        between.clone().any(works) && !self.leave_rows(between)
    }

    /// Whether steps, schema changes among them, would leave every row of the live database as it is.
    fn leave_rows(&self, steps: Range<usize>) -> bool {
        let mut texts = Vec::new();
        for at in steps {
            if self.timeline.steps[at].kind == StepKind::Script {
                return false;
            }
            if self.timeline.steps[at].kind.lasts() {
                texts.extend(self.text_at(at));
            }
        }
        let words: BTreeSet<String> = texts.iter().flat_map(|text| class::mentions(text)).collect();
        let tables = self.live.objects.keys().filter(|name| name.kind == ObjectKind::Table);
        let tables: BTreeSet<String> = tables
            .filter(|name| words.contains(&*name.name))
            .map(|it| it.name.to_string())
            .collect();
        self.trial().is_some_and(|trial| trial.leave_tables(&tables, &texts))
    }

    /// The unit of a step.
    fn unit_of(&self, at: usize) -> Option<usize> {
        self.timeline.starts.iter().rposition(|&start| start <= at)
    }

    /// The text of a step's statement.
    pub(super) fn text_at(&self, at: usize) -> Option<&str> {
        let migration = &self.units.get(self.unit_of(at)?)?.replayed;
        let statement = migration.statements().get(self.timeline.steps[at].statement)?;
        Some(statement.text(&migration.text))
    }

    /// Whether a step takes rows that the live database has.
    fn drops_rows(&self, at: usize) -> bool {
        self.timeline.steps[at].effect.changes.iter().any(|change| {
            change.object.kind == ObjectKind::Table
                && matches!(change.part, Part::Whole | Part::Column(_))
                && change.after.is_none()
                && self.live.fact(&change.object, &change.part).is_some()
                && has_rows(self.connection, &change.object.name) != Some(false)
        })
    }
}
