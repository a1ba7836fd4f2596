//! Release folders: `releases/<id>` and a link to the current one, switched in one rename.
//!
//! A folder that is the current or the previous release is never removed.

use crate::{Result, disk, error::DeployError};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where releases lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Releases {
    /// The folder of all releases.
    pub folder: PathBuf,
    /// The link to the current one.
    pub current: PathBuf,
    /// How many are kept, the current and the previous one among them.
    pub keep: usize,
}

impl Releases {
    /// The folder of a release.
    ///
    /// # Errors
    /// [`DeployError::NoRelease`] where there is none of this name.
    pub fn find(&self, id: &str) -> Result<PathBuf> {
        let plain = !id.is_empty() && !id.starts_with('.') && !id.contains('/');
        let folder = self.folder.join(id);
        if plain && folder.is_dir() {
            return Ok(folder);
        }
        let known = self.names().unwrap_or_default();
        Err(DeployError::NoRelease { id: id.into(), folder: self.folder.clone(), known }.into())
    }

    /// The id of the release that the link points to; none where there is no link.
    ///
    /// # Errors
    /// [`DeployError::Current`] where something else than a link to a release has its name.
    pub fn current(&self) -> Result<Option<String>> {
        let wrong = |reason: &str| DeployError::Current {
            path: self.current.clone(),
            reason: reason.into(),
        };
        match fs::symlink_metadata(&self.current) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk::failed("look at", &self.current)(error).into()),
            Ok(found) if !found.is_symlink() => {
                return Err(wrong("it is no symbolic link").into());
            }
            Ok(_) => {}
        }
        let target = fs::read_link(&self.current).map_err(disk::failed("read", &self.current))?;
        let name = target.file_name().and_then(|name| name.to_str());
        let parent = self.current.parent().unwrap_or(Path::new(""));
        let lies_there = match (
            parent.join(&target).parent().map(fs::canonicalize),
            fs::canonicalize(&self.folder),
        ) {
            (Some(Ok(one)), Ok(other)) => one == other,
            _ => false,
        };
        match name {
            Some(name) if lies_there => Ok(Some(name.into())),
            _ => Err(wrong("it does not point to a release").into()),
        }
    }

    /// Points the link at a release, atomically and durably; the same again does nothing.
    ///
    /// # Errors
    /// A release that is not there; the system's, with the path.
    pub fn switch(&self, id: &str) -> Result<()> {
        let release = self.find(id)?;
        if self.current()?.as_deref() == Some(id) {
            return Ok(());
        }
        let beside = self.current.parent().unwrap_or(Path::new(""));
        // A relative link stays right when the whole tree is moved or mounted elsewhere.
        let target = match release.strip_prefix(beside) {
            Ok(relative) if release.is_relative() || beside.is_absolute() => relative.into(),
            _ => std::path::absolute(&release).map_err(disk::failed("find", &release))?,
        };
        let name = self.current.file_name().unwrap_or_default().to_string_lossy();
        let partial = beside.join(format!(".{name}.new"));
        if partial.symlink_metadata().is_ok() {
            disk::remove_file("release-sweep", &partial)?;
        }
        disk::symlink("release-link", &target, &partial)?;
        disk::rename("release-switch", &partial, &self.current)?;
        Ok(disk::sync_parent("release-switch", &self.current)?)
    }

    /// Takes the link away: there was none before.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn unlink(&self) -> Result<()> {
        if self.current()?.is_some() {
            disk::remove_file("release-unlink", &self.current)?;
            disk::sync_parent("release-unlink", &self.current)?;
        }
        Ok(())
    }

    /// Removes the oldest releases beyond those that are kept; returns the names of the removed.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn prune(&self, previous: Option<&str>) -> Result<Vec<String>> {
        let current = self.current()?;
        let mut aged = Vec::new();
        for name in self.names()? {
            if Some(name.as_str()) == current.as_deref() || Some(name.as_str()) == previous {
                continue;
            }
            let path = self.folder.join(&name);
            let found = fs::metadata(&path).map_err(disk::failed("look at", &path))?;
            aged.push((found.modified().map_err(disk::failed("look at", &path))?, name));
        }
        aged.sort();
        let kept = self
            .keep
            .saturating_sub(usize::from(current.is_some()))
            .saturating_sub(usize::from(previous.is_some() && previous != current.as_deref()));
        let surplus = aged.len().saturating_sub(kept);
        let mut removed = Vec::new();
        for (_, name) in aged.into_iter().take(surplus) {
            disk::remove_tree("release-prune", &self.folder.join(&name))?;
            removed.push(name);
        }
        Ok(removed)
    }

    /// The names of all releases, sorted.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn names(&self) -> Result<Vec<String>> {
        let listing = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(disk::failed("list the folder", &self.folder))?,
        };
        let mut names: Vec<String> = listing
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::Releases;
    use std::{fs, path::Path};

    fn releases(root: &Path, names: &[&str]) -> Releases {
        for name in names {
            #[expect(clippy::disallowed_methods, reason = "a test prepares its folder")]
            fs::create_dir_all(root.join("releases").join(name)).unwrap();
        }
        Releases { folder: root.join("releases"), current: root.join("current"), keep: 2 }
    }

    #[test]
    fn the_link_is_switched_and_switched_back() {
        let root = tempfile::tempdir().unwrap();
        let releases = releases(root.path(), &["a", "b"]);
        assert_eq!(releases.current().unwrap(), None);
        for name in ["a", "b", "b", "a"] {
            releases.switch(name).unwrap();
            assert_eq!(releases.current().unwrap().as_deref(), Some(name));
            assert_eq!(fs::read_link(&releases.current).unwrap(), Path::new("releases").join(name));
        }
        assert!(releases.switch("c").is_err());
        assert!(releases.switch("../a").is_err());
        assert_eq!(releases.current().unwrap().as_deref(), Some("a"));
        releases.unlink().unwrap();
        assert_eq!(releases.current().unwrap(), None);
    }

    #[test]
    fn the_current_and_the_previous_release_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let releases = releases(root.path(), &["a", "b", "c", "d"]);
        releases.switch("a").unwrap();
        releases.prune(Some("b")).unwrap();
        assert_eq!(releases.names().unwrap(), ["a", "b"]);
    }

    #[test]
    fn something_else_under_the_name_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let releases = releases(root.path(), &["a"]);
        #[expect(clippy::disallowed_methods, reason = "a test prepares its folder")]
        fs::write(&releases.current, "mine").unwrap();
        assert!(releases.switch("a").is_err());
        assert_eq!(fs::read(&releases.current).unwrap(), b"mine");
    }
}
