//! Reads and writes the ledger's table.

use super::row::{Entry, EntryKind, EntryState, Witness};
use crate::history::{Migration, Version};
use rusqlite::{Connection, OptionalExtension, Result, Row, named_params};
use std::sync::Arc;

/// The table's name.
pub const TABLE: &str = "_piton_ledger";

const COLUMNS: &str = "id, version, name, kind, state, witness, checksum, forgiving, started, \
     milliseconds, statements, schema_hash, backup, piton, output, objects";

/// Whether the database has a ledger.
///
/// # Errors
/// SQLite's.
pub fn exists(connection: &Connection) -> Result<bool> {
    let found = connection
        .prepare_cached("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1")?
        .query_row([TABLE], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

/// Creates the ledger where there is none; inside the caller's transaction.
///
/// # Errors
/// SQLite's.
pub fn create(connection: &Connection) -> Result<()> {
    if exists(connection)? {
        return Ok(());
    }
    connection.execute_batch(
        "CREATE TABLE main._piton_ledger (
           id INTEGER PRIMARY KEY,
           version TEXT NOT NULL,
           name TEXT NOT NULL,
           kind TEXT NOT NULL,
           state TEXT NOT NULL,
           witness TEXT NOT NULL,
           checksum TEXT NOT NULL,
           forgiving TEXT NOT NULL,
           text TEXT NOT NULL,
           started TEXT NOT NULL,
           milliseconds INTEGER NOT NULL,
           statements INTEGER NOT NULL,
           schema_hash TEXT NOT NULL,
           backup TEXT,
           piton TEXT NOT NULL,
           output TEXT,
           objects TEXT NOT NULL
         )",
    )
}

/// All rows in their order, with their texts; none where there is no ledger.
///
/// # Errors
/// SQLite's; a row that piton did not write is a conversion failure.
pub fn read(connection: &Connection) -> Result<Vec<Entry>> {
    select(connection, "text")
}

/// All rows in their order, without their texts: enough to see that nothing changed.
///
/// # Errors
/// As [`read`].
pub fn read_brief(connection: &Connection) -> Result<Vec<Entry>> {
    select(connection, "''")
}

/// The schema hash of the last row, where the ledger holds exactly these migrations in this order,
/// each run by piton from a file with this checksum; none where anything differs.
///
/// Nothing is kept of the rows, so that thousands of databases can be looked at cheaply.
///
/// # Errors
/// SQLite's.
pub fn settled_hash(
    connection: &Connection,
    migrations: &[Arc<Migration>],
) -> Result<Option<String>> {
    if !exists(connection)? {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(
        "SELECT version, checksum, forgiving, schema_hash FROM main._piton_ledger \
         WHERE kind <> 'operation' AND state = 'applied' AND witness = 'run' \
           AND (SELECT count(*) FROM main._piton_ledger WHERE state <> 'applied' OR witness <> 'run') = 0 \
         ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut hash = None;
    for migration in migrations {
        let Some(row) = rows.next()? else { return Ok(None) };
        let text = |at: usize| -> Result<&str> { Ok(row.get_ref(at)?.as_str()?) };
        // The ledger has the version as the file name spelled it.
        let same = Version::same_digits(text(0)?, migration.version.digits())
            && (text(1)? == migration.checksum.exact || text(2)? == migration.checksum.forgiving);
        if !same {
            return Ok(None);
        }
        if !text(3)?.is_empty() {
            hash = Some(text(3)?.to_string());
        }
    }
    if rows.next()?.is_some() {
        return Ok(None);
    }
    // A data operation that ran last leaves the schema as it was, and its own row.
    Ok(hash)
}

fn select(connection: &Connection, text: &str) -> Result<Vec<Entry>> {
    if !exists(connection)? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT {COLUMNS}, {text} FROM main.{TABLE} ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], entry)?;
    rows.collect()
}

fn entry(row: &Row<'_>) -> Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        version: word(row, 1, Version::parse)?,
        name: row.get(2)?,
        kind: word(row, 3, EntryKind::from_word)?,
        state: word(row, 4, EntryState::from_word)?,
        witness: word(row, 5, Witness::from_word)?,
        checksum: row.get(6)?,
        forgiving: row.get(7)?,
        started: row.get(8)?,
        milliseconds: row.get(9)?,
        statements: row.get(10)?,
        schema_hash: row.get(11)?,
        backup: row.get(12)?,
        piton: row.get(13)?,
        output: row.get(14)?,
        objects: row.get(15)?,
        text: row.get(16)?,
    })
}

fn word<T>(row: &Row<'_>, at: usize, read: impl Fn(&str) -> Option<T>) -> Result<T> {
    let text: String = row.get(at)?;
    read(&text).ok_or_else(|| {
        let reason = format!("the ledger holds `{text}`, which piton does not know");
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, reason.into())
    })
}

/// Adds a row and returns its id.
///
/// # Errors
/// SQLite's.
pub fn insert(connection: &Connection, entry: &Entry) -> Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO main._piton_ledger (version, name, kind, state, witness, checksum, \
             forgiving, text, started, milliseconds, statements, schema_hash, backup, piton, output, objects) \
             VALUES (:version, :name, :kind, :state, :witness, :checksum, :forgiving, :text, \
             :started, :milliseconds, :statements, :schema_hash, :backup, :piton, :output, :objects)",
        )?
        .insert(named_params! {
            ":version": entry.version.to_string(),
            ":name": entry.name,
            ":kind": entry.kind.word(),
            ":state": entry.state.word(),
            ":witness": entry.witness.word(),
            ":checksum": entry.checksum,
            ":forgiving": entry.forgiving,
            ":text": entry.text,
            ":started": entry.started,
            ":milliseconds": entry.milliseconds,
            ":statements": entry.statements,
            ":schema_hash": entry.schema_hash,
            ":backup": entry.backup,
            ":piton": entry.piton,
            ":output": entry.output,
            ":objects": entry.objects,
        })
}

/// Completes a row that was inserted as started: its state, duration, schema and output.
///
/// # Errors
/// SQLite's.
pub fn complete(connection: &Connection, id: i64, entry: &Entry) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE main._piton_ledger SET state = ?2, milliseconds = ?3, statements = ?4, \
             schema_hash = ?5, output = ?6, witness = ?7, objects = ?8 WHERE id = ?1",
        )?
        .execute((
            id,
            entry.state.word(),
            entry.milliseconds,
            entry.statements,
            &entry.schema_hash,
            &entry.output,
            entry.witness.word(),
            &entry.objects,
        ))?;
    Ok(())
}

/// Notes how many statements of a file with `transaction: none` are finished.
///
/// # Errors
/// SQLite's.
pub fn set_progress(connection: &Connection, id: i64, statements: i64) -> Result<()> {
    connection
        .prepare_cached("UPDATE main._piton_ledger SET statements = ?2 WHERE id = ?1")?
        .execute((id, statements))?;
    Ok(())
}
