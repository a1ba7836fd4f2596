//! A second data directory beside the backups: the same files with the same attributes.
//!
//! Every function makes a part of it what the live directory is, whatever was there. None of them
//! opens a database but through [`super::pages`].

use super::super::{
    dressed, extended, holes,
    scan::{Found, Kind, Scope, Tree, scan},
};
use crate::{
    Result,
    disk::{self, failed},
    store::{Attributes, Bare, Filter, StoredPath, digest_of, dress},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// By which a live file is known to be the one that was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sight {
    identity: (u64, u64),
    length: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Sight {
    pub(super) fn of(found: &Found) -> Self {
        let (length, modified, changed) = found.stamp();
        Self { identity: found.identity(), length, modified, changed }
    }

    /// Whether a change that is made from now on shows in it. The clock of files stands still for a
    /// few milliseconds at a time, in which two changes look like one.
    pub(super) fn is_settled(&self, now: DateTime<Utc>) -> bool {
        let (seconds, _) = self.changed;
        seconds < now.timestamp() - 1
    }
}

/// When a copy is flushed to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    /// At once.
    Now,
    /// With everything else, by the caller.
    Later,
}

/// Which ordinary files were copied, and as what.
pub(super) type Sights = BTreeMap<StoredPath, Sight>;

/// Where both directories lie.
#[derive(Clone, Copy)]
pub(super) struct Replica<'a> {
    pub(super) live: &'a Path,
    pub(super) root: &'a Path,
}

impl Replica<'_> {
    /// What the replica holds now.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn look(&self) -> Result<Tree> {
        let everything = Filter::default();
        scan(Scope { data: self.root, excluded: &everything, left_out: &[] })
    }

    /// Where a path lies in the replica, with the folders above it.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn place(&self, path: &StoredPath) -> Result<PathBuf> {
        let place = path.below(self.root);
        if let Some(parent) = path.parent() {
            disk::create_private_folders("point-folder", &parent.below(self.root))?;
        }
        Ok(place)
    }

    /// Copies an ordinary file, its holes left out; gives what it was before its bytes were read.
    /// Nothing where it vanished.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn copy_file(&self, path: &StoredPath, sync: Sync) -> Result<Option<Sight>> {
        let (from, to) = (path.below(self.live), self.place(path)?);
        let mut source = match disk::open_to_read(&from) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let found = Found::from(&source.metadata().map_err(failed("read", &from))?);
        if !found.is_file() {
            return Ok(None);
        }
        disk::remove_file("point-remove", &to)?;
        let mut target = disk::create_private_file("point-file", &to)?;
        if found.is_sparse() {
            copy_segments((&mut source, &from), (&mut target, &to), found.len())?;
        } else {
            io::copy(&mut source, &mut target).map_err(failed("copy", &from))?;
        }
        self.dress(path, &found)?;
        if sync == Sync::Now {
            disk::sync_file("point-sync-file", &to, &target)?;
        }
        Ok(Some(Sight::of(&found)))
    }

    /// Whether an ordinary file has the same bytes here and there.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn has_equal_bytes(&self, path: &StoredPath) -> Result<bool> {
        let digest = |path: &Path| -> Result<_> {
            Ok(digest_of(disk::open_to_read(path)?).map_err(failed("read", path))?)
        };
        let (live, copy) = (path.below(self.live), path.below(self.root));
        let length = |path: &Path| disk::find(path).map(|found| found.map(|found| found.len()));
        Ok(length(&live)? == length(&copy)? && digest(&live)? == digest(&copy)?)
    }

    /// Makes a symbolic link that leads where the live one does.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn link(&self, path: &StoredPath, found: &Found) -> Result<()> {
        let (from, to) = (path.below(self.live), self.place(path)?);
        let target = match disk::read_link(&from) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        disk::remove_file("point-remove", &to)?;
        disk::symlink("point-link", &target, &to)?;
        self.dress(path, found)
    }

    /// Gives a path the attributes of the live one.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn dress(&self, path: &StoredPath, found: &Found) -> Result<()> {
        let attributes = dressed(found, &path.below(self.live))?;
        // What could not be set shows when the two are compared.
        dress(&path.below(self.root), &attributes, bare(found.kind())).map(drop)
    }

    /// The first path whose attributes in the replica are not those of the live one: the archive
    /// would list others than it has.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn first_unlike(&self, live: &Tree) -> Result<Option<StoredPath>> {
        for (path, found) in entries(live) {
            // What vanished meanwhile was not copied.
            if disk::find(&path.below(self.root))?.is_some() && !self.is_alike(path, found)? {
                return Ok(Some(path.clone()));
            }
        }
        Ok(None)
    }

    /// Whether a path is the same here and there but for its bytes and its time.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn is_alike(&self, path: &StoredPath, found: &Found) -> Result<bool> {
        let copy = path.below(self.root);
        let Some(copied) = disk::find(&copy)? else { return Ok(false) };
        let copied = Found::from(&copied);
        let wanted = dressed(found, &path.below(self.live))?;
        let has = Attributes { extended: extended::read(&copy)?, ..copied.attributes() };
        // A link has a mode of the system's own.
        let mode = if found.kind() == Kind::Symlink { wanted.mode } else { has.mode };
        let has = Attributes { mode, modified: wanted.modified, ..has };
        Ok(wanted == has && found.kind() == copied.kind())
    }
}

/// Everything in a tree that has attributes.
fn entries(tree: &Tree) -> impl Iterator<Item = (&StoredPath, &Found)> {
    [&tree.databases, &tree.files, &tree.symlinks, &tree.folders].into_iter().flatten()
}

fn bare(kind: Kind) -> Bare {
    match kind {
        Kind::Folder => Bare::Folder,
        Kind::Symlink => Bare::Symlink,
        _ => Bare::File,
    }
}

fn copy_segments(
    (source, from): (&mut File, &Path),
    (target, to): (&mut File, &Path),
    length: u64,
) -> Result<()> {
    for segment in holes::segments(source, from, length)? {
        let begin = SeekFrom::Start(segment.offset);
        source.seek(begin).map_err(failed("read", from))?;
        target.seek(begin).map_err(failed("write", to))?;
        let mut part = source.take(segment.length);
        io::copy(&mut part, target).map_err(failed("copy", from))?;
    }
    Ok(disk::set_length("point-length", to, target, length)?)
}
