//! While a restore moves what is in a data directory, a path below that directory means what is there
//! and nothing that a link on the way leads to: a folder may have become a link since the backup, or
//! the other way round. Nobody exchanges them meanwhile but the restore itself; for those who would,
//! there is `confined`.

use super::{Result, confined::resolve, failed};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};
use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

/// A directory below which no link is followed, and for how many.
type Root = (Arc<OwnedFd>, usize);

static ROOTS: LazyLock<RwLock<HashMap<PathBuf, Root>>> = LazyLock::new(RwLock::default);

/// As long as it lives, no link on the way is followed below a directory.
#[derive(Debug)]
#[must_use]
pub struct Inside(PathBuf);

/// Follows no link on the way to anything below a directory from now on. A directory that is not there
/// has no links.
///
/// # Errors
/// The system's, with the path.
pub fn stay_inside(data: &Path) -> Result<Inside> {
    let mut roots = ROOTS.write().unwrap_or_else(PoisonError::into_inner);
    match open(data, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(opened) => {
            let uses = roots.get(data).map_or(0, |(_, uses)| *uses);
            roots.insert(data.into(), (Arc::new(opened), uses + 1));
        }
        Err(Errno::NOENT | Errno::NOTDIR) => {}
        Err(error) => return Err(failed("open", data)(error.into())),
    }
    Ok(Inside(data.into()))
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut roots = ROOTS.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, uses)) = roots.get_mut(&self.0) {
            *uses = uses.saturating_sub(1);
            if *uses == 0 {
                roots.remove(&self.0);
            }
        }
    }
}

/// Refuses a path that leads through a link, where none is to be followed.
///
/// # Errors
/// `ELOOP`.
pub(super) fn require_no_link(path: &Path) -> io::Result<()> {
    let roots = ROOTS.read().unwrap_or_else(PoisonError::into_inner);
    let found = roots.iter().find_map(|(root, (opened, _))| {
        let folder = path.strip_prefix(root).ok()?.parent()?;
        (!folder.as_os_str().is_empty()).then(|| (opened.clone(), folder))
    });
    let Some((root, folder)) = found else { return Ok(()) };
    match resolve(root.as_fd(), folder, OFlags::PATH | OFlags::DIRECTORY) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => Err(error),
        // What else is wrong with it, the step itself says.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::stay_inside;
    use crate::disk;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn links_on_the_way_count_as_nothing_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("a")).unwrap();
        fs::write(data.join("a/file"), "kept").unwrap();
        symlink("a", data.join("link")).unwrap();
        let below = data.join("link/file");
        assert!(disk::find(&below).unwrap().is_some());
        let outer = stay_inside(&data).unwrap();
        drop(stay_inside(&data).unwrap());
        assert!(disk::find(&below).unwrap().is_none());
        assert!(disk::find(&data.join("link")).unwrap().is_some());
        assert!(disk::find(&data.join("a/file")).unwrap().is_some());
        assert!(disk::rename("test", &below, &data.join("b")).is_err());
        assert!(disk::remove_file("test", &below).is_err());
        drop(outer);
        assert!(disk::find(&below).unwrap().is_some());
        drop(stay_inside(&folder.path().join("missing")).unwrap());
    }
}
