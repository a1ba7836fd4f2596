//! Errors of putting a backup back.

use super::Kind;
use std::{fmt, path::PathBuf};

/// A process that holds a database open.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileHolder {
    /// Process id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// The database, relative to the data directory.
    pub database: PathBuf,
    /// What of it.
    pub held: Held,
}

/// In which way a process holds a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// It has the database or a log of it open.
    Open,
    /// It has a file open that had its name and is deleted.
    Deleted,
    /// It has locked it; what it has open cannot be seen.
    Locked,
    /// It waits in opening it until the restore lets it.
    Opening,
}

/// Why not every process can be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Only root may look into the processes of other users.
    OtherUsers,
    /// `/proc` does not even list them.
    Hidden,
    /// Processes outside of this container or process namespace have no number here.
    Namespace,
    /// There is no `/proc`.
    NoProc,
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OtherUsers => "only root may look into processes of other users",
            Self::Hidden => "`/proc` hides processes of other users (hidepid)",
            Self::Namespace => "processes outside of this container cannot be seen",
            Self::NoProc => "there is no `/proc`",
        })
    }
}

impl fmt::Display for FileHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, command, database, held } = self;
        write!(formatter, "`{}` by pid {pid} ({command})", database.display())?;
        match held {
            Held::Open => Ok(()),
            Held::Deleted => formatter.write_str(", which works on a deleted file of that name"),
            Held::Locked => formatter.write_str(", which has locked it"),
            Held::Opening => formatter.write_str(", which was just opening it"),
        }
    }
}

/// How far a restore into open databases has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotParts {
    /// Those that have their new content.
    pub done: Vec<PathBuf>,
    /// The one that was being written: it is all old or all new.
    pub writing: Vec<PathBuf>,
    /// Those that are as before.
    pub left: Vec<PathBuf>,
}

impl fmt::Display for HotParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (&self.done, "has the content of the backup"),
            (&self.writing, "has the one or the other"),
            (&self.left, "is as before"),
        ];
        for (paths, text) in parts.iter().filter(|(paths, _)| !paths.is_empty()) {
            write!(formatter, "{} {text}, ", names(paths))?;
        }
        formatter.write_str("what was not open is as before")
    }
}

/// A restore that was refused, or that could not be finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Processes hold databases that would be replaced.
    #[error("in use: {}", list(holders))]
    InUse {
        /// Who holds what.
        holders: Vec<FileHolder>,
    },
    /// A database is held, but by whom cannot be seen from here.
    #[error("`{}` is in use by a process that cannot be seen from here{}", database.display(), because(limits))]
    HeldUnseen {
        /// The database.
        database: PathBuf,
        /// Why.
        limits: Vec<Limit>,
    },
    /// A process came to a database while it was being replaced.
    #[error("`{}` was opened while it was being replaced, by a process that cannot be seen any more", database.display())]
    OpenedMeanwhile {
        /// The database.
        database: PathBuf,
    },
    /// The data is no longer what the preview has shown.
    #[error("the data has changed since it was looked at: {}", names(changed))]
    Changed {
        /// What has changed, relative to the data directory.
        changed: Vec<PathBuf>,
        /// What shows what would be lost now.
        look: String,
    },
    /// Files that were to be left alone are something else by now.
    #[error("the data changed while the restore was prepared: {}", names(changed))]
    Unsettled {
        /// What has changed, relative to the data directory.
        changed: Vec<PathBuf>,
    },
    /// SQLite cannot copy into a live database of another page size.
    #[error("`{}` has pages of {live} bytes, the backup of {backup}: it cannot be restored while open", database.display())]
    PageSize {
        /// The database.
        database: PathBuf,
        /// Page size of the live database, in bytes.
        live: u32,
        /// Page size of the one in the backup, in bytes.
        backup: u32,
    },
    /// A part of the data directory lies on another file system.
    #[error("`{}` lies on another file system than the data directory", path.display())]
    OtherFileSystem {
        /// The folder or file.
        path: PathBuf,
    },
    /// The folder to extract into has something in it.
    #[error("`{}` is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The rows that get lost cannot be saved there.
    #[error("the rows that get lost cannot be saved to `{}`: {reason}", path.display())]
    SaveTo {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// It was killed, or the power failed.
    #[error("it was interrupted")]
    Interrupted,
    /// An open database stayed locked.
    #[error("`{}` stayed locked for {seconds} s by whoever has it open, and cannot be written to", database.display())]
    HotBusy {
        /// The database.
        database: PathBuf,
        /// How long it was tried.
        seconds: u64,
    },
    /// Nothing in the backup answers to the filter.
    #[error("nothing in backup `{backup}` matches `{pattern}`")]
    NothingMatches {
        /// The backup.
        backup: String,
        /// The filter.
        pattern: String,
    },
    /// No restore has left anything to undo.
    #[error("there is no restore to undo in `{}`", data.display())]
    NothingToUndo {
        /// The data directory.
        data: PathBuf,
    },
    /// The last restore went into open databases, which keep no old files.
    #[error("the last restore went into open databases, so there are no old files to put back")]
    UndoHot {
        /// The safety backup that holds the state before, where there is one.
        safety: Option<String>,
    },
    /// The journal of an interrupted restore cannot be read.
    #[error("the restore journal `{}` cannot be read: {reason}", path.display())]
    BadJournal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The note of a restore into open databases, which stopped in the middle, cannot be read.
    #[error(
        "a restore into open databases stopped in the middle, and its note `{}` cannot be read: {reason}",
        path.display()
    )]
    BadHotNote {
        /// The note.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The record of a restore that ended cannot be read.
    #[error("the record `{}` of an earlier restore cannot be read: {reason}", path.display())]
    BadRecord {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A step failed, and the old state was put back.
    #[error("the restore failed and the data is as before: {cause}")]
    RolledBack {
        /// Why it failed.
        cause: Box<super::Error>,
    },
    /// A step failed, and so did putting the old state back.
    #[error("the restore stopped half-way: {cause}; the old files are in `{}`", undo.display())]
    Stuck {
        /// Why it failed, and why going back failed.
        cause: String,
        /// Where the files are that were replaced so far.
        undo: PathBuf,
    },
    /// Some open databases have their new content, and the rest failed.
    #[error("the restore into open databases stopped in the middle: {parts}: {cause}")]
    HalfHot {
        /// Which is what.
        parts: Box<HotParts>,
        /// The backup that was being put back.
        backup: String,
        /// Why it stopped.
        cause: String,
        /// The safety backup that holds the state before, where there is one.
        safety: Option<String>,
    },
    /// The files put in place are not what the manifest says.
    #[error("after the restore, `{}` differs from the backup; the old files are in `{}`", path.display(), undo.display())]
    Differs {
        /// The first path that differs.
        path: PathBuf,
        /// Where the replaced files are.
        undo: PathBuf,
    },
}

impl RestoreError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::InUse { .. }
            | Self::HeldUnseen { .. }
            | Self::OpenedMeanwhile { .. }
            | Self::HotBusy { .. } => Kind::InUse,
            Self::Changed { .. } | Self::Unsettled { .. } => Kind::Refused,
            Self::PageSize { .. } | Self::OtherFileSystem { .. } => Kind::Refused,
            Self::NotEmpty { .. } | Self::SaveTo { .. } | Self::NothingMatches { .. } => {
                Kind::Usage
            }
            Self::NothingToUndo { .. } | Self::UndoHot { .. } => Kind::Refused,
            Self::RolledBack { cause } if cause.kind() == Kind::InUse => Kind::InUse,
            Self::RolledBack { .. } => Kind::Failed,
            Self::BadRecord { .. } => Kind::Failed,
            Self::BadJournal { .. }
            | Self::BadHotNote { .. }
            | Self::Interrupted
            | Self::Stuck { .. }
            | Self::HalfHot { .. }
            | Self::Differs { .. } => Kind::NotRestored,
        }
    }

    /// What to type next, for the causes that have one remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { .. } | Self::OpenedMeanwhile { .. } => Some(
                "stop the service first, or add `--hot` to restore into the open databases".into(),
            ),
            Self::HeldUnseen { limits, .. } => Some(match limits.first() {
                Some(Limit::OtherUsers | Limit::Hidden) => {
                    "stop the service first; run as root to see who it is".into()
                }
                Some(Limit::Namespace) => {
                    "stop the service first; run it on the host to see who it is".into()
                }
                _ => "stop the service first".into(),
            }),
            Self::Changed { look, .. } => {
                Some(format!("stop what writes to it; `{look}` shows what would be lost now"))
            }
            Self::Unsettled { .. } => Some("stop what writes to it, and restore again".into()),
            Self::PageSize { .. } => Some("stop the service and restore without `--hot`".into()),
            Self::OtherFileSystem { path } => Some(format!(
                "unmount `{}`, or restore the rest with `--only GLOB`, or look at all with `--to DIR`",
                path.display()
            )),
            Self::NotEmpty { .. } => Some("name a folder that is empty or does not exist".into()),
            Self::SaveTo { .. } => {
                Some("name a file that does not exist, in a folder that does".into())
            }
            Self::NothingMatches { .. } => {
                Some("`piton backups ID --json` lists the paths in a backup".into())
            }
            Self::NothingToUndo { .. } => {
                Some("`piton backups` lists the safety backups that restores took".into())
            }
            Self::UndoHot { safety } => safety
                .as_ref()
                .map(|id| format!("put its safety backup back: `piton restore {id}`")),
            Self::HalfHot { backup, safety, .. } => Some(match safety {
                Some(_) => format!(
                    "`piton restore {backup} --hot` does it again, `piton restore --undo` takes it back"
                ),
                None => format!("`piton restore {backup} --hot` does it again"),
            }),
            Self::Interrupted => None,
            Self::HotBusy { .. } => Some(
                "end what reads or writes it for so long, or stop the service and restore without `--hot`"
                    .into(),
            ),
            Self::BadJournal { .. } => {
                Some("the old files lie beside it in `undo`; move the journal away to go on".into())
            }
            Self::BadHotNote { .. } => Some(
                "some databases may be new and others old: restore all from one backup; `piton backups` \
                 lists them, and the latest of reason `safety` has the state before"
                    .into(),
            ),
            Self::BadRecord { path, .. } => Some(format!(
                "the files that it replaced lie in `{}`; `piton backups` lists the safety backup of \
                 the same state",
                path.with_file_name("tree").display()
            )),
            Self::RolledBack { cause } => cause.hint(),
            Self::Stuck { .. } => Some(
                "mend the cause and run `piton recover`: it finishes the restore or puts all back"
                    .into(),
            ),
            Self::Differs { .. } => {
                Some("`piton restore --undo` puts back what was there before".into())
            }
        }
    }
}

fn because(limits: &[Limit]) -> String {
    let texts: Vec<String> = limits.iter().map(|limit| format!("; {limit}")).collect();
    texts.concat()
}

fn names(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<String> =
        paths.iter().take(SHOWN).map(|path| format!("`{}`", path.display())).collect();
    if paths.len() > SHOWN {
        names.push(format!("and {} more", paths.len() - SHOWN));
    }
    names.join(", ")
}

fn list(holders: &[FileHolder]) -> String {
    holders.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
