//! Where the place is and how it is used, as `[store.offsite]` says; nothing is reached here.

use crate::store::{Reason, Retention};
use std::{fmt, path::PathBuf, time::Duration};

/// The place and the rules for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub location: Location,
    /// The reasons of backups after which the copy is made at once; the others are copied at the
    /// next opportunity.
    pub copy_after: Vec<Reason>,
    /// Which copies are kept there.
    pub retention: Retention,
    /// At most so many bytes a second, both ways together.
    pub bandwidth: Option<u64>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long without progress a place that does not answer is asked again.
    pub patience: Duration,
}

/// A place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine's file system, such as a mounted disk.
    Folder(PathBuf),
    /// A bucket of an object store that speaks S3.
    Bucket(Bucket),
    /// A folder on a server that speaks SFTP.
    Server(Server),
}

/// A bucket of an object store that speaks S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What every key begins with: empty, or with a slash at its end.
    pub prefix: String,
    /// The address of the object store; that of Amazon where there is none.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// How the bucket is named in an address.
    pub addressing: Addressing,
    /// A file with the keys; the environment's where there is none.
    pub credentials: Option<PathBuf>,
    /// A file with the certificates of the authorities that may vouch for the endpoint; those that
    /// browsers trust where there is none.
    pub ca_file: Option<PathBuf>,
}

/// How a bucket is named in an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressing {
    /// In the path: `https://host/bucket/key`.
    Path,
    /// In the host: `https://bucket.host/key`.
    #[default]
    Host,
}

/// A folder on a server that speaks SFTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// The user; whom ssh's own configuration says where there is none.
    pub user: Option<String>,
    /// The host, or the name that ssh's own configuration has for it.
    pub host: String,
    /// The port.
    pub port: Option<u16>,
    /// The folder; relative to the user's home unless it begins with a slash.
    pub path: String,
    /// The private key.
    pub identity: Option<PathBuf>,
    /// The file of known host keys.
    pub known_hosts: Option<PathBuf>,
}

impl Location {
    /// Whether an address holds a password, which must be shown nowhere.
    #[must_use]
    pub fn holds_secret(url: &str) -> bool {
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        let user = authority.split('/').next().and_then(|it| it.rsplit_once('@'));
        user.is_some_and(|(user, _)| user.contains(':'))
    }

    /// Understands an address.
    ///
    /// # Errors
    /// What is wrong with it, as a phrase.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{url}` is no place: write it like `s3://bucket/prefix`, `sftp://user@host/path` \
                 or `file:///path`"
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        if rest.contains(['?', '#']) || rest.chars().any(char::is_control) {
            return Err(wrong());
        }
        match scheme {
            "file" if rest.starts_with('/') => Ok(Self::Folder(decoded(rest)?.into())),
            "s3" => bucket(rest).ok_or_else(wrong),
            "sftp" => server(rest, url),
            _ => Err(wrong()),
        }
    }
}

fn bucket(rest: &str) -> Option<Location> {
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if name.is_empty() || !name.bytes().all(allowed) {
        return None;
    }
    let mut prefix = prefix.trim_matches('/').to_string();
    if !prefix.is_empty() {
        prefix.push('/');
    }
    Some(Location::Bucket(Bucket { name: name.into(), prefix, ..Bucket::default() }))
}

fn server(rest: &str, url: &str) -> Result<Location, String> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, authority),
    };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let number = port.parse().map_err(|_| format!("`{port}` in `{url}` is no port"))?;
            (host, Some(number))
        }
        _ => (address, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // A name that begins with a dash would be an option of ssh.
    let allowed = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._:%+".contains(&it))
    };
    if !allowed(host) || user.is_some_and(|user| !allowed(user)) {
        return Err(format!("`{url}` has no usable host or user"));
    }
    let path = decoded(path)?;
    let path = match path.strip_prefix('~') {
        Some(home) => home.trim_matches('/').to_string(),
        None => format!("/{}", path.trim_matches('/')),
    };
    let (user, host) = (user.map(Into::into), host.into());
    Ok(Location::Server(Server { user, host, port, path, ..Server::default() }))
}

/// `%XX` stands for a byte, as in every address.
fn decoded(path: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = tail.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("`{path}`: `%` stands before two digits"))?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| format!("`{path}` is no text"))
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(formatter, "file://{}", path.display()),
            Self::Bucket(bucket) => {
                write!(formatter, "s3://{}/{}", bucket.name, bucket.prefix.trim_end_matches('/'))
            }
            Self::Server(server) => {
                formatter.write_str("sftp://")?;
                if let Some(user) = &server.user {
                    write!(formatter, "{user}@")?;
                }
                match server.host.contains(':') {
                    true => write!(formatter, "[{}]", server.host)?,
                    false => formatter.write_str(&server.host)?,
                }
                if let Some(port) = server.port {
                    write!(formatter, ":{port}")?;
                }
                match server.path.starts_with('/') {
                    true => formatter.write_str(&server.path),
                    false => write!(formatter, "/~/{}", server.path),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let shown = |url: &str| Location::parse(url).map(|it| it.to_string());
        for same in [
            "file:///mnt/disk/piton",
            "s3://bucket/a/prefix",
            "sftp://ann@host:2222/srv/backups",
            "sftp://host/srv",
            "sftp://ann@[::1]:22/srv",
            "sftp://host/~/backups",
        ] {
            assert_eq!(shown(same).as_deref(), Ok(same));
        }
        assert_eq!(shown("s3://bucket").as_deref(), Ok("s3://bucket/"));
        assert_eq!(shown("file:///a%20disk").as_deref(), Ok("file:///a disk"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "",
            "/mnt/disk",
            "file://mnt",
            "ftp://host/x",
            "s3://",
            "s3:///x",
            "s3://bu cket/x",
            "s3://bucket/x?versioning",
            "sftp:///x",
            "sftp://-oProxyCommand=x/y",
            "sftp://host:port/x",
            "sftp://-l@host/x",
            "file:///%zz",
        ] {
            let found = Location::parse(wrong);
            assert!(found.is_err(), "{wrong}: {found:?}");
        }
        assert!(Location::holds_secret("sftp://ann:secret@host/x"));
        assert!(Location::holds_secret("s3://key:secret@bucket"));
        assert!(!Location::holds_secret("sftp://ann@host:22/a:b@c"));
    }
}
