//! Calls `systemctl`, `journalctl` and `loginctl`. It never decides which units are meant.

use super::{
    super::{Ground, Scope, Systemd},
    show::{self, PROPERTIES, Record},
};
use crate::{
    Result,
    error::ServiceError,
    event::{Observer, Silent},
    process::{self, Ended, How, Job, Remains},
};
use std::{
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
    time::Duration,
};

/// The time that a question has.
const QUESTION: Duration = Duration::from_secs(30);

/// The time that systemd has to read all unit files again.
const RELOAD: Duration = Duration::from_secs(90);

/// `systemctl` as it is configured.
pub(super) struct Tool<'a> {
    systemd: &'a Systemd,
    ground: Ground<'a>,
    environment: Vec<(String, OsString)>,
}

/// How an act ended that may take too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acted {
    /// It is done.
    Done,
    /// The time is up; systemd may still be at it.
    TooLong,
}

/// Whether the units of a user run on after the last session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linger {
    Yes,
    No,
}

impl<'a> Tool<'a> {
    pub(super) fn new(systemd: &'a Systemd, ground: Ground<'a>) -> Self {
        // What is printed is read, so it must have neither colours nor translations nor a pager.
        let settings = [("LC_ALL", "C"), ("SYSTEMD_COLORS", "0"), ("SYSTEMD_PAGER", "")];
        let mut environment: Vec<(String, OsString)> =
            settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        if systemd.scope == Scope::User {
            // A session that was not opened by a login, such as a job's, lacks it.
            environment.push(("XDG_RUNTIME_DIR".into(), runtime_folder(&ground).into()));
        }
        Self { systemd, ground, environment }
    }

    /// The folder of runtime unit files.
    pub(super) fn folder(&self) -> PathBuf {
        match self.systemd.scope {
            Scope::System => self.ground.run.join("systemd/system"),
            Scope::User => runtime_folder(&self.ground).join("systemd/user"),
        }
    }

    /// What a person would type.
    pub(super) fn line(&self, words: &[&str]) -> String {
        let user = (self.systemd.scope == Scope::User).then_some("--user");
        let program = self.systemd.systemctl.iter().map(String::as_str);
        program.chain(user).chain(words.iter().copied()).collect::<Vec<_>>().join(" ")
    }

    /// The properties of units, in the order given.
    ///
    /// # Errors
    /// [`ServiceError::Manager`] where systemd gives no answer.
    pub(super) fn show(&self, units: &[String]) -> Result<Vec<Record>> {
        let mut words = vec!["show", "--property", PROPERTIES, "--"];
        words.extend(units.iter().map(String::as_str));
        let ended = self.run(&words, QUESTION, &Silent)?;
        let records = show::parse(&ended.output);
        let is_whole = records.len() == units.len()
            && records.iter().all(|record| !record.get("LoadState").is_empty());
        match ended.how {
            how if how.is_success() && is_whole => Ok(records),
            How::Interrupted => Err(interrupted("show", units)),
            how => Err(self.failed(&words[..1], &how, ended.output)),
        }
    }

    /// Acts on units; it must be done in time.
    ///
    /// # Errors
    /// [`ServiceError::Manager`] with what `systemctl` said.
    pub(super) fn must(&self, verb: &str, units: &[&str], limit: Duration) -> Result<()> {
        let words: Vec<&str> = [verb].into_iter().chain(units.iter().copied()).collect();
        let ended = self.run(&words, limit, self.ground.observer)?;
        match ended.how {
            how if how.is_success() => Ok(()),
            How::Interrupted => Err(interrupted(verb, units)),
            how => Err(self.failed(&words, &how, ended.output)),
        }
    }

    /// Acts on units and says whether it was done in time.
    ///
    /// # Errors
    /// [`ServiceError::Manager`] with what `systemctl` said.
    pub(super) fn act(&self, verb: &str, units: &[&str], limit: Duration) -> Result<Acted> {
        let words: Vec<&str> = [verb].into_iter().chain(units.iter().copied()).collect();
        let ended = self.run(&words, limit, &Silent)?;
        match ended.how {
            how if how.is_success() => Ok(Acted::Done),
            How::TooLong(_) => Ok(Acted::TooLong),
            How::Interrupted => Err(interrupted(verb, units)),
            how => Err(self.failed(&words, &how, ended.output)),
        }
    }

    /// Lets systemd read all unit files again.
    ///
    /// # Errors
    /// [`ServiceError::Manager`] with what `systemctl` said.
    pub(super) fn reload(&self) -> Result<()> {
        self.must("daemon-reload", &[], RELOAD)
    }

    /// The last lines that the units wrote; none where the journal cannot be read.
    pub(super) fn journal(&self, lines: usize) -> Option<String> {
        let option = match self.systemd.scope {
            Scope::System => "--unit",
            Scope::User => "--user-unit",
        };
        let mut words: Vec<OsString> = vec!["--no-pager".into(), "--quiet".into()];
        words.extend(["--output=short".into(), format!("--lines={lines}").into()]);
        words.extend(self.systemd.units.iter().map(|unit| format!("{option}={unit}").into()));
        let ended = self.call(OsStr::new("journalctl"), &words, QUESTION, &Silent).ok()?;
        let text = ended.output.trim_end();
        (ended.how.is_success() && !text.is_empty()).then(|| text.to_string())
    }

    /// Whether the user's units run on; none where that cannot be told.
    pub(super) fn lingers(&self) -> Option<Linger> {
        let user = rustix::process::getuid().as_raw().to_string();
        let words = ["show-user", &user, "--property=Linger", "--value"].map(OsString::from);
        let ended = self.call(OsStr::new("loginctl"), &words, QUESTION, &Silent).ok()?;
        match ended.output.trim() {
            "yes" => Some(Linger::Yes),
            "no" => Some(Linger::No),
            _ => None,
        }
    }

    fn run(&self, words: &[&str], limit: Duration, observer: &dyn Observer) -> Result<Ended> {
        let (program, before) =
            self.systemd.systemctl.split_first().expect("it was checked not to be empty");
        let mut arguments: Vec<OsString> = before.iter().map(OsString::from).collect();
        if self.systemd.scope == Scope::User {
            arguments.push("--user".into());
        }
        // Nobody is there to answer.
        arguments.extend(["--no-ask-password".into(), "--no-pager".into()]);
        arguments.extend(words.iter().map(OsString::from));
        self.call(OsStr::new(program), &arguments, limit, observer).map_err(|error| {
            ServiceError::NoTool { tool: program.clone(), reason: error.to_string() }.into()
        })
    }

    fn call(
        &self,
        program: &OsStr,
        arguments: &[OsString],
        limit: Duration,
        observer: &dyn Observer,
    ) -> io::Result<Ended> {
        let job = Job {
            program,
            arguments,
            environment: &self.environment,
            folder: self.ground.root,
            limit,
            remains: Remains::Killed,
        };
        process::run(&job, self.ground.clock, observer)
    }

    fn failed(&self, words: &[&str], how: &How, output: String) -> crate::Error {
        let option = match self.systemd.scope {
            Scope::System => "-u",
            Scope::User => "--user -u",
        };
        let unit = words.get(1).copied().unwrap_or(&self.systemd.units[0]);
        ServiceError::Manager {
            command: self.line(words),
            how: how.to_string(),
            output,
            look: format!("journalctl {option} {unit} -n 50"),
        }
        .into()
    }
}

pub(super) fn interrupted(verb: &str, units: &[impl AsRef<str>]) -> crate::Error {
    let units: Vec<&str> = units.iter().map(AsRef::as_ref).collect();
    let during = format!("`systemctl {verb} {}` ran", units.join(" "));
    ServiceError::Interrupted { during }.into()
}

/// The folder that a user's programs have while somebody is logged in (pam_systemd(8)).
fn runtime_folder(ground: &Ground<'_>) -> PathBuf {
    ground.run.join("user").join(rustix::process::getuid().as_raw().to_string())
}
