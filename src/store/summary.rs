//! What has to be known of every backup while a new one is taken: little, because the manifests of
//! many files take much memory, and there may be many of them.

use super::{BackupId, Digest, Order, Reason, Store};
use crate::{Result, disk};
use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use std::{fmt, fs};

/// The few facts of a backup, as the file beside its archive has them; nothing in it is checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) content: Digest,
    pub(crate) reason: Reason,
    pub(crate) sequence: Option<u64>,
    created: DateTime<Utc>,
    pub(crate) archive_bytes: u64,
    /// Bytes that its files take when they are unpacked.
    pub(crate) data_bytes: u64,
    /// Whether its manifest is encrypted, so that its content is not to be known here.
    is_sealed: bool,
}

impl Summary {
    /// Whether the backup may have this content.
    pub(crate) fn may_have(&self, content: &Digest) -> bool {
        self.is_sealed || self.content == *content
    }

    /// Where the backup of this id is in the order in which backups were taken.
    pub(crate) fn order(&self, id: &BackupId) -> Order {
        Order::new(self.sequence, self.created, id.clone())
    }
}

#[derive(Deserialize)]
struct Beside {
    archive_bytes: u64,
    #[serde(default)]
    sealed: Option<Bytes>,
    manifest: Inner,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    sequence: Option<u64>,
    created: DateTime<Utc>,
    reason: Reason,
    content: Digest,
    databases: Sizes,
    files: Sizes,
}

#[derive(Deserialize)]
struct Bytes {
    data_bytes: u64,
}

/// The sizes of all records of a list.
struct Sizes(u64);

#[derive(Deserialize)]
struct Size {
    #[serde(default)]
    size: u64,
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sum;
        impl<'de> Visitor<'de> for Sum {
            type Value = u64;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<u64, A::Error> {
                let mut sum = 0_u64;
                while let Some(Size { size }) = records.next_element()? {
                    sum = sum.saturating_add(size);
                }
                Ok(sum)
            }
        }
        deserializer.deserialize_seq(Sum).map(Self)
    }
}

impl Store {
    /// The summaries of the backups whose manifest is beside them, by id, the greatest first; what
    /// cannot be read is left out, since the listing reports it.
    ///
    /// # Errors
    /// The system's, with the path; a missing directory has none.
    pub(crate) fn summaries(&self) -> Result<impl Iterator<Item = (BackupId, Summary)> + '_> {
        let mut ids: Vec<BackupId> = match fs::read_dir(self.root()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(disk::failed("read the folder", self.root())(error).into()),
            Ok(entries) => entries
                .filter_map(|entry| {
                    let name = entry.ok()?.file_name();
                    name.to_str()?.strip_suffix(super::MANIFEST)?.parse().ok()
                })
                .filter(|id| self.archive_path(id).is_file())
                .collect(),
        };
        ids.sort_unstable();
        Ok(ids.into_iter().rev().filter_map(|id| Some((id.clone(), self.summary(&id)?))))
    }

    /// All of them at once.
    ///
    /// # Errors
    /// Those of [`Store::summaries`].
    pub(crate) fn survey(&self) -> Result<Vec<(BackupId, Summary)>> {
        Ok(self.summaries()?.collect())
    }

    pub(super) fn summary(&self, id: &BackupId) -> Option<Summary> {
        let Beside { archive_bytes, sealed, manifest } =
            super::read_beside(&self.manifest_path(id)).ok()?;
        let Inner { sequence, created, reason, content, databases, files } = manifest;
        let inside = databases.0.saturating_add(files.0);
        let (is_sealed, data_bytes) = (sealed.is_some(), sealed.map_or(inside, |it| it.data_bytes));
        Some(Summary { content, reason, sequence, created, archive_bytes, data_bytes, is_sealed })
    }
}
