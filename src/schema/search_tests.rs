//! SQLite itself is the judge: what its `rebuild` fixes is out of step, and the rest is damage.

use super::{Found, check};
use crate::database;
use rusqlite::Connection;

const PLAIN: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, b); INSERT INTO t (b) VALUES ('x y')";
const OWN4: &str = "CREATE VIRTUAL TABLE f USING fts4(b); INSERT INTO f VALUES ('x y'), ('z')";
const OWN5: &str = "CREATE VIRTUAL TABLE \"f\" USING FTS5(b); INSERT INTO f VALUES ('x y'), ('z')";

fn findings(connection: &Connection) -> Found {
    check(connection, "integrity_check", 5).unwrap()
}

fn integrity(connection: &Connection) -> String {
    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

/// Makes, changes, and compares the verdict with what a `rebuild` does.
fn judged(made: &str, changed: &str) {
    let shown = format!("{made}\n{changed}");
    let folder = tempfile::tempdir().unwrap();
    let open = || Connection::open(folder.path().join("a.db")).unwrap();
    open().execute_batch(made).unwrap();
    assert_eq!(findings(&open()), Found { damage: vec![], stale: vec![] }, "{shown}");
    open().execute_batch(changed).unwrap();
    let connection = open();
    assert_ne!(integrity(&connection), "ok", "{shown}");
    let found = findings(&connection);
    let rebuilt = connection.execute("INSERT INTO f (f) VALUES ('rebuild')", []);
    let is_fixed = rebuilt.is_ok() && integrity(&connection) == "ok";
    let stale = found.stale == ["f"] && found.damage.is_empty();
    assert_eq!(stale, is_fixed, "{shown}\n{found:?}\n{rebuilt:?}");
    assert_eq!(found.damage.is_empty(), is_fixed, "{shown}\n{found:?}");
}

#[test]
fn what_a_rebuild_fixes_is_no_damage_and_the_rest_is() {
    for changed in [
        "INSERT INTO t (b) VALUES ('z')",
        "DELETE FROM t",
        "DROP TABLE t",
        "ALTER TABLE t RENAME b TO c",
        "ALTER TABLE t RENAME TO u",
        "INSERT INTO t (b) VALUES ('z'); DROP TABLE f_segments",
    ] {
        for options in ["content='t', b", "b, content=\"t\"", "content=t, b, matchinfo=fts3"] {
            let made = format!("{PLAIN}; CREATE VIRTUAL TABLE f USING fts4 ({options})");
            judged(&format!("{made}; INSERT INTO f (f) VALUES ('rebuild')"), changed);
        }
    }
    let columns_of_the_table = format!("{PLAIN}; CREATE VIRTUAL TABLE f USING fts4 (content='t')");
    judged(
        &format!("{columns_of_the_table}; INSERT INTO f (f) VALUES ('rebuild')"),
        "INSERT INTO t (b) VALUES ('z')",
    );
    let of_view = format!(
        "{PLAIN}; CREATE VIEW v AS SELECT id AS rowid, b FROM t;
         CREATE VIRTUAL TABLE f USING fts4 (content='v', b); INSERT INTO f (f) VALUES ('rebuild')"
    );
    judged(&of_view, "INSERT INTO t (b) VALUES ('z')");
    judged(&of_view, "DROP VIEW v");
    for changed in [
        "UPDATE f_content SET c0b = 'q'",
        "UPDATE f_segdir SET root = zeroblob(5)",
        "DROP TABLE f_segdir",
        "DELETE FROM f_segdir; DROP TABLE f_docsize",
    ] {
        judged(OWN4, changed);
    }
    judged(&OWN4.replace("fts4", "fts3"), "UPDATE f_content SET c0b = 'q'");
    for changed in [
        "UPDATE f_content SET c0 = 'q'",
        "DELETE FROM f_content",
        "DELETE FROM f_data",
        "UPDATE f_data SET block = zeroblob(3)",
        "DROP TABLE f_docsize",
    ] {
        judged(OWN5, changed);
    }
    let outside5 = format!(
        "{PLAIN}; CREATE VIRTUAL TABLE f USING fts5 (b, content = \"t\", content_rowid=id);
         INSERT INTO f (f) VALUES ('rebuild')"
    );
    judged(&outside5, "DELETE FROM f_data");
}

#[test]
fn damage_beside_an_index_stays() {
    let stale = "INSERT INTO t (b) VALUES ('z');";
    let index = "CREATE TABLE d (a, b); INSERT INTO d VALUES (1, 2); CREATE INDEX i ON d (a);
        PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON d (b)' WHERE name = 'i';
        PRAGMA writable_schema = RESET;";
    let connection = database::open_scratch().unwrap();
    let made = "CREATE VIRTUAL TABLE f USING fts4 (content='t', b)";
    connection.execute_batch(&format!("{PLAIN}; {made}; {stale} {index}")).unwrap();
    let all = findings(&connection);
    assert_eq!(all.stale, ["f"]);
    assert_ne!(all.damage, Vec::<String>::new());
    // A list that is full of lines about search indexes has room for damage.
    let one = check(&connection, "integrity_check", 1).unwrap();
    assert_eq!((one.damage.len(), one.stale.len()), (1, 1), "{one:?}");
}

#[test]
fn a_name_like_a_number_hides_no_damage() {
    for name in ["5", "+7x", "-1", "0x10"] {
        let connection = database::open_scratch().unwrap();
        let text = format!(
            "CREATE TABLE d (a, b); INSERT INTO d VALUES (1, 2); CREATE INDEX i ON d (a);
             {PLAIN}; CREATE VIRTUAL TABLE \"{name}\" USING fts4 (content='t', b);
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON d (b)' WHERE name = 'i';
             PRAGMA writable_schema = RESET;"
        );
        connection.execute_batch(&text).unwrap();
        assert!(findings(&connection).damage.len() > 1, "{name}");
    }
}

#[test]
fn a_table_that_cannot_be_checked_hides_no_damage_of_another() {
    for (made, broken) in [
        (OWN5, "DROP TABLE f_config"),
        ("CREATE TABLE f (b COLLATE NOCASE); CREATE INDEX x ON f (b)", COLLATION),
        ("CREATE TABLE f (b); CREATE INDEX x ON f (lower(b))", FUNCTION),
    ] {
        for (index, is_damaged) in [("d (b)", true), ("d (a)", false)] {
            let folder = tempfile::tempdir().unwrap();
            let open = || Connection::open(folder.path().join("a.db")).unwrap();
            let table =
                "CREATE TABLE d (a, b); INSERT INTO d VALUES (1, 2); CREATE INDEX i ON d (a)";
            open().execute_batch(&format!("{made}; {table}")).unwrap();
            let text = format!(
                "{broken}; PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON {index}' WHERE name = 'i'"
            );
            open().execute_batch(&text).unwrap();
            let connection = open();
            assert!(connection.execute_batch("PRAGMA integrity_check").is_err(), "{text}");
            let found = check(&connection, "integrity_check", 5);
            assert_eq!(found.is_ok_and(|found| !found.damage.is_empty()), is_damaged, "{text}");
        }
    }
}

/// What an application has registered, and this connection has not.
const COLLATION: &str = "PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'of_the_application') WHERE name = 'f'";
const FUNCTION: &str = "PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, 'lower', 'of_the_application') WHERE name = 'x'";
