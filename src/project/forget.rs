//! `adopt --forget`: takes back what a person said was done.

use super::{Adopted, Project, Selection, databases, interrupted::title};
use crate::{
    Result,
    database::{self, Access},
    error::DatabaseError,
    event::Observer,
    history::Version,
    ledger::{self, Entry, Witness},
    lock::Patience,
};
use std::{collections::BTreeSet, path::Path};

impl Project {
    /// Removes the rows by which a person said that a version is done, or that its new text is right, and
    /// of later versions those that only such rows have. What ran stays.
    ///
    /// # Errors
    /// An unknown version; a database that does not exist; SQLite's.
    pub fn forget_adopted(
        &self,
        version: &Version,
        selection: &Selection,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<Vec<Adopted>> {
        let targets = self.selected(selection)?;
        super::require_version(&targets, version)?;
        let _lock = self.begin(patience, observer)?;
        self.refuse_in_deploy()?;
        let mut forgotten = Vec::new();
        for target in &targets.targets {
            for database in target.paths(&self.config.data)? {
                let path = self.config.data.join(&database);
                if databases::open_to_read(&path, &self.config)?.is_none() {
                    return Err(DatabaseError::Missing { path }.into());
                }
                let migrations = self.forget(&path, version)?;
                forgotten.push(Adopted { database, migrations });
            }
        }
        Ok(forgotten)
    }

    fn forget(&self, path: &Path, version: &Version) -> Result<Vec<String>> {
        let failed = || database::failed("write the ledger of", path);
        let mut connection =
            database::open_to_commit(path, Access::Write, self.config.busy_timeout)?;
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed())?;
        let entries =
            ledger::read(&transaction).map_err(ledger::failed("read the ledger of", path))?;
        let said: Vec<&Entry> = said(&entries, version);
        if said.is_empty() {
            return Ok(Vec::new());
        }
        ledger::create(&transaction).map_err(ledger::failed("write the ledger of", path))?;
        for entry in &said {
            ledger::remove(&transaction, entry.id).map_err(failed())?;
        }
        transaction.commit().map_err(failed())?;
        let titles: BTreeSet<String> = said.into_iter().map(title).collect();
        Ok(titles.into_iter().collect())
    }
}

/// The rows of a version that only say something, and those of later versions that have no others.
fn said<'a>(entries: &'a [Entry], version: &Version) -> Vec<&'a Entry> {
    let is_said = |entry: &Entry| matches!(entry.witness, Witness::Adopted | Witness::Renumbered);
    let ran = |version: &Version| {
        entries.iter().any(|entry| entry.version == *version && !is_said(entry))
    };
    let is_chosen = |entry: &&Entry| {
        is_said(entry)
            && (entry.version == *version || entry.version > *version && !ran(&entry.version))
    };
    entries.iter().filter(is_chosen).collect()
}
