//! The phases that deal with the service and the release: examining, switching, starting, proving, and the way
//! back.

use super::{
    Deploy, health,
    machine::Machine,
    phase::{DataState, Work},
    settings::{FailingProbes, Restart},
};
use crate::{Result, error::DeployError, event::Event};

impl Machine<'_> {
    pub(super) fn preflight(&mut self) -> Result<String> {
        let deploy = self.deploy;
        self.record.service = deploy.service.is_managed().then(|| deploy.service.name());
        deploy.service.check()?;
        if let Some(releases) = deploy.releases {
            self.record.previous_release = releases.current()?;
            if let Some(release) = &self.record.release {
                releases.find(release)?;
            } else {
                self.record.release.clone_from(&self.record.previous_release);
            }
        }
        let known = |name: &str| super::is_hook_name(name);
        for name in deploy.hooks.strays(known) {
            let text = format!("no phase runs the hook `{name}`");
            self.observer.event(Event::Warning { text });
        }
        let found = deploy.operations.examine(self.observer)?;
        for text in found.warnings {
            self.observer.event(Event::Warning { text });
        }
        let other_release = self.record.release != self.record.previous_release;
        self.record.archiving = found.archiving;
        self.record.work = match (found.pending.is_empty(), deploy.restart, other_release) {
            (false, ..) => Work::Migrate,
            (true, Restart::WhenNeeded, false) => Work::Nothing,
            _ => Work::Restart,
        };
        if self.record.work != Work::Nothing {
            self.require_passing_probes()?;
        }
        Ok(match (found.pending.len(), self.record.work) {
            (0, Work::Nothing) => "nothing is pending, no restart is needed".into(),
            (0, _) => "nothing is pending".into(),
            (1, _) => "1 migration is pending".into(),
            (count, _) => format!("{count} migrations are pending"),
        })
    }

    /// A probe that fails already would take the service down for nothing, and bring the old state back
    /// to a failure.
    fn require_passing_probes(&self) -> Result<()> {
        let Deploy { health, service, ground, failing_probes, .. } = self.deploy;
        if *failing_probes == FailingProbes::Ignore {
            return Ok(());
        }
        let failures = health::failing_before(health, *service, ground)?;
        if failures.is_empty() {
            return Ok(());
        }
        Err(DeployError::FailingProbes { failures }.into())
    }

    pub(super) fn switch(&mut self) -> Result<String> {
        let (Some(releases), Some(release)) = (self.deploy.releases, &self.record.release) else {
            return Ok(String::new());
        };
        releases.switch(release)?;
        Ok(format!("current is {release}"))
    }

    pub(super) fn start(&mut self) -> Result<String> {
        let service = self.deploy.service;
        if self.record.running.is_none() {
            self.record.running = Some(service.running()?);
            super::state::write(self.deploy.data, self.record)?;
        }
        match self.record.work {
            Work::Migrate => self.start_as_it_ran()?,
            Work::Restart | Work::Nothing => service.restart()?,
        }
        Ok(service.name())
    }

    pub(super) fn health(&mut self) -> Result<String> {
        let Deploy { health, service, ground, .. } = self.deploy;
        let report = health::check(health, *service, ground)?;
        let passed = report.passed.len();
        let probes = if passed == 1 { "probe" } else { "probes" };
        Ok(format!("well after {} ms, {passed} {probes}", report.milliseconds))
    }

    pub(super) fn put_back(&mut self) -> Result<String> {
        let Some(backup) = self.record.final_backup.clone() else {
            self.record.data = DataState::PutBack;
            return Ok("there was no data before; what the migrations made stays".into());
        };
        let failed_state = self.deploy.operations.put_back(&backup, self.observer)?;
        self.record.data = DataState::PutBack;
        let kept = failed_state
            .as_ref()
            .map_or_else(String::new, |id| format!("; the failed state is {id}"));
        self.record.failed_state = failed_state.or(self.record.failed_state.take());
        Ok(format!("{backup} is back{kept}"))
    }

    pub(super) fn switch_back(&mut self) -> Result<String> {
        // The failed release knows what of its own has to be undone.
        let hook = self.hook("rollback");
        if let Err(error) = hook {
            self.observer.event(Event::Warning { text: error.to_string() });
        }
        let Some(releases) = self.deploy.releases else { return Ok(String::new()) };
        match &self.record.previous_release {
            Some(previous) => {
                releases.switch(previous)?;
                Ok(format!("current is {previous} again"))
            }
            None => {
                releases.unlink()?;
                Ok("there was no release before".into())
            }
        }
    }

    pub(super) fn start_again(&mut self) -> Result<String> {
        self.start_as_it_ran()?;
        Ok(self.deploy.service.name())
    }

    /// Starts what ran before the deploy, unless it runs.
    pub(super) fn start_as_it_ran(&self) -> Result<()> {
        let running = self.record.running.clone().unwrap_or_default();
        self.deploy.service.lift_fence()?;
        self.deploy.service.start(&running)
    }
}
