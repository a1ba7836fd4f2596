//! Reads and writes the ledger's table.

use super::{
    format::{CREATE, FORMAT, Format, TABLE, find},
    row::{Entry, EntryKind, EntryState, Witness},
};
use crate::{
    error::{DatabaseError, LedgerError},
    history::{Migration, Version},
};
use rusqlite::{Connection, Row, named_params};
use std::{path::Path, sync::Arc};

/// Makes a closure that gives an error of the ledger its file.
pub fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(LedgerError) -> DatabaseError + use<> {
    let path = path.to_path_buf();
    move |error| error.at(action, &path)
}

/// Creates the ledger where there is none, and gives an older one the format that is written now:
/// the same rows with the same numbers.
///
/// Inside the caller's transaction if there is one, and else in one of its own.
///
/// # Errors
/// [`LedgerError`].
pub fn create(connection: &Connection) -> Result<(), LedgerError> {
    match find(connection)? {
        Some(Format::Second) => Ok(()),
        None => Ok(connection.execute_batch(CREATE)?),
        Some(Format::First) => {
            connection.execute_batch("SAVEPOINT piton_ledger")?;
            let upgraded = upgrade(connection);
            let end = match upgraded {
                Ok(()) => "RELEASE piton_ledger",
                Err(_) => "ROLLBACK TO piton_ledger; RELEASE piton_ledger",
            };
            connection.execute_batch(end).map_err(LedgerError::from).and(upgraded)
        }
    }
}

/// Not by ALTER TABLE, which looks at every view and trigger of the database and fails at one that
/// is broken.
fn upgrade(connection: &Connection) -> Result<(), LedgerError> {
    let entries = read(connection)?;
    connection.execute_batch("DROP TABLE main._piton_ledger")?;
    connection.execute_batch(CREATE)?;
    for entry in &entries {
        add(connection, Some(entry.id), entry)?;
    }
    Ok(())
}

/// All rows in their order, with their texts; none where there is no ledger.
///
/// # Errors
/// [`LedgerError`]; a row that piton did not write is a conversion failure.
pub fn read(connection: &Connection) -> Result<Vec<Entry>, LedgerError> {
    select(connection, "text")
}

/// All rows in their order, without their texts: enough to see that nothing changed.
///
/// # Errors
/// As [`read`].
pub fn read_brief(connection: &Connection) -> Result<Vec<Entry>, LedgerError> {
    select(connection, "''")
}

/// How many of these migrations the ledger holds, from the first one on and in this order, each run
/// by piton from a file with this checksum, and the schema hash of the last row; none where it holds
/// anything else.
///
/// Nothing is kept of the rows, so that thousands of databases can be looked at cheaply.
///
/// # Errors
/// [`LedgerError`].
pub fn settled_hash(
    connection: &Connection,
    migrations: &[Arc<Migration>],
) -> Result<Option<(usize, String)>, LedgerError> {
    let Some(format) = find(connection)? else { return Ok(None) };
    let [known_by, file, text] = format.evidence();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT version, {file}, {text}, schema_hash FROM main.{TABLE} \
         WHERE kind <> 'operation' AND state = 'applied' AND {known_by} = 'run' \
           AND NOT EXISTS (SELECT 1 FROM main.{TABLE} WHERE state <> 'applied' OR {known_by} <> 'run') \
         ORDER BY id",
    ))?;
    let mut rows = statement.query([])?;
    let mut settled = None;
    for (at, migration) in migrations.iter().enumerate() {
        let Some(row) = rows.next()? else { return Ok(settled) };
        let text = |at: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(at)?.as_str()?) };
        // The ledger has the version as the file name spelled it.
        let same = Version::same_digits(text(0)?, migration.version.digits())
            && (text(1)? == migration.checksum.exact || text(2)? == migration.checksum.forgiving);
        if !same {
            return Ok(None);
        }
        if !text(3)?.is_empty() {
            settled = Some((at + 1, text(3)?.to_string()));
        } else if let Some((count, _)) = &mut settled {
            *count = at + 1;
        }
    }
    if rows.next()?.is_some() {
        return Ok(None);
    }
    // A data operation that ran last leaves the schema as it was, and its own row.
    Ok(settled)
}

fn select(connection: &Connection, text: &str) -> Result<Vec<Entry>, LedgerError> {
    let Some(format) = find(connection)? else { return Ok(Vec::new()) };
    let columns = format.columns();
    let sql = format!("SELECT {columns}, {text} FROM main.{TABLE} ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], entry)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
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

fn word<T>(row: &Row<'_>, at: usize, read: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
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
pub fn insert(connection: &Connection, entry: &Entry) -> rusqlite::Result<i64> {
    add(connection, None, entry)
}

fn add(connection: &Connection, id: Option<i64>, entry: &Entry) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO main._piton_ledger (id, format, kind, version, name, state, known_by, \
             started_at, duration_ms, statements_done, file_sha256, text_sha256, schema_hash, \
             backup, piton_version, changed_objects, output, text) \
             VALUES (:id, :format, :kind, :version, :name, :state, :known_by, \
             :started_at, :duration_ms, :statements_done, :file_sha256, :text_sha256, :schema_hash, \
             :backup, :piton_version, :changed_objects, :output, :text)",
        )?
        .insert(named_params! {
            ":id": id,
            ":format": FORMAT,
            ":kind": entry.kind.word(),
            ":version": entry.version.to_string(),
            ":name": entry.name,
            ":state": entry.state.word(),
            ":known_by": entry.witness.word(),
            ":started_at": entry.started,
            ":duration_ms": entry.milliseconds,
            ":statements_done": entry.statements,
            ":file_sha256": entry.checksum,
            ":text_sha256": entry.forgiving,
            ":schema_hash": entry.schema_hash,
            ":backup": entry.backup,
            ":piton_version": entry.piton,
            ":changed_objects": entry.objects,
            ":output": entry.output,
            ":text": entry.text,
        })
}

/// Completes a row that was inserted as started: its state, duration, schema and output.
///
/// # Errors
/// SQLite's.
pub fn complete(connection: &Connection, id: i64, entry: &Entry) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE main._piton_ledger SET state = ?2, duration_ms = ?3, statements_done = ?4, \
             schema_hash = ?5, output = ?6, known_by = ?7, changed_objects = ?8 WHERE id = ?1",
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

/// Removes a row: a person takes back what it says.
///
/// # Errors
/// SQLite's.
pub fn remove(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM main._piton_ledger WHERE id = ?1", [id]).map(drop)
}

/// Notes how many statements of a file with `transaction: none` are finished.
///
/// # Errors
/// SQLite's.
pub fn set_progress(connection: &Connection, id: i64, statements: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE main._piton_ledger SET statements_done = ?2 WHERE id = ?1")?
        .execute((id, statements))?;
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
