//! What the schema lacks of the migrations that a person says are done.

use super::{
    chain::{Standing, standings},
    draft,
    order::units,
    replay::replay_over,
};
use crate::{
    Result, database,
    history::{Migration, Version},
    ledger::{self, Entry},
    schema::Introspector,
};
use rusqlite::Connection;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// What is missing or different of one migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// The objects, such as `table users`.
    pub objects: BTreeSet<String>,
    /// The facts, one per line.
    pub lines: String,
}

/// By version, what the schema lacks of what is done or said to be. `entries` are the ledger's rows, with
/// the text that a person accepts in the row that it is about.
///
/// # Errors
/// SQLite's, with the database's path.
pub fn missing(
    connection: &Connection,
    path: &Path,
    migrations: &[Arc<Migration>],
    entries: &[Entry],
) -> Result<BTreeMap<Version, Missing>> {
    let live = Introspector::default().read(connection).map_err(database::failed("read", path))?;
    let base = ledger::read_base(connection).map_err(ledger::failed("read the ledger of", path))?;
    let units = units(migrations, entries)?;
    let (timeline, _) = replay_over(&units, &live, base.as_deref())?;
    let found = standings(&timeline, &live, &BTreeSet::new());
    let mut missing = BTreeMap::new();
    for (at, unit) in units.iter().enumerate() {
        let mut changes = Vec::new();
        for step in timeline.starts[at]..timeline.starts[at + 1] {
            match &found.steps[step] {
                Standing::Absent => changes.extend(timeline.steps[step].effect.changes.clone()),
                Standing::Partly(facts) | Standing::Different(facts) => {
                    changes.extend(facts.iter().cloned());
                }
                Standing::There | Standing::Silent => {}
            }
        }
        // What does not work on this schema changes nothing that could be compared.
        let steps = &timeline.steps[timeline.starts[at]..timeline.starts[at + 1]];
        let failing: Vec<String> = steps
            .iter()
            .filter_map(|step| Some((step.statement + 1, step.problem.as_ref()?)))
            .map(|(number, problem)| format!("  statement {number}: {}", problem.message))
            .collect();
        if !changes.is_empty() || !failing.is_empty() {
            let objects = changes.iter().map(|change| change.object.to_string()).collect();
            let facts = if changes.is_empty() { None } else { Some(draft::lines(&changes)) };
            let lines = facts.into_iter().chain(failing).collect::<Vec<_>>().join("\n");
            missing.insert(unit.version.clone(), Missing { objects, lines });
        }
    }
    Ok(missing)
}
