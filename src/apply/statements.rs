//! Runs the statements of one migration, each behind its guard on the live schema.

use super::{
    account::{Account, Ran},
    tally::Tally,
};
use crate::{
    Error, Result, database,
    error::{ApplyError, Place},
    guard::{Verdict, verdict},
    history::Migration,
    plan::{PlannedStatement, truth},
    schema::{Introspector, Schema, search},
    sql::Class,
};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// The live database as statements change it.
pub struct Live<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// Reads its schema.
    pub introspector: Introspector,
    /// Its schema as it is now.
    pub schema: Schema,
    /// Its path relative to the data directory, for messages.
    pub database: PathBuf,
    /// Whether statements run inside a transaction of the run, which no file may end.
    pub inside: bool,
    /// Counts and keeps what a data operation does.
    pub tally: Option<Tally>,
    writable: bool,
    /// Whether a file changed settings of the connection.
    altered: bool,
    /// Whether a file changed the schema by writing into its table.
    edited: bool,
}

impl<'a> Live<'a> {
    /// Reads the schema.
    pub fn open(connection: &'a Connection, database: &Path) -> Result<Self> {
        let mut introspector = Introspector::default();
        let schema = introspector
            .read(connection)
            .map_err(database::failed("read the schema of", database))?;
        Ok(Self {
            connection,
            introspector,
            schema,
            database: database.into(),
            inside: false,
            tally: None,
            writable: false,
            altered: false,
            edited: false,
        })
    }

    /// Undoes the settings that an earlier file made, as the replay does.
    pub fn begin_file(&mut self) -> Result<()> {
        if std::mem::take(&mut self.altered) {
            self.writable = false;
            self.connection
                .execute_batch("PRAGMA legacy_alter_table = OFF; PRAGMA writable_schema = OFF")
                .map_err(database::failed("prepare", &self.database))?;
        }
        Ok(())
    }

    /// Runs one statement if its guard says that it is needed.
    pub fn run(
        &mut self,
        migration: &Migration,
        planned: &PlannedStatement,
        mut account: Option<&mut Account>,
    ) -> Result<()> {
        let span = migration.statements()[planned.index].span.clone();
        let text = &migration.text[span.clone()];
        let place =
            |offset: usize| Place::of(&migration.path, &migration.text, span.start + offset);
        if !self.is_run(&planned.class) {
            return Ok(());
        }
        if !planned.effect.is_empty() {
            match verdict(&planned.effect, &self.schema) {
                Verdict::Needed => {}
                Verdict::Satisfied => return Ok(()),
                Verdict::Conflict(facts) => {
                    let facts =
                        facts.iter().map(|change| format!("  {change}")).collect::<Vec<_>>();
                    return Err(
                        ApplyError::Conflict { place: place(0), facts: facts.join("\n") }.into()
                    );
                }
            }
        }
        let is_new = account.as_mut().is_some_and(|it| !it.knows(migration, planned.index));
        if let Some(account) = &account {
            account.watch().start();
        }
        self.execute(text, planned).map_err(|(message, offset)| {
            Error::from(ApplyError::Statement {
                place: place(offset),
                message,
                database: self.database.clone(),
            })
        })?;
        if self.inside && self.connection.is_autocommit() {
            return Err(ApplyError::TransactionEnded { place: place(0) }.into());
        }
        let program = account.as_ref().filter(|_| is_new).map(|account| account.watch().heard());
        // Only what changes the schema is compared with what was before: a data file is long.
        let before = if self.rereads(&planned.class) { Some(self.schema.clone()) } else { None };
        if before.is_some() {
            self.refresh(&planned.class)?;
        }
        if let (Some(account), Some(program)) = (account, program) {
            let (index, before, after) = (planned.index, before.as_ref(), &self.schema);
            let connection = self.connection;
            account
                .note(&Ran { migration, index, program, before, after, connection })
                .map_err(database::failed("count the rows of", &self.database))?;
        }
        Ok(())
    }

    /// Whether a statement may have changed the schema.
    fn rereads(&self, class: &Class) -> bool {
        *class == Class::Definition || *class == Class::Data && self.writable || class.sets_number()
    }

    /// Whether a statement runs at all: the run has its own transaction and foreign key setting.
    fn is_run(&mut self, class: &Class) -> bool {
        match class {
            Class::TransactionControl => false,
            Class::Pragma { name, argument } => {
                self.altered |= name == "writable_schema" || name == "legacy_alter_table";
                if name == "writable_schema" {
                    self.writable = argument
                        .as_deref()
                        .is_some_and(|word| !matches!(word, "off" | "0" | "false" | "no"));
                }
                name != "foreign_keys"
            }
            _ => true,
        }
    }

    /// Refuses a database that is no longer whole after its schema was edited by hand.
    ///
    /// # Errors
    /// [`ApplyError::Unsound`]; SQLite's.
    pub fn require_sound(&self) -> Result<()> {
        if !self.edited {
            return Ok(());
        }
        let found = search::check(self.connection, "integrity_check", 1)
            .map_err(database::failed("check", &self.database))?;
        let Some(found) = found.damage.into_iter().next() else { return Ok(()) };
        Err(ApplyError::Unsound { database: self.database.clone(), found }.into())
    }

    fn execute(
        &mut self,
        text: &str,
        planned: &PlannedStatement,
    ) -> std::result::Result<(), (String, usize)> {
        if let Some(tally) = &mut self.tally {
            return tally.run(self.connection, text, &planned.class).map_err(message);
        }
        if !planned.legacy {
            return execute(self.connection, text);
        }
        execute(self.connection, "PRAGMA legacy_alter_table = ON")?;
        let outcome = execute(self.connection, text);
        execute(self.connection, "PRAGMA legacy_alter_table = OFF")?;
        outcome
    }

    fn refresh(&mut self, class: &Class) -> Result<()> {
        let failed = database::failed("read the schema of", &self.database);
        let read = match class {
            Class::Definition | Class::Pragma { .. } => self.introspector.read(self.connection),
            Class::Data if self.writable => {
                self.edited = true;
                // SQLite keeps the old schema in memory until it is told to read it again.
                let reset = "PRAGMA writable_schema = RESET; PRAGMA writable_schema = ON";
                self.connection
                    .execute_batch(reset)
                    .and_then(|()| self.introspector.read_anew(self.connection))
            }
            _ => return Ok(()),
        };
        self.schema = read.map_err(failed)?;
        Ok(())
    }
}

/// Runs one statement to its end, rows and all.
pub fn execute(connection: &Connection, text: &str) -> std::result::Result<(), (String, usize)> {
    let mut statement = connection.prepare(text).map_err(message)?;
    let mut rows = statement.raw_query();
    while rows.next().map_err(message)?.is_some() {}
    Ok(())
}

pub(super) fn message(error: rusqlite::Error) -> (String, usize) {
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            (msg, usize::try_from(offset).unwrap_or(0))
        }
        rusqlite::Error::SqliteFailure(_, Some(message)) => (message, 0),
        other => (other.to_string(), 0),
    }
}

/// Evaluates the declared queries of a migration.
pub fn declared(
    connection: &Connection,
    migration: &Migration,
    directive: &'static str,
    queries: &[String],
) -> Result<()> {
    for query in queries {
        let reason = match truth(connection, query) {
            Ok(true) => continue,
            Ok(false) => "is not true".to_string(),
            Err(message) => format!("failed ({message})"),
        };
        let migration = migration.title();
        return Err(
            ApplyError::Declared { migration, directive, reason, query: query.clone() }.into()
        );
    }
    Ok(())
}
