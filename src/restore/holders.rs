//! Who holds a database open, found in `/proc/*/fd` by device and inode.
//!
//! Locks do not tell: an idle connection in rollback-journal mode holds none. Deleted files count
//! too, since a process may still write to them.

use crate::{
    Result,
    backup::scan,
    database::SIDE_SUFFIXES,
    error::FileHolder,
    store::{Filter, StoredPath},
};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
};

/// Whether every process could be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// All of them.
    Whole,
    /// Some belong to other users: run as root to see them.
    Partial,
}

/// The processes that hold one of these databases or its logs, this one included.
pub(crate) fn holders<'a>(
    data: &Path,
    databases: impl Iterator<Item = &'a StoredPath>,
) -> (Vec<FileHolder>, View) {
    let mut wanted: HashMap<(u64, u64), &StoredPath> = HashMap::new();
    for path in databases {
        let sides = SIDE_SUFFIXES.iter().map(|suffix| path.with_suffix(suffix));
        for name in [path.clone()].into_iter().chain(sides) {
            if let Ok(found) = fs::metadata(name.below(data)) {
                wanted.insert((found.dev(), found.ino()), path);
            }
        }
    }
    if wanted.is_empty() {
        return (Vec::new(), View::Whole);
    }
    let mut view = View::Whole;
    let mut holders = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            // A process that has just ended has no descriptors either.
            if process.path().exists() {
                view = View::Partial;
            }
            continue;
        };
        let mut held = BTreeSet::new();
        for descriptor in descriptors.flatten() {
            // Follows the link to the open file itself, also when its name is gone.
            if let Ok(found) = fs::metadata(descriptor.path())
                && let Some(path) = wanted.get(&(found.dev(), found.ino()))
            {
                held.insert(*path);
            }
        }
        let command = || command_of(&process.path());
        holders.extend(held.into_iter().map(|path| FileHolder {
            pid,
            command: command(),
            database: path.as_path().into(),
        }));
    }
    holders.sort_by(|one, other| (&one.database, one.pid).cmp(&(&other.database, other.pid)));
    (holders, view)
}

fn command_of(process: &Path) -> String {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    let words: Vec<&str> = line.split('\0').filter(|word| !word.is_empty()).collect();
    match words.is_empty() {
        false => words.join(" "),
        true => fs::read_to_string(process.join("comm")).unwrap_or_default().trim().into(),
    }
}

/// The processes other than this one that hold any database of a data directory.
///
/// # Errors
/// The system's, with the path.
pub fn holders_of(data: &Path, excluded: &Filter) -> Result<Vec<FileHolder>> {
    if !data.exists() {
        return Ok(Vec::new());
    }
    let scope = scan::Scope { data, excluded, left_out: &[] };
    let tree = scan::scan(scope)?;
    let (mut found, _) = holders(data, tree.databases.keys());
    found.retain(|holder| holder.pid != std::process::id());
    Ok(found)
}
