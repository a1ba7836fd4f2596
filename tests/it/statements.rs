//! Random statements that suit the schema of a scratch database; it decides which of them work.
#![allow(clippy::unwrap_used)]

use crate::generator::{Random, Strict, attempted};
use piton::rusqlite::Connection;

/// Writes statements.
pub struct Writer {
    /// Where its choices come from.
    pub random: Random,
    /// The guard of the last guarded row.
    pub guard: Option<String>,
    /// How many keys are used.
    pub keys: usize,
    model: Connection,
}

/// A column that takes values.
#[derive(Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, in capitals.
    pub kind: String,
    /// Whether it is part of the primary key.
    pub is_key: bool,
    /// Whether a row needs a value for it.
    pub is_needed: bool,
}

const TABLES: [&str; 8] = ["users", "Orders", "item list", "order", "größe", "log", "a-b", "t"];
const COLUMNS: [&str; 8] = ["name", "Mail", "age", "the sum", "group", "at", "x", "note"];
const KINDS: [&str; 6] = ["TEXT", "INT", "INTEGER", "REAL", "BLOB", "VARCHAR(20)"];

impl Writer {
    /// A writer of statements for a database.
    pub fn new(random: Random, model: Connection) -> Self {
        Self { random, guard: None, model, keys: 0 }
    }

    /// Statements of a kind that work now; none after an unlucky choice.
    pub fn attempt(&mut self, kind: fn(&mut Self) -> Option<Vec<String>>) -> Vec<String> {
        let strict = if self.random.once_in(40) { Strict::No } else { Strict::Yes };
        kind(self).map_or_else(Vec::new, |statements| attempted(&self.model, statements, strict))
    }

    /// Any statement.
    pub fn any(&mut self) -> Option<Vec<String>> {
        match self.random.below(30) {
            0..4 => self.create_table(),
            4..7 => self.add_column(),
            7 => self.drop_column(),
            8 => self.rename_column(),
            9 => self.rename_table(),
            10..13 => self.create_index(),
            13 => self.replaced(),
            14 => self.create_view(),
            15 | 16 => self.drop_object(),
            17 => self.create_trigger(),
            18 | 19 => self.rebuild(),
            20 => self.drop_table(),
            21 => self.create_again(),
            22 => self.needless(),
            23 => self.search(),
            24 => self.temporary(),
            _ => self.data(),
        }
    }

    /// What an application makes for itself.
    pub fn base(&mut self) -> Option<Vec<String>> {
        if self.random.once_in(4) { self.create_index() } else { self.create_table() }
    }

    fn create_table(&mut self) -> Option<Vec<String>> {
        let name = self.new_table();
        Some(vec![self.table_definition(&name)])
    }

    fn table_definition(&mut self, name: &str) -> String {
        let mut columns = Vec::new();
        let (key, mut options) = match self.random.below(8) {
            0 => ("id INTEGER PRIMARY KEY AUTOINCREMENT", ""),
            1 => ("id INT PRIMARY KEY NOT NULL", " WITHOUT ROWID"),
            2 => ("id INTEGER NOT NULL PRIMARY KEY", " STRICT"),
            3 => ("[id] integer primary key", ""),
            _ => ("id INTEGER PRIMARY KEY", ""),
        };
        columns.push(key.to_string());
        for _ in 0..self.random.below(4) {
            columns.push(self.column_definition());
        }
        if options == " STRICT" && columns.iter().any(|column| column.contains("VARCHAR")) {
            options = "";
        }
        if self.random.once_in(6) {
            columns.push("CHECK (id > 0)".into());
        }
        let exists = if self.random.once_in(6) { "IF NOT EXISTS " } else { "" };
        let create = self.random.pick(&["CREATE TABLE", "create table", "CREATE  TABLE"]);
        if self.random.once_in(12)
            && let Some(source) = self.table()
        {
            return format!(
                "{create} {exists}{} AS SELECT * FROM {}",
                quoted(name),
                quoted(&source)
            );
        }
        format!("{create} {exists}{} ({}){options}", self.quoted_somehow(name), columns.join(", "))
    }

    fn column_definition(&mut self) -> String {
        let name = self.random.pick(&COLUMNS);
        let kind = self.random.pick(&KINDS);
        let column = self.quoted_somehow(name);
        let rest = match self.random.below(14) {
            0 => " NOT NULL DEFAULT 0".into(),
            1 => " NOT NULL DEFAULT ''".into(),
            2 => " UNIQUE".into(),
            3 => format!(" CHECK (length({column}) < 100)"),
            4 => " COLLATE NOCASE".into(),
            5 => " GENERATED ALWAYS AS (id + 1) STORED".into(),
            6 => " AS (id || 'v') VIRTUAL".into(),
            7 => " DEFAULT (1 + 2)".into(),
            8 | 9 => match self.table() {
                Some(other) => format!(" REFERENCES {}(id) ON DELETE CASCADE", quoted(&other)),
                None => String::new(),
            },
            _ => String::new(),
        };
        format!("{column} {kind}{rest}")
    }

    fn add_column(&mut self) -> Option<Vec<String>> {
        let table = self.table()?;
        let add = self.random.pick(&["ADD COLUMN", "ADD", "add column"]);
        Some(vec![format!("ALTER TABLE {} {add} {}", self.spelt(&table), self.column_definition())])
    }

    fn drop_column(&mut self) -> Option<Vec<String>> {
        let (table, column) = self.table_and_column()?;
        Some(vec![format!("ALTER TABLE {} DROP COLUMN {}", self.spelt(&table), quoted(&column))])
    }

    fn rename_column(&mut self) -> Option<Vec<String>> {
        let (table, column) = self.table_and_column()?;
        let new = self.random.pick(&COLUMNS);
        let (old, new) = (quoted(&column), self.quoted_somehow(new));
        Some(vec![format!("ALTER TABLE {} RENAME COLUMN {old} TO {new}", self.spelt(&table))])
    }

    fn rename_table(&mut self) -> Option<Vec<String>> {
        let table = self.table()?;
        let new = self.new_table();
        Some(vec![format!("ALTER TABLE {} RENAME TO {}", self.spelt(&table), quoted(&new))])
    }

    fn create_index(&mut self) -> Option<Vec<String>> {
        let number = self.random.below(4);
        Some(vec![self.index_definition(&format!("by_{number}"))?])
    }

    fn index_definition(&mut self, name: &str) -> Option<String> {
        let (table, column) = self.table_and_column()?;
        let exists = if self.random.once_in(5) { "IF NOT EXISTS " } else { "" };
        let unique = if self.random.once_in(6) { "UNIQUE " } else { "" };
        let column = quoted(&column);
        let parts = [column.clone(), format!("{column} DESC, id"), format!("lower({column})")];
        let parts = self.random.pick(&parts);
        let filter = if self.random.once_in(4) {
            format!(" WHERE {column} IS NOT NULL")
        } else {
            String::new()
        };
        Some(format!(
            "CREATE {unique}INDEX {exists}{name} ON {} ({parts}){filter}",
            self.spelt(&table)
        ))
    }

    fn create_view(&mut self) -> Option<Vec<String>> {
        let number = self.random.below(3);
        Some(vec![self.view_definition(&format!("view_{number}"))?])
    }

    fn view_definition(&mut self, name: &str) -> Option<String> {
        let (table, column) = self.table_and_column()?;
        let exists = if self.random.once_in(5) { "IF NOT EXISTS " } else { "" };
        let (table, column) = (quoted(&table), quoted(&column));
        let query = self.random.pick(&[
            format!("SELECT {column} AS a FROM {table}"),
            format!("SELECT * FROM {table} WHERE {column} > 3"),
            format!(
                "SELECT id, CASE WHEN {column} IS NULL THEN ';' ELSE 'END' END AS a FROM {table}"
            ),
        ]);
        Some(format!("CREATE VIEW {exists}{name} AS {query}"))
    }

    fn create_trigger(&mut self) -> Option<Vec<String>> {
        let (table, column) = self.table_and_column()?;
        let (log, log_column) = self.table_and_column()?;
        let number = self.random.below(3);
        let event = self.random.pick(&["INSERT", "UPDATE", "DELETE"]);
        let row = if event == "DELETE" { "old" } else { "new" };
        let (table, column) = (quoted(&table), quoted(&column));
        let body = if self.random.once_in(2) {
            format!(
                "INSERT INTO {} ({}) VALUES (CASE WHEN {row}.{column} IS NULL THEN 'a;' ELSE 'b' END)",
                quoted(&log),
                quoted(&log_column)
            )
        } else {
            format!(
                "UPDATE {table} SET {column} = CASE WHEN id > 1 THEN CASE id WHEN 2 THEN 3 ELSE 4 END END \
                     WHERE id = {row}.id + 1"
            )
        };
        Some(vec![format!(
            "CREATE TRIGGER on_{number} AFTER {event} ON {table}\nBEGIN\n  {body};\nEND"
        )])
    }

    fn drop_object(&mut self) -> Option<Vec<String>> {
        let (kind, name) = self.object()?;
        let exists = if self.random.once_in(3) { "IF EXISTS " } else { "" };
        Some(vec![format!("DROP {kind} {exists}{name}")])
    }

    /// An index or a view with another definition.
    fn replaced(&mut self) -> Option<Vec<String>> {
        let (kind, name) = self.object()?;
        let created = match kind.as_str() {
            "index" => self.index_definition(&name),
            "view" => self.view_definition(&name),
            _ => None,
        }?;
        Some(vec![format!("DROP {kind} {name}"), created])
    }

    fn drop_table(&mut self) -> Option<Vec<String>> {
        let table = self.table()?;
        let exists = if self.random.once_in(3) { "IF EXISTS " } else { "" };
        Some(vec![format!("DROP TABLE {exists}{}", self.spelt(&table))])
    }

    fn create_again(&mut self) -> Option<Vec<String>> {
        let table = self.table()?;
        let same =
            self.strings(&format!("SELECT sql FROM sqlite_schema WHERE name = '{table}'")).pop()?;
        let created = if self.random.once_in(3) { same } else { self.table_definition(&table) };
        Some(vec![format!("DROP TABLE {}", quoted(&table)), created])
    }

    fn needless(&mut self) -> Option<Vec<String>> {
        let table = self.table()?;
        Some(vec![self.random.pick(&[
            format!("CREATE TABLE IF NOT EXISTS {} (other)", quoted(&table)),
            "DROP TABLE IF EXISTS nowhere".into(),
            "DROP INDEX IF EXISTS nothing".into(),
            "SELECT 1".into(),
        ])])
    }

    fn rebuild(&mut self) -> Option<Vec<String>> {
        let table = self.table()?;
        let kept: Vec<Column> = self.columns(&table);
        let mut columns: Vec<String> = Vec::new();
        for column in &kept {
            let rest = if column.is_key {
                " PRIMARY KEY"
            } else {
                self.random.pick(&["", "", " DEFAULT 1", " COLLATE NOCASE"])
            };
            columns.push(format!("{} {}{rest}", quoted(&column.name), column.kind));
        }
        if self.random.once_in(2) {
            columns.push(self.column_definition());
        }
        let names: Vec<String> = kept.iter().map(|column| quoted(&column.name)).collect();
        let (names, columns, name) = (names.join(", "), columns.join(", "), quoted(&table));
        let other = quoted(&format!("{table}_new"));
        let lost = if self.random.once_in(5) { Vec::new() } else { self.belonging(&table) };
        let mut statements = if self.random.once_in(3) {
            vec![
                format!("ALTER TABLE {name} RENAME TO {other}"),
                format!("CREATE TABLE {name} ({columns})"),
                format!("INSERT INTO {name} ({names}) SELECT {names} FROM {other}"),
                format!("DROP TABLE {other}"),
            ]
        } else {
            vec![
                format!("CREATE TABLE {other} ({columns})"),
                format!("INSERT INTO {other} ({names}) SELECT {names} FROM {name}"),
                format!("DROP TABLE {name}"),
                format!("ALTER TABLE {other} RENAME TO {name}"),
            ]
        };
        statements.extend(lost);
        Some(statements)
    }

    /// What vanishes with a table.
    fn belonging(&self, table: &str) -> Vec<String> {
        self.strings(&format!(
            "SELECT sql FROM sqlite_schema WHERE tbl_name = '{table}' AND sql NOT NULL \
             AND type IN ('index', 'trigger') ORDER BY name"
        ))
    }

    fn object(&mut self) -> Option<(String, String)> {
        let query = "SELECT type || ' ' || name FROM sqlite_schema WHERE sql NOT NULL AND type <> 'table' ORDER BY name";
        let found = self.strings(query);
        if found.is_empty() {
            return None;
        }
        let object = self.random.pick(&found);
        object.split_once(' ').map(|(kind, name)| (kind.into(), name.into()))
    }

    fn new_table(&mut self) -> String {
        self.random.pick(&TABLES).into()
    }

    /// One of the tables.
    pub fn table(&mut self) -> Option<String> {
        let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
             AND name NOT LIKE 'search%' ORDER BY name";
        let found = self.strings(query);
        (!found.is_empty()).then(|| self.random.pick(&found))
    }

    fn table_and_column(&mut self) -> Option<(String, String)> {
        let table = self.table()?;
        let columns = self.columns(&table);
        Some((table, self.random.pick(&columns).name.clone()))
    }

    fn strings(&self, query: &str) -> Vec<String> {
        let mut statement = self.model.prepare(query).unwrap();
        let found = statement.query_map([], |row| row.get(0)).unwrap();
        found.map(Result::unwrap).collect()
    }

    /// The columns of a table.
    pub fn columns(&self, table: &str) -> Vec<Column> {
        let query = "SELECT name, type, pk > 0, \"notnull\" AND dflt_value IS NULL \
                     FROM pragma_table_xinfo(?1) WHERE hidden = 0";
        let mut statement = self.model.prepare(query).unwrap();
        let found = statement.query_map([table], |row| {
            let (name, kind): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(Column {
                name,
                kind: kind.to_uppercase(),
                is_key: row.get(2)?,
                is_needed: row.get(3)?,
            })
        });
        found.unwrap().map(Result::unwrap).collect()
    }

    /// A table's name in some spelling.
    pub fn spelt(&mut self, table: &str) -> String {
        if self.random.once_in(3) && table.is_ascii() {
            return quoted(&table.to_uppercase());
        }
        self.quoted_somehow(table)
    }

    fn quoted_somehow(&mut self, name: &str) -> String {
        let plain =
            name.chars().all(|c| c.is_ascii_alphabetic()) && !["order", "group"].contains(&name);
        match self.random.below(4) {
            0 => format!("[{name}]"),
            1 => format!("`{name}`"),
            2 => quoted(name),
            _ if plain => name.into(),
            _ => quoted(name),
        }
    }
}

/// A name in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
