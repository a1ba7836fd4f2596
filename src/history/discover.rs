//! Finds the migrations of a folder: `<digits>_<name>.sql` and script files, in numeric order.

use super::{
    migration::{Migration, read},
    version::Version,
};
use crate::{Result, disk, error::HistoryError};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file that is no migration, and why.
#[derive(Clone, Debug)]
pub struct Ignored {
    /// The file.
    pub path: PathBuf,
    /// Why it takes no part.
    pub reason: &'static str,
}

/// The migrations of one folder, in order.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// The subfolder's name; none for the migrations folder itself.
    pub name: Option<String>,
    /// Its migrations by version.
    pub migrations: Vec<Arc<Migration>>,
    /// Files that look as if they were meant to be migrations but are not.
    pub ignored: Vec<Ignored>,
}

/// Reads the migrations folder and its direct subfolders, in the order of their names.
///
/// # Errors
/// [`HistoryError`] with the file, or two files where they have the same number.
pub fn discover(root: &Path) -> Result<Vec<Folder>> {
    let mut folders = vec![folder(root, None)?];
    for path in entries(root)? {
        if !path.is_dir() {
            continue;
        }
        let name = name_of(&path)?;
        if name.starts_with(['.', '_']) {
            continue;
        }
        folders.push(folder(&path, Some(name.into()))?);
    }
    Ok(folders)
}

/// Reads the migrations that lie directly in one folder.
///
/// # Errors
/// As [`discover`].
fn folder(path: &Path, name: Option<String>) -> Result<Folder> {
    let mut by_version: BTreeMap<Version, Arc<Migration>> = BTreeMap::new();
    let mut ignored = Vec::new();
    for file in entries(path)?.into_iter().filter(|file| !file.is_dir()) {
        let title = name_of(&file)?;
        match meaning(title) {
            Meaning::Migration(version, name) => {
                let migration = Arc::new(read(version.clone(), name, &file)?);
                if let Some(other) = by_version.insert(version, migration.clone()) {
                    let (first, second) = (other.path.clone(), migration.path.clone());
                    return Err(HistoryError::SameVersion { first, second }.into());
                }
            }
            Meaning::Ignored(reason) => ignored.push(Ignored { path: file, reason }),
            Meaning::Nothing => {}
        }
    }
    Ok(Folder { name, migrations: by_version.into_values().collect(), ignored })
}

enum Meaning<'a> {
    Migration(Version, &'a str),
    Ignored(&'static str),
    Nothing,
}

fn meaning(title: &str) -> Meaning<'_> {
    if title.starts_with('.') || title.ends_with('~') {
        return Meaning::Nothing;
    }
    let (stem, extension) = title.rsplit_once('.').unwrap_or((title, ""));
    let extension = extension.to_ascii_lowercase();
    let digits = stem.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(stem.len());
    let prose = matches!(extension.as_str(), "md" | "txt" | "rst" | "orig" | "rej" | "bak" | "swp");
    let Some(version) = Version::parse(&stem[..digits]) else {
        return match extension.as_str() {
            "sql" => Meaning::Ignored("its name does not start with a number"),
            _ => Meaning::Nothing,
        };
    };
    if prose {
        return Meaning::Nothing;
    }
    let name = stem[digits..].trim_start_matches(['_', '-', '.']);
    if extension == "sql" && name.ends_with(".down") {
        return Meaning::Ignored("a down migration: piton goes back by restoring a backup");
    }
    Meaning::Migration(version, name.trim_end_matches('.').trim_end_matches(".up"))
}

fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let listing = fs::read_dir(path).map_err(disk::failed("list the folder", path))?;
    let mut found = listing
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(disk::failed("list the folder", path))?;
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> Result<&str> {
    let name = path.file_name().unwrap_or_default();
    Ok(name.to_str().ok_or_else(|| HistoryError::NameNotText { path: path.into() })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let migration = |title: &str| match meaning(title) {
            Meaning::Migration(version, name) => Some((version.to_string(), name.to_string())),
            _ => None,
        };
        let pair = |version: &str, name: &str| Some((version.to_string(), name.to_string()));
        assert_eq!(migration("001_users.sql"), pair("001", "users"));
        assert_eq!(migration("20260101120000-add-x.sql"), pair("20260101120000", "add-x"));
        assert_eq!(migration("7.sql"), pair("7", ""));
        assert_eq!(migration("3_backfill.py"), pair("3", "backfill"));
        assert_eq!(migration("3_backfill"), pair("3", "backfill"));
        assert_eq!(migration("3_x.up.sql"), pair("3", "x"));
        assert_eq!(migration("3_x.up..sql"), pair("3", "x"));
        assert_eq!(migration("3_notes.md"), None);
        assert!(matches!(meaning("3_x.down.sql"), Meaning::Ignored(_)));
        assert!(matches!(meaning("users.sql"), Meaning::Ignored(_)));
        assert!(matches!(meaning("README.md"), Meaning::Nothing));
    }
}
