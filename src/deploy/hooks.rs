//! Hooks: executables `before-PHASE`, `after-PHASE` and `rollback` in the project's hooks folder.
//!
//! One that fails on the way forward fails its phase; on the way back it is said and nothing more, since
//! the service must come back all the same.

use crate::{
    Result,
    apply::script::{self, Job},
    error::DeployError,
    event::Observer,
};
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where hooks lie and how they run.
#[derive(Clone, Debug)]
pub struct Hooks {
    /// Their folder; it need not exist.
    pub folder: PathBuf,
    /// The folder in which they run.
    pub working: PathBuf,
    /// The time limit of each.
    pub limit: Duration,
}

impl Hooks {
    /// The hook of this name; one that is there and cannot be executed is an error, not left out.
    ///
    /// # Errors
    /// [`DeployError::HookMode`].
    pub fn find(&self, name: &str) -> Result<Option<PathBuf>> {
        let path = self.folder.join(name);
        let Ok(found) = fs::metadata(&path) else { return Ok(None) };
        if !found.is_file() || found.permissions().mode() & 0o111 == 0 {
            return Err(DeployError::HookMode { path }.into());
        }
        Ok(Some(path))
    }

    /// Runs the hook of this name, where there is one; says whether there was.
    ///
    /// # Errors
    /// Those of a script.
    pub fn run(
        &self,
        name: &str,
        environment: &[(String, OsString)],
        observer: &dyn Observer,
    ) -> Result<bool> {
        let Some(path) = self.find(name)? else { return Ok(false) };
        let job = Job {
            path: &path,
            interpreter: None,
            arguments: &[],
            environment,
            folder: &self.working,
            limit: self.limit,
            enclosure: None,
        };
        script::run(&job, observer)?;
        Ok(true)
    }

    /// Hooks that no phase will run, because their name is none of a phase.
    #[must_use]
    pub fn strays(&self, is_known: impl Fn(&str) -> bool) -> Vec<String> {
        let listing = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = listing
            .filter(|entry| is_executable(&entry.path()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !is_known(name))
            .collect();
        names.sort();
        names
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
