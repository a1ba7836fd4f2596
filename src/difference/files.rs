//! Ordinary files, links and folders of two sides, compared by content, mode and owner.

use super::Side;
use crate::{
    Result,
    backup::{
        dressed,
        scan::{Kind, Tree},
    },
    disk::{self, failed},
    store::{Attributes, FileKind, FileRecord, LinkTarget, StoredPath, digest_of},
};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

/// The files, links and folders that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileDifference {
    /// Those of the first side alone.
    pub only_first: Vec<StoredPath>,
    /// Those of the second side alone.
    pub only_second: Vec<StoredPath>,
    /// Those whose content, kind, mode or owner differs.
    pub changed: Vec<StoredPath>,
}

impl FileDifference {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

pub(super) fn compare(first: &Side, second: &Side) -> FileDifference {
    let mut difference = FileDifference::default();
    for (path, record) in &first.files {
        match second.files.get(path) {
            None => difference.only_first.push(path.clone()),
            Some(other) if is_same(record, other) => {}
            Some(_) => difference.changed.push(path.clone()),
        }
    }
    let new = second.files.keys().filter(|path| !first.files.contains_key(*path));
    difference.only_second.extend(new.cloned());
    difference
}

/// Times are not content.
fn is_same(one: &FileRecord, other: &FileRecord) -> bool {
    let owned = |it: &Attributes| (it.mode, it.user, it.group, it.extended.clone());
    one.kind == other.kind && owned(&one.attributes) == owned(&other.attributes)
}

/// The records of live files. One that has the size and the time of the same file in a backup is
/// taken for equal, so that a look does not read everything.
///
/// # Errors
/// The system's, with the path.
pub(super) fn of_tree(
    data: &Path,
    tree: &Tree,
    known: &BTreeMap<StoredPath, FileRecord>,
) -> Result<BTreeMap<StoredPath, FileRecord>> {
    let mut records = BTreeMap::new();
    for (path, found) in tree.files.iter().chain(&tree.folders).chain(&tree.symlinks) {
        let absolute = path.below(data);
        let attributes = dressed(found, &absolute)?;
        let kind = if found.kind() == Kind::Folder {
            FileKind::Folder
        } else if found.kind() == Kind::Symlink {
            let target = disk::read_link(&absolute)?;
            FileKind::Symlink { target: LinkTarget(target.into_os_string()) }
        } else {
            let unread = known.get(path).and_then(|record| match record.kind {
                FileKind::File { size, sha256 }
                    if size == found.len() && record.attributes.modified == attributes.modified =>
                {
                    Some(FileKind::File { size, sha256 })
                }
                _ => None,
            });
            match unread {
                Some(kind) => kind,
                None => {
                    let file = disk::open_to_read(&absolute)?;
                    let (sha256, size) = digest_of(file).map_err(failed("read", &absolute))?;
                    FileKind::File { size, sha256 }
                }
            }
        };
        let record = FileRecord { path: path.clone(), attributes, kind, segments: None };
        records.insert(path.clone(), record);
    }
    Ok(records)
}
