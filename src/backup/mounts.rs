//! What is mounted inside a data directory: a backup holds it, and a restore in place cannot replace it,
//! because nothing can be renamed onto another mount. Whoever relies on the backup must know that before.

use super::scan::Tree;
use crate::{disk, store::StoredPath};
use std::{collections::BTreeSet, fs, path::Path};

/// What is mounted inside a data directory, where the system tells.
pub(super) fn inside(data: &Path) -> Vec<StoredPath> {
    let Ok(root) = fs::canonicalize(data) else { return Vec::new() };
    let points: BTreeSet<_> = disk::mounts().into_iter().map(|mount| mount.point).collect();
    let below = points.into_iter().filter_map(|point| {
        let path = point.strip_prefix(&root).ok().filter(|path| !path.as_os_str().is_empty())?;
        StoredPath::new(path.as_os_str().as_encoded_bytes()).ok()
    });
    below.collect()
}

/// One sentence for each mount that a backup has something of.
pub(super) fn notes(data: &Path, tree: &Tree) -> Vec<String> {
    let held = |path: &StoredPath| {
        tree.folders.contains_key(path)
            || tree.files.contains_key(path)
            || tree.databases.contains_key(path)
    };
    let sentence = |path| {
        format!(
            "`{path}` is mounted there: a restore in place leaves it alone while it is unchanged, and is \
             refused when it differs; `restore --to DIR` unpacks all of it"
        )
    };
    inside(data).into_iter().filter(held).map(sentence).collect()
}
