//! `run SCRIPT`: a data operation from the scripts folder, by name: backup, guard, one ledger row.

use super::{Outcome, Project, databases, last_run, up::kind_of_end};
use crate::{
    Error, Kind, Result, apply,
    apply::{Done, Failure, Lasting},
    disk,
    error::{DatabaseError, HistoryError, Place, ProjectError},
    event::{self, Observer},
    guard::Effect,
    history::{self, Migration, Version},
    ledger::Witness,
    lock::Patience,
    offsite,
    plan::{Action, Assessment, DatabasePlan, PlannedStatement, Position, State, truth},
    schema::schema_hash,
    sql::{Class, classify},
    store::{BackupId, Reason},
};
use rusqlite::Connection;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a data operation did.
#[derive(Debug)]
pub struct OperationReport {
    /// How it ended.
    pub outcome: Outcome,
    /// The script's file name.
    pub script: String,
    /// The database, relative to the data directory.
    pub database: PathBuf,
    /// The backup that was taken before it.
    pub backup: Option<BackupId>,
    /// What ran.
    pub done: Vec<Done>,
    /// Why it stopped.
    pub failure: Option<Error>,
    /// Why the backup could not be put back, where that failed.
    pub restore_failure: Option<Error>,
    /// What was copied off the machine; nothing where no place is configured, or the run failed.
    pub offsite: Option<offsite::Report>,
}

impl Project {
    /// The names of the scripts, sorted.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn scripts(&self) -> Result<Vec<String>> {
        let folder = &self.config.scripts;
        if !folder.is_dir() {
            return Err(ProjectError::NoFolder { what: "scripts", path: folder.clone() }.into());
        }
        let listing = fs::read_dir(folder).map_err(disk::failed("list the folder", folder))?;
        let mut names: Vec<String> = listing
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let hidden = name.starts_with('.') || name.ends_with('~');
                let prose = [".md", ".txt"].iter().any(|end| name.ends_with(end));
                (entry.path().is_file() && !hidden && !prose).then_some(name)
            })
            .collect();
        names.sort();
        Ok(names)
    }

    /// Runs one script: the backup first, unless its guard says that there is nothing to do.
    ///
    /// # Errors
    /// What went wrong before anything was begun; what went wrong afterwards is in the report.
    pub fn run_script(
        &self,
        name: &str,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<OperationReport> {
        let script = Arc::new(self.find_script(name)?);
        refuse_schema_changes(&script)?;
        let database = script
            .header
            .database
            .clone()
            .map_or_else(|| self.config.database.clone(), PathBuf::from);
        let path = self.config.data.join(&database);
        if !disk::exists(&path)? {
            return Err(DatabaseError::Missing { path }.into());
        }
        let lock = self.begin(patience, observer)?;
        self.refuse_in_deploy()?;
        let mut report = OperationReport {
            outcome: Outcome::NothingToDo,
            script: script.title(),
            database: database.clone(),
            backup: None,
            done: Vec::new(),
            failure: None,
            restore_failure: None,
            offsite: None,
        };
        let Some(connection) = databases::open_to_read(&path, &self.config)? else {
            return Err(DatabaseError::Missing { path }.into());
        };
        if is_done(&connection, &script) {
            return Ok(report);
        }
        let hash = schema_hash(&connection).map_err(crate::database::failed("read", &path))?;
        // The backup opens the file itself, and no other connection may lie beside it then.
        drop(connection);
        databases::require_in_backups(&self.config, &database)?;
        report.backup = self.back_up_existing(Reason::Script, None, observer)?;
        let plan = plan(&script, &database, &path, hash);
        event::go_on(observer)?;
        let mut run = self.run_begins(report.backup.clone())?;
        self.operate(&plan, &mut report, observer);
        run.ending = last_run::Ending::of(report.outcome);
        last_run::note(&self.config.data, &run, observer);
        if report.outcome == Outcome::Done {
            self.prune_after(report.backup.as_ref(), observer);
            drop(lock);
            report.offsite = self.copy_after(Reason::Script, observer);
        }
        Ok(report)
    }

    fn operate(&self, plan: &DatabasePlan, report: &mut OperationReport, observer: &dyn Observer) {
        let backup = report.backup.as_ref().map(ToString::to_string);
        let environment = self.script_environment(report.backup.as_ref());
        let run = apply::Run {
            plan,
            backup: backup.as_deref(),
            purpose: apply::Purpose::Operate,
            clock: &*self.world.clock,
            busy: self.config.busy_timeout,
            script_limit: self.config.script_timeout,
            environment: &environment,
            folder: &self.config.root,
            observer,
        };
        match apply::carry_out(&run) {
            Ok(outcome) => {
                report.outcome = Outcome::Done;
                report.done = outcome.done;
            }
            Err(failure) => {
                let Failure { error, lasting, .. } = *failure;
                report.failure = Some(error);
                report.outcome = Outcome::Problem(kind_of_end(observer));
                if let (Lasting::Something, Some(backup)) = (lasting, &report.backup) {
                    match self.put_back(backup, None, observer) {
                        Ok(()) => report.outcome = Outcome::Problem(Kind::Restored),
                        Err(error) => {
                            report.outcome = Outcome::Problem(Kind::NotRestored);
                            report.restore_failure = Some(error);
                        }
                    }
                }
            }
        }
    }

    fn find_script(&self, name: &str) -> Result<Migration> {
        let known = self.scripts()?;
        let stem = |file: &String| {
            Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned())
        };
        let matching: Vec<&String> = match known.iter().find(|file| *file == name) {
            Some(exact) => vec![exact],
            None => known.iter().filter(|file| stem(file).as_deref() == Some(name)).collect(),
        };
        let [file] = matching.as_slice() else {
            let folder = self.config.scripts.clone();
            return Err(HistoryError::NoSuchScript { name: name.into(), folder, known }.into());
        };
        let stem = stem(file).unwrap_or_default();
        history::read(Version::zero(), &stem, &self.config.scripts.join(file))
    }
}

fn is_done(connection: &Connection, script: &Migration) -> bool {
    script.header.skip_if.as_ref().is_some_and(|query| truth(connection, query) == Ok(true))
}

/// Schema changes belong into migrations: made here, they would be drift.
fn refuse_schema_changes(script: &Migration) -> Result<()> {
    for statement in script.statements() {
        let text = statement.text(&script.text);
        let temporary = crate::sql::class::mentions(text)
            .iter()
            .any(|word| word == "temp" || word == "temporary");
        if classify(text) == Class::Definition && !temporary {
            let place = Place::of(&script.path, &script.text, statement.span.start);
            return Err(ProjectError::SchemaInScript { place }.into());
        }
    }
    Ok(())
}

fn plan(
    script: &Arc<Migration>,
    database: &Path,
    path: &Path,
    schema_hash: String,
) -> DatabasePlan {
    let statements =
        script.statements().iter().enumerate().map(|(index, statement)| PlannedStatement {
            index,
            class: classify(statement.text(&script.text)),
            effect: Arc::new(Effect::default()),
            legacy: false,
        });
    let action =
        if script.is_script() { Action::Script } else { Action::Statements(statements.collect()) };
    let assessment = Assessment {
        version: script.version.clone(),
        title: script.title(),
        migration: Some(script.clone()),
        state: State::Pending,
        witness: None::<Witness>,
        action,
        entry: None,
    };
    DatabasePlan {
        target: String::new(),
        database: database.into(),
        path: path.into(),
        exists: true,
        position: Position { version: None, known_by: "ledger" },
        assessments: Arc::new([assessment]),
        findings: Vec::new(),
        schema_hash,
        image: None,
    }
}
