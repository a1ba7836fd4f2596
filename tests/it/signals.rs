//! INT, TERM and HUP: whatever they meet ends in order, and says what came of it.

use crate::{lock::wait_for, sandbox::Sandbox};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    process::Child,
    thread::sleep,
    time::{Duration, Instant},
};

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// A statement that runs for minutes.
const ENDLESS: &str = "INSERT INTO users (name) WITH RECURSIVE n (i) AS \
    (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 2000000000) SELECT max(i) FROM n;";

#[test]
fn a_statement_is_broken_off() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let sandbox = Sandbox::with_users().migration("002_endless.sql", ENDLESS);
        let before = sandbox.content();
        let child = sandbox.start("up");
        let clock = Instant::now();
        while !["open", "running"]
            .map(|word| format!("\"{word}\""))
            .iter()
            .all(|word| sandbox.read("data/.piton/last-run.json").contains(word))
        {
            assert!(clock.elapsed() < Duration::from_secs(20), "it never began");
            sleep(Duration::from_millis(10));
        }
        sleep(Duration::from_millis(200));
        send(&child, signal);
        let ran = sandbox.ended(child).code(14);
        ran.says("interrupted: everything is as before");
        assert_eq!(sandbox.content(), before);
        sandbox.run("status").success().never_says("cut off");
    }
}

#[test]
fn a_script_and_its_children_are_ended_and_the_backup_put_back() {
    let sandbox = Sandbox::with_users().migration(
        "002_slow.sh",
        "#!/bin/sh\n(sleep 3; echo late >\"$PITON_DATA_DIR/late\") &\n\
         echo x >\"$PITON_DATA_DIR/half\"\ntouch \"$PITON_DATA_DIR/../begun\"\nsleep 60\n",
    );
    let before = sandbox.content();
    let child = sandbox.start("up");
    wait_for(&sandbox, "begun");
    let clock = Instant::now();
    send(&child, Signal::TERM);
    let ran = sandbox.ended(child).code(6);
    ran.says("was interrupted and stopped").says("was put back");
    assert!(clock.elapsed() < Duration::from_secs(30));
    assert_eq!(sandbox.content(), before);
    sleep(Duration::from_millis(3500));
    assert!(!sandbox.exists("data/late"));
}

#[test]
fn waiting_for_another_piton_ends() {
    let sandbox = Sandbox::with_users()
        .migration("002_slow.sh", "#!/bin/sh\ntouch \"$PITON_DATA_DIR/../begun\"\nsleep 60\n");
    let mut first = sandbox.start("up");
    wait_for(&sandbox, "begun");
    let second = sandbox.start("backup --wait");
    sleep(Duration::from_millis(500));
    send(&second, Signal::INT);
    sandbox.ended(second).code(14).says("interrupted; everything is as before");
    first.kill().unwrap();
    first.wait().unwrap();
}

/// A project whose archive takes a while to write and to read.
fn large() -> Sandbox {
    let sandbox = Sandbox::with_users();
    for number in 0..12 {
        // What cannot be compressed, so that a backup takes longer than a signal to come.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 + number;
        let words = (0..(8 << 20) / 8).flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        sandbox.write(&format!("data/{number}.bin"), words.collect::<Vec<u8>>());
    }
    sandbox
}

#[test]
fn a_backup_leaves_nothing_and_a_restore_changes_nothing() {
    let sandbox = large();
    let names = || -> Vec<_> {
        let entries = fs::read_dir(sandbox.path("backups")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let child = sandbox.start("backup");
    wait_for(&sandbox, "backups/.staging");
    send(&child, Signal::INT);
    sandbox.ended(child).code(14).says("interrupted; everything is as before");
    assert_eq!(names(), before);
    let id = sandbox.back_up();
    sandbox.execute("app.db", "DELETE FROM users");
    let before = sandbox.content();
    let child = sandbox.start(&format!("restore {id} --yes"));
    wait_for(&sandbox, "data/.piton/staging");
    send(&child, Signal::TERM);
    sandbox.ended(child).code(14);
    assert_eq!(sandbox.content(), before);
    assert!(!sandbox.exists("data/.piton/staging") && !sandbox.exists("data/.piton/restore.json"));
}

#[test]
fn what_is_ignored_stays_ignored() {
    let sandbox = Sandbox::with_users()
        .migration("002_slow.sh", "#!/bin/sh\ntouch \"$PITON_DATA_DIR/../begun\"\nsleep 1\n");
    let mut command = sandbox.program("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" up", crate::sandbox::PITON]);
    let child = command.spawn().unwrap();
    wait_for(&sandbox, "begun");
    send(&child, Signal::HUP);
    sandbox.ended(child).success();
    sandbox.run("up").success().says("nothing to do");
}
