//! A search index that is out of step with its table is not damage: a `rebuild` fixes it.

use crate::sandbox::Sandbox;
use std::{fs::OpenOptions, os::unix::fs::FileExt as _};

const DOCUMENTS: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, b);\n\
     CREATE VIRTUAL TABLE f USING fts4 (content='t', b);";

#[test]
fn it_stops_neither_a_backup_nor_the_migration_that_rebuilds_it() {
    let sandbox = Sandbox::new().migration("1_t.sql", DOCUMENTS);
    sandbox.run("up").success();
    sandbox.execute("app.db", "INSERT INTO t (b) VALUES ('x')");
    let ran = sandbox.run("backup").success().says("the search index `f` of `app.db`");
    ran.says("VALUES ('rebuild')");
    sandbox.run("verify").success();
    sandbox.write("migrations/2_more.sql", "CREATE TABLE more (x);");
    sandbox.run("rehearse").success();
    sandbox.run("up").success();
    sandbox.write("migrations/3_r.sql", "INSERT INTO f (f) VALUES ('rebuild');");
    sandbox.run("up").success();
    sandbox.run("backup").success().never_says("out of step");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM f WHERE f MATCH 'x'"), "1");
}

#[test]
fn damage_beside_it_is_still_damage() {
    let sandbox = Sandbox::new().migration("1_t.sql", DOCUMENTS);
    sandbox.run("up").success();
    sandbox.execute(
        "app.db",
        "INSERT INTO t (b) VALUES ('x'); CREATE TABLE d (a, b); CREATE INDEX i ON d (a);
         INSERT INTO d VALUES (1, 2); PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON d (b)' WHERE name = 'i';",
    );
    let ran = sandbox.run("backup").code(10);
    ran.says("app.db").says("index i").never_says("rebuild");
}

#[test]
fn a_broken_page_of_its_own_tables_is_damage() {
    for module in ["fts4", "fts5"] {
        for table in ["f_content", "f_docsize"] {
            let made = format!("CREATE VIRTUAL TABLE f USING {module} (b);");
            let sandbox = Sandbox::new().migration("1_f.sql", &made);
            sandbox.run("up").success();
            sandbox.execute("app.db", "INSERT INTO f VALUES ('x y z'); INSERT INTO f VALUES ('u')");
            let number = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'");
            let page: u64 = sandbox.query("app.db", &number).parse().unwrap();
            let size: u64 = sandbox.query("app.db", "PRAGMA page_size").parse().unwrap();
            let file = OpenOptions::new().write(true).open(sandbox.path("data/app.db")).unwrap();
            // The place of the second cell, which SQLite's checks hold against the page.
            file.write_all_at(&[0xff, 0xff], (page - 1) * size + 8).unwrap();
            drop(file);
            let integrity =
                sandbox
                    .database("app.db")
                    .query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
            assert_ne!(integrity, Ok("ok".into()), "{module} {table}");
            sandbox.run("backup").code(10).says("app.db");
        }
    }
}

#[test]
fn an_index_that_no_rebuild_fixes_is_damage() {
    let sandbox = Sandbox::new().migration("1_t.sql", DOCUMENTS);
    sandbox.run("up").success();
    sandbox.execute("app.db", "INSERT INTO t (b) VALUES ('x'); DROP TABLE t");
    sandbox.run("backup").code(10).says("app.db");
}

#[test]
fn it_stops_no_migration_that_edits_the_schema_by_hand() {
    let sandbox = Sandbox::new().migration("1_t.sql", DOCUMENTS);
    sandbox.run("up").success();
    sandbox.execute("app.db", "INSERT INTO t (b) VALUES ('x')");
    let edit = "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, ', b)', ', b TEXT)') WHERE name = 't';
         PRAGMA writable_schema = OFF;";
    sandbox.write("migrations/2_edit.sql", edit);
    sandbox.run("up").success();
    assert_eq!(
        sandbox.query("app.db", "SELECT sql FROM sqlite_schema WHERE name = 't'"),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)"
    );
}
