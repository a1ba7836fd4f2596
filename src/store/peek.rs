//! Unpacking single databases for a look: nothing of it has to survive, so nothing is synced.

use super::{Backup, Item, Store, StoredPath, extract::write_file, reader, verify};
use crate::{
    Result,
    event::{Observer, Work},
};
use std::path::PathBuf;

impl Store {
    /// Writes the databases for which there is a target to it.
    ///
    /// # Errors
    /// [`crate::error::StoreError::Damaged`] with what differs; the system's, with the path.
    pub(crate) fn unpack_databases(
        &self,
        backup: &Backup,
        target: &dyn Fn(&StoredPath) -> Option<PathBuf>,
        observer: &dyn Observer,
    ) -> Result<()> {
        let archive = self.archive_path(backup.id());
        let work = (Work::Unpack, observer);
        let found =
            reader::read(self.source(&archive), &backup.manifest, &mut Peek { target }, work)?;
        verify::compare_archive(&archive, backup, found)
    }
}

struct Peek<'a> {
    target: &'a dyn Fn(&StoredPath) -> Option<PathBuf>,
}

impl reader::Sink for Peek<'_> {
    fn take(&mut self, item: Item<'_>, content: &mut reader::Content<'_>) -> Result<()> {
        match item {
            Item::Database(record) => match (self.target)(&record.path) {
                Some(target) => write_file(&target, content).map(drop),
                None => Ok(()),
            },
            Item::File(_) => Ok(()),
        }
    }
}
