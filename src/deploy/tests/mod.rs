//! The state machine over a model of the world: every failure of every verb, every crash at every verb, and what
//! stands afterwards.

mod world;

use super::{
    Archiving, Deploy, Ending, FailingProbes, Hooks, Phase, Record, Rehearsal, Restart, health,
    operations::Left::{AsBefore, Changed},
    service::Ground,
    state,
};
use crate::{Error, clock::System, error::DeployError, event::Silent, store::BackupId};
use chrono::{DateTime, Utc};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::AtomicBool,
    time::Duration,
};
use world::{Fate, World};

#[derive(Clone, Copy)]
enum Way {
    Run,
    Resume,
    Abort,
    RollBack,
}

fn go(world: &World, data: &Path, way: Way) -> Option<Ending> {
    let environment = [];
    let timer = System::new(&|| false);
    let ground = Ground {
        root: data,
        data,
        run: data,
        environment: &environment,
        clock: &timer,
        observer: &Silent,
    };
    let health = health::Settings {
        window: Duration::ZERO,
        deadline: Duration::from_millis(2),
        interval: Duration::from_millis(1),
        ..health::Settings::default()
    };
    let hooks =
        Hooks { folder: data.join("hooks"), working: data.into(), limit: Duration::from_secs(1) };
    let deploy = Deploy {
        data,
        operations: world,
        service: world,
        health: &health,
        releases: None,
        hooks: &hooks,
        restart: Restart::Always,
        failing_probes: FailingProbes::Refuse,
        release_limit: Duration::ZERO,
        environment: &environment,
        clock: &Utc::now,
        ground: &ground,
        heeding: &AtomicBool::new(true),
    };
    let finished = catch_unwind(AssertUnwindSafe(|| match way {
        Way::Run => {
            let id = BackupId::new(DateTime::UNIX_EPOCH, [9; 3]);
            let mut record = Record::begun(id, Utc::now(), "a test".into(), data.join("log"));
            record.rehearsal = Rehearsal::Do;
            deploy.run(&mut record, &Silent)
        }
        other => {
            let mut record = state::read(data).unwrap().unwrap();
            match other {
                Way::Resume => deploy.resume(&mut record, &Silent),
                Way::Abort => deploy.abort(&mut record, &Silent),
                _ => deploy.roll_back(&mut record, &Silent),
            }
        }
    }));
    // What is not finished counts as what a crash leaves.
    finished.ok().and_then(|finished| finished.unwrap().ending)
}

fn sandbox() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    crate::disk::create_private_folders("test", &folder.path().join(".piton")).unwrap();
    folder
}

/// What must be true of every end: the service runs, on the state that the ending names.
fn assert_consistent(world: &World, ending: Ending, story: &str) {
    let calls = world.calls.borrow().join(", ");
    let story = format!("{story}: {ending:?} after {calls}");
    match ending {
        Ending::Deployed => {
            let of_before = world.backups.borrow().iter().rev().any(|(_, migrated)| !migrated);
            assert!(world.up.get() && world.migrated.get() && of_before, "{story}");
        }
        // What cannot be put back is fenced, where even the fence did not fail.
        Ending::RollbackFailed => assert!(!world.up.get() || world.migrated.get(), "{story}"),
        Ending::RolledBackUnhealthy => assert!(!world.migrated.get(), "{story}"),
        _ => assert!(world.up.get() && !world.migrated.get(), "{story}"),
    }
    if ending != Ending::RollbackFailed && ending != Ending::RolledBackUnhealthy {
        assert!(!world.fenced.get(), "{story}");
    }
    if ending != Ending::RollbackFailed {
        assert!(world.copy.borrow().is_none(), "{story}: the copy stays behind");
    }
}

/// How many verbs a deploy without incident asks for.
fn verbs(world: &World) -> usize {
    let folder = sandbox();
    go(world, folder.path(), Way::Run).unwrap();
    world.calls.borrow().len()
}

#[test]
fn a_good_release_is_deployed() {
    let (world, folder) = (World::new(), sandbox());
    assert_eq!(go(&world, folder.path(), Way::Run), Some(Ending::Deployed));
    assert_consistent(&world, Ending::Deployed, "good");
    let record = state::read(folder.path()).unwrap().unwrap();
    assert_eq!(record.steps.len(), 11);
    assert!(record.final_backup.is_some() && record.failure.is_none());
    let archived =
        world.backups.borrow().iter().any(|(id, _)| record.final_backup.as_ref() == Some(id));
    assert!(archived);
}

#[test]
fn a_sick_release_is_rolled_back_and_held() {
    let (world, folder) = (World { sick: true, ..World::new() }, sandbox());
    assert_eq!(go(&world, folder.path(), Way::Run), Some(Ending::RolledBack));
    assert_consistent(&world, Ending::RolledBack, "sick");
    let record = state::read(folder.path()).unwrap().unwrap();
    assert_eq!(record.failure.unwrap().phase, Phase::Health);
    assert!(super::refuse_held(folder.path()).is_err());
    // The next deploy lifts the hold.
    let mended = World { backups: world.backups.clone(), ..World::new() };
    assert_eq!(go(&mended, folder.path(), Way::Run), Some(Ending::Deployed));
    assert!(super::refuse_held(folder.path()).is_ok());
}

#[test]
fn every_verb_may_fail() {
    for left in [AsBefore, Changed] {
        for sick in [false, true] {
            let make = || World { left, sick, ..World::new() };
            for turn in 0..verbs(&make()) {
                let (world, folder) = (make(), sandbox());
                world.turn.set(Some((turn, Fate::Fail)));
                let story = format!("verb {turn} failed, {left:?}, sick {sick}");
                let Some(ending) = go(&world, folder.path(), Way::Run) else {
                    assert_eq!(world.calls.borrow()[turn], "archive", "{story}");
                    continue;
                };
                assert_consistent(&world, ending, &story);
                // A service is looked at until it is well.
                let is_tried_again = world.calls.borrow()[turn] == "look";
                assert!(ending != Ending::Deployed || is_tried_again, "{story}");
            }
        }
    }
}

#[test]
fn a_healthy_release_stays_where_its_rollback_point_cannot_be_archived() {
    let archive = {
        let counted = World::new();
        verbs(&counted);
        counted.calls.borrow().iter().position(|call| *call == "archive").unwrap()
    };
    for (way, wanted) in [(Way::Resume, Ending::Deployed), (Way::Abort, Ending::RolledBack)] {
        let (world, folder) = (World::new(), sandbox());
        world.turn.set(Some((archive, Fate::Fail)));
        assert_eq!(go(&world, folder.path(), Way::Run), None);
        assert!(world.up.get() && world.migrated.get() && world.copy.borrow().is_some());
        let record = state::read(folder.path()).unwrap().unwrap();
        assert!(record.is_under_way() && !record.is_fenced());
        assert_eq!(record.phase, Phase::Archive);
        world.turn.set(None);
        assert_eq!(go(&world, folder.path(), way), Some(wanted));
        assert_consistent(&world, wanted, "archived later");
    }
}

#[test]
fn a_script_finds_the_archive() {
    let (world, folder) =
        (World { archiving: Archiving::BeforeMigrating, ..World::new() }, sandbox());
    assert_eq!(go(&world, folder.path(), Way::Run), Some(Ending::Deployed));
    assert!(world.copy.borrow().is_none());
    assert_consistent(&world, Ending::Deployed, "with a script");
}

/// What came between the end of a process and the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nothing,
    /// The machine was started anew, and nobody but the deploy starts the service.
    Reboot,
}

const BETWEEN: [Between; 2] = [Between::Nothing, Between::Reboot];

impl Between {
    /// Only where the deploy knows that the service ran before it.
    fn come(self, world: &World, data: &Path) {
        let known = state::read(data).unwrap().is_some_and(|record| record.running.is_some());
        if self == Self::Reboot && known {
            world.up.set(false);
        }
    }
}

#[test]
fn after_a_crash_at_any_verb_it_is_resumed() {
    for (sick, between) in [false, true].map(|sick| BETWEEN.map(|it| (sick, it))).concat() {
        let make = || World { sick, ..World::new() };
        for turn in 0..verbs(&make()) {
            for fate in [Fate::DieBefore, Fate::DieAfter] {
                for second in [None, Some(2), Some(5)] {
                    let (world, folder) = (make(), sandbox());
                    world.turn.set(Some((turn, fate)));
                    let story = format!("{fate:?} at {turn}, {between:?}, {second:?}, sick {sick}");
                    assert_eq!(go(&world, folder.path(), Way::Run), None, "{story}");
                    between.come(&world, folder.path());
                    // And killed once more while it is resumed.
                    world.turn.set(second.map(|later| (turn + later, fate)));
                    let ending = go(&world, folder.path(), Way::Resume).unwrap_or_else(|| {
                        world.turn.set(None);
                        between.come(&world, folder.path());
                        go(&world, folder.path(), Way::Resume).unwrap()
                    });
                    assert_consistent(&world, ending, &story);
                    let wanted = if sick { Ending::RolledBack } else { Ending::Deployed };
                    assert_eq!(ending, wanted, "{story}");
                }
            }
        }
    }
}

#[test]
fn after_a_crash_at_any_verb_it_can_be_given_up() {
    for (between, turn) in
        BETWEEN.iter().flat_map(|it| (0..verbs(&World::new())).map(|turn| (*it, turn)))
    {
        for fate in [Fate::DieBefore, Fate::DieAfter] {
            let (world, folder) = (World::new(), sandbox());
            world.turn.set(Some((turn, fate)));
            assert_eq!(go(&world, folder.path(), Way::Run), None);
            let under_way = state::read(folder.path()).unwrap().unwrap().is_under_way();
            world.turn.set(None);
            between.come(&world, folder.path());
            let ending = go(&world, folder.path(), Way::Abort).unwrap();
            let story = format!("{fate:?} at {turn}, {between:?}, given up");
            assert_consistent(&world, ending, &story);
            let wanted = if under_way { Ending::RolledBack } else { Ending::Interrupted };
            assert_eq!(ending, wanted, "{story}");
        }
    }
}

#[test]
fn while_it_is_cut_off_others_are_refused() {
    let (world, folder) = (World::new(), sandbox());
    let migrate = {
        let counted = World::new();
        verbs(&counted);
        counted.calls.borrow().iter().position(|call| *call == "migrate").unwrap()
    };
    world.turn.set(Some((migrate, Fate::DieAfter)));
    assert_eq!(go(&world, folder.path(), Way::Run), None);
    assert!(super::refuse_unfinished(folder.path(), None).is_err());
    assert!(super::refuse_fenced(folder.path(), None).is_err());
    let own = BackupId::new(DateTime::UNIX_EPOCH, [9; 3]).to_string();
    assert!(super::refuse_fenced(folder.path(), Some(&own)).is_ok());
    world.turn.set(None);
    assert_eq!(go(&world, folder.path(), Way::Resume), Some(Ending::Deployed));
    assert!(super::refuse_unfinished(folder.path(), None).is_ok());
}

#[test]
fn a_good_deploy_can_be_taken_back_once() {
    let (world, folder) = (World::new(), sandbox());
    go(&world, folder.path(), Way::Run).unwrap();
    assert_eq!(go(&world, folder.path(), Way::RollBack), Some(Ending::RolledBack));
    assert_consistent(&world, Ending::RolledBack, "taken back");
    let again = catch_unwind(AssertUnwindSafe(|| go(&world, folder.path(), Way::RollBack)));
    assert!(again.is_err() || again.unwrap().is_none());
}

#[test]
fn a_failed_way_back_keeps_the_service_down_and_can_be_tried_again() {
    let (world, folder) = (World { sick: true, ..World::new() }, sandbox());
    let put_back = {
        let counted = World { sick: true, ..World::new() };
        verbs(&counted);
        counted.calls.borrow().iter().position(|call| *call == "put back").unwrap()
    };
    world.turn.set(Some((put_back, Fate::Fail)));
    assert_eq!(go(&world, folder.path(), Way::Run), Some(Ending::RollbackFailed));
    assert!(!world.up.get() && world.fenced.get() && world.migrated.get());
    world.turn.set(None);
    assert_eq!(go(&world, folder.path(), Way::Resume), Some(Ending::RolledBack));
    assert_consistent(&world, Ending::RolledBack, "tried again");
}

#[test]
fn nothing_pending_is_a_restart_and_touches_no_data() {
    let (world, folder) = (World { pending: false, ..World::new() }, sandbox());
    assert_eq!(go(&world, folder.path(), Way::Run), Some(Ending::Deployed));
    let calls = world.calls.borrow().join(", ");
    assert_eq!(calls, "check, examine, back up, restart, look");
}

#[test]
fn a_record_that_cannot_be_read_stops_everything() {
    let folder = sandbox();
    let path = folder.path().join(".piton/deploy.json");
    crate::disk::write_atomic("test", &path, 0o600, b"{\"format\": 1,").unwrap();
    let error = super::refuse_unfinished(folder.path(), None).unwrap_err();
    assert!(matches!(error, Error::Deploy(DeployError::Record { .. })), "{error}");
}
