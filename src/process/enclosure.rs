//! A program that sees a copy of a folder in the place of the folder: a mount namespace of its own.
//!
//! Nothing outside of that program and its children sees the mount, and it goes with them. Root needs no
//! more than that; another user gets a user namespace too, in which only that user exists.

use crate::disk;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    mount::{MountPropagationFlags, mount_bind, mount_bind_recursive, mount_change},
    process::{chdir, getegid, geteuid},
    thread::UnshareFlags,
};
use std::{
    ffi::{CStr, CString},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Which folder is in whose place. Made before the fork, because nothing may be allocated after it.
#[derive(Clone, Debug)]
pub struct Enclosure {
    copy: CString,
    live: CString,
    /// Other places at which the live folder is mounted.
    others: Vec<CString>,
    /// The copy's own name, if it is below the live folder: it names the copy inside as well.
    inner: Option<CString>,
    /// The working folder, found again under the mount.
    folder: CString,
    users: Users,
}

/// Whether the namespace has users of its own.
#[derive(Clone, Debug)]
enum Users {
    Same,
    Own { user: String, group: String },
}

impl Enclosure {
    /// An enclosure in which `copy` is in the place of `live`, for programs that run in `folder`. It is
    /// tried at once.
    ///
    /// # Errors
    /// The system's: it allows no namespaces here, or not to this user.
    pub fn new(copy: &Path, live: &Path, folder: &Path) -> io::Result<Self> {
        let (copy, live) = (copy.canonicalize()?, live.canonicalize()?);
        let folder = folder.canonicalize()?;
        if folder.starts_with(&live) {
            let reason = "the working folder is inside the data directory";
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        }
        let inner = match copy.strip_prefix(&live) {
            Ok(below) => {
                let inside = copy.join(below);
                disk::create_private_folders("enclosure-folder", &inside)
                    .map_err(io::Error::other)?;
                Some(text(inside)?)
            }
            Err(_) => None,
        };
        let (user, group) = (geteuid().as_raw(), getegid().as_raw());
        let own =
            Users::Own { user: format!("{user} {user} 1"), group: format!("{group} {group} 1") };
        let others = other_places(&live)?.into_iter().map(text).collect::<io::Result<_>>()?;
        let (copy, live, folder) = (text(copy)?, text(live)?, text(folder)?);
        let same = Self { copy, live, others, inner, folder, users: Users::Same };
        if same.attempt().is_ok() {
            return Ok(same);
        }
        let other = Self { users: own, ..same };
        other.attempt()?;
        Ok(other)
    }

    /// Lets a program run in it.
    #[expect(unsafe_code, reason = "only the child may enter, between fork and exec")]
    pub(super) fn apply(self, command: &mut Command) {
        // SAFETY: `enter` makes system calls alone and allocates nothing.
        unsafe {
            command.pre_exec(move || Ok(self.enter()?));
        }
    }

    /// A child enters and ends, without running anything.
    #[expect(unsafe_code, reason = "the child must end between fork and exec")]
    fn attempt(&self) -> io::Result<()> {
        let enclosure = self.clone();
        let mut command = Command::new("true");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: as in `apply`; `_exit` runs nothing of this process.
        unsafe {
            command.pre_exec(move || {
                enclosure.enter()?;
                libc::_exit(0)
            });
        }
        match command.status()?.success() {
            true => Ok(()),
            false => Err(Errno::PERM.into()),
        }
    }

    #[expect(
        unsafe_code,
        reason = "the child has one thread, so nothing shares what is taken apart"
    )]
    fn enter(&self) -> rustix::io::Result<()> {
        let flags = match self.users {
            Users::Same => UnshareFlags::NEWNS,
            Users::Own { .. } => UnshareFlags::NEWNS | UnshareFlags::NEWUSER,
        };
        // SAFETY: no thread of this process relies on what it shared with others.
        unsafe { rustix::thread::unshare_unsafe(flags)? };
        if let Users::Own { user, group } = &self.users {
            say(c"/proc/self/setgroups", "deny")?;
            say(c"/proc/self/uid_map", user)?;
            say(c"/proc/self/gid_map", group)?;
        }
        // First, so that no mount is seen outside.
        mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        if let Some(inner) = &self.inner {
            mount_bind(&*self.copy, &**inner)?;
        }
        for other in &self.others {
            mount_bind_recursive(&*self.copy, &**other)?;
        }
        mount_bind_recursive(&*self.copy, &*self.live)?;
        chdir(&*self.folder)
    }
}

/// The other names of a folder by mounts of its file system.
fn other_places(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let own = std::fs::metadata(folder)?;
    let mounts = disk::mounts();
    let place = mounts.iter().filter(|mount| folder.starts_with(&mount.point));
    // The last one that covers it is the one that is seen.
    let Some(place) = place.max_by_key(|mount| mount.point.components().count()) else {
        return Ok(Vec::new());
    };
    let inside = join(&place.root, folder.strip_prefix(&place.point).unwrap_or(Path::new("")));
    let same = mounts.iter().filter(|mount| mount.device == place.device);
    let mut found: Vec<PathBuf> = same
        .filter_map(|mount| Some(join(&mount.point, inside.strip_prefix(&mount.root).ok()?)))
        .filter(|path| path != folder)
        .filter(|path| {
            let there = std::fs::metadata(path);
            there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// A path with another below it, without a slash at the end.
fn join(path: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { path.to_path_buf() } else { path.join(below) }
}

fn text(path: PathBuf) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn say(file: &CStr, text: &str) -> rustix::io::Result<()> {
    let file = rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes()).map(drop)
}
