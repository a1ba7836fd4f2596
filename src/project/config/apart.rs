//! The data directory is apart from the project's source: nothing of it may be restored with the data.

use super::Config;
use crate::{Result, disk, error::ProjectError};
use std::path::Path;

impl Config {
    /// A restore replaces the whole data directory: source, migrations or configuration in it would go
    /// back in time with the data.
    pub(super) fn require_apart(&self) -> Result<()> {
        // One that is not there yet holds nothing.
        let Ok(data) = self.data.canonicalize() else { return Ok(()) };
        let lies_in = |path: &Path| path.canonicalize().is_ok_and(|path| path.starts_with(&data));
        let targets = self.targets.values().filter_map(|(_, folder)| folder.as_deref());
        let mut what = Vec::new();
        if disk::exists(&data.join(".git"))? {
            what.push("a repository (`.git`)");
        }
        if std::iter::once(self.migrations.as_path()).chain(targets).any(lies_in) {
            what.push("the migrations");
        }
        if self.path.as_deref().is_some_and(lies_in) {
            what.push("the configuration");
        }
        if what.is_empty() {
            return Ok(());
        }
        let (data, what) = (self.data.clone(), what.join(" and "));
        Err(ProjectError::HoldsSource { data, what }.into())
    }
}
