//! Whether views and triggers still work: SQLite prepares what uses them, and runs nothing.

use super::facts::{Object, ObjectKind, Schema};
use crate::sql::{fold, quote, token::tokens};
use rusqlite::{Connection, Result};
use std::collections::{BTreeMap, BTreeSet};

/// What SQLite cannot prepare, in words, with what it says: a view, or a statement that fires a trigger.
pub(crate) fn broken(connection: &Connection, schema: &Schema) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut note = |what: String, sql: Option<String>| {
        let Some(sql) = sql else { return };
        if let Err(error) = connection.prepare(&sql) {
            let said = match error {
                rusqlite::Error::SqlInputError { msg, .. } => msg,
                rusqlite::Error::SqliteFailure(_, Some(message)) => message,
                other => other.to_string(),
            };
            found.insert(what, said);
        }
    };
    let mut fired = BTreeSet::new();
    for (name, object) in &schema.objects {
        match name.kind {
            ObjectKind::View => {
                let sql = format!("SELECT * FROM main.{}", quote(&object.name));
                note(format!("view `{}`", object.name), Some(sql));
            }
            ObjectKind::Trigger => {
                fired.extend(event(object).map(|event| (object.table.to_string(), event)));
            }
            ObjectKind::Table | ObjectKind::Index | ObjectKind::Pragma => {}
        }
    }
    for (table, event) in fired {
        let sql = firing(connection, &table, event);
        note(format!("{event} on `{table}`, which fires a trigger"), sql.ok().flatten());
    }
    found
}

/// A statement that fires every trigger of an event on a table; none where it has no column.
fn firing(connection: &Connection, table: &str, event: &str) -> Result<Option<String>> {
    let name = quote(table);
    Ok(Some(match event {
        "INSERT" => format!("INSERT INTO main.{name} DEFAULT VALUES"),
        "DELETE" => format!("DELETE FROM main.{name}"),
        _ => {
            let mut statement = connection.prepare_cached(
                "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE hidden = 0",
            )?;
            let columns = statement.query_map([table], |row| row.get::<_, String>(0))?;
            let columns: Vec<String> = columns.collect::<Result<_>>()?;
            let sets = columns.iter().map(|column| {
                let column = quote(column);
                format!("{column} = {column}")
            });
            let sets = sets.collect::<Vec<_>>().join(", ");
            if sets.is_empty() {
                return Ok(None);
            }
            format!("UPDATE main.{name} SET {sets}")
        }
    }))
}

/// The event of a trigger: the first such word after its name.
fn event(object: &Object) -> Option<&'static str> {
    let text = &object.sql;
    let named = fold(&object.name);
    let mut after_name = false;
    for token in tokens(text).into_iter().filter(|token| !token.is_blank()) {
        if after_name {
            for event in ["INSERT", "UPDATE", "DELETE"] {
                if token.is_word(text, &fold(event)) {
                    return Some(event);
                }
            }
        }
        after_name |= token.name(text).is_some_and(|name| fold(&name) == named);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::broken;
    use crate::{database, schema::Introspector};

    #[test]
    fn what_does_not_prepare_is_named() {
        let cases: &[(&str, &[&str])] = &[
            ("CREATE TABLE t (a); CREATE VIEW v AS SELECT a FROM t", &[]),
            ("CREATE VIEW v AS SELECT a FROM t", &["view `v`"]),
            (
                "CREATE TABLE t (id INTEGER PRIMARY KEY, a NOT NULL, g AS (a));
                 CREATE TRIGGER \"update\" BEFORE INSERT ON t BEGIN SELECT new.a; END;
                 CREATE TRIGGER d AFTER UPDATE OF a ON t BEGIN SELECT missing FROM t; END",
                &["UPDATE on `t`, which fires a trigger"],
            ),
            (
                "CREATE TABLE t (a); CREATE VIEW v AS SELECT a FROM t;
                 CREATE TRIGGER i INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES (new.a); END",
                &[],
            ),
            (
                "CREATE TABLE t (a); CREATE VIEW v AS SELECT a FROM t;
                 CREATE TRIGGER i INSTEAD OF DELETE ON v BEGIN DELETE FROM gone; END",
                &["DELETE on `v`, which fires a trigger"],
            ),
        ];
        for (sql, expected) in cases {
            let connection = database::open_scratch().unwrap();
            connection.execute_batch(sql).unwrap();
            let schema = Introspector::default().read(&connection).unwrap();
            let found = broken(&connection, &schema);
            assert_eq!(found.keys().collect::<Vec<_>>(), *expected, "{sql}");
        }
    }
}
