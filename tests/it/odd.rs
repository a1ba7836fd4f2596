//! Data directories in odd states, as services and crashes leave them: a backup holds what can be
//! held, says what it does not hold, and ends in bounded time.

use crate::{programs::lacks, sandbox::Sandbox};
use serde_json::Value;
use std::{
    fs,
    io::Read,
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT); \
                     INSERT INTO t (text) VALUES ('kept')";

/// Another process with a connection of its own, once it has said that it is ready.
fn program(sandbox: &Sandbox, database: &str, lines: &str) -> Child {
    let path = sandbox.path("data").join(database);
    let text = format!(
        "import os, signal, sqlite3, sys\n\
         c = sqlite3.connect({path:?}, isolation_level=None)\n\
         {lines}\n\
         print('ready', flush=True)\n\
         sys.stdin.read()\n"
    );
    let mut command = sandbox.program("python3");
    command.args(["-c", &text]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"ready");
    child
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().unwrap();
}

fn manifest(sandbox: &Sandbox, words: &str) -> Value {
    let document = sandbox.run(words).success().json();
    document["backup"]["manifest"].clone()
}

#[test]
fn the_hot_journal_of_a_killed_process() {
    if lacks("python3") {
        return;
    }
    let sandbox = Sandbox::bare();
    fs::create_dir(sandbox.path("data")).unwrap();
    sandbox.execute("app.db", TABLE);
    let mut killed = program(
        &sandbox,
        "app.db",
        "c.execute('PRAGMA cache_size = 1'); c.execute('PRAGMA cache_spill = 1')\n\
         c.execute('BEGIN'); c.execute(\"UPDATE t SET text = 'lost'\")\n\
         for number in range(5000): c.execute(\"INSERT INTO t (text) VALUES (hex(randomblob(100)))\")",
    );
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(fs::metadata(sandbox.path("data/app.db-journal")).unwrap().len() > 512);
    let bytes = fs::read(sandbox.path("data/app.db")).unwrap();
    assert!(bytes.len() > 100_000, "nothing of the transaction has reached the file");
    let manifest = manifest(&sandbox, "backup --json");
    assert_eq!(manifest["databases"][0]["rows"]["t"], 1);
    assert_eq!(manifest["files"], serde_json::json!([]));
    sandbox.run("restore --to out").success();
    assert!(crate::sandbox::dump(&sandbox.path("out/app.db")).contains("kept"));
}

#[test]
fn a_database_that_nobody_else_may_read() {
    if lacks("python3") {
        return;
    }
    let hold =
        "c.execute('PRAGMA locking_mode = EXCLUSIVE'); c.execute(\"UPDATE t SET text = 'x'\")";
    for journal in ["delete", "wal"] {
        let sandbox = Sandbox::bare();
        for name in ["app.db", "other.db"] {
            fs::create_dir_all(sandbox.path("data")).unwrap();
            sandbox.execute(name, &format!("PRAGMA journal_mode = {journal}; {TABLE}"));
        }
        let holder = program(&sandbox, "app.db", hold);
        let began = Instant::now();
        let ran = sandbox.run("backup --barrier-limit 1s").code(5).one_error();
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        ran.says("data/app.db").says("database is locked");
        assert_eq!(fs::read_dir(sandbox.path("backups")).unwrap().count(), 1, "only the lock");
        end(holder);
        assert_eq!(manifest(&sandbox, "backup --json")["cut"]["kind"], "all");
    }
}

#[test]
fn a_writer_that_keeps_a_database_to_itself_for_long() {
    if lacks("python3") {
        return;
    }
    let sandbox = Sandbox::bare();
    fs::create_dir(sandbox.path("data")).unwrap();
    for name in ["app.db", "other.db"] {
        sandbox.execute(name, &format!("PRAGMA journal_mode = wal; {TABLE}"));
    }
    let hold = "c.execute('BEGIN EXCLUSIVE'); c.execute(\"INSERT INTO t (text) VALUES ('later')\")";
    let holder = program(&sandbox, "app.db", hold);
    let began = Instant::now();
    let manifest = manifest(&sandbox, "backup --json --barrier-limit 1s");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(manifest["cut"]["kind"], "per-database");
    assert_eq!(manifest["cut"]["reason"], "`app.db` stayed locked for 1000 ms");
    assert_eq!(manifest["databases"][0]["rows"]["t"], 1);
    end(holder);
}

#[test]
fn a_writer_that_never_pauses() {
    let sandbox = Sandbox::bare();
    fs::create_dir(sandbox.path("data")).unwrap();
    for name in ["app.db", "other.db"] {
        sandbox.execute(name, TABLE);
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let connection = sandbox.database("app.db");
            connection.busy_timeout(Duration::from_secs(20)).unwrap();
            connection.pragma_update(None, "synchronous", "off").unwrap();
            let mut commits = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                connection.execute_batch("INSERT INTO t (text) VALUES ('x')").unwrap();
                commits += 1;
            }
            commits
        });
        let began = Instant::now();
        let mut before = 0;
        for _ in 0..5 {
            let manifest = manifest(&sandbox, "backup --json");
            let rows = manifest["databases"][0]["rows"]["t"].as_u64().unwrap();
            assert!(rows > before, "{rows} rows after {before}");
            before = rows;
        }
        let took = began.elapsed();
        stop.store(true, Ordering::Relaxed);
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert!(writer.join().unwrap() + 1 >= before);
    });
}

#[test]
fn what_only_looks_like_a_database() {
    let sandbox = Sandbox::with_users();
    sandbox.write("data/secret.db", [0xA5; 8192]);
    sandbox.write("data/notes.sqlite", "Dear diary");
    sandbox.write("data/empty.db", "");
    let manifest = manifest(&sandbox, "backup --json");
    let paths = |list: &str| -> Vec<String> {
        let records = manifest[list].as_array().unwrap();
        records.iter().map(|it| it["path"].as_str().unwrap().into()).collect()
    };
    assert_eq!(paths("databases"), ["app.db"]);
    assert_eq!(paths("files"), ["empty.db", "notes.sqlite", "secret.db"]);
    sandbox.run("restore --to out").success();
    assert_eq!(fs::read(sandbox.path("out/secret.db")).unwrap(), [0xA5; 8192]);
}

#[test]
fn links_to_databases_inside_and_outside() {
    let sandbox = Sandbox::with_users();
    let outside = sandbox.path("elsewhere.db");
    rusqlite::Connection::open(&outside).unwrap().execute_batch(TABLE).unwrap();
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, sandbox.path("data").join(name)).unwrap();
    };
    link("../elsewhere.db", "linked.db");
    link("app.db", "inside.db");
    link("nowhere.db", "dangling.db");
    link("../migrations/001_users.sql", "file.sql");
    let id = {
        let manifest = manifest(&sandbox, "backup --json");
        assert_eq!(manifest["databases"].as_array().unwrap().len(), 1);
        let notes = ["`linked.db` is a link to a database outside the data directory, \
                      which is not stored"];
        assert_eq!(manifest["notes"], serde_json::json!(notes));
        manifest["id"].as_str().unwrap().to_string()
    };
    sandbox.run(&format!("backups {id}")).success().says("outside the data directory");
    sandbox.remove("data/linked.db");
    sandbox.run("restore --yes").success();
    let target = fs::read_link(sandbox.path("data/linked.db")).unwrap();
    assert_eq!(target.to_str(), Some("../elsewhere.db"));
}

#[test]
fn a_second_name_of_an_open_database() {
    let sandbox = Sandbox::with_users();
    let open = sandbox.database("app.db");
    open.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO users (name) VALUES ('in the log')")
        .unwrap();
    fs::hard_link(sandbox.path("data/app.db"), sandbox.path("data/a second.db")).unwrap();
    let manifest = manifest(&sandbox, "backup --json");
    let rows: Vec<_> =
        manifest["databases"].as_array().unwrap().iter().map(|it| &it["rows"]["users"]).collect();
    assert_eq!(rows, [3, 3]);
    assert_eq!(manifest["notes"][0], "`a second.db` is a second name of `app.db`");
}

#[test]
fn sockets_and_pipes_are_listed() {
    let sandbox = Sandbox::with_users();
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("data/s")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, sandbox.path("data/p"), kind, mode, 0).unwrap();
    let ran = sandbox.run("backup").success();
    ran.says("note: `p` is a pipe and is not stored")
        .says("note: `s` is a socket and is not stored");
    sandbox.run("restore --yes").success();
    assert!(sandbox.exists("data/p") && sandbox.exists("data/s"));
}
