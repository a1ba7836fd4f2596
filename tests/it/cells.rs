//! The cells of the three-witness table, and what stops a run.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use crate::engine::{Ended, bytes, connect, drop_ledger, dump, plan, up, written};
use piton::{
    apply::Lasting,
    history::Migration,
    plan::{Healing, OutOfOrder, Settings, State},
};
use std::{os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};
use tempfile::TempDir;

/// A folder with migrations and a database.
struct Place {
    folder: TempDir,
    database: PathBuf,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("app.db");
        let place = Self { folder, database };
        place.add(files);
        place
    }

    fn add(&self, files: &[(&str, &str)]) {
        written(&self.folder.path().join("migrations"), files);
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.folder.path().join("migrations").join(file)).unwrap();
    }

    fn migrations(&self) -> Vec<Arc<Migration>> {
        written(&self.folder.path().join("migrations"), &[])
    }

    fn sql(&self, sql: &str) {
        connect(&self.database).execute_batch(sql).unwrap();
    }

    fn number(&self, query: &str) -> i64 {
        connect(&self.database).query_row(query, [], |row| row.get(0)).unwrap()
    }

    fn up(&self) -> Ended {
        self.up_with(&Settings::default())
    }

    fn up_with(&self, settings: &Settings) -> Ended {
        up(&self.database, &self.migrations(), settings)
    }

    fn states(&self) -> Vec<&'static str> {
        let plan = plan(&self.database, &self.migrations(), &Settings::default()).unwrap();
        plan.assessments.iter().map(|found| found.state.word()).collect()
    }

    /// Runs, and asserts that it stopped with this code or text and changed nothing.
    fn stops(&self, expected: &str) {
        let before = dump(&self.database);
        let ended = self.up();
        assert!(ended.stopped(), "{ended:?}");
        assert!(format!("{ended:?}").contains(expected), "{ended:?}");
        assert_eq!(dump(&self.database), before);
    }
}

fn done(titles: &[(&str, &'static str)]) -> Ended {
    Ended::Done(titles.iter().map(|(title, word)| ((*title).to_string(), *word)).collect())
}

const TWO: [(&str, &str); 2] = [
    ("1_a.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT);"),
    ("2_b.sql", "ALTER TABLE t ADD COLUMN b INT;\nALTER TABLE t ADD COLUMN c INT;"),
];

#[test]
fn pending_then_applied() {
    let place = Place::new(&TWO);
    assert_eq!(place.states(), ["pending", "pending"]);
    assert_eq!(place.up(), done(&[("1_a.sql", "applied"), ("2_b.sql", "applied")]));
    assert_eq!(place.states(), ["applied", "applied"]);
    let before = bytes(&place.database);
    assert_eq!(place.up(), Ended::Nothing);
    assert_eq!(bytes(&place.database), before);
}

#[test]
fn drift_stops_and_is_healed() {
    let place = Place::new(&TWO);
    place.up();
    place.sql("ALTER TABLE t DROP COLUMN b");
    assert_eq!(place.states(), ["applied", "drift"]);
    place.stops("drift");
    let healed = place.up_with(&Settings { healing: Healing::Redo, ..Settings::default() });
    assert_eq!(healed, done(&[("2_b.sql", "healed")]));
    assert_eq!(place.number("SELECT count(*) FROM pragma_table_info('t')"), 4);
}

#[test]
fn recorded_where_the_schema_has_it() {
    let place = Place::new(&TWO);
    place.sql("CREATE TABLE \"T\" (id integer primary key, [a] int, b INT, c INT)");
    assert_eq!(place.states(), ["recorded", "recorded"]);
    assert_eq!(place.up(), done(&[("1_a.sql", "recorded"), ("2_b.sql", "recorded")]));
    assert_eq!(place.up(), Ended::Nothing);
}

#[test]
fn resumed_where_it_is_partly_there() {
    for column in ["b", "c"] {
        let place = Place::new(&TWO);
        place.sql(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT); ALTER TABLE t ADD COLUMN {column} INT"
        ));
        assert_eq!(place.states(), ["recorded", "resumed"], "{column}");
        assert_eq!(place.up(), done(&[("1_a.sql", "recorded"), ("2_b.sql", "resumed")]));
        assert_eq!(place.number("SELECT count(*) FROM pragma_table_info('t')"), 4);
    }
}

#[test]
fn application_tables_with_and_without_the_columns() {
    let history = [(
        "1_more.sql",
        "ALTER TABLE users ADD COLUMN mail TEXT;\nALTER TABLE users ADD COLUMN phone TEXT;",
    )];
    let cases: [(&str, &str); 4] = [
        ("", "applied"),
        (", mail TEXT, phone TEXT", "recorded"),
        (", mail TEXT", "resumed"),
        (", phone TEXT", "resumed"),
    ];
    for (columns, outcome) in cases {
        let place = Place::new(&history);
        place.sql(&format!(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT{columns}); \
             INSERT INTO users (name) VALUES ('a'), ('b')"
        ));
        assert_eq!(place.up(), done(&[("1_more.sql", outcome)]), "{columns}");
        assert_eq!(place.number("SELECT count(mail IS NULL) FROM users"), 2);
        assert_eq!(place.up(), Ended::Nothing);
        drop_ledger(&place.database);
        assert_eq!(place.up(), done(&[("1_more.sql", "recorded")]), "{columns}");
    }
}

#[test]
fn conflict_where_something_else_is_there() {
    let place = Place::new(&TWO);
    place.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL)");
    assert_eq!(place.states()[0], "conflict");
    place.stops("conflict");
}

#[test]
fn divergent_missing_and_ahead() {
    let place = Place::new(&TWO);
    place.up();
    place.add(&[("1_a.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT);\r\n\r\n")]);
    assert_eq!(place.up(), Ended::Nothing);
    place.add(&[("1_a.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);")]);
    assert_eq!(place.states(), ["divergent", "applied"]);
    place.stops("divergent");
    place.remove("1_a.sql");
    assert_eq!(place.states(), ["missing", "applied"]);
    place.stops("missing");
    place.add(&TWO);
    place.remove("2_b.sql");
    place.stops("ahead");
}

#[test]
fn out_of_order_only_when_told() {
    let place = Place::new(&TWO);
    place.up();
    place.add(&[("3_c.sql", "CREATE INDEX i ON t (a);"), ("5_e.sql", "CREATE TABLE e (a);")]);
    place.up();
    place.add(&[("4_d.sql", "CREATE TABLE d (a);")]);
    assert_eq!(place.states(), ["applied", "applied", "applied", "out-of-order", "applied"]);
    place.stops("out-of-order");
    let run = Settings { out_of_order: OutOfOrder::Run, ..Settings::default() };
    assert_eq!(place.up_with(&run), done(&[("4_d.sql", "applied")]));
    assert_eq!(place.up(), Ended::Nothing);
    drop_ledger(&place.database);
    assert!(place.states().iter().all(|state| *state == "recorded"));
}

#[test]
fn dirty_script() {
    let place = Place::new(&TWO);
    place.add(&[("3_fill.sh", "#!/bin/sh\necho working\nexit 3\n")]);
    let script = place.folder.path().join("migrations/3_fill.sh");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ended = place.up();
    assert!(
        matches!(&ended, Ended::Failed(text, Lasting::Something) if text.contains("status 3")),
        "{ended:?}"
    );
    assert_eq!(place.states(), ["applied", "applied", "dirty"]);
    place.stops("dirty");
}

#[test]
fn undecided_is_settled_by_one_line() {
    let place = Place::new(&TWO);
    let data = ("3_data.sql", "UPDATE t SET a = a + 1;");
    place.add(&[data]);
    place.up();
    place.sql("INSERT INTO t (a) VALUES (1)");
    drop_ledger(&place.database);
    assert_eq!(place.states(), ["recorded", "recorded", "undecided"]);
    place.stops("undecided");
    let guarded = format!("-- skip-if: SELECT 1 FROM t WHERE a = 1\n{}", data.1);
    place.add(&[("3_data.sql", &guarded)]);
    assert_eq!(place.states(), ["recorded", "recorded", "recorded"]);
    place.up();
    assert_eq!(place.number("SELECT a FROM t"), 1);
}

#[test]
fn skip_if_require_and_verify() {
    let place = Place::new(&TWO);
    place.up();
    place.add(&[("3_c.sql", "-- skip-if: SELECT 1\nINSERT INTO t (a) VALUES (9);")]);
    assert_eq!(place.up(), done(&[("3_c.sql", "recorded")]));
    place.add(&[("4_d.sql", "-- require: SELECT count(*) FROM t\nINSERT INTO t (a) VALUES (9);")]);
    place.stops("require");
    place.add(&[(
        "4_d.sql",
        "-- verify: SELECT count(*) = 2 FROM t\nINSERT INTO t (a) VALUES (9);",
    )]);
    place.stops("verify");
    place.add(&[(
        "4_d.sql",
        "-- verify: SELECT count(*) = 1 FROM t\nINSERT INTO t (a) VALUES (9);",
    )]);
    assert_eq!(place.up(), done(&[("4_d.sql", "applied")]));
}

#[test]
fn without_transaction_resumes_behind_the_last_finished_statement() {
    let place = Place::new(&TWO);
    place.up();
    place.sql("INSERT INTO t (a) VALUES (1), (1)");
    let text = "-- transaction: none\nUPDATE t SET a = a + 1;\nVACUUM;\nCREATE UNIQUE INDEX i ON t (a);\nUPDATE t SET a = a + 1;";
    place.add(&[("3_c.sql", text)]);
    let ended = place.up();
    assert!(matches!(&ended, Ended::Failed(_, Lasting::Something)), "{ended:?}");
    assert_eq!(place.states(), ["applied", "applied", "resumed"]);
    place.sql("UPDATE t SET a = id * 10");
    assert_eq!(place.up(), done(&[("3_c.sql", "resumed")]));
    assert_eq!(place.number("SELECT sum(a) FROM t"), 32);
    assert_eq!(place.up(), Ended::Nothing);
}

#[test]
fn rows_lost_stop_the_run_with_the_statement() {
    let place = Place::new(&TWO);
    place.up();
    place.sql("INSERT INTO t (a) VALUES (1), (2), (3)");
    let rebuild = "CREATE TABLE u (id INTEGER PRIMARY KEY, a INT);
INSERT INTO u SELECT t.id, a FROM t;\nDELETE FROM u WHERE a = 2;
DROP TABLE t;\nALTER TABLE u RENAME TO t;";
    let fewer = rebuild.replace("DELETE FROM u WHERE a = 2", "UPDATE OR REPLACE u SET id = 1");
    for text in [rebuild, &fewer] {
        place.add(&[("3_c.sql", text)]);
        place.stops("3_c.sql");
        place.stops("rows vanished from `t`");
    }
    place.add(&[("3_c.sql", &format!("-- allow: rows-lost old ones go\n{rebuild}"))]);
    assert_eq!(place.up(), done(&[("3_c.sql", "applied")]));
    place.add(&[("4_d.sql", "DELETE FROM t;")]);
    assert_eq!(place.up(), done(&[("4_d.sql", "applied")]));
}

#[test]
fn cascades_do_not_happen_unless_asked_for() {
    let family = "CREATE TABLE p (id INTEGER PRIMARY KEY);
CREATE TABLE c (p INT REFERENCES p(id) ON DELETE CASCADE);";
    let place = Place::new(&[("1_a.sql", family)]);
    place.up();
    place.sql("INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1), (2)");
    place.add(&[("2_b.sql", "SELECT 1;\nDELETE FROM p WHERE id = 2;")]);
    place.stops("refer to rows of `p`");
    place.add(&[("2_b.sql", "-- foreign-keys: on\nDELETE FROM p WHERE id = 2;")]);
    place.stops("rows vanished from `c`");
    place.add(&[(
        "2_b.sql",
        "-- foreign-keys: on\n-- allow: rows-lost children go\nDELETE FROM p WHERE id = 2;",
    )]);
    assert_eq!(place.up(), done(&[("2_b.sql", "applied")]));
    assert_eq!(place.number("SELECT count(*) FROM c"), 1);
}

#[test]
fn objects_lost_stop_the_run() {
    let place = Place::new(&TWO);
    place.add(&[("3_c.sql", "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;")]);
    place.up();
    let rebuild = "CREATE TABLE u (id INTEGER PRIMARY KEY, a INT, b INT, c INT);
INSERT INTO u SELECT * FROM t;\nDROP TABLE t;\nALTER TABLE u RENAME TO t;";
    place.add(&[("4_d.sql", rebuild)]);
    place.stops("object-lost");
    place.stops("trigger `g` vanishes");
    place.stops("4_d.sql:3:1");
    place.add(&[(
        "4_d.sql",
        &format!("{rebuild}\nCREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;"),
    )]);
    assert_eq!(place.up(), done(&[("4_d.sql", "applied")]));
}

#[test]
fn a_failing_statement_leaves_everything_as_before() {
    let place = Place::new(&TWO);
    place.up();
    place.sql("INSERT INTO t (a) VALUES (1), (1)");
    place.add(&[
        ("3_c.sql", "CREATE TABLE new (a);\nUPDATE t SET b = 5;"),
        ("4_d.sql", "CREATE UNIQUE INDEX i ON t (a);"),
    ]);
    place.stops("4_d.sql:1:1");
    assert_eq!(place.states(), ["applied", "applied", "pending", "pending"]);
}

#[test]
fn what_only_the_application_has_is_refused_before_anything_runs() {
    let place = Place::new(&TWO);
    place.add(&[
        ("3_c.sql", "UPDATE t SET a = uuid4();"),
        ("4_d.sql", "CREATE INDEX i ON t (a COLLATE app);"),
    ]);
    place.stops("unknown-function");
    assert_eq!(place.states(), ["pending"; 4]);
    let place = Place::new(&TWO);
    place.add(&[("3_c.sql", "UPDATE t SET z = 1;")]);
    place.stops("no such column");
}

#[test]
fn renamed_and_dropped_tables_never_come_back() {
    let place = Place::new(&[
        ("1_a.sql", "CREATE TABLE a (x INT);\nCREATE TABLE gone (x INT);"),
        ("2_b.sql", "ALTER TABLE a RENAME TO b;\nDROP TABLE gone;"),
    ]);
    place.up();
    place.sql("INSERT INTO b VALUES (1)");
    drop_ledger(&place.database);
    assert_eq!(place.up(), done(&[("1_a.sql", "recorded"), ("2_b.sql", "recorded")]));
    assert_eq!(place.number("SELECT count(*) FROM sqlite_schema WHERE name IN ('a', 'gone')"), 0);
}

#[test]
fn a_restored_older_database_goes_on_from_where_it_stands() {
    let place = Place::new(&TWO);
    place.up();
    let old = bytes(&place.database);
    place.add(&[("3_c.sql", "CREATE TABLE later (a);"), ("4_d.sql", "DROP TABLE later;")]);
    place.up();
    std::fs::write(&place.database, old).unwrap();
    let expected = done(&[("3_c.sql", "applied"), ("4_d.sql", "applied")]);
    assert_eq!(place.up(), expected);
    let plan = plan(&place.database, &place.migrations(), &Settings::default()).unwrap();
    assert!(plan.assessments.iter().all(|found| found.state == State::Applied));
}
