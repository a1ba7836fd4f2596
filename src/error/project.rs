//! Errors of configuration and of the facade's own checks.

use super::{Kind, Place};
use std::path::PathBuf;

/// A project that cannot be worked on as it is configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// `piton.toml` cannot be read as it stands.
    #[error("{place}: {reason}")]
    Config {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: String,
        /// The nearest valid key, where a key is wrong.
        nearest: Option<String>,
    },
    /// A flag or variable has a value that cannot be used.
    #[error("`{name}`: {reason}")]
    Setting {
        /// The flag or key.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A folder that a command needs does not exist.
    #[error("the {what} folder `{}` does not exist", path.display())]
    NoFolder {
        /// Which folder.
        what: &'static str,
        /// Its path.
        path: PathBuf,
    },
    /// No target has this name.
    #[error("there is no target `{name}`")]
    NoTarget {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// Two targets have histories for one database.
    #[error("`{}` belongs to two targets, `{first}` and `{second}`", database.display())]
    TwoTargets {
        /// The database, relative to the data directory.
        database: PathBuf,
        /// One target.
        first: String,
        /// The other.
        second: String,
    },
    /// Nothing could put a database back that lies on another mount.
    #[error(
        "`{}` lies on another mount than the data directory: it could not be put back if this fails",
        database.display()
    )]
    OnAnotherMount {
        /// The database, relative to the data directory.
        database: PathBuf,
    },
    /// The restore that follows a failure would find no room.
    #[error(
        "`{}` has {} free, and putting things back if this fails needs {}",
        path.display(), super::bytes(*free), super::bytes(*needed)
    )]
    NoRoomToRestore {
        /// The data directory.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// What would be changed is in no backup, so that it could not be put back.
    #[error("no backup would hold the database `{}`: {reason}", database.display())]
    NotInBackups {
        /// The database, relative to the data directory.
        database: PathBuf,
        /// Why.
        reason: String,
    },
    /// The schema lacks what a person says is done.
    #[error("the schema lacks what would be recorded as done:\n{missing}")]
    NotThere {
        /// By file, the facts, one per line.
        missing: String,
    },
    /// The data directory holds what is no data: a restore would replace that as well.
    #[error("the data directory `{}` holds {what}, which a backup would take and a restore replace", data.display())]
    HoldsSource {
        /// The data directory.
        data: PathBuf,
        /// What is in it.
        what: String,
    },
    /// What must not be written over is the folder that would be copied, or holds it.
    #[error("`{}` holds the whole folder `{}`", path.display(), folder.display())]
    HoldsFolder {
        /// The data or backups.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// Nobody can tell where a path of the configuration leads.
    #[error("it cannot be found out where `{}` leads: {reason}", path.display())]
    Unresolved {
        /// The path, or the part of it that cannot be looked at.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A path that no line of text can hold.
    #[error("`{}` has a line break in its name, or is not UTF-8", path.to_string_lossy().escape_debug())]
    Unspeakable {
        /// The path.
        path: PathBuf,
    },
    /// A file that a command would create exists.
    #[error("`{}` exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Nothing says which backup the last run took.
    #[error("no run of piton has taken a backup of this data directory")]
    NothingToRollBack,
    /// The last run is taken back already, or left nothing.
    #[error(
        "the last run, started {started}, was rolled back already, or failed and changed nothing"
    )]
    AlreadyBack {
        /// When it began.
        started: String,
    },
    /// A script holds a statement that would reach beyond its run.
    #[error("{place}: {what}")]
    NotInScript {
        /// Where.
        place: Place,
        /// What it would do.
        what: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    /// A script without a guard ran already.
    #[error("`{script}` ran on {started}, and no guard says whether it is needed again{edited}")]
    RanAlready {
        /// The script, as it was named.
        script: String,
        /// When it ran.
        started: String,
        /// A word about its text, where that is another one now.
        edited: &'static str,
    },
    /// The guard of a script cannot be asked.
    #[error("`{script}`: `skip-if: {query}`: {reason}")]
    Guard {
        /// The script's file name.
        script: String,
        /// The query.
        query: String,
        /// What SQLite says.
        reason: String,
    },
    /// A script has no statement.
    #[error("`{script}` has no statement yet")]
    Blank {
        /// The script's file name.
        script: String,
    },
    /// The last run was interrupted before it began.
    #[error(
        "the last run, started {started}, was interrupted while it took its backup, and changed nothing"
    )]
    NeverBegan {
        /// When it started.
        started: String,
    },
    /// A rollback would take rows away that were written after the run, and nobody is asked.
    #[error("{rows} rows that may have been written since the run of {started} would be lost")]
    RowsSince {
        /// How many.
        rows: u64,
        /// When the run started.
        started: String,
    },
    /// A script changes the schema.
    #[error("{place}: a script is a data operation, and this statement changes the schema")]
    SchemaInScript {
        /// Where.
        place: Place,
    },
}

impl ProjectError {
    /// The class of this error: nothing was touched.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotInBackups { .. }
            | Self::OnAnotherMount { .. }
            | Self::NoRoomToRestore { .. }
            | Self::NotThere { .. }
            | Self::SchemaInScript { .. }
            | Self::NotInScript { .. }
            | Self::RanAlready { .. }
            | Self::Guard { .. }
            | Self::Blank { .. }
            | Self::NothingToRollBack
            | Self::HoldsFolder { .. }
            | Self::Unresolved { .. }
            | Self::Unspeakable { .. }
            | Self::NeverBegan { .. }
            | Self::RowsSince { .. }
            | Self::AlreadyBack { .. } => Kind::Refused,
            _ => Kind::Usage,
        }
    }

    /// The place in a file that it is about, where there is one.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Config { place, .. }
            | Self::SchemaInScript { place }
            | Self::NotInScript { place, .. } => Some(place),
            _ => None,
        }
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config { nearest: Some(nearest), .. } => Some(format!("is `{nearest}` meant?")),
            Self::Config { place, .. } => Some(format!(
                "correct line {} of `{}`; `piton init` in an empty folder writes every key with its meaning",
                place.line,
                place.file.display()
            )),
            Self::NotThere { .. } => Some(
                "name the version that is there, or `--at 0` if none ran; `--missing` records it all the same, \
                 and what is only missing `piton up --heal` makes"
                    .into(),
            ),
            Self::Setting { .. } => Some("`piton COMMAND --help` shows what can be given".into()),
            Self::NoFolder { .. } => {
                Some("run piton in the project's folder, or make it one: `piton init`".into())
            }
            Self::NoTarget { known, .. } => Some(format!("there are: {}", known.join(", "))),
            Self::TwoTargets { .. } => Some(
                "narrow the pattern in `piton.toml`, so that each database has one target".into(),
            ),
            Self::OnAnotherMount { .. } => Some(
                "mount the whole data directory instead of a part of it, or make that folder the data directory \
                 (`data` in `piton.toml`)"
                    .into(),
            ),
            Self::NoRoomToRestore { path, .. } => Some(format!(
                "free so much on the file system of `{0}` (`df {0}`), then run the command again",
                path.display()
            )),
            Self::NotInBackups { .. } => Some(
                "move it into the data directory, or name its folder with `--data`; `exclude` is for other files"
                    .into(),
            ),
            Self::HoldsSource { .. } => Some(
                "stop the service, move the databases and other data into a folder of their own, let the \
                 service use them there, and write in `piton.toml`: data = \"data\", and database = \"app.db\" \
                 for the path in it"
                    .into(),
            ),
            Self::HoldsFolder { .. } => Some(
                "let data and backups have folders of their own, such as `data = \"data\"` and \
                 `backups = \"backups\"` in `piton.toml`"
                    .into(),
            ),
            Self::Unresolved { .. } => Some(
                "correct the link or the rights there, or name another folder in `piton.toml`"
                    .into(),
            ),
            Self::Unspeakable { .. } => Some("give it another name".into()),
            Self::Exists { .. } => Some("choose another name, or edit that file".into()),
            Self::RowsSince { .. } => Some(
                "`piton rollback --dry-run` shows them; `piton rollback --yes --save-lost FILE` saves them as SQL, \
                 `piton rollback --yes --lose-rows` goes back without them"
                    .into(),
            ),
            Self::NeverBegan { .. } | Self::AlreadyBack { .. } => {
                Some("to go further back: `piton backups`, then `piton restore ID`".into())
            }
            Self::NothingToRollBack => Some(
                "`piton backups` lists what can be put back, `piton restore ID` does it".into(),
            ),
            Self::NotInScript { hint, .. } => Some((*hint).into()),
            Self::RanAlready { script, .. } => Some(format!(
                "to run it once more: `piton run {script} --again`; a line `-- skip-if: SELECT …` at its top says when it is done"
            )),
            Self::Guard { .. } => Some("correct the query in the file's header".into()),
            Self::Blank { script } => Some(format!("write what it shall do into `{script}`")),
            Self::SchemaInScript { .. } => Some("write it as a migration: `piton new NAME`".into()),
        }
    }
}
