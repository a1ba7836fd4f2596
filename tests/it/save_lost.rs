//! `restore --save-lost`: what a restore takes away comes back by its SQL.

use crate::sandbox::{Sandbox, rows};
use std::{fs, os::unix::fs::PermissionsExt, process::Stdio};

/// Tables of every kind, with a few rows each.
const BEFORE: &str = "
    CREATE TABLE plain (a, b);
    INSERT INTO plain VALUES (1, 'one'), (2, NULL), (2, NULL);
    CREATE TABLE \"odd \"\" name\" (\"or'der\" TEXT, \"group\" INTEGER PRIMARY KEY);
    INSERT INTO \"odd \"\" name\" VALUES ('x', 1);
    CREATE TABLE parents (code TEXT PRIMARY KEY COLLATE NOCASE, data BLOB) WITHOUT ROWID;
    INSERT INTO parents VALUES ('a', x'00ff'), ('b', NULL);
    CREATE TABLE a_children (id INTEGER PRIMARY KEY, parent TEXT NOT NULL REFERENCES parents, \
        size REAL, twice AS (size * 2), label TEXT UNIQUE);
    INSERT INTO a_children (id, parent, size, label) VALUES (1, 'a', 0.1, 'first'), (2, 'b', 1e300, NULL);
    CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x ANY) STRICT;
    INSERT INTO counted (x) VALUES ('1'), (1), (1.5);
    CREATE VIRTUAL TABLE words USING fts5(x);
    CREATE TABLE text (id INTEGER PRIMARY KEY, x);
    CREATE TRIGGER indexed AFTER INSERT ON text BEGIN INSERT INTO words (rowid, x) VALUES (new.id, new.x); END;
";

/// Rows that come, change and go.
const AFTER: &str = "
    PRAGMA foreign_keys = ON;
    INSERT INTO plain VALUES (x'0d0a00', 'it''s; -- \n.quit\n'), (NULL, 9e999), (3, -0.1);
    UPDATE plain SET b = 'changed' WHERE rowid = 2;
    DELETE FROM plain WHERE rowid = 3;
    INSERT INTO \"odd \"\" name\" VALUES ('it''s', 7);
    UPDATE \"odd \"\" name\" SET \"or'der\" = NULL;
    INSERT INTO parents VALUES ('c', zeroblob(3));
    UPDATE parents SET data = 'now text' WHERE code = 'a';
    UPDATE parents SET code = 'B' WHERE code = 'b';
    INSERT INTO a_children (parent, size, label) VALUES ('c', 2, 'of a new parent'), ('a', NULL, NULL);
    UPDATE a_children SET size = 3, label = 'and' || char(0) || 'more' WHERE id = 2;
    INSERT INTO counted (x) VALUES (x'01'), (NULL);
    UPDATE counted SET x = 1.0 WHERE id = 2;
    INSERT INTO text VALUES (1, 'to be found');
";

fn changed(encoding: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.execute("app.db", &format!("PRAGMA encoding = '{encoding}'; {BEFORE}"));
    sandbox.run("backup").success();
    sandbox.execute("app.db", AFTER);
    sandbox
}

/// The rows of every table but those that were only deleted.
fn all(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let live = sandbox.database("app.db");
    let tables =
        ["plain WHERE rowid <> 3", "\"odd \"\" name\"", "parents", "a_children", "counted", "text"];
    let mut found: Vec<Vec<String>> =
        tables.iter().map(|table| rows(&live, &format!("SELECT * FROM {table}"))).collect();
    found.push(rows(&live, "SELECT rowid FROM words WHERE words MATCH 'found'"));
    let typed = "SELECT id, typeof(x), quote(x) FROM counted";
    found.push(rows(&live, typed));
    found.push(rows(&live, "SELECT rowid, quote(a), quote(b) FROM plain WHERE rowid <> 3"));
    found
}

/// Runs a file with the `sqlite3` shell; `None` where there is none.
fn by_shell(sandbox: &Sandbox, flags: &[&str], file: &str) -> Option<crate::sandbox::Ran> {
    let mut command = sandbox.program("sqlite3");
    if command.arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: there is no sqlite3 shell");
        return None;
    }
    let mut command = sandbox.program("sqlite3");
    command.args(flags).arg("data/app.db").stdin(fs::File::open(sandbox.path(file)).unwrap());
    Some(sandbox.finish(command))
}

#[test]
fn what_a_restore_takes_away_comes_back() {
    for encoding in ["UTF-8", "UTF-16le"] {
        let sandbox = changed(encoding);
        let wanted = all(&sandbox);
        let ran = sandbox.run("restore --yes --save-lost lost.sql").success();
        ran.says("16 rows of app.db saved in lost.sql");
        let mode = fs::metadata(sandbox.path("lost.sql")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!sandbox.exists(".lost.sql.partial") && !sandbox.exists("data/.piton/lost"));
        assert_ne!(all(&sandbox), wanted);
        let sql = sandbox.read("lost.sql");
        sandbox.execute("app.db", &sql);
        assert_eq!(all(&sandbox), wanted, "{encoding}: {sql}");

        sandbox.run("restore --undo --yes").success();
        sandbox.run("restore --yes --save-lost again.sql").success();
        let Some(ran) = by_shell(&sandbox, &["-bail"], "again.sql") else { continue };
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "{sql}");
        assert_eq!(all(&sandbox), wanted, "{encoding}: {sql}");
    }
}

#[test]
fn what_is_there_is_never_overwritten() {
    let sandbox = changed("UTF-8");
    sandbox.run("restore --yes --save-lost lost.sql").success();
    sandbox.execute(
        "app.db",
        "INSERT INTO counted VALUES (4, 'taken'); UPDATE counted SET x = 'later' WHERE id = 2",
    );
    let before = all(&sandbox);
    let error = sandbox.database("app.db").execute_batch(&sandbox.read("lost.sql")).unwrap_err();
    assert!(error.to_string().contains("UNIQUE constraint failed: counted.id"), "{error}");
    assert_eq!(all(&sandbox), before);
    let Some(ran) = by_shell(&sandbox, &["-bail"], "lost.sql") else { return };
    ran.code(1).says("UNIQUE constraint failed: counted.id");
    assert_eq!(all(&sandbox), before);
    let ran = by_shell(&sandbox, &[], "lost.sql").unwrap();
    ran.says("UNIQUE constraint failed").says("counted has changed since and stays as it is: |2");
    let found = sandbox.query("app.db", "SELECT id, x FROM counted WHERE id IN (2, 4, 5)");
    assert_eq!(found, "2|later\n4|taken\n5|NULL");
}

#[test]
fn a_folder_for_several_databases_and_a_file_for_none() {
    let sandbox = Sandbox::with_users();
    sandbox.execute("sub/other.db", "CREATE TABLE t (a)");
    sandbox.run("backup").success();
    sandbox.write("data/file", "new");
    sandbox.run("restore --yes --save-lost none.sql").success().says("no row was lost");
    assert!(sandbox.read("none.sql").starts_with("-- "));
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('cy')");
    sandbox.execute("sub/other.db", "INSERT INTO t VALUES (1)");
    sandbox.execute("new.db", "CREATE TABLE n (a); INSERT INTO n VALUES (1)");
    let ran = sandbox.run("restore --yes --json --save-lost lost").success();
    let saved = &ran.json()["restored"]["saved"];
    assert_eq!(saved["path"], "lost");
    let found: Vec<_> = saved["databases"].as_array().unwrap().iter().collect();
    let files: Vec<_> = found.iter().map(|it| it["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["lost/app.db.sql", "lost/new.db.sql", "lost/sub/other.db.sql"]);
    assert!(found.iter().all(|it| it["rows"] == 1 && it["changed"] == 0));
    sandbox.execute("app.db", &sandbox.read("lost/app.db.sql"));
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users"), "3");
    // The table of the new database is said, and must be made by whoever wants it back.
    assert!(sandbox.read("lost/new.db.sql").contains("--   CREATE TABLE n (a)"));
}

#[test]
fn a_column_that_the_backup_lacks_is_said() {
    let sandbox = Sandbox::with_users();
    sandbox.run("backup").success();
    sandbox.execute(
        "app.db",
        "ALTER TABLE users ADD COLUMN mail TEXT; \
         INSERT INTO users (name, mail) VALUES ('cy', 'c@example.org')",
    );
    sandbox.run("restore --yes --save-lost lost.sql").success();
    let sql = sandbox.read("lost.sql");
    assert!(sql.contains("--   its `mail`, which the backup does not have: 'c@example.org'"));
    sandbox.execute("app.db", &sql);
    assert_eq!(sandbox.query("app.db", "SELECT name FROM users WHERE id = 3"), "cy");
}

#[test]
fn where_it_cannot_be_saved_nothing_is_restored() {
    let sandbox = changed("UTF-8");
    let before = sandbox.data();
    sandbox.write("there.sql", "mine");
    for (file, reason) in
        [("there.sql", "it exists already"), ("missing/lost.sql", "its folder does not exist")]
    {
        let ran = sandbox.run(&format!("restore --yes --save-lost {file}")).code(2).one_error();
        ran.says(reason);
    }
    assert_eq!(sandbox.read("there.sql"), "mine");
    for point in ["lost-file:1:28", "lost-sync:1:5", "lost-name:1:5", "hold:1:5"] {
        let mut command = sandbox.command("restore --yes --save-lost lost.sql");
        command.env("PITON_FAULT", point);
        sandbox.finish(command).code(5);
        assert!(!sandbox.exists("lost.sql") && !sandbox.exists(".lost.sql.partial"), "{point}");
    }
    // The exchange is reverted, so that nothing is lost.
    let mut command = sandbox.command("restore --yes --save-lost lost.sql");
    command.env("PITON_FAULT", "place:1:5");
    sandbox.finish(command).code(5);
    assert!(!sandbox.exists("lost.sql"));
    assert_eq!(sandbox.data(), before);
    sandbox.run("restore --dry-run --save-lost x").code(2);
}

#[test]
fn rollback_saves_them_too() {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    sandbox.run("up").success();
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('cy')");
    sandbox.run("rollback --yes --save-lost lost.sql").success().says("1 row of app.db saved");
    sandbox.execute("app.db", &sandbox.read("lost.sql"));
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users"), "3");
}
