//! Reads the facts of one object: what PRAGMAs show of it, and what only its text tells.

use super::{
    definition::{self, Definition},
    facts::{Object, ObjectKind, Part},
    introspect::Row,
};
use crate::sql::{fold, normalise};
use rusqlite::{Connection, Result};
use std::collections::{BTreeMap, HashMap};

/// Which tables are `STRICT` and which `WITHOUT ROWID`.
#[derive(Default)]
pub(super) struct Forms(HashMap<String, (bool, bool)>);

impl Forms {
    /// Reads those of many tables at once: SQLite goes through all tables for each question.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn of(connection: &Connection, rows: &[Row]) -> Result<Self> {
        if rows.iter().filter(|row| row.name.kind == ObjectKind::Table).count() < 2 {
            return Ok(Self::default());
        }
        let mut statement = connection.prepare_cached(
            "SELECT name, wr, strict FROM pragma_table_list WHERE schema = 'main'",
        )?;
        let found = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        Ok(Self(found.collect::<Result<_>>()?))
    }

    /// Whether a table is `WITHOUT ROWID`, and whether it is `STRICT`.
    fn find(&self, connection: &Connection, table: &str) -> Result<(bool, bool)> {
        if let Some(form) = self.0.get(table) {
            return Ok(*form);
        }
        connection
            .prepare_cached("SELECT wr, strict FROM pragma_table_list(?1) WHERE schema = 'main'")?
            .query_row([table], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

/// Reads an object; `names` tells whether a folded word is a name of the schema.
///
/// # Errors
/// SQLite's.
pub(super) fn read(
    connection: &Connection,
    row: &Row,
    names: &dyn Fn(&str) -> bool,
    forms: &Forms,
) -> Result<Object> {
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
        ObjectKind::Table => table_facts(connection, row, (names, forms), &mut object)?,
        ObjectKind::Index => index_facts(connection, row, names, &mut object)?,
        ObjectKind::Trigger | ObjectKind::View | ObjectKind::Pragma => {
            let canonical = without_condition(&normalise(&row.sql, names));
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
    (names, forms): (&dyn Fn(&str) -> bool, &Forms),
    object: &mut Object,
) -> Result<()> {
    let columns = columns(connection, &row.written)?;
    let is_name = |word: &str| columns.iter().any(|column| column.name == word) || names(word);
    let written = definition::read(&row.sql, &is_name);
    let (without_rowid, strict) = forms.find(connection, &row.written)?;
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
    names: &dyn Fn(&str) -> bool,
    object: &mut Object,
) -> Result<()> {
    let columns = columns(connection, &row.table)?;
    let is_name = |word: &str| columns.iter().any(|column| column.name == word) || names(word);
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
