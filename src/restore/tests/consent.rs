//! What is written after a preview was shown is never taken away.

use super::{changed, database, now, request, safety, state, undo, write};
use crate::{
    Kind, backup,
    disk::fault::{Fault, arm_here, disarm},
    error::RestoreError,
    event::{Event, Observer, Silent, Work},
    restore::{Preview, Request, Restored, carry_out, count_losses, plan},
    store::{Backup, Filter},
};
use rusqlite::Connection;
use std::{
    fs::{self, File},
    path::PathBuf,
    sync::Mutex,
};

fn preview(request: &Request<'_>, live: &backup::Request<'_>) -> Preview {
    let mut preview = plan(request, &|_, _| None).unwrap();
    count_losses(&mut preview, request, live, &Silent);
    assert_eq!(preview.uncounted, None);
    preview
}

/// Shows a preview, lets something happen, and restores.
fn after(happens: impl FnOnce(&super::Place)) -> (crate::Result<Restored>, super::Place, Backup) {
    let (place, backup) = changed();
    let none = Filter::default();
    let seen = {
        let safety = safety(&place, &none);
        preview(&request(&place, &backup, &none), &safety).seen
    };
    happens(&place);
    let before = state(&place.data);
    let result = {
        let safety = backup::Request { now: now(), ..safety(&place, &none) };
        let request = request(&place, &backup, &none);
        carry_out(&Request { seen: Some(&seen), safety: Some(&safety), ..request }, &Silent)
    };
    if result.is_err() {
        assert_eq!(state(&place.data), before);
    }
    (result, place, backup)
}

#[track_caller]
fn stops_at(path: &str, happens: impl FnOnce(&super::Place)) {
    match after(happens).0 {
        Err(crate::Error::Restore(RestoreError::Changed { changed, .. })) => {
            assert_eq!(changed, [PathBuf::from(path)]);
        }
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn what_was_written_after_the_preview_stops_the_restore() {
    stops_at("app.db", |place| drop(database(&place.data.join("app.db"), "wal", 1)));
    stops_at("sub/legacy.db", |place| {
        drop(database(&place.data.join("sub/legacy.db"), "delete", 1))
    });
    stops_at("new/new.db", |place| drop(database(&place.data.join("new/new.db"), "wal", 1)));
    stops_at("later.db", |place| drop(database(&place.data.join("later.db"), "wal", 1)));
    stops_at("kept.txt", |place| write(&place.data.join("kept.txt"), "new again"));
    stops_at("upload", |place| write(&place.data.join("upload"), "x"));
    // The same size, and a row that takes the place of another.
    stops_at("app.db", |place| {
        let service = Connection::open(place.data.join("app.db")).unwrap();
        service.execute_batch("UPDATE t SET id = 100 WHERE id = 1").unwrap();
    });
}

/// SQLite sets the owner of a journal again whenever root looks into the database: that is no change.
#[test]
fn the_journal_that_a_setting_leaves_does_not_stop_it() {
    let (place, backup) = changed();
    let live = place.data.join("sub/legacy.db");
    drop(database(&live, "persist", 3));
    assert!(std::fs::metadata(place.data.join("sub/legacy.db-journal")).unwrap().len() > 0);
    let none = Filter::default();
    let safety = safety(&place, &none);
    let request = request(&place, &backup, &none);
    let seen = preview(&request, &safety).seen;
    let safety = backup::Request { random: [1; 3], ..safety };
    let request = Request { seen: Some(&seen), safety: Some(&safety), ..request };
    assert!(carry_out(&request, &Silent).unwrap().safety.is_some());
    assert_eq!(super::rows(&live), 2);
    undo(&place.data, now(), [0; 3], &Silent).unwrap();
    assert_eq!(super::rows(&live), 10);
}

#[test]
fn what_loses_nothing_does_not_stop_it() {
    after(|_| {}).0.unwrap();
    after(|place| fs::remove_file(place.data.join("kept.txt")).unwrap()).0.unwrap();
    let checkpoint = |place: &super::Place| {
        let service = Connection::open(place.data.join("app.db")).unwrap();
        service.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    };
    after(checkpoint).0.unwrap();
}

#[test]
fn what_is_written_during_the_safety_backup_stops_it() {
    for name in ["app.db", "sub/legacy.db", "new/new.db"] {
        let (place, backup) = changed();
        let live = place.data.join(name);
        let mode = if name == "sub/legacy.db" { "delete" } else { "wal" };
        let none = Filter::default();
        let written = Mutex::new(0);
        // Asked for the position of each copy, after the cut.
        let inspect = |_: &Connection, path: &std::path::Path| {
            if path == std::path::Path::new(name) {
                drop(database(&live, mode, 1));
                *written.lock().unwrap() += 1;
            }
            None
        };
        let safety = backup::Request { inspect: &inspect, ..safety(&place, &none) };
        let request = Request { safety: Some(&safety), ..request(&place, &backup, &none) };
        let error = carry_out(&request, &Silent).unwrap_err();
        assert_eq!(*written.lock().unwrap(), 1);
        assert_eq!(error.kind(), Kind::Refused, "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(!place.data.join(".piton/restore.json").exists());
        carry_out(&super::Request { safety: None, ..request }, &Silent).unwrap();
    }
}

/// Opens a database at the moment at which the files are about to be exchanged.
struct Latecomer {
    path: PathBuf,
    opened: Mutex<Option<File>>,
}

impl Observer for Latecomer {
    fn event(&self, event: Event) {
        if matches!(event, Event::WorkStarted { work: Work::Publish, .. }) {
            let service = Connection::open(&self.path).unwrap();
            let read = service.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
            let busy = read.unwrap_err().sqlite_error_code();
            assert_eq!(busy, Some(rusqlite::ErrorCode::DatabaseBusy));
            drop(service);
            *self.opened.lock().unwrap() = Some(File::open(&self.path).unwrap());
        }
    }
}

/// Without leases, behind which it would wait for the very thread that holds them.
#[test]
fn whoever_opens_an_old_file_before_the_exchange_reverts_it() {
    arm_here("lease", 1, Fault::Refuse(libc::EINVAL));
    let (place, backup) = changed();
    let before = state(&place.data);
    let late = Latecomer { path: place.data.join("app.db"), opened: Mutex::new(None) };
    let none = Filter::default();
    let error = carry_out(&request(&place, &backup, &none), &late).unwrap_err();
    disarm();
    assert_eq!(error.kind(), Kind::InUse, "{error}");
    assert!(error.to_string().contains("app.db"), "{error}");
    assert!(late.opened.lock().unwrap().take().is_some());
    assert_eq!(state(&place.data), before);
    super::restore(&place, &backup).unwrap();
}
