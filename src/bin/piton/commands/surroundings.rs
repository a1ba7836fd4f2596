//! What `status` says beside the databases' states: files that are not understood, other tools' ledgers.

use crate::render::text;
use piton::{
    Kind,
    error::HistoryError,
    project::{Outcome, Status},
};
use serde_json::{Value, json};
use std::path::Path;

/// Files that take no part, ledgers of other tools, and files that stop every run.
pub fn lines(status: &Status, migrations: &Path) -> String {
    let mut human = String::new();
    for ignored in &status.ignored {
        let path = ignored.path.display();
        human.push_str(&format!("not a migration: {path} ({})\n", ignored.reason));
    }
    for (database, ledger) in &status.foreign_ledgers {
        human.push_str(&format!(
            "{}: `{}` is the ledger of {}, {}; piton recognises what ran there by the schema\n",
            database.display(),
            ledger.table,
            ledger.tool,
            text::count(usize::try_from(ledger.rows).unwrap_or(usize::MAX), "row", "rows"),
        ));
    }
    if !status.not_understood.is_empty() {
        let (folder, files) = (migrations.into(), status.not_understood.clone());
        human.push_str(&text::failure(&HistoryError::NotUnderstood { folder, files }.into()));
    }
    human
}

/// Beside files that are not understood, nothing would run.
pub fn outcome(status: &Status, state: Outcome) -> Outcome {
    if status.not_understood.is_empty() { state } else { Outcome::Problem(Kind::Refused) }
}

/// The ledgers of other tools in JSON.
pub fn ledgers(status: &Status) -> Value {
    let ledger = |(database, ledger): &(_, piton::ledger::ForeignLedger)| {
        let database: &std::path::PathBuf = database;
        json!({ "database": database, "table": ledger.table, "tool": ledger.tool, "rows": ledger.rows })
    };
    status.foreign_ledgers.iter().map(ledger).collect()
}
