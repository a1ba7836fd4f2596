//! The base: the objects of a database that no migration made, as they were at the first run.
//!
//! The table `_piton_base` has the columns of `sqlite_schema`. It belongs to the ledger: without a
//! ledger it says nothing.

use super::format::{self, find};
use crate::{error::LedgerError, schema::ObjectKind};
use rusqlite::Connection;

const TABLE: &str = "_piton_base";

const CREATE: &str = "\
CREATE TABLE main._piton_base (
  type     TEXT NOT NULL,  -- table, index, view or trigger
  name     TEXT NOT NULL,
  tbl_name TEXT NOT NULL,  -- the table that it belongs to
  sql      TEXT NOT NULL   -- the text that made it
)";

/// An object that no migration made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseObject {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name as it was written.
    pub name: String,
    /// The name of the table that it belongs to; its own for a table or view.
    pub table: String,
    /// The text that made it, as SQLite stores it.
    pub sql: String,
}

/// The base in the order in which it was written; none where it was never recorded, which is not
/// the same as an empty one.
///
/// # Errors
/// [`LedgerError`].
pub fn read_base(connection: &Connection) -> Result<Option<Vec<BaseObject>>, LedgerError> {
    // What a dropped ledger left says nothing.
    if find(connection)?.is_none() || !exists(connection)? {
        return Ok(None);
    }
    let mut statement = connection
        .prepare_cached("SELECT type, name, tbl_name, sql FROM main._piton_base ORDER BY rowid")?;
    let rows = statement.query_map([], |row| {
        let kind: String = row.get(0)?;
        Ok((kind, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let mut objects = Vec::new();
    for row in rows {
        let (kind, name, table, sql) = row?;
        let Some(kind) = ObjectKind::from_word(&kind) else { return Err(foreign()) };
        objects.push(BaseObject { kind, name, table, sql });
    }
    Ok(Some(objects))
}

/// Records the base, in place of one that was recorded before; inside the caller's transaction,
/// which writes the ledger too.
///
/// # Errors
/// [`LedgerError`].
pub fn write_base(connection: &Connection, objects: &[BaseObject]) -> Result<(), LedgerError> {
    if exists(connection)? {
        connection.execute_batch("DELETE FROM main._piton_base")?;
    } else {
        connection.execute_batch(CREATE)?;
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO main._piton_base (type, name, tbl_name, sql) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for object in objects {
        insert.execute((object.kind.word(), &object.name, &object.table, &object.sql))?;
    }
    Ok(())
}

fn exists(connection: &Connection) -> Result<bool, LedgerError> {
    let Some((kind, _)) = format::object(connection, TABLE)? else { return Ok(false) };
    let columns = format::columns(connection, TABLE)?;
    let wanted = ["name", "sql", "tbl_name", "type"];
    if kind == "table" && columns.iter().eq(wanted) {
        return Ok(true);
    }
    Err(LedgerError::Foreign { kind, name: TABLE.into() })
}

fn foreign() -> LedgerError {
    LedgerError::Foreign { kind: "table".into(), name: TABLE.into() }
}
