//! What the live databases are before and after a rehearsal, which must be the same.
//!
//! It only reads. Schema, versions and ledger belong to migrations, so no service changes them meanwhile;
//! rows are compared only if nothing but the rehearsal can have written them.

use crate::{
    Result,
    database::{self, Access, side_file},
    ledger,
    schema::{Introspector, Schema, diff},
};
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The live databases at one moment.
#[derive(Debug)]
pub struct Live(BTreeMap<PathBuf, Fingerprint>);

#[derive(Debug, PartialEq)]
struct Fingerprint {
    schema: Schema,
    /// All of `sqlite_schema`, piton's own tables as well.
    text: Vec<String>,
    ledger: Vec<ledger::Entry>,
    files: [Option<Stamp>; 3],
}

/// What changes when a file is written to or another one takes its name.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Live {
    /// Looks at databases, by their paths relative to the data directory.
    ///
    /// # Errors
    /// SQLite's, with the path.
    pub fn of(
        data: &Path,
        databases: impl IntoIterator<Item = PathBuf>,
        busy: Duration,
    ) -> Result<Self> {
        let mut found = BTreeMap::new();
        for name in databases {
            let print = Fingerprint::of(&data.join(&name), busy)?;
            found.insert(name, print);
        }
        Ok(Self(found))
    }

    /// What is different now, one sentence each. Rows count only for databases of which `is_alone` says
    /// that the rehearsal alone can have written to them.
    #[must_use]
    pub fn changes_to(&self, after: &Self, is_alone: impl Fn(&Path) -> bool) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, before) in &self.0 {
            let shown = name.display();
            let Some(now) = after.0.get(name) else {
                changes.push(format!("{shown} is gone"));
                continue;
            };
            let found = before.changes_to(now, is_alone(name));
            changes.extend(found.into_iter().map(|change| format!("{shown}: {change}")));
        }
        let new = after.0.keys().filter(|name| !self.0.contains_key(*name));
        changes.extend(new.map(|name| format!("{} is new", name.display())));
        changes
    }
}

impl Fingerprint {
    fn of(path: &Path, busy: Duration) -> Result<Self> {
        let failed = || database::failed("compare", path);
        let connection = database::open(path, Access::Read, busy)?;
        let transaction = connection.unchecked_transaction().map_err(failed())?;
        let print = Self {
            schema: Introspector::default().read(&connection).map_err(failed())?,
            text: schema_text(&connection).map_err(failed())?,
            // One that cannot be read is refused before a rehearsal.
            ledger: ledger::read_brief(&connection).unwrap_or_default(),
            files: ["", "-wal", "-journal"].map(|suffix| stamp(&side_file(path, suffix))),
        };
        transaction.finish().map_err(failed())?;
        Ok(print)
    }

    fn changes_to(&self, now: &Self, is_alone: bool) -> Vec<String> {
        let mut changes: Vec<String> =
            diff(&self.schema, &now.schema).iter().map(ToString::to_string).collect();
        if changes.is_empty() && self.text != now.text {
            changes.push("the text of its schema is another".into());
        }
        if self.ledger != now.ledger {
            changes.push("its ledger is another".into());
        }
        if changes.is_empty() && is_alone && self.files != now.files {
            changes.push("rows were written to it".into());
        }
        changes
    }
}

fn schema_text(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') \
         FROM main.sqlite_schema ORDER BY 1",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// A file that is absent or empty has no content.
fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok().filter(|found| found.len() > 0)?;
    let (written, changed) =
        ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Some((found.dev(), found.ino(), found.len(), written, changed))
}

#[cfg(test)]
mod tests {
    use super::Live;
    use rusqlite::Connection;
    use std::{path::PathBuf, time::Duration};

    /// The changes that SQL makes, if only the rehearsal can have made them and if another process can.
    fn changes(sql: &str) -> [String; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let first = "CREATE TABLE t (a); CREATE TABLE _piton_other (a)";
        Connection::open(&path).unwrap().execute_batch(first).unwrap();
        let look = || Live::of(folder.path(), [PathBuf::from("app.db")], Duration::ZERO).unwrap();
        let before = look();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let after = look();
        [true, false].map(|is_alone| before.changes_to(&after, |_| is_alone).join("; "))
    }

    #[test]
    fn what_changed_is_named() {
        assert_eq!(changes("SELECT 1"), ["", ""]);
        assert_eq!(changes("INSERT INTO t VALUES (1)"), ["app.db: rows were written to it", ""]);
        for (sql, part) in [
            ("ALTER TABLE t ADD COLUMN b", "column `b`"),
            ("PRAGMA user_version = 7", "+ pragma `user_version`: 7"),
            ("PRAGMA application_id = 7", "+ pragma `application_id`: 7"),
            ("CREATE TABLE _piton_more (a)", "the text of its schema"),
        ] {
            for found in changes(sql) {
                assert!(found.contains(part), "{sql}: {found}");
            }
        }
    }
}
