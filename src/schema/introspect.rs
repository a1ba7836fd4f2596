//! Reads a schema through PRAGMA introspection; unchanged objects are not read again.

use super::{
    definition::{self, Definition},
    facts::{Object, ObjectKind, ObjectName, Part, Schema},
    is_internal,
};
use crate::sql::{fold, normalise};
use rusqlite::{Connection, Result};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Reads schemas, keeping what it read of each object for as long as the object's text stays.
#[derive(Default)]
pub struct Introspector {
    known: HashMap<ObjectName, Arc<Object>>,
    latest: Option<(i64, Schema)>,
}

struct Row {
    name: ObjectName,
    written: String,
    table: String,
    sql: String,
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
            return Ok(schema.clone());
        }
        self.read_anew(connection)
    }

    /// Reads the schema even if its version is the same: `writable_schema` does not change it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read_anew(&mut self, connection: &Connection) -> Result<Schema> {
        let version = schema_version(connection)?;
        let rows = rows(connection)?;
        let mut objects = BTreeMap::new();
        let mut names: Option<BTreeSet<String>> = None;
        for row in &rows {
            let object = match self.known.get(&row.name) {
                Some(known) if known.sql == row.sql && known.name == row.written => known.clone(),
                _ => {
                    let names = names.get_or_insert_with(|| {
                        rows.iter().map(|row| row.name.name.to_string()).collect()
                    });
                    Arc::new(object(connection, row, names)?)
                }
            };
            objects.insert(row.name.clone(), object);
        }
        self.known = objects.iter().map(|(name, object)| (name.clone(), object.clone())).collect();
        let schema = Schema { objects };
        self.latest = Some((version, schema.clone()));
        Ok(schema)
    }
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

fn rows(connection: &Connection) -> Result<Vec<Row>> {
    let shadows = shadow_tables(connection)?;
    let mut statement = connection.prepare_cached(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL",
    )?;
    let found = statement.query_map([], |row| {
        let kind: String = row.get(0)?;
        let written: String = row.get(1)?;
        let table: String = row.get(2)?;
        let sql: String = row.get(3)?;
        Ok((kind, written, table, sql))
    })?;
    let mut rows = Vec::new();
    for row in found {
        let (kind, written, table, sql) = row?;
        let Some(kind) = ObjectKind::from_word(&kind) else { continue };
        let hidden = is_internal(&written) || is_internal(&table);
        if hidden || shadows.contains(&fold(&table)) {
            continue;
        }
        rows.push(Row { name: ObjectName::new(kind, &written), written, table: fold(&table), sql });
    }
    Ok(rows)
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

fn object(connection: &Connection, row: &Row, names: &BTreeSet<String>) -> Result<Object> {
    let mut object = Object {
        name: row.written.clone(),
        table: row.table.as_str().into(),
        sql: row.sql.clone(),
        facts: BTreeMap::new(),
        columns: Vec::new(),
    };
    match row.name.kind {
        ObjectKind::Table if is_virtual(&row.sql) => {
            object.facts.insert(Part::Whole, normalise(&row.sql, &|_| true).into());
        }
        ObjectKind::Table => table_facts(connection, row, names, &mut object)?,
        ObjectKind::Index => index_facts(connection, row, names, &mut object)?,
        ObjectKind::Trigger | ObjectKind::View => {
            let canonical = without_condition(&normalise(&row.sql, &|word| names.contains(word)));
            object.facts.insert(Part::Whole, canonical.into());
        }
    }
    Ok(object)
}

fn is_virtual(sql: &str) -> bool {
    sql.get(..14).is_some_and(|head| head.eq_ignore_ascii_case("create virtual"))
}

/// SQLite stores IF NOT EXISTS of triggers and views as written, though it says nothing of them.
fn without_condition(canonical: &str) -> String {
    canonical.replacen(" if not exists ", " ", 1)
}

struct Column {
    name: String,
    kind: String,
    not_null: bool,
    default: Option<String>,
    key: i64,
    hidden: i64,
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<Column>> {
    let mut statement = connection.prepare_cached(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)",
    )?;
    let found = statement.query_map([table], |row| {
        Ok(Column {
            name: fold(&row.get::<_, String>(0)?),
            kind: row.get(1)?,
            not_null: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
            hidden: row.get(5)?,
        })
    })?;
    found.collect()
}

fn table_facts(
    connection: &Connection,
    row: &Row,
    names: &BTreeSet<String>,
    object: &mut Object,
) -> Result<()> {
    let columns = columns(connection, &row.written)?;
    let is_name =
        |word: &str| names.contains(word) || columns.iter().any(|column| column.name == word);
    let written = definition::read(&row.sql, &is_name);
    let (without_rowid, strict): (bool, bool) = connection
        .prepare_cached("SELECT wr, strict FROM pragma_table_list(?1) WHERE schema = 'main'")?
        .query_row([&row.written], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut whole = String::from("table");
    whole.push_str(if strict { " strict" } else { "" });
    whole.push_str(if without_rowid { " without rowid" } else { "" });
    whole.push_str(written.columns.get("").map_or("", String::as_str));
    object.facts.insert(Part::Whole, whole.into());
    for column in &columns {
        let part = Part::Column(column.name.as_str().into());
        object.facts.insert(part, column_fact(column, &written).into());
        object.columns.push(column.name.as_str().into());
    }
    for check in &written.checks {
        object.facts.insert(Part::Check(check.as_str().into()), "check".into());
    }
    key_facts(connection, row, &columns, &written, object)?;
    foreign_key_facts(connection, row, &written, object)
}

fn column_fact(column: &Column, written: &Definition) -> String {
    let kind = normalise(&column.kind, &|_| true);
    let mut fact = if kind.is_empty() { "any type".into() } else { kind };
    if column.not_null {
        fact.push_str(" not null");
    }
    if let Some(default) = &column.default {
        // A default's double-quoted word is always a string.
        fact.push_str(" default ");
        fact.push_str(&normalise(default, &|_| false));
    }
    fact.push_str(written.columns.get(&column.name).map_or("", String::as_str));
    fact.push_str(match column.hidden {
        2 => " virtual",
        3 => " stored",
        _ => "",
    });
    fact
}

fn key_facts(
    connection: &Connection,
    row: &Row,
    columns: &[Column],
    written: &Definition,
    object: &mut Object,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT name, origin FROM pragma_index_list(?1) WHERE origin IN ('u', 'pk')",
    )?;
    let indexes = statement
        .query_map([&row.written], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>>>()?;
    let mut has_key_index = false;
    for (index, origin) in indexes {
        if origin == "pk" {
            has_key_index = true;
            let key = format!("({})", index_columns(connection, &index)?);
            object.facts.insert(Part::PrimaryKey, key.into());
        } else {
            let unique = Part::Unique(index_columns(connection, &index)?.into());
            object.facts.insert(unique, "unique".into());
        }
    }
    let mut key: Vec<&Column> = columns.iter().filter(|column| column.key > 0).collect();
    key.sort_by_key(|column| column.key);
    if !key.is_empty() && !has_key_index {
        let names: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
        let kind = if written.autoincrement { "autoincrement" } else { "rowid" };
        object.facts.insert(Part::PrimaryKey, format!("({}) {kind}", names.join(", ")).into());
    }
    Ok(())
}

/// The key columns of an index with what is not the default of them.
fn index_columns(connection: &Connection, index: &str) -> Result<String> {
    let mut statement = connection.prepare_cached(
        "SELECT name, \"desc\", coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno",
    )?;
    let columns = statement.query_map([index], |row| {
        let name: Option<String> = row.get(0)?;
        let collation: Option<String> = row.get(2)?;
        let mut text = name.map_or_else(|| "expression".into(), |name| fold(&name));
        match collation.map(|collation| fold(&collation)) {
            Some(collation) if collation != "binary" => {
                text.push_str(&format!(" collate {collation}"));
            }
            _ => {}
        }
        if row.get(1)? {
            text.push_str(" desc");
        }
        Ok(text)
    })?;
    Ok(columns.collect::<Result<Vec<_>>>()?.join(", "))
}

fn index_facts(
    connection: &Connection,
    row: &Row,
    names: &BTreeSet<String>,
    object: &mut Object,
) -> Result<()> {
    let columns = columns(connection, &row.table)?;
    let is_name =
        |word: &str| names.contains(word) || columns.iter().any(|column| column.name == word);
    let canonical = without_condition(&normalise(&row.sql, &is_name));
    // Expressions and the WHERE clause are in the text only; everything before ` on ` is the name.
    let body = canonical.split_once(" on ").map_or(canonical.as_str(), |(_, body)| body);
    let unique = if canonical.starts_with("create unique") { "unique " } else { "" };
    let keys = index_columns(connection, &row.written)?;
    object.facts.insert(Part::Whole, format!("{unique}on {body} [{keys}]").into());
    Ok(())
}

fn foreign_key_facts(
    connection: &Connection,
    row: &Row,
    written: &Definition,
    object: &mut Object,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete, \"match\" \
         FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
    )?;
    let mut keys: BTreeMap<i64, (Vec<String>, Vec<String>, String)> = BTreeMap::new();
    let mut rows = statement.query([&row.written])?;
    while let Some(found) = rows.next()? {
        let parent = fold(&found.get::<_, String>(1)?);
        let from = fold(&found.get::<_, String>(2)?);
        let to: Option<String> = found.get(3)?;
        let mut rest = parent;
        for (at, word) in [(4, "on update"), (5, "on delete"), (6, "match")] {
            let action = fold(&found.get::<_, String>(at)?);
            if action != "no action" && action != "none" {
                rest.push_str(&format!(" {word} {action}"));
            }
        }
        let entry = keys.entry(found.get(0)?).or_insert_with(|| (Vec::new(), Vec::new(), rest));
        entry.0.push(from);
        entry.1.extend(to.map(|to| fold(&to)));
    }
    for (from, to, rest) in keys.into_values() {
        let deferred = written.deferred.get(&from[0]).map_or("", String::as_str);
        let text = format!("({}) references {rest} ({}){deferred}", from.join(", "), to.join(", "));
        object.facts.insert(Part::ForeignKey(text.into()), "foreign key".into());
    }
    Ok(())
}
