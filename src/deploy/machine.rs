//! The state machine: enters one phase after another, each written down before it is entered, and turns
//! back where one fails after the service was touched.
//!
//! Every phase can be entered again after a crash. A failure on the way forward never ends with the
//! service left down, unless bringing it back fails too; then it says so and keeps the fence.

use super::{
    Deploy, Ending, Record, hold,
    operations::{Form, Left, Migrated},
    phase::{DataState, Phase, Reach, Work},
    service::Stopped,
    state::{self, Failure, StepResult},
};
use crate::{
    Error, Kind, Result,
    error::{DeployError, HealthError},
    event::{Event, Observer},
};
use std::{
    ffi::OsString,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// How often the end of the last holder is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// How a deploy came out.
#[derive(Debug)]
pub struct Finished {
    /// How it ended; nothing where it is not finished, and has to be resumed.
    pub ending: Option<Ending>,
    /// Why it was refused, or why bringing the old state back failed.
    pub error: Option<Error>,
}

/// Why the machine begins where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A new deploy, or a step of the same process.
    Fresh,
    /// The process that was in this phase is gone: what it had done must be made sure of.
    Resumed,
}

/// One deploy that is being carried out.
pub(super) struct Machine<'a> {
    pub(super) deploy: &'a Deploy<'a>,
    pub(super) record: &'a mut Record,
    pub(super) observer: &'a dyn Observer,
    pub(super) entry: Entry,
}

impl Machine<'_> {
    /// Runs from the record's phase to an end.
    ///
    /// # Errors
    /// Only where the record cannot be written: then what stands on disk is what counts.
    pub(super) fn run(&mut self) -> Result<Finished> {
        loop {
            let phase = self.record.phase;
            self.record.enter(phase, self.now());
            state::write(self.deploy.data, self.record)?;
            self.observer.event(Event::PhaseStarted { phase: phase.word() });
            let outcome = self.perform_with_hooks(phase);
            self.entry = Entry::Fresh;
            let (result, detail) = match &outcome {
                Ok(detail) => (StepResult::Done, detail.clone()),
                Err(error) => (StepResult::Failed, brief(error)),
            };
            self.record.leave(result, &detail, self.now());
            self.tell_end(phase, result, detail);
            let next = match outcome {
                Ok(_) => phase.next(self.record.course()).ok_or(None),
                Err(error) => self.after_failure(phase, error).map_err(Some),
            };
            match next {
                Ok(next) => self.record.phase = next,
                Err(Some(error)) if phase == Phase::Archive => return self.leave_open(error),
                Err(error) => return self.end(error),
            }
        }
    }

    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        (self.deploy.clock)()
    }

    fn tell_end(&self, phase: Phase, result: StepResult, detail: String) {
        let milliseconds = self.record.steps.last().and_then(|step| step.milliseconds).unwrap_or(0);
        let result = match result {
            StepResult::Done => "done",
            StepResult::Failed => "failed",
        };
        self.observer.event(Event::PhaseEnded {
            phase: phase.word(),
            milliseconds,
            result,
            detail,
        });
    }

    /// Where a failure leads: to another phase, or to the end with its error.
    fn after_failure(&mut self, phase: Phase, error: Error) -> Result<Phase> {
        match phase.reach(self.record.work) {
            Reach::Untouched => Err(error),
            // The service is healthy: it is not taken down because a disk is full.
            _ if phase == Phase::Archive => Err(error),
            Reach::Stopped | Reach::Changed => {
                self.note_failure(phase, &error);
                Ok(phase.turn_back(self.record.data))
            }
            Reach::Back => match phase {
                // The data is as before, so a service that does not stop may as well run on.
                Phase::StopAgain if self.record.data != DataState::Changed => {
                    self.warn_of(Err(error));
                    Ok(Phase::SwitchBack)
                }
                _ => Err(error),
            },
        }
    }

    /// Keeps the first reason: what fails on the way back is told apart.
    pub(super) fn note_failure(&mut self, phase: Phase, error: &Error) {
        let (message, hint) = (error.to_string(), error.hint());
        self.record.failure.get_or_insert(Failure { phase, message, hint });
    }

    /// What is there is good and stays; what is missing can be done later.
    fn leave_open(&self, error: Error) -> Result<Finished> {
        state::write(self.deploy.data, self.record)?;
        Ok(Finished { ending: None, error: Some(error) })
    }

    /// Writes how it ended, and cleans up what only an unfinished deploy needs.
    fn end(&mut self, error: Option<Error>) -> Result<Finished> {
        let phase = self.record.phase;
        let ending = match (&error, phase.reach(self.record.work)) {
            (None, Reach::Back) => Ending::RolledBack,
            (None, Reach::Untouched) => Ending::NothingToDo,
            (None, _) => Ending::Deployed,
            (Some(error), Reach::Untouched) if error.kind() == Kind::Interrupted => {
                Ending::Interrupted
            }
            (Some(_), Reach::Untouched) => Ending::Refused,
            (Some(_), _) if matches!(phase, Phase::StartAgain | Phase::HealthAgain) => {
                Ending::RolledBackUnhealthy
            }
            (Some(_), _) => Ending::RollbackFailed,
        };
        self.record.ending = Some(ending);
        self.record.ended = Some(self.now());
        if let (Some(error), None) = (&error, &self.record.failure) {
            let (message, hint) = (error.to_string(), error.hint());
            self.record.failure = Some(Failure { phase, message, hint });
        }
        let held = matches!(ending, Ending::RolledBack | Ending::RolledBackUnhealthy)
            && self.record.work == Work::Migrate;
        if held {
            hold::set(self.deploy.data, self.record, self.now())?;
        }
        state::write(self.deploy.data, self.record)?;
        if ending != Ending::RollbackFailed {
            self.warn_of(self.deploy.service.remove_fence());
            self.warn_of(self.deploy.operations.discard_copy());
        }
        if ending == Ending::Deployed {
            self.tidy();
        }
        Ok(Finished { ending: Some(ending), error })
    }

    fn tidy(&self) {
        if let Some(releases) = self.deploy.releases {
            self.warn_of(releases.prune(self.record.previous_release.as_deref()).map(drop));
        }
        self.deploy.operations.tidy(self.observer);
    }

    fn warn_of(&self, result: Result<()>) {
        if let Err(error) = result {
            self.observer.event(Event::Warning { text: error.to_string() });
        }
    }

    fn perform_with_hooks(&mut self, phase: Phase) -> Result<String> {
        let forward = phase.reach(self.record.work) != Reach::Back;
        self.deploy.heeding.store(forward, Ordering::Relaxed);
        if forward {
            self.refuse_interrupted()?;
        }
        let before = self.hook(&format!("before-{phase}"));
        self.mind_hook(before, forward)?;
        let detail = self.perform(phase)?;
        let after = self.hook(&format!("after-{phase}"));
        self.mind_hook(after, forward)?;
        Ok(detail)
    }

    fn mind_hook(&self, ran: Result<bool>, forward: bool) -> Result<()> {
        match ran {
            Err(error) if forward => Err(error),
            other => {
                self.warn_of(other.map(drop));
                Ok(())
            }
        }
    }

    pub(super) fn hook(&self, name: &str) -> Result<bool> {
        self.deploy.hooks.run(name, &self.environment(), self.observer)
    }

    fn environment(&self) -> Vec<(String, OsString)> {
        let record = &*self.record;
        let text = |value: &Option<String>| OsString::from(value.clone().unwrap_or_default());
        let backup = record.final_backup.as_ref().or(record.backup.as_ref());
        let mut environment = self.deploy.environment.to_vec();
        environment.extend([
            ("PITON_DEPLOY".to_string(), record.id.to_string().into()),
            ("PITON_PHASE".into(), record.phase.word().into()),
            ("PITON_RELEASE".into(), text(&record.release)),
            ("PITON_PREVIOUS_RELEASE".into(), text(&record.previous_release)),
            ("PITON_BACKUP_ID".into(), backup.map(ToString::to_string).unwrap_or_default().into()),
            ("PITON_FAILURE".into(), text(&record.failure.as_ref().map(|it| it.message.clone()))),
        ]);
        environment
    }

    fn refuse_interrupted(&self) -> Result<()> {
        if self.deploy.ground.clock.is_interrupted() {
            Err(DeployError::Interrupted.into())
        } else {
            Ok(())
        }
    }

    fn perform(&mut self, phase: Phase) -> Result<String> {
        if self.entry == Entry::Resumed {
            self.make_sure(phase)?;
        }
        match phase {
            Phase::Preflight => self.preflight(),
            Phase::Backup => self.back_up_running(),
            Phase::Rehearsal => self.rehearse(),
            Phase::Stop => self.stop(),
            Phase::Fence => self.fence(),
            Phase::FinalBackup => self.anchor(),
            Phase::Migrate => self.migrate(),
            Phase::Switch => self.switch(),
            Phase::Start => self.start(),
            Phase::StopAgain => self.secure().map(|()| String::new()),
            Phase::PutBack => self.put_back(),
            Phase::SwitchBack => self.switch_back(),
            Phase::StartAgain => self.start_again(),
            Phase::Health | Phase::HealthAgain => self.health(),
            Phase::Archive => self.archive(),
        }
    }

    /// Whatever happened since the process was gone that was in this phase: the service is down and
    /// nobody holds a database, or it runs. A machine that started anew does not start everything.
    fn make_sure(&self, phase: Phase) -> Result<()> {
        match phase {
            _ if self.record.is_fenced() => self.secure(),
            Phase::Health | Phase::HealthAgain => self.start_as_it_ran(),
            Phase::Archive => {
                // It was healthy, and what is missing is not about it.
                self.warn_of(self.start_as_it_ran());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The service is down, cannot be started, and no process holds a database.
    pub(super) fn secure(&self) -> Result<()> {
        let service = self.deploy.service;
        service.prepare_fence()?;
        service.raise_fence()?;
        self.warn_of_killed(&service.stop()?);
        self.await_release()
    }

    /// Waits until nobody holds a database any more: a stopped service may still be closing files.
    fn await_release(&self) -> Result<()> {
        let deadline = Instant::now() + self.deploy.release_limit;
        loop {
            let holders = self.deploy.operations.holders()?;
            if holders.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(DeployError::StillHeld { holders }.into());
            }
            std::thread::sleep(LOOK);
        }
    }

    fn fence(&mut self) -> Result<String> {
        self.await_release()?;
        Ok("no process holds a database".into())
    }

    fn stop(&mut self) -> Result<String> {
        let service = self.deploy.service;
        if self.record.running.is_none() {
            // Noted before it is stopped: afterwards nobody could tell what ran.
            self.record.running = Some(service.running()?);
            state::write(self.deploy.data, self.record)?;
        }
        if self.entry == Entry::Resumed {
            // What was prepared may have gone with a reboot.
            service.prepare_fence()?;
        }
        service.raise_fence()?;
        let stopped = service.stop()?;
        self.warn_of_killed(&stopped);
        Ok(service.name())
    }

    fn warn_of_killed(&self, stopped: &Stopped) {
        for part in &stopped.killed {
            let text = format!("{part} did not stop in time and was killed");
            self.observer.event(Event::Warning { text });
        }
    }

    fn migrate(&mut self) -> Result<String> {
        let known = self.record.data;
        self.record.data = DataState::Changed;
        state::write(self.deploy.data, self.record)?;
        // The hold is of an earlier deploy; this one decides anew.
        hold::lift(self.deploy.data)?;
        let backup = self.record.final_backup.clone();
        let migrated = self.deploy.operations.migrate(backup.as_ref(), self.observer);
        let Migrated { ran, failure, left } = match migrated {
            Ok(migrated) => migrated,
            Err(error) => {
                let (ran, failure) = (Vec::new(), Some(error));
                Migrated { ran, failure, left: Left::AsBefore }
            }
        };
        match failure {
            None => {
                let count = ran.len();
                self.record.ran.extend(ran);
                Ok(format!("{count} {}", if count == 1 { "migration" } else { "migrations" }))
            }
            Some(error) => {
                // A run that was cut off before may have left something, whatever this one left.
                if left == Left::AsBefore {
                    self.record.data = known;
                }
                Err(error)
            }
        }
    }

    fn back_up_running(&mut self) -> Result<String> {
        let work = self.record.work;
        self.record.backup = self.deploy.operations.back_up(work, self.observer)?;
        if self.record.work == Work::Migrate {
            // Here it costs no downtime; it stops nobody until it is raised.
            self.deploy.service.prepare_fence()?;
        }
        Ok(self
            .record
            .backup
            .as_ref()
            .map_or_else(|| "there is no data yet".into(), |id| format!("{id}, verified")))
    }

    fn anchor(&mut self) -> Result<String> {
        let anchored = self.deploy.operations.anchor(self.record.archiving, self.observer)?;
        self.record.final_backup = anchored.as_ref().map(|it| it.backup.clone());
        Ok(match anchored {
            None => "there is no data yet".into(),
            Some(it) => match it.form {
                Form::Archive => format!("{}, verified: the rollback point", it.backup),
                Form::Copy => format!("{}, equal to the data: the rollback point", it.backup),
            },
        })
    }

    fn archive(&mut self) -> Result<String> {
        let Some(backup) = self.record.final_backup.clone() else {
            return Ok("there was no data before".into());
        };
        match self.deploy.operations.archive(&backup, self.observer) {
            // No later attempt finds anything else in the copy, and the service is healthy.
            Err(error) if error.kind() == Kind::Damaged => {
                let text = format!("what the service left was damaged already: {error}");
                self.observer.event(Event::Warning { text });
                self.record.final_backup.clone_from(&self.record.backup);
                Ok(self.record.backup.as_ref().map_or_else(
                    || "there is no sound backup".into(),
                    |id| format!("{id}, from before the stop, is the last sound one"),
                ))
            }
            other => other.map(|()| format!("{backup}, verified")),
        }
    }

    fn rehearse(&mut self) -> Result<String> {
        match self.record.backup.clone() {
            Some(backup) => self.deploy.operations.rehearse(&backup, self.observer),
            None => Ok("there is no data to rehearse on".into()),
        }
    }
}

/// The first line of a message: one line for each phase.
/// An error in the line of its phase; where all of it follows, only what it is about.
fn brief(error: &Error) -> String {
    match error {
        Error::Health(HealthError::Unhealthy { verdict, .. }) => {
            format!("the service is {verdict}")
        }
        other => first_line(&other.to_string()),
    }
}

pub(super) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().into()
}
