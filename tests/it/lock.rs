//! Two pitons at once: the second names the first, or waits for it.

use crate::sandbox::{PITON, Sandbox};
use std::time::{Duration, Instant};

/// A project whose next run takes a while, and says when it has begun.
fn slow() -> Sandbox {
    let sandbox = Sandbox::with_users();
    sandbox.write(
        "migrations/002_slow.sh",
        "#!/bin/sh\ntouch \"$PITON_DATA_DIR/../begun\"\nsleep 2\n",
    );
    sandbox
}

pub fn wait_for(sandbox: &Sandbox, name: &str) {
    let clock = Instant::now();
    while !sandbox.exists(name) {
        assert!(clock.elapsed() < Duration::from_secs(20), "{name} never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_second_names_the_first_or_waits() {
    let sandbox = slow();
    let first = sandbox.start("up");
    wait_for(&sandbox, "begun");
    let pid = first.id();
    for words in ["up", "backup", "restore --yes", "rollback --yes", "adopt --at 1", "recover"] {
        let ran = sandbox.run(words).code(8);
        assert!(ran.stderr.contains(&format!("pid {pid} on ")), "{}", ran.whole());
        assert!(ran.stderr.contains(&format!("({PITON} up)")), "{}", ran.whole());
        assert!(ran.stderr.contains("hint: wait for it to end"), "{}", ran.whole());
    }
    assert_eq!(sandbox.run("backup --json").code(8).json()["outcome"], "locked");
    // Those who only look are not held up.
    sandbox.run("backups").success();
    sandbox.run("history").success();
    let waits = sandbox.run("up --wait").success().says("nothing to do");
    waits.says(&format!("waiting for pid {pid} on "));
    sandbox.ended(first).success();
}

#[test]
fn a_dead_one_locks_nothing() {
    let sandbox = slow();
    let mut first = sandbox.start("up");
    wait_for(&sandbox, "begun");
    first.kill().unwrap();
    first.wait().unwrap();
    sandbox.run("backup").success();
}
