//! The keys for an object store: from a file that nobody else may read, or from the environment.
//!
//! They are never shown, and never taken from a command line, which every user of a machine sees.

use crate::{Result, disk, error::OffsiteError, offsite::World};
use rusty_s3::Credentials;
use std::{io::Read, os::unix::fs::MetadataExt, path::Path};

/// Bytes of the longest file that is read.
const LONGEST: u64 = 64 * 1024;

/// Finds the keys.
pub(super) fn find(file: Option<&Path>, shown: &str, world: &World<'_>) -> Result<Credentials> {
    let given = |name: &str| (world.variables)(name).filter(|value| !value.trim().is_empty());
    let found = match file {
        Some(path) => {
            let text = read(path)?;
            let found = assemble(&|name| value(&text, name));
            return found.ok_or_else(|| bad(path, "a key is missing").into());
        }
        None => assemble(&|name| given(&name.to_uppercase())),
    };
    found.ok_or_else(|| OffsiteError::NoCredentials { place: shown.into() }.into())
}

fn assemble(value: &dyn Fn(&str) -> Option<String>) -> Option<Credentials> {
    let (key, secret) = (value("aws_access_key_id")?, value("aws_secret_access_key")?);
    Some(match value("aws_session_token") {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    })
}

fn read(path: &Path) -> Result<String> {
    let file = disk::open_to_read(path)?;
    // Of the file that is open: the name may stand for another one by now.
    let about = file.metadata().map_err(disk::failed("read", path))?;
    if !about.is_file() {
        return Err(bad(path, "it is not an ordinary file").into());
    }
    if about.mode() & 0o077 != 0 {
        let mode = about.mode() & 0o7777;
        return Err(OffsiteError::OpenCredentials { path: path.into(), mode }.into());
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).map_err(disk::failed("read", path))?;
    String::from_utf8(bytes).map_err(|_| bad(path, "it is no text").into())
}

/// The value of a key; sections, comments and other keys are passed over.
fn value(text: &str, wanted: &str) -> Option<String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut values = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
    let value = values.next()?.1.trim().trim_matches('"');
    (!value.is_empty()).then(|| value.to_string())
}

fn bad(path: &Path, reason: &str) -> OffsiteError {
    OffsiteError::BadCredentials { path: path.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;
    use chrono::Utc;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn found(file: Option<&Path>, variables: &[(&str, &str)]) -> Result<Credentials> {
        let look = |name: &str| {
            let pair = variables.iter().find(|(known, _)| *known == name);
            pair.map(|(_, value)| (*value).to_string())
        };
        find(file, "s3://bucket/", &World { variables: &look, clock: &Utc::now })
    }

    #[test]
    fn from_the_environment() {
        let both = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let keys = found(None, &both).unwrap();
        assert_eq!((keys.key(), keys.secret(), keys.token()), ("id", "secret", None));
        for lacking in [&both[..1], &both[1..], &[]] {
            let error = found(None, lacking).unwrap_err();
            assert!(error.hint().unwrap().contains("AWS_ACCESS_KEY_ID"), "{error}");
        }
    }

    #[test]
    fn from_a_file_that_nobody_else_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let text = "[default]\n# keys\naws_access_key_id = id\naws_secret_access_key=a+b/c=\n\
                    aws_session_token = token\n";
        fs::write(&path, text).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = found(Some(&path), &[]).unwrap_err();
            assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
            assert!(!error.to_string().contains("a+b"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let keys = found(Some(&path), &[]).unwrap();
        assert_eq!((keys.key(), keys.secret(), keys.token()), ("id", "a+b/c=", Some("token")));
        fs::write(&path, "aws_access_key_id = id\n").unwrap();
        assert!(found(Some(&path), &[]).unwrap_err().to_string().contains("a key is missing"));
    }
}
