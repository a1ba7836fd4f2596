//! What is mounted inside a data directory: a backup holds it, and a restore in place cannot replace it,
//! because nothing can be renamed onto another mount. Whoever relies on the backup must know that before.

use super::scan::Tree;
use crate::store::StoredPath;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// What is mounted inside a data directory, where the system tells.
pub(super) fn inside(data: &Path) -> Vec<StoredPath> {
    let Ok(root) = fs::canonicalize(data) else { return Vec::new() };
    let Ok(table) = fs::read("/proc/self/mountinfo") else { return Vec::new() };
    let below = points(&table).into_iter().filter_map(|point| {
        let path = point.strip_prefix(&root).ok().filter(|path| !path.as_os_str().is_empty())?;
        StoredPath::new(path.as_os_str().as_encoded_bytes()).ok()
    });
    below.collect()
}

/// One sentence for each mount that a backup has something of.
pub(super) fn notes(data: &Path, tree: &Tree) -> Vec<String> {
    let held = |path: &StoredPath| {
        tree.folders.contains_key(path)
            || tree.files.contains_key(path)
            || tree.databases.contains_key(path)
    };
    let sentence = |path| {
        format!(
            "`{path}` is mounted there: a restore in place leaves it alone while it is unchanged, and is \
             refused when it differs; `restore --to DIR` unpacks all of it"
        )
    };
    inside(data).into_iter().filter(held).map(sentence).collect()
}

/// The mount points of a table as the kernel writes it (proc_pid_mountinfo(5)), each once.
fn points(table: &[u8]) -> BTreeSet<PathBuf> {
    let lines = table.split(|&byte| byte == b'\n');
    let fifth = lines.filter_map(|line| line.split(|&byte| byte == b' ').nth(4));
    fifth.map(|point| PathBuf::from(OsString::from_vec(unescaped(point)))).collect()
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
    fn mount_points_are_read_as_the_kernel_writes_them() {
        let table = b"22 1 8:1 / / rw - ext4 /dev/a rw\n\
            30 22 8:1 /v /srv/my\\040data/up\\134loads rw,relatime shared:1 - ext4 /dev/a rw\n\
            31 22 8:1 /v /srv/my\\040data/up\\134loads rw - ext4 /dev/a rw\n";
        let found: Vec<PathBuf> = points(table).into_iter().collect();
        assert_eq!(found, [PathBuf::from("/"), PathBuf::from("/srv/my data/up\\loads")]);
    }
}
