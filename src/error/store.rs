//! Errors of the backups directory and of the archives in it.

use super::{Kind, bytes};
use std::path::PathBuf;

/// A backup that cannot be found, read, trusted or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The text is not a backup id.
    #[error("`{text}` is not a backup id (they look like `20261120T131907Z-3f9a2c`)")]
    BadId {
        /// What was given.
        text: String,
    },
    /// The text is no time.
    #[error("`{text}` is not a valid time")]
    BadTime {
        /// The text.
        text: String,
    },
    /// The directory holds no backup at all.
    #[error("there is no backup in `{}`", store.display())]
    Empty {
        /// The backups directory.
        store: PathBuf,
    },
    /// There are safety backups alone, which `latest` never means.
    #[error("there is no backup in `{}` but those that restores took of the state before them", store.display())]
    OnlySafety {
        /// The backups directory.
        store: PathBuf,
        /// The newest of them.
        newest: String,
    },
    /// The text is not a way to compress.
    #[error("`compression` is `gzip`, `zstd` or `none`, not `{text}`")]
    BadCompression {
        /// What was given.
        text: String,
    },
    /// No backup answers to the selector.
    #[error("no backup `{selector}` in `{}`", store.display())]
    NotFound {
        /// The id, prefix or word asked for.
        selector: String,
        /// The backups directory.
        store: PathBuf,
    },
    /// Several backups begin with the prefix.
    #[error("`{prefix}` is the beginning of several backups: {}", matches.join(", "))]
    Ambiguous {
        /// The prefix asked for.
        prefix: String,
        /// The ids that begin with it.
        matches: Vec<String>,
    },
    /// The archive or its manifest is not what was written.
    #[error("the backup `{}` is damaged: {reason}", archive.display())]
    Damaged {
        /// The archive or the manifest file.
        archive: PathBuf,
        /// What differs.
        reason: String,
    },
    /// The archive contains something that piton never writes.
    #[error("the archive `{}` is refused: {reason}", archive.display())]
    Hostile {
        /// The archive.
        archive: PathBuf,
        /// The entry and what is wrong with it.
        reason: String,
    },
    /// The backup was written by a newer piton.
    #[error(
        "the backup `{}` was made by a newer piton: its format is {format}, this piton reads up to {known}",
        archive.display()
    )]
    NewerFormat {
        /// The archive or the manifest file.
        archive: PathBuf,
        /// The format that the manifest names.
        format: u32,
        /// The newest format this piton knows.
        known: u32,
    },
    /// The text is no age recipient.
    #[error("`{text}` is no age recipient: {reason}")]
    BadRecipient {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The identity file has no identities, or something else.
    #[error("`{}` is no file of age identities: {reason}", path.display())]
    BadIdentity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never its content.
        reason: String,
    },
    /// What is encrypted cannot be opened without an identity.
    #[error("`{}` is encrypted, and no identity is named", archive.display())]
    NoIdentity {
        /// The archive or the manifest file.
        archive: PathBuf,
    },
    /// The identity does not open it.
    #[error("`{}` is not encrypted to any identity in `{}`", archive.display(), identity.display())]
    WrongIdentity {
        /// The archive or the manifest file.
        archive: PathBuf,
        /// The identity file.
        identity: PathBuf,
    },
    /// This piton was built without encryption.
    #[error("`{}` is encrypted, and this piton was built without encryption", archive.display())]
    NoEncryption {
        /// The archive or the manifest file.
        archive: PathBuf,
    },
    /// There is not enough room, found out before anything was written.
    #[error("`{}` has {} free, and {} are needed", path.display(), bytes(*free), bytes(*needed))]
    NoSpace {
        /// Where it would be written.
        path: PathBuf,
        /// Bytes that may be written there.
        free: u64,
        /// Bytes needed, the reserve included.
        needed: u64,
    },
    /// The same for a backup, with what pruning could do about it.
    #[error(
        "`{}` has {} free, and {} are needed for the backup; the backups there take {}, of which `piton prune` would free {}",
        path.display(), bytes(*free), bytes(*needed), bytes(*taken), bytes(*prunable)
    )]
    NoRoom {
        /// The backups directory.
        path: PathBuf,
        /// Bytes that may be written there.
        free: u64,
        /// Bytes needed, the reserve included.
        needed: u64,
        /// Bytes of the backups that are there.
        taken: u64,
        /// Bytes of those that no rule of retention keeps.
        prunable: u64,
    },
    /// The group or every user of the machine may write to the backups directory.
    #[error("the backups directory `{}` may be written to by others", path.display())]
    Open {
        /// The backups directory.
        path: PathBuf,
    },
    /// Nothing that is compared answers to the filter.
    #[error("nothing on either side matches `{pattern}`")]
    NothingCompared {
        /// The filter.
        pattern: String,
    },
    /// The backups directory belongs to somebody else, who is not root.
    #[error("the backups directory `{}` belongs to another user, who could change what is written there", path.display())]
    OfAnother {
        /// The backups directory.
        path: PathBuf,
    },
    /// A pattern of an include or exclude list is malformed.
    #[error("the pattern `{pattern}` is malformed: {reason}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it, and where.
        reason: String,
    },
}

impl StoreError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::BadId { .. }
            | Self::BadTime { .. }
            | Self::BadCompression { .. }
            | Self::Empty { .. }
            | Self::OnlySafety { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::NothingCompared { .. }
            | Self::BadRecipient { .. }
            | Self::BadIdentity { .. }
            | Self::NoIdentity { .. }
            | Self::WrongIdentity { .. }
            | Self::NoEncryption { .. }
            | Self::BadPattern { .. } => Kind::Usage,
            Self::Damaged { .. } | Self::Hostile { .. } => Kind::Damaged,
            Self::NewerFormat { .. }
            | Self::NoSpace { .. }
            | Self::NoRoom { .. }
            | Self::Open { .. }
            | Self::OfAnother { .. } => Kind::Refused,
        }
    }

    /// What to type next, for the causes that have one remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadId { .. } | Self::NotFound { .. } => {
                Some("`piton backups` lists what there is".into())
            }
            Self::BadCompression { .. } => {
                Some("`gzip` is what every tar unpacks, `zstd` is smaller and faster".into())
            }
            Self::Empty { .. } => {
                Some("take one with `piton backup`, or check `--backups`".into())
            }
            Self::OnlySafety { newest, .. } => Some(format!(
                "`piton backups` lists them; `piton restore {newest}` shows what the newest would change"
            )),
            Self::BadTime { .. } => {
                Some("write it like `2026-11-29 22:00` or `2026-11-29`; times are UTC".into())
            }
            Self::Ambiguous { .. } => Some("type one of these ids, or a few more characters of one".into()),
            Self::Damaged { .. } | Self::Hostile { .. } => Some(
                "nothing was changed; `piton backups` lists the others, `piton verify ID` checks one"
                    .into(),
            ),
            Self::BadRecipient { .. } => {
                Some("recipients look like `age1…`; `age-keygen -y FILE` prints that of an identity".into())
            }
            Self::BadIdentity { .. } => {
                Some("name the file that `age-keygen` wrote; one with a passphrase is to be decrypted first".into())
            }
            Self::NoIdentity { .. } => {
                Some("name the file of the identity with `--identity FILE` or PITON_IDENTITY".into())
            }
            Self::WrongIdentity { .. } => Some(
                "name another with `--identity FILE`; `piton backups ID` lists the recipients, `piton verify ID` tells whether the file is damaged"
                    .into(),
            ),
            Self::NoEncryption { .. } => {
                Some("install piton with its feature `encryption`, or decrypt it: `age -d -i IDENTITY FILE`".into())
            }
            Self::NewerFormat { .. } => Some("update piton on this machine".into()),
            Self::NoRoom { prunable: 0, .. } => Some(
                "free some space, name another disk with `--backups`, or keep fewer backups with `[retention]`"
                    .into(),
            ),
            Self::NoSpace { .. } | Self::NoRoom { .. } => {
                Some("free some space (`piton prune --dry-run` shows what old backups hold), or name another disk with `--backups`".into())
            }
            Self::Open { path } => Some(format!("close it: `chmod go-w {}`", path.display())),
            Self::NothingCompared { .. } => {
                Some("`piton backups ID --json` lists the paths in a backup".into())
            }
            Self::OfAnother { path } => Some(format!(
                "run piton as its owner (`sudo -u`), or make it root's: `chown root {}`",
                path.display()
            )),
            Self::BadPattern { .. } => Some("`*`, `?`, `[…]` and `**/` are what patterns know".into()),
        }
    }
}
