//! `restore`: the preview, the act, the way back.

use crate::{
    programs::lacks,
    sandbox::{Sandbox, files},
};

fn wrecked() -> Sandbox {
    let sandbox = Sandbox::with_users().file("data/uploads/a.txt", "hello");
    sandbox.run("backup").success();
    sandbox.execute(
        "app.db",
        "INSERT INTO users (name) VALUES ('later'); DELETE FROM users WHERE id = 1",
    );
    sandbox.execute("extra.db", "CREATE TABLE x (y)");
    sandbox.write("data/uploads/a.txt", "changed");
    sandbox.write("data/uploads/b.txt", "new");
    sandbox
}

#[test]
fn puts_everything_back_and_takes_it_back_again() {
    let sandbox = Sandbox::with_users().file("data/uploads/a.txt", "hello");
    let original = sandbox.content();
    let id = sandbox.back_up();
    sandbox.execute("app.db", "DELETE FROM users");
    sandbox.write("data/uploads/a.txt", "changed");
    sandbox.write("data/new.txt", "new");
    let wreck = sandbox.content();
    sandbox.run(&format!("restore {id} --yes")).success().stderr("").stdout(
        "backup [ID] of [AGO]\n  app.db is replaced\n    users: 0 rows now, 2 then\n  \
         1 file put back, 1 file set aside\nrestored [ID]\n  the state before it is backup [ID]\n\
         next: piton status; to take it back: piton restore --undo\n",
    );
    assert_eq!(sandbox.content(), original);
    sandbox.run("restore --undo --yes").success();
    assert_eq!(sandbox.content(), wreck);
}

#[test]
fn the_preview_names_what_would_be_lost_and_touches_nothing() {
    let sandbox = wrecked();
    let before = sandbox.data();
    sandbox.run("restore --dry-run").success().stderr("").stdout(
        "backup [ID] of [AGO]\n  app.db is replaced\n    \
         users: 2 rows now, 2 then; 1 only now, would be lost\n  \
         extra.db is not in the backup and is set aside\n    \
         x: 0 rows now, none then\n  1 file put back, 1 file set aside\n",
    );
    assert_eq!(sandbox.data(), before);
}

#[test]
fn asks_or_needs_a_word() {
    let sandbox = wrecked();
    let before = sandbox.data();
    sandbox.run("restore").code(2).says("hint: add `--yes`").says("app.db is replaced");
    let document = sandbox.run("restore --json").code(2).json();
    assert_eq!(document["error"]["hint"], "add `--yes`");
    assert_eq!(sandbox.data(), before);
    sandbox.run("restore --yes").success();
    let restored = sandbox.data();
    sandbox.run("restore --undo").code(2).says("hint: add `--yes`").says("app.db is replaced");
    assert_eq!(sandbox.data(), restored);
    let agrees = wrecked().variable("PITON_YES", "1");
    agrees.run("restore").success();
    wrecked().config("yes = true\n").run("restore").success();
}

#[test]
fn beside_the_live_data() {
    let sandbox = wrecked();
    let before = sandbox.data();
    sandbox.run("restore --to out").success().stdout("unpacked [ID] into out\n");
    assert_eq!(sandbox.data(), before);
    let out = files(&sandbox.path("out"));
    assert_eq!(out.len(), 2, "{:?}", out.keys());
    sandbox.run("restore --to out").code(2).one_error().says("`out` is not empty");
    sandbox.run("restore --to one --only app.db").success();
    assert_eq!(files(&sandbox.path("one")).len(), 1);
}

#[test]
fn only_a_part() {
    let sandbox = wrecked();
    sandbox.run("restore --only uploads --yes").success();
    assert_eq!(sandbox.read("data/uploads/a.txt"), "hello");
    assert!(!sandbox.exists("data/uploads/b.txt"));
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users WHERE name = 'later'"), "1");
    assert!(sandbox.exists("data/extra.db"));
    sandbox.run("restore --only nothing-like-it --yes").code(2).one_error().says("nothing-like-it");
}

#[test]
fn flags_that_contradict_each_other() {
    let sandbox = wrecked();
    for flags in ["--undo --hot", "--to out --hot", "--undo --only x", "--to out --dry-run"] {
        sandbox.run(&format!("restore {flags}")).code(2).says("cannot be used with");
    }
}

#[test]
fn a_process_that_holds_a_database_is_named() {
    let sandbox = wrecked();
    let before = sandbox.data();
    let holder = sandbox.database("app.db");
    holder.query_row("SELECT 1 FROM users", [], |_| Ok(())).unwrap();
    let pid = std::process::id();
    sandbox.run("restore --yes").code(9).says(&format!("`app.db` by pid {pid} (")).says("--hot");
    assert_eq!(sandbox.data(), before);
    sandbox.run("restore --dry-run").success().says(&format!("by pid {pid}"));
    sandbox.run("restore --yes --hot").success().says("written into while open");
    let names: i64 = holder.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(names, 2);
}

#[test]
fn an_old_log_never_meets_the_new_database() {
    let sandbox = Sandbox::with_users();
    let id = sandbox.back_up();
    let original = sandbox.dump("app.db");
    let open = sandbox.database("app.db");
    open.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    open.execute_batch("UPDATE users SET name = 'from the log'").unwrap();
    let log = std::fs::read(sandbox.path("data/app.db-wal")).unwrap();
    let base = std::fs::read(sandbox.path("data/app.db")).unwrap();
    drop(open);
    // As a killed service leaves it: the change is in the log alone.
    std::fs::write(sandbox.path("data/app.db"), base).unwrap();
    std::fs::write(sandbox.path("data/app.db-wal"), log).unwrap();
    sandbox.run(&format!("restore {id} --yes")).success();
    assert_eq!(sandbox.dump("app.db"), original);
    assert!(!sandbox.exists("data/app.db-wal"));
    sandbox.run("restore --undo --yes").success();
    assert!(sandbox.dump("app.db").contains("from the log"));
}

#[test]
fn a_data_directory_that_is_gone_comes_back() {
    let sandbox = Sandbox::with_users().file("data/a.txt", "x");
    sandbox.run("backup").success();
    let before = sandbox.content();
    sandbox.remove("data");
    sandbox.run("restore --dry-run").success();
    assert!(!sandbox.exists("data"));
    sandbox.run("restore --yes").success();
    assert_eq!(sandbox.content(), before);
}

#[test]
fn nothing_to_undo() {
    let sandbox = Sandbox::with_users();
    sandbox.run("restore --undo --yes").code(4).one_error().says("no restore to undo");
}

/// Answers `y` on a terminal, after something else has happened.
const ANSWER: &str = "
import os, pty, sqlite3, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], 'restore', sys.argv[2]])
said = b''
while b'[y/N]' not in said:
    said += os.read(terminal, 4096)
if len(sys.argv) > 3:
    live = sqlite3.connect('data/app.db')
    live.execute(sys.argv[3])
    live.commit()
    live.close()
os.write(terminal, b'y\\n')
try:
    while True:
        said += os.read(terminal, 4096)
except OSError:
    pass
sys.stdout.write(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

#[test]
fn what_is_written_while_it_asks_stops_it() {
    if lacks("python3") {
        return;
    }
    let sandbox = wrecked();
    let id = &sandbox.backups()[0];
    sandbox.write("answer.py", ANSWER);
    let answer = |sql: Option<&str>| {
        let mut command = sandbox.program("python3");
        command.arg("answer.py").arg(crate::sandbox::PITON).arg(id).args(sql);
        sandbox.finish(command)
    };
    let ran = answer(Some("INSERT INTO users (name) VALUES ('acknowledged')")).code(4);
    ran.says("the data has changed since it was looked at: `app.db`")
        .says(&format!("`piton restore {id}`"));
    let query = "SELECT count(*) FROM users WHERE name = 'acknowledged'";
    assert_eq!(sandbox.query("app.db", query), "1");
    answer(None).success().says("2 only now, would be lost").says("restored ");
    assert_eq!(sandbox.query("app.db", query), "0");
}
