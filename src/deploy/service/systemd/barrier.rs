//! The line that makes a unit heed the fence, in a runtime drop-in or in the unit file itself.
//!
//! A mask would not do: `mask --runtime` loses to a unit file in `/etc/systemd/system`, since that
//! folder comes first (systemd.unit(5), "Unit File Load Path"). A drop-in is read with every unit
//! file, wherever it lies.

use super::show::Record;
use crate::{Result, disk, error::ServiceError, store::Digest};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where drop-ins go and what is in them.
pub(super) struct Barrier {
    /// The folder of runtime unit files.
    pub(super) folder: PathBuf,
    /// The whole line.
    pub(super) line: String,
    name: String,
}

impl Barrier {
    /// The barrier of a fence file.
    ///
    /// # Errors
    /// [`ServiceError::Path`] where a unit file cannot say the path.
    pub(super) fn new(folder: PathBuf, fence: &Path) -> Result<Self> {
        let wrong = |reason| ServiceError::Path { path: fence.into(), reason };
        let path = fence.to_str().ok_or_else(|| wrong("it is not UTF-8"))?;
        if path.chars().any(char::is_control) {
            return Err(wrong("it has a control character").into());
        }
        // Every start asks for it anew; `%` begins a specifier.
        let line = format!("AssertPathExists=!{}", path.replace('%', "%%"));
        // Last among its kind, so that no other file takes the line back; named by its line, so
        // that two projects do not meet in one file.
        let digest = Digest::of(line.as_bytes()).to_string();
        let name = format!("zzz-piton-{}.conf", &digest[..8]);
        Ok(Self { folder, line, name })
    }

    /// Whether the unit as it is loaded heeds the fence.
    pub(super) fn stands(&self, unit: &Record) -> bool {
        // Where the files changed since, what is loaded may be something else.
        !unit.needs_reload() && unit.files().any(|file| self.is_in(Path::new(file)))
    }

    fn is_in(&self, file: &Path) -> bool {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| line.trim() == self.line)
    }

    /// Writes the drop-in of a unit.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn write(&self, unit: &str) -> Result<()> {
        let text = format!(
            "# piton is deploying; this file goes with the end of it.\n[Unit]\n{}\n",
            self.line
        );
        disk::create_folders("barrier-folder", &self.folder_of(unit))?;
        let file = self.folder_of(unit).join(&self.name);
        Ok(disk::write_atomic("barrier", &file, 0o644, text.as_bytes())?)
    }

    /// Removes the drop-ins of all units: which ones there are may have changed meanwhile.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn remove(&self) -> Result<Removed> {
        let mut removed = Removed::Nothing;
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let folder = entry.path();
            let file = folder.join(&self.name);
            if !file.exists() {
                continue;
            }
            disk::remove_file("barrier-remove", &file)?;
            removed = Removed::Some;
            if fs::read_dir(&folder).is_ok_and(|mut left| left.next().is_none()) {
                disk::remove_empty_folder("barrier-remove-folder", &folder)?;
            }
        }
        Ok(removed)
    }

    /// Whether drop-ins can be written. Nothing is changed to find out.
    pub(super) fn is_writable(&self) -> bool {
        let there = self.folder.ancestors().find(|folder| folder.exists());
        there.is_some_and(|folder| rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok())
    }

    fn folder_of(&self, unit: &str) -> PathBuf {
        self.folder.join(format!("{unit}.d"))
    }
}

/// What a removal took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// Drop-ins, which systemd still has loaded.
    Some,
    /// Nothing.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_the_path_as_unit_files_do() {
        let line = |path: &str| Barrier::new("/run".into(), Path::new(path)).map(|it| it.line);
        assert_eq!(line("/srv/a b/fence").unwrap(), "AssertPathExists=!/srv/a b/fence");
        assert_eq!(line("/srv/50%/fence").unwrap(), "AssertPathExists=!/srv/50%%/fence");
        assert!(line("/srv/a\nb/fence").is_err());
    }

    #[test]
    fn drop_ins_come_and_go_with_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = |fence: &str| Barrier::new(folder.path().into(), Path::new(fence)).unwrap();
        let (one, other) = (barrier("/one"), barrier("/other"));
        assert!(one.is_writable());
        assert_eq!(one.remove().unwrap(), Removed::Nothing);
        one.write("a.service").unwrap();
        other.write("a.service").unwrap();
        one.write("b.service").unwrap();
        assert_eq!(one.remove().unwrap(), Removed::Some);
        assert!(folder.path().join("a.service.d").exists());
        assert!(!folder.path().join("b.service.d").exists());
        assert_eq!(other.remove().unwrap(), Removed::Some);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_unit_stands_behind_it_where_one_of_its_files_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::new(folder.path().into(), Path::new("/fence")).unwrap();
        barrier.write("a.service").unwrap();
        let file = folder.path().join("a.service.d").join(&barrier.name);
        let unit = |reload: &str| {
            let text = format!("DropInPaths={}\nNeedDaemonReload={reload}\n", file.display());
            super::super::show::parse(&text).remove(0)
        };
        assert!(barrier.stands(&unit("no")));
        assert!(!barrier.stands(&unit("yes")));
        let other = Barrier::new(folder.path().into(), Path::new("/fence/other")).unwrap();
        assert!(!other.stands(&unit("no")));
    }
}
