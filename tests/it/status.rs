//! `status`: where things stand, at every moment of a project's life.

use crate::sandbox::{Sandbox, USERS};

#[test]
fn follows_a_project() {
    let sandbox = Sandbox::new();
    sandbox.run("status").success().stderr("").stdout(
        "no database, and no migration that would make one\nno backup yet\nnothing to do\n",
    );
    sandbox.write("migrations/001_users.sql", USERS);
    sandbox.run("status").success().stderr("").stdout(
        "app.db: does not exist yet, 0 of 1 migration done\n  pending      001_users.sql\n\
         no backup yet\nnext: piton plan shows what would be done, piton up does it\n",
    );
    sandbox.run("status --exit-code").code(3);
    assert!(!sandbox.exists("data") && !sandbox.exists("backups"));
    sandbox.run("up").success();
    sandbox.run("backup").success();
    sandbox.run("status --exit-code").success().stdout(
        "app.db: at 001, the last (by its ledger), 1 of 1 migration done\n\
         2 backups, the newest [ID] ([AGO])\nnothing to do\n",
    );
}

#[test]
fn names_files_that_are_no_migrations() {
    let sandbox = Sandbox::with_users()
        .migration("lib.sh", "# helper")
        .migration("002_x.down.sql", "DROP TABLE users;")
        .migration("README.md", "prose");
    let ran = sandbox.run("status").success();
    ran.says("not a migration: migrations/lib.sh")
        .says("not a migration: migrations/002_x.down.sql")
        .never_says("README");
}

#[test]
fn names_what_was_changed_by_hand() {
    let sandbox = Sandbox::with_users();
    sandbox.execute("app.db", "DROP TABLE users; CREATE TABLE users (id INTEGER PRIMARY KEY)");
    let before = sandbox.data();
    sandbox.run("status").success().says("column `name`").says("hint: ");
    sandbox.run("status --exit-code").code(4);
    sandbox.run("up").code(4).says("refused: nothing was touched");
    assert_eq!(sandbox.data(), before);
}

#[test]
fn names_an_edited_a_missing_and_a_late_file() {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/001_users.sql", USERS.replace("ann", "eve"));
    sandbox.run("up").code(4).says("001_users.sql").says("adopt --accept");
    sandbox.remove("migrations/001_users.sql");
    sandbox.write("migrations/002_a.sql", "CREATE TABLE a (id INTEGER PRIMARY KEY);");
    sandbox.run("up").code(4).says("1_users.sql` ran here, and its file is gone");
    sandbox.write("migrations/001_users.sql", USERS);
    sandbox.run("up").success();
    sandbox.write("migrations/0001_5_early.sql", "");
    sandbox.run("status").code(2).one_error().says("0001_5_early.sql").says("001_users.sql");
    sandbox.remove("migrations/0001_5_early.sql");
    sandbox.write("migrations/000_early.sql", "CREATE TABLE early (id INTEGER PRIMARY KEY);");
    sandbox.run("up").code(4).says("000_early.sql").says("--out-of-order");
    sandbox.run("up --out-of-order").success().says("000_early.sql");
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn changes_no_byte() {
    let sandbox = Sandbox::with_users();
    sandbox.execute("app.db", "PRAGMA journal_mode = WAL");
    // SQLite itself leaves an empty log beside a write-ahead database that is only read.
    let databases = || {
        let files = sandbox.data().into_iter();
        files.filter(|(path, _)| path.extension().is_some_and(|it| it == "db")).collect::<Vec<_>>()
    };
    let before = databases();
    for command in ["status", "plan", "history", "backups"] {
        sandbox.run(command).success();
        assert_eq!(databases(), before, "{command}");
    }
}
