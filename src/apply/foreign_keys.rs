//! References without a parent, compared with those that were there before.
//!
//! The check may read whole tables, so only tables are checked of which the statements mention the
//! child or the parent.

use crate::{
    error::ApplyError,
    history::Migration,
    schema::{ObjectKind, Schema, references},
};
use rusqlite::{Connection, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Violations by child and parent; none where SQLite could not check a table.
type Violations = BTreeMap<(String, String), u64>;

/// The violations before a transaction.
pub struct ForeignKeys {
    mentioned: BTreeSet<String>,
    before: Violations,
}

impl ForeignKeys {
    /// Counts the violations that are there already.
    pub fn open(
        connection: &Connection,
        schema: &Schema,
        mentioned: BTreeSet<String>,
    ) -> Result<Self> {
        let before = violations(connection, schema, &mentioned)?;
        Ok(Self { mentioned, before })
    }

    /// Takes what is there now for what was there before: the file that ran last means it.
    pub fn accept(&mut self, connection: &Connection, schema: &Schema) -> Result<()> {
        self.before = violations(connection, schema, &self.mentioned)?;
        Ok(())
    }

    /// The first pair of tables that has more violations than before.
    pub fn close(&self, connection: &Connection, schema: &Schema) -> Result<Option<ApplyError>> {
        let after = violations(connection, schema, &self.mentioned)?;
        let more = after.into_iter().find_map(|((table, parent), count)| {
            let before = self.before.get(&(table.clone(), parent.clone())).copied().unwrap_or(0);
            (count > before).then(|| ApplyError::ForeignKeys {
                place: None,
                migration: None,
                keys: Vec::new(),
                table,
                parent,
                count: count - before,
            })
        });
        Ok(more)
    }
}

/// Whether a file may leave references without a parent.
pub fn may_dangle(migration: &Migration) -> bool {
    migration.header.allow.iter().any(|allow| allow.code == "dangling-reference")
}

/// The keys of rows of a table whose reference to this parent leads nowhere, up to a number; tables
/// without row numbers have none.
pub fn dangling(
    connection: &Connection,
    table: &str,
    parent: &str,
    most: usize,
) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT rowid FROM pragma_foreign_key_check(?1) \
         WHERE parent = ?2 AND rowid IS NOT NULL LIMIT ?3",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let keys = statement.query_map((table, parent, most), |row| row.get(0))?;
    keys.collect()
}

fn violations(
    connection: &Connection,
    schema: &Schema,
    mentioned: &BTreeSet<String>,
) -> Result<Violations> {
    let mut found = Violations::new();
    for (name, object) in &schema.objects {
        if name.kind != ObjectKind::Table {
            continue;
        }
        let parents = parents(connection, &object.name)?;
        let touched = mentioned.contains(&*name.name)
            || parents.iter().any(|parent| mentioned.contains(parent));
        if parents.is_empty() || !touched {
            continue;
        }
        // A parent without the referenced key makes the check itself fail: then there is nothing
        // to compare, as in plain SQL.
        let Ok(counts) = references::violations(connection, &object.name) else { continue };
        let counts =
            counts.into_iter().map(|(parent, count)| ((name.name.to_string(), parent), count));
        found.extend(counts);
    }
    Ok(found)
}

fn parents(connection: &Connection, table: &str) -> Result<BTreeSet<String>> {
    let mut statement = connection
        .prepare_cached("SELECT DISTINCT lower(\"table\") FROM pragma_foreign_key_list(?1)")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}
