//! Owner and mode of the data directory itself, and what could not be given to its owner. Its time is
//! left alone: it changes whenever something in it does.

use super::{
    Request,
    journal::{AccessChange, Action, Area, Journal},
};
use crate::{
    Result,
    backup::directory_access,
    disk,
    store::{Access, Item, StoredPath},
};
use rustix::process::geteuid;
use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::Path, path::PathBuf};

/// What a restore changes about the data directory itself; nothing where it is limited to a part, where the
/// backup does not say, and where this user could not.
///
/// # Errors
/// The system's, with the path.
pub(super) fn change(request: &Request<'_>) -> Result<Option<AccessChange>> {
    let is_whole = match request.undoes {
        None => request.only.is_empty(),
        // An undo names paths, and the directory itself has none.
        Some(_) => was_changed(request.data)?,
    };
    let Some(wanted) = request.backup.manifest.data_directory.filter(|_| is_whole) else {
        return Ok(None);
    };
    if !disk::exists(request.data)? {
        // It is made first, with the mode of a private folder.
        let (user, group) = (geteuid().as_raw(), rustix::process::getegid().as_raw());
        let before = Access { mode: 0o700, user, group };
        return Ok(reachable(before, wanted));
    }
    Ok(reachable(directory_access(request.data)?, wanted))
}

/// From the one to the other, as far as this user can set it.
fn reachable(before: Access, wanted: Access) -> Option<AccessChange> {
    let user = geteuid();
    let after = match () {
        () if user.is_root() => Access { mode: wanted.mode & 0o7777, ..wanted },
        () if user.as_raw() == before.user => Access { mode: wanted.mode & 0o7777, ..before },
        () => before,
    };
    (after != before).then_some(AccessChange { before, after })
}

fn was_changed(data: &Path) -> Result<bool> {
    Ok(Area::new(data)?.last_record()?.is_some_and(|last| last.data_directory.is_some()))
}

/// Gives the data directory an owner and a mode; durable with the directory itself.
///
/// # Errors
/// The system's, with the path.
pub(super) fn set(data: &Path, access: Access) -> Result<()> {
    // It may be reached through a link, which keeps its own owner.
    let real = fs::canonicalize(data).map_err(disk::failed("find", data))?;
    if geteuid().is_root() {
        disk::set_owner("data-owner", &real, access.user, access.group)?;
    }
    disk::set_mode("data-mode", &real, access.mode & 0o7777)?;
    Ok(disk::sync_folder("data-sync", &real)?)
}

/// What belongs to another user or group than the backup says, of what a restore has put in place.
/// There is none where root works, who can give it to anybody.
///
/// # Errors
/// The system's, with the path.
pub(super) fn not_owned(
    request: &Request<'_>,
    journal: &Journal,
    items: &[Item<'_>],
) -> Result<Vec<PathBuf>> {
    if geteuid().is_root() {
        return Ok(Vec::new());
    }
    let is_other = |path: &Path, wanted: (u32, u32)| -> Result<bool> {
        Ok(disk::find(path)?.is_some_and(|found| (found.uid(), found.gid()) != wanted))
    };
    let mut paths = Vec::new();
    if let Some(own) = request.backup.manifest.data_directory.filter(|_| request.only.is_empty())
        && is_other(&request.data.join("."), (own.user, own.group))?
    {
        paths.push(PathBuf::from("."));
    }
    let touched = journal.actions.iter().filter(|action| {
        matches!(
            action,
            Action::Place { .. } | Action::MakeFolder { .. } | Action::DressFolder { .. }
        )
    });
    let touched: BTreeSet<&StoredPath> = touched.map(Action::path).collect();
    for item in items.iter().filter(|item| touched.contains(item.path())) {
        let wanted = item.attributes();
        if is_other(&item.path().below(request.data), (wanted.user, wanted.group))? {
            paths.push(item.path().as_path().to_path_buf());
        }
    }
    Ok(paths)
}
