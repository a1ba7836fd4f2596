//! The account of a transaction: rows and objects before and after it.
//!
//! Rows may vanish only from tables that a statement deletes from or drops; triggers, indexes and
//! views only where a statement drops them or the table they belong to.

use crate::{
    error::{ApplyError, Place},
    history::Migration,
    schema::{ObjectKind, ObjectName, Schema},
    sql::{class, fold, quote, token},
};
use rusqlite::{Connection, Result};
use std::collections::{BTreeMap, BTreeSet};

/// What was there before the transaction, and what the statements said since.
pub struct Account {
    rows: BTreeMap<String, u64>,
    /// Original tables by the name they have now.
    names: BTreeMap<String, String>,
    /// Tables from which rows may go, by the statements' own words.
    may_shrink: BTreeSet<String>,
    /// Tables dropped, and whether their rows were copied whole.
    dropped: BTreeSet<String>,
    copied: BTreeSet<String>,
    /// Objects that vanished without a word, with the statement that did it.
    lost: BTreeMap<ObjectName, (Place, String)>,
    /// Reasons to look away, by code.
    allowed: BTreeSet<String>,
}

impl Account {
    /// Counts every table.
    pub fn open(connection: &Connection, schema: &Schema) -> Result<Self> {
        let rows = counts(connection, schema)?;
        let names = rows.keys().map(|name| (name.clone(), name.clone())).collect();
        Ok(Self {
            rows,
            names,
            may_shrink: BTreeSet::new(),
            dropped: BTreeSet::new(),
            copied: BTreeSet::new(),
            lost: BTreeMap::new(),
            allowed: BTreeSet::new(),
        })
    }

    /// Notes what a migration declares.
    pub fn begin(&mut self, migration: &Migration) {
        self.allowed = migration.header.allow.iter().map(|allow| allow.code.clone()).collect();
    }

    /// Notes a statement that ran, with the schema before and after it.
    pub fn note(
        &mut self,
        migration: &Migration,
        place: &Place,
        text: &str,
        before: &Schema,
        after: &Schema,
    ) {
        if self.allowed.contains("rows-lost") {
            self.may_shrink.extend(self.rows.keys().cloned());
        }
        let original = |name: String| self.names.get(&name).cloned().unwrap_or(name);
        let shrinks = class::takes_rows_from(text);
        let shrinks: Vec<String> = shrinks.into_iter().map(original).collect();
        self.may_shrink.extend(shrinks);
        if let Some((old, new)) = class::renamed_table(text)
            && let Some(original) = self.names.remove(&old)
        {
            self.names.insert(new, original);
        }
        if is_drop(text)
            && let Some((_, name)) = class::defined_object(text)
            && let Some(original) = self.names.remove(&name)
        {
            self.dropped.insert(original);
        }
        self.copied.extend(whole_copies(text, &self.names));
        for name in before.objects.keys().filter(|name| !after.objects.contains_key(*name)) {
            self.lost.insert(name.clone(), (place.clone(), migration.title()));
        }
        self.lost.retain(|name, _| !after.objects.contains_key(name));
        if let Some((_, dropped)) = class::defined_object(text).filter(|_| is_drop(text)) {
            self.lost.retain(|name, _| *name.name != *dropped);
        }
        if self.allowed.contains("object-lost") {
            self.lost.clear();
        }
    }

    /// Compares with what is there now.
    pub fn close(
        &self,
        connection: &Connection,
        before: &Schema,
        after: &Schema,
        migration: &str,
    ) -> Result<Option<ApplyError>> {
        for (name, (place, title)) in &self.lost {
            let Some(object) = before.objects.get(name) else { continue };
            let table_stays = after.get(ObjectKind::Table, &object.table).is_some();
            if name.kind != ObjectKind::Table && (table_stays || name.kind == ObjectKind::View) {
                return Ok(Some(ApplyError::ObjectLost {
                    place: place.clone(),
                    object: name.to_string(),
                    migration: title.clone(),
                }));
            }
        }
        let now = counts(connection, after)?;
        let current: BTreeMap<&String, &String> =
            self.names.iter().map(|(now, original)| (original, now)).collect();
        for (table, &rows) in &self.rows {
            let rebuilt = self.dropped.contains(table);
            let excused =
                self.may_shrink.contains(table) || (rebuilt && !self.copied.contains(table));
            let name = current.get(table).copied().unwrap_or(table);
            let Some(&count) = now.get(name) else { continue };
            if count < rows && !excused {
                return Ok(Some(ApplyError::RowsLost {
                    place: format!("`{migration}`"),
                    table: table.clone(),
                    before: rows,
                    lost: rows - count,
                    migration: migration.into(),
                }));
            }
        }
        Ok(None)
    }
}

/// The rows of one table.
pub fn count(connection: &Connection, table: &str) -> Result<u64> {
    let query = format!("SELECT count(*) FROM main.{}", quote(table));
    let rows: i64 = connection.query_row(&query, [], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

fn counts(connection: &Connection, schema: &Schema) -> Result<BTreeMap<String, u64>> {
    let tables = schema.objects.iter().filter(|(name, object)| {
        name.kind == ObjectKind::Table && !fold(&object.sql).starts_with("create virtual")
    });
    tables
        .map(|(name, object)| Ok((name.name.to_string(), count(connection, &object.name)?)))
        .collect()
}

fn is_drop(text: &str) -> bool {
    token::tokens(text)
        .iter()
        .find(|token| !token.is_blank())
        .is_some_and(|first| first.is_word(text, "drop"))
}

/// The original tables that `INSERT INTO … SELECT … FROM table` copies without leaving rows out.
fn whole_copies(text: &str, names: &BTreeMap<String, String>) -> Vec<String> {
    let words = class::mentions(text);
    let has = |word: &str| words.contains(word);
    let filters = ["where", "distinct", "group", "limit", "join", "ignore", "except", "having"];
    if !(has("insert") && has("select")) || filters.iter().any(|word| has(word)) {
        return Vec::new();
    }
    let written = class::written_table(text);
    names
        .iter()
        .filter(|(name, _)| words.contains(*name) && written.as_deref() != Some(name.as_str()))
        .map(|(_, original)| original.clone())
        .collect()
}
