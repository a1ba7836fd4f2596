//! A program as a person writes it into `piton.toml`: one line for the shell, or a list of words.

use crate::{
    event::{Observer, Silent},
    process::{self, Ended, Remains},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use std::{ffi::OsString, fmt, io, path::Path, time::Duration};

use super::Ground;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A line that `sh -c` runs.
    Line(String),
    /// A program, a path or a name that is looked up in `PATH`, and its arguments.
    Words(Vec<String>),
}

impl Program {
    /// The same, with the path of a data directory in the place of `{data}`.
    #[must_use]
    pub fn on(&self, data: &Path) -> Self {
        const DATA: &str = "{data}";
        let path = data.to_string_lossy();
        match self {
            Self::Line(line) => {
                let quoted = format!("'{}'", path.replace('\'', r"'\''"));
                Self::Line(line.replace(DATA, &quoted))
            }
            Self::Words(words) => {
                Self::Words(words.iter().map(|word| word.replace(DATA, &path)).collect())
            }
        }
    }

    /// Runs it to its end in the project's folder; it must end with status 0.
    ///
    /// # Errors
    /// How it ended and the last lines that it wrote, in words.
    pub fn check(&self, ground: &Ground<'_>, limit: Duration) -> Result<(), String> {
        /// Lines of output that a message shows.
        const LINES: usize = 5;
        let ended = self.run(ground, limit, Remains::Killed, &Silent);
        let ended = ended.map_err(|error| format!("cannot be run: {error}"))?;
        if ended.how.is_success() {
            return Ok(());
        }
        let lines: Vec<&str> = ended.output.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        let last = last.iter().map(|line| format!("\n{line}")).collect::<String>();
        Err(format!("{}{last}", ended.how))
    }

    /// Runs it in the project's folder.
    ///
    /// # Errors
    /// The system's, where it cannot be started.
    pub(in crate::deploy) fn run(
        &self,
        ground: &Ground<'_>,
        limit: Duration,
        remains: Remains<'_>,
        observer: &dyn Observer,
    ) -> io::Result<Ended> {
        let words: Vec<OsString> = match self {
            Self::Line(line) => vec!["sh".into(), "-c".into(), line.into()],
            Self::Words(words) => words.iter().map(OsString::from).collect(),
        };
        let [program, arguments @ ..] = words.as_slice() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let job = process::Job {
            program,
            arguments,
            environment: ground.environment,
            folder: ground.root,
            limit,
            remains,
        };
        process::run(&job, ground.clock, observer)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => formatter.write_str(line),
            Self::Words(words) => formatter.write_str(&words.join(" ")),
        }
    }
}

impl<'de> Deserialize<'de> for Program {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Program;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a line for the shell, or a list of a program and its arguments")
    }

    fn visit_str<E: Error>(self, line: &str) -> Result<Program, E> {
        match line.trim() {
            "" => Err(E::custom("an empty line is no command")),
            line => Ok(Program::Line(line.into())),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Program, A::Error> {
        let words = Vec::<String>::deserialize(SeqAccessDeserializer::new(list))?;
        match words.first().map(String::as_str) {
            None | Some("") => Err(A::Error::custom("the first word of a list is the program")),
            Some(_) => Ok(Program::Words(words)),
        }
    }
}
