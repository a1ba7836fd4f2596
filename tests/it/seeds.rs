//! Rows for databases under test, so that comparing rows means something.
#![allow(clippy::unwrap_used, dead_code)]

use crate::engine::plain;
use piton::{
    history::Migration,
    rusqlite::Connection,
    sql::{class::mentions, fold, quote},
};
use std::{collections::BTreeSet, sync::Arc};

/// Statements to run behind each migration.
#[derive(Clone, Debug, Default)]
pub struct Seeds {
    /// By migration.
    pub behind: Vec<Vec<String>>,
}

impl Seeds {
    /// Up to two generic rows for every new ordinary table; tables whose rows make a later
    /// migration fail stay empty. `open` makes the database on which the history starts.
    ///
    /// # Errors
    /// Where the plain SQL fails with no seeds at all: the number of the migration, and why.
    pub fn generic(
        migrations: &[Arc<Migration>],
        open: &dyn Fn() -> Connection,
    ) -> Result<Self, (usize, String)> {
        let mut barred: BTreeSet<String> = BTreeSet::new();
        loop {
            match sow(migrations, &open(), &barred) {
                Ok(behind) => return Ok(Self { behind }),
                Err((at, words, error)) => {
                    let before = barred.len();
                    if barred.contains("*") {
                        return Err((at, error));
                    }
                    barred.extend(words);
                    if barred.len() == before || barred.len() > 500 {
                        barred.insert("*".into());
                    }
                }
            }
        }
    }

    /// Runs what belongs behind a migration.
    pub fn plant(&self, connection: &Connection, migration: usize) {
        for sql in self.behind.get(migration).into_iter().flatten() {
            connection.execute_batch(sql).unwrap();
        }
    }
}

type Failed = (usize, BTreeSet<String>, String);

fn sow(
    migrations: &[Arc<Migration>],
    connection: &Connection,
    barred: &BTreeSet<String>,
) -> Result<Vec<Vec<String>>, Failed> {
    let mut behind = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, migration) in migrations.iter().enumerate() {
        plain(connection, migration, migration.statements().len())
            .map_err(|error| (at, tables_in(connection, &error), error))?;
        let mut planted = Vec::new();
        for table in tables(connection) {
            let wanted = !barred.contains(&fold(&table)) && !barred.contains("*");
            if seen.insert(table.clone()) && wanted {
                for row in 1..=2 {
                    planted.extend(plant_one(connection, &table, row));
                }
            }
        }
        behind.push(planted);
    }
    Ok(behind)
}

/// The words of a failure; the text of the statement is part of it.
fn tables_in(connection: &Connection, error: &str) -> BTreeSet<String> {
    let known: BTreeSet<String> = tables(connection).iter().map(|table| fold(table)).collect();
    let words = mentions(error);
    // A table that is gone already was seeded too.
    let named: BTreeSet<String> = words.intersection(&known).cloned().collect();
    if named.is_empty() { words } else { named }
}

fn tables(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        )
        .unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

/// Inserts a row, all columns or only those that need a value, and returns the statement.
fn plant_one(connection: &Connection, table: &str, row: usize) -> Option<String> {
    let mut statement = connection
        .prepare(
            "SELECT name, type, \"notnull\" AND dflt_value IS NULL FROM pragma_table_xinfo(?1) \
             WHERE hidden = 0",
        )
        .unwrap();
    let columns: Vec<(String, String, bool)> = statement
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let some = columns.iter().filter(|column| column.2).cloned().collect();
    [columns, some].into_iter().find_map(|columns: Vec<(String, String, bool)>| {
        let names: Vec<String> = columns.iter().map(|(name, ..)| quote(name)).collect();
        let values: Vec<String> = columns.iter().map(|(_, kind, _)| value(kind, row)).collect();
        let (table, names, values) = (quote(table), names.join(", "), values.join(", "));
        let sql = format!("INSERT INTO {table} ({names}) VALUES ({values})");
        connection.execute_batch(&sql).is_ok().then_some(sql)
    })
}

fn value(kind: &str, row: usize) -> String {
    let kind = fold(kind);
    let has = |word: &str| kind.contains(word);
    if has("date") || has("time") {
        format!("'2024-01-0{row} 00:00:00'")
    } else if has("int") || has("numeric") || has("serial") {
        row.to_string()
    } else if has("bool") {
        (row - 1).to_string()
    } else if has("real") || has("float") || has("double") || has("decimal") {
        format!("{row}.5")
    } else if has("blob") || has("binary") {
        format!("x'0{row}'")
    } else if has("json") {
        format!("'{{\"row\": {row}}}'")
    } else {
        format!("'t{row}'")
    }
}
