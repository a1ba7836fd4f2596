//! Finds the statement that took rows or left references without their parents, by running a stage
//! once more and rolling it back.
//!
//! It is called only after a run failed and was rolled back, so its cost does not matter.

use super::{
    account::{Account, count},
    foreign_keys::{dangling, may_dangle},
    run::{Run, Runner},
    stage::Item,
    statements::Live,
    watch::Watch,
};
use crate::{
    Error,
    error::{ApplyError, Place},
    history::Migration,
    plan::Action,
    schema::references,
};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// A statement that did something, and its file.
pub struct Culprit {
    /// Where it is.
    pub place: Place,
    /// Its file.
    pub migration: String,
}

impl Culprit {
    fn of(migration: &Migration, index: usize) -> Self {
        let start = migration.statements()[index].span.start;
        let place = Place::of(&migration.path, &migration.text, start);
        Self { place, migration: migration.title() }
    }
}

impl Runner<'_> {
    /// Says which statement did it, by running the stage again and rolling it back.
    pub(super) fn diagnosed(
        &mut self,
        connection: &Connection,
        stage: (&[Item<'_>], &Watch),
        error: Error,
    ) -> Error {
        match error {
            Error::Apply(ApplyError::RowsLost { place, table, before, lost, migration }) => {
                let found = first_loss(connection, self.run, stage, (&table, before));
                let (place, migration) = found.map_or((place, migration), |found| {
                    (Some(Box::new(found.place)), found.migration)
                });
                self.current = Some(migration.clone());
                ApplyError::RowsLost { place, table, before, lost, migration }.into()
            }
            Error::Apply(ApplyError::ForeignKeys { table, parent, count, .. }) => {
                let found = first_dangling(connection, self.run, stage, (&table, &parent));
                let (found, keys) = found.unzip();
                let (place, migration) =
                    found.map(|found| (Box::new(found.place), found.migration)).unzip();
                self.current = migration.clone();
                let keys = keys.unwrap_or_default();
                ApplyError::ForeignKeys { place, migration, keys, table, parent, count }.into()
            }
            Error::Apply(ApplyError::ObjectLost { place, object, migration }) => {
                self.current = Some(migration.clone());
                ApplyError::ObjectLost { place, object, migration }.into()
            }
            other => other,
        }
    }
}

/// Whether to look at the next statement.
#[derive(PartialEq, Eq)]
enum Next {
    Go,
    Stop,
}

/// The first statement after which a table, or a copy of all its rows, has fewer rows than the table
/// had before.
pub fn first_loss(
    connection: &Connection,
    run: &Run<'_>,
    (stage, watch): (&[Item<'_>], &Watch),
    (table, before): (&str, u64),
) -> Option<Culprit> {
    let mut found = None;
    replay(connection, run, (stage, watch), |live, account, migration, index| {
        let fewer = |name: &String| count(live.connection, name).is_ok_and(|rows| rows < before);
        if !account.holders(table).iter().any(fewer) {
            return Next::Go;
        }
        found = Some(Culprit::of(migration, index));
        Next::Stop
    })?;
    found
}

/// The statement since which more rows of a table refer to no parent than before, and the keys of
/// some of these rows.
pub fn first_dangling(
    connection: &Connection,
    run: &Run<'_>,
    (stage, watch): (&[Item<'_>], &Watch),
    (table, parent): (&str, &str),
) -> Option<(Culprit, Vec<i64>)> {
    const MOST: usize = 5;
    let violations = |connection: &Connection| {
        let counted: BTreeMap<String, u64> = references::violations(connection, table).ok()?;
        Some(counted.get(parent).copied().unwrap_or(0))
    };
    let all = |connection: &Connection| -> BTreeSet<i64> {
        let found = dangling(connection, table, parent, usize::MAX);
        found.unwrap_or_default().into_iter().collect()
    };
    let (mut before, mut old) = (violations(connection).unwrap_or(0), all(connection));
    let mut found: Option<Culprit> = None;
    let mut keys = Vec::new();
    replay(connection, run, (stage, watch), |live, _, migration, index| {
        // Of statements that differ in their values alone, the last one shows what all did.
        if migration.statements().get(index + 1).is_some_and(|next| next.repeats) {
            return Next::Go;
        }
        if may_dangle(migration) {
            (before, old) = (violations(live.connection).unwrap_or(0), all(live.connection));
            found = None;
            return Next::Go;
        }
        if violations(live.connection).is_none_or(|now| now <= before) {
            found = None;
        } else if found.is_none() {
            found = Some(Culprit::of(migration, index));
        }
        let most = old.len() + MOST;
        let now = dangling(live.connection, table, parent, most).unwrap_or_default();
        keys = now.into_iter().filter(|key| !old.contains(key)).take(MOST).collect();
        Next::Go
    })?;
    Some((found?, keys))
}

/// Runs a stage once more; `visit` is called after each statement.
fn replay(
    connection: &Connection,
    run: &Run<'_>,
    (stage, watch): (&[Item<'_>], &Watch),
    visit: impl FnMut(&Live<'_>, &Account, &Migration, usize) -> Next,
) -> Option<()> {
    connection.execute_batch("BEGIN IMMEDIATE").ok()?;
    let walked = walk(connection, run, (stage, watch), visit);
    // It failed already for another reason; this only has to leave nothing behind.
    let _ = connection.execute_batch("ROLLBACK");
    walked
}

fn walk(
    connection: &Connection,
    run: &Run<'_>,
    (stage, watch): (&[Item<'_>], &Watch),
    mut visit: impl FnMut(&Live<'_>, &Account, &Migration, usize) -> Next,
) -> Option<()> {
    let mut live = Live::open(connection, &run.plan.database).ok()?;
    let mut account = Account::open(connection, &live.schema, watch).ok()?;
    for (assessment, migration) in stage {
        let Action::Statements(statements) = &assessment.action else { continue };
        live.begin_file().ok()?;
        account.begin(migration);
        for statement in statements {
            live.run(migration, statement, Some(&mut account)).ok()?;
            if visit(&live, &account, migration, statement.index) == Next::Stop {
                return Some(());
            }
        }
    }
    Some(())
}
