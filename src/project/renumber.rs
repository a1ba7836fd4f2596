//! `adopt --renumbered`: a person's word that files are what ran under other numbers.

use super::{Adopted, Project, Selection, databases};
use crate::{
    Result,
    database::{self, Access},
    error::DatabaseError,
    event::Observer,
    history::{Migration, Version},
    ledger,
    lock::Patience,
    plan,
};
use chrono::SecondsFormat;
use std::{path::Path, sync::Arc};

impl Project {
    /// Records the files that ran under other numbers, without running anything; `last` is the last one of
    /// them, where nothing else tells. Done already, nothing is written.
    ///
    /// # Errors
    /// An unknown version; a database that does not exist; SQLite's.
    pub fn adopt_renumbered(
        &self,
        last: Option<&Version>,
        selection: &Selection,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<Vec<Adopted>> {
        let targets = self.selected(selection)?;
        if let Some(version) = last {
            super::require_version(&targets, version)?;
        }
        let _lock = self.begin(patience, observer)?;
        self.refuse_in_deploy()?;
        let mut adopted = Vec::new();
        for target in &targets.targets {
            for database in target.paths(&self.config.data)? {
                let path = self.config.data.join(&database);
                if databases::open_to_read(&path, &self.config)?.is_none() {
                    return Err(DatabaseError::Missing { path }.into());
                }
                let migrations = self.write_renumbered(&target.migrations, &path, last)?;
                adopted.push(Adopted { database, migrations });
            }
        }
        Ok(adopted)
    }

    fn write_renumbered(
        &self,
        migrations: &[Arc<Migration>],
        path: &Path,
        last: Option<&Version>,
    ) -> Result<Vec<String>> {
        let failed = || database::failed("write the ledger of", path);
        let mut connection =
            database::open_to_commit(path, Access::Write, self.config.busy_timeout)?;
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed())?;
        let entries =
            ledger::read(&transaction).map_err(ledger::failed("read the ledger of", path))?;
        let started = (self.world.clock)().to_rfc3339_opts(SecondsFormat::Millis, true);
        let rows = plan::renumbered(&transaction, path, migrations, &entries, (last, &started))?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        ledger::create(&transaction).map_err(ledger::failed("write the ledger of", path))?;
        for row in &rows {
            ledger::insert(&transaction, row).map_err(failed())?;
        }
        transaction.commit().map_err(failed())?;
        let is_recorded = |file: &&Arc<Migration>| rows.iter().any(|it| it.version == file.version);
        Ok(migrations.iter().filter(is_recorded).map(|file| file.title()).collect())
    }
}
