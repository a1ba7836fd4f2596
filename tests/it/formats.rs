//! What an older piton wrote is read for ever, and what a later one wrote is refused in one sentence.

use crate::sandbox::{Sandbox, USERS};

const LEDGER: &str = include_str!("../data/formats/0.1/ledger.sql");

/// A database in which piton 0.1 ran `USERS`.
fn of_the_first_format() -> Sandbox {
    let sandbox = Sandbox::with_users();
    let (head, _) = LEDGER.split_once("INSERT").unwrap();
    sandbox.execute(
        "app.db",
        &format!(
            "ALTER TABLE _piton_ledger RENAME TO later; {head}
             INSERT INTO _piton_ledger SELECT id, version, name, kind, state, known_by, file_sha256,
               text_sha256, text, started_at, duration_ms, statements_done, schema_hash, backup, '0.1.0',
               output, changed_objects FROM later;
             DROP TABLE later;"
        ),
    );
    sandbox
}

fn ledger(sandbox: &Sandbox) -> String {
    let sql = "SELECT sql FROM sqlite_schema WHERE name = '_piton_ledger'";
    sandbox.query("app.db", sql)
}

#[test]
fn a_ledger_of_the_first_format_is_read_by_all_and_upgraded_by_a_run_alone() {
    let sandbox = of_the_first_format();
    let before = ledger(&sandbox);
    sandbox.run("status").success().says("at 001, the last (by its ledger)");
    sandbox.run("history").success().says("001 users");
    sandbox.run("up").success().says("nothing to do");
    sandbox.write("migrations/002_more.sql", "ALTER TABLE users ADD COLUMN more TEXT;\n");
    sandbox.run("plan").success().says("002_more.sql");
    sandbox.run("up --dry-run").success();
    assert_eq!(ledger(&sandbox), before, "nothing that only looks writes");
    sandbox.run("up").success().says("002_more.sql");
    assert!(ledger(&sandbox).contains("format          INTEGER"));
    let rows = "SELECT group_concat(version || name || state, ' ') FROM _piton_ledger";
    assert_eq!(sandbox.query("app.db", rows), "001usersapplied 002moreapplied");
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn a_run_that_fails_leaves_the_ledger_in_its_format() {
    let sandbox = of_the_first_format();
    let before = ledger(&sandbox);
    sandbox.write("migrations/002_more.sql", "INSERT INTO users (id, name) VALUES (1, 'again');\n");
    sandbox.run("up").code(5);
    assert_eq!(ledger(&sandbox), before);
}

#[test]
fn adopting_upgrades_as_well() {
    let sandbox = of_the_first_format();
    sandbox.write("migrations/002_data.sql", "UPDATE users SET name = upper(name);\n");
    sandbox.run("adopt --at 2").success();
    assert!(ledger(&sandbox).contains("format          INTEGER"));
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn a_ledger_of_a_later_format_is_refused_and_left_alone() {
    let sandbox = Sandbox::with_users();
    sandbox.execute("app.db", "UPDATE _piton_ledger SET format = 3");
    let before = sandbox.data();
    for command in ["status", "plan", "up", "history", "adopt --at 1"] {
        sandbox.run(command).code(4).one_error().says("made by a newer piton").says("update piton");
    }
    assert_eq!(sandbox.data(), before);
}

#[test]
fn an_object_of_that_name_that_is_no_ledger_is_refused_and_left_alone() {
    for (sql, kind) in [
        ("CREATE VIEW _piton_ledger AS SELECT 1 AS a", "`_piton_ledger` (view)"),
        ("CREATE TABLE t (a); CREATE INDEX _piton_ledger ON t (a)", "`_piton_ledger` (index)"),
        ("CREATE TABLE _Piton_Ledger (page, entry)", "`_Piton_Ledger` (table)"),
    ] {
        let sandbox = Sandbox::new().migration("001_users.sql", USERS);
        sandbox.execute("app.db", sql);
        let before = sandbox.data();
        for command in ["status", "plan", "up"] {
            sandbox.run(command).code(4).one_error().says(kind).says("of this name");
        }
        assert_eq!(sandbox.data(), before, "{sql}");
    }
}
