//! What SQLite says of an ALTER TABLE once the table has a row: it is asked, in a database with that
//! one table and one made-up row.
//!
//! An empty table accepts a column that a table with rows does not (NOT NULL without a default, a
//! default that is no constant). Where the table cannot be made alone, nothing is said.

use super::scratch::Problem;
use crate::{
    database,
    guard::Effect,
    schema::{Object, Part},
    sql::{class, quote},
};
use rusqlite::{Connection, types::Value};

/// The database of the trials, opened for the first of them.
#[derive(Default)]
pub struct Trial {
    connection: Option<Connection>,
}

impl Trial {
    /// What SQLite says of a statement that adds a column to a table, once that has a row.
    pub fn with_a_row(&mut self, table: &Object, effect: &Effect, text: &str) -> Option<Problem> {
        if !may_depend_on_rows(table, effect, text) {
            return None;
        }
        if self.connection.is_none() {
            self.connection = database::open_scratch().ok();
        }
        let connection = self.connection.as_ref()?;
        connection.execute_batch("BEGIN").ok()?;
        let said = alter(connection, table, text);
        // It fails where SQLite has rolled back already; then there is nothing left to undo.
        drop(connection.execute_batch("ROLLBACK"));
        said
    }
}

/// Whether a statement adds a column of which a row could decide whether it is accepted. A CHECK
/// over other columns depends on their real values, which a made-up row has not.
fn may_depend_on_rows(table: &Object, effect: &Effect, text: &str) -> bool {
    let adds = effect.changes.iter().any(|change| {
        matches!(change.part, Part::Column(_))
            && change.before.is_none()
            && *change.object.name == *table.table
    });
    let reads_others = effect.changes.iter().any(|change| match &change.part {
        Part::Check(check) => {
            let words = class::mentions(check);
            table.columns.iter().any(|column| words.contains(&**column))
        }
        _ => false,
    });
    let words = class::mentions(text);
    let telling = ["not", "default", "check", "references", "as", "generated"];
    adds && !reads_others && telling.iter().any(|word| words.contains(*word))
}

fn alter(connection: &Connection, table: &Object, text: &str) -> Option<Problem> {
    connection.execute_batch(&table.sql).ok()?;
    if insert(connection, &table.name).is_some() {
        return connection.execute_batch(text).err().map(Problem::from);
    }
    // The made-up row breaks a CHECK of the table, which says nothing of real rows.
    let ignore = |on| connection.pragma_update(None, "ignore_check_constraints", on).ok();
    ignore(true)?;
    let said = insert(connection, &table.name)
        .and_then(|()| connection.execute_batch(text).err().map(Problem::from));
    ignore(false)?;
    said
}

/// Inserts a row with a value of each column's type.
fn insert(connection: &Connection, table: &str) -> Option<()> {
    let mut statement = connection
        .prepare_cached("SELECT name, upper(type) FROM pragma_table_xinfo(?1) WHERE hidden = 0")
        .ok()?;
    let columns = statement
        .query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
        .ok()?;
    let names: Vec<String> = columns.iter().map(|(name, _)| quote(name)).collect();
    let places = vec!["?"; columns.len()].join(", ");
    let values = columns.iter().map(|(_, kind)| match kind.as_str() {
        "BLOB" => Value::Blob(vec![1]),
        "TEXT" => Value::Text("1".into()),
        "REAL" => Value::Real(1.0),
        _ => Value::Integer(1),
    });
    let sql = format!("INSERT INTO {} ({}) VALUES ({places})", quote(table), names.join(", "));
    connection.execute(&sql, rusqlite::params_from_iter(values)).ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Introspector, ObjectKind};

    #[test]
    fn what_a_row_decides() {
        let cases = [
            ("ADD COLUMN b TEXT", false),
            ("ADD COLUMN b TEXT NOT NULL", true),
            ("ADD COLUMN b TEXT NOT NULL DEFAULT 'x'", false),
            ("ADD COLUMN b DEFAULT CURRENT_TIMESTAMP", true),
            ("ADD COLUMN b DEFAULT (random())", true),
            ("ADD COLUMN b DEFAULT (1 + 1)", false),
            ("ADD COLUMN b INT DEFAULT 0 CHECK (b > 0)", false),
            ("ADD COLUMN b INT DEFAULT 5 CHECK (b > 0)", false),
            ("ADD COLUMN b INT DEFAULT 5 CHECK (b > a)", false),
            ("ADD COLUMN b INT AS (a + 1)", false),
            ("ADD COLUMN b INT NOT NULL AS (a + 1)", false),
        ];
        let mut trial = Trial::default();
        for (what, refused) in cases {
            let connection = database::open_scratch().unwrap();
            connection
                .execute_batch(
                    "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT CHECK (a > 9), z BLOB) STRICT",
                )
                .unwrap();
            let before = Introspector::default().read(&connection).unwrap();
            let text = format!("ALTER TABLE t {what}");
            let accepted = connection.execute_batch(&text);
            let after = Introspector::default().read(&connection).unwrap();
            let effect = Effect::between(&before, &after);
            let table = before.get(ObjectKind::Table, "t").unwrap();
            let said = trial.with_a_row(table, &effect, &text);
            assert_eq!(said.is_some(), refused && accepted.is_ok(), "{what}: {said:?}");
        }
    }
}
