//! The mounts that this process sees, as the kernel lists them (proc_pid_mountinfo(5)).

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt, path::PathBuf};

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The device of its file system, as `major:minor`.
    pub device: String,
    /// The folder of the file system that is mounted.
    pub root: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
}

/// All mounts, in the order in which they were made; none where the system does not tell.
#[must_use]
pub fn mounts() -> Vec<Mount> {
    fs::read("/proc/self/mountinfo").map(|table| parse(&table)).unwrap_or_default()
}

fn parse(table: &[u8]) -> Vec<Mount> {
    let path = |field: &[u8]| PathBuf::from(OsString::from_vec(unescaped(field)));
    let one = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ').skip(2);
        let device = String::from_utf8_lossy(fields.next()?).into_owned();
        Some(Mount { device, root: path(fields.next()?), point: path(fields.next()?) })
    };
    table.split(|byte| *byte == b'\n').filter_map(one).collect()
}

/// Without the escapes of spaces and the like, which are three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_kernel_writes_them() {
        let table = b"22 1 8:1 / / rw - ext4 /dev/a rw\n\
            30 22 8:1 /v /srv/my\\040data/up\\134loads rw,relatime shared:1 - ext4 /dev/a rw\n";
        let mount = |root: &str, point: &str| Mount {
            device: "8:1".into(),
            root: root.into(),
            point: point.into(),
        };
        assert_eq!(parse(table), [mount("/", "/"), mount("/v", "/srv/my data/up\\loads")]);
    }
}
