//! Time, randomness and names of machine and process, as arguments.

use crate::lock::Holder;
use chrono::{DateTime, Utc};
use std::{path::PathBuf, time::SystemTime};

/// Gives the value of a variable of the environment.
pub type Variables = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What the library does not find out by itself.
pub struct World {
    /// The time now.
    pub clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// Three random bytes for a backup's id.
    pub random: Box<dyn Fn() -> [u8; 3] + Send + Sync>,
    /// Who works: process, machine, command.
    pub holder: Holder,
    /// The variables of the environment; only credentials are looked for there.
    pub variables: Variables,
    /// The folder for what may be lost at any time.
    pub temporary: PathBuf,
    /// The project's git revision, where known; backups keep it.
    pub git_revision: Option<String>,
    /// The deploy that started this process, where one did: it may do what others may not meanwhile.
    pub deploy: Option<String>,
}

/// The system's time, also where its clock is before 1970.
fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// Random bytes that nobody can guess; nothing where the system has none.
pub(super) fn secret<const COUNT: usize>() -> Option<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

impl World {
    /// The real one: the system's clock, its random numbers and host name. It has no variables:
    /// whoever wants credentials to be found in the environment sets them.
    #[must_use]
    pub fn system(command: &str) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            clock: Box::new(now),
            random: Box::new(|| {
                let mut bytes = [0; 3];
                // Without random numbers the time alone keeps ids apart.
                let _ = getrandom::fill(&mut bytes);
                bytes
            }),
            holder: Holder { pid: std::process::id(), host, command: command.into() },
            variables: Box::new(|_| None),
            temporary: std::env::temp_dir(),
            git_revision: None,
            deploy: None,
        }
    }
}
