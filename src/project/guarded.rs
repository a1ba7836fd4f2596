//! Targets whose history is a folder of unnumbered scripts, each of which looks for itself whether it is
//! needed: run by name's order, recorded by name and checksum, and run again where nothing says that they ran.

use super::targets::Target;
use crate::{
    Result, database,
    history::Migration,
    ledger::{self, Entry, EntryState},
    plan::{Action, Assessment, DatabasePlan, Finding, Position, Severity, State},
    schema::schema_hash,
};
use rusqlite::Connection;
use std::{path::Path, sync::Arc};

/// The plan of one database: the scripts that did not run with the text that they have now.
///
/// # Errors
/// SQLite's, with the database's path.
pub fn plan(
    target: &Target,
    name: &Path,
    path: &Path,
    live: Option<&Connection>,
) -> Result<DatabasePlan> {
    let mut plan = DatabasePlan {
        target: target.name.clone(),
        database: name.into(),
        path: path.into(),
        exists: live.is_some(),
        position: Position { version: None, known_by: "ledger" },
        assessments: Arc::new([]),
        findings: Vec::new(),
        schema_hash: String::new(),
        base: None,
        image: None,
    };
    let mut rows = Vec::new();
    if let Some(connection) = live {
        rows = ledger::read(connection).map_err(ledger::failed("read the ledger of", path))?;
        plan.schema_hash = schema_hash(connection).map_err(database::failed("read", path))?;
    } else {
        let first = target.scripts.first().map(|script| script.title()).unwrap_or_default();
        let message = format!(
            "the scripts of the folder (`{first}` is the first) change a database that is there, and `{}` is not",
            path.display()
        );
        let hint = "name the application's database in `piton.toml` (`data` is its folder, `database` its name)";
        plan.findings.push(Finding::new("no-database", Severity::Denied, message).hint(hint));
    }
    plan.assessments = target.scripts.iter().map(|script| assessment(script, &rows)).collect();
    Ok(plan)
}

fn assessment(script: &Arc<Migration>, rows: &[Entry]) -> Assessment {
    let is_it = |row: &&Entry| row.version == script.version && row.name == script.name;
    let row = rows.iter().rfind(is_it);
    let ran = row.filter(|row| {
        row.state == EntryState::Applied && row.forgiving == script.checksum.forgiving
    });
    let (state, action) = match ran {
        Some(_) => (State::Applied, Action::None),
        None => (State::Pending, Action::Script),
    };
    // One that was begun and not ended looks again, and its row is completed.
    let begun = row.filter(|row| row.state == EntryState::Started);
    Assessment {
        version: script.version.clone(),
        title: script.title(),
        migration: Some(script.clone()),
        state,
        witness: ran.map(|row| row.witness),
        action,
        entry: ran.or(begun).cloned(),
    }
}
