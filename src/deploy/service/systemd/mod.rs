//! Units of systemd, through `systemctl`: the machine's or a user's.
//!
//! With the configured units go their sockets, timers and paths, and the units that systemd would
//! stop with them; those are started again only if they stood before.

mod barrier;
mod show;
mod tool;

use super::{Fence, Ground, Part, Running, Scope, Service, Stopped, Systemd};
use crate::{Result, error::ServiceError, event::Event};
use barrier::{Barrier, Removed};
use show::{Record, is_trigger};
use std::time::Duration;
use tool::Tool;

/// The time that a unit has to go after it was killed.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// How often the state is asked for while something is waited for.
const STEP: Duration = Duration::from_millis(50);

pub(super) struct Units<'a> {
    systemd: &'a Systemd,
    ground: Ground<'a>,
    fence: Fence<'a>,
    tool: Tool<'a>,
}

/// A unit and why it is one of the service's.
struct Unit {
    role: Role,
    record: Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It is configured.
    Own,
    /// It starts one of the others, or one of the others starts it.
    Trigger,
    /// systemd stops it together with one of the others.
    Dependent,
}

impl Unit {
    fn name(&self) -> &str {
        self.record.id()
    }

    /// What starts others goes first at a stop, so that nothing comes back meanwhile.
    fn is_stopped_first(&self) -> bool {
        self.role != Role::Own && is_trigger(self.name())
    }
}

impl<'a> Units<'a> {
    pub(super) fn new(systemd: &'a Systemd, ground: Ground<'a>) -> Self {
        let tool = Tool::new(systemd, ground);
        Self { systemd, ground, fence: Fence::new(&ground), tool }
    }

    fn barrier(&self) -> Result<Barrier> {
        Barrier::new(self.tool.folder(), &self.fence.absolute()?)
    }

    /// The configured units.
    ///
    /// # Errors
    /// [`ServiceError::NoUnit`] where one cannot be used.
    fn own(&self) -> Result<Vec<Record>> {
        let records = self.tool.show(&self.systemd.units)?;
        for (unit, record) in self.systemd.units.iter().zip(&records) {
            if !record.is_loaded() {
                return Err(self.no_unit(unit, record));
            }
        }
        Ok(records)
    }

    fn no_unit(&self, unit: &str, record: &Record) -> crate::Error {
        let reason = match record.get("LoadState") {
            "not-found" => String::new(),
            "masked" => " that can be started: it is masked".into(),
            other => format!(" that can be used: {other} {}", record.get("LoadError")),
        };
        let look = self.tool.line(&["status", unit]);
        ServiceError::NoUnit { unit: unit.into(), reason: reason.trim_end().into(), look }.into()
    }

    /// All units of the service: the configured ones first and in their order.
    fn all(&self) -> Result<Vec<Unit>> {
        let own = self.own()?.into_iter();
        let mut units: Vec<Unit> = own.map(|record| Unit { role: Role::Own, record }).collect();
        let mut seen = 0;
        while seen < units.len() {
            let mut wanted: Vec<(Role, String)> = Vec::new();
            for unit in &units[seen..] {
                let triggers = unit.record.triggers().into_iter().map(|it| (Role::Trigger, it));
                let dependents = unit.record.dependents();
                let found = triggers.chain(dependents.into_iter().map(|it| (Role::Dependent, it)));
                for (role, name) in found {
                    let is_known = units.iter().any(|it| it.name() == name)
                        || wanted.iter().any(|(_, it)| *it == name);
                    if !is_known {
                        wanted.push((role, name));
                    }
                }
            }
            seen = units.len();
            let names: Vec<String> = wanted.iter().map(|(_, name)| name.clone()).collect();
            let records = if names.is_empty() { Vec::new() } else { self.tool.show(&names)? };
            let found = wanted.into_iter().zip(records);
            let found = found.filter(|(_, record)| record.is_loaded());
            units.extend(found.map(|((role, _), record)| Unit { role, record }));
        }
        Ok(units)
    }

    /// Stops some units at once. Says which had to be killed.
    fn stop_some(&self, units: &[&str], deadline: Duration) -> Result<Vec<String>> {
        let left = deadline.saturating_sub(self.ground.clock.now());
        let how = self.tool.act("stop", units, left.max(STEP))?;
        if how == tool::Acted::Done {
            return Ok(Vec::new());
        }
        let mut killed = Vec::new();
        for record in self.tool.show(&owned(units))? {
            if !record.state().is_stopped() {
                self.tool.act("kill", &["--signal=KILL", record.id()], AFTER_KILL)?;
                killed.push(record.id().to_string());
            }
        }
        self.await_stop(&owned(units), self.ground.clock.now() + AFTER_KILL)?;
        Ok(killed)
    }

    fn await_stop(&self, units: &[String], deadline: Duration) -> Result<()> {
        let clock = self.ground.clock;
        loop {
            let records = self.tool.show(units)?;
            let Some(up) = records.iter().find(|record| !record.state().is_stopped()) else {
                return Ok(());
            };
            if clock.is_interrupted() {
                return Err(tool::interrupted("stop", units));
            }
            if clock.now() >= deadline {
                let state = format!("it is {} ({})", up.get("ActiveState"), up.get("SubState"));
                return Err(ServiceError::NotStopped {
                    service: format!("`{}`", up.id()),
                    seconds: self.systemd.stop_timeout.as_secs(),
                    state,
                }
                .into());
            }
            clock.pause(STEP);
        }
    }

    /// A new release may have brought new unit files.
    fn reload_if_needed(&self, units: &[String]) -> Result<()> {
        match self.tool.show(units)?.iter().any(Record::needs_reload) {
            true => self.tool.reload(),
            false => Ok(()),
        }
    }

    /// Units that crashed again and again before are started no more until this is done.
    fn forget_failures(&self, units: &[&str]) {
        // A unit that nobody loaded yet has none, and systemctl calls that an error.
        let _ = self.tool.act("reset-failed", units, self.systemd.start_timeout);
    }

    /// User units end with the last session, unless the user may linger.
    fn warn_of_logout(&self) {
        if self.systemd.scope == Scope::User && self.tool.lingers() == Some(tool::Linger::No) {
            let text = "the user's units end when the last session does: `loginctl enable-linger` \
                        lets them run on";
            self.ground.observer.event(Event::Warning { text: text.into() });
        }
    }
}

impl Service for Units<'_> {
    fn name(&self) -> String {
        let names: Vec<String> = self.systemd.units.iter().map(|it| format!("`{it}`")).collect();
        names.join(", ")
    }

    fn check(&self) -> Result<()> {
        let own = self.own()?;
        for (unit, record) in self.systemd.units.iter().zip(&own) {
            if record.is_job() {
                let reason = " that stays: it is a `Type=oneshot` without `RemainAfterExit=yes`; list its \
                     timer instead";
                let look = self.tool.line(&["cat", unit]);
                let unit = unit.clone();
                return Err(ServiceError::NoUnit { unit, reason: reason.into(), look }.into());
            }
        }
        let barrier = self.barrier()?;
        let units = self.all()?;
        if !barrier.is_writable() && units.iter().any(|unit| !barrier.stands(&unit.record)) {
            let (service, line) = (self.name(), barrier.line);
            return Err(ServiceError::NoRights { path: barrier.folder, service, line }.into());
        }
        self.warn_of_logout();
        Ok(())
    }

    fn state(&self) -> Result<Vec<Part>> {
        let records = self.tool.show(&self.systemd.units)?;
        let parts = records.into_iter().map(|record| Part {
            name: record.id().into(),
            state: record.state(),
            life: record.life(),
        });
        Ok(parts.collect())
    }

    fn running(&self) -> Result<Running> {
        let units = self.all()?;
        let active = |unit: &&Unit| unit.role == Role::Own || unit.record.is_active();
        let active: Vec<&Unit> = units.iter().filter(active).collect();
        // A socket is refused once its service runs without it; a timer may only find it running.
        let (mut first, mut middle, mut last) = (Vec::new(), Vec::new(), Vec::new());
        for unit in active {
            let name = unit.name().to_string();
            match unit.role {
                Role::Own => middle.push(name),
                // What a timer started will be started by it again.
                _ if unit.record.is_job() => {}
                _ if name.ends_with(".socket") => first.push(name),
                _ if is_trigger(&name) => last.push(name),
                _ => middle.push(name),
            }
        }
        first.append(&mut middle);
        first.append(&mut last);
        Ok(Running { units: first })
    }

    fn prepare_fence(&self) -> Result<()> {
        let barrier = self.barrier()?;
        let units = self.all()?;
        let open: Vec<&Unit> = units.iter().filter(|unit| !barrier.stands(&unit.record)).collect();
        if open.is_empty() {
            return Ok(());
        }
        for unit in &open {
            barrier.write(unit.name())?;
        }
        self.tool.reload()?;
        let names: Vec<String> = open.iter().map(|unit| unit.name().to_string()).collect();
        match self.tool.show(&names)?.into_iter().find(|record| !barrier.stands(record)) {
            None => Ok(()),
            Some(record) => {
                let unit = record.id().to_string();
                Err(ServiceError::NotFenced { unit, folder: barrier.folder }.into())
            }
        }
    }

    fn raise_fence(&self) -> Result<()> {
        self.fence.raise()
    }

    fn stop(&self) -> Result<Stopped> {
        let deadline = self.ground.clock.now() + self.systemd.stop_timeout;
        let units = self.all()?;
        let mut killed = Vec::new();
        let first: Vec<&str> =
            units.iter().filter(|unit| unit.is_stopped_first()).map(Unit::name).collect();
        if !first.is_empty() {
            killed.append(&mut self.stop_some(&first, deadline)?);
        }
        // In the reverse of the order in which they are started, one after another.
        for unit in units.iter().rev().filter(|unit| !unit.is_stopped_first()) {
            killed.append(&mut self.stop_some(&[unit.name()], deadline)?);
        }
        // Between two of them something may have come back, where no fence was raised before.
        let names: Vec<String> = units.iter().map(|unit| unit.name().to_string()).collect();
        self.await_stop(&names, deadline.max(self.ground.clock.now() + STEP))?;
        Ok(Stopped { killed })
    }

    fn lift_fence(&self) -> Result<()> {
        self.fence.lift()
    }

    fn remove_fence(&self) -> Result<()> {
        match self.barrier()?.remove()? {
            Removed::Some => self.tool.reload(),
            Removed::Nothing => Ok(()),
        }
    }

    fn start(&self, what: &Running) -> Result<()> {
        let names: Vec<&str> = what.units.iter().map(String::as_str).collect();
        if names.is_empty() {
            return Ok(());
        }
        self.reload_if_needed(&what.units)?;
        self.forget_failures(&names);
        let clock = self.ground.clock;
        let deadline = clock.now() + self.systemd.start_timeout;
        for unit in names {
            let left = deadline.saturating_sub(clock.now()).max(STEP);
            self.tool.must("start", &[unit], left)?;
        }
        Ok(())
    }

    fn restart(&self) -> Result<()> {
        let units: Vec<&str> = self.systemd.units.iter().map(String::as_str).collect();
        self.reload_if_needed(&self.systemd.units)?;
        self.forget_failures(&units);
        self.tool.must("restart", &units, self.systemd.stop_timeout + self.systemd.start_timeout)
    }

    fn log_tail(&self, lines: usize) -> Option<String> {
        self.tool.journal(lines)
    }
}

fn owned(units: &[&str]) -> Vec<String> {
    units.iter().map(ToString::to_string).collect()
}
