//! Ordinary files, links and folders on their way into the archive, after the cut.
//!
//! A service may change them meanwhile: a small file is read again until it stands still, a large
//! one is stored as it was read; what changed or vanished is said in the manifest.

use super::{
    dressed, holes,
    opaque::Guard,
    scan::{Found, Kind, Tree},
};
use crate::{
    Result,
    disk::{self, failed},
    store::{Draft, FileKind, FileRecord, LinkTarget, StoredPath, Supply},
};
use chrono::{DateTime, Utc};
use std::{
    collections::HashMap,
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

/// Files up to this size are read whole before they are stored, in bytes.
const SMALL: u64 = 4 << 20;
const ATTEMPTS: u32 = 5;

/// Where files are by now that were renamed after they were listed. They are stored under the names
/// that they had then.
pub(super) struct Moved<'a> {
    look: &'a dyn Fn() -> Result<Tree>,
    names: HashMap<(u64, u64), StoredPath>,
    looks: u32,
}

impl<'a> Moved<'a> {
    /// `look` lists what is there.
    pub(super) fn new(look: &'a dyn Fn() -> Result<Tree>) -> Self {
        Self { look, names: HashMap::new(), looks: 0 }
    }

    /// The name of a file that has gone from where it was listed; nothing where it is listed under
    /// another name as well.
    fn name_of(&mut self, found: &Found, tree: &Tree) -> Option<StoredPath> {
        let is_there = |names: &HashMap<_, StoredPath>| names.contains_key(&found.identity());
        if !is_there(&self.names) && self.looks < ATTEMPTS {
            self.looks += 1;
            let now = (self.look)().unwrap_or_default();
            let all = now.files.iter().chain(&now.symlinks);
            self.names.extend(all.map(|(path, found)| (found.identity(), path.clone())));
        }
        let name = self.names.get(&found.identity())?;
        let listed = tree.files.get(name).or(tree.symlinks.get(name));
        let is_listed = listed.is_some_and(|listed| listed.identity() == found.identity());
        (!is_listed).then(|| name.clone())
    }
}

/// Archives everything of the tree that is not a database; records and notes come back. `began` is
/// when the backup was begun.
///
/// # Errors
/// The system's, with the path, for whatever is there and cannot be read.
pub(super) fn archive(
    (data, began): (&Path, DateTime<Utc>),
    tree: &Tree,
    (moved, guard): (&mut Moved<'_>, &mut Guard<'_>),
    (draft, notes): (&mut Draft<'_>, &mut Vec<String>),
) -> Result<Vec<FileRecord>> {
    let mut all: Vec<(&StoredPath, &Found)> =
        tree.files.iter().chain(&tree.folders).chain(&tree.symlinks).collect();
    // Sorted, a folder comes before what is in it.
    all.sort_by_key(|(path, _)| *path);
    let mut records = Vec::with_capacity(all.len());
    for (path, found) in all {
        let absolute = path.below(data);
        notes.extend(guard.step(tree, path)?);
        let mut record = entry(draft, (path, found), (&absolute, began), notes)?;
        if record.is_none()
            && let Some(name) = moved.name_of(found, tree)
        {
            record = entry(draft, (path, found), (&name.below(data), began), notes)?;
        }
        match record {
            Some(record) => records.push(record),
            None => notes.push(format!("`{path}` vanished before it could be read")),
        }
    }
    Ok(records)
}

fn entry(
    draft: &mut Draft<'_>,
    (path, found): (&StoredPath, &Found),
    (absolute, began): (&Path, DateTime<Utc>),
    notes: &mut Vec<String>,
) -> Result<Option<FileRecord>> {
    match found.kind() {
        Kind::Folder => add(draft, path, (found, absolute), FileKind::Folder).map(Some),
        Kind::Symlink => match disk::read_link(absolute) {
            Ok(target) => {
                let target = LinkTarget(target.into_os_string());
                add(draft, path, (found, absolute), FileKind::Symlink { target }).map(Some)
            }
            Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        },
        _ => file(draft, path, (absolute, began), notes),
    }
}

fn add(
    draft: &mut Draft<'_>,
    path: &StoredPath,
    (found, absolute): (&Found, &Path),
    kind: FileKind,
) -> Result<FileRecord> {
    let attributes = dressed(found, absolute)?;
    let record = FileRecord { path: path.clone(), attributes, kind, segments: None };
    draft.add(&record)?;
    Ok(record)
}

fn file(
    draft: &mut Draft<'_>,
    path: &StoredPath,
    (absolute, began): (&Path, DateTime<Utc>),
    notes: &mut Vec<String>,
) -> Result<Option<FileRecord>> {
    let mut file = match disk::open_to_read(absolute) {
        Ok(file) => file,
        Err(error) if error.source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let before = look(&file, absolute)?;
    if !before.is_file() {
        return Ok(None);
    }
    let (record, steady) = if before.len() <= SMALL && !before.is_sparse() {
        let (bytes, found, steady) = read_small((&mut file, absolute), before, began)?;
        let size = bytes.len() as u64;
        let source = (absolute, &mut bytes.as_slice() as &mut dyn Read);
        (draft.add_file(path, dressed(&found, absolute)?, size, source)?.0, steady)
    } else {
        let attributes = dressed(&before, absolute)?;
        let (record, supply) = if before.is_sparse() {
            let segments = holes::segments(&file, absolute, before.len())?;
            draft.add_sparse(path, attributes, (before.len(), segments), (absolute, &file))?
        } else {
            let source = (absolute, &mut file as &mut dyn Read);
            draft.add_file(path, attributes, before.len(), source)?
        };
        let steady = supply == Supply::Whole && before.stamp() == look(&file, absolute)?.stamp();
        (record, if steady { Steady::Yes } else { Steady::No })
    };
    if steady == Steady::No {
        notes.push(format!("`{path}` changed while it was read"));
    }
    Ok(Some(record))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Steady {
    Yes,
    No,
}

fn read_small(
    (file, absolute): (&mut File, &Path),
    mut before: Found,
    began: DateTime<Utc>,
) -> Result<(Vec<u8>, Found, Steady)> {
    let mut attempt = 1;
    let mut earlier = None;
    loop {
        // No further than it was long: it may be growing faster than it is read.
        let length = before.len().min(SMALL * 2);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        file.take(length).read_to_end(&mut bytes).map_err(failed("read", absolute))?;
        let after = look(file, absolute)?;
        let mut steady = before.stamp() == after.stamp() && bytes.len() as u64 == after.len();
        if steady && after.changed() >= began {
            // Times tick every few milliseconds: two changes in one tick show only in the bytes.
            steady = earlier.as_ref() == Some(&bytes);
            earlier = Some(bytes.clone());
        }
        if steady {
            return Ok((bytes, after, Steady::Yes));
        }
        if attempt == ATTEMPTS {
            return Ok((bytes, after, Steady::No));
        }
        attempt += 1;
        std::io::Seek::rewind(file).map_err(failed("read", absolute))?;
        before = after;
    }
}

fn look(file: &File, absolute: &Path) -> Result<Found> {
    Ok(Found::from(&file.metadata().map_err(failed("read", absolute))?))
}
