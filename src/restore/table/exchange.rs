//! The exchange of rows itself, inside the one transaction of a restore of tables: nothing here commits.
//!
//! Rows that are the same stay as they are. All others go first and come back from the backup afterwards, so
//! that no two rows ever claim one unique value.

use super::{
    Change,
    look::{Holder, Identity, Table},
};
use crate::{
    difference::differs,
    schema::references,
    sql::{fold, quote},
};
use rusqlite::{Connection, OptionalExtension as _, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Makes the table if it is missing, and its rows those of the backup.
pub(super) fn exchange(connection: &Connection, table: &Table) -> Result<()> {
    let sequence = sequence(connection, "main", &table.name)?;
    match table.change.change {
        Change::Created => connection.execute_batch(&table.sql)?,
        Change::Replaced => drop(connection.execute(&removal(table), [])?),
    }
    connection.execute(&insertion(table), [])?;
    set_sequence(connection, &table.name, sequence)?;
    if table.change.change == Change::Created {
        // Indexes after the rows, which is faster.
        table.objects.iter().try_for_each(|sql| connection.execute_batch(sql))?;
    }
    Ok(())
}

/// Deletes the rows that are not as in the backup.
fn removal(table: &Table) -> String {
    let name = quote(&table.name);
    match &table.identity {
        Identity::Number(number, _) => format!(
            "DELETE FROM main.{name} WHERE {number} IN (SELECT b.{number} FROM {})",
            others(table)
        ),
        Identity::Key(_) => format!("DELETE FROM {}", others(table)),
    }
}

/// The rows of the live table that the backup does not have exactly so.
fn others(table: &Table) -> String {
    let (name, differs) = (quote(&table.name), differs(&table.shape, &table.shape));
    match &table.identity {
        Identity::Number(number, _) => format!(
            "main.{name} AS b LEFT JOIN first.{name} AS a ON a.{number} = b.{number} \
             WHERE a.{number} IS NULL OR {differs}"
        ),
        Identity::Key(key) => format!(
            "main.{name} AS b WHERE NOT EXISTS \
             (SELECT 1 FROM first.{name} AS a WHERE {} AND NOT {differs})",
            equal(key)
        ),
    }
}

/// Inserts the rows of the backup that are not there.
fn insertion(table: &Table) -> String {
    let name = quote(&table.name);
    let mut columns: Vec<String> = table.shape.columns.iter().map(|it| quote(it)).collect();
    let same = match &table.identity {
        Identity::Number(number, holder) => {
            if *holder == Holder::Nothing {
                columns.push((*number).to_string());
            }
            format!("b.{number} = a.{number}")
        }
        Identity::Key(key) => equal(key),
    };
    let of: Vec<String> = columns.iter().map(|column| format!("a.{column}")).collect();
    format!(
        "INSERT INTO main.{name} ({}) SELECT {} FROM first.{name} AS a WHERE NOT EXISTS \
         (SELECT 1 FROM main.{name} AS b WHERE {same})",
        columns.join(", "),
        of.join(", ")
    )
}

fn equal(key: &[String]) -> String {
    let terms: Vec<String> = key.iter().map(|it| format!("a.{it} IS b.{it}")).collect();
    terms.join(" AND ")
}

/// The number that AUTOINCREMENT gave out last for a table.
fn sequence(connection: &Connection, side: &str, table: &str) -> Result<Option<i64>> {
    let there = format!(
        "SELECT EXISTS (SELECT 1 FROM {side}.sqlite_schema WHERE name = 'sqlite_sequence')"
    );
    if !connection.query_row(&there, [], |row| row.get(0))? {
        return Ok(None);
    }
    let sql = format!("SELECT max(seq) FROM {side}.sqlite_sequence WHERE name = ?1 COLLATE NOCASE");
    connection.query_row(&sql, [table], |row| row.get(0)).optional().map(Option::flatten)
}

/// The sequence never goes back: a number that was given out since the backup may be known elsewhere.
fn set_sequence(connection: &Connection, table: &str, before: Option<i64>) -> Result<()> {
    let Some(last) = sequence(connection, "first", table)?.max(before) else { return Ok(()) };
    if sequence(connection, "main", table)?.is_none() {
        let sql = "INSERT INTO main.sqlite_sequence (name, seq) VALUES (?1, ?2)";
        connection.execute(sql, (table, last))?;
    }
    let sql = "UPDATE main.sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1 COLLATE NOCASE";
    connection.execute(sql, (table, last)).map(drop)
}

/// Whether the table is now as the backup has it.
pub(super) fn is_as_in_backup(connection: &Connection, table: &Table) -> Result<bool> {
    let (name, others) = (quote(&table.name), others(table));
    let sql = format!(
        "SELECT (SELECT count(*) FROM main.{name}) = (SELECT count(*) FROM first.{name}) \
         AND NOT EXISTS (SELECT 1 FROM {others})"
    );
    connection.query_row(&sql, [], |row| row.get(0))
}

/// Rows without a parent, by child and parent.
pub(super) type Orphans = BTreeMap<(String, String), u64>;

/// Counts the rows without a parent in the tables and in those that refer to them.
pub(super) fn orphans(connection: &Connection, tables: &[Table]) -> Result<Orphans> {
    let mut children: BTreeSet<String> = tables.iter().map(|it| fold(&it.name)).collect();
    for table in tables {
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT lower(child.name) FROM main.sqlite_schema AS child,
             pragma_foreign_key_list(child.name, 'main') AS key
             WHERE child.type = 'table' AND key.\"table\" = ?1 COLLATE NOCASE",
        )?;
        let names = statement.query_map([&table.name], |row| row.get(0))?;
        children.extend(names.collect::<Result<Vec<String>>>()?);
    }
    let mut found = Orphans::new();
    for child in children {
        // A parent without the key that is referred to makes the check itself fail, before and after.
        let Ok(counts) = references::violations(connection, &child) else { continue };
        found.extend(counts.into_iter().map(|(parent, count)| ((child.clone(), parent), count)));
    }
    Ok(found)
}
