//! What a restore and a rollback touch, what they ask about, and how backups are named.

use crate::sandbox::Sandbox;
use std::{fs, os::unix::fs::MetadataExt};

#[test]
fn a_restore_leaves_alone_what_is_as_in_the_backup() {
    let sandbox = Sandbox::with_users().file("data/up/a", "one").file("data/b", "two");
    sandbox.execute("other.db", "CREATE TABLE x (y)");
    fs::hard_link(sandbox.path("data/up/a"), sandbox.path("data/up/c")).unwrap();
    std::os::unix::fs::symlink("up/a", sandbox.path("data/link")).unwrap();
    let id = sandbox.back_up();
    let look = |name: &str| {
        let found = fs::symlink_metadata(sandbox.path(name)).unwrap();
        (found.ino(), found.nlink(), found.ctime_nsec(), found.mtime_nsec())
    };
    let names = ["data/up/a", "data/up/c", "data/link", "data/other.db", "data/up"];
    let before = names.map(look);
    sandbox.execute("app.db", "DELETE FROM users");
    // The same size and the same time, and other content.
    let time = fs::metadata(sandbox.path("data/b")).unwrap().modified().unwrap();
    fs::write(sandbox.path("data/b"), "six").unwrap();
    fs::File::options()
        .write(true)
        .open(sandbox.path("data/b"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    sandbox.write("data/new/deep/file", "x");
    // One that a process has open is no reason to refuse where it is not touched.
    let service = sandbox.database("other.db");
    service.query_row("SELECT count(*) FROM x", [], |_| Ok(())).unwrap();
    let dry = sandbox.run(&format!("restore {id} --dry-run")).success();
    dry.says("folders that go: `new/deep`, `new`").never_says("other.db").says("1 file put back");
    sandbox.run(&format!("restore {id} --yes")).success();
    assert_eq!(names.map(look), before);
    assert_eq!(sandbox.read("data/b"), "two");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users"), "2");
    assert!(!sandbox.exists("data/new"));
    sandbox.run("restore --undo --yes").success();
    assert_eq!(sandbox.read("data/b"), "six");
    assert!(sandbox.exists("data/new/deep/file"));
    assert_eq!(names.map(look), before);
}

#[test]
fn only_can_mean_one_path_and_must_mean_something() {
    let sandbox = Sandbox::with_users();
    sandbox.execute("sub/app.db", "CREATE TABLE x (y)");
    sandbox.run("backup").success();
    sandbox.execute("app.db", "DELETE FROM users");
    sandbox.execute("sub/app.db", "INSERT INTO x VALUES (1)");
    sandbox.run("restore --only app.db --dry-run").success().says("  sub/app.db is replaced");
    sandbox.run("restore --only /app.db --dry-run").success().never_says("sub/app.db");
    for words in
        ["--only 'x*' --dry-run", "--only /sub/x.db --yes", "--only app.db --only typo --yes"]
    {
        let ran = sandbox.run(&format!("restore {}", words.replace('\'', ""))).code(2);
        ran.one_error().says("matches");
    }
    sandbox.run("restore --only /app.db --yes").success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users"), "2");
    assert_eq!(sandbox.query("sub/app.db", "SELECT count(*) FROM x"), "1");
}

/// A second migration that adds a table, and rows that were written after it ran.
fn written_since() -> Sandbox {
    let sandbox = Sandbox::with_users().migration(
        "002_more.sql",
        "CREATE TABLE more (a); INSERT INTO more VALUES (1); ALTER TABLE users ADD COLUMN mail TEXT;",
    );
    sandbox.run("up").success();
    sandbox
}

#[test]
fn a_rollback_names_its_run_and_loses_no_row_without_a_word() {
    // What the run itself wrote is no loss.
    let sandbox = written_since();
    let ran = sandbox.run("rollback --dry-run").success();
    ran.says("rollback of the run of 20").says("  app.db: 002_more");
    let run = sandbox.run("rollback --yes --json").success().json();
    assert_eq!(run["run"]["rows_since"], 0);
    assert_eq!(run["run"]["databases"][0]["committed"][0], "002_more");
    for (flag, code) in [("", 4), (" --lose-rows", 0), (" --save-lost lost.sql", 0)] {
        let sandbox = written_since();
        sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('since')");
        let before = sandbox.data();
        let ran = sandbox.run(&format!("rollback --yes{flag}")).code(code);
        assert_eq!(sandbox.data() == before, code == 4, "{flag}");
        match code {
            4 => drop(ran.one_error().says("would be lost").says("--save-lost FILE")),
            _ => drop(ran.says("restored ")),
        }
    }
    // In another database than the run has changed.
    let sandbox = written_since();
    sandbox.execute("other.db", "CREATE TABLE x (a); INSERT INTO x VALUES (1)");
    sandbox.run("rollback --yes").code(4).says("1 rows that may have been written since");
    // Written and taken away again: nothing would be lost but what the run wrote.
    let sandbox = Sandbox::with_users().migration("002_x.sql", "CREATE TABLE x (a);");
    sandbox.run("up").success();
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('since')");
    sandbox.execute("app.db", "DELETE FROM users WHERE name = 'since'");
    sandbox.run("rollback --yes").success();
}

#[test]
fn a_run_that_was_interrupted_before_it_began_is_not_gone_back_over() {
    let sandbox = written_since();
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('a year of customers')");
    sandbox.write("migrations/003_last.sql", "CREATE TABLE last (a);");
    let before = sandbox.data();
    let kill = |words: &str| {
        let mut command = sandbox.command(words);
        command.env("PITON_FAULT", "publish-rename:1:kill");
        assert!(!command.output().unwrap().status.success());
    };
    kill("up");
    sandbox.run("status").success().says("was cut off before it committed anything");
    for _ in 0..2 {
        let ran = sandbox.run("rollback --yes").success();
        ran.says("nothing to do").says("interrupted while it took its backup");
        assert_eq!(sandbox.data(), before);
    }
    sandbox.run("up").success().says("done: 1 migration");
    sandbox.run("rollback --yes").success().says("restored ");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users"), "3");
    // The same of an operation, and of a run whose backup fails: the run before it stays the last.
    let sandbox = sandbox.script("tidy.sql", "DELETE FROM users WHERE name = 'nobody';");
    sandbox.run("up").success();
    let mut failing = sandbox.command("run tidy");
    failing.env("PITON_FAULT", "publish-rename:1:5");
    sandbox.finish(failing).code(5);
    sandbox.run("status").success().never_says("cut off");
    sandbox.run("rollback --yes").success().says("003_last");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users"), "3");
}

#[test]
fn backups_have_the_names_that_people_use() {
    let sandbox = Sandbox::with_users();
    let first = sandbox.back_up();
    sandbox.run(&format!("backups label {first} before-import")).success();
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('cy')");
    let second = sandbox.back_up();
    let today = format!("{}-{}-{}", &second[..4], &second[4..6], &second[6..8]);
    let names = |words: &str, id: &str| {
        let ran = sandbox.run(&format!("restore --json --dry-run {words}")).success();
        assert_eq!(ran.json()["backup"], id, "{words}");
    };
    names("before-import", &first);
    names(&today, &second);
    names(&format!("--at {today}"), &second);
    names("--at 2999-01-01", &second);
    for words in ["nothing", "yesterday", "2001-01-01", "--before 2001-01-01", "--at noon"] {
        sandbox.run(&format!("restore --dry-run {words}")).code(2).one_error();
    }
    sandbox.run(&format!("restore --at {today} {first}")).code(2).says("cannot be used with");
    sandbox.run(&format!("backups label {second} before-import")).success();
    let ran = sandbox.run("restore --yes before-import").code(2).one_error();
    ran.says(&first).says(&second);
    sandbox.run("verify before-import").code(2).one_error();
}
