//! Errors of the place off the machine where backups are copied to.
//!
//! No variant holds a secret: keys and signed addresses never get here.

use super::Kind;
use std::path::PathBuf;

/// Copying to, or reading from, the place off the machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OffsiteError {
    /// A command needs the place, and none is configured.
    #[error("no place off the machine is configured")]
    NotConfigured,
    /// The place is of a kind that this piton was built without.
    #[error("this piton was built without the feature `{feature}`, which `{place}` needs")]
    NotBuilt {
        /// The place.
        place: String,
        /// The cargo feature.
        feature: &'static str,
    },
    /// Nothing says which keys to use.
    #[error("there are no credentials for `{place}`")]
    NoCredentials {
        /// The place.
        place: String,
    },
    /// Others may read the file with the keys.
    #[error("the credentials file `{}` has mode {mode:04o}: others may read it", path.display())]
    OpenCredentials {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file with the keys cannot be understood.
    #[error("the credentials file `{}` cannot be used: {reason}", path.display())]
    BadCredentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file with the certificates of authorities cannot be used.
    #[error("the file of certificates `{}` cannot be used: {reason}", path.display())]
    BadAuthorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The place cannot be reached at all; it may be later.
    #[error("cannot reach `{place}`: {reason}")]
    Unreachable {
        /// The place.
        place: String,
        /// What the system or program said.
        reason: String,
    },
    /// The connection ended in the middle, or the place is busy; it may work later.
    #[error("the connection to `{place}` broke: {reason}")]
    Broken {
        /// The place.
        place: String,
        /// What was noticed.
        reason: String,
    },
    /// The place does not accept who asks.
    #[error("`{place}` refuses access: {reason}")]
    Denied {
        /// The place.
        place: String,
        /// What it said.
        reason: String,
    },
    /// The server shows a key that is not known here.
    #[error("the host key of `{place}` is not the known one: {reason}")]
    HostKey {
        /// The place.
        place: String,
        /// What ssh said.
        reason: String,
    },
    /// Nobody who is trusted vouches for the server.
    #[error("the certificate of `{place}` is not trusted: {reason}")]
    Certificate {
        /// The place.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The bucket or folder does not exist.
    #[error("there is no {what} `{name}`")]
    Missing {
        /// `bucket` or `folder`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The two clocks differ by more than the place allows.
    #[error("`{place}` refuses the request because the clocks differ: {reason}")]
    Skew {
        /// The place.
        place: String,
        /// What it said.
        reason: String,
    },
    /// There is no room left.
    #[error("`{place}` is full: {reason}")]
    Full {
        /// The place.
        place: String,
        /// What it said.
        reason: String,
    },
    /// Nothing may be written there.
    #[error("`{place}` cannot be written to: {reason}")]
    ReadOnly {
        /// The place.
        place: String,
        /// What it said.
        reason: String,
    },
    /// The place gave an answer that has no other name here.
    #[error("`{place}` could not {action}: {reason}")]
    Failed {
        /// The place.
        place: String,
        /// What was asked of it, as a verb phrase.
        action: String,
        /// What it said.
        reason: String,
    },
    /// What lies there is not what was sent.
    #[error("`{name}` in `{place}` is damaged: {reason}")]
    Damaged {
        /// The place.
        place: String,
        /// The name of the object or file.
        name: String,
        /// What differs.
        reason: String,
    },
    /// No copy answers to the selector.
    #[error("no backup `{selector}` in `{place}`")]
    NotFound {
        /// The place.
        place: String,
        /// The id, prefix or word asked for.
        selector: String,
    },
    /// The backup is not here, and may lie off the machine.
    #[error("no backup `{selector}` in `{}`", store.display())]
    NotHere {
        /// The id, prefix or word asked for.
        selector: String,
        /// The place that may have it.
        place: String,
        /// The backups directory.
        store: PathBuf,
    },
    /// Several copies begin with the prefix.
    #[error("`{prefix}` is the beginning of several backups: {}", matches.join(", "))]
    Ambiguous {
        /// The prefix asked for.
        prefix: String,
        /// The ids that begin with it.
        matches: Vec<String>,
    },
    /// Another piton copies at this moment.
    #[error("another piton copies backups of `{}` at this moment", store.display())]
    Busy {
        /// The backups directory.
        store: PathBuf,
    },
}

impl OffsiteError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotConfigured
            | Self::NotBuilt { .. }
            | Self::NoCredentials { .. }
            | Self::OpenCredentials { .. }
            | Self::BadCredentials { .. }
            | Self::BadAuthorities { .. }
            | Self::NotFound { .. }
            | Self::NotHere { .. }
            | Self::Ambiguous { .. } => Kind::Usage,
            Self::Damaged { .. } => Kind::Damaged,
            Self::Busy { .. } => Kind::Locked,
            _ => Kind::Failed,
        }
    }

    /// Whether the same request may well succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. })
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        const AGAIN: &str = "`piton backups sync` copies what is missing";
        Some(match self {
            Self::NotConfigured => {
                "name one in `piton.toml`: `url` in `[store.offsite]`".to_string()
            }
            Self::NotBuilt { feature, .. } => {
                format!("build it with that feature: `cargo install --path . --features {feature}`")
            }
            Self::NoCredentials { .. } => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `credentials` in `[store.offsite]`".into()
            }
            Self::OpenCredentials { path, .. } => {
                format!("close it: `chmod 600 {}`", path.display())
            }
            Self::BadCredentials { .. } => {
                "it needs the lines `aws_access_key_id = …` and `aws_secret_access_key = …`".into()
            }
            Self::BadAuthorities { .. } => "it needs certificates in PEM form: `BEGIN CERTIFICATE`".into(),
            Self::Unreachable { .. } => {
                format!("check host, port and network; then {AGAIN}")
            }
            Self::Broken { .. } => format!("{AGAIN}; it goes on where this one ended"),
            Self::Denied { .. } => {
                "check the credentials, and that they may list, read, write and delete there".into()
            }
            Self::HostKey { .. } => {
                "compare the server's key with what its owner says, then add it to the known hosts: `ssh-keyscan HOST`".into()
            }
            Self::Certificate { .. } => {
                "where it has an authority of its own, name its certificate with `ca-file` in `[store.offsite]`".into()
            }
            Self::Missing { what: "folder", .. } => {
                "mount the disk or create the folder; piton does not, lest it fill the disk below a mount point".into()
            }
            Self::Missing { .. } => "create it, or correct `url` and `endpoint` in `piton.toml`".into(),
            Self::Skew { .. } => "set this machine's clock: `timedatectl status`".into(),
            Self::Full { .. } => {
                "free some space there, or set `[store.offsite.retention]` and run `piton prune`".into()
            }
            Self::ReadOnly { .. } => "make it writable for this user, or name another place".into(),
            Self::Failed { .. } => format!("look at the server's own log; then {AGAIN}"),
            Self::Damaged { .. } => {
                "where the backup is still here, `piton backups sync` copies it anew".into()
            }
            Self::NotFound { .. } => "`piton backups --offsite` lists what is there".into(),
            Self::NotHere { selector, place, .. } => format!(
                "it may lie in `{place}`: `piton backups --offsite` lists it, `piton restore {selector} --offsite` fetches it"
            ),
            Self::Ambiguous { .. } => "type a few more characters of the id".into(),
            Self::Busy { .. } => "let it end; `piton status` tells what is not copied yet".into(),
        })
    }
}
