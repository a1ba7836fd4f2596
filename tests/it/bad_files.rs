//! Bad input: migrations and scripts that cannot be used. Nothing is touched.

use crate::sandbox::{Sandbox, USERS};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, time::Instant};

/// A project with one good migration behind it and this file before it.
fn with(name: &str, text: impl AsRef<[u8]>) -> Sandbox {
    let sandbox = Sandbox::with_users();
    sandbox.write(&format!("migrations/{name}"), text);
    sandbox
}

#[track_caller]
fn refused(sandbox: &Sandbox, code: i32, parts: &[&str]) {
    let before = (sandbox.data(), sandbox.backups());
    let ran = sandbox.run("up").code(code);
    for part in parts {
        assert!(ran.stderr.contains(part), "`{part}`: {}", ran.whole());
    }
    assert_eq!(ran.stderr.matches("  hint: ").count(), 1, "{}", ran.whole());
    assert_eq!((sandbox.data(), sandbox.backups()), before);
}

#[test]
fn a_syntax_error() {
    let sandbox = with(
        "002_bad.sql",
        "CREATE TABLE a (id);\nCREATE TABLE b (\n  id INTEGER,\n  name TXET NOT NUL\n);\n",
    );
    refused(
        &sandbox,
        4,
        &[
            "migrations/002_bad.sql:4:",
            "near \"NUL\"",
            "4 |   name TXET NOT NUL\n",
            "^",
            "nothing was touched",
        ],
    );
    refused(
        &with("002_bad.sql", "ALTER TABEL users ADD x;"),
        4,
        &["002_bad.sql:1:7", "1 | ALTER TABEL", "|       ^"],
    );
    refused(
        &with("002_bad.sql", "SELECT 1;\nCREATE TABLE a ("),
        4,
        &["002_bad.sql:2:", "incomplete"],
    );
    refused(&with("002_bad.sql", "SELECT 'never ended;\n"), 4, &["002_bad.sql:1:"]);
}

#[test]
fn a_name_that_does_not_exist() {
    refused(&with("002_bad.sql", "UPDATE users SET nmae = 'x';"), 4, &["002_bad.sql:1:", "nmae"]);
    refused(&with("002_bad.sql", "ALTER TABLE nobody ADD x;"), 4, &["002_bad.sql:1:", "nobody"]);
    refused(
        &with("002_bad.sql", "\nINSERT INTO nobody VALUES (1);"),
        4,
        &["002_bad.sql:2:", "nobody"],
    );
}

#[test]
fn a_project_without_data_stays_without() {
    let sandbox = Sandbox::new().migration("001_bad.sql", "CREATE TABEL x;");
    sandbox.run("up").code(4).says("001_bad.sql:1:8").says("nothing was touched");
    assert!(!sandbox.exists("data") && !sandbox.exists("backups"));
}

#[test]
fn what_is_no_sql() {
    refused(
        &with("002_bad.sql", ".mode csv\n"),
        2,
        &["002_bad.sql:1:1: `.mode csv`", "sqlite3 shell"],
    );
    refused(
        &with("002_bad.sql", [0xff, 0xfe, 0x00]),
        2,
        &["`migrations/002_bad.sql` is not UTF-8 text (line 1)"],
    );
    refused(
        &with("002_bad.sql", "-- skipif: SELECT 1\n"),
        2,
        &["002_bad.sql:1:1", "is `skip-if` meant?", "1 | -- skipif"],
    );
    refused(&with("002_bad.sql", "-- timeout: soon\n"), 2, &["002_bad.sql:1:1", "`soon`"]);
    refused(
        &with("01_again.sql", "SELECT 1;"),
        2,
        &["`migrations/001_users.sql` and `migrations/01_again.sql`", "same number"],
    );
}

#[test]
fn a_header_that_leaves_the_data_directory() {
    let sandbox = with("002_out.sql", "-- database: ../outside.db\nCREATE TABLE x (y);\n");
    refused(&sandbox, 2, &["002_out.sql:1:1", "`database:`"]);
    assert!(!sandbox.exists("outside.db"));
    sandbox.remove("migrations/002_out.sql");
    sandbox.write("scripts/out.sql", "-- database: /etc/passwd\nSELECT 1;\n");
    sandbox.run("run out").code(2).one_error().says("out.sql:1:1");
}

#[test]
fn a_script_that_is_not_executable() {
    refused(
        &with("002_tool", "echo hello\n"),
        4,
        &["`002_tool`", "as its first line, such as `#!/bin/sh`"],
    );
    let sandbox = with("002_fine.py", "#!/bin/sh\necho runs by its first line\n");
    let path = sandbox.path("migrations/002_fine.py");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    sandbox.run("up").success().says("runs by its first line");
    let lost = with("002_lost.sh", "#!/no/such/interpreter\n");
    let before = lost.content();
    lost.run("up").says("cannot start `migrations/002_lost.sh`").says("hint: ");
    assert_eq!(lost.content(), before);
}

#[test]
fn a_script_that_hangs_is_stopped_with_all_that_it_started() {
    let hangs = "#!/bin/sh\n# timeout: 1s\ntrap '' TERM\necho begun\nsleep 300 &\necho $! >\"$PITON_DATA_DIR/../pid\"\nsleep 300\n";
    let sandbox = with("002_hangs.sh", hangs);
    let before = sandbox.content();
    let clock = Instant::now();
    sandbox.run("up").code(6).says("ran longer than 1 s and was stopped").says("begun");
    assert!(clock.elapsed().as_secs() < 20);
    assert_eq!(sandbox.content(), before);
    let pid = sandbox.read("pid");
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z"), "{state}");
}

#[test]
fn a_script_killed_by_a_signal() {
    let sandbox = with("002_dies.sh", "#!/bin/sh\nkill -9 $$\n");
    let before = sandbox.content();
    sandbox.run("up").code(6).says("was killed by signal 9");
    assert_eq!(sandbox.content(), before);
}

#[test]
fn names_that_are_not_utf_8() {
    let sandbox = Sandbox::with_users();
    let odd = OsStr::from_bytes(b"002_\xff.sql");
    std::fs::write(sandbox.path("migrations").join(odd), USERS).unwrap();
    refused(&sandbox, 2, &["is not UTF-8", "hint: rename"]);
    std::fs::remove_file(sandbox.path("migrations").join(odd)).unwrap();

    // In the data directory such a name is as good as any other.
    let odd = OsStr::from_bytes(b"up\xfeload.txt");
    std::fs::write(sandbox.path("data").join(odd), "hello").unwrap();
    let before = sandbox.content();
    sandbox.run("backup").success();
    std::fs::write(sandbox.path("data").join(odd), "changed").unwrap();
    sandbox.run("restore --yes").success();
    assert_eq!(sandbox.content(), before);
    sandbox.run("up --json").success().json();

    let odd = OsStr::from_bytes(b"\xfe.db");
    std::fs::copy(sandbox.path("data/app.db"), sandbox.path("data").join(odd)).unwrap();
    sandbox.run("backup").success().says("2 databases");
    sandbox.run("status").success();
    sandbox.run("backups latest --json").success().json();
}

#[test]
fn arguments_that_are_not_utf_8() {
    let sandbox = Sandbox::with_users();
    for flag in ["--data", "--migrations", "--config", "--target"] {
        let mut command = sandbox.command("up");
        command.arg(flag).arg(OsStr::from_bytes(b"\xff\xfe"));
        let code = command.output().unwrap().status.code();
        assert!(code.is_some_and(|code| code > 1 || flag == "--data"), "{flag}: {code:?}");
    }
}

#[test]
fn folders_that_are_missing_or_empty() {
    let bare = Sandbox::bare();
    for command in ["status", "plan", "up", "history", "new x", "adopt --at 1"] {
        bare.run(command)
            .code(2)
            .one_error()
            .says("the migrations folder `migrations` does not exist");
    }
    bare.run("run").code(2).one_error().says("the scripts folder `scripts` does not exist");
    bare.run("backup").code(2).one_error().says("data directory `data`");
    bare.run("backup --data nowhere").code(2).one_error().says("`nowhere`");
    assert_eq!(std::fs::read_dir(bare.path("")).unwrap().count(), 0);
    let empty = Sandbox::new();
    empty.run("up").success().says("nothing to do");
    empty.run("plan").success().says("nothing to do");
    assert!(!empty.exists("data"));
    let file = Sandbox::bare().file("migrations", "a file").file("data", "a file");
    file.run("status").code(2).one_error();
    file.run("backup").code(2).one_error().says("is not a directory");
}

#[test]
fn a_declared_query_that_is_none() {
    for (directive, reason) in [
        ("skip-if: SELEC 1", "near \"SELEC\": syntax error"),
        ("require: SELECT (1", "incomplete input"),
        ("verify: DELETE FROM users", "changes nothing"),
        ("verify: SELECT 1; SELECT 2", "one query"),
    ] {
        let sandbox = with("002_more.sql", format!("-- {directive}\nCREATE TABLE more (x);\n"));
        refused(&sandbox, 4, &["refused [declared]", "`002_more.sql`", directive, reason]);
    }
    // What a query asks about may be made by the file itself.
    let text = "-- skip-if: SELECT x FROM more\n-- verify: SELECT count(*) = 0 FROM more\nCREATE TABLE more (x);\n";
    with("002_more.sql", text).run("up").success().says("002_more.sql");
}
