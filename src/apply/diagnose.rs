//! Finds the statement that took rows, by running a stage once more and rolling it back.
//!
//! It is called only after a run failed and was rolled back, so its cost does not matter.

use super::{account::count, run::Run, stage::Item, statements::Live};
use crate::{error::Place, plan::Action};
use rusqlite::Connection;

/// The place of the first statement after which a table has fewer rows than before, and its file.
pub fn first_loss(
    connection: &Connection,
    run: &Run<'_>,
    stage: &[Item<'_>],
    table: &str,
    before: u64,
) -> Option<(String, String)> {
    connection.execute_batch("BEGIN IMMEDIATE").ok()?;
    let found = search(connection, run, stage, table, before);
    // It failed already for another reason; this only has to leave nothing behind.
    let _ = connection.execute_batch("ROLLBACK");
    found
}

fn search(
    connection: &Connection,
    run: &Run<'_>,
    stage: &[Item<'_>],
    table: &str,
    before: u64,
) -> Option<(String, String)> {
    let mut live = Live::open(connection, &run.plan.database).ok()?;
    for (assessment, migration) in stage {
        let Action::Statements(statements) = &assessment.action else { continue };
        live.begin_file().ok()?;
        for statement in statements {
            live.run(migration, statement, None).ok()?;
            if count(connection, table).is_ok_and(|rows| rows < before) {
                let start = migration.statements()[statement.index].span.start;
                let place = Place::of(&migration.path, &migration.text, start);
                return Some((place.to_string(), migration.title()));
            }
        }
    }
    None
}
