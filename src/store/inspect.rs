//! What a database contains and whether it is sound; for copies, and for what a read transaction holds.
//!
//! Never open a live database by it: that would read without locks.

use super::{Check, DatabaseFacts, Digest};
use crate::{
    Result,
    database::{self, Access, failed},
    error::DatabaseError,
    schema::{references, search},
};
use rusqlite::Connection;
use std::{collections::BTreeMap, fmt::Write as _, path::Path, time::Duration};

/// Memory for pages, in KiB as a negative number (SQLite's documentation of `cache_size`).
const CACHE: i64 = -49_152;

/// Opens a copy without locks and without leaving files beside it.
///
/// # Errors
/// [`DatabaseError`], with the path.
pub(crate) fn open_copy(copy: &Path) -> Result<Connection> {
    database::open(copy, Access::Immutable, Duration::ZERO)
}

/// Checks a database that nobody changes and reads its facts; `shown` is the path that messages name.
///
/// # Errors
/// [`DatabaseError::Damaged`] where a check finds something; otherwise SQLite's.
pub(crate) fn facts(copy: &Connection, shown: &Path) -> Result<DatabaseFacts> {
    // Checking looks every row up in every index: from a small cache that is a read each.
    copy.pragma_update(None, "cache_size", CACHE).map_err(failed("check", shown))?;
    let (check, stale_indexes) = check(copy, shown)?;
    let page_size = copy
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .map_err(failed("read the page size of", shown))?;
    Ok(DatabaseFacts {
        page_size,
        schema_hash: schema_hash(copy).map_err(failed("read the schema of", shown))?,
        rows: row_counts(copy).map_err(failed("read the schema of", shown))?,
        foreign_key_violations: references::all_violations(copy).ok(),
        check,
        stale_indexes,
    })
}

/// Rows per table, of the tables that can be counted without the application's functions.
///
/// # Errors
/// SQLite's, where the schema cannot be read.
pub(crate) fn row_counts(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    // Virtual tables have no root page, and may need a module that is not here.
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0")?;
    let names: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let count = |name: &str, how: &str| {
        let name = name.replace('"', "\"\"");
        let sql = format!("SELECT count(*) FROM \"{name}\"{how}");
        connection.query_row(&sql, [], |row| row.get::<_, i64>(0))
    };
    let mut rows = BTreeMap::new();
    for name in names {
        // The planner may choose an index whose collation is not here: then count the table.
        let counted = count(&name, "").or_else(|_| count(&name, " NOT INDEXED"));
        if let Some(number) = counted.ok().and_then(|number| u64::try_from(number).ok()) {
            rows.insert(name, number);
        }
    }
    Ok(rows)
}

fn check(copy: &Connection, shown: &Path) -> Result<(Check, Vec<String>)> {
    let mut reason = None;
    for (pragma, check) in [("integrity_check", Check::Full), ("quick_check", Check::Quick)] {
        match search::check(copy, pragma, 20) {
            Ok(found) if found.damage.is_empty() => return Ok((check, found.stale)),
            Ok(found) => {
                let findings = found.damage.join("\n");
                return Err(DatabaseError::Damaged { path: shown.into(), findings }.into());
            }
            Err(error) => reason = Some(error),
        }
    }
    match reason {
        // Only a plain SQL error can mean a missing function or collation.
        Some(error) if !search::is_plain(&error) => Err(failed("check", shown)(error).into()),
        _ => Ok((Check::Impossible, Vec::new())),
    }
}

/// Checks a live database as far as it goes without reading every index.
///
/// # Errors
/// [`DatabaseError::Damaged`] where the check finds something; otherwise SQLite's.
pub(crate) fn check_quickly(connection: &Connection, shown: &Path) -> Result<()> {
    match search::check(connection, "quick_check", 5) {
        Ok(found) if found.damage.is_empty() => Ok(()),
        Ok(found) => {
            let findings = found.damage.join("\n");
            Err(DatabaseError::Damaged { path: shown.into(), findings }.into())
        }
        // It needs a function or collation that is not here.
        Err(error) if search::is_plain(&error) => Ok(()),
        Err(error) => Err(failed("check", shown)(error).into()),
    }
}

/// A digest over the schema, the same for equal schemas whatever order they were made in.
///
/// # Errors
/// SQLite's, where the schema cannot be read.
pub(crate) fn schema_hash(connection: &Connection) -> rusqlite::Result<Digest> {
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY 1, 2, 3",
    )?;
    let mut rows = statement.query([])?;
    let mut text = String::new();
    while let Some(row) = rows.next()? {
        for index in 0..4 {
            let field: String = row.get(index)?;
            // The length before each field keeps two neighbours from being read as others.
            write!(text, "{}:{field},", field.len()).expect("writing to a string never fails");
        }
    }
    Ok(Digest::of(text.as_bytes()))
}
