//! What a file both makes and removes: its removal must never meet an object of another origin.
//!
//! A DROP that comes after the CREATE of that name in the same file is meant for what this file made.
//! Where the file has not made it in this run, the object of that name holds the rows of somebody else.

use super::timeline::{Key, Step, StepKind};
use crate::{
    history::Migration,
    schema::{ObjectKind, ObjectName, Part},
    sql::{Class, class, fold},
};
use std::collections::{BTreeMap, BTreeSet};

/// A step that removes what an earlier step of the same file makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The step that makes it, by its number in the file.
    pub made: usize,
    /// The step that removes it.
    pub step: usize,
    /// Whether the file removes what has that name before it makes its own.
    pub cleared: bool,
    /// The object or column by every name that the file gives it until then, the latest one last.
    pub keys: Vec<Key>,
    /// Whether only rows of it go.
    pub rows: bool,
}

/// The removals of a file's own objects and columns, by the steps of its replay.
pub fn removals(migration: &Migration, steps: &[Step]) -> Vec<Removal> {
    let mut own = Own::default();
    for (at, step) in steps.iter().enumerate() {
        let Some(statement) = migration.statements().get(step.statement) else { continue };
        match step.class {
            Class::Definition => own.follow(at, step, statement.text(&migration.text)),
            Class::Data => own.delete(at, step),
            _ => {}
        }
    }
    own.found
}

/// What the file has made.
struct Made {
    /// The step that made it.
    step: usize,
    /// Whether the name was cleared before.
    cleared: bool,
    /// Its names before it had the one that it has now.
    earlier: Vec<Key>,
}

/// The file's own objects as its statements make, rename and remove them.
#[derive(Default)]
struct Own {
    /// By its name now.
    made: BTreeMap<Key, Made>,
    /// What the file has removed that was not its own.
    cleared: BTreeSet<Key>,
    found: Vec<Removal>,
}

impl Own {
    fn follow(&mut self, at: usize, step: &Step, text: &str) {
        if let Some((old, new)) = class::renamed_table(text) {
            return self.rename_table(&old, &new);
        }
        if let Some((old, new)) = class::renamed_column(text) {
            return self.rename_column(text, &old, &new);
        }
        let named = class::defined_object(text).and_then(|(kind, name)| {
            Some((ObjectName::new(ObjectKind::from_word(&kind)?, &name), Part::Whole))
        });
        match verb(text).as_str() {
            // Whether it makes anything or finds the name taken, the file takes it for its own.
            "create" if step.kind != StepKind::Temporary => {
                if let Some(key) = named {
                    self.make(at, key);
                }
            }
            "drop" => {
                let Some(key) = named else { return };
                if self.made.contains_key(&key) {
                    self.remove(at, key);
                } else {
                    self.cleared.insert(key);
                }
            }
            "alter" => self.columns(at, step),
            _ => {}
        }
    }

    /// The columns that an ALTER TABLE adds or drops.
    fn columns(&mut self, at: usize, step: &Step) {
        for change in &step.effect.changes {
            if !matches!(change.part, Part::Column(_)) {
                continue;
            }
            let key = (change.object.clone(), change.part.clone());
            match (&change.before, &change.after) {
                (None, Some(_)) => self.make(at, key),
                (Some(_), None) if self.made.contains_key(&key) => self.remove(at, key),
                _ => {}
            }
        }
    }

    fn make(&mut self, step: usize, key: Key) {
        let cleared = self.cleared.contains(&key);
        self.made.entry(key).or_insert(Made { step, cleared, earlier: Vec::new() });
    }

    fn remove(&mut self, at: usize, key: Key) {
        if let Some(made) = self.made.remove(&key) {
            self.note(at, &key, &made, false);
        }
    }

    fn note(&mut self, step: usize, key: &Key, made: &Made, rows: bool) {
        let keys = made.earlier.iter().chain([key]).cloned().collect();
        let (made, cleared) = (made.step, made.cleared);
        self.found.push(Removal { made, step, cleared, keys, rows });
    }

    /// Rows that a statement deletes from a table of the file's own.
    fn delete(&mut self, at: usize, step: &Step) {
        for table in &step.trace.deletes {
            let key = (ObjectName::new(ObjectKind::Table, table), Part::Whole);
            if let Some(made) = self.made.remove(&key) {
                self.note(at, &key, &made, true);
                self.made.insert(key, made);
            }
        }
    }

    /// A name that arises by renaming counts as the renamed object.
    fn rename_table(&mut self, old: &str, new: &str) {
        let (old, new) =
            (ObjectName::new(ObjectKind::Table, old), ObjectName::new(ObjectKind::Table, new));
        let moved: Vec<Key> = self.made.keys().filter(|key| key.0 == old).cloned().collect();
        for key in moved {
            let part = key.1.clone();
            self.rename(key, (new.clone(), part));
        }
    }

    fn rename_column(&mut self, text: &str, old: &str, new: &str) {
        let Some((_, table)) = class::defined_object(text) else { return };
        let key = |column: &str| {
            (ObjectName::new(ObjectKind::Table, &table), Part::Column(column.into()))
        };
        self.rename(key(old), key(new));
    }

    fn rename(&mut self, old: Key, new: Key) {
        if let Some(mut made) = self.made.remove(&old) {
            made.earlier.push(old);
            self.made.insert(new, made);
        }
    }
}

fn verb(text: &str) -> String {
    class::first_word(text).map(|word| fold(&word)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::Version, plan::replay::replay_whole, schema::Schema};
    use std::{path::Path, sync::Arc};

    fn found(text: &str) -> Vec<String> {
        let version = Version::parse("1").unwrap();
        let migration =
            Migration::from_sql(version, "", Path::new("1_m.sql"), text.to_string()).unwrap();
        let migration = Arc::new(migration);
        let (timeline, _) =
            replay_whole(std::slice::from_ref(&migration), &Schema::default()).unwrap();
        removals(&migration, &timeline.steps)
            .into_iter()
            .map(|it| {
                let name = |(object, part): &Key| match part {
                    Part::Whole => object.to_string(),
                    part => format!("{object} {part}"),
                };
                let names: Vec<String> = it.keys.iter().map(name).collect();
                let cleared = if it.cleared { " cleared" } else { "" };
                let rows = if it.rows { " rows" } else { "" };
                format!("{} {} {}{cleared}{rows}", it.made, it.step, names.join(", "))
            })
            .collect()
    }

    #[test]
    fn what_counts_as_a_removal_of_ones_own() {
        let cases: &[(&str, &[&str])] = &[
            ("CREATE TABLE s (a); DROP TABLE s", &["0 1 table `s`"]),
            ("create table \"S x\" (a); DROP TABLE IF EXISTS [s X]", &["0 1 table `s x`"]),
            ("CREATE TABLE t (a); CREATE INDEX i ON t (a); DROP INDEX i", &["1 2 index `i`"]),
            ("CREATE VIEW v AS SELECT 1; DROP VIEW V", &["0 1 view `v`"]),
            (
                "CREATE TABLE t (a); CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END; DROP TRIGGER r",
                &["1 2 trigger `r`"],
            ),
            (
                "CREATE TABLE t (a); ALTER TABLE t ADD b; ALTER TABLE t DROP COLUMN b",
                &["1 2 table `t` column `b`"],
            ),
            (
                "CREATE TABLE t (a); ALTER TABLE t ADD b; ALTER TABLE t RENAME b TO c; ALTER TABLE t DROP c",
                &["1 3 table `t` column `b`, table `t` column `c`"],
            ),
            // The everyday idiom: it is cleared, then made.
            ("DROP TABLE IF EXISTS t; CREATE TABLE t (a)", &[]),
            (
                "DROP TABLE IF EXISTS t; CREATE TABLE t (a); DROP TABLE t",
                &["1 2 table `t` cleared"],
            ),
            // A name that arises by renaming counts as the renamed object.
            (
                "CREATE TABLE t (a); ALTER TABLE t RENAME TO u; DROP TABLE u",
                &["0 2 table `t`, table `u`"],
            ),
            (
                "CREATE TABLE t (a); ALTER TABLE t RENAME TO u; DELETE FROM u; DROP TABLE u",
                &["0 2 table `t`, table `u` rows", "0 3 table `t`, table `u`"],
            ),
            (
                "CREATE TABLE n (a); CREATE TABLE t (a); DROP TABLE t; ALTER TABLE n RENAME TO t",
                &["1 2 table `t`"],
            ),
            ("CREATE TEMP TABLE s (a); DROP TABLE s", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(found(text), *expected, "{text}");
        }
    }

    #[test]
    fn a_rebuild_removes_nothing_of_its_own() {
        let version = |text: &str| Version::parse(text).unwrap();
        let read = |number: &str, text: &str| {
            let text = text.to_string();
            Arc::new(Migration::from_sql(version(number), "", Path::new("m.sql"), text).unwrap())
        };
        let first = read("1", "CREATE TABLE t (a)");
        for text in [
            "CREATE TABLE n (a); INSERT INTO n SELECT a FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t",
            "ALTER TABLE t RENAME TO o; CREATE TABLE t (a); INSERT INTO t SELECT a FROM o; DROP TABLE o",
        ] {
            let second = read("2", text);
            let units = [first.clone(), second.clone()];
            let (timeline, _) = replay_whole(&units, &Schema::default()).unwrap();
            assert_eq!(removals(&second, timeline.of_unit(1)), [], "{text}");
        }
    }
}
