//! Tries data statements on the live rows, in a transaction of its own that is always rolled back.
//!
//! What a statement would do to the rows that are there is seen, never guessed from its words. Nothing
//! reaches the file: no page is written before a commit, and there is no commit.

use super::{
    access::{Access, UNSTABLE},
    literal_rows,
};
use crate::{
    database::{self, Access as Open},
    sql::{
        class::{self, meaningful},
        fold, quote,
        repeat::differ_in_values_alone,
        rows,
        token::Token,
    },
};
use rusqlite::{
    Connection, Error, ErrorCode, Result, config::DbConfig, functions::FunctionFlags,
    types::ValueRef,
};
use sha2::{Digest, Sha256};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

/// How long another writer may keep a trial waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// A trial of more steps of SQLite's machine than this is given up: it would keep writers waiting.
const STEPS: i32 = 400_000_000;

/// A connection on which statements are tried.
pub struct Trial {
    connection: RefCell<Connection>,
}

impl Trial {
    /// Opens one; none where the database cannot be written to, or is kept busy.
    pub fn open(path: &Path) -> Option<Self> {
        if path.as_os_str().is_empty() {
            return None;
        }
        let mut connection = database::open(path, Open::Write, PATIENCE).ok()?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).ok()?;
        let mode: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).ok()?;
        let journal = if mode == "wal" { "" } else { "PRAGMA journal_mode = MEMORY;" };
        // Changed pages stay in memory, so that the file is never touched.
        connection
            .execute_batch(&format!("{journal} PRAGMA cache_spill = OFF; BEGIN IMMEDIATE"))
            .ok()?;
        connection.progress_handler(STEPS, Some(|| true)).ok()?;
        Some(Self { connection: RefCell::new(connection) })
    }

    /// What a statement reads and writes.
    pub fn access(&self, text: &str) -> Option<Access> {
        Access::of(&mut self.connection.borrow_mut(), text)
    }

    /// Whether a table has no row; none where it cannot be read.
    pub fn is_empty(&self, table: &str) -> Option<bool> {
        let query = format!("SELECT NOT EXISTS (SELECT 1 FROM main.{})", quote(table));
        self.connection.borrow().query_row(&query, [], |row| row.get(0)).ok()
    }

    /// Whether a column is computed from others.
    pub fn is_computed(&self, table: &str, column: &str) -> bool {
        let query = "SELECT hidden IN (2, 3) FROM pragma_table_xinfo(?1, 'main') WHERE name = ?2 COLLATE NOCASE";
        let found = self.connection.borrow().query_row(query, [table, column], |row| row.get(0));
        found.unwrap_or(false)
    }

    /// Whether every row of a table has nothing but the default in a column.
    pub fn is_default(&self, table: &str, column: &str) -> Option<bool> {
        let default =
            "SELECT dflt_value FROM pragma_table_xinfo(?1, 'main') WHERE name = ?2 COLLATE NOCASE";
        let connection = self.connection.borrow();
        let default: Option<String> =
            connection.query_row(default, [table, column], |row| row.get(0)).ok()?;
        let (table, column) = (quote(table), quote(column));
        let default = default.unwrap_or_else(|| "NULL".into());
        let query = format!(
            "SELECT NOT EXISTS (SELECT 1 FROM main.{table} WHERE {column} IS NOT ({default}))"
        );
        connection.query_row(&query, [], |row| row.get(0)).ok()
    }

    /// Whether these statements, one after the other, would leave every row as it is now. An INSERT
    /// of rows that are all there already, under their keys, leaves them so.
    pub fn leaves_unchanged(&self, texts: &[&str]) -> bool {
        let Some(accesses) = self.accesses(texts) else { return false };
        let fires = accesses.iter().any(|access| access.triggers);
        if texts.len() >= literal_rows::FROM
            && !fires
            && let Some(there) = literal_rows::are_there(&self.connection.borrow(), texts)
        {
            return there;
        }
        let written: BTreeSet<String> = accesses.iter().flat_map(Access::writes).collect();
        let has_virtual = written.iter().any(|table| self.is_virtual(table));
        let counted = self.rolled_back(|connection| {
            let before = connection.total_changes();
            for text in texts {
                run_all(connection, &[text])?;
                if connection.total_changes() > before {
                    break;
                }
            }
            Ok(connection.total_changes() - before)
        });
        match counted {
            None => false,
            Some(0) if !has_virtual => true,
            Some(_) => self.same_content(&written, |connection| run_all(connection, texts)),
        }
    }

    /// How many of these statements, by which no trigger fires, filled the tables that they name: looked
    /// up where they are rows of literals.
    pub fn filled_by(&self, texts: &[&str]) -> Option<usize> {
        literal_rows::filled_by(&self.connection.borrow(), texts)
    }

    /// What statements do, those of one form after one another once.
    pub fn accesses(&self, texts: &[&str]) -> Option<Vec<Access>> {
        let mut accesses = Vec::new();
        let mut last: Option<(&str, Vec<Token>)> = None;
        for text in texts {
            let tokens = meaningful(text);
            let same = last.as_ref().is_some_and(|(earlier, known)| {
                differ_in_values_alone((earlier, known), (text, &tokens))
            });
            if !same {
                accesses.push(self.access(text)?);
                last = Some((text, tokens));
            }
        }
        Some(accesses)
    }

    /// Whether these tables hold just what the statements put into them when they are empty.
    pub fn holds_just(&self, tables: &BTreeSet<String>, texts: &[&str]) -> bool {
        let Some(written) = self.written(texts) else { return false };
        let all: BTreeSet<String> = written.union(tables).cloned().collect();
        self.same_content(&all, |connection| {
            for table in tables {
                execute(connection, &format!("DELETE FROM main.{}", quote(table)))?;
            }
            texts.iter().try_for_each(|text| execute(connection, text))
        })
    }

    /// Whether statements, schema changes among them, would leave these tables as they are.
    pub fn leave_tables(&self, tables: &BTreeSet<String>, texts: &[&str]) -> bool {
        self.same_content(tables, |connection| run_all(connection, texts))
    }

    /// Whether the statements only add rows that they name themselves, and a second run of them would add
    /// none: none of them reads a table, fires a trigger, or changes a row that is there.
    pub fn only_adds_once(&self, texts: &[&str]) -> bool {
        // A long file of which the first statement adds rows each time need not be run twice as a whole.
        if texts.len() >= literal_rows::FROM && !self.only_adds_once(&texts[..1]) {
            return false;
        }
        let mut accesses = Vec::new();
        for text in texts {
            // What an ON CONFLICT clause compares is no reading: it decides whether the row is there.
            let head = rows::before_conflict_clause(text);
            let (Some(whole), Some(head)) = (self.access(text), self.access(head)) else {
                return false;
            };
            if whole.triggers || !whole.changes.is_empty() {
                return false;
            }
            accesses.push(head);
        }
        let written: BTreeSet<String> = accesses.iter().flat_map(Access::writes).collect();
        // Rows that were read may have come since: a second run would add what the first could not.
        if accesses.iter().any(|access| !access.reads.is_empty()) {
            return false;
        }
        let unstable = accesses
            .iter()
            .any(|access| UNSTABLE.iter().any(|function| access.functions.contains(*function)));
        let added = self.rolled_back(|connection| {
            let count = |connection: &Connection| -> Result<u64> {
                written.iter().try_fold(0, |sum, table| Ok(sum + rows_of(connection, table)?))
            };
            let (rows, changes) = (count(connection)?, connection.total_changes());
            texts.iter().try_for_each(|text| execute(connection, text))?;
            let first = connection.total_changes();
            let only_added = count(connection)? - rows == first - changes;
            if unstable {
                make_unstable(connection)?;
            }
            texts.iter().try_for_each(|text| execute(connection, text))?;
            Ok(only_added && connection.total_changes() == first)
        });
        added == Some(true)
    }

    /// Every table that the statements write to; none where one of them cannot be prepared.
    fn written(&self, texts: &[&str]) -> Option<BTreeSet<String>> {
        Some(self.accesses(texts)?.iter().flat_map(Access::writes).collect())
    }

    fn same_content(
        &self,
        tables: &BTreeSet<String>,
        act: impl Fn(&Connection) -> Result<()>,
    ) -> bool {
        let same = self.rolled_back(|connection| {
            let mut tables = tables.clone();
            for table in tables.clone() {
                tables.append(&mut shadows(connection, &table)?);
            }
            tables.insert("sqlite_sequence".into());
            let digest = || tables.iter().map(|table| content(connection, table)).collect();
            let before: Vec<Option<Vec<u8>>> = digest();
            act(connection)?;
            let after: Vec<Option<Vec<u8>>> = digest();
            Ok(before == after)
        });
        same == Some(true)
    }

    fn is_virtual(&self, table: &str) -> bool {
        shadows(&self.connection.borrow(), table).map_or(true, |found| !found.is_empty())
    }

    /// Does something and takes it back; none where SQLite refused any of it.
    fn rolled_back<T>(&self, act: impl FnOnce(&Connection) -> Result<T>) -> Option<T> {
        let connection = self.connection.borrow();
        connection.execute_batch("SAVEPOINT trial").ok()?;
        let outcome = act(&connection);
        let ended = connection.execute_batch("ROLLBACK TO trial; RELEASE trial");
        if connection.is_autocommit() {
            // A statement with OR ROLLBACK ended the transaction.
            connection.execute_batch("BEGIN IMMEDIATE").ok()?;
            return None;
        }
        ended.ok()?;
        outcome.ok()
    }
}

/// Runs statements in their order; an INSERT that finds its keys taken puts its rows over those.
fn run_all(connection: &Connection, texts: &[&str]) -> Result<()> {
    for text in texts {
        match execute(connection, text) {
            Err(Error::SqliteFailure(error, _)) if error.code == ErrorCode::ConstraintViolation => {
                let over = rows::replacing(text).ok_or(Error::InvalidQuery)?;
                execute(connection, &over)?;
            }
            // The rename at the end of a rebuild, while a view or trigger names what is gone.
            Err(_) if class::renamed_table(text).is_some() => {
                execute(connection, "PRAGMA legacy_alter_table = ON")?;
                let outcome = execute(connection, text);
                execute(connection, "PRAGMA legacy_alter_table = OFF")?;
                outcome?;
            }
            outcome => outcome?,
        }
    }
    Ok(())
}

fn execute(connection: &Connection, text: &str) -> Result<()> {
    let mut statement = connection.prepare(text)?;
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

fn rows_of(connection: &Connection, table: &str) -> Result<u64> {
    let query = format!("SELECT count(*) FROM main.{}", quote(table));
    let rows: i64 = connection.query_row(&query, [], |row| row.get(0))?;
    Ok(rows.unsigned_abs())
}

/// The tables that a virtual table keeps its content in; those of an ordinary table are none.
fn shadows(connection: &Connection, table: &str) -> Result<BTreeSet<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow' \
         AND EXISTS (SELECT 1 FROM pragma_table_list WHERE name = ?1 COLLATE NOCASE AND type = 'virtual') \
         AND substr(name, 1, length(?1) + 1) = ?1 || '_' COLLATE NOCASE",
    )?;
    let names = statement.query_map([table], |row| row.get::<_, String>(0))?;
    names.map(|name| name.map(|name| fold(&name))).collect()
}

/// A hash over all rows of a table with their numbers; none where it cannot be read.
fn content(connection: &Connection, table: &str) -> Option<Vec<u8>> {
    let table = quote(table);
    let query = |columns: &str| {
        connection.prepare(&format!("SELECT {columns} FROM main.{table} NOT INDEXED"))
    };
    let mut statement = query("rowid, *").or_else(|_| query("*")).ok()?;
    let count = statement.column_count();
    let mut rows = statement.raw_query();
    let mut hash = Sha256::new();
    while let Some(row) = rows.next().ok()? {
        for at in 0..count {
            let (kind, bytes): (u8, Vec<u8>) = match row.get_ref(at).ok()? {
                ValueRef::Null => (0, Vec::new()),
                ValueRef::Integer(number) => (1, number.to_le_bytes().to_vec()),
                ValueRef::Real(number) => (2, number.to_le_bytes().to_vec()),
                ValueRef::Text(text) => (3, text.to_vec()),
                ValueRef::Blob(blob) => (4, blob.to_vec()),
            };
            hash.update([kind]);
            hash.update(bytes.len().to_le_bytes());
            hash.update(&bytes);
        }
    }
    Some(hash.finalize().to_vec())
}

/// Gives every function whose value differs from call to call values that have never been.
fn make_unstable(connection: &Connection) -> Result<()> {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    for name in UNSTABLE {
        let fresh = move |_: &rusqlite::functions::Context<'_>| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            Ok(format!("piton {number}"))
        };
        connection.create_scalar_function(name, -1, FunctionFlags::SQLITE_UTF8, fresh)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "CREATE TABLE kinds (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
        INSERT INTO kinds VALUES (1, 'a'), (2, 'b');
        CREATE TABLE bare (n); INSERT INTO bare VALUES (1), (1), (2);
        CREATE TABLE empty (id INTEGER PRIMARY KEY, n);
        CREATE TABLE jobs (id, state); INSERT INTO jobs VALUES (1, 'done'), (2, 'finished');";

    fn trial(extra: &str) -> (tempfile::TempDir, Trial) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let connection = database::open(&path, Open::Create, Duration::ZERO).unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        connection.execute_batch(extra).unwrap();
        let trial = Trial::open(&path).unwrap();
        (folder, trial)
    }

    #[test]
    fn what_leaves_every_row_as_it_is() {
        let (_folder, trial) = trial("");
        let cases: [(&[&str], bool); 14] = [
            (&["UPDATE jobs SET state = 'x' WHERE state = 'y'"], true),
            (&["UPDATE kinds SET name = 'a' WHERE id = 1"], true),
            (&["UPDATE kinds SET name = 'c' WHERE id = 1"], false),
            (&["INSERT INTO kinds VALUES (1, 'a'), (2, 'b')"], true),
            (&["INSERT INTO kinds VALUES (1, 'a'), (3, 'c')"], false),
            (&["INSERT INTO kinds VALUES (1, 'z')"], false),
            (&["INSERT OR IGNORE INTO kinds VALUES (1, 'z')"], true),
            (&["INSERT INTO bare VALUES (1)"], false),
            (&["INSERT INTO bare SELECT n FROM bare WHERE n > 5"], true),
            (&["DELETE FROM empty"], true),
            (&["DELETE FROM jobs WHERE state = 'done'"], false),
            (&["INSERT INTO bare VALUES (9)", "DELETE FROM bare WHERE n = 9"], true),
            (&["UPDATE kinds SET name = name || ''"], true),
            (&["UPDATE nowhere SET a = 1"], false),
        ];
        for (texts, expected) in cases {
            assert_eq!(trial.leaves_unchanged(texts), expected, "{texts:?}");
        }
    }

    #[test]
    fn what_may_run_again() {
        let (_folder, trial) = trial(
            "CREATE TABLE keyed (name TEXT PRIMARY KEY, at); CREATE TABLE log (a);
             CREATE TABLE watched (id PRIMARY KEY);
             CREATE TRIGGER w AFTER INSERT ON watched BEGIN INSERT INTO log VALUES (1); END;",
        );
        let cases: [(&[&str], bool); 14] = [
            (&["INSERT OR IGNORE INTO keyed VALUES ('a', 1), ('b', 2)"], true),
            (&["INSERT OR IGNORE INTO keyed VALUES ('a', datetime('now'))"], true),
            (&["INSERT OR IGNORE INTO keyed VALUES (datetime('now'), 1)"], false),
            (&["INSERT OR IGNORE INTO keyed VALUES (NULL, 1)"], false),
            (&["INSERT INTO keyed VALUES ('a', 1) ON CONFLICT (name) DO NOTHING"], true),
            (&["INSERT INTO keyed VALUES ('a', 1) ON CONFLICT (name) DO UPDATE SET at = 2"], false),
            (&["INSERT INTO keyed VALUES ('a', 1)"], false),
            (&["REPLACE INTO kinds VALUES (1, 'z')"], false),
            (&["INSERT OR IGNORE INTO kinds (id, name) SELECT id, state FROM jobs"], false),
            (&["INSERT OR IGNORE INTO kinds SELECT id + 5, name || 'x' FROM kinds"], false),
            (&["INSERT OR IGNORE INTO watched VALUES (1)"], false),
            (&["DELETE FROM jobs WHERE state = 'done'"], false),
            (
                &[
                    "INSERT OR IGNORE INTO keyed VALUES ('a', 1)",
                    "INSERT OR IGNORE INTO kinds SELECT at, name FROM keyed",
                ],
                false,
            ),
            (
                &[
                    "INSERT OR IGNORE INTO keyed VALUES ('a', 1)",
                    "INSERT OR IGNORE INTO keyed VALUES ('b', 1)",
                ],
                true,
            ),
        ];
        for (texts, expected) in cases {
            assert_eq!(trial.only_adds_once(texts), expected, "{texts:?}");
        }
    }

    #[test]
    fn tables_that_hold_just_what_was_put_into_them() {
        let (_folder, trial) = trial("");
        let own: BTreeSet<String> = ["bare".to_string()].into();
        assert!(trial.holds_just(
            &own,
            &["INSERT INTO bare VALUES (1), (1)", "INSERT INTO bare VALUES (2)"]
        ));
        assert!(!trial.holds_just(&own, &["INSERT INTO bare VALUES (1), (1)"]));
        assert!(!trial.holds_just(&own, &["INSERT INTO bare VALUES (1), (1), (3)"]));
    }

    #[test]
    fn no_byte_changes_and_others_read_meanwhile() {
        for mode in ["delete", "wal"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("app.db");
            let live = database::open(&path, Open::Create, Duration::ZERO).unwrap();
            live.execute_batch(&format!("PRAGMA journal_mode = {mode}; {SCHEMA}")).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let trial = Trial::open(&path).unwrap();
            assert!(!trial.leaves_unchanged(&["DELETE FROM kinds"]));
            assert_eq!(rows_of(&live, "kinds").unwrap(), 2);
            drop(trial);
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "{mode}");
            assert_eq!(rows_of(&live, "kinds").unwrap(), 2);
        }
    }
}
