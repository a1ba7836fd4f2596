//! Finds the migrations of a folder: `<digits>_<name>.sql` and script files, in numeric order.

use super::{
    migration::{Migration, read},
    version::Version,
};
use crate::{Result, disk, error::HistoryError};
use std::{
    collections::BTreeMap,
    fs,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
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
    let (files, subfolders) = entries(root)?;
    let mut folders = vec![folder(files, None)?];
    for path in subfolders {
        let name = name_of(&path)?;
        if name.starts_with(['.', '_']) {
            continue;
        }
        folders.push(folder(entries(&path)?.0, Some(name.into()))?);
    }
    Ok(folders)
}

/// Reads the migrations among the files of one folder.
///
/// # Errors
/// As [`discover`].
fn folder(files: Vec<PathBuf>, name: Option<String>) -> Result<Folder> {
    let mut found = Vec::new();
    let mut ignored = Vec::new();
    for file in files {
        match meaning(name_of(&file)?) {
            Meaning::Migration(version, name) => {
                let name = name.to_string();
                found.push((version, name, file));
            }
            Meaning::Ignored(reason) => ignored.push(Ignored { path: file, reason }),
            Meaning::Nothing => {}
        }
    }
    let mut by_version: BTreeMap<Version, Arc<Migration>> = BTreeMap::new();
    for migration in read_all(&without_down_parts(found, &mut ignored))? {
        let migration = Arc::new(migration);
        if let Some(other) = by_version.insert(migration.version.clone(), migration.clone()) {
            let (first, second) = (other.path.clone(), migration.path.clone());
            return Err(HistoryError::SameVersion { first, second }.into());
        }
    }
    Ok(Folder { name, migrations: by_version.into_values().collect(), ignored })
}

type Numbered = (Version, String, PathBuf);

/// `3_x_up.sql` and `3_x_down.sql` have one number, and the second is no migration.
fn without_down_parts(found: Vec<Numbered>, ignored: &mut Vec<Ignored>) -> Vec<Numbered> {
    let shares = |one: &Numbered| {
        found.iter().any(|other| other.0 == one.0 && other.2 != one.2 && !goes_back(&other.1))
    };
    let (down, up): (Vec<_>, Vec<_>) =
        found.iter().cloned().partition(|one| goes_back(&one.1) && shares(one));
    ignored.extend(down.into_iter().map(|(.., path)| Ignored { path, reason: DOWN_PART }));
    up
}

/// Whether a migration's name ends like that of a way back.
fn goes_back(name: &str) -> bool {
    let last = name.rsplit(['_', '-', '.']).next().unwrap_or_default();
    ["down", "undo", "rollback", "revert"].iter().any(|word| last.eq_ignore_ascii_case(word))
}

/// Reads files in their order, many of them on several threads: most of the time goes into opening
/// them.
fn read_all(found: &[Numbered]) -> Result<Vec<Migration>> {
    const MANY: usize = 200;
    let read_some = |some: &[Numbered]| -> Result<Vec<Migration>> {
        some.iter().map(|(version, name, path)| read(version.clone(), name, path)).collect()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
    if found.len() < MANY || threads < 2 {
        return read_some(found);
    }
    thread::scope(|scope| {
        let chunks = found.chunks(found.len().div_ceil(threads));
        let handles: Vec<_> = chunks.map(|chunk| scope.spawn(|| read_some(chunk))).collect();
        let mut all = Vec::with_capacity(found.len());
        for handle in handles {
            all.append(&mut handle.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(all)
    })
}

const DOWN_PART: &str = "for going back: piton never runs it, it restores a backup";

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
    if is_down_part(stem) {
        return Meaning::Ignored(DOWN_PART);
    }
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
    Meaning::Migration(version, name.trim_end_matches('.').trim_end_matches(".up"))
}

/// `x.down.sql`, `x.rollback.sql`, `x.undo.sql`, and `U3__x.sql`, without the extension.
fn is_down_part(stem: &str) -> bool {
    let end = stem.rsplit_once('.').map_or("", |(_, end)| end);
    let undo = stem.strip_prefix(['U', 'u']).and_then(|rest| rest.split_once("__"));
    ["down", "undo", "rollback"].iter().any(|word| end.eq_ignore_ascii_case(word))
        || undo.is_some_and(|(version, _)| {
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_digit() || b"._".contains(&byte))
        })
}

/// The files and the folders in a folder, each sorted.
fn entries(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let failed = || disk::failed("list the folder", path);
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let kind = entry.file_type().map_err(failed())?;
        let entry = entry.path();
        // A link is what it leads to.
        let is_folder = kind.is_dir() || (kind.is_symlink() && entry.is_dir());
        if is_folder { folders.push(entry) } else { files.push(entry) }
    }
    // By bytes: comparing paths part by part costs more and orders no better.
    files.sort_unstable_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
    folders.sort_unstable();
    Ok((files, folders))
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
        assert_eq!(migration("3_scale_down.sql"), pair("3", "scale_down"));
        for down in ["3_x.down.sql", "3_x.DOWN.sql", "3_x.rollback.sql", "x.undo.sql", "U3__x.sql"]
        {
            assert!(matches!(meaning(down), Meaning::Ignored(DOWN_PART)), "{down}");
        }
        assert!(!matches!(meaning("Users__x.sql"), Meaning::Ignored(DOWN_PART)));
        assert!(matches!(meaning("users.sql"), Meaning::Ignored(_)));
        assert!(matches!(meaning("README.md"), Meaning::Nothing));
    }
}
