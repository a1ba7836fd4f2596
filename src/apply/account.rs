//! The account of a transaction: rows and objects before and after it.
//!
//! Rows may vanish only from tables that a statement deletes from or drops; triggers, indexes and
//! views only where a statement drops them or the table they belong to. What a statement does is
//! what SQLite says of it, and how many rows it copied is what SQLite has counted.

use super::watch::{Change, Program, Watch};
use crate::{
    error::{ApplyError, Place},
    history::Migration,
    schema::{Object, ObjectKind, ObjectName, Schema},
    sql::{class, copy, fold, quote, rows, token},
};
use rusqlite::{Connection, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What was there before the transaction, and what the statements did since.
pub struct Account {
    watch: Watch,
    rows: BTreeMap<String, u64>,
    /// Original tables by the name they have now.
    names: BTreeMap<String, String>,
    /// Tables from which rows may go: a statement, or a trigger that it fires, takes them.
    may_shrink: BTreeSet<String>,
    /// Tables dropped.
    dropped: BTreeSet<String>,
    /// What was copied, by the name of the copy.
    copies: BTreeMap<String, Copies>,
    /// Objects that vanished without a word, with the statement that did it.
    lost: BTreeMap<ObjectName, (Place, String)>,
    /// Reasons to look away, by code.
    allowed: BTreeSet<String>,
    /// The number of the last statement of this migration that was noted.
    noted: Option<usize>,
}

/// What a table that statements fill was filled with: the original tables, each with the number of
/// its rows that the statements handed over, whatever became of them.
type Copies = BTreeMap<String, u64>;

/// A statement that ran.
pub struct Ran<'a> {
    /// Its migration.
    pub migration: &'a Migration,
    /// Its number in the file.
    pub index: usize,
    /// What SQLite said of it.
    pub program: Program,
    /// The schema before it, where it may have changed the schema.
    pub before: Option<&'a Schema>,
    /// The schema after it.
    pub after: &'a Schema,
    /// The connection on which it ran.
    pub connection: &'a Connection,
}

impl Ran<'_> {
    fn text(&self) -> &str {
        self.migration.statements()[self.index].text(&self.migration.text)
    }

    fn place(&self) -> Place {
        let start = self.migration.statements()[self.index].span.start;
        Place::of(&self.migration.path, &self.migration.text, start)
    }
}

impl Account {
    /// Counts every table.
    pub fn open(connection: &Connection, schema: &Schema, watch: &Watch) -> Result<Self> {
        let counted = counts(connection, schema)?;
        let names = counted.keys().map(|name| (name.clone(), name.clone())).collect();
        Ok(Self {
            watch: watch.clone(),
            rows: counted,
            names,
            may_shrink: BTreeSet::new(),
            dropped: BTreeSet::new(),
            copies: BTreeMap::new(),
            lost: BTreeMap::new(),
            allowed: BTreeSet::new(),
            noted: None,
        })
    }

    /// Hears what SQLite compiles.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Notes what a migration declares.
    pub fn begin(&mut self, migration: &Migration) {
        self.noted = None;
        self.allowed = migration.header.allow.iter().map(|allow| allow.code.clone()).collect();
    }

    /// Whether nothing more can be learnt from a statement: it is the one that was noted last, with
    /// other values.
    pub fn knows(&mut self, migration: &Migration, index: usize) -> bool {
        let last = self.noted.replace(index);
        migration.statements()[index].repeats && last.map(|last| last + 1) == Some(index)
    }

    /// Notes a statement that ran.
    ///
    /// # Errors
    /// SQLite's, from counting.
    pub fn note(&mut self, ran: &Ran<'_>) -> Result<()> {
        let text = ran.text();
        if self.allowed.contains("rows-lost") {
            self.may_shrink.extend(self.rows.keys().cloned());
        }
        self.note_removal(ran);
        if let Some((old, new)) = class::renamed_table(text) {
            if let Some(copies) = self.copies.remove(&old) {
                self.copies.insert(new.clone(), copies);
            }
            if let Some(original) = self.names.remove(&old) {
                self.names.insert(new, original);
            }
        }
        if is_drop(text)
            && let Some((_, name)) = class::defined_object(text)
        {
            self.copies.remove(&name);
            self.dropped.extend(self.names.remove(&name));
        }
        self.note_copy(ran)?;
        self.note_objects(ran);
        Ok(())
    }

    /// Notes the tables from which a statement takes rows, by itself or by a trigger.
    fn note_removal(&mut self, ran: &Ran<'_>) {
        let text = ran.text();
        let mut shrinks = BTreeSet::new();
        if let Some((Change::Delete, table)) = &ran.program.target {
            shrinks.insert(table.clone());
        }
        if let Some((Change::Insert | Change::Update, table)) = &ran.program.target
            && class::takes_rows_from(text).contains(table)
        {
            shrinks.insert(table.clone());
        }
        for trigger in &ran.program.through {
            if let Some(trigger) = ran.after.get(ObjectKind::Trigger, trigger) {
                shrinks.extend(class::takes_rows_from(&trigger.sql));
            }
        }
        for table in shrinks {
            // A rebuilt table is the original one for whoever deletes from it.
            if self.dropped.contains(&table) && self.is_copy(&table, &table) {
                self.may_shrink.insert(table.clone());
            }
            let original = self.names.get(&table).cloned().unwrap_or(table);
            self.may_shrink.insert(original);
        }
    }

    /// Notes a copy of rows from tables that were there before, or from copies of them.
    fn note_copy(&mut self, ran: &Ran<'_>) -> Result<()> {
        let Program { target, made, reads, .. } = &ran.program;
        let copy = match (target, made) {
            (_, Some(made)) => made,
            (Some((Change::Insert, table)), None) if !table.starts_with("sqlite_") => table,
            _ => return Ok(()),
        };
        let is_trigger = |name: &str| ran.after.get(ObjectKind::Trigger, name).is_some();
        let read: BTreeSet<&String> = reads
            .iter()
            .filter(|(table, by)| table != copy && by.as_ref().is_none_or(|by| !is_trigger(by)))
            .map(|(table, _)| table)
            .collect();
        let mut sources = BTreeSet::new();
        for table in read {
            sources.extend(self.names.get(table).cloned());
            sources.extend(self.copies.get(table).iter().flat_map(|copies| copies.keys()).cloned());
        }
        if sources.is_empty() {
            return Ok(());
        }
        let fewest = sources.iter().filter_map(|source| self.rows.get(source)).min();
        let handed_over = handed_over(ran, copy, fewest.copied().unwrap_or(0))?;
        let copies = self.copies.entry(copy.clone()).or_default();
        for source in sources {
            *copies.entry(source).or_default() += handed_over;
        }
        Ok(())
    }

    /// Notes objects that went without being named.
    fn note_objects(&mut self, ran: &Ran<'_>) {
        let text = ran.text();
        let known = ran.before.iter().flat_map(|before| before.objects.keys());
        let is_gone = |name: &&ObjectName| {
            name.kind != ObjectKind::Pragma && !ran.after.objects.contains_key(*name)
        };
        for name in known.filter(is_gone) {
            self.lost.insert(name.clone(), (ran.place(), ran.migration.title()));
        }
        self.lost.retain(|name, _| !ran.after.objects.contains_key(name));
        if let Some((_, dropped)) = class::defined_object(text).filter(|_| is_drop(text)) {
            self.lost.retain(|name, _| *name.name != *dropped);
        }
        if self.allowed.contains("object-lost") {
            self.lost.clear();
        }
    }

    /// The tables that hold rows of an original table now: itself, and copies of all its rows.
    pub fn holders(&self, table: &str) -> BTreeSet<String> {
        let own = self.names.iter().filter(|(_, original)| *original == table);
        let copies = self.copies.keys().filter(|copy| self.is_whole(copy, table));
        own.map(|(now, _)| now).chain(copies).cloned().collect()
    }

    /// Whether a table was filled with rows of an original one.
    fn is_copy(&self, copy: &str, table: &str) -> bool {
        self.copies.get(copy).is_some_and(|copies| copies.contains_key(table))
    }

    /// Whether a table was filled with all rows of an original one, as far as the statements say.
    fn is_whole(&self, copy: &str, table: &str) -> bool {
        let rows = self.rows.get(table).copied().unwrap_or(0);
        let copies = self.copies.get(copy).and_then(|copies| copies.get(table));
        copies.is_some_and(|&handed_over| handed_over >= rows)
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
        if self.dropped.contains(&*object.table) && !self.is_copy(&object.table, &object.table) {
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
            let made_anew = self.dropped.contains(table) && !self.is_whole(table, table);
            let excused = self.may_shrink.contains(table) || made_anew;
            let name = current.get(table).copied().unwrap_or(table);
            let Some(&count) = now.get(name) else { continue };
            if count < rows && !excused {
                return Ok(Some(ApplyError::RowsLost {
                    place: None,
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

/// How many rows a statement handed over to the table that it fills. Of these SQLite may have left
/// some out, because of a constraint that says `ON CONFLICT IGNORE`; those count as well. Rows that
/// the statement's own query or conflict clause leaves out do not.
fn handed_over(ran: &Ran<'_>, copy: &str, fewest: u64) -> Result<u64> {
    if ran.program.made.is_some() {
        return count(ran.connection, copy);
    }
    let inserted = ran.connection.changes();
    let text = ran.text();
    if rows::resolves_conflicts(text) {
        // REPLACE counts a row as inserted that another one has taken the place of since.
        return Ok(if count(ran.connection, copy)? < fewest { 0 } else { inserted });
    }
    if inserted >= fewest {
        return Ok(inserted);
    }
    let Some(query) = copy::read(text).map(|copy| copy.query) else { return Ok(inserted) };
    let counting = format!("SELECT count(*) FROM ({query})");
    // A query that cannot stand alone says nothing.
    let found = ran.connection.query_row(&counting, [], |row| row.get::<_, i64>(0)).unwrap_or(0);
    Ok(inserted.max(found.unsigned_abs()))
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
    token::scan(text)
        .find(|token| !token.is_blank())
        .is_some_and(|first| first.is_word(text, "drop"))
}
