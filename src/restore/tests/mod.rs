//! Restores of real directories.
#![allow(clippy::disallowed_methods)]

mod consent;
mod faults;
mod hot;

use super::{Change, Gate, Request, Restored, Undo, carry_out, plan, recover, to_directory};
use crate::{
    Kind, backup,
    event::{Observer, Silent},
    store::{Backup, Filter, Reason, Store},
};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

static CLOCK: AtomicU32 = AtomicU32::new(0);

fn now() -> DateTime<Utc> {
    let seconds = CLOCK.fetch_add(1, Ordering::Relaxed);
    Utc.with_ymd_and_hms(2026, 11, 20, 13, 0, 0).unwrap() + TimeDelta::seconds(seconds.into())
}

struct Place {
    _folder: tempfile::TempDir,
    data: PathBuf,
    store: Store,
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn database(path: &Path, mode: &str, rows: u32) -> Connection {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", mode).unwrap();
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    connection.execute_batch("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY)").unwrap();
    for _ in 0..rows {
        connection.execute("INSERT INTO t DEFAULT VALUES", []).unwrap();
    }
    connection
}

/// A directory with a backup, and changes of every kind since then.
fn changed() -> (Place, Backup) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = Store::new(folder.path().join("backups"));
    let place = Place { _folder: folder, data, store };
    let data = &place.data;
    drop(database(&data.join("app.db"), "wal", 3));
    drop(database(&data.join("sub/legacy.db"), "delete", 2));
    write(&data.join("kept.txt"), "old");
    write(&data.join("gone/deep/file"), "comes back");
    write(&data.join("was-file"), "file");
    write(&data.join("was-folder/x"), "x");
    std::os::unix::fs::symlink("kept.txt", data.join("link")).unwrap();
    fs::set_permissions(data.join("sub"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(data, fs::Permissions::from_mode(0o2750)).unwrap();
    let backup = snapshot(&place);

    fs::set_permissions(data, fs::Permissions::from_mode(0o755)).unwrap();
    drop(database(&data.join("app.db"), "wal", 4));
    drop(database(&data.join("sub/legacy.db"), "delete", 5));
    drop(database(&data.join("new/new.db"), "wal", 1));
    write(&data.join("kept.txt"), "new");
    fs::remove_dir_all(data.join("gone")).unwrap();
    fs::remove_file(data.join("was-file")).unwrap();
    write(&data.join("was-file/now-folder"), "y");
    fs::remove_dir_all(data.join("was-folder")).unwrap();
    write(&data.join("was-folder"), "now file");
    fs::remove_file(data.join("link")).unwrap();
    std::os::unix::fs::symlink("elsewhere", data.join("link")).unwrap();
    fs::set_permissions(data.join("sub"), fs::Permissions::from_mode(0o700)).unwrap();
    (place, backup)
}

fn safety<'a>(place: &'a Place, excluded: &'a Filter) -> backup::Request<'a> {
    let now = now();
    backup::Request {
        data: &place.data,
        excluded,
        left_out: &[],
        reason: Reason::Safety,
        label: None,
        now,
        random: [0; 3],
        host: "host",
        git_revision: None,
        barrier_limit: backup::BARRIER_LIMIT,
        inspect: &|_, _| None,
    }
}

fn snapshot(place: &Place) -> Backup {
    let none = Filter::default();
    backup::take(&safety(place, &none), &place.store, &Silent).unwrap().backup
}

fn request<'a>(place: &'a Place, backup: &'a Backup, none: &'a Filter) -> Request<'a> {
    Request {
        data: &place.data,
        store: &place.store,
        backup,
        only: none,
        excluded: none,
        left_out: &[],
        gate: Gate::Refuse,
        seen: None,
        save_lost: None,
        undoes: None,
        safety: None,
        now: now(),
        random: [0; 3],
    }
}

fn undo(
    data: &Path,
    now: DateTime<Utc>,
    random: [u8; 3],
    observer: &dyn Observer,
) -> crate::Result<Restored> {
    super::undo(&Undo { data, seen: None, safety: None, now, random }, observer)
}

fn restore(place: &Place, backup: &Backup) -> crate::Result<Restored> {
    carry_out(&request(place, backup, &Filter::default()), &Silent)
}

/// Everything under the data directory that is not private: kind, mode and content.
fn state(data: &Path) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    let own = fs::metadata(data).unwrap().mode() & 0o7777;
    state.insert(".".into(), format!("{own:o} folder"));
    for entry in walkdir::WalkDir::new(data).min_depth(1) {
        let entry = entry.unwrap();
        let name = entry.path().strip_prefix(data).unwrap().display().to_string();
        if name.starts_with(".piton") {
            continue;
        }
        let mode = entry.metadata().unwrap().mode() & 0o777;
        let what = if entry.file_type().is_symlink() {
            format!("-> {}", fs::read_link(entry.path()).unwrap().display())
        } else if entry.file_type().is_dir() {
            format!("{mode:o} folder")
        } else {
            let bytes = fs::read(entry.path()).unwrap();
            match bytes.starts_with(b"SQLite format 3\0") {
                true => format!("{mode:o} {} rows", rows(entry.path())),
                false => format!("{mode:o} {}", String::from_utf8_lossy(&bytes)),
            }
        };
        state.insert(name, what);
    }
    state
}

fn rows(path: &Path) -> i64 {
    let connection = crate::store::open_copy(path).unwrap();
    connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_listed_backup_has_no_files_and_is_not_restored_as_if_it_had_none() {
    let (place, backup) = changed();
    let before = state(&place.data);
    let listed = place.store.list().unwrap().backups.remove(0);
    assert_eq!(listed.id(), backup.id());
    assert!(listed.manifest.files.is_empty() && !backup.manifest.files.is_empty());
    assert_eq!(listed.manifest.databases, backup.manifest.databases);
    restore(&place, &listed).unwrap_err();
    assert_eq!(state(&place.data), before);
    assert_eq!(place.store.load(listed.id()).unwrap().manifest, backup.manifest);
}

#[test]
fn an_undo_takes_the_last_one_back_whatever_the_clock_says() {
    // Within one second chance would decide; and a clock may be set back.
    for later in [TimeDelta::zero(), TimeDelta::hours(-5), TimeDelta::seconds(1)] {
        let (place, backup) = changed();
        let none = Filter::default();
        let first = Request { random: [0xff; 3], ..request(&place, &backup, &none) };
        carry_out(&first, &Silent).unwrap();
        fs::write(place.data.join("kept.txt"), "between").unwrap();
        let between = state(&place.data);
        let second = Request { now: now() + later, ..request(&place, &backup, &none) };
        carry_out(&second, &Silent).unwrap();
        assert_ne!(state(&place.data), between);
        undo(&place.data, now() + later, [0; 3], &Silent).unwrap();
        assert_eq!(state(&place.data), between);
    }
}

#[test]
fn a_restore_brings_back_everything_and_can_be_undone() {
    let (place, backup) = changed();
    let before = state(&place.data);
    let restored = restore(&place, &backup).unwrap();
    let after = state(&place.data);
    assert_eq!(after["app.db"], "644 3 rows");
    assert_eq!(after["sub/legacy.db"], "644 2 rows");
    assert_eq!(after["sub"], "750 folder");
    assert_eq!(after["gone/deep/file"], "644 comes back");
    assert_eq!(after["was-folder/x"], "644 x");
    assert_eq!(after["link"], "-> kept.txt");
    assert!(!after.contains_key("new/new.db") && !after.contains_key("new"));
    assert!(!after.keys().any(|name| name.ends_with("-wal") || name.ends_with("-shm")));
    assert!(restored.undo.join("tree/new/new.db").exists());
    // The content is that of the backup, so a new one would be the same.
    assert_eq!(snapshot(&place).id(), backup.id());

    undo(&place.data, now(), [0; 3], &Silent).unwrap();
    assert_eq!(state(&place.data), before);
    undo(&place.data, now(), [0; 3], &Silent).unwrap();
    assert_eq!(state(&place.data), after);
    assert!(!place.data.join(".piton/staging").exists());
}

#[test]
fn nothing_to_undo_is_said() {
    let (place, _) = changed();
    let error = undo(&place.data, now(), [0; 3], &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert_eq!(recover(&place.data, &Silent).unwrap(), None);
    assert!(!place.data.join(".piton").exists(), "recover creates nothing");
}

#[test]
fn a_log_that_lies_beside_the_old_database_never_meets_the_new_one() {
    let (place, backup) = changed();
    let live = place.data.join("app.db");
    // What a killed service leaves: rows that are only in the log.
    let service = database(&live, "wal", 10);
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("app.db{suffix}");
        fs::copy(place.data.join(&name), place.data.parent().unwrap().join(&name)).unwrap();
    }
    drop(service);
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("app.db{suffix}");
        fs::copy(place.data.parent().unwrap().join(&name), place.data.join(&name)).unwrap();
    }
    let restored = restore(&place, &backup).unwrap();
    assert_eq!(
        Connection::open(&live)
            .unwrap()
            .query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
            .unwrap(),
        3
    );
    // The undo area has what was there: the old database and its log.
    let old = Connection::open(restored.undo.join("tree/app.db")).unwrap();
    let rows: i64 = old.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 17);
}

#[test]
fn a_damaged_database_is_kept_raw_with_its_logs() {
    let (place, backup) = changed();
    let live = place.data.join("app.db");
    fs::write(&live, b"SQLite format 3\0 and then nothing that makes sense").unwrap();
    fs::write(place.data.join("app.db-wal"), "a log").unwrap();
    fs::write(place.data.join("app.db-journal"), "a journal").unwrap();
    let none = Filter::default();
    let safety = safety(&place, &none);
    let request = Request { safety: Some(&safety), ..request(&place, &backup, &none) };
    let preview = plan(&request, &|_, _| None).unwrap();
    assert!(preview.databases.iter().any(|it| it.unreadable.is_some()));
    let restored = carry_out(&request, &Silent).unwrap();
    assert_eq!(restored.safety, None);
    assert_eq!(rows(&live), 3);
    for name in ["app.db", "app.db-wal", "app.db-journal"] {
        assert!(restored.undo.join("tree").join(name).exists(), "{name}");
        assert!(name == "app.db" || !place.data.join(name).exists());
    }
    undo(&place.data, now(), [0; 3], &Silent).unwrap();
    assert_eq!(fs::read(place.data.join("app.db-wal")).unwrap(), b"a log");
}

#[test]
fn a_holder_is_named_and_a_hot_restore_goes_around_it() {
    let (place, backup) = changed();
    let before = state(&place.data);
    // Idle, and in rollback-journal mode: it holds no lock.
    let service = Connection::open(place.data.join("sub/legacy.db")).unwrap();
    service.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
    let error = restore(&place, &backup).unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    assert_eq!(state(&place.data), before);

    let none = Filter::default();
    let request = Request { gate: Gate::Hot, ..request(&place, &backup, &none) };
    let restored = carry_out(&request, &Silent).unwrap();
    assert_eq!(restored.hot.len(), 2);
    let count: i64 = service.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2, "the service sees the new content");
    drop(service);
    assert_eq!(snapshot(&place).manifest.content, backup.manifest.content);
    assert_eq!(undo(&place.data, now(), [0; 3], &Silent).unwrap_err().kind(), Kind::Refused);
}

#[test]
fn a_part_is_restored_and_the_rest_left_alone() {
    let (place, backup) = changed();
    let before = state(&place.data);
    let (none, only) = (Filter::default(), Filter::new(&["app.db", "gone"]).unwrap());
    let request = Request { only: &only, ..request(&place, &backup, &none) };
    carry_out(&request, &Silent).unwrap();
    let after = state(&place.data);
    assert_eq!(after["app.db"], "644 3 rows");
    assert_eq!(after["gone/deep/file"], "644 comes back");
    for (name, what) in &before {
        assert!(name == "app.db" || after[name] == *what, "{name}");
    }
    let only = Filter::new(&["nothing"]).unwrap();
    let error = carry_out(&Request { only: &only, ..request.clone() }, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
}

#[test]
fn the_preview_says_what_would_change_and_touches_nothing() {
    let (place, backup) = changed();
    let before = state(&place.data);
    let none = Filter::default();
    let preview = plan(&request(&place, &backup, &none), &|_, _| Some("7".into())).unwrap();
    assert_eq!(state(&place.data), before);
    let found: Vec<(String, Change, Option<u64>, Option<u64>)> = preview
        .databases
        .iter()
        .map(|it| (it.path.to_string(), it.change, it.tables["t"].live, it.tables["t"].backup))
        .collect();
    let expected = [
        ("app.db", Change::Replaced, Some(7), Some(3)),
        ("new/new.db", Change::Displaced, Some(1), None),
        ("sub/legacy.db", Change::Replaced, Some(7), Some(2)),
    ];
    let expected =
        expected.map(|(name, change, live, backup)| (name.to_owned(), change, live, backup));
    assert_eq!(found, expected);
    let names = |paths: &[crate::store::StoredPath]| -> Vec<String> {
        paths.iter().map(ToString::to_string).collect()
    };
    assert_eq!(names(&preview.files_displaced), ["was-file/now-folder", "was-folder"]);
    assert_eq!(
        names(&preview.files_restored),
        ["gone/deep/file", "kept.txt", "link", "was-file", "was-folder/x"]
    );
}

#[test]
fn a_backup_is_unpacked_beside_the_data() {
    let (place, backup) = changed();
    let none = Filter::default();
    let folder = place.data.parent().unwrap().join("look/inside");
    to_directory(&place.store, &backup, &folder, &none, &Silent).unwrap();
    assert_eq!(state(&folder)["app.db"], "644 3 rows");
    assert_eq!(state(&folder)["sub"], "750 folder");
    let error = to_directory(&place.store, &backup, &folder, &none, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
}

#[test]
fn a_data_directory_that_is_gone_comes_back() {
    let (place, backup) = changed();
    fs::remove_dir_all(&place.data).unwrap();
    assert_eq!(recover(&place.data, &Silent).unwrap(), None);
    restore(&place, &backup).unwrap();
    assert_eq!(snapshot(&place).id(), backup.id());
}

#[test]
fn a_damaged_archive_changes_nothing() {
    let (place, backup) = changed();
    let before = state(&place.data);
    let archive = place.store.archive_path(backup.id());
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    assert_eq!(restore(&place, &backup).unwrap_err().kind(), Kind::Damaged);
    assert_eq!(state(&place.data), before);
    assert!(!place.data.join(".piton/staging").exists());
}
