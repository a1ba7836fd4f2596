//! Who holds a database open, found in `/proc/*/fd` by device and inode.
//!
//! Locks do not tell: an idle connection in rollback-journal mode holds none. Deleted files count
//! too, since a process may still write to them.

use crate::{database::SIDE_SUFFIXES, error::FileHolder, store::StoredPath};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    os::{fd::RawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
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

/// Files by device and inode, each with the database that it belongs to.
pub(crate) type Wanted = HashMap<(u64, u64), PathBuf>;

/// These databases and their logs.
pub(crate) fn wanted<'a>(data: &Path, databases: impl Iterator<Item = &'a StoredPath>) -> Wanted {
    let mut wanted = HashMap::new();
    for path in databases {
        let sides = SIDE_SUFFIXES.iter().map(|suffix| path.with_suffix(suffix));
        for name in [path.clone()].into_iter().chain(sides) {
            if let Ok(found) = fs::metadata(name.below(data)) {
                wanted.insert((found.dev(), found.ino()), path.as_path().to_path_buf());
            }
        }
    }
    wanted
}

/// The processes that hold one of these files, this one included, but for descriptors of its own
/// that are named.
pub(crate) fn holders(wanted: &Wanted, own: &[RawFd]) -> (Vec<FileHolder>, View) {
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
            if pid == std::process::id() && is_one_of(own, &descriptor.path()) {
                continue;
            }
            // Follows the link to the open file itself, also when its name is gone.
            if let Ok(found) = fs::metadata(descriptor.path())
                && let Some(path) = wanted.get(&(found.dev(), found.ino()))
            {
                held.insert(path);
            }
        }
        let command = || command_of(&process.path());
        holders.extend(held.into_iter().map(|path| FileHolder {
            pid,
            command: command(),
            database: path.clone(),
        }));
    }
    holders.sort_by(|one, other| (&one.database, one.pid).cmp(&(&other.database, other.pid)));
    (holders, view)
}

fn is_one_of(own: &[RawFd], descriptor: &Path) -> bool {
    let name = descriptor.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).is_some_and(|number: RawFd| own.contains(&number))
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
