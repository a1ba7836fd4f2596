//! The `[store.offsite]` keys of `piton.toml`.

use super::retention::{RetentionKeys, size};
use crate::{
    history::duration,
    offsite::{Addressing, Bucket, Location, Server, Settings},
    store::Reason,
};
use serde::Deserialize;
use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};
use toml::Spanned;

const TIMEOUT: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);

/// The keys of `[store]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StoreKeys {
    /// Where backups are copied to.
    pub offsite: Option<OffsiteKeys>,
}

/// The keys of `[store.offsite]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OffsiteKeys {
    /// `s3://bucket/prefix`, `sftp://user@host:port/path` or `file:///path`.
    pub url: Spanned<String>,
    /// S3: the address of the object store.
    pub endpoint: Option<Spanned<String>>,
    /// S3: the region.
    pub region: Option<Spanned<String>>,
    /// S3: whether the bucket stands in the path of an address.
    pub path_style: Option<Spanned<bool>>,
    /// S3: a file with the keys.
    pub credentials: Option<Spanned<PathBuf>>,
    /// S3: a file with certificates of authorities.
    pub ca_file: Option<Spanned<PathBuf>>,
    /// SFTP: the private key.
    pub identity: Option<Spanned<PathBuf>>,
    /// SFTP: the file of known host keys.
    pub known_hosts: Option<Spanned<PathBuf>>,
    /// Bytes a second, such as `2MiB`.
    pub bandwidth: Option<Spanned<String>>,
    /// How long an answer may take.
    pub timeout: Option<Spanned<String>>,
    /// How long a place that does not answer is asked again.
    pub patience: Option<Spanned<String>>,
    /// The reasons of backups after which the copy is made at once.
    pub copy_after: Option<Vec<Reason>>,
    /// Which copies are kept there.
    #[serde(default)]
    pub retention: RetentionKeys,
}

/// What is wrong with a value, and where it stands; nowhere where the line must not be shown.
type Wrong = (Option<Range<usize>>, String);

impl OffsiteKeys {
    /// The settings that the keys state; paths are relative to `parent`.
    ///
    /// # Errors
    /// What is wrong with a value, and where it stands.
    pub fn settings(&self, parent: &Path) -> Result<Settings, Wrong> {
        if Location::holds_secret(self.url.get_ref()) {
            return Err((None, "a password does not belong there: use a key file".into()));
        }
        let location = Location::parse(self.url.get_ref())
            .map_err(|reason| (Some(self.url.span()), format!("`url`: {reason}")))?;
        let location = self.complete(location, parent)?;
        // A safety backup stands between somebody and their restored service: it goes along later.
        let usual = || vec![Reason::Run, Reason::Manual, Reason::Script, Reason::Deploy];
        let bandwidth = self.bandwidth.as_ref().map(|text| {
            let bytes = size(text.get_ref())
                .map_err(|reason| (Some(text.span()), format!("`bandwidth`: {reason}")))?;
            match bytes {
                0 => Err((
                    Some(text.span()),
                    "`bandwidth`: at nothing a second nothing arrives".into(),
                )),
                bytes => Ok(bytes),
            }
        });
        Ok(Settings {
            location,
            copy_after: self.copy_after.clone().unwrap_or_else(usual),
            retention: self.retention.rules().map_err(|(span, reason)| (Some(span), reason))?,
            bandwidth: bandwidth.transpose()?,
            timeout: time("timeout", self.timeout.as_ref(), TIMEOUT)?,
            patience: time("patience", self.patience.as_ref(), PATIENCE)?,
        })
    }

    /// Adds the keys that belong to a kind of place, and refuses those that do not.
    fn complete(&self, location: Location, parent: &Path) -> Result<Location, Wrong> {
        let path =
            |key: &Option<Spanned<PathBuf>>| key.as_ref().map(|it| parent.join(it.get_ref()));
        let text = |key: &Option<Spanned<String>>| key.as_ref().map(|it| it.get_ref().clone());
        match location {
            Location::Folder(_) => {
                self.refuse(&self.of_buckets())?;
                self.refuse(&self.of_servers())?;
                Ok(location)
            }
            Location::Bucket(bucket) => {
                self.refuse(&self.of_servers())?;
                if let Some(endpoint) = &self.endpoint
                    && !["http://", "https://"].iter().any(|it| endpoint.get_ref().starts_with(it))
                {
                    let reason = "`endpoint`: write it like `https://s3.example.org`";
                    return Err((Some(endpoint.span()), reason.into()));
                }
                // Only Amazon has a host for every bucket, and its certificates hold for one label.
                let in_path = self.path_style.as_ref().map(|it| *it.get_ref());
                let in_path =
                    in_path.unwrap_or(self.endpoint.is_some() || bucket.name.contains('.'));
                Ok(Location::Bucket(Bucket {
                    endpoint: text(&self.endpoint),
                    region: text(&self.region),
                    addressing: if in_path { Addressing::Path } else { Addressing::Host },
                    credentials: path(&self.credentials),
                    ca_file: path(&self.ca_file),
                    ..bucket
                }))
            }
            Location::Server(server) => {
                self.refuse(&self.of_buckets())?;
                Ok(Location::Server(Server {
                    identity: path(&self.identity),
                    known_hosts: path(&self.known_hosts),
                    ..server
                }))
            }
        }
    }

    fn of_buckets(&self) -> [(&'static str, Option<Range<usize>>); 5] {
        [
            ("endpoint", self.endpoint.as_ref().map(Spanned::span)),
            ("region", self.region.as_ref().map(Spanned::span)),
            ("path-style", self.path_style.as_ref().map(Spanned::span)),
            ("credentials", self.credentials.as_ref().map(Spanned::span)),
            ("ca-file", self.ca_file.as_ref().map(Spanned::span)),
        ]
    }

    fn of_servers(&self) -> [(&'static str, Option<Range<usize>>); 2] {
        [
            ("identity", self.identity.as_ref().map(Spanned::span)),
            ("known-hosts", self.known_hosts.as_ref().map(Spanned::span)),
        ]
    }

    fn refuse(&self, keys: &[(&'static str, Option<Range<usize>>)]) -> Result<(), Wrong> {
        match keys.iter().find_map(|(key, span)| Some((key, span.clone()?))) {
            Some((key, span)) => {
                let url = self.url.get_ref();
                Err((Some(span), format!("`{key}` means nothing for `{url}`")))
            }
            None => Ok(()),
        }
    }
}

fn time(key: &str, text: Option<&Spanned<String>>, default: Duration) -> Result<Duration, Wrong> {
    text.map_or(Ok(default), |text| {
        duration(text.get_ref()).map_err(|reason| (Some(text.span()), format!("`{key}`: {reason}")))
    })
}
