//! The `[backup]` keys of `piton.toml`, and the encryption keys that they name.

use super::{Project, world};
use crate::{
    Result, disk, records,
    store::{Keys, SECRET},
};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Whom backups are encrypted to, what opens them, and the room that they leave.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BackupKeys {
    /// The age recipients that new backups are encrypted to.
    pub recipients: Option<Spanned<Vec<String>>>,
    /// The file of the age identities that open backups.
    pub identity: Option<Spanned<PathBuf>>,
    /// What a backup leaves free, such as `1GiB`.
    pub reserve: Option<Spanned<String>>,
    /// How often one is promised, such as `1d`: `status` says if the newest is older.
    pub every: Option<Spanned<String>>,
}

/// The file of the secret that tells this machine alone that content is unchanged. It is in the
/// private folder, which no backup holds.
const SECRET_FILE: &str = "likeness";

/// The keys that settings name.
///
/// # Errors
/// [`crate::error::StoreError::BadRecipient`].
pub(super) fn keys(
    recipients: &[String],
    identity: Option<PathBuf>,
    data: &Path,
) -> Result<Keys, crate::error::StoreError> {
    // Where that folder is not this user's, backups are made without one, or say so.
    let secret = records::private(data).ok().map(|folder| folder.join(SECRET_FILE));
    Keys::new(recipients, identity, secret)
}

impl Project {
    /// Makes the secret, where backups are encrypted and there is none; the caller holds the lock.
    pub(super) fn make_secret(&self) -> Result<()> {
        if !self.config.keys.encrypts() {
            return Ok(());
        }
        let path = records::make_private(&self.config.data)?.join(SECRET_FILE);
        if disk::find(&path)?.is_some() {
            return Ok(());
        }
        // Without one, unchanged content is stored again, and nothing worse.
        let Some(secret) = world::secret::<SECRET>() else { return Ok(()) };
        Ok(disk::write_atomic("likeness", &path, disk::PRIVATE_FILE, &secret)?)
    }
}
