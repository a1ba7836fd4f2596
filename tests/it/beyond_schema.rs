//! What counts beside the schema when it is decided what has happened: the order of columns, and what is in
//! the header of the database. Plain SQLite is the judge.

use crate::{
    deciding::{ROW, Row, hold},
    sandbox::Sandbox,
};

/// Columns that are in another order here than in the history are never exchanged.
#[test]
fn the_order_of_columns() {
    const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT);";
    const ADD: &str = "ALTER TABLE t ADD COLUMN mail TEXT; ALTER TABLE t ADD COLUMN phone TEXT;";
    const HAND: &str = "ALTER TABLE t ADD COLUMN phone TEXT; ALTER TABLE t ADD COLUMN mail TEXT; \
                        INSERT INTO t VALUES (1, 'ada', '0123', 'ada@x')";
    const MADE: &str =
        "CREATE TABLE n (id INTEGER PRIMARY KEY, n TEXT NOT NULL, mail TEXT, phone TEXT);";
    const MAIL: &str = "SELECT mail FROM t WHERE id = 1";
    let cases: [(&str, &str, i32, &str); 9] = [
        (
            "INSERT INTO n SELECT * FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;",
            MAIL,
            4,
            "ada@x",
        ),
        ("INSERT INTO n (id, n, mail, phone) SELECT * FROM t;", MAIL, 4, "ada@x"),
        ("INSERT INTO n SELECT t.* FROM t WHERE id > 0;", MAIL, 4, "ada@x"),
        ("CREATE VIEW v AS SELECT * FROM t; INSERT INTO n SELECT * FROM v;", MAIL, 4, "ada@x"),
        (
            "ALTER TABLE t RENAME TO old; INSERT INTO n SELECT * FROM old; DROP TABLE old; ALTER TABLE n RENAME TO t;",
            MAIL,
            4,
            "ada@x",
        ),
        ("INSERT INTO t VALUES (2, 'bob', 'bob@x', '0456');", "SELECT count(*) FROM t", 4, "1"),
        // The columns are named, so the order does not matter.
        (
            "INSERT INTO n SELECT id, n, mail, phone FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;",
            MAIL,
            0,
            "ada@x",
        ),
        (
            "INSERT INTO t (id, n, mail) VALUES (2, 'bob', 'bob@x');",
            "SELECT mail FROM t WHERE id = 2",
            0,
            "bob@x",
        ),
        // Only other tables are filled by position.
        ("INSERT INTO n VALUES (7, 'x', 'y', 'z');", "SELECT mail FROM n", 0, "y"),
    ];
    for (text, query, code, wanted) in cases {
        let last = format!("{MADE}\n{text}");
        hold(&[Row {
            name: text,
            files: &[TABLE, ADD, &last],
            applied: 1,
            by_hand: HAND,
            code,
            query,
            wanted,
        }]);
    }
    let sandbox = Sandbox::new().migration("1_m.sql", &format!("{TABLE}\n{ADD}"));
    sandbox.execute("app.db", &format!("{TABLE} {HAND}"));
    let sandbox = sandbox.migration("2_m.sql", &format!("{MADE}\nINSERT INTO n SELECT * FROM t;"));
    sandbox.run("up").code(4).says("[column-order]").says("2_m.sql:2").says("name the columns");
    sandbox.write(
        "migrations/2_m.sql",
        format!("{MADE}\nINSERT INTO n SELECT id, n, mail, phone FROM t;"),
    );
    sandbox.run("up").success();
    assert_eq!(sandbox.query("app.db", "SELECT mail FROM n"), "ada@x");
}

/// `user_version` and `application_id` are effects of a file like those in the schema.
#[test]
fn numbers_of_the_header() {
    const A: &str = "CREATE TABLE a (x);\nPRAGMA user_version = 7;";
    const VERSION: &str = "SELECT user_version FROM pragma_user_version";
    hold(&[
        Row {
            name: "not set yet",
            files: &[A],
            by_hand: "CREATE TABLE a (x)",
            query: VERSION,
            wanted: "7",
            ..ROW
        },
        Row {
            name: "set already, before rows that nothing else tells of",
            files: &["CREATE TABLE a (x);\nINSERT INTO a VALUES (1);\nPRAGMA user_version = 7;"],
            by_hand: "CREATE TABLE a (x); INSERT INTO a VALUES (2); PRAGMA user_version = 7",
            query: "SELECT group_concat(x) FROM a",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "a file that sets only that, once more",
            files: &["CREATE TABLE a (x);", "PRAGMA user_version(3);\nPRAGMA application_id = -5;"],
            by_hand: "CREATE TABLE a (x); PRAGMA user_version = 3",
            query: "SELECT user_version || application_id FROM pragma_user_version, pragma_application_id",
            wanted: "3-5",
            ..ROW
        },
        Row {
            name: "the value of an older tool",
            files: &[A, "PRAGMA user_version = 8;"],
            by_hand: "PRAGMA user_version = 5",
            query: VERSION,
            wanted: "8",
            ..ROW
        },
        Row {
            name: "one file after the other, stopped in between",
            files: &[
                "PRAGMA user_version = 1;",
                "PRAGMA user_version = 2;",
                "PRAGMA user_version = 3;",
            ],
            by_hand: "CREATE TABLE other (x); PRAGMA user_version = 2",
            query: VERSION,
            wanted: "3",
            ..ROW
        },
        Row {
            name: "the application counts on after the run",
            files: &[A, "CREATE TABLE b (x);"],
            applied: 1,
            by_hand: "PRAGMA user_version = 9",
            query: VERSION,
            wanted: "9",
            ..ROW
        },
        Row {
            name: "set back to 0",
            files: &[A, "PRAGMA user_version = 0;\nCREATE TABLE b (x);"],
            applied: 1,
            query: VERSION,
            wanted: "0",
            ..ROW
        },
    ]);
}

/// What a database is as a file is what its first file says, or the file is refused.
#[test]
fn the_form_of_a_new_database() {
    let settings =
        "PRAGMA encoding = 'UTF-16le';\nPRAGMA page_size = 8192;\nPRAGMA auto_vacuum = 1;\n";
    let sandbox = Sandbox::new().migration("1_a.sql", &format!("{settings}CREATE TABLE a (x);"));
    sandbox.run("up").code(4).says("does nothing inside a transaction").says("transaction: none");
    sandbox.write(
        "migrations/1_a.sql",
        format!("-- transaction: none\n{settings}CREATE TABLE a (x);"),
    );
    sandbox.run("up").success();
    let query = "SELECT encoding, page_size, auto_vacuum FROM pragma_encoding, pragma_page_size, pragma_auto_vacuum";
    assert_eq!(sandbox.query("app.db", query), "UTF-16le|8192|1");
    sandbox.run("up").success().says("nothing to do");
}

/// A statement whose only effect is in the stored text is known by the text, without a ledger.
#[test]
fn what_only_the_text_shows() {
    const T: &str = "CREATE TABLE t1 (a, b, c CONSTRAINT abc AS (b + 1));";
    const DROP: &str = "ALTER TABLE t1 DROP CONSTRAINT abc;";
    const NAMED: &str = "SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%abc%'";
    let dropped = format!("{T} {DROP}");
    let with_data = format!("UPDATE t1 SET a = a + 1;\n{DROP}");
    let with_table = format!("{DROP}\nCREATE TABLE z (x);");
    hold(&[
        Row {
            name: "dropped",
            files: &[T, DROP],
            by_hand: &dropped,
            query: NAMED,
            wanted: "0",
            ..ROW
        },
        Row {
            name: "not dropped yet",
            files: &[T, DROP],
            by_hand: T,
            query: NAMED,
            wanted: "0",
            ..ROW
        },
        Row {
            name: "dropped, and more is missing",
            files: &[T, &with_table],
            by_hand: &dropped,
            query: "SELECT count(*) FROM sqlite_schema WHERE name = 'z'",
            ..ROW
        },
        Row {
            name: "dropped, behind a data statement",
            files: &[T, &with_data],
            by_hand: &format!("{dropped} INSERT INTO t1 (a) VALUES (1)"),
            code: 4,
            query: "SELECT a FROM t1",
            ..ROW
        },
        Row {
            name: "the case of a name",
            files: &["CREATE TABLE items (a);", "ALTER TABLE items RENAME COLUMN a TO A;"],
            by_hand: "CREATE TABLE items (a)",
            query: "SELECT name FROM pragma_table_info('items')",
            wanted: "A",
            ..ROW
        },
    ]);
}
