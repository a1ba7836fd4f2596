//! Restores and undos that are interrupted at every call to the disk.

use super::{Place, changed, now, restore, state, undo};
use crate::{
    Kind,
    disk::fault::{ANY_POINT, Fault, arm_also_here, arm_here, disarm},
    event::Silent,
    restore::recover,
    store::Backup,
};
use std::path::Path;

#[test]
fn a_restore_that_dies_at_any_call_is_wholly_done_or_never_happened() {
    let (place, backup) = changed();
    let old = state(&place.data);
    restore(&place, &backup).unwrap();
    let new = state(&place.data);
    let mut results = [0, 0];
    for nth in 1.. {
        let (place, backup) = changed();
        arm_here(ANY_POINT, nth, Fault::Crash);
        let result = restore(&place, &backup);
        if disarm() {
            assert!(result.is_ok());
            break;
        }
        // The recovery dies as well, somewhere, and is begun again.
        arm_here(ANY_POINT, nth % 7 + 1, Fault::Crash);
        let _ = recover(&place.data, &Silent);
        disarm();
        recover(&place.data, &Silent).unwrap();
        let found = state(&place.data);
        assert!(found == old || found == new, "call {nth}: {found:#?}");
        results[usize::from(found == new)] += 1;
        if result.is_ok() {
            assert_eq!(found, new, "call {nth}: it was acknowledged");
        }
        assert!(!place.data.join(".piton/staging").exists());
        restore(&place, &backup).unwrap();
        assert_eq!(state(&place.data), new);
    }
    assert!(results[0] > 10 && results[1] > 10, "{results:?}");
}

/// On a file system that has no hard links.
#[test]
fn a_restore_without_links_that_dies_at_any_call_is_wholly_done_or_never_happened() {
    let no_links = || refuse(&LINKS);
    let (place, backup) = changed();
    let old = state(&place.data);
    no_links();
    restore(&place, &backup).unwrap();
    disarm();
    let new = state(&place.data);
    undo(&place.data, now(), [0; 3], &Silent).unwrap();
    assert_eq!(state(&place.data), old);
    let mut results = [0, 0];
    for nth in 1.. {
        let (place, backup) = changed();
        // These first: the first that is concerned counts.
        no_links();
        arm_also_here(ANY_POINT, nth, Fault::Crash);
        let result = restore(&place, &backup);
        if disarm() {
            assert!(result.is_ok());
            break;
        }
        no_links();
        arm_also_here(ANY_POINT, nth % 7 + 1, Fault::Crash);
        let _ = recover(&place.data, &Silent);
        disarm();
        no_links();
        recover(&place.data, &Silent).unwrap();
        disarm();
        let found = state(&place.data);
        assert!(found == old || found == new, "call {nth}: {found:#?}");
        results[usize::from(found == new)] += 1;
        if result.is_ok() {
            assert_eq!(found, new, "call {nth}: it was acknowledged");
        }
        let left = std::fs::read_dir(place.data.join(".piton")).into_iter().flatten();
        let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| name == "undo"), "call {nth}: {names:?}");
    }
    assert!(results[0] > 10 && results[1] > 10, "{results:?}");
}

/// The same directory where a crash has left a log beside a database.
fn left_log() -> (Place, Backup) {
    let (place, backup) = changed();
    let live = place.data.join("app.db");
    let service = super::database(&live, "wal", 10);
    let names = ["", "-wal"].map(|suffix| place.data.join(format!("app.db{suffix}")));
    let files = names.map(|name| (std::fs::read(&name).unwrap(), name));
    drop(service);
    for (bytes, name) in &files {
        std::fs::write(name, bytes).unwrap();
    }
    (place, backup)
}

/// How many rows whoever opens the database would find, looked at in a copy.
fn rows_found(place: &Place) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    for name in ["app.db", "app.db-wal", "app.db-journal"] {
        let (from, to) = (place.data.join(name), folder.path().join(name));
        assert!(std::fs::copy(from, to).is_ok() || name != "app.db", "no `app.db`");
    }
    count(folder.path())
}

fn count(folder: &Path) -> i64 {
    let service = rusqlite::Connection::open(folder.join("app.db")).unwrap();
    service.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

/// The same directory where a crash has left half a transaction in a database, and the journal
/// that takes it back.
fn left_journal() -> (Place, Backup) {
    let (place, backup) = changed();
    let live = place.data.join("app.db");
    let service = super::database(&live, "delete", 10);
    service
        .execute_batch(
            "PRAGMA cache_size = 1; BEGIN; WITH RECURSIVE n (i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000) INSERT INTO t SELECT 1000 + i FROM n;",
        )
        .unwrap();
    let names = ["app.db", "app.db-journal"].map(|name| place.data.join(name));
    let files = names.map(|name| (std::fs::read(&name).unwrap(), name));
    drop(service);
    for (bytes, name) in &files {
        std::fs::write(name, bytes).unwrap();
    }
    (place, backup)
}

/// A database and its log cannot be moved at once: whatever lies there in between has to be read
/// as the one state or the other.
fn never_without_its_log(undoing: bool) {
    // Each way of leaving a log meets every second call, by itself and while it goes back.
    let ways = [(left_log as fn() -> (Place, Backup), 1), (left_journal, 2)];
    for ((left, first), goes_back) in ways.iter().flat_map(|it| [(*it, false), (*it, true)]) {
        for nth in (first..).step_by(2) {
            let (place, backup) = left();
            if undoing {
                restore(&place, &backup).unwrap();
            }
            let then = 1 + nth % 19;
            match goes_back {
                true => {
                    arm_here(ANY_POINT, nth, Fault::Error(libc::EIO));
                    arm_also_here(ANY_POINT, nth + then, Fault::Crash);
                }
                false => arm_here(ANY_POINT, nth, Fault::Crash),
            }
            let result = match undoing {
                true => undo(&place.data, now(), [0; 3], &Silent),
                false => restore(&place, &backup),
            };
            if disarm() && result.is_ok() {
                break;
            }
            let require = |when: &str| {
                let found = rows_found(&place);
                assert!(found == 17 || found == 3, "call {nth}, {goes_back}, {when}: {found} rows");
            };
            require("interrupted");
            arm_here(ANY_POINT, nth % 23 + 1, Fault::Crash);
            let _ = recover(&place.data, &Silent);
            disarm();
            require("half recovered");
            recover(&place.data, &Silent).unwrap();
            require("recovered");
        }
    }
}

#[test]
fn at_no_call_of_a_restore_is_a_database_without_its_log() {
    never_without_its_log(false);
}

#[test]
fn at_no_call_of_an_undo_is_a_database_without_its_log() {
    never_without_its_log(true);
}

/// Where files get second names.
const LINKS: [&str; 7] =
    ["keep", "keep-later", "back-keep", "folded-next", "pair-keep", "displace-keep", "folded-keep"];

/// From here on they get none, as on a file system that has none.
fn refuse(links: &[&str]) {
    links.iter().for_each(|point| arm_also_here(point, 1, Fault::Refuse(libc::EPERM)));
}

/// With a log that a crash has left, of which the very files are kept.
#[test]
fn a_restore_over_a_left_log_that_dies_at_any_call_loses_nothing() {
    over_a_left_log_that_dies(&[]);
}

#[test]
fn a_restore_without_links_over_a_left_log_that_dies_at_any_call_loses_nothing() {
    over_a_left_log_that_dies(&LINKS);
}

#[test]
fn a_restore_with_few_links_over_a_left_log_that_dies_at_any_call_loses_nothing() {
    over_a_left_log_that_dies(&LINKS[..3]);
}

fn over_a_left_log_that_dies(refused: &[&str]) {
    let no_links = || refuse(refused);
    let mut results = [0, 0];
    for nth in 1.. {
        let (place, backup) = left_log();
        let files = ["app.db", "app.db-wal"].map(|name| {
            let name = place.data.join(name);
            (std::fs::read(&name).unwrap(), name)
        });
        // These first: the first that is concerned counts.
        no_links();
        arm_also_here(ANY_POINT, nth, Fault::Crash);
        let result = restore(&place, &backup);
        let ended = disarm();
        no_links();
        arm_also_here(ANY_POINT, nth % 7 + 1, Fault::Crash);
        let _ = recover(&place.data, &Silent);
        disarm();
        no_links();
        recover(&place.data, &Silent).unwrap();
        disarm();
        let found = count(&place.data);
        assert!(found == 17 || found == 3, "call {nth}: {found}");
        results[usize::from(found == 3)] += 1;
        assert!(result.is_err() || found == 3, "call {nth}: it was acknowledged");
        if found == 3 {
            undo(&place.data, now(), [0; 3], &Silent).unwrap();
            for (bytes, name) in &files {
                assert_eq!(std::fs::read(name).unwrap(), *bytes, "call {nth}: {}", name.display());
            }
            assert_eq!(count(&place.data), 17, "call {nth}");
        }
        if ended {
            break;
        }
    }
    assert!(results[0] > 10 && results[1] > 10, "{results:?}");
}

/// One that fails goes back, also without links.
#[test]
fn a_restore_without_links_that_fails_goes_back() {
    for point in ["place", "make-folder", "dress-time", "transaction-sync"] {
        for nth in 1..20 {
            let (place, backup) = changed();
            let old = state(&place.data);
            disarm();
            refuse(&LINKS);
            arm_also_here(point, nth, Fault::Error(5));
            let result = restore(&place, &backup);
            if disarm() {
                assert!(nth > 1, "{point}");
                break;
            }
            match result {
                Ok(_) => panic!("{point} {nth}"),
                Err(error) => assert_eq!(error.kind(), Kind::Failed, "{point} {nth}: {error}"),
            }
            assert_eq!(state(&place.data), old, "{point} {nth}");
        }
    }
}

/// The same over a log that a crash has left; also where only some files cannot have second names.
#[test]
fn a_restore_without_links_over_a_left_log_that_fails_goes_back() {
    for refused in [&LINKS[..], &LINKS[..3]] {
        for point in ["place", "make-folder", "dress-time", "transaction-sync"] {
            for nth in 1..20 {
                let (place, backup) = left_log();
                let without = |mut state: std::collections::BTreeMap<String, String>| {
                    state.retain(|path, _| !path.starts_with("app.db"));
                    state
                };
                let (old, _) = changed();
                let old = without(state(&old.data));
                disarm();
                refuse(refused);
                arm_also_here(point, nth, Fault::Error(5));
                let result = restore(&place, &backup);
                if disarm() {
                    assert!(nth > 1, "{point}");
                    break;
                }
                assert_eq!(result.unwrap_err().kind(), Kind::Failed, "{point} {nth}");
                assert_eq!(rows_found(&place), 17, "{point} {nth}, without {refused:?}");
                assert_eq!(without(state(&place.data)), old, "{point} {nth}");
            }
        }
    }
}

#[test]
fn a_restore_that_fails_at_any_call_says_what_came_of_it() {
    for nth in 1.. {
        let (place, backup) = changed();
        let old = state(&place.data);
        arm_here(ANY_POINT, nth, Fault::Error(5));
        let result = restore(&place, &backup);
        if disarm() {
            break;
        }
        match result {
            Ok(_) => assert_eq!(state(&place.data)["app.db"], "644 3 rows"),
            Err(error) if error.kind() == Kind::Failed => {
                assert_eq!(state(&place.data), old, "call {nth}: {error}");
                assert!(recover(&place.data, &Silent).unwrap().is_none());
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::NotRestored, "call {nth}: {error}");
                recover(&place.data, &Silent).unwrap();
            }
        }
        restore(&place, &backup).unwrap();
    }
}

#[test]
fn an_undo_that_dies_at_any_call_is_wholly_done_or_never_happened() {
    for nth in 1.. {
        let (place, backup) = changed();
        let old = state(&place.data);
        restore(&place, &backup).unwrap();
        let new = state(&place.data);
        arm_here(ANY_POINT, nth, Fault::Crash);
        let result = undo(&place.data, now(), [0; 3], &Silent);
        if disarm() {
            assert!(result.is_ok());
            break;
        }
        recover(&place.data, &Silent).unwrap();
        let found = state(&place.data);
        assert!(found == old || found == new, "call {nth}: {found:#?}");
        // What was not put back is still kept.
        if found == new {
            undo(&place.data, now(), [0; 3], &Silent).unwrap();
            assert_eq!(state(&place.data), old, "undone after call {nth}");
        }
    }
}

#[test]
fn an_undo_that_fails_at_any_call_can_be_done_after_all() {
    for nth in 1.. {
        let (place, backup) = changed();
        let old = state(&place.data);
        restore(&place, &backup).unwrap();
        let new = state(&place.data);
        arm_here(ANY_POINT, nth, Fault::Error(libc::EIO));
        let result = undo(&place.data, now(), [0; 3], &Silent);
        if disarm() {
            assert!(result.is_ok());
            break;
        }
        recover(&place.data, &Silent).unwrap();
        if state(&place.data) == new {
            undo(&place.data, now(), [0; 3], &Silent).unwrap();
        }
        assert_eq!(state(&place.data), old, "call {nth}");
    }
}

/// What an undo puts back has a log of its own, which must not stay beside the other database.
#[test]
fn an_undo_over_a_left_log_that_dies_or_fails_at_any_call_is_wholly_done_or_never_happened() {
    undo_over_what_a_crash_left(left_log, &[]);
}

#[test]
fn an_undo_over_a_left_journal_that_dies_or_fails_at_any_call_is_wholly_done_or_never_happened() {
    undo_over_what_a_crash_left(left_journal, &[]);
}

#[test]
fn an_undo_with_few_links_over_a_left_log_is_wholly_done_or_never_happened() {
    undo_over_what_a_crash_left(left_log, &["pair-keep"]);
}

#[test]
fn an_undo_without_links_over_a_left_log_is_wholly_done_or_never_happened() {
    undo_over_what_a_crash_left(left_log, &LINKS);
}

/// Where it never happened in the end, the very files are still kept.
fn undo_over_what_a_crash_left(left: fn() -> (Place, Backup), refused: &[&str]) {
    let raw = |data: &Path| {
        let sides = ["app.db", "app.db-wal", "app.db-journal"];
        sides.map(|name| std::fs::read(data.join(name)).ok())
    };
    for fault in [Fault::Crash, Fault::Error(libc::EIO)] {
        for nth in 1.. {
            let (place, backup) = left();
            let old = raw(&place.data);
            restore(&place, &backup).unwrap();
            let new = raw(&place.data);
            assert!(old[1..].iter().any(Option::is_some) && new[1..] == [None, None]);
            refuse(refused);
            arm_also_here(ANY_POINT, nth, fault);
            let result = undo(&place.data, now(), [0; 3], &Silent);
            if disarm() {
                assert!(result.is_ok());
                break;
            }
            if fault == Fault::Crash {
                refuse(refused);
                arm_also_here(ANY_POINT, nth % 7 + 1, Fault::Crash);
                let _ = recover(&place.data, &Silent);
                disarm();
            }
            refuse(refused);
            recover(&place.data, &Silent).unwrap();
            disarm();
            let found = raw(&place.data);
            assert!(found == old || found == new, "{fault:?} at call {nth}");
            if found == new {
                undo(&place.data, now(), [0; 3], &Silent).unwrap();
                assert_eq!(raw(&place.data), old, "undone after {fault:?} at call {nth}");
            }
        }
    }
}

#[test]
fn a_file_that_a_power_cut_left_under_both_names_is_moved_away() {
    let (place, backup) = changed();
    restore(&place, &backup).unwrap();
    let new = state(&place.data);
    let journal_stands = |nth| {
        let (place, backup) = changed();
        arm_here(ANY_POINT, nth, Fault::Crash);
        restore(&place, &backup).unwrap_err();
        disarm();
        place.data.join(".piton/restore.json").exists().then_some(place)
    };
    let place = (1..).find_map(journal_stands).unwrap();
    let undo = std::fs::read_dir(place.data.join(".piton/undo")).unwrap().next().unwrap().unwrap();
    // The new name has reached the disk, and the removal of the old one has not.
    let kept = undo.path().join("tree/new/new.db");
    std::fs::hard_link(place.data.join("new/new.db"), kept).unwrap();
    recover(&place.data, &Silent).unwrap().unwrap();
    assert_eq!(state(&place.data), new);
}

#[test]
fn a_new_file_that_a_power_cut_left_under_both_names_goes_back() {
    let (place, backup) = changed();
    let old = state(&place.data);
    arm_here("transaction-sync", 1, Fault::Error(5));
    arm_also_here("back-new", 1, Fault::Crash);
    restore(&place, &backup).unwrap_err();
    disarm();
    // It waits under its staged name again, and the removal of the live one is not on the disk.
    let name = "gone/deep/file";
    let staged = place.data.join(".piton/staging").join(name);
    std::fs::hard_link(place.data.join(name), staged).unwrap();
    recover(&place.data, &Silent).unwrap().unwrap();
    assert_eq!(state(&place.data), old);
}

#[test]
fn a_note_that_was_cut_off_while_it_was_written_is_swept_away() {
    let (place, _) = changed();
    let private = place.data.join(".piton");
    std::fs::create_dir_all(&private).unwrap();
    for name in ["last-run.json.partial", "restore.json.partial"] {
        std::fs::write(private.join(name), "{").unwrap();
    }
    assert!(recover(&place.data, &Silent).unwrap().is_none());
    assert_eq!(std::fs::read_dir(&private).unwrap().count(), 0);
}

#[test]
fn a_journal_that_a_power_cut_left_under_both_names_ends() {
    let (place, backup) = changed();
    let restored = restore(&place, &backup).unwrap();
    let new = state(&place.data);
    let journal = place.data.join(".piton/restore.json");
    std::fs::hard_link(restored.undo.join("record.json"), &journal).unwrap();
    recover(&place.data, &Silent).unwrap().unwrap();
    assert_eq!(state(&place.data), new);
    assert!(!journal.exists());
    assert!(restored.undo.join("record.json").exists());
}
