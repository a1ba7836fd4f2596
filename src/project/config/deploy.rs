//! The table `[deploy]`: from the keys of the file to what a deploy works with.

use super::{Config, Reader};
use crate::{
    Result,
    deploy::{Hooks, Rehearsal, Releases, Restart, Settings, health, service},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How many releases are kept where nobody says.
const KEEP: usize = 5;
/// How long a hook may run where nobody says.
const HOOK_LIMIT: Duration = Duration::from_secs(600);

/// What a deploy works with, checked.
#[derive(Clone, Debug)]
pub struct DeployConfig {
    /// Where releases lie, where they are kept.
    pub releases: Option<Releases>,
    /// The hooks.
    pub hooks: Hooks,
    /// Whether the plan is rehearsed first.
    pub rehearsal: Rehearsal,
    /// Whether the service is restarted where nothing is pending.
    pub restart: Restart,
    /// What keeps the service running.
    pub service: service::Settings,
    /// How the service proves that it is well.
    pub health: health::Settings,
}

impl Reader<'_> {
    pub(super) fn deploy(&self, keys: &Settings) -> Result<DeployConfig> {
        let parent = self.path.parent().unwrap_or(Path::new(""));
        let root = if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.into() };
        let releases = keys.releases.as_ref().map(|folder| Releases {
            folder: parent.join(folder),
            current: parent.join(keys.current.as_deref().unwrap_or(Path::new("current"))),
            keep: keys.keep_releases.unwrap_or(KEEP),
        });
        let folder = parent.join(keys.hooks.as_deref().unwrap_or(Path::new("hooks")));
        let limit = match &keys.hook_timeout {
            Some(_) => self.time("hook-timeout", None, keys.hook_timeout.as_ref(), 0)?,
            None => HOOK_LIMIT,
        };
        Ok(DeployConfig {
            releases,
            hooks: Hooks { folder, working: root, limit },
            rehearsal: match keys.rehearse {
                Some(false) => Rehearsal::Skip,
                _ => Rehearsal::Do,
            },
            restart: keys.restart.unwrap_or_default(),
            service: keys.service.clone(),
            health: keys.health.clone(),
        })
    }

    /// Whether a path lies under the link to the current release, which the first deploy makes.
    pub(super) fn comes_with_a_release(&self, path: &Path) -> bool {
        let current = self.deploy.as_ref().filter(|keys| keys.releases.is_some());
        let current = current.map(|keys| keys.current.as_deref().unwrap_or(Path::new("current")));
        current.is_some_and(|current| path.starts_with(current))
    }
}

impl Config {
    /// The same project as a release has it: what lies under the link to the current release is taken
    /// from this one, before the link is switched.
    ///
    /// # Errors
    /// [`crate::error::DeployError::NoReleases`], [`crate::error::DeployError::NoRelease`].
    pub fn for_release(mut self, release: &str) -> Result<Self> {
        let releases = self.deploy.releases.clone();
        let releases = releases.ok_or(crate::error::DeployError::NoReleases)?;
        let folder = releases.find(release)?;
        let moved = |path: &mut PathBuf| {
            if let Ok(rest) = path.strip_prefix(&releases.current) {
                *path = folder.join(rest);
            }
        };
        moved(&mut self.migrations);
        moved(&mut self.scripts);
        moved(&mut self.deploy.hooks.folder);
        self.targets.values_mut().filter_map(|target| target.1.as_mut()).for_each(moved);
        Ok(self)
    }
}
