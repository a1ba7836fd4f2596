//! Targets: which databases belong to which history.
//!
//! `migrations/*` belongs to the default database, `migrations/NAME/*` to `NAME.db` or to what
//! `[targets.NAME]` says. A `database:` header moves one file to another database.

use super::config::Config;
use crate::{
    Result, database, disk,
    error::{HistoryError, NotUnderstood, ProjectError},
    history::{Allowance, Folder, Ignored, Migration, Version, discover},
    plan::Level,
};
use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// Whether a target names one database or matches any number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Databases {
    /// One, relative to the data directory; it is created where it does not exist.
    Named(PathBuf),
    /// A pattern inside the data directory; nothing is created for it.
    Matching(String),
}

/// A database or a pattern of databases, with its history.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its databases.
    pub databases: Databases,
    /// Its history.
    pub migrations: Vec<Arc<Migration>>,
    /// Scripts without numbers, which look for themselves whether they are needed: a history of its own.
    pub scripts: Vec<Arc<Migration>>,
}

/// All targets of a project, and files that are no migrations though they look like some.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// By name, the default one first.
    pub targets: Vec<Target>,
    /// Files left out, with the reason.
    pub ignored: Vec<Ignored>,
    /// Files and folders that may be meant as migrations and are not read: nothing runs beside them.
    pub not_understood: Vec<NotUnderstood>,
}

/// Reads the migrations and gives each to its target.
///
/// # Errors
/// Those of the files; a target of the configuration that has no folder.
pub fn read(config: &Config) -> Result<Targets> {
    if !config.migrations.is_dir() {
        let path = config.migrations.clone();
        return Err(ProjectError::NoFolder { what: "migrations", path }.into());
    }
    let mut found = Targets::default();
    let default = config.database.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut declared: BTreeMap<String, Databases> = BTreeMap::new();
    for (name, (pattern, _)) in &config.targets {
        declared.insert(name.clone(), Databases::parse(pattern));
    }
    for folder in discover(&config.migrations, &config.folder_rules)? {
        let Folder { name, migrations, scripts, ignored, not_understood } = folder;
        found.ignored.extend(ignored);
        found.not_understood.extend(not_understood);
        let (name, databases) = match name {
            None => (default.clone(), named(&config.database)),
            Some(name) => {
                let other = config.targets.get(&name).is_some_and(|(_, folder)| folder.is_some());
                if other {
                    continue;
                }
                let file = PathBuf::from(format!("{name}.db"));
                let databases = declared.get(&name).cloned().unwrap_or(named(file));
                (name, databases)
            }
        };
        join(&mut found.targets, Target { name, databases, migrations, scripts })?;
    }
    for (name, (pattern, folder)) in &config.targets {
        match folder {
            Some(folder) => {
                let mut only = discover(folder, &config.folder_rules)?.into_iter();
                let only = only.next().unwrap_or_default();
                found.ignored.extend(only.ignored);
                found.not_understood.extend(only.not_understood);
                let (databases, migrations) = (Databases::parse(pattern), only.migrations);
                let (name, scripts) = (name.clone(), only.scripts);
                join(&mut found.targets, Target { name, databases, migrations, scripts })?;
            }
            None if !config.migrations.join(name).is_dir() => {
                let path = config.migrations.join(name);
                return Err(ProjectError::NoFolder { what: "migrations", path }.into());
            }
            None => {}
        }
    }
    distribute(&mut found.targets)?;
    found.refuse_mixed();
    allow(&mut found.targets, config)?;
    Ok(found)
}

/// Adds what the configuration allows to the headers of the files that it names.
fn allow(targets: &mut [Target], config: &Config) -> Result<()> {
    let policy = &config.rules.policy;
    let lenient = |code: &&&str| matches!(policy.level(code), Some(Level::Ignore | Level::Warn));
    for code in ["rows-lost", "object-lost", "dangling-reference"].iter().filter(lenient) {
        let reason = "the whole project allows it".to_string();
        let allowance = Allowance { code: (*code).into(), reason };
        for migration in targets.iter_mut().flat_map(|target| &mut target.migrations) {
            Arc::make_mut(migration).header.allow.push(allowance.clone());
        }
    }
    for (key, allowances) in &config.allow {
        let (target, written) =
            key.rsplit_once('/').map_or((None, key.as_str()), |(target, it)| (Some(target), it));
        let version = Version::parse(written);
        let mut named = false;
        for found in targets.iter_mut().filter(|it| target.is_none_or(|name| it.name == name)) {
            let wanted =
                found.migrations.iter_mut().filter(|it| Some(&it.version) == version.as_ref());
            for migration in wanted {
                Arc::make_mut(migration).header.allow.extend(allowances.iter().cloned());
                named = true;
            }
        }
        if !named {
            let reason = "no migration has this version".to_string();
            return Err(ProjectError::Setting { name: format!("allow.{key}"), reason }.into());
        }
    }
    Ok(())
}

/// One database, however its path is spelt: `./logs.db` is `logs.db`.
fn named(path: impl AsRef<Path>) -> Databases {
    let parts = path.as_ref().components().filter(|part| *part != Component::CurDir);
    Databases::Named(parts.collect())
}

/// Gives the files with a `database:` header to the target of that database.
fn distribute(targets: &mut Vec<Target>) -> Result<()> {
    let mut moved = Vec::new();
    for target in targets.iter_mut() {
        let elsewhere = |migration: &Arc<Migration>| {
            let database = migration.header.database.as_ref();
            database.is_some_and(|database| target.databases != named(database))
        };
        let (away, own) = target.migrations.drain(..).partition(elsewhere);
        target.migrations = own;
        moved.extend::<Vec<_>>(away);
    }
    for migration in moved {
        let database = PathBuf::from(migration.header.database.clone().unwrap_or_default());
        let name = database.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let databases = named(&database);
        join(
            targets,
            Target { name, databases, migrations: vec![migration], scripts: Vec::new() },
        )?;
    }
    Ok(())
}

/// Adds a target; where another one has the same databases, the two have one history.
fn join(targets: &mut Vec<Target>, added: Target) -> Result<()> {
    let Some(target) = targets.iter_mut().find(|target| target.databases == added.databases) else {
        targets.push(added);
        return Ok(());
    };
    target.migrations.extend(added.migrations);
    target.scripts.extend(added.scripts);
    target.migrations.sort_by(|a, b| a.version.cmp(&b.version));
    match target.migrations.windows(2).find(|pair| pair[0].version == pair[1].version) {
        Some(pair) => {
            let (first, second) = (pair[0].path.clone(), pair[1].path.clone());
            Err(HistoryError::SameVersion { first, second }.into())
        }
        None => Ok(()),
    }
}

impl Databases {
    /// What `databases = …` of a target says.
    pub(super) fn parse(text: &str) -> Self {
        if text.contains(['*', '?', '[']) { Self::Matching(text.into()) } else { named(text) }
    }

    /// The one that is named, or those that the pattern matches now, relative to the data directory,
    /// sorted.
    pub(super) fn paths(&self, target: &str, data: &Path) -> Result<Vec<PathBuf>> {
        let pattern = match self {
            Self::Named(path) => return Ok(vec![path.clone()]),
            Self::Matching(pattern) => pattern,
        };
        let whole = format!("{}/{pattern}", glob::Pattern::escape(&data.to_string_lossy()));
        let wrong =
            |reason: String| ProjectError::Setting { name: format!("targets.{target}"), reason };
        let mut found = Vec::new();
        for path in glob::glob(&whole).map_err(|error| wrong(error.to_string()))? {
            let path = path.map_err(|error| {
                let place = error.path().to_path_buf();
                disk::failed("read", &place)(error.into())
            })?;
            // By content: a text file that happens to match is no tenant.
            if disk::is_file(&path)? && (database::sniff(&path)? || is_empty(&path)) {
                found.push(path.strip_prefix(data).unwrap_or(&path).to_path_buf());
            }
        }
        found.sort();
        Ok(found)
    }
}

impl Targets {
    /// Refuses to go on beside files that may be meant as migrations.
    ///
    /// # Errors
    /// [`HistoryError::NotUnderstood`].
    pub fn require_understood(&self, folder: &Path) -> Result<()> {
        if self.not_understood.is_empty() {
            return Ok(());
        }
        let (folder, files) = (folder.into(), self.not_understood.clone());
        Err(HistoryError::NotUnderstood { folder, files }.into())
    }

    /// Beside numbered files of the same database, scripts without numbers have no place in the order.
    fn refuse_mixed(&mut self) {
        for target in self.targets.iter_mut().filter(|target| !target.migrations.is_empty()) {
            let mixed = target.scripts.drain(..).map(|script| NotUnderstood {
                path: script.path.clone(),
                looks_like: "a script without a number, beside numbered files of the same database"
                    .into(),
                advice: "put its number in front".into(),
            });
            self.not_understood.extend(mixed);
        }
    }

    /// Whether the history of this target is one of scripts that guard themselves.
    #[must_use]
    pub fn guards_itself(&self, name: &str) -> bool {
        self.targets.iter().any(|target| target.name == name && target.is_guarding())
    }

    /// Whether a target of this name is a pattern: one failing database leaves the others.
    #[must_use]
    pub fn is_matching(&self, name: &str) -> bool {
        self.targets.iter().any(|target| target.name == name && target.is_matching())
    }
}

impl Target {
    /// Whether its history is one of scripts that guard themselves.
    #[must_use]
    pub fn is_guarding(&self) -> bool {
        self.migrations.is_empty() && !self.scripts.is_empty()
    }

    /// The databases that exist or would be created, relative to the data directory, sorted.
    ///
    /// # Errors
    /// A malformed pattern; the system's.
    pub fn paths(&self, data: &Path) -> Result<Vec<PathBuf>> {
        match &self.databases {
            // A target without migrations creates nothing.
            Databases::Named(path)
                if self.migrations.is_empty()
                    && self.scripts.is_empty()
                    && !disk::exists(&data.join(path))? =>
            {
                Ok(Vec::new())
            }
            databases => databases.paths(&self.name, data),
        }
    }

    /// Whether one failing database leaves the others to go on.
    #[must_use]
    fn is_matching(&self) -> bool {
        matches!(self.databases, Databases::Matching(_))
    }
}

fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0)
}
