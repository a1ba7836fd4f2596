//! The gate of a restore: whoever holds a database is named, or it is said why not.

use crate::{
    programs::lacks,
    sandbox::{PITON, Sandbox},
};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::chown, process::CommandExt},
    process::{Child, Command, Stdio},
};

/// A process of its own that opens `data/app.db`, does something, says so, and waits.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SERVICE: &str = "
import os, sqlite3, sys, time
live = sqlite3.connect('data/app.db', isolation_level=None)
for sql in sys.argv[1:]:
    if sql == 'unlink':
        os.unlink('data/app.db')
    else:
        live.execute(sql).fetchall()
print('ready', flush=True)
time.sleep(60)
";

fn service(mut command: Command, work: &[&str]) -> Service {
    command.args(["-c", SERVICE]).args(work).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    Service(child)
}

/// A project with a backup, and a row more than it has.
fn changed(mode: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::with_users();
    sandbox.execute("app.db", &format!("PRAGMA journal_mode = {mode}"));
    let id = sandbox.back_up();
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('cy')");
    (sandbox, id)
}

/// How a service is started in the folder of a sandbox.
fn python(sandbox: &Sandbox) -> Command {
    sandbox.program("python3")
}

#[test]
fn every_kind_of_holder_is_named() {
    if lacks("python3") {
        return;
    }
    let read = "SELECT * FROM users";
    let cases: [(&str, &[&str]); 5] = [
        ("delete", &[read]),
        ("wal", &[read]),
        ("delete", &["BEGIN IMMEDIATE"]),
        ("wal", &["BEGIN IMMEDIATE"]),
        ("wal", &["PRAGMA locking_mode = EXCLUSIVE", read]),
    ];
    let file = std::path::Path::new("app.db");
    for (mode, work) in cases {
        let (sandbox, id) = changed(mode);
        let before = sandbox.data();
        let service = service(python(&sandbox), work);
        let words = format!("restore {id} --yes");
        let ran = sandbox.run(&words).code(9).one_error();
        ran.says(&format!("`app.db` by pid {} (", service.0.id())).says("python3 -c import os");
        drop(service);
        assert_eq!(sandbox.data()[file], before[file]);
        sandbox.run(&words).success();
    }
}

#[test]
fn a_deleted_file_of_its_name_counts() {
    if lacks("python3") {
        return;
    }
    let (sandbox, id) = changed("delete");
    let service = service(python(&sandbox), &["SELECT * FROM users", "unlink"]);
    // Somebody has put a copy in its place.
    sandbox.execute("app.db", "CREATE TABLE users (id INTEGER PRIMARY KEY)");
    let ran = sandbox.run(&format!("restore {id} --yes")).code(9).one_error();
    ran.says(&format!("by pid {}", service.0.id()))
        .says("which works on a deleted file of that name");
    drop(service);
    sandbox.run(&format!("restore {id} --yes")).success();
}

/// Gives everything to the user whom nobody is, and runs piton as that one.
fn as_nobody(sandbox: &Sandbox, words: &str) -> Option<Command> {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can run something as another user");
        return None;
    }
    for entry in walkdir::WalkDir::new(sandbox.path("")) {
        chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = sandbox.command(words);
    command.uid(NOBODY).gid(NOBODY);
    if command.output().is_err() {
        eprintln!("skipped: another user cannot run {PITON}");
        return None;
    }
    Some(command)
}

#[test]
fn a_process_of_another_user_is_named_by_its_lock_or_it_is_said_that_it_may_be_there() {
    if lacks("python3") {
        return;
    }
    let (sandbox, id) = changed("wal");
    let words = format!("restore {id} --yes");
    let holder = service(python(&sandbox), &["SELECT * FROM users"]);
    let Some(command) = as_nobody(&sandbox, &words) else { return };
    let ran = sandbox.finish(command).code(9).one_error();
    ran.says(&format!("`app.db` by pid {} (", holder.0.id())).says("which has locked it");
    drop(holder);

    // Idle and without a log: no lock shows it, and piton says what it cannot see.
    let (sandbox, id) = changed("delete");
    let _holder = service(python(&sandbox), &["SELECT * FROM users"]);
    let words = format!("restore {id} --dry-run");
    let ran = sandbox.finish(as_nobody(&sandbox, &words).unwrap()).success();
    ran.says("who has a database open is seen only in part: only root may look into processes");
    let ran = sandbox.finish(as_nobody(&sandbox, &format!("{words} --json")).unwrap()).success();
    let preview = &ran.json()["preview"];
    assert_eq!(preview["view"], "partial");
    assert_eq!(preview["limits"][0], "other-users");
    // The kernel tells all the same that it is open.
    let words = format!("restore {id} --yes");
    let ran = sandbox.finish(as_nobody(&sandbox, &words).unwrap()).code(9).one_error();
    ran.says("`app.db` is in use by a process that cannot be seen from here")
        .says("run as root to see who it is");
}

/// A command in a process namespace of its own.
fn contained(sandbox: &Sandbox, program: &str) -> Option<Command> {
    let mut probe = sandbox.program("unshare");
    if !probe.args(["--pid", "--fork", "--mount-proc", "true"]).output().unwrap().status.success() {
        eprintln!("skipped: there are no process namespaces here");
        return None;
    }
    let mut command = sandbox.program("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", program]);
    Some(command)
}

#[test]
fn a_process_in_another_namespace() {
    if lacks("python3") {
        return;
    }
    let (sandbox, id) = changed("delete");
    let Some(inside) = contained(&sandbox, "python3") else { return };
    // From outside everything can be seen.
    let holder = service(inside, &["SELECT * FROM users"]);
    sandbox.run(&format!("restore {id} --yes")).code(9).says("`app.db` by pid ").says("python3 -c");
    drop(holder);

    // From inside only that somebody has locked it.
    let (sandbox, id) = changed("wal");
    let holder = service(python(&sandbox), &["SELECT * FROM users"]);
    let mut command = contained(&sandbox, PITON).unwrap();
    command.args(["restore", &id, "--yes"]);
    let ran = sandbox.finish(command).code(9).one_error();
    ran.says("`app.db` is in use by a process that cannot be seen from here")
        .says("processes outside of this container cannot be seen")
        .says("run it on the host");
    drop(holder);
    // An idle one, which has locked nothing.
    sandbox.execute("app.db", "PRAGMA journal_mode = delete");
    let holder = service(python(&sandbox), &["SELECT * FROM users"]);
    let mut command = contained(&sandbox, PITON).unwrap();
    command.args(["restore", &id, "--yes"]);
    let ran = sandbox.finish(command).code(9).one_error();
    ran.says("`app.db` is in use by a process that cannot be seen from here");
    drop(holder);
    let mut command = contained(&sandbox, PITON).unwrap();
    command.args(["restore", &id, "--yes"]);
    sandbox.finish(command).success().says("processes outside of this container cannot be seen");
    assert!(fs::exists(sandbox.path("data/app.db")).unwrap());
}
