//! What a data operation may do, seen before it runs: each statement is prepared, and SQLite's
//! authorizer says what it would do. Nothing is executed.
//!
//! The run has the transaction in hand and writes the ledger, so that an operation may do neither.

use crate::{
    error::{ApplyError, Place, ProjectError},
    history::Migration,
    sql::{Class, class, classify},
};
use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization, TransactionOperation},
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// What an operation would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It changes rows, or may.
    Writes,
    /// It only asks.
    Reads,
}

/// What SQLite says that one statement would do.
#[derive(Clone, Debug, Default)]
struct Acts {
    begins: bool,
    commits: bool,
    rolls_back: bool,
    /// SAVEPOINT, RELEASE or ROLLBACK TO with its name.
    savepoint: Option<(Savepoint, String)>,
    attaches: bool,
    changes_schema: bool,
    writes_ledger: bool,
    opens_schema: bool,
    makes_temporary: bool,
    makes_trigger: bool,
    writes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Savepoint {
    Opened,
    Released,
    RolledBack,
}

/// Looks at every statement of an operation on a connection that may be read only.
///
/// # Errors
/// [`ProjectError::NotInScript`] and [`ProjectError::SchemaInScript`] with the line;
/// [`ApplyError::Statement`] for what SQLite cannot prepare; SQLite's.
pub fn inspect(
    connection: &mut Connection,
    script: &Migration,
    database: &Path,
) -> crate::Result<Reach> {
    let failed = |error| crate::database::failed("read", database)(error);
    let acts = Arc::new(Mutex::new(Acts::default()));
    let noted = acts.clone();
    let authorizer = move |context: AuthContext<'_>| {
        note(&mut noted.lock().unwrap_or_else(PoisonError::into_inner), &context)
    };
    connection.authorizer(Some(authorizer)).map_err(failed)?;
    let seen = look(connection, script, database, &acts);
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).map_err(failed)?;
    let seen = seen?;
    require_order(script, &seen)?;
    let writes = seen.iter().any(|acts| acts.writes);
    Ok(if writes { Reach::Writes } else { Reach::Reads })
}

fn look(
    connection: &Connection,
    script: &Migration,
    database: &Path,
    acts: &Mutex<Acts>,
) -> crate::Result<Vec<Acts>> {
    let mut seen: Vec<Acts> = Vec::new();
    for statement in script.statements() {
        let text = statement.text(&script.text);
        let class = classify(text);
        *acts.lock().unwrap_or_else(PoisonError::into_inner) = Acts::default();
        let prepared = connection.prepare(text).map(|statement| !statement.readonly());
        let mut found = acts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Of an expression, SQLite does not say what it attaches.
        found.attaches |= class == Class::Attach;
        // The body of a trigger is compiled only when it fires.
        found.writes_ledger |= found.makes_trigger && class::has_name_with(text, "_piton_");
        match prepared {
            Ok(writes) => found.writes = writes && !found.is_about_transactions(),
            // Some PRAGMAs act when they are prepared, and are not allowed to here.
            Err(_) if matches!(class, Class::Pragma { .. }) => {}
            // It may need a temporary table that an earlier statement makes.
            Err(_) if seen.iter().any(|acts| acts.makes_temporary) => {
                found.writes |= class != Class::Query;
                found.writes_ledger |= text.to_ascii_lowercase().contains("_piton_");
            }
            Err(error) => {
                // After an ATTACH that is refused, what it names is missing.
                seen.push(found);
                require_order(script, &seen)?;
                let (message, offset) = super::statements::message(error);
                let place = Place::of(&script.path, &script.text, statement.span.start + offset);
                return Err(
                    ApplyError::Statement { place, message, database: database.into() }.into()
                );
            }
        }
        seen.push(found);
    }
    Ok(seen)
}

fn note(acts: &mut Acts, context: &AuthContext<'_>) -> Authorization {
    use TransactionOperation::{Begin, Release, Rollback};
    let is_temporary = context.database_name == Some("temp");
    match &context.action {
        AuthAction::Transaction { operation } => match operation {
            Begin => acts.begins = true,
            Rollback => acts.rolls_back = true,
            _ => acts.commits = true,
        },
        AuthAction::Savepoint { operation, savepoint_name } => {
            let operation = match operation {
                Begin => Savepoint::Opened,
                Release => Savepoint::Released,
                _ => Savepoint::RolledBack,
            };
            acts.savepoint = Some((operation, savepoint_name.to_ascii_lowercase()));
        }
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => acts.attaches = true,
        AuthAction::Pragma { pragma_name, pragma_value } => {
            acts.opens_schema |= pragma_value.is_some_and(|value| {
                pragma_name.eq_ignore_ascii_case("writable_schema")
                    && !["0", "off", "false", "no"].iter().any(|it| value.eq_ignore_ascii_case(it))
            });
            return Authorization::Deny;
        }
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => {
            acts.writes_ledger |= table_name.to_ascii_lowercase().starts_with("_piton_");
        }
        AuthAction::CreateTempTable { .. } | AuthAction::CreateTempView { .. } => {
            acts.makes_temporary = true;
        }
        AuthAction::CreateTempTrigger { .. } => acts.makes_trigger = true,
        AuthAction::CreateTable { table_name } if table_name.starts_with("sqlite_") => {}
        AuthAction::CreateTable { .. }
        | AuthAction::CreateIndex { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::CreateVtable { .. }
        | AuthAction::DropTable { .. }
        | AuthAction::DropIndex { .. }
        | AuthAction::DropTrigger { .. }
        | AuthAction::DropView { .. }
        | AuthAction::DropVtable { .. } => acts.changes_schema |= !is_temporary,
        AuthAction::AlterTable { database_name, .. } => {
            acts.changes_schema |= *database_name != "temp";
        }
        _ => {}
    }
    Authorization::Allow
}

impl Acts {
    fn is_about_transactions(&self) -> bool {
        self.begins || self.commits || self.rolls_back || self.savepoint.is_some()
    }
}

/// BEGIN before what writes and COMMIT after it are skipped, as in migrations; anything else that
/// would end the run's transaction, or reach beyond the database, is refused.
fn require_order(script: &Migration, seen: &[Acts]) -> crate::Result<()> {
    let mut open: Vec<&str> = Vec::new();
    for (at, acts) in seen.iter().enumerate() {
        let writes = |acts: &Acts| acts.writes;
        let refused = if acts.rolls_back {
            Some(("ROLLBACK would undo more than this file", "remove the statement"))
        } else if acts.begins && seen[..at].iter().any(writes) {
            Some(("BEGIN in the middle: the whole file is one transaction", "remove the statement"))
        } else if acts.commits && seen[at + 1..].iter().any(writes) {
            Some((
                "COMMIT in the middle: what follows would not be in the transaction of the run",
                "remove the statement, or make two scripts of it",
            ))
        } else if acts.attaches {
            Some((
                "a script works on one database, so it cannot ATTACH or DETACH",
                "name its database in the first lines: `-- database: other.db`",
            ))
        } else if acts.writes_ledger {
            Some((
                "it writes piton's own table, which says what ran",
                "remove the statement; `piton adopt` says what ran",
            ))
        } else if acts.opens_schema {
            Some((
                "`writable_schema` changes the schema past piton",
                "write it as a migration: `piton new NAME`",
            ))
        } else {
            savepoint(acts, &mut open)
        };
        let start = script.statements()[at].span.start;
        let place = || Place::of(&script.path, &script.text, start);
        if let Some((what, hint)) = refused {
            return Err(ProjectError::NotInScript { place: place(), what, hint }.into());
        }
        if acts.changes_schema {
            return Err(ProjectError::SchemaInScript { place: place() }.into());
        }
    }
    Ok(())
}

/// A savepoint is the file's own as long as it is opened before it is ended.
fn savepoint<'a>(acts: &'a Acts, open: &mut Vec<&'a str>) -> Option<(&'static str, &'static str)> {
    let (operation, name) = acts.savepoint.as_ref()?;
    if *operation == Savepoint::Opened {
        open.push(name);
        return None;
    }
    match open.iter().rposition(|other| other == name) {
        Some(at) if *operation == Savepoint::Released => open.truncate(at),
        Some(at) => open.truncate(at + 1),
        None => {
            return Some(("it ends a savepoint that it did not open", "remove the statement"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Version;

    fn inspected(text: &str) -> Result<Reach, String> {
        let mut connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE t (a); CREATE TABLE _piton_ledger (id); CREATE VIRTUAL TABLE f USING fts5(x)";
        connection.execute_batch(tables).unwrap();
        let path = Path::new("x.sql");
        let script = Migration::from_sql(Version::zero(), "x", path, text.into()).unwrap();
        inspect(&mut connection, &script, Path::new("app.db")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_may_run() {
        for text in [
            "UPDATE t SET a = 1;",
            "BEGIN; UPDATE t SET a = 1; COMMIT;",
            "PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; DELETE FROM t; END; PRAGMA optimize;",
            "SAVEPOINT s; DELETE FROM t; ROLLBACK TO S; RELEASE s;",
            "CREATE TEMP TABLE x AS SELECT * FROM t; INSERT INTO t SELECT * FROM x; DROP TABLE x;",
            "INSERT INTO f (f) VALUES ('rebuild'); ANALYZE; REINDEX;",
            "UPDATE t SET a = 'ROLLBACK; ATTACH _piton_ledger';",
        ] {
            assert_eq!(inspected(text), Ok(Reach::Writes), "{text}");
        }
        assert_eq!(inspected("SELECT * FROM t; PRAGMA table_info(t);"), Ok(Reach::Reads));
    }

    #[test]
    fn what_is_refused() {
        for (text, part) in [
            ("UPDATE t SET a = 1;\nROLLBACK;\nDELETE FROM t;", "x.sql:2:1: ROLLBACK"),
            ("UPDATE t SET a = 1;\nCOMMIT;\nDELETE FROM t;", "x.sql:2:1: COMMIT in the middle"),
            ("DELETE FROM t; BEGIN; DELETE FROM t; COMMIT;", "BEGIN in the middle"),
            ("ATTACH 'x.db' AS o;", "ATTACH"),
            ("DETACH o;", "ATTACH"),
            ("ATTACH ('x' || '.db') AS o;", "ATTACH"),
            ("ATTACH :file AS o;", "ATTACH"),
            (
                "CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM '_Piton_ledger'; END;",
                "own table",
            ),
            ("RELEASE s;", "savepoint"),
            ("SAVEPOINT s; RELEASE s; ROLLBACK TO s;", "savepoint"),
            ("DELETE FROM _piton_ledger;", "piton's own table"),
            ("CREATE TEMP TABLE x (a); INSERT INTO _piton_ledger SELECT a FROM x;", "own table"),
            ("/* x */ PRAGMA writable_schema = 1;", "writable_schema"),
            ("DROP TABLE t;", "changes the schema"),
            ("CREATE TABLE u AS SELECT 1;", "changes the schema"),
            ("ALTER TABLE t ADD b;", "changes the schema"),
            ("SELECT 1;\nINSERT INTO nosuch VALUES (1);", "x.sql:2:1: no such table"),
        ] {
            let found = inspected(text).unwrap_err();
            assert!(found.contains(part), "{text}: {found}");
        }
    }
}
