//! A database that does not exist yet and whose history is schema alone: what the replay made is
//! written in one step, ledger included.
//!
//! SQLite's backup writes the pages in one transaction, so the file is empty or whole. Statements
//! with rows or guards never come this way.

use super::run::{Done, Runner};
use super::stage::Item;
use crate::{Result, database, ledger, plan::Image, schema::schema_hash};
use rusqlite::{
    Connection, MAIN_DB,
    backup::{Backup, StepResult},
};
use std::time::Instant;

impl Runner<'_> {
    /// Writes the image with the ledger rows of all migrations.
    pub(super) fn write_image(
        &mut self,
        connection: &mut Connection,
        image: &Image,
        items: &[Item<'_>],
    ) -> Result<()> {
        let clock = Instant::now();
        let mut copy = database::open_scratch()?;
        copy.deserialize_read_exact(MAIN_DB, image.bytes(), image.bytes().len(), false)
            .map_err(self.failed("make"))?;
        let failed = || self.failed("write the ledger of");
        let transaction = copy.transaction().map_err(failed())?;
        self.prepare_ledger(&transaction)?;
        for (at, (_, migration)) in items.iter().enumerate() {
            let mut row = self.row(migration);
            if at + 1 == items.len() {
                row.schema_hash = schema_hash(&transaction).map_err(failed())?;
            }
            ledger::insert(&transaction, &row).map_err(failed())?;
        }
        transaction.commit().map_err(failed())?;
        let written = Backup::new(&copy, connection).and_then(|backup| backup.step(-1));
        match written.map_err(self.failed("write"))? {
            StepResult::Done => {}
            _ => return Err(self.failed("write")(busy())),
        }
        let share = clock.elapsed() / u32::try_from(items.len().max(1)).unwrap_or(1);
        let milliseconds = u64::try_from(share.as_millis()).unwrap_or(0);
        self.lasts();
        for (_, migration) in items {
            self.ended(Done { migration: migration.title(), outcome: "applied", milliseconds });
        }
        Ok(())
    }
}

fn busy() -> rusqlite::Error {
    let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(error, None)
}
