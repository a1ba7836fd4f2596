//! Copies of all databases of a directory at one instant, for a look that archives nothing.

use super::{Request, Tree, copy, cut_steadily, distinct, left_out, scan, scope};
use crate::{
    Result,
    store::{Store, StoredPath},
};
use std::path::{Path, PathBuf};

/// What a directory holds, and where the copies of its databases are.
pub(crate) struct Copies {
    pub(crate) tree: Tree,
    pub(crate) databases: Vec<(StoredPath, PathBuf)>,
}

/// Copies the databases into a folder of the store's staging area.
///
/// # Errors
/// Those of [`super::take`].
pub(crate) fn copy_databases(
    request: &Request<'_>,
    store: &Store,
    folder: &Path,
) -> Result<Copies> {
    let left_out = left_out(request, store);
    let scope = scope(request, &left_out);
    let first_look = scan::scan(scope)?;
    store.require_space(first_look.bytes().saturating_add(store.reserve()))?;
    let (tree, mut pinned, _) = cut_steadily(request, scope, first_look, Some(folder))?;
    // Those first whose writers wait for it.
    pinned.sort_by_key(|pinned| pinned.journal);
    let names = distinct(&tree);
    let mut databases = Vec::new();
    for (number, source) in pinned.into_iter().enumerate() {
        let target = folder.join(format!("{number}.db"));
        let path = copy::copy(source, &target)?;
        let others = names.get(&path).cloned().unwrap_or_default();
        let all = [path].into_iter().chain(others);
        databases.extend(all.map(|path| (path, target.clone())));
    }
    Ok(Copies { tree, databases })
}
