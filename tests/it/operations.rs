//! Data operations: what they may not do, what they did, and that they run twice only when asked.

use crate::sandbox::Sandbox;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().migration("001_t.sql", "CREATE TABLE t (a);");
    sandbox.run("up").success();
    sandbox.execute("app.db", "INSERT INTO t VALUES (1), (2), (3)");
    sandbox
}

#[test]
fn what_would_reach_beyond_the_run_is_refused_before_anything_runs() {
    for (text, part) in [
        ("UPDATE t SET a = 0;\nROLLBACK;\nDELETE FROM t;\n", "x.sql:2:1: ROLLBACK"),
        ("UPDATE t SET a = 0;\nCOMMIT;\nDELETE FROM t;\n", "x.sql:2:1: COMMIT in the middle"),
        ("ATTACH 'outside.db' AS o;\nDELETE FROM o.z;\n", "x.sql:1:1: a script works on one"),
        ("ATTACH ('out' || 'side.db') AS o;\nDELETE FROM z;\n", "x.sql:1:1: a script works on one"),
        ("DELETE FROM _piton_ledger;\n", "piton's own table"),
        (
            "CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM _piton_ledger; END;\n\
             INSERT INTO t VALUES (1);\n",
            "piton's own table",
        ),
        ("-- skip-if: SELECT count(*) FROM t WHERE b = 1\nDELETE FROM t;\n", "no such column: b"),
        ("-- skip-if: DELETE FROM t RETURNING 1\nDELETE FROM t;\n", "changes nothing"),
        ("-- later\n", "no statement yet"),
        ("PRAGMA writable_schema = ON;\nUPDATE t SET a = 0;\n", "writable_schema"),
        ("UPDATE t SET a = 0;\nRELEASE s;\n", "savepoint"),
        ("UPDATE t SET a = 0;\nINSERT INTO nosuch VALUES (1);\n", "x.sql:2:"),
        ("-- transaction: none\nUPDATE t SET a = 0;\nROLLBACK;\n", "ROLLBACK"),
    ] {
        let sandbox = sandbox().script("x.sql", text);
        let outside = rusqlite::Connection::open(sandbox.path("outside.db")).unwrap();
        outside.execute_batch("CREATE TABLE z (a); INSERT INTO z VALUES (1)").unwrap();
        let before = (sandbox.data(), sandbox.backups());
        let ran = sandbox.run("run x");
        assert!(ran.stderr.contains("error: "), "{}", ran.whole());
        ran.says(part).says("hint: ");
        assert_eq!((sandbox.data(), sandbox.backups()), before, "{text}");
        let rows: i64 = outside.query_row("SELECT count(*) FROM z", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }
}

#[test]
fn a_transaction_around_it_is_skipped() {
    let sandbox = sandbox()
        .script("x.sql", "PRAGMA foreign_keys = OFF;\nBEGIN;\nUPDATE t SET a = 5;\nCOMMIT;\n");
    sandbox.run("run x").success().says("rows    t: 3 updated");
    assert_eq!(sandbox.query("app.db", "SELECT DISTINCT a FROM t"), "5");
}

#[test]
fn a_failure_inside_leaves_everything_as_it_was() {
    let sandbox = sandbox()
        .script("x.sql", "DELETE FROM t WHERE a = 1;\nSELECT abs(-9223372036854775808);\n");
    let before = sandbox.dump("app.db");
    sandbox.run("run x").code(5).says("x.sql:2:1").says("everything is as before");
    assert_eq!(sandbox.dump("app.db"), before);
}

#[test]
fn says_what_changed_and_what_was_asked() {
    let sandbox = sandbox().script(
        "x.sql",
        "INSERT INTO t VALUES (4);\nDELETE FROM t WHERE a < 3;\nSELECT a, a * 2 AS double FROM t ORDER BY a;\n",
    );
    sandbox.run("run x").success().stdout(
        "backup  [ID], verified\na | double\n3 | 6\n4 | 8\nrows    t: 1 inserted, 2 deleted\ndone: x.sql. To go back: piton rollback\n",
    );
    let document = sandbox.run("run x --again --json").success().json();
    assert_eq!(document["changes"][0]["inserted"], 1);
    assert_eq!(document["answers"][0]["columns"][1], "double");
    sandbox.write("scripts/none.sql", "UPDATE t SET a = 1 WHERE a = 77;\n");
    sandbox.run("run none").success().says("rows    none changed");
}

#[test]
fn runs_twice_only_when_asked() {
    let sandbox = sandbox()
        .script("fee.sql", "UPDATE t SET a = a - 1;\n")
        .script("fee.sh", "#!/bin/sh\nexit 0\n")
        .script("look.sql", "SELECT count(*) FROM t;\n");
    sandbox.run("run fee.sql").success();
    let before = sandbox.data();
    sandbox.run("run fee.sql").code(4).one_error().says("piton run fee.sql --again");
    assert_eq!(sandbox.data(), before);
    sandbox.run("run fee.sql --again").success();
    assert_eq!(sandbox.query("app.db", "SELECT sum(a) FROM t"), "0");
    sandbox.write("scripts/fee.sql", "UPDATE t SET a = a - 2;\n");
    sandbox.run("run fee.sql").code(4).says("its text is another one now");
    // A question may be asked as often as one likes.
    sandbox.run("run look").success();
    sandbox.run("run look").success();
}

#[test]
fn paths_subfolders_and_arguments() {
    let sandbox = sandbox()
        .script("sql/x.sql", "UPDATE t SET a = 9;\n")
        .script("tell.sh", "#!/bin/sh\necho \"got $1 and $2\"\n");
    sandbox.run("run").success().says("sql/x.sql").says("tell.sh");
    sandbox.run("run scripts/sql/x.sql").success();
    sandbox.run("run sql/x --again").success();
    sandbox.run("run tell -- one two").success().says("got one and two");
    sandbox.run("run sql/x -- one").code(2).one_error().says("takes no arguments");
    sandbox.run("run scripts/../migrations/001_t.sql").code(2).one_error();
}

#[test]
fn what_opens_the_backups_is_not_handed_on() {
    let sandbox = sandbox()
        .script("tell.sh", "#!/bin/sh\necho \"identity ${PITON_IDENTITY-none}, own $OWN\"\n")
        .variable("PITON_IDENTITY", "key")
        .variable("OWN", "kept");
    sandbox.run("run tell").success().says("identity none, own kept");
}
