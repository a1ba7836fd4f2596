//! Reports: what a command found, as text for a person and as one JSON document.

pub mod deploy;
mod observer;
pub mod plan;
pub mod terminal;
pub mod text;

pub use observer::Teller;

use crate::args::{Arguments, Color};
use anstream::ColorChoice;
use piton::{
    Error, Kind,
    project::{Outcome, config::File},
};
use serde_json::{Map, Value, json};
use std::io::{ErrorKind, IsTerminal};

/// What a command found.
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Fields of the JSON document, besides the three of every document.
    pub json: Map<String, Value>,
    /// Lines for a person.
    pub human: String,
    /// Lines about what went wrong, printed even when quiet.
    pub problems: String,
    form: Form,
}

/// Who reads the lines of a report.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Person,
    Program,
}

impl Report {
    /// A report with the fields of a JSON object.
    pub fn new(outcome: Outcome, json: Value, human: String) -> Self {
        let json = match json {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self { outcome, json, human, problems: String::new(), form: Form::Person }
    }

    /// A report whose JSON fields are made only where they are printed: those of thousands of
    /// databases are large.
    pub fn lazily(
        screen: Screen,
        outcome: Outcome,
        json: impl FnOnce() -> Value,
        human: String,
    ) -> Self {
        Self::new(outcome, if screen.json { json() } else { Value::Null }, human)
    }

    /// Leaves every byte of the lines as it is: a text that was asked for, or a program's input.
    pub fn verbatim(mut self) -> Self {
        self.form = Form::Program;
        self
    }

    fn printed(&self, code: u8) -> u8 {
        let written = match self.form {
            Form::Person => terminal::print(&self.human),
            Form::Program => terminal::print_verbatim(&self.human),
        };
        printed(code, written)
    }

    /// Adds what went wrong.
    pub fn with_problems(mut self, problems: String) -> Self {
        self.problems = problems;
        self
    }

    /// The report of a command that ended with an error.
    pub fn failure(error: &anyhow::Error) -> Self {
        let (kind, message, hint) = match error.downcast_ref::<Error>() {
            Some(error) => (error.kind(), error.to_string(), error.hint()),
            None => match error.downcast_ref::<NeedsConsent>() {
                Some(needs) => (Kind::Usage, needs.to_string(), Some("add `--yes`".to_string())),
                None => (Kind::Failed, format!("{error:#}"), None),
            },
        };
        let json = json!({ "error": { "message": message, "hint": hint } });
        let problems = match error.downcast_ref::<Error>() {
            Some(error) => text::failure(error),
            None => text::problem(&message, hint.as_deref()),
        };
        Self::new(Outcome::Problem(kind), json, String::new()).with_problems(problems)
    }
}

/// Something would be replaced, and nobody can be asked.
#[derive(Debug)]
pub struct NeedsConsent {
    /// What would be asked.
    pub question: String,
}

impl std::fmt::Display for NeedsConsent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "nobody can answer `{}`: standard input is no terminal", self.question)
    }
}

impl std::error::Error for NeedsConsent {}

/// How a report is printed.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// One JSON document instead of text.
    pub json: bool,
    /// Only what went wrong.
    pub quiet: bool,
    /// Do not ask.
    pub yes: bool,
    /// Colours.
    pub color: Color,
}

impl Screen {
    /// What flags and environment say.
    pub fn from_arguments(arguments: &Arguments) -> Self {
        let global = &arguments.global;
        Self {
            json: global.json.unwrap_or(false),
            quiet: global.quiet.unwrap_or(false),
            yes: global.yes.unwrap_or(false),
            color: global.color.unwrap_or(Color::Auto),
        }
    }

    /// What the configuration file adds where flags and environment say nothing.
    pub fn with_file(arguments: &Arguments, file: &File) -> Self {
        let global = &arguments.global;
        let color = match file.color.as_ref().map(|color| color.get_ref().as_str()) {
            Some("always") => Color::Always,
            Some("never") => Color::Never,
            _ => Color::Auto,
        };
        Self {
            json: global.json.or(file.json).unwrap_or(false),
            quiet: global.quiet.or(file.quiet).unwrap_or(false),
            yes: global.yes.or(file.yes).unwrap_or(false),
            color: global.color.unwrap_or(color),
        }
    }

    /// Prints a report and returns the exit code.
    pub fn print(self, command: &str, report: &Report) -> u8 {
        self.apply_color();
        let code = report.outcome.exit_code();
        if self.json {
            let mut document = Map::new();
            document.insert("command".into(), command.into());
            document.insert("outcome".into(), report.outcome.word().into());
            document.insert("exit_code".into(), code.into());
            document.extend(report.json.clone());
            let document = format!("{:#}\n", Value::Object(document));
            return printed(code, terminal::print_verbatim(&document));
        }
        let code = if self.quiet { code } else { report.printed(code) };
        let _ = terminal::say(&report.problems);
        code
    }

    /// Lets colour choices count for everything printed from here on.
    pub fn apply_color(self) {
        match self.color {
            Color::Auto => {}
            Color::Always => ColorChoice::Always.write_global(),
            Color::Never => ColorChoice::Never.write_global(),
        }
    }

    /// Asks on the terminal; with `--yes` nobody is asked.
    pub fn confirm(self, question: &str) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(true);
        }
        if self.json || !std::io::stdin().is_terminal() {
            return Err(NeedsConsent { question: question.into() }.into());
        }
        terminal::say(&format!("{question} [y/N] "))?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}

/// The exit code after printing: it says if that failed and nothing else did. A reader that went away
/// is no reason to complain.
fn printed(code: u8, written: std::io::Result<()>) -> u8 {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let message = format!(
                "the output could not be written: {error}; the command itself ended with code {code}"
            );
            let hint = Some("`piton status` shows what there is");
            let _ = terminal::say(&text::problem(&message, hint));
            if matches!(code, 0 | 3) { Kind::Internal.exit_code() } else { code }
        }
        _ => code,
    }
}
