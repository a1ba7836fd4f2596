//! `up`: the main job.

use crate::sandbox::{Sandbox, USERS};

#[test]
fn runs_once() {
    let sandbox = Sandbox::new().migration("001_users.sql", USERS);
    sandbox.run("up").success().stderr("").stdout(
        "backup  [ID], verified\napplied  app.db: 001_users.sql [DURATION]\n\
         done: 1 migration. To go back: piton rollback\n",
    );
    assert_eq!(sandbox.query("app.db", "SELECT name FROM users"), "ann\nbob");
    let before = sandbox.data();
    sandbox.run("up").success().stderr("").stdout("nothing to do: every migration is applied\n");
    assert_eq!(sandbox.data(), before);
    let more = sandbox.migration("002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    more.run("up").success().stderr("").stdout(
        "backup  [ID], verified\napplied  app.db: 002_mail.sql [DURATION]\n\
         done: 1 migration. To go back: piton rollback\n",
    );
}

#[test]
fn quiet_says_nothing() {
    let sandbox = Sandbox::new().migration("001_users.sql", USERS);
    sandbox.run("up --quiet").success().stdout("").stderr("");
    sandbox.write("migrations/002_bad.sql", "CREATE TABLE users (id);");
    let ran = sandbox.run("up --quiet").code(4);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("002_bad.sql"), "{}", ran.whole());
}

#[test]
fn a_lost_ledger_is_written_again_and_nothing_runs_twice() {
    let sandbox = Sandbox::with_users();
    let before = sandbox.dump("app.db");
    sandbox.execute("app.db", "DROP TABLE _piton_ledger");
    sandbox.run("up").success().says("recorded");
    assert_eq!(sandbox.dump("app.db"), before);
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn a_failing_statement_takes_all_back() {
    let sandbox = Sandbox::with_users()
        .migration("002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;")
        .migration("003_twice.sql", "INSERT INTO users (id, name) VALUES (9, 'x');\n\nINSERT INTO\n  users (id, name) VALUES (1, 'cyd');\n");
    let before = sandbox.dump("app.db");
    sandbox
        .run("up")
        .code(5)
        .stdout("backup  [ID], verified\nfailed   app.db: 003_twice.sql\n")
        .stderr(
            "error: migrations/003_twice.sql:3:1: UNIQUE constraint failed: users.id\n  \
         3 | INSERT INTO\n    | ^\n  \
         hint: correct the migration or the data, then run the same command again\n\
         failed: everything is as before\n",
        );
    assert_eq!(sandbox.dump("app.db"), before);
    sandbox.run("status").success().says("pending      002_mail.sql");
    sandbox.write("migrations/003_twice.sql", "INSERT INTO users (name) VALUES ('cyd');");
    sandbox.run("up").success().says("done: 2 migrations");
}

#[test]
fn a_failed_first_run_leaves_no_database() {
    let sandbox = Sandbox::new()
        .migration("001_users.sql", USERS)
        .migration("002_bad.sql", "INSERT INTO users (id, name) VALUES (1, 'x');");
    sandbox.run("up").code(5).says("002_bad.sql:1:1");
    assert!(sandbox.data().is_empty(), "{:?}", sandbox.data().keys());
}

#[test]
fn a_failing_script_restores_the_backup() {
    let fails = "#!/bin/sh\necho harm >\"$PITON_DATA_DIR/harm.txt\"\nrm \"$PITON_DATA_DIR/keep.txt\"\n\
                 echo oops >&2\nexit 3\n";
    let sandbox = Sandbox::with_users()
        .file("data/keep.txt", "kept")
        .migration("002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;")
        .migration("003_fails.sh", fails);
    let before = sandbox.content();
    sandbox
        .run("up")
        .code(6)
        .says("exited with status 3")
        .says("oops")
        .says("failed and restored: the backup of this run (");
    assert_eq!(sandbox.content(), before);
    sandbox.run("status --exit-code").code(3);
    sandbox.write("migrations/003_fails.sh", "#!/bin/sh\necho fine\n");
    sandbox.run("up").success().says("003_fails.sh");
}

#[test]
fn a_verify_that_is_not_true_takes_all_back() {
    let sandbox = Sandbox::with_users().migration(
        "002_more.sql",
        "-- verify: SELECT count(*) = 4 FROM users\nINSERT INTO users (name) VALUES ('x');",
    );
    let before = sandbox.dump("app.db");
    sandbox.run("up").code(5).says("`verify:` is not true").says("002_more.sql");
    assert_eq!(sandbox.dump("app.db"), before);
}

#[test]
fn a_script_finds_its_way() {
    let script = "#!/bin/sh\nset -eu\necho \"$PITON_TARGET\"\ntest -f \"$PITON_DATABASE\"\n\
                  test -d \"$PITON_DATA_DIR\"\ntest -f \"$PITON_BACKUP\"\ntest -d \"$PITON_BACKUPS_DIR\"\npwd\n";
    let sandbox = Sandbox::with_users().migration("002_look.sh", script);
    sandbox.run("up").success().stderr("  | app\n  | [ROOT]\n");
}

#[test]
fn works_from_another_folder() {
    let sandbox =
        Sandbox::new().migration("001_users.sql", USERS).config("database = \"main.sqlite\"\n");
    std::fs::create_dir(sandbox.path("elsewhere")).unwrap();
    let mut command = sandbox.command("up --config ../piton.toml");
    command.current_dir(sandbox.path("elsewhere"));
    sandbox.finish(command).success();
    assert!(sandbox.exists("data/main.sqlite"));
    assert!(!sandbox.exists("elsewhere/data"));
}

#[test]
fn flag_before_environment_before_file() {
    let sandbox = Sandbox::new()
        .migration("001_users.sql", USERS)
        .config("data = \"from-file\"\n")
        .variable("PITON_DATA", "from-variable");
    sandbox.run("up --data from-flag").success();
    assert!(sandbox.exists("from-flag/app.db") && !sandbox.exists("from-variable"));
    sandbox.run("up").success();
    assert!(sandbox.exists("from-variable/app.db") && !sandbox.exists("from-file"));
}

#[test]
fn colour_only_where_asked_for() {
    let sandbox = Sandbox::with_users();
    assert!(!sandbox.run("status").stdout.contains('\u{1b}'));
    assert!(sandbox.run("status --color always").stdout.contains('\u{1b}'));
    let silent = Sandbox::with_users().variable("NO_COLOR", "1");
    assert!(!silent.run("status").stdout.contains('\u{1b}'));
    let asked = Sandbox::with_users().config("color = \"always\"\n");
    assert!(asked.run("status").stdout.contains('\u{1b}'));
    assert!(!asked.run("status --color never").stdout.contains('\u{1b}'));
}

/// Deploys are often made by root, and the service is not: it has to be able to write.
#[test]
fn a_new_database_belongs_to_whom_its_folder_belongs() {
    use std::os::unix::fs::{MetadataExt, chown};
    let sandbox = Sandbox::new()
        .migration("001_users.sql", USERS)
        .migration("other/001_plain.sql", "CREATE TABLE plain (id INTEGER PRIMARY KEY);");
    let data = sandbox.path("data");
    std::fs::create_dir(&data).unwrap();
    // Only root may give it away; to anybody else everything belongs anyway.
    let _ = chown(&data, Some(12_345), Some(23_456));
    sandbox.run("up").success();
    let owner = |path: &std::path::Path| {
        let found = std::fs::metadata(path).unwrap();
        (found.uid(), found.gid())
    };
    for name in ["app.db", "other.db"] {
        assert_eq!(owner(&data.join(name)), owner(&data), "{name}");
    }
}

#[test]
fn a_script_that_changes_its_folder_still_finds_its_database() {
    let script = "#!/bin/sh\n# skip-if: SELECT 0\ncd /\ntest -f \"$PITON_DATABASE\"\n";
    let sandbox = Sandbox::with_users().migration("002_away.sh", script);
    sandbox.run("up").success();
}
