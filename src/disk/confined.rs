//! Paths below a data directory that another user can change while root's piton works there.
//!
//! Such a user can put a link in the place of any folder, between any two steps. So each path is
//! resolved once, from a descriptor of the data directory, without following any link (openat2(2)),
//! and the step is done in the folder that was found, by its descriptor. Where all folders on the
//! way are root's alone nobody can do that, and links there are the administrator's own: paths
//! mean what they always mean.

use super::{Result, failed, inside::require_no_link};
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, fstat, open, openat, openat2},
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{self, Metadata},
    io,
    ops::Deref,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Component, Path, PathBuf},
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

/// The data directories in which root works, each with a descriptor.
static ROOTS: LazyLock<RwLock<HashMap<PathBuf, Arc<OwnedFd>>>> = LazyLock::new(RwLock::default);

/// How often a path is resolved again because the system says that names changed meanwhile.
const ATTEMPTS: u32 = 200;

/// From now on nothing that this process does below this directory leaves it. Nothing changes for
/// a user other than root, who reaches no more through a link than its author.
///
/// # Errors
/// The system's, with the path; a directory that does not exist is none.
pub fn confine(data: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut roots = ROOTS.write().unwrap_or_else(PoisonError::into_inner);
    match open(data, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(opened) => drop(roots.insert(data.into(), Arc::new(opened))),
        Err(Errno::NOENT | Errno::NOTDIR) => drop(roots.remove(data)),
        Err(error) => return Err(failed("open", data)(error.into())),
    }
    Ok(())
}

/// A path that leads where it should, for one step.
pub struct Reached {
    path: PathBuf,
    /// What the path goes through.
    descriptor: Option<OwnedFd>,
}

impl Deref for Reached {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for Reached {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Reached {
    /// Whether links must not be followed at its end either.
    pub(super) fn is_confined(&self) -> bool {
        self.descriptor.is_some()
    }

    /// Flags for opening it.
    pub(super) fn flags(&self) -> OFlags {
        if self.is_confined() { OFlags::NOFOLLOW } else { OFlags::empty() }
    }

    fn plain(path: &Path) -> Self {
        Self { path: path.into(), descriptor: None }
    }

    fn through(descriptor: OwnedFd, name: Option<OsString>) -> Self {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
        path.extend(name);
        Self { path, descriptor: Some(descriptor) }
    }
}

/// Reaches a name: its folder is resolved, and the name itself is the caller's not to follow.
///
/// # Errors
/// The system's: `ELOOP` where a link is on the way.
pub(super) fn reach(path: &Path) -> io::Result<Reached> {
    let Some((root, below)) = way(path)? else {
        return require_no_link(path).map(|()| Reached::plain(path));
    };
    let name = below.file_name().ok_or(Errno::INVAL)?.to_os_string();
    let folder = below.parent().filter(|it| !it.as_os_str().is_empty());
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let folder = resolve(root.as_fd(), folder.unwrap_or(Path::new(".")), flags)?;
    Ok(Reached::through(folder, Some(name)))
}

/// Reaches what has a name, which must not be a link.
///
/// # Errors
/// The system's: `ELOOP` where a link is on the way, or has the name.
pub(super) fn reach_itself(path: &Path) -> io::Result<Reached> {
    match way(path)? {
        None => require_no_link(path).map(|()| Reached::plain(path)),
        Some((root, below)) => {
            let opened = resolve(root.as_fd(), &below, OFlags::PATH | OFlags::NOFOLLOW)?;
            Ok(Reached::through(opened, None))
        }
    }
}

/// What SQLite opens by its name, since it knows no descriptors.
pub struct Named {
    /// The path without any link.
    pub path: PathBuf,
    /// The data directory, without any link.
    pub root: PathBuf,
    /// Which file it is, by device and inode; nothing where there is none yet.
    pub identity: Option<(u64, u64)>,
}

/// Finds a file that has to be opened by its name; nothing where the path may mean what it says.
///
/// # Errors
/// The system's, with the path: `ELOOP` where a link is on the way, `EINVAL` where it is no ordinary
/// file.
pub fn name_of(path: &Path) -> Result<Option<Named>> {
    named(path).map_err(failed("open", path))
}

fn named(path: &Path) -> io::Result<Option<Named>> {
    let Some((root, below)) = way(path)? else { return Ok(None) };
    let identity = match resolve(root.as_fd(), &below, OFlags::PATH | OFlags::NOFOLLOW) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
        Ok(opened) => {
            let found = fstat(&opened)?;
            if found.st_mode & libc::S_IFMT != libc::S_IFREG {
                return Err(Errno::INVAL.into());
            }
            Some((found.st_dev, found.st_ino))
        }
    };
    let root = fs::read_link(format!("/proc/self/fd/{}", root.as_raw_fd()))?;
    Ok(Some(Named { path: root.join(below), root, identity }))
}

/// The directory that a path is confined to, and the path below it; nothing where it is not.
fn way(path: &Path) -> io::Result<Option<(Arc<OwnedFd>, PathBuf)>> {
    let roots = ROOTS.read().unwrap_or_else(PoisonError::into_inner);
    let found = roots.iter().find_map(|(root, opened)| {
        let below = path.strip_prefix(root).ok().filter(|it| !it.as_os_str().is_empty())?;
        Some((root, opened, below))
    });
    let Some((root, opened, below)) = found else { return Ok(None) };
    if is_of_root_alone(root, opened.as_fd(), below.parent().unwrap_or(Path::new("")))? {
        return Ok(None);
    }
    Ok(Some((opened.clone(), below.into())))
}

/// Whether nobody but root can change a name on the way.
fn is_of_root_alone(root: &Path, opened: BorrowedFd<'_>, way: &Path) -> io::Result<bool> {
    let found = fstat(opened)?;
    if found.st_uid != 0 || is_open(found.st_mode, found.st_gid) {
        return Ok(false);
    }
    let mut folder = root.to_path_buf();
    for part in way.components() {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(found) if !found.is_dir() => return Ok(true),
            Ok(found) if !is_roots(&found) => return Ok(false),
            Ok(_) => {}
            // In a folder of root alone, nobody else makes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn is_roots(found: &Metadata) -> bool {
    found.uid() == 0 && !is_open(found.mode(), found.gid())
}

/// Whether others may write there; the group of root is as good as root.
fn is_open(mode: u32, group: u32) -> bool {
    mode & 0o002 != 0 || (mode & 0o020 != 0 && group != 0)
}

/// Opens what is below a folder, through folders alone.
pub(super) fn resolve(root: BorrowedFd<'_>, below: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    let rules = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..ATTEMPTS {
        match openat2(root, below, flags, Mode::empty(), rules) {
            Ok(opened) => return refuse_link(&opened).map(|()| opened),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Older kernels, and sandboxes that know nothing of it.
            Err(Errno::NOSYS | Errno::PERM) => return walk(root, below, flags),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::AGAIN.into())
}

/// With `O_PATH` and `O_NOFOLLOW`, a link itself would be opened.
fn refuse_link(opened: &OwnedFd) -> io::Result<()> {
    match fstat(opened)?.st_mode & libc::S_IFMT {
        libc::S_IFLNK => Err(Errno::LOOP.into()),
        _ => Ok(()),
    }
}

/// The same, one folder after the other.
fn walk(root: BorrowedFd<'_>, below: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut here = openat(root, ".", on_the_way, Mode::empty())?;
    let parts: Vec<Component<'_>> = below.components().collect();
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        match part {
            Component::Normal(name) => {
                let flags = if is_last { flags | OFlags::NOFOLLOW } else { on_the_way };
                // A link in the place of a folder is `ENOTDIR` here.
                let opened = openat(&here, *name, flags, Mode::empty());
                here = opened
                    .map_err(|error| if error == Errno::NOTDIR { Errno::LOOP } else { error })?;
                refuse_link(&here)?;
            }
            Component::CurDir => {}
            _ => return Err(Errno::XDEV.into()),
        }
    }
    Ok(here)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::{confine, reach, reach_itself, resolve, walk};
    use crate::disk;
    use rustix::fs::OFlags;
    use std::{fs, os::fd::AsFd, os::unix::fs::symlink};

    #[test]
    fn both_ways_of_resolving_follow_no_link_and_stay_below() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "").unwrap();
        fs::write(folder.path().join("outside"), "").unwrap();
        symlink("a", root.join("link")).unwrap();
        symlink("b/file", root.join("a/to-file")).unwrap();
        let opened = fs::File::open(&root).unwrap();
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for (below, is_reached) in [
            (".", true),
            ("a", true),
            ("a/b/file", true),
            ("link/b/file", false),
            ("link", false),
            ("a/to-file", false),
            ("../outside", false),
            ("a/../a/b", false),
            ("missing", false),
        ] {
            let kernel = resolve(opened.as_fd(), below.as_ref(), flags).is_ok();
            let own = walk(opened.as_fd(), below.as_ref(), flags).is_ok();
            // The kernel allows `..` as long as it stays below.
            assert_eq!(
                (kernel || below == "a/../a/b", own),
                (is_reached || below == "a/../a/b", is_reached),
                "{below}"
            );
        }
    }

    #[test]
    fn only_folders_that_others_can_change_are_confined() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("ours/theirs")).unwrap();
        fs::create_dir(folder.path().join("elsewhere")).unwrap();
        symlink(folder.path().join("elsewhere"), data.join("link")).unwrap();
        std::os::unix::fs::chown(data.join("ours/theirs"), Some(65_534), None).unwrap();
        confine(&data).unwrap();
        for (path, is_confined) in
            [("x", false), ("ours/x", false), ("link/x", false), ("ours/theirs/x", true)]
        {
            assert_eq!(reach(&data.join(path)).unwrap().is_confined(), is_confined, "{path}");
        }
        std::os::unix::fs::chown(&data, Some(65_534), None).unwrap();
        assert!(reach(&data.join("link/x")).is_err() && reach_itself(&data.join("link")).is_err());
        assert!(disk::write_at("test", &data.join("link/x"), 0, b"x").is_err());
        assert!(disk::create_private_folders("test", &data.join("link/x")).is_err());
        assert!(!folder.path().join("elsewhere/x").exists());
        disk::create_private_folders("test", &data.join("new/below")).unwrap();
        assert!(data.join("new/below").is_dir());
        // The link itself may go.
        disk::remove_tree("test", &data.join("link")).unwrap();
        assert!(folder.path().join("elsewhere").is_dir() && !data.join("link").is_symlink());
    }
}
