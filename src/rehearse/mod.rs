//! Measures a copy before and after a run, so that a rehearsal can say what the run would do.
//!
//! It writes to copies only. `live` reads the live databases, to see that they stay what they are.

mod live;
mod reach;
mod ways;

pub use live::Live;
pub use reach::{Reach, reach};
pub use ways::way_out;

use crate::{
    Result,
    database::{self, Access},
    schema::{Change, Introspector, ObjectKind, Schema, diff, references, search},
    sql::quote,
};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path, time::Duration};

/// Schema, rows and soundness of a database.
pub struct Measure {
    schema: Schema,
    rows: BTreeMap<String, u64>,
    violations: u64,
}

/// What a run changed in a database.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Facts that differ, one per line.
    pub schema: Vec<String>,
    /// Rows per table before and after, where they differ.
    pub rows: BTreeMap<String, RowCounts>,
    /// What `integrity_check` says, where it is not `ok`.
    pub damage: Vec<String>,
    /// References without a parent, before and after.
    pub violations: RowCounts,
}

/// A count before and after; absent where the table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Before.
    pub before: Option<u64>,
    /// After.
    pub after: Option<u64>,
}

impl Measure {
    /// Measures a database; one that does not exist is empty.
    ///
    /// # Errors
    /// SQLite's, with the path.
    pub fn of(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self { schema: Schema::default(), rows: BTreeMap::new(), violations: 0 });
        }
        let failed = || database::failed("measure", path);
        let connection = database::open(path, Access::Write, Duration::from_secs(5))?;
        let schema = Introspector::default().read(&connection).map_err(failed())?;
        let mut rows = BTreeMap::new();
        for (name, object) in
            schema.objects.iter().filter(|(name, _)| name.kind == ObjectKind::Table)
        {
            let query = format!("SELECT count(*) FROM main.{}", quote(&object.name));
            let count: i64 = connection.query_row(&query, [], |row| row.get(0)).map_err(failed())?;
            rows.insert(name.name.to_string(), u64::try_from(count).unwrap_or(0));
        }
        // Where SQLite cannot check references, there is nothing to count.
        let violations = references::all_violations(&connection).unwrap_or(0);
        Ok(Self { schema, rows, violations })
    }

    /// What differs from an earlier measure of the same database.
    ///
    /// # Errors
    /// SQLite's, with the path.
    pub fn since(&self, before: &Self, path: &Path) -> Result<Comparison> {
        let changes: Vec<Change> = diff(&before.schema, &self.schema);
        let mut rows = BTreeMap::new();
        for table in before.rows.keys().chain(self.rows.keys()) {
            let counts = RowCounts {
                before: before.rows.get(table).copied(),
                after: self.rows.get(table).copied(),
            };
            if counts.before != counts.after {
                rows.insert(table.clone(), counts);
            }
        }
        Ok(Comparison {
            schema: changes.iter().map(ToString::to_string).collect(),
            rows,
            damage: damage(path)?,
            violations: RowCounts { before: Some(before.violations), after: Some(self.violations) },
        })
    }
}

fn damage(path: &Path) -> Result<Vec<String>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let failed = || database::failed("check", path);
    let connection = database::open(path, Access::Write, Duration::from_secs(5))?;
    Ok(search::check(&connection, "integrity_check", 20).map_err(failed())?.damage)
}
