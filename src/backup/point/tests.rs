//! Rollback points of real directories: whatever happened between the copy and the stop, the archive
//! has what an ordinary backup of the stopped directory has.
#![allow(clippy::disallowed_methods)]

use super::{archive, discard, is_waiting, note, prepare, take};
use crate::{
    backup::{
        self, Taken,
        tests::{Place, database, place, requested},
    },
    disk::fault::{self, Fault},
    event::{Event, Observer, Silent},
    store::{BackupId, Checking, FileKind},
};
use chrono::DateTime;
use rusqlite::Connection;
use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    sync::Mutex,
};

fn prepared(place: &Place) -> Taken {
    requested(place, &[], |request| prepare(request, &place.store, &Silent)).unwrap()
}

fn taken(place: &Place) -> crate::Result<Option<BackupId>> {
    requested(place, &[], |request| take(request, &place.store))
}

fn archived(place: &Place, id: &BackupId) -> Taken {
    requested(place, &[], |request| archive(request, &place.store, id, &Silent)).unwrap().unwrap()
}

/// What an ordinary backup says that the directory holds.
fn content(place: &Place) -> crate::store::Manifest {
    let ordinary = requested(place, &[], |request| backup::take(request, &place.store, &Silent));
    ordinary.unwrap().backup.manifest
}

/// The archive of the rollback point has the id that was given out, verifies, and holds what is there.
fn assert_stands(place: &Place, id: &BackupId) {
    assert!(is_waiting(&place.store, id).unwrap());
    let taken = archived(place, id);
    assert_eq!(taken.backup.id(), id);
    let ordinary = content(place);
    let manifest = &taken.backup.manifest;
    let of = |manifest: &crate::store::Manifest| {
        let databases =
            manifest.databases.iter().map(|it| (it.path.clone(), it.sha256.to_string()));
        let mut all: Vec<_> = databases.collect();
        all.sort();
        let mut files = manifest.files.clone();
        // Looking at a database in it changes the time of a folder.
        files.iter_mut().filter(|it| it.kind == FileKind::Folder).for_each(|it| {
            it.attributes.modified = DateTime::UNIX_EPOCH;
        });
        (all, files.iter().map(|it| format!("{it:?}")).collect::<Vec<_>>())
    };
    assert_eq!(of(manifest), of(&ordinary));
    assert_eq!(manifest.content, ordinary.content);
    assert_eq!(manifest.notes, ordinary.notes);
    let checking =
        Checking { now: taken.backup.verified, scratch: &place.out, inspect: &|_, _| None };
    place.store.verify(id, &checking, &Silent).unwrap();
}

/// A directory with one of everything.
fn furnished() -> Place {
    let place = place();
    let data = &place.data;
    drop(database(&data.join("app.db"), "wal", 500));
    drop(database(&data.join("old.db"), "delete", 500));
    fs::create_dir_all(data.join("uploads/deep")).unwrap();
    for name in ["a", "b", "deep/c"] {
        fs::write(data.join("uploads").join(name), name.repeat(1000)).unwrap();
    }
    drop(database(&data.join("uploads/tenant"), "wal", 3));
    fs::hard_link(data.join("old.db"), data.join("second.db")).unwrap();
    std::os::unix::fs::symlink("uploads/a", data.join("link")).unwrap();
    place
}

#[test]
fn where_nothing_changed_the_first_backup_is_the_rollback_point() {
    let place = furnished();
    let first = prepared(&place);
    assert_eq!(taken(&place).unwrap().as_ref(), Some(first.backup.id()));
    assert!(!is_waiting(&place.store, first.backup.id()).unwrap());
    // Times alone are no content, and neither is a log that was folded.
    let now = fs::FileTimes::new().set_modified(std::time::SystemTime::now());
    fs::File::options()
        .write(true)
        .open(place.data.join("app.db"))
        .unwrap()
        .set_times(now)
        .unwrap();
    assert_eq!(taken(&place).unwrap().as_ref(), Some(first.backup.id()));
    assert_eq!(place.store.list().unwrap().backups.len(), 1);
    assert_eq!(place.store.list().unwrap().strays.len(), 0, "the copy is no stray");
    discard(&place.store).unwrap();
    assert_eq!(taken(&place).unwrap(), None);
    assert_eq!(fs::read_dir(place.store.root()).unwrap().count(), 3, "lock, archive, manifest");
}

/// Something that a service may do until it stops.
type Change = (&'static str, fn(&Path));

const CHANGES: &[Change] = &[
    ("a row in a log that nobody folded", |data| {
        let app = Connection::open(data.join("app.db")).unwrap();
        app.execute("INSERT INTO t (text) VALUES ('new')", []).unwrap();
        // As a service that was killed leaves it.
        let log = fs::read(data.join("app.db-wal")).unwrap();
        let main = fs::read(data.join("app.db")).unwrap();
        drop(app);
        fs::write(data.join("app.db"), main).unwrap();
        fs::write(data.join("app.db-wal"), log).unwrap();
    }),
    ("rows in the middle", |data| {
        let app = Connection::open(data.join("app.db")).unwrap();
        app.execute("UPDATE t SET text = 'changed' WHERE id % 97 = 0", []).unwrap();
    }),
    ("a database that grew", |data| {
        let old = Connection::open(data.join("old.db")).unwrap();
        let rows = "INSERT INTO t (text) SELECT randomblob(900) FROM t";
        old.execute_batch(&format!("{rows}; {rows}; {rows}")).unwrap();
    }),
    ("a database that shrank", |data| {
        let app = Connection::open(data.join("app.db")).unwrap();
        app.execute_batch("DELETE FROM t WHERE id > 3; VACUUM").unwrap();
    }),
    ("another page size", |data| {
        let old = Connection::open(data.join("old.db")).unwrap();
        old.execute_batch("PRAGMA page_size = 512; VACUUM").unwrap();
    }),
    ("another journal mode", |data| {
        let app = Connection::open(data.join("app.db")).unwrap();
        app.pragma_update(None, "journal_mode", "delete").unwrap();
    }),
    ("a new database", |data| drop(database(&data.join("new.db"), "wal", 4))),
    ("a database that went", |data| fs::remove_file(data.join("uploads/tenant")).unwrap()),
    ("a file in place of a database", |data| {
        fs::remove_file(data.join("uploads/tenant")).unwrap();
        fs::write(data.join("uploads/tenant"), "no database").unwrap();
    }),
    ("a database in place of a file", |data| {
        fs::remove_file(data.join("uploads/a")).unwrap();
        drop(database(&data.join("uploads/a"), "delete", 2));
    }),
    ("a second name that is a file of its own now", |data| {
        fs::remove_file(data.join("second.db")).unwrap();
        drop(database(&data.join("second.db"), "delete", 7));
    }),
    ("a new file in a new folder", |data| {
        fs::create_dir_all(data.join("new/folder")).unwrap();
        fs::write(data.join("new/folder/file"), "new").unwrap();
    }),
    ("a file that was written in place", |data| {
        let file = fs::File::options().write(true).open(data.join("uploads/b")).unwrap();
        file.write_all_at(b"!", 500).unwrap();
    }),
    ("a file that was replaced by one of the same size and time", |data| {
        let (path, new) = (data.join("uploads/b"), data.join("uploads/b.new"));
        let times = fs::FileTimes::new().set_modified(path.metadata().unwrap().modified().unwrap());
        fs::write(&new, "c".repeat(1000)).unwrap();
        fs::File::options().write(true).open(&new).unwrap().set_times(times).unwrap();
        fs::rename(new, path).unwrap();
    }),
    ("a file and a folder that went", |data| {
        fs::remove_file(data.join("uploads/a")).unwrap();
        fs::remove_dir_all(data.join("uploads/deep")).unwrap();
    }),
    ("a folder in place of a file", |data| {
        fs::remove_file(data.join("uploads/a")).unwrap();
        fs::create_dir(data.join("uploads/a")).unwrap();
        fs::write(data.join("uploads/a/b"), "b").unwrap();
    }),
    ("a file in place of a folder", |data| {
        fs::remove_dir_all(data.join("uploads")).unwrap();
        fs::write(data.join("uploads"), "a file").unwrap();
    }),
    ("modes", |data| {
        for (name, mode) in [("uploads/a", 0o640), ("uploads/deep", 0o750), ("old.db", 0o660)] {
            fs::set_permissions(data.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
    }),
    ("a link that leads elsewhere", |data| {
        fs::remove_file(data.join("link")).unwrap();
        std::os::unix::fs::symlink("uploads/b", data.join("link")).unwrap();
    }),
    ("a sparse file", |data| {
        let file = fs::File::create(data.join("sparse")).unwrap();
        file.set_len(1 << 22).unwrap();
        file.write_all_at(b"in the middle", 1 << 21).unwrap();
    }),
];

#[test]
fn whatever_changed_is_brought_over() {
    for (what, change) in CHANGES {
        let place = furnished();
        let first = prepared(&place);
        change(&place.data);
        let id = taken(&place).unwrap().unwrap();
        assert_ne!(&id, first.backup.id(), "{what}");
        println!("{what}");
        assert_stands(&place, &id);
    }
}

#[test]
fn any_changes_after_one_another_are_brought_over() {
    let mut chance = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) as usize % below
    };
    for _ in 0..16 {
        let place = furnished();
        prepared(&place);
        let mut story = Vec::new();
        for _ in 0..=random(3) {
            let (what, change) = CHANGES[random(CHANGES.len())];
            // What another change took away cannot be changed any more.
            let changed = std::panic::catch_unwind(|| change(&place.data));
            story.push((what, changed.is_ok()));
            // Taken half-way too: each time is one in which a deploy was cut off and resumed.
            if random(2) == 0 {
                drop(taken(&place));
            }
        }
        println!("{story:?}");
        match taken(&place).unwrap() {
            Some(id) if is_waiting(&place.store, &id).unwrap() => assert_stands(&place, &id),
            Some(id) => {
                let stands = place.store.load(&id).unwrap().manifest.content;
                assert_eq!(stands, content(&place).content, "{story:?}");
            }
            None => panic!("{story:?}: it is not usable"),
        }
    }
}

#[test]
fn a_copy_that_was_cut_off_anywhere_is_no_rollback_point_and_is_taken_again() {
    for point in [
        "point-note",
        "point-open",
        "point-length",
        "point-sync",
        "point-file",
        "point-remove",
        "point-sync-file",
        "point-sync-folder",
    ] {
        let place = furnished();
        prepared(&place);
        for (_, change) in &CHANGES[..3] {
            change(&place.data);
        }
        CHANGES[11].1(&place.data);
        CHANGES[12].1(&place.data);
        fault::arm_here(point, 1, Fault::Error(5));
        assert!(taken(&place).is_err(), "{point}");
        let kept = note::read(&super::folder(&place.store)).unwrap().unwrap();
        assert!(!matches!(kept.state, note::State::Still { .. }), "{point}");
        let id = taken(&place).unwrap().unwrap();
        assert_stands(&place, &id);
    }
}

#[test]
fn a_database_in_use_is_no_rollback_point() {
    let place = furnished();
    prepared(&place);
    let holder = Connection::open(place.data.join("app.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE; INSERT INTO t (text) VALUES ('held')").unwrap();
    assert_eq!(taken(&place).unwrap(), None);
    holder.execute_batch("COMMIT").unwrap();
    drop(holder);
    let id = taken(&place).unwrap().unwrap();
    assert_stands(&place, &id);
}

#[test]
fn an_unsound_database_is_no_rollback_point() {
    let place = furnished();
    prepared(&place);
    fs::write(place.data.join("app.db"), b"SQLite format 3\0 and then nothing").unwrap();
    assert!(taken(&place).is_err());
    let garbage = [b"SQLite format 3\0".as_slice(), &[7; 8176]].concat();
    fs::write(place.data.join("app.db"), garbage).unwrap();
    assert_eq!(taken(&place).unwrap(), None);
}

#[test]
fn under_other_rules_it_is_another_directory() {
    let place = furnished();
    prepared(&place);
    let other = requested(&place, &["uploads"], |request| take(request, &place.store));
    assert_eq!(other.unwrap(), None);
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn event(&self, event: Event) {
        if let Event::Warning { text } = event {
            self.0.lock().unwrap().push(text);
        }
    }
}

#[test]
fn where_a_copy_cannot_stand_for_it_there_is_none_and_it_is_said() {
    let place = furnished();
    // Set-user-id is nothing that a copy may have.
    let odd = place.data.join("uploads/a");
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o4755)).unwrap();
    let heard = Heard::default();
    requested(&place, &[], |request| prepare(request, &place.store, &heard)).unwrap();
    let said = heard.0.lock().unwrap().join("; ");
    assert!(said.contains("`uploads/a` cannot be copied"), "{said}");
    assert_eq!(taken(&place).unwrap(), None);
    assert!(!super::folder(&place.store).exists());
    assert_eq!(place.store.list().unwrap().backups.len(), 1);
}
