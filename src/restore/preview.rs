//! What a restore would change, found out without touching anything.

use super::{
    Request, Seen, View,
    arrange::{self, Choice},
    directory, holders,
    journal::{AccessChange, Action, What},
    raw::{self, Left},
    same, selected,
};
use crate::{
    Result,
    backup::scan::{self, Tree},
    database::{self, Access, SIDE_SUFFIXES},
    disk,
    error::{FileHolder, Limit},
    store::{self, BackupId, DatabaseRecord, Item, StoredPath},
};
use rusqlite::Connection;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

/// What a restore would change.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The backup that would be put back.
    pub backup: BackupId,
    /// How old it is, in seconds.
    pub age_seconds: i64,
    /// The databases that would change.
    pub databases: Vec<DatabaseChange>,
    /// Files and links that would come or be replaced.
    pub files_restored: Vec<StoredPath>,
    /// Files and links that the backup does not have: they would move to the undo area.
    pub files_displaced: Vec<StoredPath>,
    /// Folders that would come, or get another owner or mode.
    pub folders_restored: Vec<StoredPath>,
    /// Folders that the backup does not have: they would go.
    pub folders_displaced: Vec<StoredPath>,
    /// The data directory itself, where it would get another owner or mode.
    pub data_directory: Option<AccessChange>,
    /// Who holds a database that would be replaced.
    pub holders: Vec<FileHolder>,
    /// Whether every process could be looked into.
    pub view: View,
    /// Why not.
    pub limits: Vec<Limit>,
    /// Why the rows that would be lost could not be counted.
    pub uncounted: Option<String>,
    /// What a restore that follows this preview must find.
    #[serde(skip)]
    pub seen: Seen,
}

impl Preview {
    /// Whether the live data is as the backup has it, so that there is nothing to do.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        let paths = [
            &self.files_restored,
            &self.files_displaced,
            &self.folders_restored,
            &self.folders_displaced,
        ];
        self.databases.is_empty()
            && self.data_directory.is_none()
            && paths.iter().all(|it| it.is_empty())
    }
}

/// What would happen to a database.
#[derive(Clone, Debug, Serialize)]
pub struct DatabaseChange {
    /// Its path.
    pub path: StoredPath,
    /// What would happen to it.
    pub change: Change,
    /// Rows per table, live and in the backup.
    pub tables: BTreeMap<String, Rows>,
    /// Its position in the backup.
    pub backup_position: Option<String>,
    /// Its position now.
    pub live_position: Option<String>,
    /// Why the live database could not be read.
    pub unreadable: Option<String>,
}

impl DatabaseChange {
    /// The tables that would lose rows, and how many: those that only the live database has, and those
    /// that it has otherwise. The rows of piton's own table are no loss.
    pub fn lost(&self) -> impl Iterator<Item = (&str, u64)> {
        let count =
            |rows: &Rows| rows.only_live.unwrap_or(0).saturating_add(rows.changed.unwrap_or(0));
        let all = self.tables.iter().map(move |(table, rows)| (table.as_str(), count(rows)));
        all.filter(|(table, count)| *count > 0 && !table.starts_with("_piton_"))
    }
}

/// What would happen to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is not there now.
    Created,
    /// It is there now and would be replaced.
    Replaced,
    /// The backup does not have it: it would move to the undo area.
    Displaced,
}

/// Rows of one table; absent where the table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// Rows in the live database.
    pub live: Option<u64>,
    /// Rows in the backup.
    pub backup: Option<u64>,
    /// Rows that the backup does not have, by key; absent where they are not counted.
    pub only_live: Option<u64>,
    /// Rows that the backup has otherwise; absent where they are not counted.
    pub changed: Option<u64>,
}

/// Finds out what a restore would change. `inspect` tells the position of a live database.
///
/// # Errors
/// The system's, with the path; a live database that cannot be read is no error.
pub fn plan(
    request: &Request<'_>,
    inspect: &dyn Fn(&Connection, &Path) -> Option<String>,
) -> Result<Preview> {
    let excluded = super::excluded(request)?;
    let left_out = super::left_out(request);
    let scope = scan::Scope { data: request.data, excluded: &excluded, left_out: &left_out };
    // A data directory that is gone has nothing in it.
    let live =
        if crate::disk::exists(request.data)? { scan::scan(scope)? } else { Tree::default() };
    if request.undoes.is_none() {
        super::require_match(request.backup, request.only, &live)?;
    }
    let items = selected(request, &excluded);
    let concerned = |path: &StoredPath| request.only.is_empty() || request.only.matches(path);
    let same = same::unchanged(request, &live, &items)?;
    let choice = Choice { data: request.data, concerned: &concerned, same: &same };
    // The same arrangement that a restore carries out.
    let actions = arrange::arrange(&live, &items, &request.backup.manifest, &choice);
    let affected = actions.iter().filter_map(|action| match action {
        Action::Displace { path, what: What::Database }
        | Action::Place { path, what: What::Database } => Some(path),
        _ => None,
    });
    let opaque = arrange::opaque(&live, &actions);
    let affected = affected.chain(&opaque);
    let found = holders::holders(&holders::wanted(request.data, affected)?, &[]);
    let displaced = |wanted: What| {
        actions.iter().filter_map(move |action| match action {
            Action::Displace { path, what } if *what == wanted => Some(path),
            _ => None,
        })
    };
    let held = found.holders.iter().map(|it| it.database.as_path()).collect();
    let look = &Look { inspect, held };
    let mut databases: Vec<DatabaseChange> = Vec::new();
    let mut files_restored = Vec::new();
    let placed: BTreeSet<&StoredPath> = actions.iter().filter_map(Action::placed).collect();
    for item in &items {
        match item {
            Item::Database(record) => databases.push(compare(request, &live, record, look)),
            Item::File(record) if placed.contains(&record.path) => {
                files_restored.push(record.path.clone());
            }
            Item::File(_) => {}
        }
    }
    databases.extend(displaced(What::Database).map(|path| surplus(request, path, look)));
    databases.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Preview {
        backup: request.backup.id().clone(),
        age_seconds: (request.now - request.backup.manifest.created).num_seconds(),
        databases,
        files_restored,
        files_displaced: displaced(What::File).cloned().collect(),
        folders_restored: folders_restored(&actions),
        folders_displaced: folders_displaced(&actions),
        data_directory: directory::change(request)?,
        view: found.view(),
        limits: found.limits,
        holders: found.holders,
        uncounted: None,
        seen: Seen::files(&live, &actions, same),
    })
}

fn folders_restored(actions: &[Action]) -> Vec<StoredPath> {
    let touched: BTreeSet<StoredPath> = actions.iter().filter_map(Action::parent).collect();
    let folders = actions.iter().filter_map(|action| match action {
        Action::MakeFolder { path, .. } => Some(path),
        Action::DressFolder { path, before, after } if before.mode != after.mode => Some(path),
        // One in which nothing changes is there for its owner or its mode.
        Action::DressFolder { path, .. } if !touched.contains(path) => Some(path),
        _ => None,
    });
    folders.cloned().collect()
}

fn folders_displaced(actions: &[Action]) -> Vec<StoredPath> {
    let folders = actions.iter().filter_map(|action| match action {
        Action::RemoveFolder { path, .. } => Some(path.clone()),
        _ => None,
    });
    folders.collect()
}

fn compare(
    request: &Request<'_>,
    live: &Tree,
    record: &DatabaseRecord,
    look: &Look<'_>,
) -> DatabaseChange {
    let path = &record.path;
    let there = live.databases.contains_key(path);
    let (rows, live_position, mut unreadable) =
        if there { read_live(request, path, look) } else { Default::default() };
    if live.files.contains_key(path) {
        unreadable = Some("it is not a SQLite database".into());
    }
    let mut tables: BTreeMap<String, Rows> = BTreeMap::new();
    for (table, rows) in rows {
        tables.entry(table).or_default().live = Some(rows);
    }
    for (table, rows) in &record.facts.rows {
        tables.entry(table.clone()).or_default().backup = Some(*rows);
    }
    let change = if there || unreadable.is_some() { Change::Replaced } else { Change::Created };
    let (path, backup_position) = (path.clone(), record.position.clone());
    DatabaseChange { path, change, tables, backup_position, live_position, unreadable }
}

/// A live database that the backup does not have.
fn surplus(request: &Request<'_>, path: &StoredPath, look: &Look<'_>) -> DatabaseChange {
    let (rows, live_position, unreadable) = read_live(request, path, look);
    let known = |(table, rows)| (table, Rows { live: Some(rows), ..Rows::default() });
    DatabaseChange {
        path: path.clone(),
        change: Change::Displaced,
        tables: rows.into_iter().map(known).collect(),
        backup_position: None,
        live_position,
        unreadable,
    }
}

/// How live databases are looked at.
struct Look<'a> {
    /// Tells the position of one.
    inspect: &'a dyn Fn(&Connection, &Path) -> Option<String>,
    /// Those that a process has open.
    held: BTreeSet<&'a Path>,
}

type Live = (BTreeMap<String, u64>, Option<String>, Option<String>);

fn read_live(request: &Request<'_>, path: &StoredPath, look: &Look<'_>) -> Live {
    let absolute = path.below(request.data);
    // Without logs the file alone is the database, and reading it leaves nothing beside it.
    let is_absent =
        |suffix: &&str| matches!(disk::exists(&database::side_file(&absolute, suffix)), Ok(false));
    let alone = SIDE_SUFFIXES.iter().all(is_absent);
    let access = if alone { Access::Immutable } else { Access::Read };
    // What a process has open is in order; what a crash has left may be of another database.
    let left = match look.held.contains(path.as_path()) {
        true => Left::Nothing,
        false => raw::left(&absolute).unwrap_or(Left::Journal),
    };
    if left == Left::Journal {
        let reason = "a journal that a crash has left lies beside it";
        return (BTreeMap::new(), None, Some(reason.into()));
    }
    let read = database::open(&absolute, access, Duration::from_secs(2)).and_then(|connection| {
        if left == Left::Log {
            store::check_quickly(&connection, path.as_path())?;
        }
        let rows = store::row_counts(&connection).map_err(database::failed("read", &absolute))?;
        Ok((rows, (look.inspect)(&connection, path.as_path())))
    });
    match read {
        Ok((rows, position)) => (rows, position, None),
        Err(error) => (BTreeMap::new(), None, Some(error.to_string())),
    }
}
