//! Opening a database below a folder that another user can change, as root.
//!
//! SQLite opens files by their names. So the name is looked at before: no link on the way, ordinary
//! files alone, and a journal that names no file elsewhere, since SQLite removes the one it names.
//! SQLite itself refuses links then, and afterwards the name must still be that of the same file.
//! What cannot be excluded is a change between two of these looks that is undone in time.

use super::{JOURNAL_SUFFIX, SIDE_SUFFIXES, failed, side_file, uri};
use crate::{Result, disk, error::DatabaseError};
use rusqlite::{Connection, OpenFlags};
use std::{
    ffi::OsStr,
    fs::File,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::{Component, Path, PathBuf},
};

/// The last bytes of a journal that names a super-journal (SQLite, `pager.c`, `writeSuperJournal`):
/// the length of the name, a checksum, and the first bytes of every journal.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
const TRAILER: u64 = 16;
/// What is in the name of every super-journal.
const SUPER: &[u8] = b"-mj";

/// A database that was looked at.
pub(super) struct Foreign {
    named: disk::Named,
}

/// Looks at a database and the files beside it; nothing where its folder is this user's alone.
///
/// # Errors
/// [`DatabaseError::Diverted`]; the system's, with the path.
pub(super) fn look(path: &Path) -> Result<Option<Foreign>> {
    let Some(named) = find(path)? else { return Ok(None) };
    for suffix in SIDE_SUFFIXES {
        find(&side_file(path, suffix))?;
    }
    let journal = side_file(path, JOURNAL_SUFFIX);
    if disk::find(&journal)?.is_some()
        && let Some(name) = super_journal(&disk::open_to_read(&journal)?)
        && !is_of(&named.root, &name)
    {
        return Err(DatabaseError::Diverted { path: journal }.into());
    }
    Ok(Some(Foreign { named }))
}

fn find(path: &Path) -> Result<Option<disk::Named>> {
    disk::name_of(path).map_err(|error| match error.source.raw_os_error() {
        Some(libc::ELOOP | libc::EINVAL | libc::EXDEV) => {
            DatabaseError::Diverted { path: path.into() }.into()
        }
        _ => error.into(),
    })
}

/// The file that SQLite removes when it has played a journal back.
fn super_journal(journal: &File) -> Option<PathBuf> {
    let length = journal.metadata().ok()?.len();
    let mut trailer = [0; TRAILER as usize];
    journal.read_exact_at(&mut trailer, length.checked_sub(TRAILER)?).ok()?;
    let (count, magic) = (trailer.first_chunk::<4>()?, trailer.last_chunk::<8>()?);
    let count = u32::from_be_bytes(*count);
    if *magic != JOURNAL_MAGIC || count == 0 {
        return None;
    }
    let start = length.checked_sub(TRAILER + u64::from(count))?;
    let mut name = vec![0; usize::try_from(count).ok()?.min(libc::PATH_MAX as usize * 2)];
    journal.read_exact_at(&mut name, start).ok()?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(PathBuf::from(OsStr::from_bytes(name)))
}

/// Whether a name is one that SQLite gives a super-journal below this directory.
fn is_of(root: &Path, name: &Path) -> bool {
    let last = name.file_name().unwrap_or_default().as_bytes();
    name.starts_with(root)
        && last.windows(SUPER.len()).any(|part| part == SUPER)
        && !name.components().any(|part| part == Component::ParentDir)
}

impl Foreign {
    /// Opens it, and looks once more.
    ///
    /// # Errors
    /// [`DatabaseError`], with the path.
    pub(super) fn open(self, path: &Path, query: &str, flags: OpenFlags) -> Result<Connection> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let opened = Connection::open_with_flags(uri(&self.named.path, query), flags);
        let connection = opened.map_err(failed("open", path))?;
        let now = find(path)?.and_then(|named| named.identity);
        let is_same = self.named.identity.is_none() || self.named.identity == now;
        match is_same {
            true => Ok(connection),
            false => Err(DatabaseError::Diverted { path: path.into() }.into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::{JOURNAL_MAGIC, is_of, super_journal};
    use std::path::Path;

    #[test]
    fn the_file_that_a_journal_names_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db-journal");
        let journal = |name: &[u8], count: u32, magic: [u8; 8]| {
            let mut bytes = vec![7; 512];
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(&count.to_be_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&magic);
            std::fs::write(&path, bytes).unwrap();
            super_journal(&std::fs::File::open(&path).unwrap())
        };
        let name = b"/etc/passwd";
        assert_eq!(journal(name, 11, JOURNAL_MAGIC).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(journal(name, 0, JOURNAL_MAGIC), None);
        assert_eq!(journal(name, 11, [0; 8]), None);
        assert_eq!(journal(name, u32::MAX, JOURNAL_MAGIC), None);
    }

    #[test]
    fn only_names_of_sqlite_below_the_data_are_its_own() {
        for (name, is) in [
            ("/srv/data/app.db-mj1A2B3C4D5", true),
            ("/srv/data/below/app.db-mj1A2B3C4D5", true),
            ("/srv/data/app.db", false),
            ("/srv/data/../app.db-mj1A2B3C4D5", false),
            ("/etc/app.db-mj1A2B3C4D5", false),
            ("app.db-mj1A2B3C4D5", false),
        ] {
            assert_eq!(is_of(Path::new("/srv/data"), Path::new(name)), is, "{name}");
        }
    }
}
