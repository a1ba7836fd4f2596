//! The engine's harness: histories in folders, plans carried out on database files, plain-SQL twins
//! and dumps. It never compares the ledger.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, dead_code)]

use piton::{
    apply::{Done, Lasting, Purpose, Run, carry_out},
    database::{self, Access},
    event::Silent,
    history::{FolderRules, Migration, Version, discover},
    plan::{DatabasePlan, Request, Rules, Settings, plan_database},
    rusqlite::{Connection, types::Value},
    sql::{Class, classify},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Schema text and rows of a database, the ledger aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Kind, name and text of every object, sorted.
    pub schema: Vec<String>,
    /// Rows by table, sorted.
    pub rows: BTreeMap<String, Vec<String>>,
}

impl Dump {
    /// The same without the quotes, letter case and last comment of definitions.
    pub fn respelt(&self) -> Self {
        let plain = |text: &String| {
            let text = text.replace(['"', '`', '[', ']'], "").to_lowercase();
            text.split(" /* here").next().unwrap_or_default().trim_end().to_string()
        };
        let mut rows = self.rows.clone();
        // An INSERT of no row may leave a sequence at its beginning.
        rows.entry("sqlite_sequence".into())
            .or_default()
            .retain(|row| !row.ends_with("Integer(0)]"));
        Self { schema: self.schema.iter().map(plain).collect(), rows }
    }
}

/// How an `up` ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing was planned.
    Nothing,
    /// These migrations were carried out: file name and outcome.
    Done(Vec<(String, &'static str)>),
    /// The plan was refused: codes and messages.
    Refused(Vec<(String, String)>),
    /// Carrying out failed; whether something was left behind.
    Failed(String, Lasting),
}

impl Ended {
    /// Whether it was refused or failed with everything as before.
    pub fn stopped(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Failed(_, Lasting::Nothing))
    }

    /// The codes of a refusal.
    pub fn codes(&self) -> Vec<&str> {
        match self {
            Self::Refused(found) => found.iter().map(|(code, _)| code.as_str()).collect(),
            Self::Failed(..) => vec!["failed"],
            _ => Vec::new(),
        }
    }
}

/// The migrations of a folder.
pub fn history(folder: &Path) -> Vec<Arc<Migration>> {
    discover(folder, &FolderRules::default()).unwrap().remove(0).migrations
}

/// Writes files into a folder and reads them as a history.
pub fn written(folder: &Path, files: &[(&str, &str)]) -> Vec<Arc<Migration>> {
    fs::create_dir_all(folder).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    history(folder)
}

/// Plans a database file.
pub fn plan(
    path: &Path,
    migrations: &[Arc<Migration>],
    settings: &Settings,
) -> piton::Result<DatabasePlan> {
    let live = path.exists().then(|| database::open(path, Access::Read, Duration::from_secs(5)));
    let live = live.transpose()?;
    let name = Path::new("app.db");
    let rules = Rules::default();
    let request =
        Request { target: "app", database: name, path, migrations, settings, rules: Some(&rules) };
    plan_database(&request, live.as_ref())
}

/// Carries out a plan.
pub fn carry(plan: &DatabasePlan) -> Ended {
    let folder = std::env::temp_dir();
    let run = Run {
        plan,
        purpose: Purpose::Migrate,
        backup: None,
        clock: &|| "2026-11-20T13:19:07Z".parse().unwrap(),
        busy: Duration::from_secs(5),
        script_limit: Duration::from_secs(30),
        environment: &[],
        arguments: &[],
        folder: &folder,
        observer: &Silent,
        enclosure: None,
    };
    match carry_out(&run) {
        Ok(outcome) if outcome.done.is_empty() => Ended::Nothing,
        Ok(outcome) => Ended::Done(words(&outcome.done)),
        Err(failure) => Ended::Failed(failure.error.to_string(), failure.lasting),
    }
}

fn words(done: &[Done]) -> Vec<(String, &'static str)> {
    done.iter().map(|done| (done.migration.clone(), done.outcome)).collect()
}

/// Plans and carries out, unless the plan is refused.
pub fn up(path: &Path, migrations: &[Arc<Migration>], settings: &Settings) -> Ended {
    let plan = match plan(path, migrations, settings) {
        Ok(plan) => plan,
        Err(error) => return Ended::Refused(vec![("error".into(), error.to_string())]),
    };
    let denied: Vec<(String, String)> = plan
        .denials()
        .map(|found| {
            let place = found.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
            (found.code.to_string(), format!("{}{place}", found.message))
        })
        .collect();
    if !denied.is_empty() {
        return Ended::Refused(denied);
    }
    carry(&plan)
}

/// The settings that stop behind a version.
pub fn last(version: &Version) -> Settings {
    Settings { last: Some(version.clone()), ..Settings::default() }
}

/// A connection with foreign keys off.
pub fn connect(path: &Path) -> Connection {
    database::open(path, Access::Create, Duration::from_secs(5)).unwrap()
}

/// Runs the first statements of a migration as plain SQL; what the file says of transactions and
/// of foreign keys does not count.
pub fn plain(
    connection: &Connection,
    migration: &Migration,
    statements: usize,
) -> Result<(), String> {
    for statement in &migration.statements()[..statements] {
        let text = statement.text(&migration.text);
        let skipped = match classify(text) {
            Class::TransactionControl => true,
            Class::Pragma { name, .. } => name == "foreign_keys",
            _ => false,
        };
        if skipped {
            continue;
        }
        plain_statement(connection, text)
            .map_err(|error| format!("{}: {error}: {text}", migration.title()))?;
    }
    execute(connection, "PRAGMA legacy_alter_table = OFF")?;
    execute(connection, "PRAGMA writable_schema = OFF")
}

/// Runs one statement as plain SQL; a rename as old SQLite did it, where a view or trigger dangles
/// meanwhile.
pub fn plain_statement(connection: &Connection, text: &str) -> Result<(), String> {
    match execute(connection, text) {
        Err(_) if piton::sql::class::renamed_table(text).is_some() => {
            execute(connection, "PRAGMA legacy_alter_table = ON")?;
            let outcome = execute(connection, text);
            execute(connection, "PRAGMA legacy_alter_table = OFF")?;
            outcome
        }
        outcome => outcome,
    }
}

fn execute(connection: &Connection, text: &str) -> Result<(), String> {
    let message = |error: piton::rusqlite::Error| error.to_string();
    let mut statement = connection.prepare(text).map_err(message)?;
    let mut rows = statement.raw_query();
    while rows.next().map_err(message)?.is_some() {}
    Ok(())
}

/// Removes the ledger.
pub fn drop_ledger(path: &Path) {
    connect(path).execute_batch("DROP TABLE IF EXISTS _piton_ledger").unwrap();
}

/// Schema text and rows, the ledger aside.
pub fn dump(path: &Path) -> Dump {
    if !path.exists() {
        return Dump::default();
    }
    dump_of(&connect(path))
}

/// The same of an open database.
pub fn dump_of(connection: &Connection) -> Dump {
    let schema = strings(
        connection,
        "SELECT type || ' ' || name || ' on ' || tbl_name || ': ' || coalesce(sql, '') \
         FROM sqlite_schema WHERE name NOT LIKE '\\_piton%' ESCAPE '\\' \
         AND name <> 'sqlite_sequence' \
         AND tbl_name NOT LIKE '\\_piton%' ESCAPE '\\' ORDER BY type, name",
    );
    let tables = strings(
        connection,
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') \
         AND name NOT LIKE '\\_piton%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_s%ma' ESCAPE '\\'",
    );
    let rows = tables.into_iter().map(|table| {
        let rows = rows(connection, &table);
        (table, rows)
    });
    Dump { schema, rows: rows.collect() }
}

fn rows(connection: &Connection, table: &str) -> Vec<String> {
    let quoted = piton::sql::quote(table);
    let query = |columns: &str| connection.prepare(&format!("SELECT {columns} FROM {quoted}"));
    let Ok(mut statement) = query("rowid, *").or_else(|_| query("*")) else { return Vec::new() };
    let count = statement.column_count();
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Ok(Some(row)) = rows.next() {
        let cells: Vec<Value> = (0..count).map(|at| row.get_unwrap(at)).collect();
        found.push(format!("{cells:?}"));
    }
    found.sort();
    found
}

fn strings(connection: &Connection, query: &str) -> Vec<String> {
    let mut statement = connection.prepare(query).unwrap();
    let found = statement.query_map([], |row| row.get(0)).unwrap();
    found.map(Result::unwrap).collect()
}

/// The first differences of two dumps, for messages.
pub fn differences(wanted: &Dump, found: &Dump) -> String {
    let mut lines = Vec::new();
    let mut compare = |place: &str, wanted: &[String], found: &[String]| {
        lines
            .extend(wanted.iter().filter(|l| !found.contains(l)).map(|l| format!("{place} - {l}")));
        lines
            .extend(found.iter().filter(|l| !wanted.contains(l)).map(|l| format!("{place} + {l}")));
        if wanted.len() != found.len() {
            lines.push(format!("{place}: {} wanted, {} found", wanted.len(), found.len()));
        }
    };
    compare("schema", &wanted.schema, &found.schema);
    let tables: std::collections::BTreeSet<&String> =
        wanted.rows.keys().chain(found.rows.keys()).collect();
    for table in tables {
        let of = |dump: &Dump| dump.rows.get(table).cloned().unwrap_or_default();
        compare(table, &of(wanted), &of(found));
    }
    lines.truncate(12);
    lines.join("\n")
}

/// The bytes of a database file.
pub fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// A fresh path in a folder, with what was there before gone.
pub fn fresh(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(database::side_file(&path, suffix));
    }
    path
}
