//! `adopt`: a person's word, where nothing else can tell.

use crate::sandbox::{Sandbox, USERS};

#[test]
fn settles_what_only_data_could_tell() {
    let sandbox = Sandbox::new()
        .migration(
            "001_users.sql",
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);",
        )
        .migration("002_rows.sql", "INSERT INTO users (name) VALUES ('ann');");
    let made = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL); \
                INSERT INTO users (name) VALUES ('bob')";
    sandbox.execute("app.db", made);
    let before = sandbox.dump("app.db");
    sandbox.run("up").code(4).says("adopt --at").says("nothing was touched");
    sandbox.run("adopt --at 2").success().stdout(
        "recorded app.db: 001_users.sql\nrecorded app.db: 002_rows.sql\nnext: piton status\n",
    );
    sandbox.run("up").success().says("nothing to do");
    assert_eq!(sandbox.dump("app.db"), before);
    assert_eq!(sandbox.run("adopt --at 2 --json").success().json()["outcome"], "nothing-to-do");
}

#[test]
fn accepts_an_edited_file() {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/001_users.sql", format!("-- a better comment\n{USERS}"));
    sandbox.run("up").code(4).says("adopt --accept");
    sandbox.run("adopt --accept 1").success().says("recorded app.db: 001_users.sql");
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn looks_at_the_schema() {
    let sandbox = Sandbox::new()
        .migration("1_a.sql", "CREATE TABLE a (n);")
        .migration("2_b.sql", "CREATE TABLE b (n);");
    sandbox.execute("app.db", "CREATE TABLE a (n)");
    let before = sandbox.dump("app.db");
    sandbox.run("adopt --at 2").code(4).one_error().says("table `b`").says("--missing");
    assert_eq!(sandbox.dump("app.db"), before);
    sandbox.run("adopt --at 2 --missing").success();
    sandbox.run("status").success().says("drift").says("table `b`");
    let sandbox = sandbox.migration("3_c.sql", "CREATE TABLE c (n);");
    sandbox.run("up").success().says("3_c.sql");
    sandbox.run("status").says("drift").says("table `b`");
    sandbox.run("up --heal").success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM b"), "0");
    sandbox.run("status --exit-code").success().never_says("drift");
}

#[test]
fn says_which_statement_ran_last() {
    let text = "UPDATE t SET n = n + 1;\nUPDATE t SET n = n * 10;\nCREATE INDEX i ON t (n);\nUPDATE t SET n = n + 3;";
    for (last, wanted) in [("2", "5"), ("1", "23"), ("0", "33")] {
        let sandbox =
            Sandbox::new().migration("1_t.sql", "CREATE TABLE t (n);").migration("2_n.sql", text);
        sandbox.execute("app.db", "CREATE TABLE t (n); INSERT INTO t VALUES (2)");
        sandbox.run("up").code(4).says("  2  UPDATE t SET n = n * 10").says("--at 2:STATEMENT");
        sandbox.run("adopt --at 2:9").code(2).one_error().says("4 statements");
        sandbox.run("adopt --at 2:x").code(2).one_error().says("`x`");
        sandbox.run(&format!("adopt --at 2:{last}")).success();
        sandbox.run("up").success().says("2_n.sql");
        assert_eq!(sandbox.query("app.db", "SELECT n FROM t"), wanted);
        sandbox.run("up").success().says("nothing to do");
    }
}

#[test]
fn looks_at_an_accepted_text() {
    let sandbox = Sandbox::new().migration("1_t.sql", "CREATE TABLE t (a);");
    sandbox.run("up").success();
    sandbox.write("migrations/1_t.sql", "CREATE TABLE t (a);\nALTER TABLE t ADD COLUMN b;");
    sandbox.run("adopt --accept 1").code(4).one_error().says("column `b`");
    sandbox.run("adopt --accept 1 --missing").success();
    sandbox.run("status").says("drift").says("column `b`");
    sandbox.run("up --heal").success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM pragma_table_info('t')"), "2");
}

#[test]
fn of_wrong_words() {
    let sandbox = Sandbox::with_users();
    let before = sandbox.data();
    sandbox.run("adopt").code(2);
    sandbox.run("adopt --at 9").code(2).one_error().says("`9`");
    sandbox.run("adopt --at x").code(2).one_error().says("`x`");
    sandbox.run("adopt --accept 9").code(2).one_error().says("`9`");
    sandbox.run("adopt --at 1 --accept 1").code(2);
    sandbox.run("adopt --at 1 --target nope").code(2).one_error();
    assert_eq!(sandbox.data(), before);
    let empty = Sandbox::new().migration("001_users.sql", USERS);
    empty.run("adopt --at 1").code(2).one_error().says("does not exist");
    assert!(!empty.exists("data/app.db"));
}

#[test]
fn says_that_nothing_of_the_history_ran() {
    let sandbox = Sandbox::new()
        .migration("001_double.sql", "UPDATE users SET n = n * 2;")
        .migration("002_x.sql", "ALTER TABLE users ADD COLUMN x;");
    sandbox.execute(
        "app.db",
        "CREATE TABLE users (id INTEGER PRIMARY KEY, n); INSERT INTO users VALUES (1, 1)",
    );
    sandbox.run("up").code(4).says("refused [undecided]");
    sandbox.run("adopt --at 0").success().says("baseline");
    sandbox.run("up").success().says("001_double.sql").says("002_x.sql");
    sandbox.run("up").success().says("nothing to do");
    sandbox.run("adopt --at 0").success();
}

/// What is different, or missing from a table, no `--heal` can make: every command says so.
#[test]
fn what_heal_cannot_make_is_never_nothing_to_do() {
    for (live, file) in [
        (
            "CREATE TABLE t (a, b); CREATE INDEX i ON t (a)",
            "CREATE TABLE t (a, b); CREATE INDEX i ON t (b);",
        ),
        ("CREATE TABLE t (a TEXT)", "CREATE TABLE t (a INTEGER);"),
        ("CREATE TABLE t (a)", "CREATE TABLE t (a, b);"),
        ("CREATE TABLE t (a)", "CREATE TABLE t (a CHECK (a > 0));"),
    ] {
        let sandbox = Sandbox::new().migration("001_t.sql", file);
        sandbox.execute("app.db", live);
        sandbox.run("adopt --at 1").code(4);
        sandbox.run("adopt --at 1 --missing").success();
        sandbox.run("up").success().says("drift").never_says("every migration is applied");
        sandbox.run("status").success().says("drift").never_says("nothing to do");
        let ran = sandbox.run("up --heal").code(4).says("was adopted").never_says("up --heal");
        ran.says("write a migration");
        let after = sandbox.migration("002_more.sql", "CREATE TABLE more (x);");
        after.run("up").success().says("002_more.sql");
    }
}

/// What a file changes and does not make is looked at as well.
#[test]
fn a_file_that_does_not_work_on_the_schema_is_not_done() {
    let sandbox = Sandbox::new().migration("001_m.sql", "ALTER TABLE users ADD COLUMN name;");
    sandbox.execute("app.db", "CREATE TABLE other (x)");
    let before = sandbox.data();
    sandbox.run("adopt --at 1").code(4).says("statement 1: no such table: users");
    assert_eq!(sandbox.data(), before);
}

#[test]
fn what_was_said_can_be_taken_back() {
    let sandbox = Sandbox::new()
        .migration("001_a.sql", "CREATE TABLE a (x);")
        .migration("002_b.sql", "CREATE TABLE b (x);")
        .migration("003_c.sql", "CREATE TABLE c (x);");
    sandbox.run("up --to 1").success();
    sandbox.run("adopt --at 3 --missing").success();
    sandbox.run("adopt --at 2").success().says("nothing to do").says("--forget");
    sandbox.run("adopt --forget 1").success().says("forgotten app.db: 002_b").says("003_c");
    sandbox.run("adopt --forget 1").success().says("nothing to do");
    let document = sandbox.run("adopt --forget 2 --json").success().json();
    assert_eq!(document["forgotten"][0]["migrations"].as_array().unwrap().len(), 0);
    sandbox.run("up").success().says("002_b.sql").says("003_c.sql");
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('a', 'b', 'c')";
    assert_eq!(sandbox.query("app.db", tables), "3");
    sandbox.run("adopt --forget 1").success().says("nothing to do");
}
