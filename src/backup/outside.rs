//! Links to databases outside of the data directory: a backup holds the link and not the database,
//! which whoever relies on the backup must be told.

use super::scan::{Found, Tree};
use crate::database;
use std::{fs, path::Path};

/// One sentence for each such link. Call it only before this process has a connection to any
/// database: it reads the first bytes of what the links point to.
pub(super) fn notes(data: &Path, tree: &Tree) -> Vec<String> {
    let Ok(root) = fs::canonicalize(data) else { return Vec::new() };
    let inside: Vec<(u64, u64)> = tree.databases.values().map(Found::identity).collect();
    let is_outside_database = |link: &Path| {
        // Where a link leads nowhere or to what cannot be read, there is nothing to tell.
        let Ok(target) = fs::canonicalize(link) else { return false };
        let Ok(found) = fs::metadata(&target) else { return false };
        !target.starts_with(&root)
            && found.is_file()
            && !inside.contains(&Found::from(&found).identity())
            && database::sniff(&target).unwrap_or(false)
    };
    let links = tree.symlinks.keys().filter(|path| is_outside_database(&path.below(data)));
    let sentence = |path| {
        format!("`{path}` is a link to a database outside the data directory, which is not stored")
    };
    links.map(sentence).collect()
}
