//! Live data that is damaged: the restore goes on, and what was there can be put back as it was.

use crate::sandbox::{Files, Sandbox};
use rusqlite::Connection;
use std::fs;

/// A backup of `app.db` and `sub/b.db`, and rows that came later.
fn backed_up() -> (Sandbox, String, String) {
    let sandbox = Sandbox::with_users().file("data/a.txt", "x");
    sandbox.execute("sub/b.db", "CREATE TABLE t (a)");
    let id = sandbox.back_up();
    let wanted = sandbox.dump("app.db");
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('cy')");
    (sandbox, id, wanted)
}

/// A log that holds all of another database.
fn foreign_log(sandbox: &Sandbox) -> Vec<u8> {
    let other = Connection::open(sandbox.path("other.db")).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    let mut all = String::from("CREATE TABLE other (a, b);");
    all += "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 400) \
            INSERT INTO other SELECT i, hex(zeroblob(90)) FROM n;";
    other.execute_batch("CREATE TABLE first (a)").unwrap();
    other.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap_or(());
    other.execute_batch(&format!("BEGIN; {all} COMMIT")).unwrap();
    fs::read(sandbox.path("other.db-wal")).unwrap()
}

/// A journal that a killed process has left beside another database.
fn foreign_journal(sandbox: &Sandbox) -> Vec<u8> {
    let other = Connection::open(sandbox.path("journaled.db")).unwrap();
    let mut all = String::from("CREATE TABLE other (a, b);");
    all += "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 400) \
            INSERT INTO other SELECT i, hex(zeroblob(90)) FROM n;";
    other.execute_batch(&all).unwrap();
    // Little memory, so that the journal is synced and its header says how much is in it.
    other.execute_batch("PRAGMA cache_size = 1; BEGIN; UPDATE other SET b = a").unwrap();
    let journal = fs::read(sandbox.path("journaled.db-journal")).unwrap();
    assert_eq!(journal[..4], [0xd9, 0xd5, 0x05, 0xf9]);
    assert_ne!(journal[8..12], [0; 4]);
    journal
}

/// Everything but the index of a log, which SQLite makes anew.
fn raw(sandbox: &Sandbox) -> Files {
    let mut files = sandbox.data();
    files.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
    files
}

type Damage = (&'static str, fn(&Sandbox));

const DAMAGES: [Damage; 9] = [
    ("cut in the middle", |sandbox| {
        let bytes = fs::read(sandbox.path("data/app.db")).unwrap();
        sandbox.write("data/app.db", &bytes[..bytes.len() / 2 + 100]);
    }),
    ("cut in the first page, with all kinds of logs", |sandbox| {
        let bytes = fs::read(sandbox.path("data/app.db")).unwrap();
        sandbox.write("data/app.db", &bytes[..300]);
        sandbox.write("data/app.db-wal", "a log");
        sandbox.write("data/app.db-journal", "a journal");
    }),
    ("rubbish", |sandbox| sandbox.write("data/app.db", "Dear diary")),
    ("rubbish behind the header, with a log of another", |sandbox| {
        let mut bytes = fs::read(sandbox.path("data/app.db")).unwrap();
        bytes[100..].fill(0xa5);
        sandbox.write("data/app.db", bytes);
        sandbox.write("data/app.db-wal", foreign_log(sandbox));
    }),
    ("gone", |sandbox| sandbox.remove("data/app.db")),
    ("gone, with its log left", |sandbox| {
        sandbox.remove("data/app.db");
        sandbox.write("data/app.db-wal", foreign_log(sandbox));
        sandbox.write("data/app.db-journal", foreign_journal(sandbox));
    }),
    ("a log of another database", |sandbox| {
        sandbox.execute("app.db", "PRAGMA journal_mode = WAL");
        sandbox.write("data/app.db-wal", foreign_log(sandbox));
    }),
    ("a journal of another database", |sandbox| {
        sandbox.write("data/app.db-journal", foreign_journal(sandbox));
    }),
    ("a folder of its name", |sandbox| {
        sandbox.remove("data/app.db");
        sandbox.write("data/app.db/inside.txt", "x");
    }),
];

#[test]
fn the_restore_goes_on_and_undo_puts_the_very_files_back() {
    for only in ["", " --only app.db"] {
        for (what, damage) in DAMAGES {
            let (sandbox, id, wanted) = backed_up();
            damage(&sandbox);
            let before = raw(&sandbox);
            sandbox.run(&format!("restore {id} --dry-run{only}")).success();
            assert_eq!(raw(&sandbox), before, "{what}: the preview touches nothing");
            sandbox.run(&format!("restore {id} --yes{only}")).success();
            assert!(!sandbox.exists("data/app.db-wal"), "{what}");
            assert!(!sandbox.exists("data/app.db-journal"), "{what}");
            assert_eq!(sandbox.dump("app.db"), wanted, "{what}");
            let left = raw(&sandbox);
            assert!(
                left.keys().all(|path| !path.to_string_lossy().starts_with("app.db/")),
                "{what}"
            );
            sandbox.run("restore --undo --yes").success();
            assert_eq!(raw(&sandbox), before, "{what}{only}");
            sandbox.run("restore --undo --yes").success().says("was undone already");
            assert_eq!(raw(&sandbox), before, "{what}{only}");
            sandbox.run(&format!("restore {id} --yes{only}")).success();
            assert_eq!(sandbox.dump("app.db"), wanted, "{what}{only}");
        }
    }
}

#[test]
fn it_is_said_what_is_damaged_and_where_it_is() {
    let (sandbox, id, _) = backed_up();
    sandbox.write("data/app.db-journal", foreign_journal(&sandbox));
    let ran = sandbox.run(&format!("restore {id} --yes")).success();
    ran.says("the live one cannot be read: a journal that a crash has left lies beside it")
        .says("the rows that would be lost are not counted")
        .says("restored ");
    let (sandbox, id, _) = backed_up();
    sandbox.execute("app.db", "PRAGMA journal_mode = WAL");
    sandbox.write("data/app.db-wal", foreign_log(&sandbox));
    let mut bytes = fs::read(sandbox.path("data/app.db")).unwrap();
    bytes[4096..].fill(0xa5);
    sandbox.write("data/app.db", bytes);
    sandbox.remove("data/app.db-wal");
    let ran = sandbox.run(&format!("restore {id} --yes")).success();
    ran.says("no safety backup: cannot check `data/app.db`").says("the old files are kept");
}

#[test]
fn a_journal_of_its_own_is_played_back_as_ever() {
    let (sandbox, id, wanted) = backed_up();
    let before = sandbox.dump("app.db");
    let live = sandbox.database("app.db");
    live.execute_batch("PRAGMA cache_size = 1; BEGIN; UPDATE users SET name = hex(zeroblob(9000))")
        .unwrap();
    let files = ["app.db", "app.db-journal"]
        .map(|name| (name, fs::read(sandbox.path("data").join(name)).unwrap()));
    drop(live);
    for (name, bytes) in &files {
        sandbox.write(&format!("data/{name}"), bytes);
    }
    let ran = sandbox.run(&format!("restore {id} --yes")).success();
    ran.never_says("was damaged").says("the state before it is backup");
    assert_eq!(sandbox.dump("app.db"), wanted);
    sandbox.run("restore --undo --yes").success();
    assert_eq!(sandbox.dump("app.db"), before);
}
