//! What a data operation did: rows of which tables it changed, and what its queries gave.
//!
//! SQLite's update hook counts rows as they change, those of triggers too; it is silent about
//! tables without rowid and about a DELETE of everything, whose rows the connection counts.

use crate::sql::{Class, class, fold};
use rusqlite::{Connection, Result, hooks::Action, types::ValueRef};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Rows of one query that are kept.
const ROWS: usize = 100;
/// Characters of one value that are kept.
const VALUE: usize = 200;
/// Queries whose rows are kept.
const QUERIES: usize = 20;

/// Rows of one table that were changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowChange {
    /// The table.
    pub table: String,
    /// Rows that are new.
    pub inserted: u64,
    /// Rows that were changed.
    pub updated: u64,
    /// Rows that are gone.
    pub deleted: u64,
}

/// What a query gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Its first rows, as text.
    pub rows: Vec<Vec<String>>,
    /// How many more there were.
    pub more: u64,
}

type Counts = BTreeMap<String, RowChange>;

/// Counts and keeps while an operation runs.
#[derive(Default)]
pub struct Tally {
    counts: Arc<Mutex<Counts>>,
    /// What the queries gave, in their order.
    pub answers: Vec<Answer>,
}

impl Tally {
    /// Begins to count on a connection.
    pub fn watch(&self, connection: &mut Connection) -> Result<()> {
        let counts = self.counts.clone();
        connection.update_hook(Some(move |action: Action, _: &str, table: &str, _: i64| {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            *count(&mut counts, table, action) += 1;
        }))
    }

    /// Notes a statement that changed rows; `before` is what was counted before it.
    pub fn note(&self, text: &str, changed: u64, before: &Counts) {
        let Some(table) = class::written_table(text) else { return };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |(name, _): &(&String, &RowChange)| fold(name) == table;
        if counts.iter().find(is_same) == before.iter().find(is_same) && changed > 0 {
            let verb = text.trim_start().get(..6).map(str::to_ascii_lowercase);
            let action = match verb.as_deref() {
                Some("delete") => Action::SQLITE_DELETE,
                Some("update") => Action::SQLITE_UPDATE,
                _ => Action::SQLITE_INSERT,
            };
            *count(&mut counts, &table, action) += changed;
        }
    }

    /// What was counted so far.
    pub fn counted(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs a statement to its end, and keeps the first of its rows.
    pub fn run(&mut self, connection: &Connection, text: &str, class: &Class) -> Result<()> {
        let before = self.counted();
        let mut statement = connection.prepare(text)?;
        let names = 0..statement.column_count();
        let columns = names.map(|at| statement.column_name(at).map(Into::into));
        let columns: Vec<String> = columns.collect::<Result<_>>()?;
        let width = columns.len();
        let mut answer = Answer { columns, rows: Vec::new(), more: 0 };
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            if answer.rows.len() < ROWS && self.answers.len() < QUERIES {
                let values = (0..width).map(|at| row.get_ref(at).map(value));
                answer.rows.push(values.collect::<Result<_>>()?);
            } else {
                answer.more += 1;
            }
        }
        drop(rows);
        if width > 0 && self.answers.len() < QUERIES && !matches!(class, Class::Pragma { .. }) {
            self.answers.push(answer);
        }
        if *class == Class::Data {
            self.note(text, connection.changes(), &before);
        }
        Ok(())
    }

    /// The tables whose rows changed; those that SQLite keeps for others are left out.
    pub fn changes(&self, connection: &Connection) -> Result<Vec<RowChange>> {
        let query = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'";
        let mut statement = connection.prepare(query)?;
        let shadows = statement.query_map([], |row| row.get(0))?;
        let shadows: Vec<String> = shadows.collect::<Result<_>>()?;
        let is_own = |change: &RowChange| {
            let name = &change.table;
            !shadows.contains(name) && !name.starts_with("_piton_") && !name.starts_with("sqlite_")
        };
        Ok(self.counted().into_values().filter(is_own).collect())
    }
}

fn count<'a>(counts: &'a mut Counts, table: &str, action: Action) -> &'a mut u64 {
    let new = || RowChange { table: table.into(), ..RowChange::default() };
    let change = counts.entry(table.into()).or_insert_with(new);
    match action {
        Action::SQLITE_DELETE => &mut change.deleted,
        Action::SQLITE_UPDATE => &mut change.updated,
        _ => &mut change.inserted,
    }
}

fn value(value: ValueRef<'_>) -> String {
    let text = match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Blob(bytes) => format!("blob of {} bytes", bytes.len()),
    };
    match text.char_indices().nth(VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::classify;

    #[test]
    fn rows_by_table() {
        let mut connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE t (a); CREATE TABLE log (a); INSERT INTO t VALUES (1), (2);
            CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID; CREATE VIRTUAL TABLE f USING fts5(x);
            CREATE TRIGGER g AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (new.a); END";
        connection.execute_batch(tables).unwrap();
        let mut tally = Tally::default();
        tally.watch(&mut connection).unwrap();
        for text in [
            "UPDATE t SET a = 3",
            "DELETE FROM t",
            "INSERT INTO w VALUES (1), (2), (3)",
            "INSERT INTO f VALUES ('x')",
            "SELECT a, 'x' AS b FROM log",
        ] {
            tally.run(&connection, text, &classify(text)).unwrap();
        }
        let changes = tally.changes(&connection).unwrap();
        let found: Vec<_> = changes
            .iter()
            .map(|it| (it.table.as_str(), it.inserted, it.updated, it.deleted))
            .collect();
        assert_eq!(found, [("f", 1, 0, 0), ("log", 2, 0, 0), ("t", 0, 2, 2), ("w", 3, 0, 0)]);
        assert_eq!(tally.answers.len(), 1);
        assert_eq!(tally.answers[0].rows, [["3", "x"], ["3", "x"]]);
    }
}
