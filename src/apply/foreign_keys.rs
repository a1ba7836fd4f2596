//! References without a parent, compared with those that were there before.
//!
//! The check may read whole tables, so only tables are checked of which the statements mention the
//! child or the parent.

use crate::{
    error::ApplyError,
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

    /// The first pair of tables that has more violations than before.
    pub fn close(&self, connection: &Connection, schema: &Schema) -> Result<Option<ApplyError>> {
        let after = violations(connection, schema, &self.mentioned)?;
        let more = after.into_iter().find_map(|((table, parent), count)| {
            let before = self.before.get(&(table.clone(), parent.clone())).copied().unwrap_or(0);
            (count > before).then(|| ApplyError::ForeignKeys {
                table,
                parent,
                count: count - before,
            })
        });
        Ok(more)
    }
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
