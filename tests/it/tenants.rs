//! One history for every database that a pattern matches.

use crate::sandbox::{PITON, Sandbox};

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

/// Databases of one schema and ledger, whose names sort before and after those with other rows.
fn with_rows(pending: &str) -> Sandbox {
    let sandbox = tenants();
    let table =
        "CREATE TABLE kept (id INTEGER PRIMARY KEY, a INT, b TEXT UNIQUE); CREATE TABLE gone (x);";
    sandbox.write("migrations/tenants/002_kept.sql", table);
    sandbox.run("up").success();
    // In `b`, five rows have no value.
    let rows = "WITH n (i) AS (VALUES (1), (2), (3), (4), (5)) INSERT INTO kept SELECT i, NULL, 'b' || i FROM n";
    sandbox.execute("tenants/b.db", rows);
    sandbox.execute("tenants/b.db", "INSERT INTO gone VALUES (1), (2), (3), (4), (5)");
    sandbox.execute("tenants/c.db", "INSERT INTO kept VALUES (1, 7, 'c')");
    sandbox.write("migrations/tenants/003_pending.sql", pending);
    sandbox
}

/// The findings of one code, each as its database and its message.
fn findings(sandbox: &Sandbox, command: &str, code: &str) -> Vec<(String, String)> {
    let json = sandbox.run(&format!("{command} --json")).json();
    let mut found = Vec::new();
    for database in json["databases"].as_array().unwrap() {
        for finding in database["findings"].as_array().unwrap() {
            if finding["code"] == code {
                let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
                found.push((text(&database["database"]), text(&finding["message"])));
            }
        }
    }
    found
}

#[test]
fn rows_that_break_a_rule_are_those_of_each_database() {
    let rebuild = "CREATE TABLE new (id INTEGER PRIMARY KEY, a INT NOT NULL, b TEXT UNIQUE);
        INSERT INTO new SELECT id, a, b FROM kept; DROP TABLE kept; ALTER TABLE new RENAME TO kept;";
    let sandbox = with_rows(rebuild);
    let found = findings(&sandbox, "plan", "rows-break");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "tenants/b.db");
    assert!(found[0].1.contains('5'), "{found:?}");
    let before = sandbox.dump("tenants/b.db");
    sandbox.run("up").code(4).says("tenants/b.db").says("refused in part");
    assert_eq!(sandbox.dump("tenants/b.db"), before);
    for (name, rows) in [("a", "0"), ("c", "1")] {
        let database = format!("tenants/{name}.db");
        assert_eq!(sandbox.query(&database, "SELECT count(*) FROM kept"), rows);
        let rule = "SELECT \"notnull\" FROM pragma_table_info('kept') WHERE name = 'a'";
        assert_eq!(sandbox.query(&database, rule), "1");
    }
    sandbox.execute("tenants/b.db", "UPDATE kept SET a = 0");
    sandbox.run("up").success().says("tenants/b.db: 003").never_says("tenants/a.db");
    assert_eq!(sandbox.query("tenants/b.db", "SELECT count(*) FROM kept"), "5");
}

#[test]
fn rows_that_go_are_counted_in_each_database() {
    let sandbox = with_rows("DROP TABLE gone;");
    for command in ["plan", "up --dry-run"] {
        let found = findings(&sandbox, command, "destructive");
        let five = |(name, text): &(String, String)| name == "tenants/b.db" && text.contains('5');
        let about: Vec<_> = found.iter().filter(|one| one.1.contains("row")).collect();
        assert!(about.len() == 1 && five(about[0]), "{command}: {found:?}");
    }
}

#[test]
fn what_a_file_requires_is_asked_in_each_database() {
    let pending = "-- require: SELECT count(*) = 0 FROM gone\nCREATE TABLE more (x);";
    let sandbox = with_rows(pending);
    sandbox.run("up").code(4).says("refused [require] tenants/b.db").says("refused in part");
    for (name, tables) in [("a", "1"), ("b", "0"), ("c", "1")] {
        let count = "SELECT count(*) FROM sqlite_schema WHERE name = 'more'";
        assert_eq!(sandbox.query(&format!("tenants/{name}.db"), count), tables, "{name}");
    }
}

#[test]
fn more_of_them_than_files_may_be_open() {
    let sandbox = tenants();
    let count = 600;
    for number in 0..count {
        let path = sandbox.path(&format!("data/tenants/{number}.db"));
        std::fs::copy(sandbox.path("data/tenants/a.db"), path).unwrap();
    }
    // One of them has a log that nobody has folded.
    let open = sandbox.database("tenants/7.db");
    open.pragma_update(None, "journal_mode", "wal").unwrap();
    open.execute("INSERT INTO notes (text) VALUES ('in the log')", []).unwrap();
    sandbox.write("migrations/tenants/002_more.sql", "ALTER TABLE notes ADD COLUMN more;");
    let mut limited = sandbox.program("bash");
    limited.args(["-c", "ulimit -n 1024 && exec \"$0\" up --yes", PITON]);
    sandbox.finish(limited).success().says("done: 603 migrations").never_says("not of one instant");
    drop(open);
    let all = "SELECT count(*) FROM pragma_table_info('notes') WHERE name = 'more'";
    for number in 0..count {
        assert_eq!(sandbox.query(&format!("tenants/{number}.db"), all), "1", "{number}");
    }
    // The backup has them as they were before.
    sandbox.run("restore latest --yes --to old").success();
    for name in ["a", "7", "599"] {
        let old =
            rusqlite::Connection::open(sandbox.path(&format!("old/tenants/{name}.db"))).unwrap();
        let count = |sql| old.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count(all), 0, "{name}");
        assert_eq!(count("SELECT count(*) FROM notes"), i64::from(name == "7"), "{name}");
    }
}

#[test]
fn a_restore_that_may_not_open_enough_files_changes_nothing_and_says_so() {
    let sandbox = tenants();
    for number in 0..40 {
        let path = sandbox.path(&format!("data/tenants/{number}.db"));
        std::fs::copy(sandbox.path("data/tenants/a.db"), path).unwrap();
    }
    sandbox.write("migrations/tenants/002_more.sql", "ALTER TABLE notes ADD COLUMN more;");
    sandbox.run("up").success();
    let restore = |files: u32| {
        let mut limited = sandbox.program("bash");
        limited.args([
            "-c",
            &format!("ulimit -n {files} && exec \"$0\" restore latest --yes"),
            PITON,
        ]);
        sandbox.finish(limited)
    };
    restore(60).code(5).says("Too many open files").says("`ulimit -n`");
    let all = "SELECT count(*) FROM pragma_table_info('notes') WHERE name = 'more'";
    assert_eq!(sandbox.query("tenants/a.db", all), "1");
    restore(400).success();
    assert_eq!(sandbox.query("tenants/a.db", all), "0");
}
