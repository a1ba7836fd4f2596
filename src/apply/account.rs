//! The account of a transaction: rows and objects before and after it.
//!
//! Rows may vanish only from tables that a statement deletes from or drops; triggers, indexes and
//! views only where a statement drops them or the table they belong to.

use crate::{
    error::{ApplyError, Place},
    history::Migration,
    schema::{Object, ObjectKind, ObjectName, Schema},
    sql::{class, fold, quote, rows, token},
};
use rusqlite::{Connection, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What was there before the transaction, and what the statements said since.
pub struct Account {
    rows: BTreeMap<String, u64>,
    /// Original tables by the name they have now.
    names: BTreeMap<String, String>,
    /// Tables from which rows may go, by the statements' own words.
    may_shrink: BTreeSet<String>,
    /// Tables dropped.
    dropped: BTreeSet<String>,
    /// Original tables whose rows were copied, by the name of the copy; and those copied whole.
    copies: BTreeMap<String, BTreeSet<String>>,
    whole: BTreeMap<String, BTreeSet<String>>,
    /// Objects that vanished without a word, with the statement that did it.
    lost: BTreeMap<ObjectName, (Place, String)>,
    /// Reasons to look away, by code.
    allowed: BTreeSet<String>,
    /// The number of the last statement of this migration that was noted.
    noted: Option<usize>,
}

impl Account {
    /// Counts every table.
    pub fn open(connection: &Connection, schema: &Schema) -> Result<Self> {
        let counted = counts(connection, schema)?;
        let names = counted.keys().map(|name| (name.clone(), name.clone())).collect();
        Ok(Self {
            rows: counted,
            names,
            may_shrink: BTreeSet::new(),
            dropped: BTreeSet::new(),
            copies: BTreeMap::new(),
            whole: BTreeMap::new(),
            lost: BTreeMap::new(),
            allowed: BTreeSet::new(),
            noted: None,
        })
    }

    /// Notes what a migration declares.
    pub fn begin(&mut self, migration: &Migration) {
        self.noted = None;
        self.allowed = migration.header.allow.iter().map(|allow| allow.code.clone()).collect();
    }

    /// Notes a statement that ran, with the schema before and after it.
    pub fn note(
        &mut self,
        migration: &Migration,
        index: usize,
        before: Option<&Schema>,
        after: &Schema,
    ) {
        let statement = &migration.statements()[index];
        if statement.repeats && self.noted.map(|noted| noted + 1) == Some(index) {
            // The same statement with other values: it says nothing more.
            self.noted = Some(index);
            return;
        }
        self.noted = Some(index);
        let text = statement.text(&migration.text);
        if self.allowed.contains("rows-lost") {
            self.may_shrink.extend(self.rows.keys().cloned());
        }
        let original = |name: String| self.names.get(&name).cloned().unwrap_or(name);
        let shrinks = class::takes_rows_from(text);
        let shrinks: Vec<String> = shrinks.into_iter().map(original).collect();
        self.may_shrink.extend(shrinks);
        if let Some((old, new)) = class::renamed_table(text) {
            for copies in [&mut self.copies, &mut self.whole] {
                if let Some(originals) = copies.remove(&old) {
                    copies.insert(new.clone(), originals);
                }
            }
            if let Some(original) = self.names.remove(&old) {
                self.names.insert(new, original);
            }
        }
        if is_drop(text)
            && let Some((_, name)) = class::defined_object(text)
        {
            self.copies.remove(&name);
            self.whole.remove(&name);
            self.dropped.extend(self.names.remove(&name));
        }
        self.note_copy(text);
        let known = before.iter().flat_map(|before| before.objects.keys());
        for name in known.filter(|name| !after.objects.contains_key(*name)) {
            let place = Place::of(&migration.path, &migration.text, statement.span.start);
            self.lost.insert(name.clone(), (place, migration.title()));
        }
        self.lost.retain(|name, _| !after.objects.contains_key(name));
        if let Some((_, dropped)) = class::defined_object(text).filter(|_| is_drop(text)) {
            self.lost.retain(|name, _| *name.name != *dropped);
        }
        if self.allowed.contains("object-lost") {
            self.lost.clear();
        }
    }

    /// Notes a copy of rows from one table to another.
    fn note_copy(&mut self, text: &str) {
        let Some((copy, words)) = rows::copied_rows(text) else { return };
        let sources = |copies: &BTreeMap<String, BTreeSet<String>>| -> BTreeSet<String> {
            let words = words.iter().filter(|word| **word != copy);
            let named = words.clone().filter_map(|word| self.names.get(word)).cloned();
            named.chain(words.filter_map(|word| copies.get(word)).flatten().cloned()).collect()
        };
        let (some, all) = (sources(&self.copies), sources(&self.whole));
        if !leaves_rows_out(text) {
            self.whole.entry(copy.clone()).or_default().extend(all);
        }
        self.copies.entry(copy).or_default().extend(some);
    }

    /// Whether the table of this name now is a rebuilt form of the table of this name before.
    fn is_rebuilt(&self, table: &str, copies: &BTreeMap<String, BTreeSet<String>>) -> bool {
        copies.get(table).is_some_and(|originals| originals.contains(table))
    }

    /// Whether an object that vanished is missed: its table was dropped for good, or made anew
    /// without its rows, or lacks a column that it needs, then it is not.
    fn is_missed(&self, name: &ObjectName, object: &Object, schemas: (&Schema, &Schema)) -> bool {
        let (before, after) = schemas;
        if name.kind == ObjectKind::View {
            return true;
        }
        let table = |schema: &Schema| schema.get(ObjectKind::Table, &object.table).cloned();
        let (Some(old), Some(new)) = (table(before), table(after)) else { return false };
        if self.dropped.contains(&*object.table) && !self.is_rebuilt(&object.table, &self.copies) {
            return false;
        }
        let words = class::mentions(&object.sql);
        let gone = |column: &&Arc<str>| !new.columns.contains(*column);
        let needs_gone = old.columns.iter().filter(gone).any(|column| words.contains(&**column));
        !(name.kind == ObjectKind::Index && needs_gone)
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
            if name.kind != ObjectKind::Table && self.is_missed(name, object, (before, after)) {
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
            let made_anew = self.dropped.contains(table) && !self.is_rebuilt(table, &self.whole);
            let excused = self.may_shrink.contains(table) || made_anew;
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

/// Whether a copy may have fewer rows than its source by its own words.
fn leaves_rows_out(text: &str) -> bool {
    let words = class::mentions(text);
    let filters = [
        "where",
        "distinct",
        "group",
        "limit",
        "join",
        "ignore",
        "replace",
        "except",
        "having",
        "union",
        "intersect",
        "conflict",
    ];
    filters.iter().any(|word| words.contains(*word))
}
