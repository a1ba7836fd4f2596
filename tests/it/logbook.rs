//! What happened beyond the ledgers: kept beside the backups, shown by `history` and `status`.

use crate::{
    lock::wait_for,
    sandbox::{Sandbox, USERS},
};

/// Command and outcome of each entry, oldest first.
fn happened(sandbox: &Sandbox) -> Vec<String> {
    let document = sandbox.run("history --json").success().json();
    let entries = document["happened"].as_array().unwrap().iter();
    entries
        .map(|it| {
            format!("{} {}", it["command"].as_str().unwrap(), it["outcome"].as_str().unwrap())
        })
        .collect()
}

#[test]
fn a_failed_run_is_kept_and_said_until_one_went_well() {
    let sandbox = Sandbox::with_users();
    sandbox.run("status").success().never_says("did not end well");
    sandbox
        .write("migrations/002_again.sql", "INSERT INTO users (id, name) VALUES (1, 'again');\n");
    sandbox.run("up").code(5);
    assert_eq!(happened(&sandbox), ["up failed"]);
    let entry = sandbox.run("history --json").json()["happened"][0].clone();
    assert!(entry["reason"].as_str().unwrap().contains("UNIQUE"), "{entry}");
    assert!(
        entry["backup"].is_string() && entry["typed"].as_str().unwrap().contains("up"),
        "{entry}"
    );
    sandbox.run("history").says("what else happened").says("failed      up").says("UNIQUE");
    sandbox.run("status").says("did not end well").says("UNIQUE");
    sandbox.write("migrations/002_again.sql", "INSERT INTO users (name) VALUES ('again');\n");
    sandbox.run("up").success();
    sandbox.run("status").success().never_says("did not end well");
    assert_eq!(happened(&sandbox), ["up failed"], "what went well is in the ledger");
    sandbox.run("backups").success().never_says("logbook");
}

#[test]
fn what_is_refused_is_no_event_and_leaves_no_folder() {
    let sandbox = Sandbox::new().migration("001_users.sql", "CREATE TABLE users (id;\n");
    sandbox.run("up").code(4);
    assert!(!sandbox.exists("backups"));
    sandbox.write("migrations/001_users.sql", USERS);
    sandbox.run("up").success();
    sandbox.run("restore 1999 --yes").code(2);
    assert!(happened(&sandbox).is_empty());
}

#[test]
fn restores_undos_and_rollbacks_are_kept_with_their_backups() {
    let sandbox = Sandbox::with_users();
    let id = sandbox.back_up();
    sandbox.execute("app.db", "DELETE FROM users");
    sandbox.run(&format!("restore {id} --yes")).success();
    sandbox.run("restore --undo --yes").success();
    sandbox.write("migrations/002_more.sql", "ALTER TABLE users ADD COLUMN more TEXT;\n");
    sandbox.run("up").success();
    sandbox.run("rollback --yes").success();
    assert_eq!(happened(&sandbox), ["restore done", "undo done", "rollback done"]);
    let entries = sandbox.run("history --json").json()["happened"].clone();
    assert_eq!(entries[0]["about"], id.as_str());
    assert!(entries[0]["backup"].is_string(), "the safety backup: {entries}");
    assert!(entries[2]["typed"].as_str().unwrap().contains("rollback"));
    sandbox.run("history").says(&format!("restore {id} (user "));
}

#[test]
fn a_killed_run_is_kept_when_the_next_one_notices() {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/002_kill.sh", "#!/bin/sh\n: $PITON_DATABASE\nkill -9 $PPID\n");
    sandbox.run("up").killed();
    sandbox.run("status").says("was cut off");
    sandbox.run("up");
    assert_eq!(happened(&sandbox)[0], "up interrupted");
}

#[test]
fn status_says_who_works_and_never_proposes_what_would_be_refused() {
    let sandbox = Sandbox::with_users().migration(
        "002_slow.sh",
        "#!/bin/sh\n: $PITON_DATABASE\ntouch begun\nwhile test ! -e go; do sleep 0.05; done\n",
    );
    let child = sandbox.start("up");
    wait_for(&sandbox, "begun");
    let pid = child.id().to_string();
    let ran = sandbox.run("status");
    sandbox.write("go", "");
    sandbox.ended(child).success();
    let ran =
        ran.says(&format!("note: pid {pid} works on the data directory (")).says("up, since 20");
    ran.says("next: piton status, when that process has ended").never_says("piton up does it");
    sandbox.run("status").never_says("works on the data directory");
    sandbox.write(
        "data/.piton/hold.json",
        r#"{"deploy":"20261130T234903Z-3f850a","release":null,"since":"2026-11-30T23:49:03Z","reason":"sick"}"#,
    );
    sandbox.write("migrations/003_more.sql", "ALTER TABLE users ADD COLUMN more TEXT;\n");
    let ran = sandbox.run("status").says("note: migrations are held").says("sick");
    ran.says("--lift-hold").never_says("piton up does it");
}

#[test]
fn a_line_of_a_later_piton_is_kept_and_left_out() {
    let sandbox = Sandbox::with_users();
    sandbox.write("backups/.logbook.jsonl", "{\"format\": 9, \"words\": 1}\nnonsense\n");
    assert!(happened(&sandbox).is_empty());
    sandbox
        .write("migrations/002_again.sql", "INSERT INTO users (id, name) VALUES (1, 'again');\n");
    sandbox.run("up").code(5);
    assert_eq!(happened(&sandbox), ["up failed"]);
    assert!(sandbox.read("backups/.logbook.jsonl").starts_with("{\"format\": 9, \"words\": 1}\n"));
}

/// What a killed command had half written of its note is gone with the next one.
#[test]
fn a_half_written_note_goes() {
    let sandbox = Sandbox::with_users();
    for name in [".logbook.jsonl.partial", ".last-backup.json.partial"] {
        sandbox.write(&format!("backups/{name}"), "half");
    }
    sandbox.run("up").success().says("nothing to do");
    for name in [".logbook.jsonl.partial", ".last-backup.json.partial"] {
        assert!(!sandbox.exists(&format!("backups/{name}")), "{name}");
    }
}
