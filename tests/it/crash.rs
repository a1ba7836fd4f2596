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

#[test]
fn a_database_whose_writer_was_killed_can_be_read_and_migrated() {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    let before = sandbox.dump("app.db");
    // The files of half a transaction, as a kill leaves them: without its journal it is damaged.
    let writer = sandbox.database("app.db");
    writer
        .execute_batch(
            "PRAGMA cache_size = 2;\nBEGIN;\n\
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)\n\
             INSERT INTO users (name) SELECT printf('%.*c', 500, 'x') FROM n;",
        )
        .unwrap();
    let copy = "cp data/app.db database && cp data/app.db-journal journal";
    assert!(sandbox.program("sh").args(["-c", copy]).status().unwrap().success());
    drop(writer);
    let leave = "cp database data/app.db && cp journal data/app.db-journal";
    let left = || assert!(sandbox.program("sh").args(["-c", leave]).status().unwrap().success());
    left();
    // A preview folds nothing: what the crash has left is kept as it is.
    let said = "a journal that a crash has left lies beside it";
    sandbox.run("restore --dry-run").success().says(said).never_says("readonly");
    for words in ["status", "plan", "diff", "up"] {
        left();
        sandbox.run(words).success().never_says("readonly").never_says("cannot");
    }
    sandbox.run("rollback --yes").success();
    assert_eq!(sandbox.dump("app.db"), before);
}

#[test]
fn what_a_script_wrote_is_durable_before_the_ledger_says_so() {
    let script = "#!/bin/sh\necho moved >\"$PITON_DATA_DIR/moved.txt\"\n";
    let sandbox = Sandbox::with_users().file("migrations/002_move.sh", script);
    let before = sandbox.content();
    let mut command = sandbox.command("up");
    command.env("PITON_FAULT", "script-sync:1:5");
    sandbox.finish(command).code(6).says("Input/output error");
    assert_eq!(sandbox.content(), before);
    sandbox.run("up").success();
    assert_eq!(sandbox.read("data/moved.txt"), "moved\n");
}

#[test]
fn between_two_databases_it_is_said_what_is_committed() {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    sandbox.write("migrations/b/001_t.sql", "CREATE TABLE t (a);");
    sandbox.write(
        "migrations/b/002_wait.sh",
        "#!/bin/sh\ntouch \"$PITON_DATA_DIR/../begun\"\nsleep 20\n",
    );
    let before = sandbox.content();
    let mut child = sandbox.start("up");
    wait_for(&sandbox, "begun");
    // It goes on: nothing was cut off.
    sandbox.run("status").success().never_says("cut off");
    child.kill().unwrap();
    child.wait().unwrap();
    for words in ["status", "plan"] {
        let ran = sandbox.run(words).success();
        ran.says("was cut off")
            .says("app.db: committed 002_mail")
            .says("b.db: committed 001_t")
            .says("002_wait began and did not end")
            .says("`piton rollback` goes back to before it");
        let found = &sandbox.run(&format!("{words} --json")).success().json()["interrupted"];
        assert_eq!(found["databases"][0]["committed"][0], "002_mail", "{found}");
        assert_eq!(found["databases"][1]["unfinished"][0], "002_wait", "{found}");
    }
    sandbox.run("rollback --yes").success();
    assert_eq!(sandbox.content(), before);
    sandbox.run("status").success().never_says("cut off");
}

#[test]
fn in_the_script_of_the_second_database_the_way_on_is_back() {
    let sandbox = Sandbox::with_users().migration("b/001_t.sql", "CREATE TABLE t (a);");
    sandbox.run("up").success();
    sandbox.write("migrations/002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    sandbox.write(
        "migrations/b/002_wait.sh",
        "#!/bin/sh\ntouch \"$PITON_DATA_DIR/../begun\"\nsleep 20\n",
    );
    let mut child = sandbox.start("up");
    wait_for(&sandbox, "begun");
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.run("status").success().says("b.db: committed nothing");
    sandbox.run("up").code(4).says("rollback");
    sandbox.run("rollback --yes").success();
    sandbox.write("migrations/b/002_wait.sh", "#!/bin/sh\necho fast\n");
    sandbox.run("up").success().says("done: 2 migrations").never_says("cut off");
}

#[test]
fn a_note_that_was_not_ended_is_ended_by_the_next_run() {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    sandbox.write("migrations/003_more.sql", "ALTER TABLE users ADD COLUMN more TEXT;");
    let kill = |nth: u32, words: &str| {
        let mut command = sandbox.command(words);
        command.env("PITON_FAULT", format!("last-run:{nth}:kill"));
        assert!(!command.output().unwrap().status.success());
    };
    // Its file and its folder take a step each: this is the third note, after the commit.
    kill(5, "up --to 2");
    let ran = sandbox.run("status").success().says("was cut off").says("committed 002_mail");
    ran.says("`piton up` goes on from there, `piton rollback` goes back to before it");
    sandbox.run("up").success().says("was cut off").says("done: 1 migration");
    sandbox.run("status").success().never_says("cut off");
    sandbox.write("migrations/004_last.sql", "ALTER TABLE users ADD COLUMN last TEXT;");
    // Before anything was committed, and at the very end.
    kill(4, "up");
    sandbox.run("status").success().says("was cut off before it committed anything");
    // The note of a run that goes on is written once less: what was cut off is noted already.
    kill(3, "up");
    sandbox.run("up").success().says("nothing to do");
    sandbox.run("status").success().never_says("cut off");
    sandbox.run("rollback --yes").success();
    assert!(!sandbox.dump("app.db").contains("last"));
}
