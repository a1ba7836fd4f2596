//! Reads a schema through PRAGMA introspection; unchanged objects are not read again.

use super::{
    facts::{Object, ObjectKind, ObjectName, Part, Schema},
    is_internal,
    object::{self, Forms},
};
use crate::sql::fold;
use rusqlite::{Connection, Result};
use sha2::{Digest, Sha256};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Reads schemas, keeping what it read of each object for as long as the object's text stays.
#[derive(Default)]
pub struct Introspector {
    /// By the row of `sqlite_schema`.
    known: HashMap<i64, Known>,
    latest: Option<(i64, Schema)>,
    reading: u64,
}

/// An object as it was read.
struct Known {
    name: ObjectName,
    object: Arc<Object>,
    /// Quoted words in it, and whether they were names of the schema when it was read: SQLite
    /// takes one that is none for a string.
    asked: BTreeMap<String, bool>,
    /// The last reading that found it.
    seen: u64,
}

/// A row of `sqlite_schema`.
pub(super) struct Row {
    id: i64,
    pub(super) name: ObjectName,
    pub(super) written: String,
    pub(super) table: String,
    pub(super) sql: String,
}

impl Introspector {
    /// Reads the schema of `main`; cheap when nothing changed since the last call on the same
    /// connection (`PRAGMA schema_version` tells).
    ///
    /// # Errors
    /// SQLite's.
    pub fn read(&mut self, connection: &Connection) -> Result<Schema> {
        let version = schema_version(connection)?;
        if let Some((known, schema)) = &self.latest
            && *known == version
        {
            return with_numbers(connection, schema.clone());
        }
        self.read_anew(connection)
    }

    /// Reads the schema even if its version is the same: `writable_schema` does not change it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read_anew(&mut self, connection: &Connection) -> Result<Schema> {
        let version = schema_version(connection)?;
        let fresh = self.changed_rows(connection)?;
        let mut schema = self.latest.take().map(|(_, schema)| schema).unwrap_or_default();
        let reading = self.reading;
        self.known.retain(|_, known| {
            let stays = known.seen == reading;
            if !stays {
                schema.objects.remove(&known.name);
            }
            stays
        });
        let new: BTreeSet<Arc<str>> = fresh.iter().map(|row| row.name.name.clone()).collect();
        let known = schema.clone();
        let is_name = |word: &str| new.contains(word) || known.has_name(word);
        let forms = Forms::of(connection, &fresh)?;
        for row in &fresh {
            self.learn(connection, row, (&is_name, &forms), &mut schema)?;
        }
        for row in self.doubtful(&is_name) {
            self.learn(connection, &row, (&is_name, &forms), &mut schema)?;
        }
        self.latest = Some((version, schema.clone()));
        with_numbers(connection, schema)
    }

    /// The rows of `sqlite_schema` that are not as they were; the others are marked as seen.
    fn changed_rows(&mut self, connection: &Connection) -> Result<Vec<Row>> {
        self.reading += 1;
        let shadows = shadow_tables(connection)?;
        let mut statement = connection.prepare_cached(
            "SELECT rowid, type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL",
        )?;
        let mut rows = statement.query([])?;
        let mut changed = Vec::new();
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            let (kind, written) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?);
            let (table, sql) = (row.get_ref(3)?.as_str()?, row.get_ref(4)?.as_str()?);
            let Some(kind) = ObjectKind::from_word(kind) else { continue };
            if let Some(known) = self.known.get_mut(&id)
                && known.name.kind == kind
                && known.object.name == written
                && known.object.table.eq_ignore_ascii_case(table)
                && known.object.sql == sql
            {
                known.seen = self.reading;
                continue;
            }
            if is_internal(written) || is_internal(table) || shadows.contains(&fold(table)) {
                continue;
            }
            let name = ObjectName::new(kind, written);
            changed.push(Row {
                id,
                name,
                written: written.into(),
                table: fold(table),
                sql: sql.into(),
            });
        }
        Ok(changed)
    }

    /// Objects with a quoted word that became a name of the schema, or ceased to be one.
    fn doubtful(&self, is_name: &dyn Fn(&str) -> bool) -> Vec<Row> {
        let differs = |known: &&Known| known.asked.iter().any(|(word, was)| is_name(word) != *was);
        self.known
            .iter()
            .filter(|(_, known)| differs(known))
            .map(|(id, known)| Row {
                id: *id,
                name: known.name.clone(),
                written: known.object.name.clone(),
                table: known.object.table.to_string(),
                sql: known.object.sql.clone(),
            })
            .collect()
    }

    fn learn(
        &mut self,
        connection: &Connection,
        row: &Row,
        (is_name, forms): (&dyn Fn(&str) -> bool, &Forms),
        schema: &mut Schema,
    ) -> Result<()> {
        let asked = RefCell::new(BTreeMap::new());
        let names = |word: &str| {
            let found = is_name(word);
            asked.borrow_mut().insert(word.to_string(), found);
            found
        };
        let object = Arc::new(object::read(connection, row, &names, forms)?);
        schema.objects.insert(row.name.clone(), object.clone());
        let (name, seen) = (row.name.clone(), self.reading);
        self.known.insert(row.id, Known { name, object, asked: asked.into_inner(), seen });
        Ok(())
    }
}

/// Adds the numbers of the header that are the application's; they change without the schema's version.
fn with_numbers(connection: &Connection, mut schema: Schema) -> Result<Schema> {
    for pragma in ["user_version", "application_id"] {
        let value: i64 = connection
            .prepare_cached(&format!("PRAGMA main.{pragma}"))?
            .query_row([], |row| row.get(0))?;
        if value == 0 {
            continue;
        }
        let object = Object {
            name: pragma.into(),
            table: pragma.into(),
            sql: format!("PRAGMA {pragma} = {value}"),
            facts: BTreeMap::from([(Part::Whole, value.to_string().into())]),
            columns: Vec::new(),
        };
        schema.objects.insert(ObjectName::new(ObjectKind::Pragma, pragma), Arc::new(object));
    }
    Ok(schema)
}

/// A hash over the text of every object, in hexadecimal: equal hashes mean the same schema text.
/// Piton's own ledger and SQLite's tables do not count.
///
/// # Errors
/// SQLite's.
pub fn schema_hash(connection: &Connection) -> Result<String> {
    let mut statement = connection.prepare_cached(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL \
         ORDER BY type, name",
    )?;
    let mut rows = statement.query([])?;
    let mut hash = Sha256::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_str()?;
        if is_internal(name) || is_internal(row.get_ref(2)?.as_str()?) {
            continue;
        }
        for text in [row.get_ref(0)?.as_str()?, name, row.get_ref(3)?.as_str()?] {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
    }
    Ok(hex(&hash.finalize()[..16]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn schema_version(connection: &Connection) -> Result<i64> {
    connection.prepare_cached("PRAGMA main.schema_version")?.query_row([], |row| row.get(0))
}

/// The folded names of the tables that virtual tables keep for themselves.
fn shadow_tables(connection: &Connection) -> Result<BTreeSet<String>> {
    let any: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema \
             WHERE type = 'table' AND sql LIKE 'create virtual%')",
        )?
        .query_row([], |row| row.get(0))?;
    if !any {
        return Ok(BTreeSet::new());
    }
    let mut statement = connection.prepare_cached(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'",
    )?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    names.map(|name| name.map(|name| fold(&name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database;

    /// What an introspector that saw every step knows is what a fresh one reads.
    #[test]
    fn reading_step_by_step_is_reading_at_once() {
        let connection = database::open_scratch().unwrap();
        let mut followed = Introspector::default();
        for sql in [
            "CREATE TABLE \"Users\" (id INTEGER PRIMARY KEY, \"Name\" TEXT CHECK (\"Name\" <> \"X\"))",
            "CREATE TRIGGER t AFTER INSERT ON users BEGIN INSERT INTO \"Log\" VALUES (\"Other\"); END",
            "CREATE TABLE \"Log\" (a)",
            "CREATE VIEW v AS SELECT \"Name\" FROM \"Users\"",
            "CREATE INDEX i ON \"Users\" (\"Name\")",
            "CREATE TABLE x (a)",
            "ALTER TABLE \"Log\" RENAME TO journal",
            "DROP TABLE x",
            "ALTER TABLE users ADD COLUMN more INT",
            "DROP INDEX i",
            "DROP TABLE \"Users\"",
            "CREATE TABLE other (b)",
        ] {
            connection.execute_batch(sql).unwrap();
            let fresh = Introspector::default().read(&connection).unwrap();
            assert_eq!(followed.read(&connection).unwrap(), fresh, "{sql}");
        }
    }
}
