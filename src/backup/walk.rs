//! Walking a data directory by names first: what is excluded is not even looked at, since that can wait
//! for ever (a dead mount) or fail (no right).

use super::scan::{Found, Kind, Scope};
use crate::{
    Result, disk,
    records::is_private,
    store::{self, StoredPath},
};
use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    vec,
};

/// Folders of file systems and their snapshots. They are no data of a service, and often only root
/// may read them.
const OF_SYSTEM: [&str; 4] = [".snapshots", ".snapshot", ".zfs", "lost+found"];

/// What the walk comes to.
pub(super) enum Step {
    /// Something that may be part of a snapshot.
    Entry(PathBuf, Option<StoredPath>, Found),
    /// Something that is left out, in this folder.
    LeftOut(Option<StoredPath>),
    /// The same, with a sentence that says what it is.
    Named(Option<StoredPath>, String),
    /// Something that is gone by now.
    Vanished(PathBuf),
}

/// A walk: every folder before what is in it, names in order.
pub(super) struct Walk<'a> {
    scope: Scope<'a>,
    left_out: BTreeSet<(u64, u64)>,
    waiting: Vec<(PathBuf, vec::IntoIter<OsString>)>,
}

impl<'a> Walk<'a> {
    /// Begins at the data directory.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn new(scope: Scope<'a>) -> Result<Self> {
        let left_out = scope.left_out.iter().filter_map(|path| fs::metadata(path).ok());
        let left_out = left_out.map(|found| Found::from(&found).identity()).collect();
        let names = names_of(scope.data)?.unwrap_or_default();
        let waiting = vec![(scope.data.to_path_buf(), names.into_iter())];
        Ok(Self { scope, left_out, waiting })
    }

    /// The next step; nothing at the end.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn next(&mut self) -> Result<Option<Step>> {
        while let Some((folder, names)) = self.waiting.last_mut() {
            let Some(name) = names.next() else {
                self.waiting.pop();
                continue;
            };
            let path = folder.join(&name);
            if self.waiting.len() == 1 && is_private(&name) {
                continue;
            }
            return self.step(path, &name).map(Some);
        }
        Ok(None)
    }

    fn step(&mut self, path: PathBuf, name: &OsStr) -> Result<Step> {
        let stored = path.strip_prefix(self.scope.data).ok();
        let stored = stored.and_then(|path| StoredPath::try_from(path).ok());
        let parent = || stored.as_ref().and_then(StoredPath::parent);
        if stored.as_ref().is_some_and(|path| self.scope.excluded.excludes(path)) {
            return Ok(Step::LeftOut(parent()));
        }
        let Some(metadata) = disk::find(&path)? else { return Ok(Step::Vanished(path)) };
        let found = Found::from(&metadata);
        if self.left_out.contains(&found.identity()) {
            return Ok(Step::LeftOut(parent()));
        }
        if found.kind() != Kind::Folder {
            return Ok(Step::Entry(path, stored, found));
        }
        let shown = stored.as_ref().map_or_else(|| path.display().to_string(), ToString::to_string);
        if name == "lost+found" && metadata.uid() == 0 {
            let text = format!("`{shown}` belongs to the file system and is left out");
            return Ok(Step::Named(parent(), text));
        }
        let names = match names_of(&path) {
            Err(error)
                if error.source.kind() == ErrorKind::PermissionDenied && is_of_system(name) =>
            {
                let text = format!("`{shown}` cannot be read by this user and is left out");
                return Ok(Step::Named(parent(), text));
            }
            Ok(None) => return Ok(Step::Vanished(path)),
            Ok(Some(names)) => names,
            Err(error) => return Err(error.into()),
        };
        if store::is_backups_folder(&names) {
            let text = format!("`{shown}` holds backups of piton and is left out");
            return Ok(Step::Named(parent(), text));
        }
        self.waiting.push((path.clone(), names.into_iter()));
        Ok(Step::Entry(path, stored, found))
    }
}

fn is_of_system(name: &OsStr) -> bool {
    OF_SYSTEM.iter().any(|it| name == *it)
}

/// The names in a folder, sorted; nothing where it is gone by now.
fn names_of(folder: &Path) -> disk::Result<Option<Vec<OsString>>> {
    let mut names = disk::entries(folder)?;
    names.iter_mut().for_each(|names| names.sort_unstable());
    Ok(names)
}
