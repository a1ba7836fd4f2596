//! A model of the world of a deploy: a service, its data and its backups, in which any verb fails or ends the
//! process.

use super::super::{
    Anchored, Archiving, Examination, Form, Left, Migrated, Operations, Work,
    operations::Left::{AsBefore, Changed},
    service::{Part, Running, Service, Stopped},
};
use crate::{Error, Result, error::FileHolder, event::Observer, store::BackupId};
use chrono::DateTime;
use std::cell::{Cell, RefCell};

/// What a verb does when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Well,
    Fail,
    /// The process dies before it has done anything.
    DieBefore,
    /// The process dies when it has done it.
    DieAfter,
}

/// A service, its data and its fence; and the verb with which something happens.
pub(super) struct World {
    pub(super) up: Cell<bool>,
    pub(super) fenced: Cell<bool>,
    pub(super) migrated: Cell<bool>,
    pub(super) backups: RefCell<Vec<(BackupId, bool)>>,
    /// The rollback point that is no backup yet, and whether it is of migrated data.
    pub(super) copy: RefCell<Option<(BackupId, bool)>>,
    pub(super) archiving: Archiving,
    pub(super) pending: bool,
    pub(super) left: Left,
    pub(super) calls: RefCell<Vec<&'static str>>,
    pub(super) turn: Cell<Option<(usize, Fate)>>,
    /// The new release does not get well.
    pub(super) sick: bool,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            up: Cell::new(true),
            fenced: Cell::new(false),
            migrated: Cell::new(false),
            backups: RefCell::default(),
            copy: RefCell::default(),
            archiving: Archiving::OnceHealthy,
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

    fn archive_copy(&self, id: &BackupId) {
        let waiting = self.copy.borrow().clone().filter(|(waiting, _)| waiting == id);
        if let Some(point) = waiting
            && !self.backups.borrow().contains(&point)
        {
            self.backups.borrow_mut().push(point);
        }
    }
}

impl Operations for World {
    fn examine(&self, _: &dyn Observer) -> Result<Examination> {
        self.verb("examine", || ())?;
        let pending = self.pending && !self.migrated.get();
        let pending = if pending { vec!["app.db: 1.sql".into()] } else { Vec::new() };
        Ok(Examination { pending, warnings: Vec::new(), archiving: self.archiving })
    }

    fn back_up(&self, _: Work, _: &dyn Observer) -> Result<Option<BackupId>> {
        let id = self.id();
        self.verb("back up", || drop(self.keep()))?;
        Ok(Some(id))
    }

    fn anchor(&self, archiving: Archiving, _: &dyn Observer) -> Result<Option<Anchored>> {
        assert!(!self.up.get() && self.fenced.get(), "the rollback point is of a still state");
        let backup = self.id();
        self.verb("anchor", || match archiving {
            Archiving::BeforeMigrating => drop(self.keep()),
            Archiving::OnceHealthy => {
                self.copy.replace(Some((backup.clone(), self.migrated.get())));
            }
        })?;
        let form = match archiving {
            Archiving::BeforeMigrating => Form::Archive,
            Archiving::OnceHealthy => Form::Copy,
        };
        Ok(Some(Anchored { backup, form }))
    }

    fn archive(&self, backup: &BackupId, _: &dyn Observer) -> Result<()> {
        assert!(self.up.get(), "nobody waits for an archive");
        self.verb("archive", || self.archive_copy(backup))
    }

    fn discard_copy(&self) -> Result<()> {
        self.copy.replace(None);
        Ok(())
    }

    fn rehearse(&self, _: &BackupId, _: &dyn Observer) -> Result<String> {
        self.verb("rehearse", || ()).map(|()| String::new())
    }

    fn holders(&self) -> Result<Vec<FileHolder>> {
        let holder = || FileHolder {
            pid: 1,
            command: "app".into(),
            database: "app.db".into(),
            held: crate::error::Held::Open,
        };
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
        self.archive_copy(backup);
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
            // How often it is looked at until it is well would be a matter of time.
            return self.verb("look", || ()).map(|()| Vec::new());
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
