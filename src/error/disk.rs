//! Errors of the file system, each with its path.

use super::Kind;
use std::{io, path::PathBuf};

/// A file system operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct DiskError {
    /// What was tried, as a verb phrase: `create`, `rename`, `read`.
    pub action: &'static str,
    /// The path it was tried on.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl DiskError {
    /// The class of this error: it failed, and everything is as before.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Failed
    }

    /// What to type next, for the causes that have one remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let path = self.path.display();
        if let Some(libc::EMFILE | libc::ENFILE) = self.source.raw_os_error() {
            return Some(
                "let piton open more files, three for each database (`ulimit -n`, or `LimitNOFILE=` of a unit), \
                 and type the same again"
                    .into(),
            );
        }
        match self.source.kind() {
            io::ErrorKind::PermissionDenied => Some(format!(
                "run piton as the user that owns `{path}`, or give that user the right to it"
            )),
            io::ErrorKind::ReadOnlyFilesystem => {
                Some(format!("`{path}` lies on a read-only file system: remount it writable"))
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("free some space (`piton prune --dry-run` shows what old backups hold)".into())
            }
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                Some(format!("something else has the name `{path}`: move it away"))
            }
            io::ErrorKind::IsADirectory => Some(format!("`{path}` is a folder: name a file")),
            io::ErrorKind::NotFound => Some(format!("check the path: `ls -ld {path}`")),
            _ => None,
        }
    }
}
