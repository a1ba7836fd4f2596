//! Restores and undos that are interrupted at every call to the disk.

use super::{changed, now, restore, state};
use crate::{
    Kind,
    disk::fault::{ANY_POINT, Fault, arm_here, disarm},
    event::Silent,
    restore::{recover, undo},
};

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
