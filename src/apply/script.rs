//! Runs a script, an executable file or one with an interpreter, through [`process`].
//!
//! A script may do anything, so nothing here can take it back: that is what the backup is for.

use crate::{
    Result, clock,
    error::ApplyError,
    event::Observer,
    process::{self, Enclosure, Remains},
};
use std::{ffi::OsString, path::Path, time::Duration};

/// What is run.
pub struct Job<'a> {
    /// The executable file.
    pub path: &'a Path,
    /// What runs it, where its mode does not let it be executed.
    pub interpreter: Option<&'a [String]>,
    /// Arguments.
    pub arguments: &'a [OsString],
    /// Environment variables beyond those of the caller.
    pub environment: &'a [(String, OsString)],
    /// The folder in which it runs.
    pub folder: &'a Path,
    /// After this time it is stopped.
    pub limit: Duration,
    /// Keeps it away from the live data, in a rehearsal.
    pub enclosure: Option<&'a Enclosure>,
}

/// Runs a script to its end and returns the end of what it wrote.
///
/// # Errors
/// [`ApplyError::ScriptStart`] where it cannot be started, [`ApplyError::Script`] where it ends
/// badly or runs too long; the whole process group is gone then.
pub fn run(job: &Job<'_>, observer: &dyn Observer) -> Result<String> {
    let start_failed = |error: std::io::Error| ApplyError::ScriptStart {
        path: job.path.into(),
        reason: error.to_string(),
    };
    // A relative path without a slash would be looked up in PATH.
    let path = std::path::absolute(job.path).map_err(start_failed)?.into_os_string();
    let mut words: Vec<OsString> =
        job.interpreter.iter().flat_map(|it| it.iter()).map(Into::into).collect();
    words.push(path);
    words.extend(job.arguments.iter().cloned());
    let program = process::Job {
        program: &words[0],
        arguments: &words[1..],
        environment: job.environment,
        folder: job.folder,
        limit: job.limit,
        remains: Remains::Killed,
    };
    let ended = process::run_in(
        &program,
        job.enclosure,
        &clock::System::new(&|| observer.is_interrupted()),
        observer,
    )
    .map_err(start_failed)?;
    if ended.how.is_success() {
        return Ok(ended.output);
    }
    let how = ended.how.to_string();
    Err(ApplyError::Script { path: job.path.into(), how, output: ended.output }.into())
}
