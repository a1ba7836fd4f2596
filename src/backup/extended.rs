//! Reading extended attributes. By path and never through an open file: closing one would drop the
//! locks of a database to which this process has a connection.

use crate::{
    Result,
    disk::{self, failed},
    store::{Extended, is_kept},
};
use rustix::{
    fs::{lgetxattr, llistxattr},
    io::Errno,
};
use std::{io::ErrorKind, path::Path};

/// Those of a path that a backup holds. One that vanishes meanwhile has none, and what its file
/// system or this user's rights do not show is not there either.
///
/// # Errors
/// The system's, with the path.
pub(crate) fn read(path: &Path) -> Result<Extended> {
    let mut extended = Extended::default();
    let reached = match disk::reached(path) {
        Err(error) if error.source.kind() == ErrorKind::NotFound => return Ok(extended),
        other => other?,
    };
    let path_itself = &*reached;
    let Some(names) = grown(path, |buffer| llistxattr(path_itself, buffer))? else {
        return Ok(extended);
    };
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        if !is_kept(name) {
            continue;
        }
        if let Some(value) = grown(path, |buffer| lgetxattr(path_itself, name, buffer))? {
            let inserted = extended.insert(name, value);
            debug_assert!(inserted.is_ok(), "the name was looked at");
        }
    }
    Ok(extended)
}

/// Asks with more and more room, since it may grow between two questions.
fn grown(
    path: &Path,
    ask: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
) -> Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; 256];
    loop {
        match ask(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(Some(buffer));
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 8, 0),
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOENT | Errno::PERM | Errno::ACCESS) => {
                return Ok(None);
            }
            Err(error) => {
                return Err(failed("read the extended attributes of", path)(error.into()).into());
            }
        }
    }
}
