//! Paths inside the data directory: relative, and any bytes that Linux allows.
//!
//! A [`StoredPath`] that exists is safe to join to a root: not absolute, no `.` or `..`, no empty
//! part, no NUL. In JSON, bytes that are not printable UTF-8 and the percent sign itself are
//! written as `%` and two hexadecimal digits, so every other path reads as it is.

use serde::{Deserialize, Serialize};
use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

/// A path relative to the data directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Escaped", into = "Escaped")]
pub struct StoredPath(Vec<u8>);

impl StoredPath {
    /// Takes the bytes of a path, if they are those of a path that stays inside its root.
    ///
    /// # Errors
    /// One phrase that says what is wrong.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, &'static str> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err("the path is empty");
        }
        if bytes.len() > 4096 {
            return Err("the path is longer than 4096 bytes");
        }
        if bytes.first() == Some(&b'/') {
            return Err("the path is absolute");
        }
        for part in bytes.split(|&byte| byte == b'/') {
            match part {
                b"" => return Err("the path has an empty part"),
                b"." | b".." => return Err("the path has a part `.` or `..`"),
                _ if part.contains(&0) => return Err("the path has a NUL byte"),
                _ => {}
            }
        }
        Ok(Self(bytes))
    }

    /// The bytes of the path.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path, still relative.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The path below a root.
    #[must_use]
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(self.as_path())
    }

    /// The folder that holds it, unless that is the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|&byte| byte == b'/')?;
        Some(Self(self.0[..slash].to_vec()))
    }

    /// The path with a suffix, as in `app.db-wal`.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        Self([&self.0, suffix.as_bytes()].concat())
    }

    /// The order of the escaped forms, which is that of the bytes where nothing is escaped.
    pub(crate) fn cmp_escaped(&self, other: &Self) -> std::cmp::Ordering {
        if self.is_plain() && other.is_plain() {
            return self.0.cmp(&other.0);
        }
        escape(&self.0).cmp(&escape(&other.0))
    }

    /// Whether its escaped form is surely the same.
    fn is_plain(&self) -> bool {
        self.0.iter().all(|&byte| byte != b'%' && matches!(byte, b' '..=b'~'))
    }

    /// The first part, as in `uploads` of `uploads/a.png`.
    #[must_use]
    pub fn first_part(&self) -> &[u8] {
        self.0.split(|&byte| byte == b'/').next().unwrap_or_default()
    }
}

impl TryFrom<&Path> for StoredPath {
    type Error = &'static str;

    fn try_from(path: &Path) -> Result<Self, &'static str> {
        Self::new(path.as_os_str().as_bytes())
    }
}

impl fmt::Display for StoredPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&escape(&self.0))
    }
}

impl fmt::Debug for StoredPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// Bytes in their escaped form, used for paths and for the targets of links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Escaped(pub(crate) String);

impl From<StoredPath> for Escaped {
    fn from(path: StoredPath) -> Self {
        Self(escape(&path.0))
    }
}

impl TryFrom<Escaped> for StoredPath {
    type Error = &'static str;

    fn try_from(text: Escaped) -> Result<Self, &'static str> {
        Self::new(unescape(&text.0).ok_or("the path has a malformed escape")?)
    }
}

/// What a symbolic link points to: any bytes, kept as they are and never followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Escaped", into = "Escaped")]
pub struct LinkTarget(pub OsString);

impl From<LinkTarget> for Escaped {
    fn from(target: LinkTarget) -> Self {
        Self(escape(target.0.as_bytes()))
    }
}

impl TryFrom<Escaped> for LinkTarget {
    type Error = &'static str;

    fn try_from(text: Escaped) -> Result<Self, &'static str> {
        let bytes = unescape(&text.0).ok_or("the link has a malformed escape")?;
        if bytes.is_empty() || bytes.contains(&0) || bytes.len() > 4096 {
            return Err("the link's target is empty, too long or has a NUL byte");
        }
        Ok(Self(OsString::from_vec(bytes)))
    }
}

/// The escaped form: printable UTF-8 as it is, other bytes and `%` as `%XX`.
#[must_use]
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '%' || character.is_control() {
                let mut buffer = [0; 4];
                push_escaped(&mut text, character.encode_utf8(&mut buffer).as_bytes());
            } else {
                text.push(character);
            }
        }
        push_escaped(&mut text, chunk.invalid());
    }
    text
}

fn push_escaped(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push_str(&format!("%{byte:02X}"));
    }
}

pub(super) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Escaped, StoredPath, escape, unescape};

    #[test]
    fn escaping_is_reversible_for_every_byte() {
        for byte in 0..=255_u8 {
            for bytes in [vec![byte], vec![b'a', byte, 0xC3], vec![0xC3, 0xA4, byte]] {
                assert_eq!(unescape(&escape(&bytes)), Some(bytes));
            }
        }
        assert_eq!(escape("grün 50%".as_bytes()), "grün 50%25");
        assert_eq!(escape(b"a\xFFb\n"), "a%FFb%0A");
    }

    #[test]
    fn paths_that_leave_the_root_are_refused() {
        for bad in ["", "/etc/passwd", "..", "a/../b", "./a", "a//b", "a/", "a%00b", "a%2", "a%+1"]
        {
            assert!(StoredPath::try_from(Escaped(bad.into())).is_err(), "{bad}");
        }
        for good in ["a", "a/b", "...", "a/..b", ".hidden", "x%FFy"] {
            assert!(StoredPath::try_from(Escaped(good.into())).is_ok(), "{good}");
        }
    }
}
