//! Carries out the plan of one database, stage by stage.
//!
//! A stage is a run of migrations that share one transaction, or a single file that cannot.

use super::sound;
use super::stage::{Item, mentioned, same_stage, shares};
use super::{
    account::Account,
    foreign_keys::{ForeignKeys, may_dangle},
    record::{entry, milliseconds},
    statements::{Live, declared},
    tally::{Answer, RowChange, Tally},
    watch::Watch,
};
use crate::{
    Error, Result, database,
    database::Access,
    disk,
    error::ApplyError,
    event::{Event, Observer, go_on},
    history::Migration,
    ledger::{self, EntryState, Witness},
    plan::{Action, Assessment, DatabasePlan, truth},
    process::Enclosure,
    schema::{Schema, schema_hash},
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, InterruptHandle};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// What carrying out a plan needs from outside.
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a DatabasePlan,
    /// Whether migrations run or a data operation.
    pub purpose: Purpose,
    /// The backup that was taken before the run.
    pub backup: Option<&'a str>,
    /// The time.
    pub clock: &'a (dyn Fn() -> DateTime<Utc> + Sync),
    /// How long to wait for other writers.
    pub busy: Duration,
    /// The time limit of scripts that declare none.
    pub script_limit: Duration,
    /// Environment of scripts.
    pub environment: &'a [(String, OsString)],
    /// Arguments of a script.
    pub arguments: &'a [OsString],
    /// The folder in which scripts run.
    pub folder: &'a Path,
    /// Keeps scripts away from the live data, in a rehearsal.
    pub enclosure: Option<&'a Enclosure>,
    /// Is told what happens.
    pub observer: &'a dyn Observer,
}

/// What kind of files run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Migrations.
    Migrate,
    /// A data operation from the scripts folder.
    Operate,
}

/// A migration that was carried out.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// Its file name.
    pub migration: String,
    /// `applied`, `resumed`, `healed` or `recorded`.
    pub outcome: &'static str,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// What a run did on one database.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The migrations, in the order in which they ran.
    pub done: Vec<Done>,
    /// Of a data operation: rows that it changed, by table.
    pub changes: Vec<RowChange>,
    /// Of a data operation: what its queries gave.
    pub answers: Vec<Answer>,
}

/// Whether a failed run left something behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// Everything is as before.
    Nothing,
    /// Something was committed or a script ran: only a restore puts it right.
    Something,
}

/// A run that failed.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// What it left.
    pub lasting: Lasting,
    /// The migration at which it stopped.
    pub migration: Option<String>,
    /// What was committed before.
    pub done: Vec<Done>,
}

/// Carries out a plan.
///
/// # Errors
/// [`Failure`], which says whether everything is as before.
pub fn carry_out(run: &Run<'_>) -> Result<Outcome, Box<Failure>> {
    let mut runner = Runner {
        run,
        done: Vec::new(),
        lasting: Lasting::Nothing,
        current: None,
        tally: Tally::default(),
        changes: Vec::new(),
    };
    match runner.stages() {
        Ok(()) => Ok(Outcome {
            done: runner.done,
            changes: runner.changes,
            answers: runner.tally.answers,
        }),
        Err(error) => Err(Box::new(Failure {
            // What SQLite says of a statement that was broken off is no fault of the statement.
            error: match (runner.lasting, go_on(run.observer)) {
                (Lasting::Nothing, Err(interrupted)) => interrupted,
                _ => error,
            },
            lasting: runner.lasting,
            migration: runner.current,
            done: runner.done,
        })),
    }
}

/// A run on one database as it goes on.
pub(super) struct Runner<'a> {
    pub(super) run: &'a Run<'a>,
    done: Vec<Done>,
    pub(super) lasting: Lasting,
    pub(super) current: Option<String>,
    /// What a data operation does.
    tally: Tally,
    changes: Vec<RowChange>,
}

impl Runner<'_> {
    fn stages(&mut self) -> Result<()> {
        let items: Vec<Item<'_>> = self
            .run
            .plan
            .actions()
            .filter_map(|assessment| Some((assessment, assessment.migration.as_ref()?)))
            .collect();
        let access = if self.run.plan.exists { Access::Write } else { Access::Create };
        if let (Access::Create, Some(folder)) = (access, self.run.plan.path.parent()) {
            disk::create_folders("database-folder", folder)?;
        }
        if let Some(image) = &self.run.plan.image {
            let mut connection = self.open(access)?;
            self.refuse_changed(&connection)?;
            return self.write_image(&mut connection, image, &items);
        }
        let mut first = true;
        for stage in items.chunk_by(same_stage) {
            let mut connection = self.open(access)?;
            if self.run.purpose == Purpose::Operate {
                self.tally.watch(&mut connection).map_err(self.failed("prepare"))?;
            }
            if first {
                self.set_form(&connection, stage)?;
                self.refuse_changed(&connection)?;
            }
            first = false;
            let handle = connection.get_interrupt_handle();
            watched(self.run.observer, &handle, || self.stage(connection, stage))?;
        }
        Ok(())
    }

    fn open(&self, access: Access) -> Result<Connection> {
        let path = &self.run.plan.path;
        let is_new = access == Access::Create && !disk::exists(path)?;
        let connection = database::open_to_commit(path, access, self.run.busy)?;
        if is_new {
            disk::inherit_owner("database-owner", path)?;
        }
        Ok(connection)
    }

    fn stage(&mut self, mut connection: Connection, stage: &[Item<'_>]) -> Result<()> {
        match stage {
            [(assessment, migration)] if matches!(assessment.action, Action::Script) => {
                self.script(connection, assessment, migration)
            }
            [(assessment, migration)] if !shares(assessment, migration) => {
                self.without_transaction(&connection, assessment, migration)
            }
            _ => {
                let watch = Watch::of(&mut connection).map_err(self.failed("prepare"))?;
                self.shared(&connection, stage, &watch)
            }
        }
    }

    pub(super) fn failed(
        &self,
        action: &'static str,
    ) -> impl FnOnce(rusqlite::Error) -> Error + use<> {
        let failed = database::failed(action, &self.run.plan.path);
        |error| failed(error).into()
    }

    /// Creates the ledger, or gives an older one the format of today, in the transaction of the run.
    pub(super) fn prepare_ledger(&self, connection: &Connection) -> Result<()> {
        let failed = || ledger::failed("write the ledger of", &self.run.plan.path);
        ledger::create(connection).map_err(failed())?;
        if let Some(base) = &self.run.plan.base
            && ledger::read_base(connection).map_err(failed())?.is_none()
        {
            ledger::write_base(connection, base).map_err(failed())?;
        }
        Ok(())
    }

    /// Between plan and run another process may have changed the schema.
    fn refuse_changed(&self, connection: &Connection) -> Result<()> {
        let hash = schema_hash(connection).map_err(self.failed("read"))?;
        if hash == self.run.plan.schema_hash {
            return Ok(());
        }
        Err(ApplyError::Changed { database: self.run.plan.database.clone() }.into())
    }

    /// Several migrations in one transaction.
    fn shared(&mut self, connection: &Connection, stage: &[Item<'_>], watch: &Watch) -> Result<()> {
        let enforced = stage.iter().any(|(_, migration)| migration.header.foreign_keys);
        let unchanged = schema_hash(connection).map_err(self.failed("read"))?;
        // Inside a transaction this PRAGMA is ignored, so it comes first.
        connection.pragma_update(None, "foreign_keys", enforced).map_err(self.failed("prepare"))?;
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(self.failed("begin a transaction on"))?;
        let finished = self.shared_inside(connection, stage, watch);
        match finished {
            Ok(done) => {
                // What fails now is the fault of none of the files, or of more than one.
                self.current = None;
                connection.execute_batch("COMMIT").map_err(self.failed("commit"))?;
                self.lasting = Lasting::Something;
                for finished in done {
                    self.ended(finished);
                }
                Ok(())
            }
            Err(error) => {
                // A failed ROLLBACK means that SQLite has rolled back already.
                let _ = connection.execute_batch("ROLLBACK");
                let ended = matches!(error, Error::Apply(ApplyError::TransactionEnded { .. }));
                let is_same = schema_hash(connection).is_ok_and(|hash| hash == unchanged);
                if ended || !is_same || !connection.is_autocommit() {
                    self.lasting = Lasting::Something;
                    return Err(error);
                }
                Err(self.diagnosed(connection, (stage, watch), error))
            }
        }
    }

    fn shared_inside(
        &mut self,
        connection: &Connection,
        stage: &[Item<'_>],
        watch: &Watch,
    ) -> Result<Vec<Done>> {
        let tally = self.tally_of_operation();
        let failed = || self.failed("run migrations on");
        self.prepare_ledger(connection)?;
        let mut live = Live::open(connection, &self.run.plan.database)?;
        live.inside = true;
        live.tally = tally;
        let before = live.schema.clone();
        let runs = stage.iter().any(|(found, _)| matches!(found.action, Action::Statements(_)));
        // Where nothing runs, nothing can vanish, and counting would cost.
        let counted = if runs { before.clone() } else { Schema::default() };
        let mut account = Account::open(connection, &counted, watch).map_err(failed())?;
        let prepared = if runs { sound::broken(connection, &before) } else { BTreeMap::new() };
        let mut keys = ForeignKeys::open(connection, &before, mentioned(stage)).map_err(failed())?;
        let mut done = Vec::new();
        let mut last_title = String::new();
        for (at, (assessment, migration)) in stage.iter().enumerate() {
            self.begin(migration);
            let clock = Instant::now();
            let mut row = self.row(migration);
            if may_dangle(migration) {
                self.require_parents(&keys, &live)?;
            }
            let outcome = self.one(&mut live, assessment, migration, &mut account)?;
            if may_dangle(migration) {
                keys.accept(connection, &live.schema).map_err(self.failed("check"))?;
            }
            if let Some(witness) = outcome.witness {
                row.state = EntryState::Recorded;
                row.witness = witness;
            }
            row.milliseconds = milliseconds(clock.elapsed());
            // The last row of a transaction tells what the schema was at its end.
            if at + 1 == stage.len() {
                row.schema_hash = schema_hash(connection).map_err(self.failed("read"))?;
            }
            self.write_row(connection, assessment, &row)?;
            last_title = migration.title();
            done.push(Done {
                migration: migration.title(),
                outcome: outcome.word,
                milliseconds: u64::try_from(row.milliseconds).unwrap_or(0),
            });
        }
        if runs {
            let failed = || self.failed("check");
            live.require_sound()?;
            if let Some(error) = sound::broken_since(connection, stage, &prepared, &live.schema) {
                return Err(error.into());
            }
            if let Some(error) =
                account.close(connection, &before, &live.schema, &last_title).map_err(failed())?
            {
                return Err(error.into());
            }
            self.require_parents(&keys, &live)?;
        }
        self.keep(live.tally, connection)?;
        Ok(done)
    }

    /// The tally, where a data operation runs; migrations show their effect in their plan.
    pub(super) fn tally_of_operation(&mut self) -> Option<Tally> {
        let is_operation = self.run.purpose == Purpose::Operate;
        is_operation.then(|| std::mem::take(&mut self.tally))
    }

    /// Keeps what a data operation did.
    pub(super) fn keep(&mut self, tally: Option<Tally>, connection: &Connection) -> Result<()> {
        if let Some(tally) = tally {
            self.changes = tally.changes(connection).map_err(self.failed("read"))?;
            self.tally = tally;
        }
        Ok(())
    }

    /// Refuses references without a parent that were not there before.
    fn require_parents(&self, keys: &ForeignKeys, live: &Live<'_>) -> Result<()> {
        let found = keys.close(live.connection, &live.schema).map_err(self.failed("check"))?;
        found.map_or(Ok(()), |error| Err(error.into()))
    }

    fn one(
        &self,
        live: &mut Live<'_>,
        assessment: &Assessment,
        migration: &Migration,
        account: &mut Account,
    ) -> Result<Happened> {
        let recorded = |witness| Happened { word: "recorded", witness: Some(witness) };
        let statements = match &assessment.action {
            Action::Record(witness) => return Ok(recorded(*witness)),
            Action::Statements(statements) => statements,
            Action::Script | Action::None => {
                return Err(Error::Internal("no statements to run".into()));
            }
        };
        if self.skips(live.connection, migration) {
            return Ok(recorded(Witness::Guard));
        }
        declared(live.connection, migration, "`require:`", &migration.header.require)?;
        account.begin(migration);
        live.begin_file()?;
        for statement in statements {
            live.run(migration, statement, Some(account))?;
        }
        declared(live.connection, migration, "`verify:`", &migration.header.verify)?;
        Ok(Happened { word: word(assessment), witness: None })
    }

    /// The declared guard, asked once more directly before the migration would run.
    pub(super) fn skips(&self, connection: &Connection, migration: &Migration) -> bool {
        let query = migration.header.skip_if.as_ref();
        query.is_some_and(|query| truth(connection, query) == Ok(true))
    }

    /// A row that an interrupted run left is completed, any other is new. What was healed has its
    /// row already and gets a second one, which says when.
    pub(super) fn write_row(
        &self,
        connection: &Connection,
        assessment: &Assessment,
        row: &ledger::Entry,
    ) -> Result<i64> {
        let begun = assessment.entry.as_ref().filter(|entry| entry.state == EntryState::Started);
        let written = match begun {
            Some(begun) => ledger::complete(connection, begun.id, row).map(|()| begun.id),
            None => ledger::insert(connection, row),
        };
        written.map_err(self.failed("write the ledger of"))
    }

    /// A new ledger row about a migration or data operation.
    pub(super) fn row(&self, migration: &Migration) -> ledger::Entry {
        let mut row = entry(migration, (self.run.clock)(), self.run.backup);
        if self.run.purpose == Purpose::Operate {
            row.kind = ledger::EntryKind::Operation;
        }
        row
    }

    pub(super) fn begin(&mut self, migration: &Migration) {
        self.current = Some(migration.title());
        self.run.observer.event(Event::MigrationStarted {
            database: self.run.plan.database.clone(),
            migration: migration.title(),
        });
    }

    pub(super) fn finish(&mut self, migration: &Migration, outcome: &'static str, clock: Instant) {
        let milliseconds = u64::try_from(milliseconds(clock.elapsed())).unwrap_or(0);
        self.ended(Done { migration: migration.title(), outcome, milliseconds });
    }

    /// Notes that something is committed.
    pub(super) fn lasts(&mut self) {
        self.lasting = Lasting::Something;
    }

    pub(super) fn ended(&mut self, done: Done) {
        self.run.observer.event(Event::MigrationEnded {
            database: self.run.plan.database.clone(),
            migration: done.migration.clone(),
            milliseconds: done.milliseconds,
            outcome: done.outcome,
        });
        self.done.push(done);
        self.current = None;
    }
}

/// Does something, and stops SQLite in the middle of a statement where the work is interrupted.
fn watched<T>(
    observer: &dyn Observer,
    handle: &InterruptHandle,
    act: impl FnOnce() -> Result<T>,
) -> Result<T> {
    const PAUSE: Duration = Duration::from_millis(50);
    go_on(observer)?;
    let (ended, ends) = channel::<()>();
    thread::scope(|scope| {
        let watch = move || {
            while ends.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                if observer.is_interrupted() {
                    handle.interrupt();
                }
            }
        };
        // Without a thread nobody looks within a statement, only between two.
        let _ = thread::Builder::new().spawn_scoped(scope, watch);
        let result = act();
        drop(ended);
        result
    })
}

struct Happened {
    word: &'static str,
    witness: Option<Witness>,
}

pub(super) fn word(assessment: &Assessment) -> &'static str {
    use crate::plan::State;
    match assessment.state {
        State::Resumed => "resumed",
        State::Drift => "healed",
        _ => "applied",
    }
}
