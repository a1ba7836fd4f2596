//! A probe that asks the data: a service that answers on an empty database is not healthy.
//!
//! It goes through SQLite alone. An ordinary open and close of the file would drop this process's
//! locks on it.

use super::{
    Ground, Probe,
    settings::{some_time, timeout},
};
use crate::{
    database::{self, Access},
    plan::is_true,
};
use rusqlite::{Connection, ErrorCode, types::ValueRef};
use serde::{Deserialize, Deserializer, de::Error};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Characters of a value that a message shows.
const SHOWN: usize = 80;

/// Steps of SQLite's machine from one look at the time to the next: about a millisecond.
const STEPS: std::ffi::c_int = 10_000;

/// A query that must yield a true value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Query {
    /// The database, relative to the data directory.
    #[serde(deserialize_with = "inside")]
    pub database: PathBuf,
    /// The query; the first value of its first row counts.
    pub sql: String,
    /// The time that it has.
    #[serde(default = "timeout", deserialize_with = "some_time")]
    pub timeout: Duration,
    /// Whether it comes with this release: the service that runs before is not asked.
    #[serde(default)]
    pub new: bool,
}

impl Probe for Query {
    fn name(&self) -> String {
        format!("query of `{}`", self.database.display())
    }

    fn is_new(&self) -> bool {
        self.new
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn look(&self, ground: &Ground<'_>, limit: Duration) -> Result<(), String> {
        self.ask_in(ground.data, limit)
    }
}

impl Query {
    /// Asks the database of this data directory.
    ///
    /// # Errors
    /// What was wrong, in words.
    pub fn ask_in(&self, data: &Path, limit: Duration) -> Result<(), String> {
        let path = data.join(&self.database);
        // Opened for writing and kept from it: a connection that may only read leaves the side
        // files of a write-ahead database behind, if it is the last one to close.
        let mut connection =
            database::open(&path, Access::Write, limit).map_err(|error| error.to_string())?;
        let end = Instant::now() + limit;
        let limited = connection.progress_handler(STEPS, Some(move || Instant::now() > end));
        let answer = limited
            .and_then(|()| connection.pragma_update(None, "query_only", true))
            .map_err(|error| error.to_string())
            .and_then(|()| ask(&connection, &self.sql));
        answer.map_err(|reason| format!("{reason}: {}", self.sql))
    }
}

fn ask(connection: &Connection, sql: &str) -> Result<(), String> {
    let text = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => "it took too long".to_string(),
        _ => error.to_string(),
    };
    let mut statement = connection.prepare(sql).map_err(text)?;
    if !statement.readonly() {
        return Err("it must be a query that changes nothing".into());
    }
    let mut rows = statement.raw_query();
    let Some(row) = rows.next().map_err(text)? else { return Err("no row".into()) };
    let value = row.get_ref(0).map_err(text)?;
    if is_true(value) { Ok(()) } else { Err(format!("{} is not true", shown(value))) }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let cut: String = text.chars().take(SHOWN).collect();
            let more = if cut.len() < text.len() { "…" } else { "" };
            format!("'{cut}{more}'")
        }
    }
}

fn inside<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    match database::lies_inside(&path) {
        true => Ok(path),
        false => Err(D::Error::custom(format!(
            "`{}`: databases are named relative to the data directory and lie inside it",
            path.display()
        ))),
    }
}
