//! Which rows a restore would lose: those of the live databases that the backup does not have, and
//! those that it has otherwise.

use super::{
    DatabaseChange, Gate, Preview, Request,
    raw::{self, Left},
    same, seen,
};
use crate::{
    backup::{self, scan::Found},
    difference::{self, DatabaseDifference, Depth, Difference, Source},
    disk,
    event::Observer,
    store::{Bare, StoredPath},
};
use std::collections::BTreeSet;

/// Counts the rows and adds them to a preview. Where that is not possible, the preview says so: a
/// damaged or missing live database is a reason to restore, not to refuse.
pub fn count_losses(
    preview: &mut Preview,
    request: &Request<'_>,
    live: &backup::Request<'_>,
    observer: &dyn Observer,
) {
    if !request.data.exists() {
        return;
    }
    if let Some(path) = spoilt(preview, request) {
        // To copy it would open it, and change what a restore keeps as it is.
        preview.uncounted = Some(format!("`{path}` cannot be read with the log beside it"));
        return see_raw(preview, request);
    }
    let sides = (Source::Backup(request.backup), Source::Live(live));
    let depth = Depth { only: request.only, keys: 0 };
    match difference::find(request.store, sides, depth, observer) {
        Ok(difference) => {
            preview.databases.iter_mut().for_each(|it| add(it, &difference));
            let alike = unchanged(request, &difference);
            preview.seen.add_contents(difference.second);
            leave_alone(preview, &alike);
        }
        Err(error) => {
            preview.uncounted = Some(error.to_string());
            see_raw(preview, request);
        }
    }
}

/// The databases that are live as the backup has them.
fn unchanged(request: &Request<'_>, difference: &Difference) -> BTreeSet<StoredPath> {
    let records = request.backup.manifest.databases.iter().filter(|record| {
        let live = record.path.below(request.data);
        let is_dressed = || {
            let found = disk::find(&live).ok().flatten();
            found.is_some_and(|found| {
                same::is_dressed(&Found::from(&found), &live, &record.attributes, Bare::File)
            })
        };
        match request.gate {
            Gate::Refuse => {
                difference.second.get(&record.path) == Some(&record.sha256) && is_dressed()
            }
            // What is written into an open database changes neither its journal mode nor its owner.
            Gate::Hot => {
                difference.second.get(&record.path) == Some(&record.sha256)
                    || difference.alike.contains(&record.path)
            }
        }
    });
    records.map(|record| record.path.clone()).collect()
}

/// Takes these databases out of what would change.
fn leave_alone(preview: &mut Preview, same: &BTreeSet<StoredPath>) {
    preview.databases.retain(|database| !same.contains(&database.path));
    preview.holders.retain(|holder| !same.iter().any(|it| it.as_path() == holder.database));
    same.iter().for_each(|path| preview.seen.leave_alone(path));
}

/// A database that cannot be read and has a log beside it.
fn spoilt(preview: &Preview, request: &Request<'_>) -> Option<StoredPath> {
    let has_log = |path: &StoredPath| {
        raw::left(&path.below(request.data)).is_ok_and(|it| it != Left::Nothing)
    };
    let mut unreadable = preview.databases.iter().filter(|it| it.unreadable.is_some());
    unreadable.find(|it| has_log(&it.path)).map(|it| it.path.clone())
}

/// Without contents, the files tell whether anything has changed.
fn see_raw(preview: &mut Preview, request: &Request<'_>) {
    let databases = preview.databases.iter().map(|it| &it.path);
    match seen::sights(request.data, databases) {
        Ok(raw) => preview.seen.add_raw(raw),
        Err(error) => preview.uncounted = Some(error.to_string()),
    }
}

fn add(database: &mut DatabaseChange, difference: &Difference) {
    let found = difference.databases.iter().find(|it| it.path == database.path);
    let note = found.and_then(|it| it.note.as_ref());
    if database.unreadable.is_some() || note.is_some_and(|note| note.starts_with("cannot")) {
        return;
    }
    for (table, rows) in &mut database.tables {
        if crate::schema::is_internal(table) {
            continue;
        }
        let (lost, changed) = losses(found, table);
        (rows.only_live, rows.changed) = match (rows.live, rows.backup) {
            (Some(live), None) => (Some(live), Some(0)),
            _ => (lost, changed),
        };
    }
}

fn losses(found: Option<&DatabaseDifference>, table: &str) -> (Option<u64>, Option<u64>) {
    let tables = found.map_or(&[][..], |it| &it.tables);
    match tables.iter().find(|it| it.table.eq_ignore_ascii_case(table)) {
        None => (Some(0), Some(0)),
        Some(table) if table.note.is_some() => (None, None),
        Some(table) => (Some(table.only_second), Some(table.changed)),
    }
}
