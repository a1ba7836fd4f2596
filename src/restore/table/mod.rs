//! Restoring single tables of one database, while the rest of it stays: rows are exchanged in one
//! transaction of the live database, so that a service may have it open and sees all of it or nothing.
//!
//! The backup's database is unpacked to a private place. What is not certain is refused before anything
//! changes: another definition of the table, tables of virtual tables, rows that are not the ones shown.

mod choice;
mod exchange;
mod look;

pub use choice::{Tables, chosen_tables};

use crate::{
    Result,
    database::{self, Access, failed},
    disk,
    error::{DatabaseError, RestoreError, TableError},
    event::{self, Observer},
    store::{self, Backup, BackupId, Digest, Store, StoredPath},
};
use chrono::{DateTime, Utc};
use look::{Look, Table};
use rusqlite::{Connection, config::DbConfig};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What to restore, and where.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// Where the backup lies.
    pub store: &'a Store,
    /// The backup.
    pub backup: &'a Backup,
    /// The tables.
    pub tables: &'a Tables,
    /// How long to wait for another writer.
    pub busy: Duration,
    /// The time now.
    pub now: DateTime<Utc>,
}

/// What a restore of tables would change, or has changed.
#[derive(Clone, Debug, Serialize)]
pub struct TablesPreview {
    /// The backup.
    pub backup: BackupId,
    /// How old it is, in seconds.
    pub age_seconds: i64,
    /// The database.
    pub database: StoredPath,
    /// Each table.
    pub tables: Vec<TableChange>,
    /// The live rows that the act must find.
    #[serde(skip)]
    seen: Vec<Option<Digest>>,
}

impl TablesPreview {
    /// Whether the tables are as the backup has them.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.tables.iter().all(TableChange::is_nothing)
    }
}

/// What happens to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableChange {
    /// Its name.
    pub table: String,
    /// Whether it is there now.
    pub change: Change,
    /// Rows in the live database; nothing where the table is missing.
    pub live: Option<u64>,
    /// Rows in the backup.
    pub backup: u64,
    /// Rows that only the backup has.
    pub comes_back: u64,
    /// Rows that the backup has otherwise.
    pub changed: u64,
    /// Rows that only the live table has.
    pub goes: u64,
    /// Equal rows that get the row number of the backup again.
    pub renumbered: u64,
    /// Indexes and triggers that come back with the table.
    pub created: Vec<String>,
    /// Triggers of the live table; they do not fire.
    pub silent_triggers: Vec<String>,
    /// Search indexes over the table; they are not changed.
    pub search_indexes: Vec<String>,
}

/// Whether a table is there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is not, and comes back with its indexes and triggers.
    Created,
    /// It is, and gets the rows of the backup.
    Replaced,
}

impl TableChange {
    fn of(table: &str) -> Self {
        Self {
            table: table.into(),
            change: Change::Replaced,
            live: None,
            backup: 0,
            comes_back: 0,
            changed: 0,
            goes: 0,
            renumbered: 0,
            created: Vec::new(),
            silent_triggers: Vec::new(),
            search_indexes: Vec::new(),
        }
    }

    fn is_nothing(&self) -> bool {
        self.change == Change::Replaced
            && self.comes_back + self.changed + self.goes + self.renumbered == 0
    }
}

/// Finds out what would change; nothing is written.
///
/// # Errors
/// [`TableError::Missing`], [`TableError::NotAlone`], [`TableError::Differs`]; a damaged
/// backup; a live database that cannot be read.
pub fn preview_tables(request: &Request<'_>, observer: &dyn Observer) -> Result<TablesPreview> {
    with_copy(request, observer, |copy, live| {
        let connection = database::open(live, Access::Read, request.busy)?;
        look_at(request, (&connection, copy), "BEGIN").map(|tables| preview(request, &tables))
    })
}

/// Exchanges the rows, if the live tables are still those of the preview.
///
/// # Errors
/// Those of [`preview_tables`]; [`RestoreError::Changed`], [`TableError::Orphans`]; SQLite's. The data
/// is unchanged then.
pub fn restore_tables(
    request: &Request<'_>,
    previewed: &TablesPreview,
    observer: &dyn Observer,
) -> Result<TablesPreview> {
    let shown = look::shown(&request.tables.database);
    with_copy(request, observer, |copy, live| {
        let _changing = disk::Changing::begin();
        // Without COMMIT the connection takes everything back when it is closed.
        let connection = database::open_to_commit(live, Access::Write, request.busy)?;
        let prepare = || -> rusqlite::Result<()> {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
            // The rows fulfilled them when they were written, and a CHECK may need the application.
            connection.pragma_update(None, "ignore_check_constraints", true)
        };
        prepare().map_err(failed("restore tables of", shown))?;
        // Looked at before others are kept out, and again only if somebody wrote meanwhile.
        let mut tables = look_at(request, (&connection, copy), "BEGIN")?;
        let locked = || -> rusqlite::Result<bool> {
            let version = || connection.pragma_query_value(None, "data_version", |row| row.get(0));
            let before: i64 = version()?;
            connection.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
            Ok(before == version()?)
        };
        if !locked().map_err(failed("restore tables of", shown))? {
            let backup = store::open_copy(copy)?;
            let look = Look::new(request, &connection, &backup)?;
            if !look.finds_again(&tables)? {
                tables = look.tables()?;
            }
        }
        let found = preview(request, &tables);
        if found.seen != previewed.seen || found.tables != previewed.tables {
            let look = format!(
                "piton restore {} {} --dry-run",
                request.backup.id(),
                request.tables.words()
            );
            return Err(RestoreError::Changed { changed: vec![shown.into()], look }.into());
        }
        exchange_all(request, &connection, &tables)?;
        event::go_on(observer)?;
        connection.execute_batch("COMMIT").map_err(failed("restore tables of", shown))?;
        Ok(found)
    })
}

fn exchange_all(request: &Request<'_>, connection: &Connection, tables: &[Table]) -> Result<()> {
    let shown = look::shown(&request.tables.database);
    let failing = || failed("restore tables of", shown);
    let before = exchange::orphans(connection, tables).map_err(failing())?;
    for table in tables {
        exchange::exchange(connection, table).map_err(failing())?;
        if !exchange::is_as_in_backup(connection, table).map_err(failing())? {
            let text = format!("`{}` was not as in the backup; nothing was changed", table.name);
            return Err(crate::Error::Internal(text));
        }
    }
    let after = exchange::orphans(connection, tables).map_err(failing())?;
    let more = after.into_iter().find_map(|(of, count)| {
        let before = before.get(&of).copied().unwrap_or(0);
        (count > before).then(|| (of, count - before))
    });
    let Some(((child, parent), count)) = more else { return Ok(()) };
    let is_chosen =
        |name: &String| tables.iter().any(|table| table.name.eq_ignore_ascii_case(name));
    let other = if is_chosen(&child) { parent.clone() } else { child.clone() };
    let mut both = request.tables.clone();
    if !is_chosen(&other) {
        both.tables.push(other);
    }
    let again = format!("piton restore {} {}", request.backup.id(), both.words());
    Err(TableError::Orphans { child, parent, count, again }.into())
}

/// Looks at the tables inside a transaction that stays open.
fn look_at(
    request: &Request<'_>,
    (connection, copy): (&Connection, &Path),
    begin: &str,
) -> Result<Vec<Table>> {
    let shown = look::shown(&request.tables.database);
    let backup = store::open_copy(copy)?;
    let encoding = |connection: &Connection| -> Result<String> {
        let read = connection.pragma_query_value(None, "encoding", |row| row.get(0));
        Ok(read.map_err(failed("read the encoding of", shown))?)
    };
    let (then, now) = (encoding(&backup)?, encoding(connection)?);
    if then != now {
        let (database, backup) = (shown.display().to_string(), request.backup.id().to_string());
        return Err(TableError::Encoding { database, backup, then, now }.into());
    }
    database::attach_copy(connection, copy, look::SIDES[0])?;
    connection.execute_batch(begin).map_err(failed("read", shown))?;
    Look::new(request, connection, &backup)?.tables()
}

fn preview(request: &Request<'_>, tables: &[Table]) -> TablesPreview {
    TablesPreview {
        backup: request.backup.id().clone(),
        age_seconds: (request.now - request.backup.manifest.created).num_seconds(),
        database: request.tables.database.clone(),
        tables: tables.iter().map(|table| table.change.clone()).collect(),
        seen: tables.iter().map(|table| table.content).collect(),
    }
}

/// Unpacks the backup's database to a private place and hands it on with the path of the live one.
fn with_copy<T>(
    request: &Request<'_>,
    observer: &dyn Observer,
    act: impl FnOnce(&Path, &Path) -> Result<T>,
) -> Result<T> {
    let database = &request.tables.database;
    let live: PathBuf = database.below(request.data);
    if !disk::find(&live)?.is_some_and(|found| found.is_file()) {
        let (database, backup) = (database.to_string(), request.backup.id().to_string());
        return Err(TableError::NoDatabase { database, backup }.into());
    }
    // Before a connection to it exists: closing the file would drop the locks of that.
    if !database::sniff(&live)? {
        return Err(DatabaseError::NotADatabase { path: live }.into());
    }
    let session = request.store.session()?;
    let folder = session.staging().join("table");
    disk::create_private_folder("table-folder", &folder)?;
    let copy = folder.join("table.db");
    let target = |path: &StoredPath| (path == database).then(|| copy.clone());
    request.store.unpack_databases(request.backup, &target, observer)?;
    act(&copy, &live)
}
