//! Several named databases, and files that name their own.

use crate::sandbox::Sandbox;

fn two() -> Sandbox {
    Sandbox::new()
        .migration("001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);")
        .migration("logs/001_lines.sql", "CREATE TABLE lines (id INTEGER PRIMARY KEY, text TEXT);")
}

#[test]
fn each_has_its_own_history() {
    let sandbox = two();
    sandbox.run("up").success().stderr("").stdout(
        "backup  [ID], verified\napplied  app.db: 001_users.sql [DURATION]\n\
         applied  logs.db: 001_lines.sql [DURATION]\n\
         done: 2 migrations. To go back: piton rollback\n",
    );
    sandbox.run("status").success().says("app.db: at 001").says("logs.db: at 001");
    sandbox.write("migrations/logs/002_level.sql", "ALTER TABLE lines ADD COLUMN level TEXT;");
    sandbox.run("plan --target app --exit-code").success().says("nothing to do");
    sandbox.run("up --target app").success().says("nothing to do");
    sandbox.run("up --target logs").success().says("logs.db: 002_level.sql").never_says("app.db:");
    sandbox.run("backups latest").success().says("app.db").says("logs.db");
}

#[test]
fn the_second_fails_and_the_first_goes_back() {
    let sandbox = two();
    sandbox.run("up").success();
    sandbox.execute("logs.db", "INSERT INTO lines VALUES (1, 'x')");
    sandbox.write("migrations/002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    sandbox.write("migrations/logs/002_bad.sql", "INSERT INTO lines VALUES (1, 'twice');");
    let before = sandbox.content();
    sandbox
        .run("up")
        .code(6)
        .says("applied  app.db: 002_mail.sql")
        .says("failed   logs.db: 002_bad.sql")
        .says("migrations/logs/002_bad.sql:1:1")
        .says("failed and restored: the backup of this run (")
        .says("everything is as before");
    assert_eq!(sandbox.content(), before);
    let document = sandbox.run("up --json").code(6).json();
    assert_eq!(document["ran"][0]["standing"], "as-before");
    sandbox.run("plan").success().says("002_mail.sql");
}

#[test]
fn in_a_first_run_what_was_made_goes_away() {
    let sandbox = two();
    sandbox.write("migrations/logs/002_bad.sql", "INSERT INTO lines VALUES (1, 'x'), (1, 'x');");
    sandbox.run("up").code(6).says("failed and restored");
    assert!(sandbox.data().is_empty(), "{:?}", sandbox.data().keys());
}

#[test]
fn a_header_names_the_database() {
    let sandbox = two();
    sandbox.run("up").success();
    sandbox.write(
        "migrations/002_level.sql",
        "-- database: logs.db\nALTER TABLE lines ADD COLUMN level TEXT;",
    );
    sandbox.write("migrations/003_stats.sql", "-- database: sub/stats.db\nCREATE TABLE stats (x);");
    std::fs::create_dir(sandbox.path("data/sub")).unwrap();
    sandbox.run("up").success().says("logs.db: 002_level.sql").says("sub/stats.db: 003_stats.sql");
    assert!(sandbox.dump("logs.db").contains("level"));
    assert!(sandbox.dump("sub/stats.db").contains("stats"));
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn a_database_in_a_folder_that_does_not_exist_yet() {
    let sandbox =
        two().migration("002_stats.sql", "-- database: sub/stats.db\nCREATE TABLE stats (x);");
    sandbox.run("up").success().says("sub/stats.db: 002_stats.sql");
}

#[test]
fn two_files_of_one_number_meet_in_one_database() {
    let sandbox = two().migration("001_more.sql", "");
    sandbox.remove("migrations/001_more.sql");
    sandbox.write("migrations/logs/002_a.sql", "CREATE TABLE a (x);");
    sandbox.write("migrations/002_b.sql", "-- database: logs.db\nCREATE TABLE b (x);");
    let ran = sandbox.run("up").code(2).one_error();
    ran.says("migrations/002_b.sql").says("migrations/logs/002_a.sql").says("same number");
}

#[test]
fn two_histories_of_one_database() {
    let sandbox = two().migration("app/001_other.sql", "CREATE TABLE other (x);");
    sandbox.run("up").code(2).one_error().says("same number");
    sandbox.remove("migrations/app/001_other.sql");
    sandbox.write("migrations/app/002_other.sql", "CREATE TABLE other (x);");
    sandbox.run("up").success();
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn a_script_restores_all_of_them() {
    let sandbox = two();
    sandbox.run("up").success();
    sandbox.write("migrations/002_harm.sh", "#!/bin/sh\nrm \"$PITON_DATA_DIR/logs.db\"\nexit 9\n");
    let before = sandbox.content();
    sandbox.run("up").code(6).says("exited with status 9");
    assert_eq!(sandbox.content(), before);
}

#[test]
fn a_process_that_holds_a_database_gets_its_content_back() {
    let sandbox = two();
    sandbox.run("up").success();
    sandbox.execute("app.db", "PRAGMA journal_mode = WAL; INSERT INTO users VALUES (1, 'ann')");
    let service = sandbox.database("app.db");
    service.query_row("SELECT 1 FROM users", [], |_| Ok(())).unwrap();
    sandbox.write("migrations/002_harm.sh", "#!/bin/sh\nrm \"$PITON_DATA_DIR/logs.db\"\nexit 9\n");
    sandbox.write("migrations/001_5.sh", "");
    sandbox.remove("migrations/001_5.sh");
    let before = (sandbox.dump("app.db"), sandbox.dump("logs.db"));
    sandbox.run("up").code(6).says("failed and restored");
    assert_eq!((sandbox.dump("app.db"), sandbox.dump("logs.db")), before);
    let name: String = service.query_row("SELECT name FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(name, "ann");
}
