//! What has happened already: the decision table of `docs/internals/deciding.md`, a row each.
//!
//! Files, what was done by hand before, and what `up` leaves. Plain SQLite is the judge.

use crate::sandbox::Sandbox;

/// A database with a history, and what became of it.
pub struct Row<'a> {
    /// Its row in the specification.
    pub name: &'a str,
    /// Files, of which those before `applied` are run by piton first.
    pub files: &'a [&'a str],
    pub applied: usize,
    /// What is done by hand before `up`.
    pub by_hand: &'a str,
    /// The exit code of `up`.
    pub code: i32,
    /// A query, and its result afterwards.
    pub query: &'a str,
    pub wanted: &'a str,
}

pub const ROW: Row<'static> =
    Row { name: "", files: &[], applied: 0, by_hand: "", code: 0, query: "SELECT 1", wanted: "1" };

pub fn hold(rows: &[Row<'_>]) {
    for row in rows {
        let mut sandbox = Sandbox::new();
        for (at, text) in row.files[..row.applied].iter().enumerate() {
            sandbox = sandbox.migration(&format!("{}_m.sql", at + 1), text);
        }
        if row.applied > 0 {
            sandbox.run("up").success();
        }
        for (at, text) in row.files.iter().enumerate().skip(row.applied) {
            sandbox = sandbox.migration(&format!("{}_m.sql", at + 1), text);
        }
        if !row.by_hand.is_empty() {
            sandbox.execute("app.db", row.by_hand);
        }
        let before = sandbox.exists("data/app.db").then(|| sandbox.dump("app.db"));
        println!("{}", row.name);
        let ran = sandbox.run("up").code(row.code);
        assert_eq!(sandbox.query("app.db", row.query), row.wanted, "{}: {}", row.name, ran.whole());
        if let (4, Some(before)) = (row.code, before) {
            assert_eq!(sandbox.dump("app.db"), before, "{}", row.name);
        } else if row.code == 0 {
            sandbox.run("up").success().says("nothing to do");
        }
    }
}

/// A DROP after the CREATE of that name never meets what this run did not make.
#[test]
fn removal_is_never_missing_work() {
    const STAGING: &str =
        "CREATE TABLE staging (a); INSERT INTO staging VALUES (9); DROP TABLE staging;";
    hold(&[
        Row {
            name: "a table",
            files: &[STAGING],
            by_hand: "CREATE TABLE staging (a); INSERT INTO staging VALUES (1), (2)",
            code: 4,
            query: "SELECT count(*) FROM staging",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "a table, after other files ran",
            files: &["CREATE TABLE t (a);", STAGING],
            applied: 1,
            by_hand: "CREATE TABLE \"Staging\" (a); INSERT INTO staging VALUES (1)",
            code: 4,
            query: "SELECT count(*) FROM staging",
            wanted: "1",
        },
        Row {
            name: "IF NOT EXISTS, of a table that was there before the last run",
            files: &[
                "CREATE TABLE t (a);\nCREATE TABLE staging (a);",
                "CREATE TABLE IF NOT EXISTS [STAGING] (a); DROP TABLE staging;",
            ],
            applied: 1,
            by_hand: "INSERT INTO staging VALUES (1)",
            code: 4,
            query: "SELECT count(*) FROM staging",
            wanted: "1",
        },
        Row { name: "nothing of that name", files: &[STAGING], ..ROW },
        Row {
            name: "a table that gets another name in between",
            files: &[
                "CREATE TABLE staging (a);\nALTER TABLE staging RENAME TO old;\nDROP TABLE IF EXISTS old;",
            ],
            by_hand: "CREATE TABLE staging (a); INSERT INTO staging VALUES (1), (2)",
            code: 4,
            query: "SELECT count(*) FROM staging",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "a table that has the name only in between",
            files: &["CREATE TABLE s1 (a);\nALTER TABLE s1 RENAME TO staging;\n\
                 ALTER TABLE staging RENAME TO s3;\nDROP TABLE s3;"],
            by_hand: "CREATE TABLE staging (a); INSERT INTO staging VALUES (1), (2)",
            code: 4,
            query: "SELECT count(*) FROM staging",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "a table that gets another name after one that is not there",
            files: &["CREATE TABLE n (a);\nCREATE TABLE staging (a);\n\
                 ALTER TABLE staging RENAME TO old;\nDROP TABLE IF EXISTS old;"],
            by_hand: "CREATE TABLE staging (a); INSERT INTO staging VALUES (1), (2)",
            code: 4,
            query: "SELECT count(*) FROM staging",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "the rows of a table that gets another name",
            files: &[
                "CREATE TABLE staging (a);\nALTER TABLE staging RENAME TO old;\nDELETE FROM old;",
            ],
            by_hand: "CREATE TABLE staging (a); INSERT INTO staging VALUES (1), (2)",
            code: 4,
            query: "SELECT count(*) FROM staging",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "a column",
            files: &[
                "CREATE TABLE t (a);",
                "ALTER TABLE t ADD COLUMN tmp;\nUPDATE t SET tmp = a;\nALTER TABLE t DROP COLUMN tmp;",
            ],
            applied: 1,
            by_hand: "ALTER TABLE t ADD COLUMN tmp; INSERT INTO t VALUES (1, 2)",
            code: 4,
            query: "SELECT tmp FROM t",
            wanted: "2",
        },
        Row {
            name: "a view",
            files: &["CREATE VIEW v AS SELECT 1;\nDROP VIEW v;"],
            by_hand: "CREATE VIEW v AS SELECT 1",
            code: 4,
            query: "SELECT count(*) FROM sqlite_schema WHERE name = 'v'",
            ..ROW
        },
        Row {
            name: "an index",
            files: &["CREATE TABLE t (a);", "CREATE INDEX i ON t (a);\nDROP INDEX i;"],
            applied: 1,
            by_hand: "CREATE INDEX i ON t (a)",
            code: 4,
            query: "SELECT count(*) FROM sqlite_schema WHERE name = 'i'",
            ..ROW
        },
        Row {
            name: "the everyday idiom",
            files: &["CREATE TABLE t (a);", "DROP TABLE IF EXISTS s;\nCREATE TABLE s (a);"],
            applied: 1,
            query: "SELECT count(*) FROM sqlite_schema WHERE name = 's'",
            ..ROW
        },
        Row {
            name: "a name that arises by renaming counts as what was renamed",
            files: &[
                "CREATE TABLE t (a);",
                "ALTER TABLE t RENAME TO old;\nCREATE TABLE t (a, b);\nINSERT INTO t (a) SELECT a FROM old;\nDROP TABLE old;",
            ],
            applied: 1,
            by_hand: "INSERT INTO t VALUES (7)",
            query: "SELECT a FROM t",
            wanted: "7",
            ..ROW
        },
    ]);
}

/// Rows are no proof that a statement ran; what would change nothing is done.
#[test]
fn evidence_about_data() {
    const T: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, n);";
    hold(&[
        Row {
            name: "a sequence of which one reads what another writes",
            files: &[
                "CREATE TABLE jobs (id, state);",
                "DELETE FROM jobs WHERE state = 'done';\nUPDATE jobs SET state = 'done' WHERE state = 'x';\nCREATE INDEX i ON jobs (state);",
            ],
            by_hand: "CREATE TABLE jobs (id, state); INSERT INTO jobs VALUES (2, 'done')",
            code: 4,
            query: "SELECT count(*) FROM jobs",
            ..ROW
        },
        Row {
            name: "a sequence that changes nothing now",
            files: &[T, "UPDATE t SET n = 2 WHERE n = 1;\nDELETE FROM t WHERE n = 3;"],
            by_hand: "CREATE TABLE t (id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1, 2)",
            query: "SELECT n FROM t",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "the same values again",
            files: &[T, "UPDATE t SET n = 2;"],
            by_hand: "CREATE TABLE t (id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1, 2)",
            query: "SELECT n FROM t",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "an empty target",
            files: &["CREATE TABLE kinds (name);\nINSERT INTO kinds VALUES ('a');"],
            by_hand: "CREATE TABLE kinds (name)",
            query: "SELECT name FROM kinds",
            wanted: "a",
            ..ROW
        },
        Row {
            name: "other rows in the target",
            files: &["CREATE TABLE kinds (name);\nINSERT INTO kinds VALUES ('a');"],
            by_hand: "CREATE TABLE kinds (name); INSERT INTO kinds VALUES ('b')",
            code: 4,
            query: "SELECT name FROM kinds",
            wanted: "b",
            ..ROW
        },
        Row {
            name: "just the rows that the file puts into its own table",
            files: &[
                "CREATE TABLE kinds (name);\nINSERT INTO kinds VALUES ('a');\nINSERT INTO kinds VALUES ('b');",
            ],
            by_hand: "CREATE TABLE kinds (name); INSERT INTO kinds VALUES ('a')",
            query: "SELECT group_concat(name) FROM kinds",
            wanted: "a,b",
            ..ROW
        },
        Row {
            name: "rows that are there under their keys",
            files: &[T, "INSERT INTO t VALUES (1, 'a'), (2, 'b');"],
            by_hand: "CREATE TABLE t (id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
            query: "SELECT count(*) FROM t",
            wanted: "3",
            ..ROW
        },
        Row {
            name: "defaults beside rows of the application",
            files: &[
                "CREATE TABLE roles (name TEXT PRIMARY KEY);\nINSERT OR IGNORE INTO roles VALUES ('admin');",
            ],
            by_hand: "CREATE TABLE roles (name TEXT PRIMARY KEY); INSERT INTO roles VALUES ('guest')",
            query: "SELECT count(*) FROM roles",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "a new column that nothing has filled",
            files: &[
                T,
                "ALTER TABLE t ADD COLUMN m;\nUPDATE t SET m = n * 2;\nALTER TABLE t DROP COLUMN n;",
            ],
            by_hand: "CREATE TABLE t (id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1, 4); ALTER TABLE t ADD COLUMN m",
            query: "SELECT m FROM t",
            wanted: "8",
            ..ROW
        },
        Row {
            name: "a new column with values of another origin",
            files: &[
                T,
                "ALTER TABLE t ADD COLUMN m;\nUPDATE t SET m = n * 2;\nALTER TABLE t DROP COLUMN n;",
            ],
            by_hand: "CREATE TABLE t (id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1, 4); ALTER TABLE t ADD COLUMN m; UPDATE t SET m = 3",
            code: 4,
            query: "SELECT m || n FROM t",
            wanted: "34",
            ..ROW
        },
        Row {
            name: "a deletion in a file that stopped in the middle",
            files: &[
                "CREATE TABLE t (n);\nCREATE INDEX i ON t (n);",
                "DROP INDEX i;\nDELETE FROM t;\nCREATE UNIQUE INDEX i ON t (n);",
            ],
            applied: 1,
            by_hand: "DROP INDEX i; INSERT INTO t VALUES (99)",
            code: 4,
            query: "SELECT n FROM t",
            wanted: "99",
        },
        Row {
            name: "a rebuild of the application's table that changes rows",
            files: &[
                "CREATE TABLE s2 (a);\nINSERT INTO s2 SELECT DISTINCT a FROM s;\nDROP TABLE s;\nALTER TABLE s2 RENAME TO s;",
            ],
            by_hand: "CREATE TABLE s (a); INSERT INTO s VALUES (1), (1)",
            code: 4,
            query: "SELECT count(*) FROM s",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "a rebuild of the application's table that changes none",
            files: &[
                "CREATE TABLE s2 (a);\nINSERT INTO s2 SELECT a FROM s;\nDROP TABLE s;\nALTER TABLE s2 RENAME TO s;",
            ],
            by_hand: "CREATE TABLE s (a); INSERT INTO s VALUES (1), (2)",
            query: "SELECT count(*) FROM s",
            wanted: "2",
            ..ROW
        },
    ]);
}

/// What SQLite refuses is refused before anything runs.
#[test]
fn the_replay_is_sqlite() {
    hold(&[
        Row {
            name: "a name that is taken",
            files: &["CREATE TABLE a (x);", "CREATE TABLE a (y);"],
            code: 4,
            query: "SELECT count(*) FROM sqlite_schema",
            wanted: "0",
            ..ROW
        },
        Row {
            name: "a column that a view needs",
            files: &[
                "CREATE TABLE t (a, b);\nCREATE VIEW v AS SELECT a FROM t;",
                "ALTER TABLE t DROP COLUMN a;",
            ],
            applied: 1,
            code: 4,
            query: "SELECT count(*) FROM pragma_table_info('t')",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "a rebuild without a column that a view needs",
            files: &[
                "CREATE TABLE t (a, b);\nCREATE VIEW v AS SELECT a FROM t;",
                "CREATE TABLE n (b);\nINSERT INTO n SELECT b FROM t;\nDROP TABLE t;\nALTER TABLE n RENAME TO t;",
            ],
            applied: 1,
            code: 4,
            query: "SELECT count(*) FROM pragma_table_info('t')",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "the same, where it is meant",
            files: &[
                "CREATE TABLE t (a, b);\nCREATE VIEW v AS SELECT a FROM t;",
                "-- allow: view-broken the next release drops it\nCREATE TABLE n (b);\nINSERT INTO n SELECT b FROM t;\nDROP TABLE t;\nALTER TABLE n RENAME TO t;",
            ],
            applied: 1,
            query: "SELECT count(*) FROM pragma_table_info('t')",
            ..ROW
        },
    ]);
    let sandbox = Sandbox::new()
        .migration("1_a.sql", "CREATE TABLE a (x);")
        .migration("2_a.sql", "CREATE TABLE a (y);");
    sandbox.run("check").code(4);
    sandbox.run("plan --exit-code").code(4).says("2_a.sql");
}

/// What the application made, and no migration.
#[test]
fn the_base() {
    hold(&[
        Row {
            name: "an index that a file drops",
            files: &["DROP INDEX i;"],
            by_hand: "CREATE TABLE s (a); CREATE INDEX i ON s (a)",
            query: "SELECT count(*) FROM sqlite_schema WHERE name = 'i'",
            wanted: "0",
            ..ROW
        },
        Row {
            name: "a view that a file replaces",
            files: &["DROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT 2 AS n;"],
            by_hand: "CREATE VIEW v AS SELECT 1 AS n",
            query: "SELECT n FROM v",
            wanted: "2",
            ..ROW
        },
        Row {
            name: "an index of that name on another table",
            files: &["CREATE TABLE u (a);\nCREATE INDEX IF NOT EXISTS i ON u (a);"],
            by_hand: "CREATE TABLE t (a); CREATE INDEX i ON t (a)",
            query: "SELECT tbl_name FROM sqlite_schema WHERE name = 'i'",
            wanted: "t",
            ..ROW
        },
        Row {
            name: "a table that lacks a column of the text",
            files: &["CREATE TABLE IF NOT EXISTS t (a, b);"],
            by_hand: "CREATE TABLE t (a)",
            code: 4,
            ..ROW
        },
        Row {
            name: "a table that has more than the text",
            files: &["CREATE TABLE IF NOT EXISTS t (a, b);"],
            by_hand: "CREATE TABLE t (a, b, c)",
            query: "SELECT count(*) FROM pragma_table_info('t')",
            wanted: "3",
            ..ROW
        },
        Row {
            name: "a table that was renamed away and made again",
            files: &["ALTER TABLE h RENAME TO h_old;\nCREATE TABLE h (id);", "CREATE TABLE z (a);"],
            by_hand: "CREATE TABLE h (hid)",
            query: "SELECT count(*) FROM sqlite_schema WHERE name IN ('h', 'h_old', 'z')",
            wanted: "3",
            ..ROW
        },
    ]);
    // The base is what it was at the first run, whatever the schema is now.
    let sandbox =
        Sandbox::new().migration("1_m.sql", "ALTER TABLE h RENAME TO h_old;\nCREATE TABLE h (id);");
    sandbox.execute(
        "app.db",
        "CREATE TABLE h (hid); CREATE INDEX h_i ON h (hid); CREATE TABLE other (x)",
    );
    sandbox.run("up").success();
    let sandbox = sandbox.migration("2_m.sql", "CREATE TABLE z (a);");
    sandbox.execute("app.db", "CREATE TABLE by_hand (x)");
    sandbox.run("up").success();
    assert_eq!(sandbox.query("app.db", "SELECT name FROM _piton_base ORDER BY 1"), "h\nh_i\nother");
}

/// What was accepted or healed keeps its place; nothing without effect is out of order.
#[test]
fn order() {
    let sandbox = Sandbox::new()
        .migration(
            "1_users.sql",
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name);\nCREATE INDEX i ON users (name);",
        )
        .migration("2_phone.sql", "ALTER TABLE users ADD COLUMN phone TEXT;");
    sandbox.run("up").success();
    sandbox.execute("app.db", "DROP INDEX i");
    sandbox.run("up --heal").success();
    sandbox.write("migrations/1_users.sql", "-- a comment\nCREATE TABLE users (id INTEGER PRIMARY KEY, name);\nCREATE INDEX i ON users (name);");
    sandbox.run("adopt --accept 1").success();
    sandbox.run("plan --exit-code").success();
    sandbox.execute("app.db", "ALTER TABLE users DROP COLUMN phone");
    sandbox.run("plan --exit-code").code(4).says("phone");
    hold(&[Row {
        name: "a file without effect before a recognised one",
        files: &["CREATE TABLE t (a);", "SELECT 1;", "UPDATE t SET a = 1 WHERE a = 2;"],
        by_hand: "CREATE TABLE t (a)",
        ..ROW
    }]);
}
