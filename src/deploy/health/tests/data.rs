//! Probes of the data, beside a writer and alone.

use super::look;
use rusqlite::Connection;
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

fn ask(folder: &Path, sql: &str) -> Result<(), String> {
    ask_within(folder, sql, "10s")
}

fn ask_within(folder: &Path, sql: &str, limit: &str) -> Result<(), String> {
    let text = format!("[[query]]\ndatabase = 'app.db'\nsql = \"{sql}\"\ntimeout = '{limit}'");
    look(folder, &text)
}

fn database(folder: &Path, mode: &str) -> Connection {
    let connection = Connection::open(folder.join("app.db")).unwrap();
    connection.pragma_update(None, "journal_mode", mode).unwrap();
    connection.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)").unwrap();
    connection
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn values_are_true_or_shown() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(folder.path(), "delete"));
    for sql in ["SELECT count(*) = 2 FROM t", "SELECT '1'", "SELECT 0.5", "SELECT a FROM t"] {
        ask(folder.path(), sql).unwrap();
    }
    let wrong = [
        ("SELECT count(*) = 3 FROM t", "0 is not true: SELECT count"),
        ("SELECT NULL", "NULL is not true"),
        ("SELECT 'no'", "'no' is not true"),
        ("SELECT x'00ff'", "a blob of 2 bytes is not true"),
        ("SELECT a FROM t WHERE a > 9", "no row"),
        ("SELECT * FROM gone", "no such table: gone"),
        ("SELEC 1", "syntax error"),
        ("INSERT INTO t VALUES (3) RETURNING a", "must be a query that changes nothing"),
        ("DELETE FROM t", "must be a query that changes nothing"),
        ("SELECT 1; DELETE FROM t", "Multiple statements"),
    ];
    for (sql, expected) in wrong {
        let error = ask(folder.path(), sql).unwrap_err();
        assert!(error.contains(expected), "{sql}\n{error}");
    }
    ask(folder.path(), "SELECT count(*) = 2 FROM t").unwrap();
    let long = ask(folder.path(), "SELECT replace(hex(zeroblob(100)), '0', '-')").unwrap_err();
    assert!(long.contains(&format!("'{}…'", "-".repeat(80))), "{long}");
}

#[test]
fn a_query_without_end_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(folder.path(), "delete"));
    let began = Instant::now();
    let endless = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) \
        SELECT count(*) FROM c";
    let error = ask_within(folder.path(), endless, "200ms").unwrap_err();
    assert!(error.contains("it took too long"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn no_database_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let error = ask(folder.path(), "SELECT 1").unwrap_err();
    assert!(error.contains("does not exist"), "{error}");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn nothing_is_left_behind() {
    for mode in ["delete", "wal"] {
        let folder = tempfile::tempdir().unwrap();
        let service = database(folder.path(), mode);
        let with_service = names(folder.path());
        ask(folder.path(), "SELECT count(*) = 2 FROM t").unwrap();
        assert_eq!(names(folder.path()), with_service, "{mode}");
        drop(service);
        ask(folder.path(), "SELECT count(*) = 2 FROM t").unwrap();
        assert_eq!(names(folder.path()), ["app.db"], "{mode}");
    }
}

#[test]
fn beside_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = database(folder.path(), "wal");
    writer.busy_timeout(Duration::ZERO).unwrap();
    let done = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut written = 0;
            while !done.load(Ordering::Relaxed) {
                // No probe may ever keep the writer out.
                let transaction = writer.transaction().unwrap();
                transaction.execute("INSERT INTO t VALUES (3)", []).unwrap();
                transaction.commit().unwrap();
                written += 1;
            }
            written
        });
        for _ in 0..100 {
            ask(folder.path(), "SELECT count(*) >= 2 FROM t").unwrap();
        }
        done.store(true, Ordering::Relaxed);
        writing.join().unwrap()
    });
    let count = format!("SELECT count(*) = {} FROM t", written + 2);
    ask(folder.path(), &count).unwrap();
    assert!(written > 0);
}

#[test]
fn a_lock_is_waited_for_and_then_named() {
    let folder = tempfile::tempdir().unwrap();
    let writer = database(folder.path(), "delete");
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = ask_within(folder.path(), "SELECT count(*) FROM t", "100ms").unwrap_err();
    assert!(error.contains("locked"), "{error}");
    writer.execute_batch("COMMIT").unwrap();
    ask(folder.path(), "SELECT count(*) FROM t").unwrap();
}
