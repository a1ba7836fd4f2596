//! Large databases, with writers that come at each stage of their archiving.
#![allow(clippy::disallowed_methods)]

use super::{
    super::{
        Taken, copy_connection, take,
        tests::{Place, extract, place, requested},
    },
    LARGE,
};
use crate::{
    Kind,
    disk::{
        fault::{Fault, arm_here, disarm},
        share_beginning,
    },
    event::{Event, Observer, Silent, Work},
};
use rusqlite::Connection;
use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::Duration,
};

/// What happens when so many bytes of the data were archived, at most once in each event.
struct At<'a> {
    bytes: Mutex<Vec<u64>>,
    act: &'a (dyn Fn() + Sync),
}

fn at<'a>(bytes: &[u64], act: &'a (dyn Fn() + Sync)) -> At<'a> {
    At { bytes: Mutex::new(bytes.to_vec()), act }
}

impl Observer for At<'_> {
    fn event(&self, event: Event) {
        let Event::WorkAdvanced { work: Work::Archive, done_bytes } = event else { return };
        let mut bytes = self.bytes.lock().unwrap();
        if bytes.first().is_some_and(|bytes| *bytes <= done_bytes) {
            bytes.remove(0);
            (self.act)();
        }
    }
}

/// One attempt to write, which is told at once whether it can.
fn write(writer: &Mutex<Connection>) -> bool {
    let writer = writer.lock().unwrap();
    writer.busy_timeout(Duration::ZERO).unwrap();
    writer.execute_batch("INSERT INTO t (text) VALUES ('new')").is_ok()
}

/// A place on whose file system a copy costs something, so that databases are read where they lie;
/// on any other there is nothing to try.
fn unshared_place() -> Option<Place> {
    let place = place();
    let (one, other) = (place.data.with_extension("one"), place.data.with_extension("other"));
    fs::write(&one, [1; 4096]).unwrap();
    let one = fs::File::open(one).unwrap();
    let shares = share_beginning("test", &one, &other, 4096).unwrap();
    (!shares).then_some(place)
}

fn large(place: &Place) -> PathBuf {
    let path = place.data.join("app.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA synchronous = OFF; CREATE TABLE t (id INTEGER PRIMARY KEY, text, blob);
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 24000)
             INSERT INTO t SELECT n, 'row ' || n, randomblob(1400) FROM n;
             CREATE INDEX i ON t (text); CREATE INDEX j ON t (blob)",
        )
        .unwrap();
    assert!(fs::metadata(&path).unwrap().len() > LARGE);
    path
}

fn back_up(place: &Place, observer: &dyn Observer) -> crate::Result<Taken> {
    requested(place, &[], |request| take(request, &place.store, observer))
}

/// What SQLite makes of the same database.
fn expected(place: &Place) -> Vec<u8> {
    let copy = place.data.parent().unwrap().join("expected");
    let path = place.data.join("app.db");
    copy_connection(&Connection::open(&path).unwrap(), &path, &copy).unwrap();
    fs::read(copy).unwrap()
}

fn rows(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

fn require_old(place: &Place, taken: &Taken, expected: &[u8]) {
    extract(place, taken);
    let found = fs::read(place.out.join("app.db")).unwrap();
    assert!(found == expected, "the archive has another database");
    assert_eq!(taken.backup.manifest.databases[0].facts.rows["t"], 24_000);
    assert!(!place.store.root().join(".staging").exists());
}

#[test]
fn where_nobody_writes_nothing_is_copied() {
    let place = place();
    large(&place);
    let expected = expected(&place);
    arm_here("copy-file", 1, Fault::Error(libc::EIO));
    let taken = back_up(&place, &Silent).unwrap();
    assert!(disarm(), "a copy was made");
    require_old(&place, &taken, &expected);
}

#[test]
fn a_writer_goes_on_as_soon_as_there_is_a_copy() {
    for bytes in [1, 3 << 20, LARGE - 1] {
        let Some(place) = unshared_place() else { return };
        let path = large(&place);
        let expected = expected(&place);
        let writer = Mutex::new(Connection::open(&path).unwrap());
        let attempts = Mutex::new(Vec::new());
        let act = || attempts.lock().unwrap().push(write(&writer));
        // The first attempt is refused; it is what lets the second one through.
        let taken = back_up(&place, &at(&[bytes, bytes + 1], &act)).unwrap();
        assert_eq!(*attempts.lock().unwrap(), [false, true], "at {bytes}");
        assert_eq!(rows(&path), 24_001);
        require_old(&place, &taken, &expected);
    }
}

#[test]
fn a_writer_that_waits_while_only_the_check_goes_on_is_let_through() {
    let place = place();
    let path = large(&place);
    let expected = expected(&place);
    let length = fs::metadata(&path).unwrap().len();
    thread::scope(|scope| {
        let act = || {
            let path = path.clone();
            scope.spawn(move || {
                let writer = Connection::open(path).unwrap();
                writer.busy_timeout(Duration::from_secs(60)).unwrap();
                writer.execute_batch("INSERT INTO t (text) VALUES ('new')").unwrap();
            });
        };
        let last = at(&[length], &act);
        let taken = back_up(&place, &last).unwrap();
        assert!(last.bytes.lock().unwrap().is_empty());
        require_old(&place, &taken, &expected);
    });
    assert_eq!(rows(&path), 24_001);
}

#[test]
fn where_there_is_no_room_for_a_copy_the_backup_ends_and_the_writer_goes_on() {
    let Some(place) = unshared_place() else { return };
    let path = large(&place);
    let writer = Mutex::new(Connection::open(&path).unwrap());
    let act = || assert!(!write(&writer));
    arm_here("copy-file", 1, Fault::Error(libc::ENOSPC));
    let error = back_up(&place, &at(&[1], &act)).unwrap_err();
    assert!(!disarm());
    let said = error.to_string();
    assert!(said.contains("copy-0.db"), "{said}");
    assert_eq!(error.kind(), Kind::Failed, "{said}");
    assert!(write(&writer));
    assert!(place.store.list().unwrap().backups.is_empty());
    assert!(!place.store.root().join(".staging").exists());
}

#[test]
fn damage_is_found_where_the_database_lies() {
    let place = place();
    let path = large(&place);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0x7F; 4096], 20 << 20).unwrap();
    drop(file);
    let error = back_up(&place, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged, "{error}");
    assert!(error.to_string().contains("data/app.db"), "{error}");
}
