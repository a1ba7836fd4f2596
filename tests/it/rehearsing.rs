//! A rehearsal reaches no live data, whatever its scripts find by themselves, and says what it left out.

use crate::sandbox::{PITON, Sandbox};
use std::{fs, process::Command};

/// A history whose second file is a script that finds the database by settings of its own.
fn with_script(text: &str) -> Sandbox {
    let sandbox = Sandbox::new().migration("001_t.sql", "CREATE TABLE t (a);\n");
    sandbox.run("up").success();
    sandbox.write("migrations/002_own.sh", text);
    sandbox
}

const ADDS: &str = "#!/bin/sh\nsqlite3 data/app.db 'ALTER TABLE t ADD COLUMN b'\n";

fn columns(sandbox: &Sandbox) -> String {
    sandbox.query("app.db", "SELECT group_concat(name) FROM pragma_table_info('t')")
}

/// Whether this system lets this user have a mount namespace.
fn has_namespaces() -> bool {
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

#[test]
fn a_script_with_settings_of_its_own_sees_the_copy_at_the_live_path() {
    if !has_namespaces() {
        return;
    }
    let sandbox = with_script(ADDS);
    let whole = sandbox.path("data/app.db");
    sandbox.write(
        "migrations/003_whole.sh",
        format!("#!/bin/sh\nsqlite3 {} 'ALTER TABLE t ADD COLUMN c'\n", whole.display()),
    );
    sandbox.write(
        "migrations/004_given.sh",
        "#!/bin/sh\nsqlite3 \"$PITON_DATABASE\" 'ALTER TABLE t ADD COLUMN d'\n\
         echo file > \"$PITON_DATA_DIR/file\"\ntest -e data/file\n",
    );
    sandbox.write("migrations/005_sql.sql", "CREATE TABLE u (a);\n");
    let before = sandbox.data();
    let ran = sandbox.run("rehearse").success().says("ran with the copy in the place of");
    ran.says("+ table `t`, column `b`").says("rehearsed: it works on a copy");
    assert_eq!(sandbox.data(), before);
    let document = sandbox.run("rehearse --json").success().json();
    assert_eq!(document["scripts"][0]["how"], "enclosed");
    assert_eq!(document["live"], serde_json::json!([]));
    sandbox.run("up --rehearse").success();
    assert_eq!(columns(&sandbox), "a,b,c,d");
}

#[test]
fn a_rehearsal_that_reached_the_live_data_has_failed_and_says_what_changed() {
    for (sql, said) in [
        ("ALTER TABLE t ADD COLUMN b", "column `b`"),
        ("PRAGMA user_version = 5", "+ pragma `user_version`: 5"),
        ("DELETE FROM _piton_ledger", "its ledger is another"),
        ("DELETE FROM t", "rows were written to it"),
    ] {
        // Root can take the copy out of the way.
        let text = format!("#!/bin/sh\numount -l data && sqlite3 data/app.db \"{sql}\"\n");
        let sandbox = with_script(&text);
        sandbox.execute("app.db", "INSERT INTO t VALUES (1)");
        let is_root =
            std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0;
        if !is_root || !has_namespaces() {
            println!("skipped: only root can unmount the copy");
            return;
        }
        let ran = sandbox.run("rehearse").code(7);
        ran.says("live data changed while it was rehearsed").says(said).says("piton diff");
    }
}

#[test]
fn a_script_that_acts_elsewhere_is_left_out_and_what_needs_it_is_not_rehearsed() {
    let sandbox = with_script("#!/bin/sh\nssh db.example ./add-column\n");
    sandbox.write(
        "migrations/003_needs.sh",
        "#!/bin/sh\nsqlite3 \"$PITON_DATABASE\" 'UPDATE t SET b = 1'\n",
    );
    sandbox.write("migrations/004_more.sql", "CREATE TABLE u (a);\n");
    let before = sandbox.data();
    let ran = sandbox.run("rehearse").success().says("002_own.sh: left out: it calls `ssh`");
    let ran = ran
        .says("not rehearsed app.db: 003_needs.sh, 004_more.sql: a script before it was left out");
    ran.says("the rest works on a copy");
    assert_eq!(sandbox.data(), before);
    let document = sandbox.run("rehearse --json").success().json();
    assert_eq!(document["scripts"][0]["how"], "left-out");
    assert_eq!(document["not_rehearsed"][0]["migrations"][0], "003_needs.sh");
}

#[test]
fn what_fails_without_needing_what_was_left_out_has_failed() {
    let sandbox = with_script("#!/bin/sh\nfalse $PITON_DATABASE\n");
    sandbox.write("migrations/003_ssh.sh", "#!/bin/sh\nssh db.example true\n");
    sandbox.run("rehearse").code(5).says("002_own.sh").says("are what they were");
}

#[test]
fn without_namespaces_only_scripts_that_name_the_data_are_rehearsed() {
    // A user namespace whose limit of mount namespaces is none.
    let inside = "echo 0 > /proc/sys/user/max_mnt_namespaces && exec \"$0\" rehearse";
    let sandbox = with_script(ADDS);
    sandbox.write(
        "migrations/003_given.sh",
        "#!/bin/sh\nsqlite3 \"$PITON_DATABASE\" 'CREATE TABLE given (a)'\n",
    );
    let mut command = sandbox.program("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", inside, PITON]);
    let before = sandbox.data();
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).to_string();
    if text.contains("unshare failed") || text.contains("max_mnt_namespaces") {
        return;
    }
    let ran = sandbox.finish(command).success();
    let ran = ran.says("002_own.sh: left out: it does not name the data directory");
    ran.says("003_given.sh: ran on the data directory that it was given");
    assert_eq!(sandbox.data(), before);
}

#[test]
fn a_user_who_is_not_root_has_a_namespace_as_well() {
    let allowed = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "unshare",
            "--user",
            "--mount",
            "true",
        ])
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return;
    }
    let sandbox = with_script(ADDS);
    let piton = sandbox.path("piton");
    std::fs::copy(PITON, &piton).unwrap();
    let root = sandbox.path("").display().to_string();
    let mut owner = sandbox.program("chown");
    sandbox
        .finish({
            owner.args(["-R", "65534:65534", &root]);
            owner
        })
        .success();
    let before = sandbox.data();
    let mut command = sandbox.program("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(piton).arg("rehearse");
    sandbox.finish(command).success().says("ran with the copy in the place of");
    assert_eq!(sandbox.data(), before);
}

/// Ways to the live data around the copy: a second mount is covered by it, and for a second name of a
/// database, or a link that leads out of the data, scripts are left out by name.
#[test]
fn no_way_around_the_copy_reaches_live_data() {
    const BY_HAND: &str = "#!/bin/sh\nsqlite3 PLACE \"DELETE FROM users\"\n";
    let rows = |sandbox: &Sandbox| sandbox.query("app.db", "SELECT count(*) FROM users");
    let with = |place: &str| {
        Sandbox::with_users().migration("002_delete.sh", &BY_HAND.replace("PLACE", place))
    };
    let sandbox = with("second.db");
    let before = rows(&sandbox);
    assert_ne!(before, "0");
    fs::hard_link(sandbox.path("data/app.db"), sandbox.path("second.db")).unwrap();
    sandbox.run("rehearse").success().says("left out: `app.db` has a second name");
    assert_eq!(rows(&sandbox), before);

    let sandbox = with("$PITON_DATA_DIR/other.db");
    fs::create_dir(sandbox.path("outside")).unwrap();
    let outside = sandbox.path("outside/other.db");
    let other = rusqlite::Connection::open(&outside).unwrap();
    other.execute_batch("CREATE TABLE users (a); INSERT INTO users VALUES (1)").unwrap();
    std::os::unix::fs::symlink(&outside, sandbox.path("data/other.db")).unwrap();
    sandbox.run("rehearse").success().says("left out: `other.db`").says("leads out of it");
    let left: i64 = other.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);

    let sandbox = with("second/app.db");
    fs::create_dir(sandbox.path("second")).unwrap();
    let mounted = Command::new("mount")
        .args(["--bind", "data", "second"])
        .current_dir(sandbox.path(""))
        .status();
    if !mounted.is_ok_and(|it| it.success()) {
        println!("skipped: this user cannot mount");
        return;
    }
    let ran = sandbox.run("rehearse");
    let left = rows(&sandbox);
    let unmounted = Command::new("umount").arg(sandbox.path("second")).status().unwrap();
    assert!(unmounted.success());
    ran.success().says("rows of users");
    assert_eq!(left, before);
}
