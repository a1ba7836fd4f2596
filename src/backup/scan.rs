//! What lies in a data directory: databases by their content, everything else by its kind.
//!
//! It must run before this process has a connection to any database there, or be told which files
//! are already known: reading a database's first bytes would drop the locks of a connection to it.

pub(crate) use super::found::{Found, Kind};

use super::walk::{Step, Walk};
use crate::{
    Result,
    database::{self, SIDE_SUFFIXES},
    disk,
    error::BackupError,
    store::{Filter, StoredPath},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Shorter than the first bytes by which a database is known. One that was cut off behind them is
/// a damaged database, not an ordinary file.
const SMALLEST: u64 = database::MAGIC.len() as u64;
/// No database has a smaller page (SQLite file format, 1.3.2).
const SMALLEST_PAGE: u64 = 512;
/// The ends of names that people give databases.
const NAMES: [&str; 4] = ["db", "db3", "sqlite", "sqlite3"];
/// How often a directory in which names come and go is looked at.
const LOOKS: u32 = 3;

/// Which part of which directory is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) data: &'a Path,
    pub(crate) excluded: &'a Filter,
    /// Files and folders that are left out wherever they lie, such as the backups directory.
    pub(crate) left_out: &'a [PathBuf],
}

/// What is there.
#[derive(Default)]
pub(crate) struct Tree {
    pub(crate) databases: BTreeMap<StoredPath, Found>,
    /// The logs and journals of the databases.
    pub(crate) side_files: BTreeMap<StoredPath, Found>,
    pub(crate) files: BTreeMap<StoredPath, Found>,
    /// The files that are databases which SQLite cannot read here. Their logs are files as well.
    pub(crate) opaque: BTreeSet<StoredPath>,
    pub(crate) folders: BTreeMap<StoredPath, Found>,
    pub(crate) symlinks: BTreeMap<StoredPath, Found>,
    /// The data directory itself.
    root: Option<Found>,
    /// Folders in which there is something that is not part of a snapshot.
    others: BTreeSet<StoredPath>,
    /// What was seen and is not part of a snapshot, one sentence each.
    pub(crate) notes: Vec<String>,
}

impl Tree {
    /// Whether something that is not part of a snapshot is in a folder or below it.
    pub(crate) fn holds_others(&self, folder: &StoredPath) -> bool {
        let below = |path: &StoredPath| path.as_path().starts_with(folder.as_path());
        self.others.iter().any(below)
    }

    /// The database that cannot be read and that a path is, or is a log of.
    pub(crate) fn opaque_base(&self, path: &StoredPath) -> Option<StoredPath> {
        if self.opaque.contains(path) {
            return Some(path.clone());
        }
        let bases = SIDE_SUFFIXES.iter().filter_map(|suffix| base_of(path, suffix));
        bases.into_iter().find(|base| self.opaque.contains(base))
    }

    /// Finds the files that have a log of a database beside them, or its name. The name alone makes
    /// nothing of a file but that nobody may have it open while it is replaced.
    fn find_opaque(&mut self) {
        let is_named = |path: &StoredPath| {
            let extension = path.as_path().extension().and_then(|it| it.to_str());
            extension.is_some_and(|it| NAMES.contains(&it))
        };
        let mut opaque: BTreeSet<StoredPath> = BTreeSet::new();
        for (path, found) in &self.files {
            if is_named(path) && found.len() >= SMALLEST_PAGE {
                opaque.insert(path.clone());
            }
            let bases = SIDE_SUFFIXES.iter().filter_map(|suffix| base_of(path, suffix));
            opaque.extend(bases.filter(|base| self.files.contains_key(base)));
        }
        for path in &opaque {
            // It is of those who have the database open alone, and made again by the next one.
            let shared = path.with_suffix("-shm");
            if let Some(found) = self.files.remove(&shared) {
                self.side_files.insert(shared, found);
            }
            self.notes.push(format!(
                "`{path}` may be a database that cannot be read here: it is stored as a file and not checked"
            ));
        }
        self.opaque = opaque;
    }

    /// Whether no folder has changed since it was looked at.
    fn is_still(&self, data: &Path) -> bool {
        let same = |then: &Found, path: &Path| {
            let now = std::fs::symlink_metadata(path).map(|now| Found::from(&now).stamp());
            now.is_ok_and(|now| now == then.stamp())
        };
        // The directory itself may be reached through a link.
        let root = std::fs::metadata(data).map(|now| Found::from(&now).stamp());
        root.ok() == self.root.map(|then| then.stamp())
            && self.folders.iter().all(|(path, then)| same(then, &path.below(data)))
    }

    /// Everything that is there, but logs.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &StoredPath> + Clone {
        let all = [&self.databases, &self.files, &self.folders, &self.symlinks];
        all.into_iter().flat_map(|part| part.keys())
    }

    /// Bytes of all databases with their logs, and of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let all = [&self.databases, &self.side_files, &self.files];
        all.iter().flat_map(|part| part.values()).map(Found::bytes).fold(0, u64::saturating_add)
    }

    /// Bytes of the largest database with its log.
    pub(crate) fn largest_database(&self) -> u64 {
        let log = |path: &StoredPath| self.side_files.get(&path.with_suffix("-wal"));
        let whole = |(path, found): (&StoredPath, &Found)| {
            found.len().saturating_add(log(path).map_or(0, Found::len))
        };
        self.databases.iter().map(whole).max().unwrap_or(0)
    }
}

/// Looks at everything in the scope.
///
/// # Errors
/// [`BackupError::NoData`]; the system's, with the path.
pub(crate) fn scan(scope: Scope<'_>) -> Result<Tree> {
    scan_again(scope, &Tree::default())
}

/// Looks again; files that an earlier look has seen, and that have not changed, are not read.
///
/// # Errors
/// Those of [`scan`].
pub(crate) fn scan_again(scope: Scope<'_>, earlier: &Tree) -> Result<Tree> {
    if !disk::is_folder(scope.data)? {
        return Err(BackupError::NoData { data: scope.data.into() }.into());
    }
    let root = std::fs::metadata(scope.data).map_err(disk::failed("read", scope.data))?;
    let mut tree = Tree { root: Some(Found::from(&root)), ..Tree::default() };
    let mut above = BTreeMap::new();
    let mut walk = Walk::new(scope)?;
    while let Some(step) = walk.next()? {
        match step {
            Step::LeftOut(folder) => tree.others.extend(folder),
            Step::Named(folder, text) => {
                tree.others.extend(folder);
                tree.notes.push(text);
            }
            Step::Vanished(path) => tree.notes.push(format!("`{}` vanished", path.display())),
            Step::Entry(path, None, _) => {
                let path = path.display();
                tree.notes.push(format!("`{path}` has a name too long to be stored"));
            }
            // Not included itself, it may hold something that is.
            Step::Entry(_, Some(stored), found) if scope.excluded.matches(&stored) => {
                tree.others.extend(stored.parent());
                if found.kind() == Kind::Folder {
                    above.insert(stored, found);
                }
            }
            Step::Entry(path, Some(stored), found) => {
                let parents = std::iter::successors(stored.parent(), StoredPath::parent);
                let needed = parents.map_while(|path| above.remove_entry(&path));
                tree.folders.extend(needed);
                tree.sort_in(stored, &path, found, earlier)?;
            }
        }
    }
    tree.find_opaque();
    Ok(tree)
}

/// Looks again until no folder has changed meanwhile, a few times at most: what is renamed from one
/// folder to another during a look may be seen in both, or in none.
///
/// # Errors
/// Those of [`scan`].
pub(crate) fn scan_steadily(scope: Scope<'_>, earlier: &Tree) -> Result<Tree> {
    let mut tree = scan_again(scope, earlier)?;
    for _ in 1..LOOKS {
        if tree.is_still(scope.data) {
            break;
        }
        tree = scan_again(scope, &tree)?;
    }
    Ok(tree)
}

impl Tree {
    fn sort_in(
        &mut self,
        stored: StoredPath,
        path: &Path,
        found: Found,
        earlier: &Self,
    ) -> Result<()> {
        let what = match found.kind() {
            Kind::Folder => {
                self.folders.insert(stored, found);
                return Ok(());
            }
            Kind::Symlink => {
                self.symlinks.insert(stored, found);
                return Ok(());
            }
            Kind::File => return self.sort_in_file(stored, path, found, earlier),
            Kind::Socket => "a socket",
            Kind::Pipe => "a pipe",
            Kind::Device => "a device",
        };
        self.notes.push(format!("`{stored}` is {what} and is not stored"));
        self.others.extend(stored.parent());
        Ok(())
    }

    fn sort_in_file(
        &mut self,
        stored: StoredPath,
        path: &Path,
        found: Found,
        earlier: &Self,
    ) -> Result<()> {
        match self.look_into(&stored, path, &found, earlier) {
            Ok(Content::Database) => self.databases.insert(stored, found),
            Ok(Content::SideFile) => self.side_files.insert(stored, found),
            Ok(Content::Other) => self.files.insert(stored, found),
            Err(crate::Error::Disk(error)) if error.source.kind() == ErrorKind::NotFound => {
                self.notes.push(format!("`{stored}` vanished"));
                None
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn look_into(
        &self,
        stored: &StoredPath,
        path: &Path,
        found: &Found,
        earlier: &Self,
    ) -> Result<Content> {
        let is_same = |then: &Found| then.identity() == found.identity();
        if earlier.databases.get(stored).is_some_and(is_same) {
            return Ok(Content::Database);
        }
        if self.is_side_file(stored, path)? {
            return Ok(Content::SideFile);
        }
        let unchanged = |then: &Found| is_same(then) && then.stamp() == found.stamp();
        let known_other = earlier.files.get(stored).is_some_and(unchanged);
        // A second name of a database that may be open by now: do not touch it.
        let known_database = || earlier.databases.values().any(is_same);
        Ok(match () {
            () if found.len() < SMALLEST || known_other => Content::Other,
            () if known_database() || database::sniff(path)? => Content::Database,
            () => Content::Other,
        })
    }

    /// A log or journal belongs to a database of its name without the suffix, also to one that is
    /// excluded, and to one that is still empty because its first transaction is in the journal.
    fn is_side_file(&self, stored: &StoredPath, path: &Path) -> Result<bool> {
        for suffix in SIDE_SUFFIXES {
            let Some(base) = stored.as_bytes().strip_suffix(suffix.as_bytes()) else { continue };
            let Ok(base) = StoredPath::new(base) else { continue };
            if self.databases.contains_key(&base) {
                return Ok(true);
            }
            let name = base.as_path().file_name().unwrap_or_default();
            let beside = path.with_file_name(name);
            if let Some(found) = disk::find(&beside)? {
                let empty = found.len() == 0;
                return Ok(found.is_file() && (empty || database::sniff(&beside)?));
            }
        }
        Ok(false)
    }
}

/// The database that a log of this suffix belongs to.
fn base_of(path: &StoredPath, suffix: &str) -> Option<StoredPath> {
    StoredPath::new(path.as_bytes().strip_suffix(suffix.as_bytes())?).ok()
}

enum Content {
    Database,
    SideFile,
    Other,
}
