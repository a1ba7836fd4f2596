//! `run SCRIPT`: a data operation from the scripts folder, by name: backup, guard, one ledger row.

use super::{
    Outcome, Project, databases, last_run,
    logbook::{Note, is_worth_noting},
    up::kind_of_end,
    way_back::Extent,
};
use crate::{
    Error, Kind, Result, apply,
    apply::{
        Answer, Done, Failure, Lasting, RowChange,
        operation::{self, Reach},
    },
    disk,
    error::{DatabaseError, HistoryError, ProjectError},
    event::Observer,
    guard::Effect,
    history::{self, Migration, Version},
    ledger::{self, EntryKind, EntryState, Witness},
    lock::Patience,
    offsite,
    plan::{Action, Assessment, DatabasePlan, PlannedStatement, Position, State, truth},
    schema::schema_hash,
    sql::classify,
    store::{BackupId, Reason},
};
use chrono::{DateTime, Utc};
use rusqlite::Connection;
use std::{
    ffi::OsString,
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
    /// Rows that it changed, by table; of a program only it knows.
    pub changes: Vec<RowChange>,
    /// What its queries gave.
    pub answers: Vec<Answer>,
    /// Why it stopped.
    pub failure: Option<Error>,
    /// Why the backup could not be put back, where that failed.
    pub restore_failure: Option<Error>,
    /// What was copied off the machine; nothing where no place is configured, or the run failed.
    pub offsite: Option<offsite::Report>,
}

/// Whether a script runs once more that ran already and has no guard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// It is refused.
    #[default]
    Refuse,
    /// It runs.
    Run,
}

/// What the user chose for a data operation.
#[derive(Clone, Debug)]
pub struct OperationOptions {
    /// Its name, or its path.
    pub script: String,
    /// What a script finds as its arguments.
    pub arguments: Vec<OsString>,
    /// About one that ran already.
    pub repeat: Repeat,
    /// What to do when another piton works.
    pub patience: Patience,
}

impl Project {
    /// The names of the scripts, sorted; those in subfolders with their folder.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn scripts(&self) -> Result<Vec<String>> {
        let folder = &self.config.scripts;
        if !folder.is_dir() {
            return Err(ProjectError::NoFolder { what: "scripts", path: folder.clone() }.into());
        }
        let mut names = Vec::new();
        list(folder, "", &mut names)?;
        names.sort();
        Ok(names)
    }

    /// Runs one script: the backup first, unless its guard says that there is nothing to do.
    ///
    /// # Errors
    /// What went wrong before anything was begun; what went wrong afterwards is in the report.
    pub fn run_script(
        &self,
        options: &OperationOptions,
        observer: &dyn Observer,
    ) -> Result<OperationReport> {
        let script = Arc::new(self.find_script(&options.script)?);
        if !options.arguments.is_empty() && !script.is_script() {
            let reason = "SQL takes no arguments".into();
            return Err(ProjectError::Setting { name: script.title(), reason }.into());
        }
        let database = script
            .header
            .database
            .clone()
            .map_or_else(|| self.config.database.clone(), PathBuf::from);
        let path = self.config.data.join(&database);
        if !disk::exists(&path)? {
            return Err(DatabaseError::Missing { path }.into());
        }
        let lock = self.begin(options.patience, observer)?;
        self.refuse_in_deploy()?;
        let mut report = OperationReport {
            outcome: Outcome::NothingToDo,
            script: script.title(),
            database: database.clone(),
            backup: None,
            done: Vec::new(),
            changes: Vec::new(),
            answers: Vec::new(),
            failure: None,
            restore_failure: None,
            offsite: None,
        };
        let Some(mut connection) = databases::open_to_read(&path, &self.config)? else {
            return Err(DatabaseError::Missing { path }.into());
        };
        if script.is_blank() {
            return Err(ProjectError::Blank { script: script.title() }.into());
        }
        if is_done(&connection, &script)? {
            return Ok(report);
        }
        databases::require_in_backups(&self.config, &database)?;
        let reach = operation::inspect(&mut connection, &script, &database)?;
        if options.repeat == Repeat::Refuse && (reach == Reach::Writes || script.is_script()) {
            refuse_repeated(&connection, &path, &script, &options.script)?;
        }
        let hash = schema_hash(&connection).map_err(crate::database::failed("read", &path))?;
        // The backup opens the file itself, and no other connection may lie beside it then.
        drop(connection);
        if script.is_script() && disk::exists(&self.config.data)? {
            self.require_same_mount(&database)?;
            self.require_room_to_restore(&Extent::Everything)?;
        }
        report.backup = self.back_up_for_run(Reason::Script, observer)?;
        let plan = plan(&script, &database, &path, hash);
        let mut run = self.run_begins(report.backup.clone())?;
        self.operate(&plan, &options.arguments, &mut report, observer);
        self.log_operation(run.started, &report, observer);
        run.ending = last_run::Ending::of(report.outcome);
        self.note_end(&mut run, observer);
        if report.outcome == Outcome::Done {
            self.prune_after(report.backup.as_ref(), observer);
            drop(lock);
            report.offsite = self.copy_after(Reason::Script, observer);
        }
        Ok(report)
    }

    /// Notes an operation that did not end well; one that did is in the ledger.
    fn log_operation(
        &self,
        started: DateTime<Utc>,
        report: &OperationReport,
        observer: &dyn Observer,
    ) {
        if !matches!(report.outcome, Outcome::Problem(kind) if is_worth_noting(kind)) {
            return;
        }
        let reasons = [&report.failure, &report.restore_failure].into_iter().flatten();
        let reasons: Vec<String> = reasons.map(ToString::to_string).collect();
        let note = Note {
            command: "run",
            started,
            outcome: report.outcome,
            about: Some(report.script.clone()),
            backup: report.backup.as_ref(),
            reason: Some(reasons.join("; ")),
            log: None,
        };
        self.log(note, observer);
    }

    fn operate(
        &self,
        plan: &DatabasePlan,
        arguments: &[OsString],
        report: &mut OperationReport,
        observer: &dyn Observer,
    ) {
        let _changing = disk::Changing::begin();
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
            arguments,
            folder: &self.config.root,
            enclosure: None,
            observer,
        };
        match apply::carry_out(&run) {
            Ok(outcome) => {
                report.outcome = Outcome::Done;
                report.done = outcome.done;
                report.changes = outcome.changes;
                report.answers = outcome.answers;
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

    /// A script of a migrations folder whose scripts guard themselves, by its name.
    fn guarding_script(&self, name: &str) -> Option<Migration> {
        let targets = super::targets::read(&self.config).ok()?.targets;
        let mut scripts = targets.iter().filter(|it| it.is_guarding()).flat_map(|it| &it.scripts);
        let found = scripts.find(|script| script.title() == name || script.name == name)?;
        Some(Migration::clone(found))
    }

    /// A script by its name with or without its ending, by its path in the scripts folder, or by one
    /// that leads there.
    fn find_script(&self, name: &str) -> Result<Migration> {
        let folder = &self.config.scripts;
        if let Some(script) = self.guarding_script(name) {
            return Ok(script);
        }
        let known = self.scripts()?;
        let stem = |file: &str| match Path::new(file).extension() {
            Some(end) => file[..file.len() - end.len() - 1].to_string(),
            None => file.to_string(),
        };
        let wanted = inside(folder, name).unwrap_or_else(|| name.to_string());
        let matching: Vec<&String> = match known.iter().find(|file| **file == wanted) {
            Some(exact) => vec![exact],
            None => known.iter().filter(|file| stem(file) == wanted).collect(),
        };
        let [file] = matching.as_slice() else {
            let folder = folder.clone();
            return Err(HistoryError::NoSuchScript { name: name.into(), folder, known }.into());
        };
        history::read(Version::zero(), &stem(file), &folder.join(file))
    }
}

/// The part of a path after the scripts folder, where it leads into it.
fn inside(folder: &Path, name: &str) -> Option<String> {
    let path = fs::canonicalize(name).ok()?;
    let rest = path.strip_prefix(fs::canonicalize(folder).ok()?).ok()?;
    let rest = rest.to_str()?;
    (name.contains('/') && !rest.is_empty()).then(|| rest.to_string())
}

/// Whether its guard says that it is done; one that cannot be asked says nothing.
fn is_done(connection: &Connection, script: &Migration) -> Result<bool> {
    let Some(query) = &script.header.skip_if else { return Ok(false) };
    let unanswered = |reason| {
        let (script, query) = (script.title(), query.clone());
        ProjectError::Guard { script, query, reason }.into()
    };
    truth(connection, query).map_err(unanswered)
}

/// Refuses a script without a guard that ran already: nothing tells whether its effect is still there.
fn refuse_repeated(
    connection: &Connection,
    path: &Path,
    script: &Migration,
    name: &str,
) -> Result<()> {
    if script.header.skip_if.is_some() {
        return Ok(());
    }
    let failed = ledger::failed("read the ledger of", path);
    let rows = ledger::read_brief(connection).map_err(failed)?;
    let is_it = |row: &&ledger::Entry| {
        let ran = row.state == EntryState::Applied;
        ran && row.kind == EntryKind::Operation && row.name == script.name
    };
    let Some(row) = rows.iter().rfind(is_it) else { return Ok(()) };
    let edited = match row.forgiving == script.checksum.forgiving {
        true => "",
        false => " (its text is another one now)",
    };
    let (script, started) = (name.to_string(), row.started.clone());
    Err(ProjectError::RanAlready { script, started, edited }.into())
}

/// The scripts of a folder and those below it.
fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<()> {
    let failed = || disk::failed("list the folder", folder);
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let hidden = name.starts_with(['.', '_']) || name.ends_with('~');
        let prose = [".md", ".txt", ".pyc"].iter().any(|end| name.ends_with(end));
        let path = entry.path();
        // A link to a folder may lead back to itself.
        let kind = entry.file_type().map_err(failed())?;
        if kind.is_dir() && !hidden && name != "node_modules" {
            list(&path, &format!("{prefix}{name}/"), names)?;
        } else if path.is_file() && !hidden && !prose {
            names.push(format!("{prefix}{name}"));
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
        base: None,
        image: None,
    }
}
