//! What SQLite says of the statements of a run while it compiles them: the program of a statement.
//!
//! SQLite calls an authorizer for every table that a statement reads or changes, with triggers and
//! views resolved; words in the text say less. Nothing is ever denied here.

use crate::sql::fold;
use rusqlite::{
    Connection, Result,
    hooks::{AuthAction, AuthContext, Authorization},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What one statement does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The folded table that the statement itself changes, and how; the actions of foreign keys come
    /// after it.
    pub target: Option<(Change, String)>,
    /// The folded tables that it reads, and the triggers or views that do so for it.
    pub reads: BTreeSet<(String, Option<String>)>,
    /// The folded triggers and views through which it works.
    pub through: BTreeSet<String>,
    /// The folded table that it makes.
    pub made: Option<String>,
}

/// How rows are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// INSERT or REPLACE.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
}

/// Hears what a connection compiles.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<Program>>);

impl Watch {
    /// Begins to hear a connection.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of(connection: &mut Connection) -> Result<Self> {
        let watch = Self::default();
        let heard = watch.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            heard.hear(&context);
            Authorization::Allow
        }))?;
        Ok(watch)
    }

    /// Forgets what was heard.
    pub fn start(&self) {
        *self.program() = Program::default();
    }

    /// What was heard since.
    #[must_use]
    pub fn heard(&self) -> Program {
        std::mem::take(&mut *self.program())
    }

    fn program(&self) -> MutexGuard<'_, Program> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, context: &AuthContext<'_>) {
        let mut program = self.program();
        let through = context.accessor.map(fold);
        let target = match context.action {
            AuthAction::Read { table_name, .. } => {
                program.reads.insert((fold(table_name), through.clone()));
                None
            }
            AuthAction::CreateTable { table_name } => {
                program.made = Some(fold(table_name));
                None
            }
            AuthAction::Insert { table_name } => Some((Change::Insert, table_name)),
            AuthAction::Update { table_name, .. } => Some((Change::Update, table_name)),
            AuthAction::Delete { table_name } => Some((Change::Delete, table_name)),
            _ => None,
        };
        match (through, target) {
            (Some(through), _) => {
                program.through.insert(through);
            }
            (None, Some((change, table))) if program.target.is_none() => {
                program.target = Some((change, fold(table)));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database;

    #[test]
    fn programs() {
        let mut connection = database::open_scratch().unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = ON; CREATE TABLE p (id INTEGER PRIMARY KEY, v);
                 CREATE TABLE c (p REFERENCES p ON DELETE CASCADE); CREATE TABLE log (v);
                 CREATE TRIGGER g AFTER UPDATE ON p BEGIN DELETE FROM log; END;
                 CREATE VIEW w AS SELECT v FROM p;",
            )
            .unwrap();
        let watch = Watch::of(&mut connection).unwrap();
        let target = |change, table: &str| Some((change, table.to_string()));
        let cases = [
            ("INSERT INTO log SELECT v FROM p", target(Change::Insert, "log"), "p", ""),
            (
                "WITH x AS (SELECT v FROM w) INSERT INTO log SELECT * FROM x",
                target(Change::Insert, "log"),
                "p",
                "w",
            ),
            (
                "REPLACE INTO \"P\" VALUES (1, replace('a', 'b', 'c'))",
                target(Change::Insert, "p"),
                "",
                "",
            ),
            ("DELETE FROM p WHERE id = 1", target(Change::Delete, "p"), "p", ""),
            ("UPDATE p SET v = 1", target(Change::Update, "p"), "", "g"),
        ];
        for (text, expected, read, through) in cases {
            watch.start();
            connection.prepare(text).unwrap();
            let program = watch.heard();
            assert_eq!(program.target, expected, "{text}");
            assert!(
                read.is_empty() || program.reads.iter().any(|(table, _)| table == read),
                "{text}"
            );
            assert_eq!(program.through.contains(through), !through.is_empty(), "{text}");
        }
        watch.start();
        connection.execute_batch("CREATE TABLE copy AS SELECT v FROM p").unwrap();
        let program = watch.heard();
        assert_eq!(program.made.as_deref(), Some("copy"));
        assert!(program.reads.contains(&("p".into(), None)));
    }
}
