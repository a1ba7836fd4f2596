//! Stages that share no transaction: scripts, and files with `transaction: none`.
//!
//! The ledger says `started` before and `applied` after, so that an interruption is seen.

use super::{
    record::{changed_objects, milliseconds},
    run::{Lasting, Runner, word},
    script,
    statements::{Live, declared},
};
use crate::{
    Error, Result,
    database::{self, Access},
    disk,
    history::{Body, Migration},
    ledger::{self, EntryState, Witness},
    plan::{Action, Assessment, PlannedStatement},
    schema::{Introspector, schema_hash},
    sql::Class,
};
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

impl Runner<'_> {
    /// A file with `transaction: none`: each statement by itself, its number kept in the ledger.
    pub(super) fn without_transaction(
        &mut self,
        connection: &Connection,
        assessment: &Assessment,
        migration: &Arc<Migration>,
    ) -> Result<()> {
        let Action::Statements(statements) = &assessment.action else {
            return Err(Error::Internal("no statements to run".into()));
        };
        self.begin(migration);
        let clock = Instant::now();
        let enforced = migration.header.foreign_keys;
        connection.pragma_update(None, "foreign_keys", enforced).map_err(self.failed("prepare"))?;
        let mut row = self.row(migration);
        if self.skips(connection, migration) {
            row.state = EntryState::Recorded;
            row.witness = Witness::Guard;
            row.schema_hash = schema_hash(connection).map_err(self.failed("read"))?;
            self.prepare_ledger(connection)?;
            self.write_row(connection, assessment, &row)?;
            self.finish(migration, "recorded", clock);
            return Ok(());
        }
        declared(connection, migration, "`require:`", &migration.header.require)?;
        let id = self.start_row(connection, assessment, &mut row)?;
        let mut live = Live::open(connection, &self.run.plan.database)?;
        live.tally = self.tally_of_operation();
        for statement in statements {
            self.step(&mut live, migration, statement, id)?;
        }
        declared(connection, migration, "`verify:`", &migration.header.verify)?;
        self.keep(live.tally, connection)?;
        self.complete_row(connection, id, row, clock)?;
        self.finish(migration, word(assessment), clock);
        Ok(())
    }

    /// One statement and its number in the ledger, both or neither where SQLite lets the statement
    /// run inside a transaction.
    fn step(
        &self,
        live: &mut Live<'_>,
        migration: &Migration,
        statement: &PlannedStatement,
        id: i64,
    ) -> Result<()> {
        let connection = live.connection;
        let together = matches!(statement.class, Class::Data | Class::Definition);
        let finished = i64::try_from(statement.index + 1).unwrap_or(i64::MAX);
        if together {
            connection.execute_batch("BEGIN IMMEDIATE").map_err(self.failed("write to"))?;
        }
        let outcome = live.run(migration, statement, None).and_then(|()| {
            ledger::set_progress(connection, id, finished)
                .map_err(self.failed("write the ledger of"))
        });
        match (together, &outcome) {
            (false, _) => {}
            (true, Ok(())) => connection.execute_batch("COMMIT").map_err(self.failed("commit"))?,
            // A failed ROLLBACK means that SQLite has rolled back already.
            (true, Err(_)) => drop(connection.execute_batch("ROLLBACK")),
        }
        outcome
    }

    /// A script: `started` is written before and `applied` after, since it shares no transaction.
    pub(super) fn script(
        &mut self,
        connection: Connection,
        assessment: &Assessment,
        migration: &Arc<Migration>,
    ) -> Result<()> {
        self.begin(migration);
        let clock = Instant::now();
        let mut row = self.row(migration);
        if self.skips(&connection, migration) {
            row.state = EntryState::Recorded;
            row.witness = Witness::Guard;
            row.schema_hash = schema_hash(&connection).map_err(self.failed("read"))?;
            self.prepare_ledger(&connection)?;
            self.write_row(&connection, assessment, &row)?;
            self.finish(migration, "recorded", clock);
            return Ok(());
        }
        declared(&connection, migration, "`require:`", &migration.header.require)?;
        let id = self.start_row(&connection, assessment, &mut row)?;
        let before = Introspector::default().read(&connection).map_err(self.failed("read"))?;
        // The script may want the database for itself.
        drop(connection);
        row.output = Some(self.execute(migration)?);
        // Scripts sync nothing. The row that says that it ran is synced, and must not outlive what
        // the script wrote.
        disk::sync_file_system("script-sync", &self.folder())?;
        let connection =
            database::open_to_commit(&self.run.plan.path, Access::Write, self.run.busy)?;
        let after = Introspector::default().read(&connection).map_err(self.failed("read"))?;
        row.objects = changed_objects(&before, &after);
        declared(&connection, migration, "`verify:`", &migration.header.verify)?;
        self.complete_row(&connection, id, row, clock)?;
        self.finish(migration, word(assessment), clock);
        Ok(())
    }

    /// The folder that holds the database.
    fn folder(&self) -> PathBuf {
        self.run.plan.path.parent().map(Path::to_path_buf).unwrap_or_default()
    }

    fn execute(&self, migration: &Migration) -> Result<String> {
        let Body::Script { interpreter } = &migration.body else {
            return Err(Error::Internal("not a script".into()));
        };
        let mut environment = self.run.environment.to_vec();
        // Whole, so that it stays right when the script changes its folder.
        let path = &self.run.plan.path;
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        environment.push(("PITON_DATABASE".into(), whole.into()));
        environment.push(("PITON_TARGET".into(), self.run.plan.target.clone().into()));
        let job = script::Job {
            path: &migration.path,
            interpreter: interpreter.as_deref(),
            arguments: self.run.arguments,
            environment: &environment,
            folder: self.run.folder,
            limit: migration.header.timeout.unwrap_or(self.run.script_limit),
            enclosure: self.run.enclosure,
        };
        script::run(&job, self.run.observer)
    }

    fn start_row(
        &mut self,
        connection: &Connection,
        assessment: &Assessment,
        row: &mut ledger::Entry,
    ) -> Result<i64> {
        let failed = || self.failed("write the ledger of");
        self.prepare_ledger(connection)?;
        row.state = EntryState::Started;
        let begun = assessment.entry.as_ref().filter(|entry| entry.state == EntryState::Started);
        let id = match begun {
            Some(begun) => begun.id,
            None => {
                row.statements = 0;
                ledger::insert(connection, row).map_err(failed())?
            }
        };
        self.lasting = Lasting::Something;
        Ok(id)
    }

    fn complete_row(
        &self,
        connection: &Connection,
        id: i64,
        mut row: ledger::Entry,
        clock: Instant,
    ) -> Result<()> {
        row.state = EntryState::Applied;
        row.milliseconds = milliseconds(clock.elapsed());
        row.schema_hash = schema_hash(connection).map_err(self.failed("read"))?;
        ledger::complete(connection, id, &row).map_err(self.failed("write the ledger of"))
    }
}
