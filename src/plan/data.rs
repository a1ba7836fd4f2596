//! What the live database can tell about data: declared guards and counts, read only.

use crate::sql::quote;
use rusqlite::{Connection, types::ValueRef};

/// Evaluates a declared query: true where its first value is true, as SQLite understands truth.
/// No row is false.
///
/// # Errors
/// What SQLite said: the objects that it asks about may not exist yet.
pub fn truth(connection: &Connection, query: &str) -> Result<bool, String> {
    let text = |error: rusqlite::Error| error.to_string();
    let mut statement = connection.prepare(query).map_err(text)?;
    if !statement.readonly() {
        return Err("a guard must be a query that changes nothing".into());
    }
    let mut rows = statement.raw_query();
    let Some(row) = rows.next().map_err(text)? else { return Ok(false) };
    Ok(is_true(row.get_ref(0).map_err(text)?))
}

/// Whether SQLite takes a value for true: a number, or a text that is one, other than zero.
#[must_use]
pub fn is_true(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Null => false,
        ValueRef::Integer(number) => number != 0,
        ValueRef::Real(number) => number != 0.0,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            text.trim().parse::<f64>().is_ok_and(|number| number != 0.0)
        }
    }
}

/// What is wrong with a declared query whatever the schema is: SQLite cannot read it, or it would
/// change something. Objects that it asks about may be made later, so their absence is no error.
pub fn malformed(connection: &Connection, query: &str) -> Option<String> {
    match connection.prepare(query) {
        Ok(statement) if statement.readonly() => None,
        Ok(_) => Some("it must be a query that changes nothing".into()),
        Err(rusqlite::Error::MultipleStatement) => Some("it must be one query".into()),
        Err(error) => {
            let said = error.to_string();
            let unread = ["syntax error", "incomplete input", "unrecognized token"];
            unread.iter().any(|part| said.contains(part)).then_some(said)
        }
    }
}

/// Whether a table has any row; none where it cannot be read.
pub fn has_rows(connection: &Connection, table: &str) -> Option<bool> {
    let query = format!("SELECT EXISTS (SELECT 1 FROM main.{})", quote(table));
    connection.query_row(&query, [], |row| row.get(0)).ok()
}
