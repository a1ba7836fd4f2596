//! A service that three commands of the project manage: for runit, supervisord, Docker Compose,
//! pm2, or a shell script.

use super::{Commands, Fence, Ground, Part, Program, Running, Service, State, Stopped};
use crate::{
    Result, disk,
    error::ServiceError,
    event::{Event, Observer, Silent},
    process::{Ended, How, Remains},
    records,
};
use std::{
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};

/// The time that `status`, `kill`, `fence` and `unfence` have.
const LIMIT: Duration = Duration::from_secs(30);

/// How often the state is asked for while a stop is waited for.
const STEP: Duration = Duration::from_millis(100);

/// What a start and the service that it left behind wrote, in the private folder.
const OUTPUT_FILE: &str = "service.log";

/// Bytes at the end of that file from which lines are shown.
const READ: u64 = 64 * 1024;

/// The name of the one part.
const PART: &str = "service";

pub(super) struct Commanded<'a> {
    commands: &'a Commands,
    ground: Ground<'a>,
    fence: Fence<'a>,
}

impl<'a> Commanded<'a> {
    pub(super) fn new(commands: &'a Commands, ground: Ground<'a>) -> Self {
        Self { commands, ground, fence: Fence::new(&ground) }
    }

    fn output_file(&self) -> Result<PathBuf> {
        Ok(records::private(self.ground.data)?.join(OUTPUT_FILE))
    }

    /// Runs a command that has to succeed.
    fn run(
        &self,
        action: &'static str,
        program: &Program,
        limit: Duration,
        remains: Remains<'_>,
    ) -> Result<()> {
        let ended = self.end(action, program, limit, remains, self.ground.observer)?;
        match ended.how {
            how if how.is_success() => Ok(()),
            How::Interrupted => Err(interrupted(action)),
            how => {
                let (command, how) = (program.to_string(), how.to_string());
                Err(ServiceError::Command { action, command, how, output: ended.output }.into())
            }
        }
    }

    fn end(
        &self,
        action: &'static str,
        program: &Program,
        limit: Duration,
        remains: Remains<'_>,
        observer: &dyn Observer,
    ) -> Result<Ended> {
        program.run(&self.ground, limit, remains, observer).map_err(|error| {
            let (command, reason) = (program.to_string(), error.to_string());
            ServiceError::CannotRun { action, command, reason }.into()
        })
    }

    /// Runs a command that may leave the service behind.
    fn run_starting(&self, action: &'static str, program: &Program) -> Result<()> {
        let output = records::make_private(self.ground.data)?.join(OUTPUT_FILE);
        self.run(action, program, self.commands.start_timeout, Remains::Left(&output))
    }

    /// The state by the exit status of `status`, as the Linux Standard Base numbers them (Core
    /// 5.0, "Init Script Actions"): 0 runs, 3 does not, 1 and 2 are dead and left a file behind.
    fn ask(&self) -> Result<State> {
        let ended = self.end("status", &self.commands.status, LIMIT, Remains::Killed, &Silent)?;
        Ok(match ended.how {
            How::Interrupted => return Err(interrupted("status")),
            how => match how.code() {
                Some(0) => State::Running,
                Some(1..=3) => State::Stopped,
                _ => {
                    let last = ended.output.lines().last().map(|line| format!(": {line}"));
                    State::Unclear { reason: format!("`status` {how}{}", last.unwrap_or_default()) }
                }
            },
        })
    }

    /// Waits until it is stopped; gives the last answer where it is not.
    fn await_stop(&self, limit: Duration) -> Result<State> {
        let clock = self.ground.clock;
        let deadline = clock.now() + limit;
        loop {
            let state = self.ask()?;
            if state.is_stopped() || clock.now() >= deadline {
                return Ok(state);
            }
            if clock.is_interrupted() {
                return Err(interrupted("stop"));
            }
            clock.pause(STEP);
        }
    }

    fn kill(&self) -> Result<State> {
        if let Some(kill) = &self.commands.kill {
            self.run("kill", kill, LIMIT, Remains::Killed)?;
            return self.await_stop(LIMIT);
        }
        self.ask()
    }
}

impl Service for Commanded<'_> {
    fn name(&self) -> String {
        "the service".into()
    }

    fn check(&self) -> Result<()> {
        match self.ask()? {
            State::Unclear { reason } => {
                let how = format!("gives no answer that is understood: {reason}");
                let command = self.commands.status.to_string();
                Err(ServiceError::Command { action: "status", command, how, output: String::new() }
                    .into())
            }
            _ => Ok(()),
        }
    }

    fn state(&self) -> Result<Vec<Part>> {
        Ok(vec![Part { name: PART.into(), state: self.ask()?, life: None }])
    }

    fn running(&self) -> Result<Running> {
        Ok(Running { units: vec![PART.into()] })
    }

    fn prepare_fence(&self) -> Result<()> {
        Ok(())
    }

    fn raise_fence(&self) -> Result<()> {
        self.fence.raise()?;
        match &self.commands.fence {
            Some(fence) => self.run("fence", fence, LIMIT, Remains::Killed),
            None => Ok(()),
        }
    }

    fn stop(&self) -> Result<Stopped> {
        let clock = self.ground.clock;
        let began = clock.now();
        let limit = self.commands.stop_timeout;
        let asked = self.run("stop", &self.commands.stop, limit, Remains::Killed);
        let state = match &asked {
            // Most managers call it an error to stop what does not run.
            Err(_) => self.ask()?,
            Ok(()) => self.await_stop((began + limit).saturating_sub(clock.now()))?,
        };
        if state.is_stopped() {
            return Ok(Stopped::default());
        }
        if clock.is_interrupted() {
            return Err(interrupted("stop"));
        }
        let state = self.kill()?;
        if !state.is_stopped() {
            asked?;
            return Err(ServiceError::NotStopped {
                service: self.name(),
                seconds: (clock.now() - began).as_secs(),
                state: match state {
                    State::Unclear { reason } => reason,
                    _ => "`status` says that it runs".into(),
                },
            }
            .into());
        }
        Ok(Stopped { killed: vec![PART.into()] })
    }

    fn lift_fence(&self) -> Result<()> {
        // The file goes last: while it is there, the fence counts as raised.
        if let Some(unfence) = &self.commands.unfence {
            self.run("unfence", unfence, LIMIT, Remains::Killed)?;
        }
        self.fence.lift()
    }

    fn remove_fence(&self) -> Result<()> {
        Ok(())
    }

    fn start(&self, _: &Running) -> Result<()> {
        // Most managers call it an error to start what runs, and an earlier attempt may have.
        if self.ask()? == State::Running {
            return Ok(());
        }
        self.run_starting("start", &self.commands.start)
    }

    fn restart(&self) -> Result<()> {
        match &self.commands.restart {
            Some(restart) => self.run_starting("restart", restart),
            None => {
                if self.stop()? != Stopped::default() {
                    let text = "the service did not stop in time and was killed".into();
                    self.ground.observer.event(Event::Warning { text });
                }
                self.start(&self.running()?)
            }
        }
    }

    fn log_tail(&self, lines: usize) -> Option<String> {
        let mut file = disk::open_to_read(&self.output_file().ok()?).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(READ))).ok()?;
        let mut bytes = Vec::new();
        file.take(READ).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        let last = all[all.len().saturating_sub(lines)..].join("\n");
        (!last.is_empty()).then_some(last)
    }
}

fn interrupted(action: &str) -> crate::Error {
    let during = format!("the `{action}` command of the service ran");
    ServiceError::Interrupted { during }.into()
}
