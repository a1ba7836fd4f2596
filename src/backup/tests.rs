//! Snapshots of real directories, also while others write to them.
#![allow(clippy::disallowed_methods)]

use super::{BARRIER_LIMIT, Origin, Request, Taken, take};
use crate::{
    error::{Error, StoreError},
    event::Silent,
    store::{Checking, Cut, FileKind, Filter, Folders, Reason, Store},
};
use chrono::{TimeZone, Utc};
use rusqlite::Connection;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
    time::Duration,
};

static COUNTER: AtomicU8 = AtomicU8::new(0);

pub(super) struct Place {
    _folder: tempfile::TempDir,
    pub(super) data: PathBuf,
    pub(super) store: Store,
    pub(super) out: PathBuf,
}

pub(super) fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let store = Store::new(folder.path().join("backups"));
    let out = folder.path().join("out");
    Place { _folder: folder, data, store, out }
}

fn snapshot(place: &Place, excluded: &[&str]) -> crate::Result<Taken> {
    requested(place, excluded, |request| take(request, &place.store, &Silent))
}

pub(super) fn requested<T>(
    place: &Place,
    excluded: &[&str],
    act: impl FnOnce(&Request<'_>) -> crate::Result<T>,
) -> crate::Result<T> {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let request = Request {
        data: &place.data,
        excluded: &Filter::new(excluded).unwrap(),
        left_out: &[],
        reason: Reason::Manual,
        label: None,
        now: Utc.with_ymd_and_hms(2026, 11, 20, 13, 19, 0).unwrap()
            + chrono::TimeDelta::seconds(number.into()),
        random: [1, 2, number],
        host: "host",
        git_revision: None,
        barrier_limit: BARRIER_LIMIT,
        inspect: &|_, path| Some(path.display().to_string()),
    };
    act(&request)
}

pub(super) fn database(path: &Path, mode: &str, rows: u32) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", mode).unwrap();
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)").unwrap();
    for row in 0..rows {
        connection.execute("INSERT INTO t (text) VALUES (?1)", [format!("row {row}")]).unwrap();
    }
    connection
}

pub(super) fn extract(place: &Place, taken: &Taken) {
    fs::create_dir(&place.out).unwrap();
    place.store.extract(&taken.backup, &place.out, &|_| true, Folders::AsListed, &Silent).unwrap();
}

fn count(path: &Path) -> i64 {
    Connection::open(path)
        .unwrap()
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_directory_makes_the_round_trip() {
    let place = place();
    let odd = std::ffi::OsStr::from_bytes(b"odd \xFF %\n.txt");
    fs::create_dir_all(place.data.join("uploads/deep")).unwrap();
    let _wal = database(&place.data.join("app.db"), "wal", 3);
    drop(database(&place.data.join("uploads/legacy"), "delete", 5));
    fs::write(place.data.join("uploads/deep").join(odd), "odd").unwrap();
    fs::write(place.data.join("n".repeat(200)), "long name").unwrap();
    fs::write(place.data.join("big"), vec![7; 5 << 20]).unwrap();
    fs::write(place.data.join("empty"), "").unwrap();
    fs::set_permissions(place.data.join("empty"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("l".repeat(150), place.data.join("long link")).unwrap();
    std::os::unix::fs::symlink("/etc//passwd", place.data.join("link")).unwrap();
    fs::create_dir(place.data.join("cache")).unwrap();
    fs::write(place.data.join("cache/x"), "x").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.data.join("socket")).unwrap();

    let taken = snapshot(&place, &["cache"]).unwrap();
    let manifest = &taken.backup.manifest;
    assert_eq!(manifest.cut, Cut::All);
    assert_eq!(manifest.notes, ["`socket` is a socket and is not stored"]);
    let names: Vec<String> = manifest.items().map(|item| item.path().to_string()).collect();
    assert_eq!(names[..2], ["uploads/legacy", "app.db"], "rollback journals come first");
    assert!(!names.iter().any(|name| name.contains("wal") || name.contains("cache")));
    assert!(names.contains(&"uploads/deep/odd %FF %25%0A.txt".to_owned()));
    assert_eq!(manifest.databases[1].facts.rows["t"], 3);
    assert_eq!(manifest.databases[1].position.as_deref(), Some("app.db"));
    let mut listed = taken.backup.clone();
    listed.manifest.files.clear();
    assert_eq!(place.store.list().unwrap().backups, [listed]);
    assert_eq!(place.store.load(taken.backup.id()).unwrap(), taken.backup);
    let checking = Checking {
        now: taken.backup.verified,
        scratch: &place.out,
        inspect: &|_, path| Some(path.display().to_string()),
    };
    let verified = place.store.verify(taken.backup.id(), &checking, &Silent).unwrap();
    assert!(verified.notes.is_empty(), "{:?}", verified.notes);
    let elsewhere = Checking { inspect: &|_, _| Some("elsewhere".into()), ..checking };
    let verified = place.store.verify(taken.backup.id(), &elsewhere, &Silent).unwrap();
    assert_eq!(verified.notes[1], "`app.db` is listed at app.db and is at elsewhere");

    extract(&place, &taken);
    assert_eq!(count(&place.out.join("app.db")), 3);
    assert_eq!(count(&place.out.join("uploads/legacy")), 5);
    assert_eq!(fs::read(place.out.join("uploads/deep").join(odd)).unwrap(), b"odd");
    assert_eq!(fs::read(place.out.join("n".repeat(200))).unwrap(), b"long name");
    assert_eq!(fs::read(place.out.join("big")).unwrap(), vec![7; 5 << 20]);
    assert_eq!(fs::metadata(place.out.join("empty")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_link(place.out.join("link")).unwrap(), Path::new("/etc//passwd"));
    let modified = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(modified(place.data.join("big")), modified(place.out.join("big")));
}

#[test]
fn gnu_tar_unpacks_the_same() {
    let place = place();
    drop(database(&place.data.join("app.db"), "wal", 3));
    fs::create_dir(place.data.join("d")).unwrap();
    let long = format!("d/{}", "n".repeat(180));
    fs::write(place.data.join(&long), "long").unwrap();
    std::os::unix::fs::symlink("l".repeat(150), place.data.join("link")).unwrap();
    let taken = snapshot(&place, &[]).unwrap();
    fs::create_dir(&place.out).unwrap();
    let archive = place.store.archive_path(taken.backup.id());
    let done =
        Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(&place.out).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    assert_eq!(count(&place.out.join("data/app.db")), 3);
    assert_eq!(fs::read(place.out.join("data").join(long)).unwrap(), b"long");
    assert_eq!(fs::read_link(place.out.join("data/link")).unwrap(), Path::new(&"l".repeat(150)));
    assert!(place.out.join("manifest.json").exists());
}

#[test]
fn unchanged_content_refers_to_the_earlier_backup() {
    let place = place();
    let connection = database(&place.data.join("app.db"), "wal", 3);
    let first = snapshot(&place, &[]).unwrap();
    let second = snapshot(&place, &[]).unwrap();
    assert_eq!((first.origin, second.origin), (Origin::New, Origin::Earlier));
    assert_eq!(first.backup, second.backup);
    // A checkpoint changes the files, but not the content.
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert_eq!(snapshot(&place, &[]).unwrap().origin, Origin::Earlier);
    connection.execute("UPDATE t SET text = 'x' WHERE id = 1", []).unwrap();
    assert_eq!(snapshot(&place, &[]).unwrap().origin, Origin::New);
    drop(connection);
    // What was unpacked is the same content again.
    let newest = snapshot(&place, &[]).unwrap();
    extract(&place, &newest);
    let unpacked = Place { data: place.out.clone(), ..place };
    assert_eq!(snapshot(&unpacked, &[]).unwrap().origin, Origin::Earlier);
    let names: Vec<_> =
        fs::read_dir(unpacked.store.root()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), 5, "two archives, two manifests and the lock: {names:?}");
}

#[test]
fn three_databases_are_cut_at_one_instant() {
    let place = place();
    let names = ["a.db", "b.db", "c.db"];
    for (name, mode) in names.iter().zip(["wal", "delete", "wal"]) {
        let connection = database(&place.data.join(name), mode, 0);
        connection
            .execute_batch("CREATE TABLE n (value INTEGER); INSERT INTO n VALUES (0)")
            .unwrap();
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let open = |name: &&str| {
                let connection = Connection::open(place.data.join(name)).unwrap();
                connection.busy_timeout(Duration::from_secs(20)).unwrap();
                connection.pragma_update(None, "synchronous", "OFF").unwrap();
                connection
            };
            let connections: Vec<Connection> = names.iter().map(open).collect();
            while !stop.load(Ordering::Relaxed) {
                for connection in &connections {
                    connection.execute("UPDATE n SET value = value + 1", []).unwrap();
                }
            }
        });
        for _ in 0..15 {
            std::thread::sleep(Duration::from_millis(5));
            let taken = snapshot(&place, &[]).unwrap();
            assert_eq!(taken.backup.manifest.cut, Cut::All);
            extract(&place, &taken);
            let value = |name: &&str| -> i64 {
                let connection = Connection::open(place.out.join(name)).unwrap();
                connection.query_row("SELECT value FROM n", [], |row| row.get(0)).unwrap()
            };
            let values: Vec<i64> = names.iter().map(value).collect();
            assert!(
                values[0] >= values[1] && values[1] >= values[2] && values[0] - values[2] <= 1,
                "{values:?}"
            );
            fs::remove_dir_all(&place.out).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_writer_that_stays_is_waited_for_only_so_long() {
    let place = place();
    drop(database(&place.data.join("a.db"), "wal", 1));
    let b = database(&place.data.join("b.db"), "wal", 1);
    b.execute_batch("BEGIN IMMEDIATE; INSERT INTO t (text) VALUES ('not committed')").unwrap();
    let taken = snapshot(&place, &[]).unwrap();
    assert!(
        matches!(&taken.backup.manifest.cut, Cut::PerDatabase { reason } if reason.contains("b.db"))
    );
    assert_eq!(taken.backup.manifest.databases[1].facts.rows["t"], 1);
}

#[test]
fn hundreds_of_tenants_are_cut_at_one_instant() {
    let place = place();
    let first = place.data.join("0.db");
    drop(database(&first, "wal", 1));
    for number in 1..300 {
        fs::copy(&first, place.data.join(format!("{number}.db"))).unwrap();
    }
    let taken = snapshot(&place, &[]).unwrap();
    assert_eq!(taken.backup.manifest.cut, Cut::All);
    assert_eq!(taken.backup.manifest.databases.len(), 300);
}

#[test]
fn a_hot_journal_is_rolled_back_and_not_stored() {
    let place = place();
    let live = place.data.join("app.db");
    drop(database(&live, "delete", 1));
    let connection = Connection::open(&live).unwrap();
    connection.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN").unwrap();
    for row in 0..2000 {
        connection.execute("INSERT INTO t (text) VALUES (?1)", [format!("lost {row}")]).unwrap();
    }
    // What a crash leaves: a half-written database and its journal, and nobody who holds a lock.
    let copy = place.data.join("crashed.db");
    fs::copy(&live, &copy).unwrap();
    fs::copy(place.data.join("app.db-journal"), place.data.join("crashed.db-journal")).unwrap();
    drop(connection);
    let taken = snapshot(&place, &[]).unwrap();
    let names: Vec<String> =
        taken.backup.manifest.items().map(|it| it.path().to_string()).collect();
    assert_eq!(names, ["app.db", "crashed.db"]);
    assert_eq!(taken.backup.manifest.databases[1].facts.rows["t"], 1);
}

#[test]
fn second_names_and_foreign_files_are_stored_as_what_they_are() {
    let place = place();
    let _open = database(&place.data.join("z.db"), "wal", 2);
    fs::hard_link(place.data.join("z.db"), place.data.join("a.db")).unwrap();
    std::os::unix::fs::symlink("z.db", place.data.join("link.db")).unwrap();
    fs::write(place.data.join("secret.db"), vec![0xA5; 8192]).unwrap();
    fs::write(place.data.join("orphan.db-wal"), "no database").unwrap();
    let taken = snapshot(&place, &[]).unwrap();
    let manifest = &taken.backup.manifest;
    assert_eq!(manifest.databases.iter().map(|it| it.facts.rows["t"]).collect::<Vec<_>>(), [2, 2]);
    let unread = "`secret.db` may be a database that cannot be read here: it is stored as a file and not \
                  checked";
    assert_eq!(manifest.notes, [unread, "`a.db` is a second name of `z.db`"]);
    let kinds: Vec<(String, bool)> = manifest
        .files
        .iter()
        .map(|it| (it.path.to_string(), matches!(it.kind, FileKind::File { .. })))
        .collect();
    let expected = [("link.db", false), ("orphan.db-wal", true), ("secret.db", true)];
    assert_eq!(kinds, expected.map(|(name, file)| (name.to_owned(), file)));
}

#[test]
fn files_that_change_meanwhile_are_named() {
    let place = place();
    // One is read whole and again, the other only once.
    let (small, large) = (place.data.join("small"), place.data.join("large"));
    fs::write(&large, vec![0; 6 << 20]).unwrap();
    fs::write(&small, vec![0; 64 << 10]).unwrap();
    fs::write(place.data.join("still"), "still").unwrap();
    let stop = AtomicBool::new(false);
    let notes = std::thread::scope(|scope| {
        scope.spawn(|| {
            let open = |path| fs::OpenOptions::new().write(true).open(path).unwrap();
            let (small, large) = (open(&small), open(&large));
            for number in 0_u32.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                large.write_all_at(&number.to_le_bytes(), 0).unwrap();
                small.write_all_at(&number.to_le_bytes(), 0).unwrap();
            }
        });
        let mut notes = BTreeSet::new();
        // The writer may not have had its turn while the small one was read.
        for _ in 0..100 {
            notes.extend(snapshot(&place, &[]).unwrap().backup.manifest.notes);
            if notes.len() == 2 {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        notes
    });
    let expected = ["large", "small"].map(|name| format!("`{name}` changed while it was read"));
    assert_eq!(notes.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    // Nobody writes any more: it is read again and found to stand still.
    assert_eq!(snapshot(&place, &[]).unwrap().backup.manifest.notes, Vec::<String>::new());
}

#[test]
fn a_file_that_is_gone_by_the_time_it_is_read_is_named() {
    let place = place();
    for name in ["a", "b", "c"] {
        fs::write(place.data.join(name), name).unwrap();
    }
    std::os::unix::fs::symlink("a", place.data.join("link")).unwrap();
    let filter = Filter::default();
    let scope = super::scan::Scope { data: &place.data, excluded: &filter, left_out: &[] };
    let tree = super::scan::scan(scope).unwrap();
    fs::remove_file(place.data.join("b")).unwrap();
    fs::remove_file(place.data.join("link")).unwrap();
    fs::remove_file(place.data.join("c")).unwrap();
    fs::create_dir(place.data.join("c")).unwrap();
    let session = place.store.session().unwrap();
    let now = Utc.with_ymd_and_hms(2026, 11, 20, 13, 19, 0).unwrap();
    let mut draft = session.draft(&crate::store::BackupId::new(now, [0; 3]), &Silent).unwrap();
    let mut notes = Vec::new();
    let look = || super::scan::scan(scope);
    let mut moved = super::files::Moved::new(&look);
    let mut guard = super::opaque::Guard::new(&place.data, Duration::ZERO);
    let out = (&mut draft, &mut notes);
    let files =
        super::files::archive((&place.data, now), &tree, (&mut moved, &mut guard), out).unwrap();
    assert_eq!(files.iter().map(|it| it.path.to_string()).collect::<Vec<_>>(), ["a"]);
    let gone = ["b", "c", "link"].map(|name| format!("`{name}` vanished before it could be read"));
    assert_eq!(notes, gone);
}

#[test]
fn a_damaged_database_is_not_backed_up() {
    let place = place();
    let live = place.data.join("app.db");
    let connection = database(&live, "delete", 2000);
    drop(connection);
    let mut bytes = fs::read(&live).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xEE);
    fs::write(&live, bytes).unwrap();
    let error = snapshot(&place, &[]).unwrap_err();
    assert_eq!(error.kind(), crate::Kind::Damaged);
    assert!(error.to_string().contains(live.to_str().unwrap()), "{error}");
    let left: Vec<_> =
        fs::read_dir(place.store.root()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, [".lock"]);
}

#[test]
fn the_store_inside_the_data_is_left_out_and_an_open_one_refused() {
    let outer = place();
    drop(database(&outer.data.join("app.db"), "wal", 1));
    let place = Place { store: Store::new(outer.data.join("backups")), ..outer };
    let taken = snapshot(&place, &[]).unwrap();
    assert_eq!(taken.backup.manifest.items().count(), 1);
    fs::set_permissions(place.store.root(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = snapshot(&place, &[]).unwrap_err();
    assert!(matches!(error, Error::Store(StoreError::Open { .. })), "{error}");
}

#[test]
fn a_file_that_is_renamed_meanwhile_is_stored_under_one_name() {
    let place = place();
    for name in ["a", "b", "folder/c", "d"] {
        fs::create_dir_all(place.data.join("folder")).unwrap();
        fs::write(place.data.join(name), name).unwrap();
    }
    let filter = Filter::default();
    let scope = super::scan::Scope { data: &place.data, excluded: &filter, left_out: &[] };
    let listed = super::scan::scan(scope).unwrap();
    fs::rename(place.data.join("b"), place.data.join("0")).unwrap();
    fs::rename(place.data.join("folder"), place.data.join("other")).unwrap();
    // One that was seen under both names is stored under the one that it has.
    fs::rename(place.data.join("d"), place.data.join("e")).unwrap();
    let mut tree = super::scan::scan_again(scope, &listed).unwrap();
    assert_eq!(tree.files.len(), 4);
    tree.files = listed.files.clone();
    let now_e = super::scan::scan(scope).unwrap().files;
    tree.files.extend(now_e.into_iter().filter(|(path, _)| path.to_string() == "e"));
    let session = place.store.session().unwrap();
    let now = Utc.with_ymd_and_hms(2026, 11, 20, 13, 19, 0).unwrap();
    let mut draft = session.draft(&crate::store::BackupId::new(now, [0; 3]), &Silent).unwrap();
    let mut notes = Vec::new();
    let look = || super::scan::scan(scope);
    let mut moved = super::files::Moved::new(&look);
    let mut guard = super::opaque::Guard::new(&place.data, Duration::ZERO);
    let out = (&mut draft, &mut notes);
    let files =
        super::files::archive((&place.data, now), &tree, (&mut moved, &mut guard), out).unwrap();
    let files = files.iter().filter(|record| record.kind != FileKind::Folder);
    let names: Vec<String> = files.map(|it| it.path.to_string()).collect();
    assert_eq!(names, ["a", "b", "e", "folder/c"]);
    assert_eq!(notes, ["`d` vanished before it could be read"]);
}

#[test]
fn what_is_no_data_of_the_service_is_named_and_left_out() {
    let place = place();
    fs::create_dir_all(place.data.join("old")).unwrap();
    fs::write(place.data.join("a"), "a").unwrap();
    let earlier = snapshot(&place, &[]).unwrap().backup;
    for entry in fs::read_dir(place.store.root()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, place.data.join("old").join(path.file_name().unwrap())).unwrap();
        }
    }
    let manifest = snapshot(&place, &[]).unwrap().backup.manifest;
    let names: Vec<String> = manifest.files.iter().map(|it| it.path.to_string()).collect();
    assert_eq!(names, ["a"]);
    assert_eq!(manifest.notes, ["`old` holds backups of piton and is left out"]);
    assert_ne!(earlier.id(), &manifest.id);
}
