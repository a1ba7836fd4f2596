//! `run`: data operations by name.

use crate::sandbox::{Sandbox, USERS};

const TIDY: &str = "-- skip-if: SELECT NOT EXISTS (SELECT 1 FROM users WHERE name = 'bob')\n\
                    -- allow: rows-lost bob left\nDELETE FROM users WHERE name = 'bob';\n";

#[test]
fn backs_up_runs_once_and_leaves_a_row() {
    let sandbox = Sandbox::with_users().script("tidy.sql", TIDY).script("notes.md", "prose");
    sandbox.run("run").success().stdout("tidy.sql\nnext: piton run NAME (takes a backup first)\n");
    sandbox
        .run("run tidy")
        .success()
        .stderr("")
        .stdout("backup  [ID], verified\nrows    users: 1 deleted\ndone: tidy.sql. To go back: piton rollback\n");
    assert_eq!(sandbox.query("app.db", "SELECT name FROM users"), "ann");
    let before = sandbox.data();
    sandbox
        .run("run tidy.sql")
        .success()
        .stdout("nothing to do: the guard of tidy.sql says that it is done\n");
    assert_eq!(sandbox.data(), before);
    sandbox.run("history").success().says("tidy");
    sandbox.run("up").success().says("nothing to do");
    sandbox.run("rollback --yes").success();
    assert_eq!(sandbox.query("app.db", "SELECT name FROM users"), "ann\nbob");
}

#[test]
fn names_what_there_is() {
    let sandbox = Sandbox::with_users().script("tidy.sql", TIDY).script("tidy.sh", "#!/bin/sh\n");
    sandbox.run("run tid").code(2).one_error().says("there are: tidy.sh, tidy.sql");
    sandbox.run("run tidy").code(2).one_error();
    sandbox.run("run ../migrations/001_users.sql").code(2).one_error();
}

#[test]
fn changes_no_schema() {
    let sandbox = Sandbox::with_users().script("drop.sql", "SELECT 1;\nDROP TABLE users;\n");
    let before = sandbox.data();
    sandbox.run("run drop").code(4).one_error().says("scripts/drop.sql:2:1");
    assert_eq!(sandbox.data(), before);
}

#[test]
fn a_failing_script_restores() {
    let sandbox = Sandbox::with_users()
        .script("harm.sh", "#!/bin/sh\necho harm >\"$PITON_DATA_DIR/app.db\"\nexit 1\n")
        .script("wrong.sql", "INSERT INTO users (id, name) VALUES (3, 'x'), (1, 'y');\n");
    let before = sandbox.dump("app.db");
    sandbox.run("run harm").code(6).says("exited with status 1").says("failed and restored");
    assert_eq!(sandbox.dump("app.db"), before);
    sandbox.run("run wrong").code(5).says("scripts/wrong.sql:1:1").says("everything is as before");
    assert_eq!(sandbox.dump("app.db"), before);
}

#[test]
fn needs_its_database() {
    let sandbox = Sandbox::new()
        .migration("001_users.sql", USERS)
        .script("tidy.sql", TIDY)
        .script("logs.sql", "-- database: logs.db\nDELETE FROM lines;\n");
    sandbox.run("run tidy").code(2).one_error().says("`data/app.db` does not exist");
    sandbox.run("up").success();
    sandbox.run("run logs").code(2).one_error().says("`data/logs.db` does not exist");
    assert!(!sandbox.exists("data/logs.db"));
}
