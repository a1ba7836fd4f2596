//! Errors of migration files and scripts.

use super::{Kind, Place};
use std::path::{Path, PathBuf};

/// A migration file that cannot be used as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A directive in a header is misspelt or has a wrong value.
    #[error("{place}: {reason}")]
    Directive {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// Two files of one folder have the same number.
    #[error("`{}` and `{}` have the same number", first.display(), second.display())]
    SameVersion {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A migration is not UTF-8 text.
    #[error("`{}` is not UTF-8 text (line {line})", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first line that is not.
        line: usize,
    },
    /// A file's name is not UTF-8.
    #[error("the name of `{}` is not UTF-8", path.display())]
    NameNotText {
        /// The file.
        path: PathBuf,
    },
    /// Nothing says what runs a file that is not SQL.
    #[error("`{}` is not SQL, and no `#!` line says what runs it", path.display())]
    NoProgram {
        /// The file.
        path: PathBuf,
    },
    /// The system takes a carriage return for a part of the interpreter's name.
    #[error("the `#!` line of `{}` ends with a carriage return (CRLF), so that the system does not find the program", path.display())]
    CarriageReturn {
        /// The file.
        path: PathBuf,
    },
    /// Files and folders beside the migrations may be meant as migrations.
    #[error("piton does not understand what is in `{}`, so it runs nothing:\n{}", folder.display(), lines(folder, files))]
    NotUnderstood {
        /// The migrations folder.
        folder: PathBuf,
        /// What is not understood.
        files: Vec<NotUnderstood>,
    },
    /// A command of the `sqlite3` shell stands among the SQL.
    #[error("{place}: `{}` is a command of the sqlite3 shell, not SQL", place.excerpt.trim())]
    ShellCommand {
        /// Where it stands.
        place: Place,
    },
    /// No script has this name.
    #[error("there is no script `{name}` in `{}`", folder.display())]
    NoSuchScript {
        /// The name asked for.
        name: String,
        /// The scripts folder.
        folder: PathBuf,
        /// The names that exist.
        known: Vec<String>,
    },
    /// No migration has this version.
    #[error("there is no migration with the version `{version}`")]
    NoSuchVersion {
        /// The version asked for.
        version: String,
    },
}

/// A file or folder that may be meant as a migration and is none that piton reads.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NotUnderstood {
    /// The file or folder.
    pub path: PathBuf,
    /// What it looks like.
    pub looks_like: String,
    /// What to do about it.
    pub advice: String,
}

/// One line for each kind, with the first names of it.
fn lines(folder: &Path, files: &[NotUnderstood]) -> String {
    const NAMES: usize = 3;
    let mut kinds: Vec<(&NotUnderstood, Vec<String>)> = Vec::new();
    for file in files {
        let name = file.path.strip_prefix(folder).unwrap_or(&file.path);
        let name = format!("`{}`", name.display());
        match kinds.iter_mut().find(|(first, _)| first.looks_like == file.looks_like) {
            Some((_, names)) => names.push(name),
            None => kinds.push((file, vec![name])),
        }
    }
    let line = |(first, names): &(&NotUnderstood, Vec<String>)| {
        let more = match names.len().saturating_sub(NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let shown = names[..names.len().min(NAMES)].join(", ");
        format!("  {shown}{more}: {}; {}", first.looks_like, first.advice)
    };
    kinds.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl HistoryError {
    /// The class of this error: nothing was touched.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotUnderstood { .. } => Kind::Refused,
            _ => Kind::Usage,
        }
    }

    /// The place in a file that it is about, where there is one.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Directive { place, .. } | Self::ShellCommand { place } => Some(place),
            _ => None,
        }
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SameVersion { second, .. } => Some(format!(
                "if both are migrations, give `{}` the next free number; if one of them takes back what the other does, move it out of the folder",
                second.display()
            )),
            Self::NoProgram { .. } => Some(
                "write what runs it as its first line, such as `#!/bin/sh` or `#!/usr/bin/env python3`"
                    .into(),
            ),
            Self::CarriageReturn { path } => {
                Some(format!("save it with plain line ends: `sed -i 's/\\r$//' {}`", path.display()))
            }
            Self::NotUnderstood { folder, files } => {
                let first = files.first().map(|file| file.path.as_path()).unwrap_or(folder);
                let name = first.strip_prefix(folder).unwrap_or(first);
                Some(format!(
                    "what is no migration of piton's can also be listed in `piton.toml`: `ignore = [\"{}\"]`",
                    name.display()
                ))
            }
            Self::ShellCommand { .. } => Some("write it as SQL, or remove the line".into()),
            Self::NotText { .. } => Some("save the file as UTF-8".into()),
            Self::NameNotText { .. } => Some("rename the file".into()),
            Self::NoSuchScript { known, .. } if known.is_empty() => {
                Some("the folder has no scripts".into())
            }
            Self::NoSuchScript { known, .. } => Some(format!("there are: {}", known.join(", "))),
            Self::NoSuchVersion { .. } => Some("`piton status` lists the versions".into()),
            Self::Directive { .. } => Some(
                "correct the line; the directives are skip-if, require, verify, database, transaction, foreign-keys, timeout and allow"
                    .into(),
            ),
        }
    }
}
