//! What a configuration calls its own: its paths as the system resolves them, and which names in
//! the current folder lead to data or backups.
//!
//! deploy.sh asks this on both sides before it copies a folder. Nothing here opens a database,
//! reads a migration, takes a lock or changes anything. What cannot be resolved is an error: a name
//! that nobody can tell must not be written over.

use super::{config::Config, targets::Databases};
use crate::{
    Result,
    database::{SIDE_SUFFIXES, side_file},
    disk,
    error::ProjectError,
    offsite::Location,
    records::{is_private, private_paths},
};
use std::{
    collections::{BTreeSet, VecDeque},
    fs, io,
    path::{Component, Path, PathBuf},
};

/// As many links as Linux follows in one path (path_resolution(7)).
const LINKS: usize = 40;

/// The paths of a project, absolute and without links, as far as they exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// The current folder, which [`Paths::inside`] is about.
    pub folder: PathBuf,
    /// The configuration file, where there is one.
    pub config: Option<PathBuf>,
    /// The data directory.
    pub data: PathBuf,
    /// The backups directory.
    pub backups: PathBuf,
    /// What piton keeps for itself in the data directory: its folders and its mark. No link of such a
    /// name is followed.
    pub private: Vec<PathBuf>,
    /// The databases that the configuration names, and those that its patterns match now.
    pub databases: Vec<PathBuf>,
    /// The migrations folder, and those of targets that have their own.
    pub migrations: Vec<PathBuf>,
    /// The scripts folder.
    pub scripts: PathBuf,
    /// The hooks folder.
    pub hooks: PathBuf,
    /// The folder of releases, where releases are kept.
    pub releases: Option<PathBuf>,
    /// The link to the current release, not followed.
    pub current: Option<PathBuf>,
    /// The folder of copies of backups, where that is one of this machine.
    pub copies: Option<PathBuf>,
    /// Names in the current folder that are data, backups or private, or links that lead there;
    /// relative to it, sorted.
    pub inside: Vec<PathBuf>,
}

impl Paths {
    /// Resolves the paths of a configuration, as seen from a folder.
    ///
    /// # Errors
    /// [`ProjectError::HoldsFolder`] where the folder itself is, or lies in, what must not be
    /// written; the system's, for a path that cannot be resolved.
    pub fn of(config: &Config, folder: &Path) -> Result<Self> {
        let folder = folder.canonicalize().map_err(disk::failed("find", folder))?;
        let resolve = |path: &Path| Ok::<_, crate::Error>(walk(&folder, path)?.end);
        let optional = |path: Option<&Path>| path.map(resolve).transpose();
        let databases = databases(config)?;
        // They are in the data directory, which is left alone as a whole. What one that is a link leads to is
        // looked for among all links there: the owner of the data can make any.
        let data = walk(&folder, &config.data)?.end;
        let private = private_paths(&data)?;
        let copies = match config.offsite.as_ref().map(|offsite| &offsite.location) {
            Some(Location::Folder(path)) => Some(path.as_path()),
            _ => None,
        };
        let mut own: Vec<PathBuf> = vec![config.data.clone(), config.backups.clone()];
        own.extend(copies.map(Path::to_path_buf));
        own.extend(databases.iter().flat_map(|path| with_side_files(path)));
        let mut inside = BTreeSet::new();
        for path in own {
            inside.extend(names(&folder, &path)?);
        }
        for link in links(&data)? {
            // Of a link inside the data, what it leads to in the folder is data too.
            inside.extend(behind(&folder, &link)?);
        }
        let migrations = config.targets.values().filter_map(|(_, own)| own.as_deref());
        let migrations = std::iter::once(config.migrations.as_path()).chain(migrations);
        let releases = config.deploy.releases.as_ref();
        Ok(Self {
            config: optional(config.path.as_deref())?,
            data,
            backups: resolve(&config.backups)?,
            private,
            databases: databases.iter().map(|path| resolve(path)).collect::<Result<_>>()?,
            migrations: migrations.map(resolve).collect::<Result<_>>()?,
            scripts: resolve(&config.scripts)?,
            hooks: resolve(&config.deploy.hooks.folder)?,
            releases: optional(releases.map(|releases| releases.folder.as_path()))?,
            current: releases
                .map(|releases| not_followed(&folder, &releases.current))
                .transpose()?,
            copies: optional(copies)?,
            inside: inside.iter().filter(|name| !is_below(name, &inside)).cloned().collect(),
            folder,
        })
    }

    /// The names inside as filter rules of rsync, one a line, for a copy of the current folder.
    ///
    /// # Errors
    /// [`ProjectError::Unspeakable`] for a name that no line can hold.
    pub fn rsync_rules(&self) -> Result<String> {
        let rules = self.inside.iter().map(|name| Ok(format!("- /{}\n", pattern(one_line(name)?))));
        rules.collect()
    }

    /// Every path as a line: its name, a tab, the path. For a shell, which reads no JSON.
    ///
    /// # Errors
    /// [`ProjectError::Unspeakable`] for a path that no line can hold.
    pub fn lines(&self) -> Result<String> {
        let mut text = String::new();
        for (name, path) in self.named() {
            text.push_str(&format!("{name}\t{}\n", one_line(path)?));
        }
        Ok(text)
    }

    fn named(&self) -> Vec<(&'static str, &Path)> {
        let mut all: Vec<(&'static str, &Path)> = vec![("folder", &self.folder)];
        all.extend(self.config.iter().map(|path| ("config", path.as_path())));
        all.extend([("data", self.data.as_path()), ("backups", self.backups.as_path())]);
        all.extend(self.private.iter().map(|path| ("private", path.as_path())));
        all.extend(self.databases.iter().map(|path| ("database", path.as_path())));
        all.extend(self.migrations.iter().map(|path| ("migrations", path.as_path())));
        all.extend([("scripts", self.scripts.as_path()), ("hooks", self.hooks.as_path())]);
        all.extend(self.releases.iter().map(|path| ("releases", path.as_path())));
        all.extend(self.current.iter().map(|path| ("current", path.as_path())));
        all.extend(self.copies.iter().map(|path| ("copies", path.as_path())));
        all.extend(self.inside.iter().map(|path| ("inside", path.as_path())));
        all
    }
}

/// The databases that the configuration names; a migration's `database:` header is inside the data
/// directory in any case.
fn databases(config: &Config) -> Result<Vec<PathBuf>> {
    let mut found = vec![config.data.join(&config.database)];
    for (name, (text, _)) in &config.targets {
        let databases = Databases::parse(text);
        let paths = databases.paths(name, &config.data)?;
        found.extend(paths.iter().map(|path| config.data.join(path)));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether a folder above a name is among the names already.
fn is_below(name: &Path, names: &BTreeSet<PathBuf>) -> bool {
    name.ancestors().skip(1).any(|above| names.contains(above))
}

fn with_side_files(path: &Path) -> Vec<PathBuf> {
    let beside = SIDE_SUFFIXES.iter().map(|suffix| side_file(path, suffix));
    std::iter::once(path.to_path_buf()).chain(beside).collect()
}

/// Where a path leads, and the links that it meets on the way.
struct Walk {
    end: PathBuf,
    links: Vec<PathBuf>,
}

/// Follows a path as the system does. What does not exist is taken as it is written.
fn walk(folder: &Path, path: &Path) -> Result<Walk> {
    let whole = folder.join(path);
    let mut left: VecDeque<PathBuf> = parts(&whole).collect();
    let mut found = Walk { end: PathBuf::from("/"), links: Vec::new() };
    while let Some(part) = left.pop_front() {
        match part.components().next() {
            Some(Component::Normal(_)) => found.end.push(&part),
            Some(Component::ParentDir) => {
                found.end.pop();
                continue;
            }
            Some(Component::RootDir) => {
                found.end = PathBuf::from("/");
                continue;
            }
            _ => continue,
        }
        match fs::symlink_metadata(&found.end) {
            Ok(metadata) if metadata.is_symlink() => {}
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unresolved(&found.end, &error)),
        }
        if found.links.len() == LINKS {
            let endless = io::Error::from(rustix::io::Errno::LOOP);
            return Err(unresolved(&whole, &endless));
        }
        let target = fs::read_link(&found.end).map_err(|error| unresolved(&found.end, &error))?;
        found.links.push(found.end.clone());
        found.end.pop();
        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
            left.push_front(part);
        }
    }
    Ok(found)
}

fn unresolved(path: &Path, error: &io::Error) -> crate::Error {
    ProjectError::Unresolved { path: path.to_path_buf(), reason: error.to_string() }.into()
}

fn parts(path: &Path) -> impl Iterator<Item = PathBuf> + use<'_> {
    path.components().map(|part| PathBuf::from(part.as_os_str()))
}

/// The names in the folder by which a path is reached: links on the way, and what it is.
fn names(folder: &Path, path: &Path) -> Result<Vec<PathBuf>> {
    let walk = walk(folder, path)?;
    if folder.starts_with(&walk.end) {
        let (path, folder) = (path.to_path_buf(), folder.to_path_buf());
        return Err(ProjectError::HoldsFolder { path, folder }.into());
    }
    let all = walk.links.iter().chain([&walk.end]);
    let relative = all.filter_map(|path| path.strip_prefix(folder).ok().map(Path::to_path_buf));
    Ok(relative.filter(|path| !path.as_os_str().is_empty()).collect())
}

/// The same of a link inside the data; one that leads to the folder or above it, or nowhere, names
/// nothing in it.
fn behind(folder: &Path, link: &Path) -> Result<Vec<PathBuf>> {
    match walk(folder, link) {
        Ok(walk) if folder.starts_with(&walk.end) => Ok(Vec::new()),
        Ok(_) => names(folder, link),
        Err(_) if is_endless(link) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn is_endless(link: &Path) -> bool {
    let endless = rustix::io::Errno::LOOP.raw_os_error();
    link.canonicalize().is_err_and(|error| error.raw_os_error() == Some(endless))
}

/// All links below a folder, which need not exist.
fn links(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(folder) = left.pop() {
        let listing = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(|error| unresolved(&folder, &error))?,
        };
        for entry in listing {
            let entry = entry.map_err(|error| unresolved(&folder, &error))?;
            let kind = entry.file_type().map_err(|error| unresolved(&entry.path(), &error))?;
            if kind.is_symlink() {
                found.push(entry.path());
            } else if kind.is_dir() && !is_private(&entry.file_name()) {
                left.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// The path of a link itself.
fn not_followed(folder: &Path, path: &Path) -> Result<PathBuf> {
    let whole = folder.join(path);
    match (whole.parent(), whole.file_name()) {
        (Some(parent), Some(name)) => Ok(walk(folder, parent)?.end.join(name)),
        _ => Ok(walk(folder, &whole)?.end),
    }
}

fn one_line(path: &Path) -> Result<&str> {
    match path.to_str() {
        Some(text) if !text.contains(['\n', '\r']) => Ok(text),
        _ => Err(ProjectError::Unspeakable { path: path.to_path_buf() }.into()),
    }
}

/// A name as a pattern of rsync: a backslash takes the meaning from a wildcard, and has one itself
/// only where there is a wildcard (rsync(1), "PATTERN MATCHING RULES").
fn pattern(name: &str) -> String {
    if !name.contains(['*', '?', '[']) {
        return name.to_string();
    }
    let mut pattern = String::new();
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
