//! What the analyzers look at: the statements that would run, the schema that they meet, and the live
//! rows where there is a database.

use crate::{
    error::Place,
    plan::{
        finding::{Finding, Severity},
        order::Unit,
        timeline::{Step, StepKind, Timeline},
    },
    schema::Schema,
    sql::quote,
};
use rusqlite::Connection;
use std::{cell::RefCell, collections::BTreeMap};

/// Where a statement is: its unit, and its step on the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The unit's number.
    pub unit: usize,
    /// The step's number.
    pub step: usize,
}

/// What is known about the rows that a file meets.
#[derive(Clone, Copy)]
pub enum Knowledge<'a> {
    /// The live database can be asked.
    Live(&'a Connection),
    /// The database is new: there are no rows of anyone.
    New,
    /// The files alone are looked at.
    Unknown,
}

/// How many rows or values something concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Known(u64),
    /// Nobody can tell without a database.
    Unknown,
}

impl Amount {
    /// The weight of a finding that matters only where there are rows: none where there are none,
    /// and without a database no more than a warning.
    pub fn weigh(self, with_rows: Severity) -> Option<Severity> {
        match self {
            Self::Known(0) => None,
            Self::Known(_) => Some(with_rows),
            Self::Unknown => Some(with_rows.min(Severity::Warning)),
        }
    }

    /// The number with its noun; the plural alone where it is not known.
    pub fn of(self, one: &str, many: &str) -> String {
        match self {
            Self::Known(1) => format!("1 {one}"),
            Self::Known(number) => format!("{number} {many}"),
            Self::Unknown => many.into(),
        }
    }
}

/// A history, and which of its statements are looked at.
pub struct Scene<'a> {
    /// The units.
    pub units: &'a [Unit],
    /// Their timeline.
    pub timeline: &'a Timeline,
    /// The schema before the first statement that is looked at.
    pub start: &'a Schema,
    /// The statements that are looked at, in the order in which they run.
    pub steps: Vec<At>,
    /// What is known about rows.
    pub knowledge: Knowledge<'a>,
    counts: RefCell<BTreeMap<String, Option<u64>>>,
}

impl<'a> Scene<'a> {
    /// A scene.
    pub fn new(
        units: &'a [Unit],
        timeline: &'a Timeline,
        start: &'a Schema,
        steps: Vec<At>,
        knowledge: Knowledge<'a>,
    ) -> Self {
        Self { units, timeline, start, steps, knowledge, counts: RefCell::default() }
    }

    /// The statements with their steps; scripts, and what SQLite refused, are not among them.
    pub fn statements(&self) -> impl Iterator<Item = (At, &'a Step)> + '_ {
        let steps = &self.timeline.steps;
        let all = self.steps.iter().map(move |&at| (at, &steps[at.step]));
        all.filter(|(_, step)| step.kind != StepKind::Script && step.problem.is_none())
    }

    /// The units that are looked at, each with its statements.
    pub fn of_units(&self) -> impl Iterator<Item = &[At]> {
        self.steps.chunk_by(|one, other| one.unit == other.unit)
    }

    /// The step of a statement.
    pub fn step(&self, at: At) -> &'a Step {
        &self.timeline.steps[at.step]
    }

    /// The text of a statement; empty for a script.
    pub fn text(&self, at: At) -> &'a str {
        let migration = &self.units[at.unit].replayed;
        let statement = migration.statements().get(self.step(at).statement);
        statement.map_or("", |statement| statement.text(&migration.text))
    }

    /// A finding about a statement.
    pub fn finding(
        &self,
        at: At,
        code: &'static str,
        severity: Severity,
        message: String,
    ) -> Finding {
        self.finding_within(at, 0, code, severity, message)
    }

    /// A finding about a byte of a statement.
    pub fn finding_within(
        &self,
        at: At,
        offset: usize,
        code: &'static str,
        severity: Severity,
        message: String,
    ) -> Finding {
        let unit = &self.units[at.unit];
        let migration = &unit.replayed;
        let statement = migration.statements().get(self.step(at).statement);
        let start = statement.map_or(0, |statement| statement.span.start);
        Finding::new(code, severity, message).about(&unit.title).at(Place::of(
            &migration.path,
            &migration.text,
            start + offset,
        ))
    }

    /// The rows of a live table; `table` is none for one that no live table stands behind.
    pub fn rows(&self, table: Option<&str>) -> Amount {
        self.count(table, |table| format!("SELECT count(*) FROM main.{}", quote(table)))
    }

    /// The values of a live column that are not NULL.
    pub fn values(&self, column: Option<&(String, String)>) -> Amount {
        self.count(column.map(|(table, _)| table.as_str()), |table| {
            let column = column.map_or("", |(_, column)| column.as_str());
            format!("SELECT count({}) FROM main.{}", quote(column), quote(table))
        })
    }

    fn count(&self, table: Option<&str>, query: impl Fn(&str) -> String) -> Amount {
        let connection = match self.knowledge {
            Knowledge::Live(connection) => connection,
            Knowledge::New => return Amount::Known(0),
            Knowledge::Unknown => return Amount::Unknown,
        };
        let Some(table) = table else { return Amount::Known(0) };
        let query = query(table);
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(query).or_insert_with_key(|query| ask(connection, query));
        count.map_or(Amount::Unknown, Amount::Known)
    }
}

/// The number that a query yields; none where SQLite cannot answer it.
pub fn ask(connection: &Connection, query: &str) -> Option<u64> {
    let number: i64 = connection.query_row(query, [], |row| row.get(0)).ok()?;
    u64::try_from(number).ok()
}
