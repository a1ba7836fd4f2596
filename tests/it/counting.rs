//! Counters that a writer increments in a fixed order over several databases, for law 8: whoever
//! sees all databases at one instant never sees a later counter ahead of an earlier one.

use rusqlite::{Connection, OpenFlags};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// The databases, in the order in which their counters are incremented.
pub const NAMES: [&str; 5] = ["first.db", "second.db", "third.db", "fourth.db", "fifth.db"];
/// Bytes of one row of ballast, so that a database takes some time to copy.
const ROW: u64 = 1000;

/// Makes the databases, each with so many bytes of ballast beside its counter.
pub fn make(data: &Path, journal: &str, ballast: u64) {
    fs::create_dir_all(data).unwrap();
    for name in NAMES {
        let connection = Connection::open(data.join(name)).unwrap();
        connection.pragma_update(None, "journal_mode", journal).unwrap();
        let rows = (ballast / ROW).max(1);
        let sql = format!(
            "BEGIN;
             CREATE TABLE counter (value INTEGER NOT NULL);
             INSERT INTO counter VALUES (0);
             CREATE TABLE ballast (id INTEGER PRIMARY KEY, text BLOB NOT NULL);
             WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {rows})
                 INSERT INTO ballast SELECT n, randomblob({ROW} / 2) || zeroblob({ROW} / 2) FROM number;
             COMMIT"
        );
        connection.execute_batch(&sql).unwrap();
    }
}

/// How a writer works.
#[derive(Clone, Debug)]
pub struct Habit {
    /// Commits a second, over all databases.
    pub rate: u32,
    /// As `PRAGMA synchronous` takes it.
    pub synchronous: String,
}

/// How long a transaction took.
#[derive(Clone, Copy, Debug)]
pub struct Commit {
    /// Until it had the lock.
    pub waited: Duration,
    /// In all.
    pub took: Duration,
}

/// Increments the counters in order until told to stop, and then to the end of the round; gives how
/// long each transaction took. A writer that is held up waits as SQLite's busy timeout does.
pub fn write(data: &Path, habit: &Habit, go_on: impl Fn() -> bool) -> Vec<Commit> {
    let open = |name: &&str| {
        let connection = Connection::open(data.join(name)).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        connection.pragma_update(None, "synchronous", &habit.synchronous).unwrap();
        connection
    };
    let connections: Vec<Connection> = NAMES.iter().map(open).collect();
    let mut took = Vec::new();
    let pause = Duration::from_secs(1) / habit.rate;
    let began = Instant::now();
    for (number, connection) in (0_u32..).zip(connections.iter().cycle()) {
        if (number as usize).is_multiple_of(NAMES.len()) && !go_on() {
            break;
        }
        // By the clock, so that a commit that was held up is followed by others without a pause.
        thread::sleep((pause * number).saturating_sub(began.elapsed()));
        let begun = Instant::now();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let waited = begun.elapsed();
        let sql = format!(
            "UPDATE counter SET value = value + 1;
             UPDATE ballast SET text = text WHERE id = 1 + {number} % (SELECT max(id) FROM ballast);
             COMMIT"
        );
        connection.execute_batch(&sql).unwrap();
        took.push(Commit { waited, took: begun.elapsed() });
    }
    took
}

/// The counters of the databases in a folder that nobody writes to, each database checked.
pub fn read(folder: &Path) -> Vec<i64> {
    let value = |name: &&str| {
        let path = folder.join(name);
        let uri = format!("file:{}?immutable=1", path.display());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(uri, flags).unwrap();
        let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0));
        assert_eq!(text("PRAGMA integrity_check").unwrap(), "ok", "{}", path.display());
        connection.query_row("SELECT value FROM counter", [], |row| row.get(0)).unwrap()
    };
    NAMES.iter().map(value).collect()
}

/// Whether counters are of one instant: none ahead of an earlier one, and the first at most one
/// round ahead of the last.
pub fn in_order(counters: &[i64]) -> bool {
    let falling = counters.is_sorted_by(|earlier, later| earlier >= later);
    falling && counters[0] - counters[counters.len() - 1] <= 1
}
