//! What is live already as the backup has it. A restore leaves it alone: its inode, its other names,
//! its time, and whoever has it open.

use super::{
    Gate, Request, holders,
    prepare::Contents,
    seen::{Stamp, TICK, ticks},
};
use crate::{
    Result,
    backup::{
        dressed,
        scan::{Found, Tree},
    },
    disk,
    store::{self, Attributes, Bare, Digest, FileKind, FileRecord, Item, StoredPath},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    thread,
};

/// What is left alone, each as it was when it was compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Same {
    files: BTreeMap<StoredPath, Stamp>,
    databases: BTreeMap<StoredPath, Digest>,
}

impl Same {
    pub(super) fn has(&self, path: &StoredPath) -> bool {
        self.files.contains_key(path) || self.databases.contains_key(path)
    }

    /// As what a file or link was compared.
    pub(super) fn stamp(&self, path: &StoredPath) -> Option<&Stamp> {
        self.files.get(path)
    }

    pub(super) fn add_database(&mut self, path: StoredPath, content: Digest) {
        self.databases.insert(path, content);
    }

    /// Those that are something else by now, or gone. `now` is the content of the databases.
    pub(super) fn changed(&self, live: &Tree, now: Option<&Contents>) -> Vec<PathBuf> {
        let files = self.files.iter().filter(|(path, then)| {
            let found = live.files.get(path).or(live.symlinks.get(path));
            found.map(Stamp::of).as_ref() != Some(then)
        });
        let databases = self.databases.iter().filter(|(path, then)| {
            !live.databases.contains_key(path) || now.and_then(|now| now.get(path)) != Some(then)
        });
        let files = files.map(|(path, _)| path);
        let all = files.chain(databases.map(|(path, _)| path));
        all.map(|path| path.as_path().to_path_buf()).collect()
    }
}

/// The files and links among these entries that are live as the backup has them, but those of a
/// database that cannot be read and that a process has open: what that process wrote, or is about to
/// write, may be in no file yet, so nothing can say that it is the same. The gate refuses it then.
///
/// # Errors
/// The system's, with the path; a file that cannot be read is not the same.
pub(super) fn unchanged(request: &Request<'_>, live: &Tree, items: &[Item<'_>]) -> Result<Same> {
    let mut same = files(request.data, live, items)?;
    // A restore into open databases writes into those that differ only.
    if request.gate == Gate::Refuse && !live.opaque.is_empty() {
        let found = holders::holders(&holders::wanted(request.data, live.opaque.iter())?, &[]);
        let held: BTreeSet<PathBuf> = found.holders.into_iter().map(|it| it.database).collect();
        let is_held = |path: &StoredPath| {
            live.opaque_base(path).is_some_and(|base| held.contains(base.as_path()))
        };
        same.files.retain(|path, _| !is_held(path));
    }
    Ok(same)
}

/// The files and links among these entries that are live as they are listed. Content is compared byte
/// for byte, by its digest: size and time may be those of another content.
///
/// # Errors
/// The system's, with the path; a file that cannot be read is not the same.
fn files(data: &Path, live: &Tree, items: &[Item<'_>]) -> Result<Same> {
    let mut candidates = Vec::new();
    for item in items {
        let Item::File(record) = item else { continue };
        let found = match &record.kind {
            FileKind::Folder => None,
            FileKind::Symlink { .. } => live.symlinks.get(&record.path),
            FileKind::File { size, .. } => {
                live.files.get(&record.path).filter(|found| found.len() == *size)
            }
        };
        let bare = match record.kind {
            FileKind::Symlink { .. } => Bare::Symlink,
            _ => Bare::File,
        };
        if let Some(found) = found
            && is_dressed(found, &record.path.below(data), &record.attributes, bare)
        {
            candidates.push((record, Stamp::of(found)));
        }
    }
    if candidates.is_empty() {
        return Ok(Same::default());
    }
    // Whatever is written to one of them from now on gives it another time.
    thread::sleep(candidates.iter().map(|(_, stamp)| ticks(stamp)).max().unwrap_or(TICK));
    let mut same = Same::default();
    for (record, stamp) in candidates {
        let path = record.path.below(data);
        let is_still = || -> Result<bool> {
            Ok(disk::find(&path)?.map(|it| Stamp::of(&(&it).into())) == Some(stamp))
        };
        if is_still()? && has_content(record, &path) && is_still()? {
            same.files.insert(record.path.clone(), stamp);
        }
    }
    Ok(same)
}

fn has_content(record: &FileRecord, path: &Path) -> bool {
    match &record.kind {
        FileKind::Folder => false,
        FileKind::Symlink { target } => {
            disk::read_link(path).is_ok_and(|found| found.as_os_str() == target.0)
        }
        FileKind::File { size, sha256 } => disk::open_to_read(path)
            .is_ok_and(|file| store::digest_of(file).is_ok_and(|found| found == (*sha256, *size))),
    }
}

/// Whether a path has the owner, mode and extended attributes that a restore would give it. Its time
/// does not count, and neither does what this user or this file system cannot set.
pub(super) fn is_dressed(found: &Found, path: &Path, wanted: &Attributes, bare: Bare) -> bool {
    let Ok(live) = dressed(found, path) else { return false };
    let is_root = rustix::process::geteuid().is_root();
    let owned = !is_root || (live.user, live.group) == (wanted.user, wanted.group);
    let mode = match bare {
        Bare::Symlink => true,
        Bare::File => live.mode == wanted.mode & 0o777,
        Bare::Folder => live.mode == wanted.mode,
    };
    let settable = |name: &str| is_root || name.starts_with("user.");
    let extended = || {
        let of = |attributes: &Attributes| -> BTreeMap<String, Vec<u8>> {
            let all = attributes.extended.iter().filter(|(name, _)| settable(name));
            all.map(|(name, value)| (name.to_string(), value.to_vec())).collect()
        };
        of(&live) == of(wanted) || (live.extended.is_empty() && !disk::knows_extended(path))
    };
    owned && mode && extended()
}
