//! The table `[drill]` of `piton.toml`.

use crate::{deploy::service::Program, history::duration};
use serde::Deserialize;
use std::{ops::Range, path::PathBuf, time::Duration};
use toml::Spanned;

/// The time that the project's own check has where nobody says.
const LIMIT: Duration = Duration::from_secs(600);

/// The keys as they stand in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DrillKeys {
    /// A program that must succeed; `{data}` is the restored data directory.
    pub command: Option<Program>,
    /// The time that it has.
    pub timeout: Option<Spanned<String>>,
    /// A query that gives the time of the newest row.
    pub newest: Option<Spanned<String>>,
    /// How old the newest row may be when the backup is taken, such as `2d`.
    pub max_age: Option<Spanned<String>>,
    /// The database that it asks.
    pub database: Option<PathBuf>,
    /// Tables whose numbers say nothing.
    pub ignore: Option<Spanned<Vec<String>>>,
    /// Where the backup is unpacked.
    pub folder: Option<PathBuf>,
}

/// What a drill does, checked.
#[derive(Clone, Debug)]
pub struct DrillConfig {
    /// A program that must succeed.
    pub command: Option<Program>,
    /// The time that it has.
    pub limit: Duration,
    /// The query for the newest row, and how old that may be.
    pub newest: Option<(String, Duration)>,
    /// The database that it asks; the default one where none is named.
    pub database: Option<PathBuf>,
    /// Tables whose numbers say nothing.
    pub ignored: Vec<glob::Pattern>,
    /// Where the backup is unpacked; beside the backups where nobody says.
    pub folder: Option<PathBuf>,
    /// Whether the table is in the file at all.
    pub is_configured: bool,
}

/// What is wrong with a value, and where it stands.
type Wrong = (Range<usize>, String);

impl DrillKeys {
    /// Checks the keys.
    ///
    /// # Errors
    /// The place and what is wrong there.
    pub fn checked(&self) -> Result<DrillConfig, Wrong> {
        let limit = match &self.timeout {
            Some(text) => duration(text.get_ref())
                .map_err(|reason| (text.span(), format!("`drill.timeout`: {reason}")))?,
            None => LIMIT,
        };
        let newest = match (&self.newest, &self.max_age) {
            (None, None) => None,
            (Some(sql), Some(age)) => {
                let limit = super::super::retention::span(age.get_ref())
                    .map_err(|reason| (age.span(), format!("`drill.max-age`: {reason}")))?;
                Some((sql.get_ref().clone(), limit))
            }
            (Some(sql), None) => {
                let reason = "`drill.newest` needs `max-age`, such as `max-age = \"2d\"`";
                return Err((sql.span(), reason.into()));
            }
            (None, Some(age)) => {
                let reason =
                    "`drill.max-age` needs `newest`, a query for the time of the newest row";
                return Err((age.span(), reason.into()));
            }
        };
        let mut ignored = Vec::new();
        for (texts, text) in
            self.ignore.iter().flat_map(|texts| texts.get_ref().iter().map(move |it| (texts, it)))
        {
            let pattern = glob::Pattern::new(text)
                .map_err(|error| (texts.span(), format!("`drill.ignore`: `{text}`: {error}")))?;
            ignored.push(pattern);
        }
        let is_configured = self.command.is_some() || newest.is_some() || !ignored.is_empty();
        Ok(DrillConfig {
            command: self.command.clone(),
            limit,
            newest,
            database: self.database.clone(),
            ignored,
            folder: self.folder.clone(),
            is_configured,
        })
    }
}
