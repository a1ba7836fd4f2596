//! `piton.toml`: its keys, what overrides them, and what they are when nobody says.
//!
//! Precedence: flag, environment, file, default. Flags and environment arrive as [`Overrides`];
//! the library itself reads neither.

mod allow;
mod apart;
mod archives;
mod deploy;
mod locate;
mod nightly;
mod parse;

pub use deploy::DeployConfig;
pub use locate::Naming;
pub(super) use locate::spelt;

use self::{
    locate::{Located, located},
    parse::parse,
};
use super::{
    drill::{DrillConfig, DrillKeys},
    notify::{Notify, NotifyKeys},
    offsite_keys::StoreKeys,
    retention::{RetentionKeys, size},
    sealing::BackupKeys,
};
use crate::{
    Result, database,
    deploy::Settings as DeployKeys,
    disk,
    error::{Place, ProjectError},
    history::{FolderRules, duration},
    offsite,
    plan::{HouseRule, Level, Policy, Rules},
    records,
    store::{Compression, Filter, Keys, RESERVE, Retention},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};
use toml::Spanned;

/// The file's name where no other is given.
pub const FILE: &str = "piton.toml";

/// Every key of the file, as it stands there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// The data directory.
    pub data: Option<Spanned<PathBuf>>,
    /// The migrations folder.
    pub migrations: Option<Spanned<PathBuf>>,
    /// The scripts folder.
    pub scripts: Option<Spanned<PathBuf>>,
    /// The backups directory.
    pub backups: Option<Spanned<PathBuf>>,
    /// The default database, inside the data directory.
    pub database: Option<Spanned<PathBuf>>,
    /// Patterns of what a backup leaves out.
    pub exclude: Option<Spanned<Vec<String>>>,
    /// Patterns of what a backup holds, where that is not everything.
    pub include: Option<Spanned<Vec<String>>>,
    /// Patterns of what lies in the migrations folder and is no migration.
    pub ignore: Option<Spanned<Vec<String>>>,
    /// `scripts`: a folder of unnumbered scripts that look for themselves whether they are needed.
    pub format: Option<Spanned<String>>,
    /// `gzip`, `zstd` or `none`.
    pub compression: Option<Spanned<String>>,
    /// How long to wait for other writers.
    pub busy_timeout: Option<Spanned<String>>,
    /// The time limit of scripts that declare none.
    pub script_timeout: Option<Spanned<String>>,
    /// How long a backup may hold up writers.
    pub barrier_limit: Option<Spanned<String>>,
    /// Migrations change schemas only; data operations lie in the scripts folder.
    pub schema_only: Option<bool>,
    /// What is done about findings, by their codes.
    pub findings: Option<Spanned<BTreeMap<String, Level>>>,
    /// Findings that are intended, for files that must not be edited: by version, then by code.
    #[serde(default)]
    pub allow: allow::Keys,
    /// Print JSON.
    pub json: Option<bool>,
    /// Do not ask.
    pub yes: Option<bool>,
    /// Print less.
    pub quiet: Option<bool>,
    /// `auto`, `always` or `never`.
    pub color: Option<Spanned<String>>,
    /// Which backups are kept.
    #[serde(default)]
    pub retention: RetentionKeys,
    /// Where backups are copied to.
    #[serde(default)]
    pub store: StoreKeys,
    /// How a deploy goes.
    #[serde(default)]
    pub deploy: DeployKeys,
    /// How backups are encrypted.
    #[serde(default)]
    pub backup: BackupKeys,
    /// What proves a backup.
    #[serde(default)]
    pub drill: DrillKeys,
    /// Who is told when something ended badly.
    #[serde(default)]
    pub notify: NotifyKeys,
    /// Targets by name.
    #[serde(default)]
    pub targets: BTreeMap<String, TargetKeys>,
}

/// The keys of one target.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TargetKeys {
    /// A database or a pattern of databases, inside the data directory.
    pub databases: Spanned<String>,
    /// Its migrations folder; a subfolder of the migrations folder with its name where not given.
    pub migrations: Option<Spanned<PathBuf>>,
}

/// What flags and environment say.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The data directory.
    pub data: Option<PathBuf>,
    /// The migrations folder.
    pub migrations: Option<PathBuf>,
    /// The scripts folder.
    pub scripts: Option<PathBuf>,
    /// The backups directory.
    pub backups: Option<PathBuf>,
    /// The default database.
    pub database: Option<PathBuf>,
    /// Patterns of what a backup leaves out; they replace those of the file.
    pub exclude: Vec<String>,
    /// Patterns of what a backup holds; they replace those of the file.
    pub include: Vec<String>,
    /// `gzip`, `zstd` or `none`.
    pub compression: Option<String>,
    /// The age recipients that backups are encrypted to; they replace those of the file.
    pub recipients: Vec<String>,
    /// The file of the age identities that open backups.
    pub identity: Option<PathBuf>,
    /// How long to wait for other writers.
    pub busy_timeout: Option<String>,
    /// The time limit of scripts that declare none.
    pub script_timeout: Option<String>,
    /// How long a backup may hold up writers.
    pub barrier_limit: Option<String>,
    /// Migrations change schemas only; data operations lie in the scripts folder.
    pub schema_only: Option<bool>,
}

/// A checked configuration; every path is relative to the current folder or absolute.
#[derive(Clone, Debug)]
pub struct Config {
    /// The configuration file, where there is one.
    pub path: Option<PathBuf>,
    /// The folder of the configuration file, where scripts run.
    pub root: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// The migrations folder.
    pub migrations: PathBuf,
    /// The scripts folder.
    pub scripts: PathBuf,
    /// The backups directory.
    pub backups: PathBuf,
    /// The default database, relative to the data directory.
    pub database: PathBuf,
    /// Whether a person named that database.
    pub naming: Naming,
    /// Patterns of what a backup leaves out.
    pub exclude: Vec<String>,
    /// Patterns of what a backup holds; with none, everything.
    pub include: Vec<String>,
    /// How migrations folders are read.
    pub folder_rules: FolderRules,
    /// Findings that are intended, by `VERSION` or `TARGET/VERSION`.
    pub allow: allow::Allowed,
    /// How archives are compressed.
    pub compression: Compression,
    /// How long to wait for other writers.
    pub busy_timeout: Duration,
    /// The time limit of scripts that declare none.
    pub script_timeout: Duration,
    /// How long a backup may hold up writers.
    pub barrier_limit: Duration,
    /// What is wanted of migrations.
    pub rules: Rules,
    /// Whom backups are encrypted to, and what opens them.
    pub keys: Keys,
    /// Bytes that a backup leaves free.
    pub reserve: u64,
    /// Which backups are kept.
    pub retention: Retention,
    /// Where backups are copied to, where that is wanted.
    pub offsite: Option<offsite::Settings>,
    /// How a deploy goes.
    pub deploy: DeployConfig,
    /// What a drill does.
    pub drill: DrillConfig,
    /// How often a backup is promised.
    pub backup_every: Option<Duration>,
    /// Who is told when something ended badly.
    pub notify: Option<Notify>,
    /// Targets by name: pattern of databases, migrations folder.
    pub targets: BTreeMap<String, (String, Option<PathBuf>)>,
    /// The file as it stands, for what concerns only the command line.
    pub file: File,
}

impl Config {
    /// What backups leave out.
    ///
    /// # Errors
    /// [`crate::error::StoreError::BadPattern`].
    pub(super) fn left_out(&self) -> Result<Filter> {
        Ok(Filter::leaving_out(&self.exclude, &self.include)?)
    }

    /// Reads the file, if there is one, and applies what overrides it.
    ///
    /// # Errors
    /// [`ProjectError::Config`] with the line, [`ProjectError::Setting`] for an override.
    pub fn load(overrides: &Overrides) -> Result<Self> {
        Self::read(overrides, Folders::MustExist)
    }

    /// The same for a question about names alone, whose folders need not be there yet.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn load_names(overrides: &Overrides) -> Result<Self> {
        Self::read(overrides, Folders::MayCome)
    }

    fn read(overrides: &Overrides, folders: Folders) -> Result<Self> {
        let path = overrides.config.clone().unwrap_or_else(|| FILE.into());
        let (text, there) = match fs::read_to_string(&path) {
            Ok(text) => (text, true),
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && overrides.config.is_none() =>
            {
                (String::new(), false)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let reason = format!("there is no file `{}`", path.display());
                return Err(ProjectError::Setting { name: "--config".into(), reason }.into());
            }
            Err(error) => return Err(disk::failed("read", &path)(error).into()),
        };
        let file = parse(&path, &text)?;
        let located = located(overrides, &file, path.parent().unwrap_or(Path::new("")));
        let located = located
            .map_err(|reason| ProjectError::Setting { name: "--database".into(), reason })?;
        let deploy = Some(file.deploy.clone());
        let reader = Reader { path: &path, text: &text, overrides, folders, located, deploy };
        let config = Self { path: there.then_some(path.clone()), ..reader.config(file)? };
        config.require_apart()?;
        // Records are looked for before there is a project: which release a deploy went on with.
        records::keep_beside(&config.data, &config.backups);
        Ok(config)
    }
}

fn patterns(over: &[String], file: Option<&Spanned<Vec<String>>>) -> Vec<String> {
    match file {
        Some(patterns) if over.is_empty() => patterns.get_ref().clone(),
        _ => over.to_vec(),
    }
}

/// Whether a folder that the file names must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Folders {
    MustExist,
    MayCome,
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    overrides: &'a Overrides,
    folders: Folders,
    located: Located,
    deploy: Option<DeployKeys>,
}

impl Reader<'_> {
    fn config(&self, file: File) -> Result<Config> {
        let over = self.overrides;
        let parent = self.path.parent().unwrap_or(Path::new(""));
        let root = if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.into() };
        let database = match (&over.database, &file.database) {
            (None, Some(path)) => self.database(Some(path.span()))?,
            _ => self.database(None)?,
        };
        let exclude = patterns(&over.exclude, file.exclude.as_ref());
        let include = patterns(&over.include, file.include.as_ref());
        let folder_rules = self.folder_rules(&file)?;
        let retention = file.retention.rules();
        let retention = retention.map_err(|(span, reason)| self.wrong(span, reason))?;
        let offsite = self.offsite(&file, parent)?;
        let mut targets = BTreeMap::new();
        for (name, keys) in &file.targets {
            let folder = keys.migrations.as_ref().map(|path| self.existing("migrations", path));
            let databases = keys.databases.get_ref();
            if !database::lies_inside(Path::new(databases)) {
                let reason = "`databases`: they lie inside the data directory".to_string();
                return Err(self.wrong(keys.databases.span(), reason));
            }
            targets.insert(name.clone(), (databases.clone(), folder.transpose()?));
        }
        let allow = allow::read(&file.allow).map_err(|(span, reason)| self.wrong(span, reason))?;
        if let Some(color) = &file.color
            && !["auto", "always", "never"].contains(&color.get_ref().as_str())
        {
            let reason =
                format!("`color` is `auto`, `always` or `never`, not `{}`", color.get_ref());
            return Err(self.wrong(color.span(), reason));
        }
        Ok(Config {
            path: None,
            data: self.located.data.clone(),
            migrations: self.folder(
                over.migrations.as_ref(),
                file.migrations.as_ref(),
                "migrations",
            )?,
            scripts: self.folder(over.scripts.as_ref(), file.scripts.as_ref(), "scripts")?,
            backups: self.path_of(over.backups.as_ref(), file.backups.as_ref(), "backups"),
            database,
            naming: self.located.naming,
            exclude,
            include,
            folder_rules,
            allow,
            compression: self.compression(file.compression.as_ref())?,
            busy_timeout: self.time(
                "busy-timeout",
                over.busy_timeout.as_ref(),
                file.busy_timeout.as_ref(),
                5,
            )?,
            script_timeout: self.time(
                "script-timeout",
                over.script_timeout.as_ref(),
                file.script_timeout.as_ref(),
                3600,
            )?,
            barrier_limit: self.time(
                "barrier-limit",
                over.barrier_limit.as_ref(),
                file.barrier_limit.as_ref(),
                2,
            )?,
            rules: self.rules(&file)?,
            keys: self.keys(&file.backup)?,
            reserve: match &file.backup.reserve {
                Some(text) => size(text.get_ref())
                    .map_err(|reason| self.wrong(text.span(), format!("`reserve`: {reason}")))?,
                None => RESERVE,
            },
            retention,
            offsite,
            deploy: self.deploy(&file.deploy)?,
            drill: self.drill(&file.drill)?,
            backup_every: self.every(&file.backup)?,
            notify: self.notify(&file.notify, &root)?,
            targets,
            root,
            file,
        })
    }

    fn rules(&self, file: &File) -> Result<Rules> {
        let schema_only = self.overrides.schema_only.or(file.schema_only).unwrap_or(false);
        let house = if schema_only { HouseRule::SchemaOnly } else { HouseRule::Free };
        let policy = match &file.findings {
            None => Policy::default(),
            Some(levels) => Policy::new(levels.get_ref().clone())
                .map_err(|reason| self.wrong(levels.span(), format!("`findings`: {reason}")))?,
        };
        Ok(Rules { policy, house })
    }

    fn offsite(&self, file: &File, parent: &Path) -> Result<Option<offsite::Settings>> {
        let settings = file.store.offsite.as_ref().map(|keys| keys.settings(parent)).transpose();
        settings.map_err(|(span, reason)| match span {
            Some(span) => self.wrong(span, reason),
            None => ProjectError::Setting { name: "[store.offsite] url".into(), reason }.into(),
        })
    }

    /// A path of the file is relative to the file's folder, one of a flag to the current folder.
    fn path_of(
        &self,
        over: Option<&PathBuf>,
        file: Option<&Spanned<PathBuf>>,
        default: &str,
    ) -> PathBuf {
        let parent = self.path.parent().unwrap_or(Path::new(""));
        match (over, file) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => parent.join(path.get_ref()),
            (None, None) => parent.join(default),
        }
    }

    fn folder(
        &self,
        over: Option<&PathBuf>,
        file: Option<&Spanned<PathBuf>>,
        default: &'static str,
    ) -> Result<PathBuf> {
        match (over, file) {
            (None, Some(path)) => self.existing(default, path),
            _ => Ok(self.path_of(over, file, default)),
        }
    }

    fn existing(&self, key: &str, path: &Spanned<PathBuf>) -> Result<PathBuf> {
        let found = self.path.parent().unwrap_or(Path::new("")).join(path.get_ref());
        let may_come =
            self.folders == Folders::MayCome || self.comes_with_a_release(path.get_ref());
        if may_come || found.is_dir() {
            return Ok(found);
        }
        let reason = format!("`{key}`: there is no folder `{}`", found.display());
        Err(self.wrong(path.span(), reason))
    }

    /// Scripts find the database's whole path in `PITON_DATABASE`; a piton that they call
    /// understands it.
    fn database(&self, span: Option<Range<usize>>) -> Result<PathBuf> {
        let path = &self.located.database;
        if database::lies_inside(path) {
            return Ok(path.components().collect());
        }
        let reason = "the database is named relative to the data directory and lies inside it";
        Err(match span {
            Some(span) => self.wrong(span, format!("`database`: {reason}")),
            None => {
                ProjectError::Setting { name: "--database".into(), reason: reason.into() }.into()
            }
        })
    }

    fn time(
        &self,
        key: &str,
        over: Option<&String>,
        file: Option<&Spanned<String>>,
        default: u64,
    ) -> Result<Duration> {
        match (over, file) {
            (Some(text), _) => duration(text).map_err(|reason| {
                ProjectError::Setting { name: format!("--{key}"), reason }.into()
            }),
            (None, Some(text)) => duration(text.get_ref())
                .map_err(|reason| self.wrong(text.span(), format!("`{key}`: {reason}"))),
            (None, None) => Ok(Duration::from_secs(default)),
        }
    }

    fn wrong(&self, span: Range<usize>, reason: String) -> crate::Error {
        let place = Place::of(self.path, self.text, span.start);
        ProjectError::Config { place, reason, nearest: None }.into()
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
