//! The state machine over a model of the world: every failure of every verb, every crash at every verb, and what
//! stands afterwards.

use super::{
    Deploy, Ending, Examination, Hooks, Left, Migrated, Moment, Operations, Phase, Record,
    Rehearsal, Restart, health,
    operations::Left::{AsBefore, Changed},
    service::{Ground, Part, Running, Service, Stopped},
    state,
};
use crate::{
    Error, Result,
    clock::System,
    error::{DeployError, FileHolder},
    event::{Observer, Silent},
    store::BackupId,
};
use chrono::{DateTime, Utc};
use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::AtomicBool,
    time::Duration,
};

/// What a verb does when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    Fail,
    /// The process dies before it has done anything.
    DieBefore,
    /// The process dies when it has done it.
    DieAfter,
}

/// A service, its data and its fence; and the verb with which something happens.
struct World {
    up: Cell<bool>,
    fenced: Cell<bool>,
    migrated: Cell<bool>,
    backups: RefCell<Vec<(BackupId, bool)>>,
    pending: bool,
    left: Left,
    calls: RefCell<Vec<&'static str>>,
    turn: Cell<Option<(usize, Fate)>>,
    /// The new release does not get well.
    sick: bool,
}

impl World {
    fn new() -> Self {
        Self {
            up: Cell::new(true),
            fenced: Cell::new(false),
            migrated: Cell::new(false),
            backups: RefCell::default(),
            pending: true,
            left: AsBefore,
            calls: RefCell::default(),
            turn: Cell::new(None),
            sick: false,
        }
    }

    fn verb(&self, name: &'static str, act: impl FnOnce()) -> Result<()> {
        let at = self.calls.borrow().len();
        self.calls.borrow_mut().push(name);
        let fate = match self.turn.get() {
            Some((turn, fate)) if turn == at => fate,
            _ => Fate::Well,
        };
        match fate {
            Fate::Fail => Err(Error::Internal(format!("`{name}` fails"))),
            Fate::DieBefore => panic!("dies before `{name}`"),
            Fate::DieAfter => {
                act();
                panic!("dies after `{name}`")
            }
            Fate::Well => {
                act();
                Ok(())
            }
        }
    }

    fn id(&self) -> BackupId {
        let count = u8::try_from(self.backups.borrow().len()).unwrap();
        BackupId::new(DateTime::UNIX_EPOCH, [count, 0, 0])
    }

    fn keep(&self) -> BackupId {
        let id = self.id();
        self.backups.borrow_mut().push((id.clone(), self.migrated.get()));
        id
    }
}

impl Operations for World {
    fn examine(&self, _: &dyn Observer) -> Result<Examination> {
        self.verb("examine", || ())?;
        let pending = self.pending && !self.migrated.get();
        let pending = if pending { vec!["app.db: 1.sql".into()] } else { Vec::new() };
        Ok(Examination { pending, warnings: Vec::new() })
    }

    fn back_up(&self, moment: Moment, _: &dyn Observer) -> Result<Option<BackupId>> {
        let id = self.id();
        let name = match moment {
            Moment::Running => "back up running",
            Moment::Stopped => {
                assert!(
                    !self.up.get() && self.fenced.get(),
                    "the rollback point is of a still state"
                );
                "back up stopped"
            }
        };
        self.verb(name, || drop(self.keep()))?;
        Ok(Some(id))
    }

    fn rehearse(&self, _: &BackupId, _: &dyn Observer) -> Result<String> {
        self.verb("rehearse", || ()).map(|()| String::new())
    }

    fn holders(&self) -> Result<Vec<FileHolder>> {
        let holder = || FileHolder { pid: 1, command: "app".into(), database: "app.db".into() };
        Ok(self.up.get().then(holder).into_iter().collect())
    }

    fn migrate(&self, backup: Option<&BackupId>, _: &dyn Observer) -> Result<Migrated> {
        assert!(!self.up.get() && self.fenced.get() && backup.is_some());
        let failure = self.verb("migrate", || self.migrated.set(true)).err();
        if failure.is_some() {
            self.migrated.set(self.left == Changed);
        }
        Ok(Migrated { ran: Vec::new(), failure, left: self.left })
    }

    fn put_back(&self, backup: &BackupId, _: &dyn Observer) -> Result<Option<BackupId>> {
        assert!(!self.up.get() && self.fenced.get(), "nothing is swapped under a service");
        let found = self.backups.borrow().iter().find(|(id, _)| id == backup).cloned();
        let (_, migrated) = found.expect("the backup that was taken");
        let failed = self.keep();
        self.verb("put back", || self.migrated.set(migrated))?;
        Ok(Some(failed))
    }

    fn tidy(&self, _: &dyn Observer) {}
}

impl Service for World {
    fn name(&self) -> String {
        "app".into()
    }

    fn check(&self) -> Result<()> {
        self.verb("check", || ())
    }

    fn state(&self) -> Result<Vec<Part>> {
        if self.up.get() && !(self.sick && self.migrated.get()) {
            return Ok(Vec::new());
        }
        Err(Error::Internal("not well".into()))
    }

    fn running(&self) -> Result<Running> {
        Ok(Running { units: vec!["app".into()] })
    }

    fn prepare_fence(&self) -> Result<()> {
        self.verb("prepare", || ())
    }

    fn raise_fence(&self) -> Result<()> {
        self.verb("raise", || self.fenced.set(true))
    }

    fn stop(&self) -> Result<Stopped> {
        self.verb("stop", || self.up.set(false)).map(|()| Stopped::default())
    }

    fn lift_fence(&self) -> Result<()> {
        self.verb("lift", || self.fenced.set(false))
    }

    fn remove_fence(&self) -> Result<()> {
        self.fenced.set(false);
        Ok(())
    }

    fn start(&self, what: &Running) -> Result<()> {
        assert_eq!(what.units, ["app"]);
        assert!(!self.fenced.get());
        self.verb("start", || self.up.set(true))
    }

    fn restart(&self) -> Result<()> {
        self.verb("restart", || self.up.set(true))
    }

    fn log_tail(&self, _: usize) -> Option<String> {
        None
    }
}

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
    finished.ok().map(|finished| finished.unwrap().ending)
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
        Ending::Deployed => assert!(world.up.get() && world.migrated.get(), "{story}"),
        // What cannot be put back is fenced, where even the fence did not fail.
        Ending::RollbackFailed => assert!(!world.up.get() || world.migrated.get(), "{story}"),
        Ending::RolledBackUnhealthy => assert!(!world.migrated.get(), "{story}"),
        _ => assert!(world.up.get() && !world.migrated.get(), "{story}"),
    }
    if ending != Ending::RollbackFailed && ending != Ending::RolledBackUnhealthy {
        assert!(!world.fenced.get(), "{story}");
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
    assert_eq!(record.steps.len(), 10);
    assert!(record.final_backup.is_some() && record.failure.is_none());
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
                let ending = go(&world, folder.path(), Way::Run).unwrap();
                let story = format!("verb {turn} failed, {left:?}, sick {sick}");
                assert_consistent(&world, ending, &story);
                assert_ne!(ending, Ending::Deployed, "{story}");
            }
        }
    }
}

#[test]
fn after_a_crash_at_any_verb_it_is_resumed() {
    for sick in [false, true] {
        let make = || World { sick, ..World::new() };
        for turn in 0..verbs(&make()) {
            for fate in [Fate::DieBefore, Fate::DieAfter] {
                for second in [None, Some(2), Some(5)] {
                    let (world, folder) = (make(), sandbox());
                    world.turn.set(Some((turn, fate)));
                    let story = format!("{fate:?} at {turn}, then {second:?}, sick {sick}");
                    assert_eq!(go(&world, folder.path(), Way::Run), None, "{story}");
                    // And killed once more while it is resumed.
                    world.turn.set(second.map(|later| (turn + later, fate)));
                    let ending = go(&world, folder.path(), Way::Resume).unwrap_or_else(|| {
                        world.turn.set(None);
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
    for turn in 0..verbs(&World::new()) {
        for fate in [Fate::DieBefore, Fate::DieAfter] {
            let (world, folder) = (World::new(), sandbox());
            world.turn.set(Some((turn, fate)));
            assert_eq!(go(&world, folder.path(), Way::Run), None);
            let under_way = state::read(folder.path()).unwrap().unwrap().is_under_way();
            world.turn.set(None);
            let ending = go(&world, folder.path(), Way::Abort).unwrap();
            let story = format!("{fate:?} at {turn}, given up");
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
    assert_eq!(calls, "check, examine, back up running, restart");
}

#[test]
fn a_record_that_cannot_be_read_stops_everything() {
    let folder = sandbox();
    let path = folder.path().join(".piton/deploy.json");
    crate::disk::write_atomic("test", &path, 0o600, b"{\"format\": 1,").unwrap();
    let error = super::refuse_unfinished(folder.path(), None).unwrap_err();
    assert!(matches!(error, Error::Deploy(DeployError::Record { .. })), "{error}");
}
