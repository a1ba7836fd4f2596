//! The account of rows, objects and references: what SQLite did, not what words a text has.

use crate::sandbox::Sandbox;

const TABLE: &str = "CREATE TABLE u (id INTEGER PRIMARY KEY, n TEXT);";
const ROWS: &str = "INSERT INTO u VALUES (1, 'a'), (2, 'a'), (3, 'b')";

/// A database with three rows, and a rebuild whose table and copy are given.
fn rebuild(columns: &str, copy: &str) -> Sandbox {
    let sandbox = Sandbox::new().migration("1_u.sql", TABLE);
    sandbox.run("up").success();
    sandbox.execute("app.db", ROWS);
    let text = format!(
        "CREATE TABLE u2 ({columns});\n{copy};\nDROP TABLE u;\nALTER TABLE u2 RENAME TO u;\n"
    );
    sandbox.write("migrations/2_r.sql", text);
    sandbox
}

#[test]
fn rows_that_a_constraint_drops_are_lost_whatever_words_the_copy_has() {
    for action in ["IGNORE", "REPLACE"] {
        let columns = format!("id INTEGER PRIMARY KEY, n TEXT UNIQUE ON CONFLICT {action}");
        for copy in [
            "INSERT INTO u2 SELECT id, replace(n, 'x', 'y') FROM u",
            "INSERT INTO u2 SELECT id, n FROM u WHERE id > 0",
            "INSERT INTO u2 SELECT id, (SELECT DISTINCT n FROM u AS o WHERE o.id = u.id) FROM u",
        ] {
            let sandbox = rebuild(&columns, copy);
            // Counting foresees it in simple copies; what is allowed there is still counted here.
            let text = sandbox.read("migrations/2_r.sql");
            let allowed = format!("-- allow: rows-break it is counted while it runs\n{text}");
            sandbox.write("migrations/2_r.sql", allowed);
            let ran = sandbox.run("up").code(5).says("vanished from `u`");
            ran.says("2_r.sql:3:1").says("-- allow: rows-lost REASON");
            assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM u"), "3", "{action} {copy}");
        }
    }
}

#[test]
fn rows_that_the_copy_itself_leaves_out_are_meant() {
    let unique = "id INTEGER PRIMARY KEY, n TEXT UNIQUE";
    for (columns, copy) in [
        (unique, "INSERT OR IGNORE INTO u2 SELECT id, n FROM u"),
        (unique, "INSERT OR REPLACE INTO u2 SELECT id, n FROM u"),
        (unique, "INSERT INTO u2 SELECT id, n FROM u WHERE true ON CONFLICT DO NOTHING"),
        (unique, "INSERT INTO u2 SELECT min(id), n FROM u GROUP BY n"),
        (unique, "INSERT INTO u2 SELECT id, n FROM (SELECT * FROM u WHERE id > 1)"),
        (unique, "WITH k AS (SELECT * FROM u WHERE id > 1) INSERT INTO u2 SELECT id, n FROM k"),
        (unique, "INSERT INTO u2 SELECT id, n FROM u EXCEPT SELECT 1, 'a'"),
    ] {
        let sandbox = rebuild(columns, copy);
        sandbox.run("up").success();
        assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM u"), "2", "{copy}");
    }
}

#[test]
fn a_copy_that_shrinks_afterwards_is_a_loss_of_the_original() {
    let copy = "INSERT INTO u2 SELECT id, n FROM u;\nDELETE FROM u2 WHERE id = 1";
    let sandbox = rebuild("id INTEGER PRIMARY KEY, n TEXT", copy);
    sandbox.run("up").code(5).says("1 of 3 rows vanished from `u`").says("2_r.sql:3:1");
}

#[test]
fn what_a_trigger_deletes_is_no_secret() {
    let log =
        "CREATE TABLE log (v); CREATE TRIGGER g AFTER UPDATE ON u BEGIN DELETE FROM log; END;";
    let sandbox = Sandbox::new().migration("1_u.sql", &format!("{TABLE}\n{log}"));
    sandbox.run("up").success();
    sandbox.execute("app.db", &format!("{ROWS}; INSERT INTO log VALUES (1), (2)"));
    sandbox.write("migrations/2_r.sql", "UPDATE u SET n = 'c';");
    sandbox.run("up").success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM log"), "0");
}

#[test]
fn a_rebuilt_table_may_be_emptied() {
    let sandbox = rebuild("id INTEGER PRIMARY KEY, n TEXT", "INSERT INTO u2 SELECT id, n FROM u");
    sandbox.write("migrations/3_d.sql", "DELETE FROM u;\nINSERT INTO u VALUES (9, 'x');\n");
    sandbox.run("up").success();
    assert_eq!(sandbox.query("app.db", "SELECT group_concat(n) FROM u"), "x");
}

const FAMILY: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY, v);\n\
     CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE);";
const ORPHANS: &str = "CREATE TABLE p2 (id INTEGER PRIMARY KEY, v TEXT);\n\
     INSERT INTO p2 SELECT id, v FROM p WHERE v > 1;\nDROP TABLE p;\nALTER TABLE p2 RENAME TO p;\n";

fn family() -> Sandbox {
    let sandbox = Sandbox::new().migration("1_a.sql", FAMILY);
    sandbox.run("up").success();
    sandbox.execute(
        "app.db",
        "INSERT INTO p VALUES (1, 1), (2, 2); INSERT INTO c VALUES (10, 1), (20, 2)",
    );
    sandbox
}

#[test]
fn a_dangling_reference_names_its_statement_and_its_rows() {
    let sandbox = family();
    sandbox.write("migrations/2_b.sql", ORPHANS);
    sandbox.write("migrations/3_c.sql", "CREATE TABLE later (x);");
    let ran = sandbox.run("up").code(5).says("1 rows of `c` refer to rows of `p`");
    let ran =
        ran.says("migrations/2_b.sql:3:1").says("(rowid 10)").says("dangling-reference REASON");
    // Enforcing the references would delete the rows that refer to the old table.
    ran.never_says("foreign-keys: on").never_says("failed   app.db: 3_c.sql");
    sandbox
        .write("migrations/2_b.sql", format!("-- allow: dangling-reference as hinted\n{ORPHANS}"));
    sandbox.run("up").success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM c"), "2");
}

#[test]
fn what_one_file_may_do_another_may_not() {
    let sandbox = family();
    sandbox
        .write("migrations/2_b.sql", format!("-- allow: dangling-reference as hinted\n{ORPHANS}"));
    sandbox.write("migrations/3_c.sql", "SELECT 1;\nINSERT INTO c VALUES (30, 7), (31, 7);");
    sandbox.run("up").code(5).says("3_c.sql:2:1").says("(rowid 30, 31)");
    sandbox.write("migrations/3_c.sql", "INSERT INTO c VALUES (30, 2);");
    sandbox.run("up").success();
}

#[test]
fn a_file_that_must_not_be_edited_has_its_exception_in_the_configuration() {
    let sandbox = family().config("[allow.0002]\ndangling-reference = \"they are archived\"\n");
    sandbox.run("up").code(2).says("`allow.0002`").says("no migration has this version");
    sandbox.write("migrations/2_b.sql", ORPHANS);
    sandbox.run("up").success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM c"), "2");
    sandbox.write("piton.toml", "[allow.2]\nrows-lost = \" \"\n");
    sandbox.run("status").code(2).says("piton.toml:2:13").says("needs the reason");
    sandbox.write("piton.toml", "[allow.\"app/2\"]\nrows-lost = \"meant\"\n");
    sandbox.run("status").success();
    sandbox.write("piton.toml", "[findings]\ndangling-reference = \"ignore\"\n");
    sandbox.write("migrations/3_c.sql", "INSERT INTO c VALUES (30, 7);");
    sandbox.run("up").success();
}
