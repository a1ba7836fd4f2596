//! Restores into databases that somebody has open.

use super::{Place, changed, database, request, safety, state};
use crate::{
    Kind, backup,
    error::RestoreError,
    event::Silent,
    restore::{Gate, Request, Way, carry_out, last, require_whole},
    store::{Backup, Filter},
};
use rusqlite::Connection;

fn restore(place: &Place, backup: &Backup, safety: Option<&backup::Request<'_>>) -> crate::Error {
    let none = Filter::default();
    let request = Request { gate: Gate::Hot, safety, ..request(place, backup, &none) };
    carry_out(&request, &Silent).unwrap_err()
}

fn open(place: &Place, name: &str) -> Connection {
    let service = Connection::open(place.data.join(name)).unwrap();
    service.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
    service
}

#[test]
fn what_is_written_while_it_is_open_stops_it() {
    for (name, mode) in [("app.db", "wal"), ("sub/legacy.db", "delete")] {
        let (place, backup) = changed();
        let (service, none) = (open(&place, name), Filter::default());
        let inspect = |_: &Connection, path: &std::path::Path| {
            if path == std::path::Path::new(name) {
                drop(database(&place.data.join(name), mode, 1));
            }
            None
        };
        let safety = backup::Request { inspect: &inspect, ..safety(&place, &none) };
        let error = restore(&place, &backup, Some(&safety));
        assert_eq!(error.kind(), Kind::Refused, "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
        let rows: i64 = service.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 8);
        require_whole(&place.data).unwrap();
    }
}

#[test]
fn what_nobody_writes_to_is_restored_after_a_safety_backup() {
    let (place, backup) = changed();
    let services = ["app.db", "sub/legacy.db"].map(|name| open(&place, name));
    let none = Filter::default();
    let safety = safety(&place, &none);
    let request =
        Request { gate: Gate::Hot, safety: Some(&safety), ..request(&place, &backup, &none) };
    let restored = carry_out(&request, &Silent).unwrap();
    let rows = services.map(|service| {
        service.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap()
    });
    assert_eq!(rows, [3, 2]);
    let undo = last(&place.data).unwrap().unwrap();
    assert_eq!((undo.before, undo.only.len()), (restored.safety, 0));
    assert_eq!(undo.way, Way::OpenDatabases);
    assert!(!place.data.join(".piton/hot.json").exists());
    assert!(!place.data.join(".piton/scratch").exists());
}

#[test]
fn what_one_of_them_refuses_stops_it_before_any_is_written() {
    let (place, backup) = changed();
    let legacy = place.data.join("sub/legacy.db");
    std::fs::remove_file(&legacy).unwrap();
    let other = Connection::open(&legacy).unwrap();
    other
        .execute_batch("PRAGMA page_size = 8192; CREATE TABLE t (id INTEGER PRIMARY KEY)")
        .unwrap();
    let before = state(&place.data);
    let error = restore(&place, &backup, None);
    assert!(
        matches!(&error, crate::Error::Restore(RestoreError::PageSize { live: 8192, .. })),
        "{error}"
    );
    assert_eq!(state(&place.data), before);
}

#[test]
fn a_reader_without_a_log_keeps_it_away_and_is_told() {
    let (place, backup) = changed();
    let before = state(&place.data);
    let reader = Connection::open(place.data.join("sub/legacy.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
    let error = restore(&place, &backup, None);
    assert_eq!(error.kind(), Kind::InUse);
    assert!(error.to_string().contains("`sub/legacy.db` stayed locked"), "{error}");
    drop(reader);
    assert_eq!(state(&place.data), before);
}
