//! What a data statement reads and writes, as SQLite's authorizer reports it while it prepares the
//! statement: views, triggers, rowid aliases and generated columns are seen as what they stand for.

use crate::sql::fold;
use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

/// Functions whose values differ from call to call.
pub const UNSTABLE: [&str; 13] = [
    "random",
    "randomblob",
    "date",
    "time",
    "datetime",
    "julianday",
    "strftime",
    "unixepoch",
    "current_timestamp",
    "current_date",
    "current_time",
    "timediff",
    "last_insert_rowid",
];

/// What a statement does to which tables, by their folded names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Tables that it reads, by itself or through a view, a subquery or a trigger.
    pub reads: BTreeSet<String>,
    /// The columns that it reads, by table; an empty name where only the rows count.
    pub columns: BTreeSet<(String, String)>,
    /// Tables that it reads through a view or a common table expression.
    pub through: BTreeSet<String>,
    /// Tables to which it adds rows.
    pub inserts: BTreeSet<String>,
    /// Tables from which it takes rows, or whose values it changes.
    pub changes: BTreeSet<String>,
    /// Whether it takes rows.
    pub takes: bool,
    /// Columns that it assigns to in rows that are there.
    pub updated: BTreeSet<String>,
    /// Whether a trigger would write something.
    pub triggers: bool,
    /// Functions that it calls.
    pub functions: BTreeSet<String>,
}

impl Access {
    /// What a statement does; none where SQLite cannot prepare it.
    pub fn of(connection: &mut Connection, text: &str) -> Option<Self> {
        let found = Arc::new(Mutex::new(Self::default()));
        let noted = found.clone();
        let note = move |context: AuthContext<'_>| {
            if let Ok(mut access) = noted.lock() {
                access.note(&context);
            }
            Authorization::Allow
        };
        connection.authorizer(Some(note)).ok()?;
        let prepared = connection.prepare(text).map(drop);
        connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).ok()?;
        prepared.ok()?;
        let access = found.lock().ok()?.clone();
        Some(access)
    }

    fn note(&mut self, context: &AuthContext<'_>) {
        let by_trigger = context.accessor.is_some();
        match context.action {
            AuthAction::Read { table_name, column_name } => {
                self.read(table_name, column_name);
                if by_trigger {
                    self.through.insert(fold(table_name));
                }
            }
            AuthAction::Insert { table_name } => {
                self.triggers |= by_trigger;
                self.inserts.insert(fold(table_name));
            }
            AuthAction::Delete { table_name } => {
                self.triggers |= by_trigger;
                self.takes = true;
                self.changes.insert(fold(table_name));
            }
            AuthAction::Update { table_name, column_name } => {
                self.triggers |= by_trigger;
                self.changes.insert(fold(table_name));
                self.updated.insert(fold(column_name));
            }
            AuthAction::Function { function_name } => {
                self.functions.insert(fold(function_name));
            }
            // A table of which no column is read, as by `count(*)`.
            AuthAction::Unknown { arg1: Some(table), .. } => self.read(table, ""),
            _ => {}
        }
    }

    fn read(&mut self, table: &str, column: &str) {
        let (table, column) = (fold(table), fold(column));
        self.reads.insert(table.clone());
        self.columns.insert((table, column));
    }

    /// Whether it calls a function whose value differs from call to call.
    pub fn is_unstable(&self) -> bool {
        UNSTABLE.iter().any(|function| self.functions.contains(*function))
    }

    /// Every table that it writes to.
    pub fn writes(&self) -> BTreeSet<String> {
        self.inserts.union(&self.changes).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A statement; what it reads, adds to and changes; whether triggers write.
    type Case = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
        &'static [&'static str],
        bool,
    );

    #[test]
    fn what_statements_read_and_write() {
        let mut connection = crate::database::open_scratch().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE p (id INTEGER PRIMARY KEY, x, g AS (x + 1));
                 CREATE TABLE q (a UNIQUE, b); CREATE VIEW v AS SELECT x FROM p;
                 CREATE TABLE w (a); CREATE TABLE log (a);
                 CREATE TRIGGER r AFTER INSERT ON w BEGIN DELETE FROM log; END;",
            )
            .unwrap();
        let cases: [Case; 8] = [
            ("INSERT INTO q SELECT x, rowid FROM p", &["p"], &["q"], &[], false),
            ("INSERT INTO q (a) SELECT x FROM v", &["p", "v"], &["q"], &[], false),
            ("INSERT INTO q SELECT count(*), 1 FROM p", &["p"], &["q"], &[], false),
            ("INSERT INTO w VALUES (1)", &[], &["w"], &["log"], true),
            ("UPDATE p SET x = 1", &[], &[], &["p"], false),
            ("UPDATE p SET x = 1 WHERE oid = 2", &["p"], &[], &["p"], false),
            ("DELETE FROM q WHERE a IN (SELECT g FROM p)", &["p", "q"], &[], &["q"], false),
            (
                "INSERT INTO q VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET b = 3",
                &["q"],
                &["q"],
                &["q"],
                false,
            ),
        ];
        for (text, reads, inserts, changes, triggers) in cases {
            let found = Access::of(&mut connection, text).unwrap();
            let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
            assert_eq!(names(&found.reads), reads, "{text}");
            assert_eq!(names(&found.inserts), inserts, "{text}");
            assert_eq!(names(&found.changes), changes, "{text}");
            assert_eq!(found.triggers, triggers, "{text}");
        }
        assert_eq!(Access::of(&mut connection, "INSERT INTO nowhere VALUES (1)"), None);
    }
}
