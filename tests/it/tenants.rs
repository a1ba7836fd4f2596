//! One history for every database that a pattern matches.

use crate::sandbox::Sandbox;

const CONFIG: &str = "[targets.tenants]\ndatabases = \"tenants/*.db\"\n";

fn tenants() -> Sandbox {
    let sandbox = Sandbox::new().config(CONFIG).migration(
        "tenants/001_notes.sql",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);",
    );
    for name in ["a", "b", "c"] {
        sandbox.execute(&format!("tenants/{name}.db"), "PRAGMA user_version = 1");
    }
    sandbox.run("up").success().says("done: 3 migrations");
    sandbox
}

#[test]
fn nothing_is_created_for_a_pattern() {
    let sandbox =
        Sandbox::new().config(CONFIG).migration("tenants/001_notes.sql", "CREATE TABLE n (x);");
    sandbox.run("up").success().says("nothing to do");
    assert!(!sandbox.exists("data"));
    sandbox.execute("tenants/a.db", "PRAGMA user_version = 1");
    sandbox.write("data/tenants/letter.db", "this is only called a database");
    sandbox.run("up").success().says("tenants/a.db: 001_notes.sql").never_says("letter.db");
}

#[test]
fn one_fails_and_the_others_go_on() {
    let sandbox = tenants();
    sandbox.execute("tenants/b.db", "INSERT INTO notes VALUES (1, 'in the way')");
    let before = sandbox.dump("tenants/b.db");
    sandbox.write("migrations/tenants/002_first.sql", "INSERT INTO notes VALUES (1, 'welcome');");
    let ran = sandbox.run("up").code(5).says("failed   tenants/b.db: 002_first.sql");
    ran.says("applied  tenants/a.db: 002_first.sql")
        .says("applied  tenants/c.db: 002_first.sql")
        .says("migrations/tenants/002_first.sql:1:1")
        .says("tenants/b.db")
        // What stays must not be called as before.
        .never_says("everything is as before");
    assert_eq!(sandbox.dump("tenants/b.db"), before);
    assert!(sandbox.dump("tenants/c.db").contains("welcome"));
    let backup = sandbox.run("backups latest").success();
    backup.says("tenants/a.db").says("tenants/b.db").says("tenants/c.db");
    sandbox.run("up").code(5).never_says("tenants/a.db: 002");
    sandbox.execute("tenants/b.db", "DELETE FROM notes");
    sandbox.run("up").success().says("done: 1 migration");
}

#[test]
fn one_is_damaged_and_the_others_go_on() {
    let sandbox = tenants();
    let whole = std::fs::read(sandbox.path("data/tenants/b.db")).unwrap();
    let mut bytes = whole;
    bytes[100..4096].fill(0xa5);
    sandbox.write("data/tenants/b.db", bytes);
    sandbox.write("migrations/tenants/002_more.sql", "CREATE TABLE more (x);");
    sandbox.run("status").says("tenants/b.db");
    sandbox.run("up").code(10).says("tenants/b.db").says("hint: ");
}

#[test]
fn a_script_that_fails_for_one_restores_that_one() {
    let sandbox = tenants();
    let script = "#!/bin/sh\ncase $PITON_DATABASE in *b.db) echo harm >\"$PITON_DATABASE\"; exit 3 ;; esac\n";
    sandbox.write("migrations/tenants/002_move.sh", script);
    let before = sandbox.dump("tenants/b.db");
    let ran = sandbox.run("up").code(6).says("applied  tenants/a.db: 002_move.sh");
    ran.says("applied  tenants/c.db: 002_move.sh")
        .says("failed   tenants/b.db")
        .never_says("everything is as before");
    assert_eq!(sandbox.dump("tenants/b.db"), before);
    sandbox.run("status").success().says("tenants/a.db: at 002").says("tenants/b.db: at 001");
}

#[test]
fn a_pattern_that_takes_the_database_of_another_target() {
    let sandbox = Sandbox::new()
        .config("[targets.all]\ndatabases = \"*.db\"\n")
        .migration("001_users.sql", "CREATE TABLE users (x);")
        .migration("all/001_notes.sql", "CREATE TABLE notes (x);");
    sandbox.execute("app.db", "PRAGMA user_version = 1");
    let ran = sandbox.run("up").code(2).one_error();
    ran.says("`app.db` belongs to two targets, `app` and `all`");
}

#[test]
fn a_drifted_one_is_named() {
    let sandbox = tenants();
    sandbox.execute("tenants/b.db", "DROP TABLE notes");
    sandbox.write("migrations/tenants/002_more.sql", "CREATE TABLE more (x);");
    let ran = sandbox.run("up").code(4).says("refused [drift] tenants/b.db");
    ran.never_says("refused [drift] tenants/a.db").says("refused in part");
    sandbox.run("up").code(4).says("refused [drift] tenants/b.db").says("nothing was touched");
}

#[test]
fn what_is_planned_once_is_right_for_each() {
    let sandbox = tenants();
    sandbox.write("migrations/tenants/002_more.sql", "CREATE TABLE more (x);");
    // One that somebody changed, one that is behind, and one that has it already.
    sandbox.execute("tenants/b.db", "ALTER TABLE notes ADD COLUMN own");
    sandbox.execute("tenants/new.db", "PRAGMA user_version = 1");
    sandbox.execute("tenants/ready.db", "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)");
    sandbox.execute("tenants/ready.db", "CREATE TABLE more (x)");
    sandbox.run("up").code(4).says("tenants/b.db").says("drift");
    for name in ["a", "c", "new", "ready"] {
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('notes', 'more')";
        assert_eq!(sandbox.query(&format!("tenants/{name}.db"), tables), "2", "{name}");
        let ran = "SELECT count(*) FROM _piton_ledger WHERE state IN ('applied', 'recorded')";
        assert_eq!(sandbox.query(&format!("tenants/{name}.db"), ran), "2", "{name}");
    }
    // A declared query is asked in each database.
    sandbox.execute("tenants/b.db", "ALTER TABLE notes DROP COLUMN own");
    sandbox.run("up").success();
    sandbox.execute("tenants/c.db", "INSERT INTO notes (text) VALUES ('x')");
    let text = "-- skip-if: SELECT count(*) FROM notes\nINSERT INTO notes (text) VALUES ('first');";
    sandbox.write("migrations/tenants/003_first.sql", text);
    sandbox.run("up").success().says("tenants/a.db: 003").says("recorded");
    assert_eq!(sandbox.query("tenants/a.db", "SELECT count(*) FROM notes"), "1");
    assert_eq!(sandbox.query("tenants/c.db", "SELECT text FROM notes"), "x");
}
