//! Which actions turn the live directory into what the backup says; data only, nothing is touched.

use super::{
    journal::{Action, What},
    same::{self, Same},
};
use crate::{
    Result,
    backup::scan::{self, Tree},
    database::SIDE_SUFFIXES,
    disk,
    error::RestoreError,
    store::{Attributes, Bare, FileKind, FileRecord, Item, Manifest, StoredPath},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// What of the live directory is to be changed, besides what the entries say.
pub(super) struct Choice<'a> {
    pub(super) data: &'a Path,
    /// Whether a live path that the backup does not have may be moved away.
    pub(super) concerned: &'a dyn Fn(&StoredPath) -> bool,
    /// What is as the backup has it, and left alone.
    pub(super) same: &'a Same,
}

/// Compares the live tree with the entries that are to be there. What is so already needs no action.
pub(super) fn arrange(
    live: &Tree,
    items: &[Item<'_>],
    manifest: &Manifest,
    choice: &Choice<'_>,
) -> Vec<Action> {
    let concerned = choice.concerned;
    let mut wanted: BTreeMap<&StoredPath, What> = BTreeMap::new();
    let mut folders: BTreeMap<StoredPath, Option<&Attributes>> = BTreeMap::new();
    for item in items {
        match item {
            Item::File(FileRecord { path, kind: FileKind::Folder, attributes, .. }) => {
                folders.insert(path.clone(), Some(attributes));
            }
            Item::File(record) => {
                wanted.insert(&record.path, What::File);
            }
            Item::Database(record) => {
                wanted.insert(&record.path, What::Database);
            }
        }
    }
    // With a filter, the folders above what is wanted may themselves not be wanted: they are made
    // where they are missing, and left alone where they are not.
    for path in wanted.keys() {
        let mut above = path.parent();
        while let Some(folder) = above {
            above = folder.parent();
            folders.entry(folder).or_insert(None);
        }
    }
    let mut actions = displaced(live, &wanted, &folders, concerned);
    // Deepest first, so that a folder is empty by then.
    for (path, found) in live.folders.iter().rev() {
        let replaced = wanted.contains_key(path);
        let surplus = !folders.contains_key(path) && concerned(path);
        // One that holds what no backup has would stay, and be named as going once more.
        if replaced || (surplus && !live.holds_others(path)) {
            let attributes = found.attributes();
            actions.push(Action::RemoveFolder { path: path.clone(), attributes });
        }
    }
    actions.extend(kept_folders(live, manifest, folders));
    actions.extend(orphans(live, &wanted, &actions));
    let differing = wanted.into_iter().filter(|(path, _)| !choice.same.has(path));
    actions.extend(differing.map(|(path, what)| {
        // A live database that the backup has as a file still has logs to take along.
        let what = if live.databases.contains_key(path) { What::Database } else { what };
        Action::Place { path: path.clone(), what }
    }));
    let touched: BTreeSet<StoredPath> = actions.iter().filter_map(Action::parent).collect();
    actions.retain(|action| match action {
        Action::DressFolder { path, after, .. } => {
            // What comes or goes in a folder changes its time.
            touched.contains(path) || !is_dressed(choice.data, live, path, after)
        }
        _ => true,
    });
    actions
}

/// The databases that cannot be read and of which an action changes a file.
pub(super) fn opaque(live: &Tree, actions: &[Action]) -> Vec<StoredPath> {
    let bases = actions.iter().filter_map(Action::entry).filter_map(|path| live.opaque_base(path));
    let bases: BTreeSet<StoredPath> = bases.collect();
    bases.into_iter().collect()
}

fn is_dressed(data: &Path, live: &Tree, path: &StoredPath, after: &Attributes) -> bool {
    let found = live.folders.get(path);
    found.is_some_and(|found| same::is_dressed(found, &path.below(data), after, Bare::Folder))
}

/// Logs whose database is gone: they must not lie beside the one that comes, whatever the filter
/// says of them.
fn orphans(live: &Tree, wanted: &BTreeMap<&StoredPath, What>, actions: &[Action]) -> Vec<Action> {
    let databases = wanted.iter().filter(|(_, what)| **what == What::Database);
    let logs = databases.flat_map(|(path, _)| SIDE_SUFFIXES.map(|it| path.with_suffix(it)));
    logs.filter(|path| live.files.contains_key(path) && !wanted.contains_key(path))
        .filter(|path| !actions.iter().any(|action| action.entry() == Some(path)))
        .map(|path| Action::Displace { path, what: What::File })
        .collect()
}

/// The folders that are to be there: made where they are missing, else given the attributes listed.
fn kept_folders(
    live: &Tree,
    manifest: &Manifest,
    folders: BTreeMap<StoredPath, Option<&Attributes>>,
) -> Vec<Action> {
    let listed: BTreeMap<&StoredPath, &Attributes> =
        manifest.files.iter().map(|record| (&record.path, &record.attributes)).collect();
    let mut actions = Vec::new();
    for (path, after) in folders {
        match (live.folders.get(&path), after.or(listed.get(&path).copied())) {
            (None, Some(attributes)) => {
                let attributes = attributes.clone();
                actions.push(Action::MakeFolder { path, attributes });
            }
            (Some(found), Some(attributes)) if after.is_some() => {
                let (before, after) = (found.attributes(), attributes.clone());
                actions.push(Action::DressFolder { path, before, after });
            }
            // A manifest that was accepted lists every folder.
            _ => {}
        }
    }
    actions
}

fn displaced(
    live: &Tree,
    wanted: &BTreeMap<&StoredPath, What>,
    folders: &BTreeMap<StoredPath, Option<&Attributes>>,
    concerned: &dyn Fn(&StoredPath) -> bool,
) -> Vec<Action> {
    let databases = live.databases.keys().map(|path| (path, What::Database));
    let files = live.files.keys().chain(live.symlinks.keys()).map(|path| (path, What::File));
    databases
        .chain(files)
        .filter(|(path, _)| {
            let surplus = !wanted.contains_key(path) && concerned(path);
            surplus || folders.contains_key(*path)
        })
        .map(|(path, what)| Action::Displace { path: path.clone(), what })
        .collect()
}

/// Refuses where something that is to be replaced lies on another file system: it could not be
/// renamed, and so not be replaced in one instant.
///
/// # Errors
/// [`RestoreError::OtherFileSystem`] with the first such path.
pub(super) fn require_one_file_system(data: &Path, live: &Tree, actions: &[Action]) -> Result<()> {
    let root = std::fs::metadata(data).map_err(disk::failed("read", data))?;
    let device = scan::Found::from(&root).device();
    let mount = disk::mount_of(&data.join("."))?;
    let mut touched = BTreeSet::new();
    for action in actions {
        match action {
            Action::Place { path, .. }
            | Action::Displace { path, .. }
            | Action::RemoveFolder { path, .. }
            | Action::MakeFolder { path, .. } => {
                touched.extend(path.parent());
                touched.insert(path.clone());
            }
            Action::DressFolder { .. } => {}
        }
    }
    // Folders first: a mount point says more than what lies in it.
    let all = [&live.folders, &live.databases, &live.files];
    for (path, found) in all.iter().flat_map(|part| part.iter()) {
        if !touched.contains(path) {
            continue;
        }
        let path = path.below(data);
        // The same file system may be mounted here once more.
        if found.device() != device || disk::mount_of(&path)? != mount {
            return Err(RestoreError::OtherFileSystem { path }.into());
        }
    }
    Ok(())
}
