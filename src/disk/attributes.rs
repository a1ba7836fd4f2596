//! Mode, owner and time of what lies on the disk. None of these follows a symbolic link, except
//! that a link has no mode of its own to set.

use super::{
    Result,
    confined::{reach, reach_itself},
    failed, step,
};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// Sets a path's permission bits.
///
/// # Errors
/// The system's, with the path.
pub fn set_mode(point: &'static str, path: &Path, mode: u32) -> Result<()> {
    step(point, "set the mode of", path, || {
        fs::set_permissions(reach_itself(path)?, fs::Permissions::from_mode(mode))
    })
}

/// Sets an extended attribute.
///
/// # Errors
/// The system's, with the path.
pub fn set_extended(point: &'static str, path: &Path, name: &str, value: &[u8]) -> Result<()> {
    step(point, "set an extended attribute of", path, || {
        Ok(rustix::fs::lsetxattr(&*reach(path)?, name, value, XattrFlags::empty())?)
    })
}

/// Whether the file system of a path has extended attributes at all.
#[must_use]
pub fn knows_extended(path: &Path) -> bool {
    let mut none = [0_u8; 0];
    !matches!(rustix::fs::llistxattr(path, &mut none[..]), Err(rustix::io::Errno::OPNOTSUPP))
}

/// Sets when a path was last modified, in seconds since 1970 and nanoseconds.
///
/// # Errors
/// The system's, with the path.
pub fn set_modified(
    point: &'static str,
    path: &Path,
    seconds: i64,
    nanoseconds: u32,
) -> Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
    };
    step(point, "set the time of", path, || {
        Ok(rustix::fs::utimensat(CWD, &*reach(path)?, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    })
}

/// Gives a new path to whom its folder belongs, where this process is root. SQLite does the same with
/// the logs that it makes beside a database, so that a service can use what root made for it.
///
/// # Errors
/// The system's, with the path.
pub fn inherit_owner(point: &'static str, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = reach_itself(folder).and_then(fs::metadata).map_err(failed("read", folder))?;
    set_owner(point, path, found.uid(), found.gid())
}

/// Gives a path to a user and a group; only root may.
///
/// # Errors
/// The system's, with the path.
pub fn set_owner(point: &'static str, path: &Path, user: u32, group: u32) -> Result<()> {
    step(point, "set the owner of", path, || {
        std::os::unix::fs::lchown(reach(path)?, Some(user), Some(group))
    })
    .or_else(|error| {
        let now = reach(path).and_then(fs::symlink_metadata).map_err(failed("read", path))?;
        use std::os::unix::fs::MetadataExt;
        if (now.uid(), now.gid()) == (user, group) { Ok(()) } else { Err(error) }
    })
}
