//! Whether data statements may run a second time: alone, and one after the other.
//!
//! A statement is repeatable if running it twice equals running it once; a sequence, if moreover no
//! statement in it reads what another one writes. SQLite tells what each reads and writes; rowid
//! aliases, generated columns, views and subqueries are seen through.

use super::{access::Access, live_rows::Trial};
use crate::sql::rows;

/// What one statement does, and what the values that it assigns are made of.
struct Use {
    access: Access,
    /// The same of an UPDATE without its WHERE clause.
    values: Option<Access>,
}

/// Whether running these statements again, in their order, equals running them once.
pub fn is_repeatable(trial: &Trial, texts: &[&str]) -> bool {
    let mut uses = Vec::new();
    for text in texts {
        let Some(access) = trial.access(text) else { return false };
        let values = rows::assignments(text).and_then(|head| trial.access(head));
        let found = Use { access, values };
        if !is_alone(trial, text, &found) {
            return false;
        }
        uses.push(found);
    }
    (0..uses.len()).all(|at| {
        let others = uses.iter().enumerate().filter(|(other, _)| *other != at);
        others.into_iter().all(|(_, other)| is_independent(trial, &uses[at].access, &other.access))
    })
}

fn is_alone(trial: &Trial, text: &str, found: &Use) -> bool {
    let access = &found.access;
    let written = access.writes();
    if access.triggers
        || access.is_unstable()
        || rows::is_limited(text)
        || !access.through.is_disjoint(&written)
        || !rows::names_in_queries(text).is_disjoint(&written)
    {
        return false;
    }
    if !access.inserts.is_empty() {
        return trial.only_adds_once(&[text]);
    }
    if access.takes {
        // A row goes by its own values alone.
        return access.updated.is_empty();
    }
    // No value that it assigns depends on one that it assigns.
    let Some(values) = &found.values else { return false };
    values.columns.iter().all(|(table, column)| {
        !access.changes.contains(table)
            || (!access.updated.contains(column) && !trial.is_computed(table, column))
    })
}

/// Whether a statement reads nothing that another one writes.
fn is_independent(trial: &Trial, reader: &Access, writer: &Access) -> bool {
    // An INSERT looks for its keys in the table to which it adds.
    let looks = reader.inserts.iter().any(|table| writer.changes.contains(table));
    let reads = reader.columns.iter().any(|(table, column)| {
        let whole =
            writer.inserts.contains(table) || (writer.takes && writer.changes.contains(table));
        whole
            || (writer.changes.contains(table)
                && (writer.updated.contains(column) || trial.is_computed(table, column)))
    });
    !looks && !reads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{self, Access as Open};
    use std::time::Duration;

    #[test]
    fn statements_and_sequences() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let connection = database::open(&path, Open::Create, Duration::ZERO).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, g AS (a + 1));
                 CREATE TABLE u (id INTEGER PRIMARY KEY, x); CREATE VIEW v AS SELECT a FROM t;
                 CREATE TABLE w (a); CREATE TABLE log (n);
                 CREATE TRIGGER r AFTER UPDATE ON w BEGIN INSERT INTO log VALUES (1); END;
                 INSERT INTO t (a, b) VALUES (1, 2), (3, 4); INSERT INTO u VALUES (1, 1);",
            )
            .unwrap();
        let trial = Trial::open(&path).unwrap();
        let cases: [(&[&str], bool); 24] = [
            (&["UPDATE t SET a = 1 WHERE a = 2"], true),
            (&["UPDATE t SET a = b + 1, b = b"], false),
            (&["UPDATE t SET a = b + 1"], true),
            (&["UPDATE t SET a = a + 1"], false),
            (&["UPDATE t SET a = g"], false),
            (&["UPDATE t SET id = rowid + 10"], false),
            (&["UPDATE t SET b = id * 2"], true),
            (&["UPDATE t SET a = (SELECT x FROM u WHERE u.id = t.b)"], true),
            (&["UPDATE t SET a = (SELECT count(*) FROM t)"], false),
            (&["UPDATE t SET a = (SELECT max(a) FROM v)"], false),
            (&["UPDATE t SET a = random()"], false),
            (&["UPDATE OR IGNORE t SET a = 1"], false),
            (&["UPDATE w SET a = 1"], false),
            (&["DELETE FROM t WHERE a = 1"], true),
            (&["DELETE FROM t WHERE a IN (SELECT x FROM u)"], true),
            (&["DELETE FROM t WHERE id NOT IN (SELECT min(id) FROM t GROUP BY a)"], false),
            (&["INSERT INTO u VALUES (2, 2)"], false),
            (&["INSERT OR IGNORE INTO u VALUES (2, 2)"], true),
            (&["DELETE FROM t WHERE a = 'done'", "UPDATE t SET a = 'done' WHERE a = 'x'"], false),
            (&["UPDATE t SET a = 1 WHERE b = 2", "UPDATE u SET x = 3 WHERE id = 1"], true),
            (&["UPDATE u SET x = 3", "UPDATE t SET a = (SELECT x FROM u WHERE u.id = t.b)"], false),
            (&["UPDATE t SET a = 1", "DELETE FROM t WHERE g = 2"], false),
            (&["UPDATE t SET a = 1", "DELETE FROM t WHERE b = 2"], true),
            (&["INSERT OR IGNORE INTO u VALUES (2, 2)", "DELETE FROM u WHERE x = 9"], false),
        ];
        for (texts, expected) in cases {
            assert_eq!(is_repeatable(&trial, texts), expected, "{texts:?}");
        }
    }
}
