//! Killed in the middle: the next command says what to do, and nothing is half done.

use crate::{lock::wait_for, sandbox::Sandbox};

#[test]
fn in_a_script() {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    sandbox.write(
        "migrations/003_slow.sh",
        "#!/bin/sh\ntouch \"$PITON_DATA_DIR/../begun\"\nsleep 1\necho late >\"$PITON_DATA_DIR/late\"\n",
    );
    let before = sandbox.content();
    let mut child = sandbox.start("up");
    wait_for(&sandbox, "begun");
    child.kill().unwrap();
    child.wait().unwrap();
    // The script ended with it: nothing may change behind a rollback.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(!sandbox.exists("data/late"));
    for words in ["status", "plan"] {
        sandbox.run(words).success().says("003_slow.sh").says("hint: ");
    }
    let ran = sandbox.run("up").code(4);
    ran.says("003_slow.sh").says("rollback").says("nothing was touched");
    sandbox.run("rollback --yes").success();
    assert_eq!(sandbox.content(), before);
    sandbox.write("migrations/003_slow.sh", "#!/bin/sh\necho fast\n");
    sandbox.run("up").success().says("done: 2 migrations");
}

#[test]
fn anywhere_in_a_run() {
    for nth in 1..60 {
        let sandbox = Sandbox::with_users().file("data/a.txt", "x");
        sandbox.write("migrations/002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
        let before = sandbox.content();
        let mut command = sandbox.command("up");
        command.env("PITON_FAULT", format!("*:{nth}:kill"));
        if command.output().unwrap().status.success() {
            assert!(nth > 10, "there are only {nth} points");
            return;
        }
        sandbox.run("status").success();
        let now = sandbox.content();
        let mail = now.0[0].contains("mail");
        assert!(now == before || mail, "{nth}: {now:?}");
        for id in sandbox.backups() {
            sandbox.run(&format!("verify {id}")).success();
        }
        sandbox.run("up").success();
        assert!(sandbox.dump("app.db").contains("mail"), "{nth}");
        sandbox.run("up").success().says("nothing to do");
    }
    panic!("the points have no end");
}

#[test]
fn anywhere_in_a_backup() {
    for nth in 1..60 {
        let sandbox = Sandbox::with_users().file("data/a.txt", "x");
        let before = sandbox.data();
        let mut command = sandbox.command("backup");
        command.env("PITON_FAULT", format!("*:{nth}:kill"));
        if command.output().unwrap().status.success() {
            assert!(nth > 5, "there are only {nth} points");
            return;
        }
        assert_eq!(sandbox.data(), before);
        for id in sandbox.backups() {
            sandbox.run(&format!("verify {id}")).success();
        }
        let id = sandbox.back_up();
        sandbox.run(&format!("verify {id}")).success();
        sandbox.run("verify").success();
        let left = sandbox.run("backups").success();
        left.never_says("not a backup").never_says("damaged");
    }
    panic!("the points have no end");
}

#[test]
fn every_step_of_a_run_may_fail() {
    for nth in 1..60 {
        let sandbox = Sandbox::with_users().file("data/a.txt", "x");
        sandbox.write("migrations/002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
        let before = sandbox.content();
        let mut command = sandbox.command("up");
        command.env("PITON_FAULT", format!("*:{nth}:28"));
        let ran = sandbox.finish(command);
        if !ran.stderr.contains("error: ") {
            assert!(nth > 10, "there are only {nth} points: {}", ran.whole());
            return;
        }
        assert!(ran.stderr.contains("No space left on device"), "{nth}: {}", ran.whole());
        assert!(ran.stderr.contains("hint: "), "{nth}: {}", ran.whole());
        let now = sandbox.content();
        assert!(now == before || now.0[0].contains("mail"), "{nth}: {now:?}");
        sandbox.run("up").success();
        sandbox.run("up").success().says("nothing to do");
    }
    panic!("the points have no end");
}
