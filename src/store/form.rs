//! What form an archive has, which the end of its name tells: `.tar.gz`, `.tar.zst` or `.tar`, and
//! `.age` behind it where it is encrypted.

use super::{BackupId, PARTIAL};
use crate::error::StoreError;
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path, str::FromStr};

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// `ID.tar.gz`, which every tar unpacks.
    #[default]
    Gzip,
    /// `ID.tar.zst`: smaller and faster, for a tar that knows `zstd`.
    Zstd,
    /// `ID.tar`: for data that is compressed already.
    None,
}

impl Compression {
    const ALL: [Self; 3] = [Self::Gzip, Self::Zstd, Self::None];

    /// The word that means it in `piton.toml`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl FromStr for Compression {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|it| it.word() == text);
        found.ok_or_else(|| StoreError::BadCompression { text: text.into() })
    }
}

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(super) compression: Compression,
    pub(super) secrecy: Secrecy,
}

/// Whether an archive can be read without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    Open,
    Age,
}

impl Form {
    /// All forms, in the order in which they are looked for.
    pub(super) const ALL: [Self; 6] = [
        Self { compression: Compression::Gzip, secrecy: Secrecy::Open },
        Self { compression: Compression::Zstd, secrecy: Secrecy::Open },
        Self { compression: Compression::None, secrecy: Secrecy::Open },
        Self { compression: Compression::Gzip, secrecy: Secrecy::Age },
        Self { compression: Compression::Zstd, secrecy: Secrecy::Age },
        Self { compression: Compression::None, secrecy: Secrecy::Age },
    ];

    /// The end of the names of such archives.
    pub(super) const fn suffix(self) -> &'static str {
        match (self.compression, self.secrecy) {
            (Compression::Gzip, Secrecy::Open) => ".tar.gz",
            (Compression::Zstd, Secrecy::Open) => ".tar.zst",
            (Compression::None, Secrecy::Open) => ".tar",
            (Compression::Gzip, Secrecy::Age) => ".tar.gz.age",
            (Compression::Zstd, Secrecy::Age) => ".tar.zst.age",
            (Compression::None, Secrecy::Age) => ".tar.age",
        }
    }

    /// The backup and the form that a file name means; a partial one is not meant.
    pub(super) fn of_name(name: &str) -> Option<(BackupId, Self)> {
        Self::ALL.into_iter().find_map(|form| {
            let id = name.strip_suffix(form.suffix())?.parse().ok()?;
            Some((id, form))
        })
    }

    /// The form of an archive, whether it is finished or still has its partial name.
    pub(super) fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        Self::of_name(name.strip_suffix(PARTIAL).unwrap_or(name)).map(|(_, form)| form)
    }
}
