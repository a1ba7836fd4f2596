//! The two databases. It must never make a file or a table of its own accord.

use crate::Result;
use rusqlite::{Connection, OpenFlags};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

/// `app.db` and `audit.db`, each with one connection for all requests.
pub struct Store {
    app: Database,
    audit: Database,
}

struct Database {
    connection: Mutex<Connection>,
    /// Path and inode of the file that was opened; nothing in memory.
    file: Option<(PathBuf, u64)>,
}

/// The two counters; `app` is written first, so `audit` is never ahead and at most one behind.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    pub app: i64,
    pub audit: i64,
}

impl Counters {
    pub fn are_in_order(self) -> bool {
        self.app == self.audit || self.app == self.audit + 1
    }
}

impl Store {
    /// Opens both databases, which must have their tables.
    pub fn open(data: &Path) -> Result<Self> {
        let store = Self {
            app: Database::open(&data.join("app.db"))?,
            audit: Database::open(&data.join("audit.db"))?,
        };
        let counters = store.counters()?;
        if counters.are_in_order() { Ok(store) } else { Err(format!("{counters:?}").into()) }
    }

    /// Both databases new and in memory, as a service makes them that was told a wrong path.
    pub fn empty() -> Result<Self> {
        let store = Self { app: Database::in_memory()?, audit: Database::in_memory()? };
        store.app.lock().execute_batch(include_str!("migrations/001_writes.sql"))?;
        store.audit.lock().execute_batch(include_str!("migrations/audit/001_writes.sql"))?;
        Ok(store)
    }

    /// Commits a write to both databases; it may be acknowledged afterwards, and not before.
    pub fn write(&self, key: &str) -> Result<()> {
        for database in [&self.app, &self.audit] {
            let connection = database.lock();
            connection.prepare_cached("INSERT INTO writes (key) VALUES (?1)")?.execute([key])?;
        }
        Ok(())
    }

    /// One step of the background work: the counter of `app.db`, then that of `audit.db`.
    pub fn count(&self) -> Result<()> {
        let app: i64 = self.app.lock().query_row(
            "UPDATE counters SET value = value + 1 WHERE name = 'steps' RETURNING value",
            [],
            |row| row.get(0),
        )?;
        let audit = self.audit.lock();
        audit.execute("UPDATE counters SET value = ?1 WHERE name = 'steps'", [app])?;
        Ok(())
    }

    pub fn counters(&self) -> Result<Counters> {
        // `app` is locked throughout, so that no step comes between the two readings.
        let app = self.app.lock();
        let sql = "SELECT value FROM counters WHERE name = 'steps'";
        let audit = self.audit.lock().query_row(sql, [], |row| row.get(0))?;
        Ok(Counters { app: app.query_row(sql, [], |row| row.get(0))?, audit })
    }

    /// The keys of all writes, oldest first; only those that both databases have.
    pub fn keys(&self) -> Result<Vec<String>> {
        let audit = self.audit.keys()?;
        let audit: std::collections::HashSet<_> = audit.into_iter().collect();
        Ok(self.app.keys()?.into_iter().filter(|key| audit.contains(key)).collect())
    }

    pub fn count_of_writes(&self) -> Result<i64> {
        let app = self.app.lock();
        Ok(app.query_row("SELECT count(*) FROM writes", [], |row| row.get(0))?)
    }

    /// A database whose path leads to another file than the one that is open here.
    pub fn swapped(&self) -> Option<&Path> {
        let files = [&self.app, &self.audit].into_iter().filter_map(|it| it.file.as_ref());
        let other = |(path, inode): &&(PathBuf, u64)| {
            fs::metadata(path).map(|found| found.ino()).ok() != Some(*inode)
        };
        files.into_iter().find(other).map(|(path, _)| path.as_path())
    }
}

impl Database {
    fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        // An acknowledged write survives a power cut too.
        connection.execute_batch("PRAGMA synchronous = FULL")?;
        let inode = fs::metadata(path)?.ino();
        Ok(Self { connection: Mutex::new(connection), file: Some((path.into(), inode)) })
    }

    fn in_memory() -> Result<Self> {
        Ok(Self { connection: Mutex::new(Connection::open_in_memory()?), file: None })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().expect("no thread panics while it holds the connection")
    }

    fn keys(&self) -> Result<Vec<String>> {
        let connection = self.lock();
        let mut statement = connection.prepare("SELECT key FROM writes ORDER BY id")?;
        let keys = statement.query_map([], |row| row.get(0))?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    }
}
