//! `[notify]`: a program that is told when something ended badly. It decides nothing: whatever it does, the
//! command ends as it would have without it.

use crate::{
    clock,
    deploy::service::{Ground, Program},
    event::Silent,
    history::duration,
};
use serde::Deserialize;
use std::{
    ffi::OsString,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};
use toml::Spanned;

/// The time that the program has where nobody says.
const LIMIT: Duration = Duration::from_secs(30);
/// The longest message in bytes: a system gives a variable no more than 128 KiB.
const LONGEST: usize = 4096;

/// The keys as they stand in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NotifyKeys {
    /// What runs when a command ended badly.
    pub on_failure: Option<Program>,
    /// The time that it has.
    pub timeout: Option<Spanned<String>>,
}

/// What is told, and how.
#[derive(Clone, Debug)]
pub struct Notify {
    program: Program,
    limit: Duration,
    /// The project's folder, where it runs.
    root: PathBuf,
}

/// What ended badly.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    /// The command that was typed.
    pub command: &'a str,
    /// Its exit code.
    pub code: u8,
    /// The word of `outcome`.
    pub outcome: &'a str,
    /// What was said.
    pub message: &'a str,
    /// The machine.
    pub host: &'a str,
}

impl NotifyKeys {
    /// What the keys ask for; nothing where nothing is to run.
    ///
    /// # Errors
    /// The place and what is wrong there.
    pub(super) fn checked(&self, root: &Path) -> Result<Option<Notify>, (Range<usize>, String)> {
        let limit = match &self.timeout {
            Some(text) => duration(text.get_ref())
                .map_err(|reason| (text.span(), format!("`notify.timeout`: {reason}")))?,
            None => LIMIT,
        };
        let root = root.to_path_buf();
        Ok(self.on_failure.clone().map(|program| Notify { program, limit, root }))
    }
}

impl Notify {
    /// What a file that is wrong elsewhere asks for: a mistake in it must not end the nights in silence.
    #[must_use]
    pub fn of_file(path: &Path) -> Option<Self> {
        #[derive(Deserialize)]
        struct Lenient {
            notify: NotifyKeys,
        }
        let text = std::fs::read_to_string(path).ok()?;
        let keys = toml::from_str::<Lenient>(&text).ok()?.notify;
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        keys.checked(parent.unwrap_or(Path::new("."))).ok()?
    }

    /// Runs the program; it ends within its time.
    ///
    /// # Errors
    /// Why it did not succeed, in words.
    pub fn send(&self, failure: &Failure<'_>) -> Result<(), String> {
        // A variable ends at the first zero byte.
        let mut message = failure.message.replace('\0', " ");
        let mut end = message.len().min(LONGEST);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        let environment: Vec<(String, OsString)> = [
            ("PITON_COMMAND", failure.command.to_string()),
            ("PITON_CODE", failure.code.to_string()),
            ("PITON_OUTCOME", failure.outcome.to_string()),
            ("PITON_MESSAGE", message),
            ("PITON_HOST", failure.host.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_string(), value.into()))
        .collect();
        let ground = Ground {
            root: &self.root,
            data: &self.root,
            run: Path::new("/run"),
            environment: &environment,
            clock: &clock::System::uninterrupted(),
            observer: &Silent,
        };
        self.program.check(&ground, self.limit)
    }
}
