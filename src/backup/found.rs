//! What the system says about a path, as small as it can be: of many files there are many.

use crate::store::{Attributes, Extended};
use chrono::{DateTime, Utc};
use std::{
    fs::Metadata,
    os::unix::fs::{FileTypeExt, MetadataExt},
};

/// What the system said about a path when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    kind: Kind,
    mode: u32,
    user: u32,
    group: u32,
    length: u64,
    stored: u64,
    device: u64,
    inode: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Folder,
    File,
    Symlink,
    Socket,
    Pipe,
    Device,
}

impl From<&Metadata> for Found {
    fn from(found: &Metadata) -> Self {
        let nanoseconds = |number: i64| u32::try_from(number).unwrap_or(0);
        let kind = found.file_type();
        Self {
            kind: match () {
                () if kind.is_dir() => Kind::Folder,
                () if kind.is_file() => Kind::File,
                () if kind.is_symlink() => Kind::Symlink,
                () if kind.is_socket() => Kind::Socket,
                () if kind.is_fifo() => Kind::Pipe,
                () => Kind::Device,
            },
            mode: found.mode(),
            user: found.uid(),
            group: found.gid(),
            length: found.len(),
            // The unit is 512 bytes whatever the file system's is (stat(2)).
            stored: found.blocks().saturating_mul(512),
            device: found.dev(),
            inode: found.ino(),
            modified: (found.mtime(), nanoseconds(found.mtime_nsec())),
            changed: (found.ctime(), nanoseconds(found.ctime_nsec())),
        }
    }
}

impl Found {
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Bytes that it takes at most when it is read: holes are not read.
    pub(crate) fn bytes(&self) -> u64 {
        if self.is_sparse() { self.stored } else { self.length }
    }

    /// Whether it has holes worth the trouble. Small ones are what file systems make of themselves.
    pub(crate) fn is_sparse(&self) -> bool {
        self.is_file() && self.stored.saturating_add(65_536) <= self.length
    }

    /// The device that it lies on.
    pub(crate) fn device(&self) -> u64 {
        self.device
    }

    /// Which file it is, whatever its name: device and inode.
    pub(crate) fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// When it was changed in any way.
    pub(crate) fn changed(&self) -> DateTime<Utc> {
        let (seconds, nanoseconds) = self.changed;
        DateTime::from_timestamp(seconds, nanoseconds).unwrap_or_default()
    }

    /// What changes when it is written to: length, and the times of the content and of the inode.
    pub(crate) fn stamp(&self) -> (u64, (i64, u32), (i64, u32)) {
        (self.length, self.modified, self.changed)
    }

    /// Permissions, owner and time as a manifest has them; extended attributes are read apart.
    pub(crate) fn attributes(&self) -> Attributes {
        let (seconds, nanoseconds) = self.modified;
        Attributes {
            mode: self.mode & 0o7777,
            user: self.user,
            group: self.group,
            modified: DateTime::from_timestamp(seconds, nanoseconds).unwrap_or_default(),
            extended: Extended::default(),
        }
    }
}
