//! `rows-break`: live rows that a NOT NULL, a CHECK or a unique key would refuse, with how many and
//! which.
//!
//! The copy of a rebuild is read as a query and its rows are counted; whether SQLite refuses such a
//! row is then asked of SQLite, in a database with the new table alone. What cannot be asked that way
//! (rows that an earlier statement of the run changes, a copy that resolves conflicts) is left to the
//! run, which rolls back.

use super::{
    lineage::{CopyStep, Lineage},
    scene::{At, Knowledge, Scene},
};
use crate::{
    database,
    plan::{
        finding::{Finding, Severity},
        trace::Copied,
    },
    schema::{ObjectKind, Part},
    sql::{
        class::defined_object,
        quote,
        token::{Token, TokenKind, tokens},
    },
};
use rusqlite::{Connection, types::Value};

/// So many rows are named.
const SHOWN: usize = 5;

/// The findings.
pub fn analyze(scene: &Scene<'_>, lineage: &Lineage) -> Vec<Finding> {
    let Knowledge::Live(live) = scene.knowledge else { return Vec::new() };
    let mut found = Vec::new();
    for copy in lineage.copies.iter().filter(|copy| copy.is_as_live) {
        if let Some(copied) = &scene.step(copy.at).trace.copied
            && !copied.form.resolves_conflicts
        {
            found.extend(copied_rows(scene, live, lineage, copy, copied));
        }
    }
    for (at, step) in scene.statements() {
        let is_index = |change: &crate::schema::Change| {
            change.object.kind == ObjectKind::Index
                && change.part == Part::Whole
                && change.after.as_deref().is_some_and(|index| index.starts_with("unique "))
        };
        if step.effect.changes.iter().any(is_index) {
            found.extend(unique_index(scene, live, lineage, at));
        }
    }
    found
}

/// What a query for rows that break something found.
struct Broken {
    count: u64,
    keys: Vec<String>,
}

impl Broken {
    fn finding(&self, scene: &Scene<'_>, at: At, what: &str) -> Finding {
        let rows = if self.count == 1 { "1 row".into() } else { format!("{} rows", self.count) };
        let more = if self.keys.len() == SHOWN && self.count > SHOWN as u64 { ", …" } else { "" };
        let message = format!("{rows} would break {what}: {}{more}", self.keys.join(", "));
        scene
            .finding(at, "rows-break", Severity::Denied, message)
            .hint("change these rows first, in this file or an earlier one")
    }
}

/// Rows of a copy that the new table would refuse.
fn copied_rows(
    scene: &Scene<'_>,
    live: &Connection,
    lineage: &Lineage,
    copy: &CopyStep,
    copied: &Copied,
) -> Vec<Finding> {
    let target = &lineage.tables[copy.target];
    let Some(facts) = &copy.facts else { return Vec::new() };
    if target.made.is_none() {
        return Vec::new();
    }
    let columns: Vec<&str> = copied.pairs.iter().map(|(name, _)| name.as_str()).collect();
    let rows = Rows { live, copied, columns: &columns };
    let mut found = Vec::new();
    for (part, definition) in facts.iter().filter(|(_, text)| !text.contains(" on conflict ")) {
        let broken = match part {
            Part::Column(column) if definition.contains(" not null") => {
                if columns.contains(&&**column) {
                    rows.where_true(&format!("{} IS NULL", quote(column)))
                } else if definition.contains(" default ") || definition.contains(" as ") {
                    None
                } else {
                    rows.where_true("true")
                }
            }
            Part::Check(check) => rows.where_true(&format!("NOT ({check})")),
            Part::Unique(keys) => rows.repeated(keys),
            Part::PrimaryKey if !definition.ends_with("autoincrement") => {
                let keys = definition.strip_prefix('(').and_then(|key| key.split(')').next());
                keys.and_then(|keys| rows.repeated(keys))
            }
            _ => None,
        };
        let Some(broken) = broken else { continue };
        let what = match part {
            Part::Column(column) => format!("NOT NULL of `{}.{column}`", copied.form.target),
            Part::PrimaryKey => format!("the primary key {definition} of `{}`", copied.form.target),
            _ => format!("{part} of `{}`", copied.form.target),
        };
        found.push(broken.finding(scene, copy.at, &what));
    }
    found
}

/// The rows of a copy, by its query on the live database.
struct Rows<'a> {
    live: &'a Connection,
    copied: &'a Copied,
    columns: &'a [&'a str],
}

impl Rows<'_> {
    fn with(&self, rest: &str) -> String {
        let names: Vec<String> = self.columns.iter().map(|name| quote(name)).collect();
        format!("WITH piton_copy({}) AS ({}) {rest}", names.join(", "), self.copied.form.query)
    }

    /// The rows for which a condition is true; none where there are none, or SQLite would accept them
    /// after all.
    fn where_true(&self, condition: &str) -> Option<Broken> {
        let count = self.with(&format!("SELECT count(*) FROM piton_copy WHERE {condition}"));
        let count = super::scene::ask(self.live, &count).filter(|count| *count > 0)?;
        let query = self.with(&format!("SELECT * FROM piton_copy WHERE {condition} LIMIT {SHOWN}"));
        let rows = values(self.live, &query)?;
        let table = self.copied.table.as_deref()?;
        if !rows.iter().any(|row| is_refused(table, &self.copied.form.target, self.columns, row)) {
            return None;
        }
        let keys = rows.iter().map(|row| shown(self.columns[0], &row[0]));
        Some(Broken { count, keys: keys.collect() })
    }

    /// Keys that several rows have.
    fn repeated(&self, keys: &str) -> Option<Broken> {
        let names: Vec<&str> = keys.split(", ").map(|key| key.trim_end_matches(" desc")).collect();
        if names.contains(&"expression") {
            return None;
        }
        // A query hands on the collation of the old column, and the new one may have another.
        let collated: Vec<String> = names
            .iter()
            .map(|name| match name.contains(" collate ") {
                true => (*name).to_string(),
                false => format!("{name} COLLATE BINARY"),
            })
            .collect();
        let all = collated.join(", ");
        let filled: Vec<String> = names
            .iter()
            .map(|name| format!("{} IS NOT NULL", name.split(" collate ").next().unwrap_or(name)))
            .collect();
        let groups = format!(
            "FROM piton_copy WHERE {} GROUP BY {all} HAVING count(*) > 1",
            filled.join(" AND ")
        );
        repeated(
            self.live,
            &self.with(&format!("SELECT coalesce(sum(n), 0) FROM (SELECT count(*) AS n {groups})")),
            &self.with(&format!("SELECT {all} {groups} LIMIT {SHOWN}")),
            &names,
        )
    }
}

fn repeated(live: &Connection, count: &str, keys: &str, names: &[&str]) -> Option<Broken> {
    let count = super::scene::ask(live, count).filter(|count| *count > 0)?;
    let keys = values(live, keys)?;
    let keys = keys.iter().map(|row| {
        let parts = names.iter().zip(row).map(|(name, value)| shown(name, value));
        parts.collect::<Vec<_>>().join(" and ")
    });
    Some(Broken { count, keys: keys.collect() })
}

/// Whether SQLite refuses a row in a new table of this definition; no where the table cannot be made
/// alone.
fn is_refused(table: &str, name: &str, columns: &[&str], row: &[Value]) -> bool {
    let Ok(trial) = database::open_scratch() else { return false };
    if trial.execute_batch(table).is_err() {
        return false;
    }
    let names: Vec<String> = columns.iter().map(|name| quote(name)).collect();
    let places = vec!["?"; columns.len()].join(", ");
    let sql = format!("INSERT INTO {} ({}) VALUES ({places})", quote(name), names.join(", "));
    trial.execute(&sql, rusqlite::params_from_iter(row)).is_err()
}

fn values(live: &Connection, query: &str) -> Option<Vec<Vec<Value>>> {
    let mut statement = live.prepare(query).ok()?;
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|at| row.get(at)).collect());
    rows.ok()?.collect::<rusqlite::Result<Vec<_>>>().ok()
}

fn shown(name: &str, value: &Value) -> String {
    const LONG: usize = 40;
    let text = match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) if text.chars().count() > LONG => {
            format!("'{}…'", text.chars().take(LONG).collect::<String>().escape_debug())
        }
        Value::Text(text) => format!("'{}'", text.escape_debug()),
        Value::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
    };
    format!("{name} = {text}")
}

/// Rows of a live table that a new unique index would refuse.
fn unique_index(
    scene: &Scene<'_>,
    live: &Connection,
    lineage: &Lineage,
    at: At,
) -> Option<Finding> {
    let text = scene.text(at);
    let index = Index::read(text)?;
    // The table as it is live, whose rows no statement before this one changes.
    let is_there = lineage.tables.iter().any(|table| {
        table.live.as_deref() == Some(&index.table)
            && table.name == index.table
            && table.is_as_live()
    });
    is_there.then_some(())?;
    let all = index.keys.join(", ");
    let filled: Vec<String> = index
        .keys
        .iter()
        .map(|key| format!("({}) IS NOT NULL", without_collation(key)))
        .chain(index.filter.iter().map(|filter| format!("({filter})")))
        .collect();
    let groups = format!(
        "FROM main.{} WHERE {} GROUP BY {all} HAVING count(*) > 1",
        quote(&index.table),
        filled.join(" AND ")
    );
    let names: Vec<&str> = index.keys.iter().map(String::as_str).collect();
    let broken = repeated(
        live,
        &format!("SELECT coalesce(sum(n), 0) FROM (SELECT count(*) AS n {groups})"),
        &format!("SELECT {all} {groups} LIMIT {SHOWN}"),
        &names,
    )?;
    let name = defined_object(text).map(|(_, name)| name).unwrap_or_default();
    Some(broken.finding(scene, at, &format!("the unique index `{name}`")))
}

fn without_collation(key: &str) -> &str {
    let found = tokens(key).into_iter().find(|token| token.is_word(key, "collate"));
    found.map_or(key, |token| &key[..token.span.start])
}

/// A `CREATE INDEX … ON table (keys) [WHERE filter]`, taken apart.
struct Index {
    table: String,
    keys: Vec<String>,
    filter: Option<String>,
}

impl Index {
    fn read(text: &str) -> Option<Self> {
        let all: Vec<Token> = tokens(text)
            .into_iter()
            .filter(|token| !token.is_blank() && token.kind != TokenKind::Semicolon)
            .collect();
        let on = all.iter().position(|token| token.is_word(text, "on"))?;
        let table = crate::sql::fold(&all.get(on + 1)?.name(text)?);
        let open = on + 2;
        if all.get(open)?.kind != TokenKind::Open {
            return None;
        }
        let (mut depth, mut first, mut keys, mut behind) = (0_usize, open + 1, Vec::new(), None);
        for (at, token) in all.iter().enumerate().skip(open) {
            let ends = match token.kind {
                TokenKind::Open => {
                    depth += 1;
                    false
                }
                TokenKind::Close => {
                    depth = depth.checked_sub(1)?;
                    depth == 0
                }
                TokenKind::Comma => depth == 1,
                _ => false,
            };
            if ends {
                let mut last = at;
                if all[last - 1].is_word(text, "asc") || all[last - 1].is_word(text, "desc") {
                    last -= 1;
                }
                let (start, end) = (all.get(first)?.span.start, all.get(last - 1)?.span.end);
                keys.push(text.get(start..end)?.to_string());
                first = at + 1;
            }
            if depth == 0 {
                behind = Some(at + 1);
                break;
            }
        }
        let filter = behind.filter(|&at| all.get(at).is_some_and(|it| it.is_word(text, "where")));
        let end = all.last()?.span.end;
        let filter = match filter {
            Some(at) => Some(text.get(all.get(at + 1)?.span.start..end)?.to_string()),
            None => None,
        };
        Some(Self { table, keys, filter })
    }
}
