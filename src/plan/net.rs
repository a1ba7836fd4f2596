//! What a file changes from its first statement to its last, as a person would say it.
//!
//! A rename is a rename, a rebuild is a changed table, an index that is dropped and made again is
//! nothing, rows are the table that they belong to, and what goes comes last.

use super::model::PlannedStatement;
use crate::{
    history::Migration,
    schema::{Change, ObjectKind, ObjectName, Part},
    sql::{Class, class},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The first and the last definition of a part.
type Ends = (Option<Arc<str>>, Option<Arc<str>>);

/// The lines for the statements of a file that would run.
#[must_use]
pub fn net_effect(migration: &Migration, statements: &[PlannedStatement]) -> Vec<String> {
    let mut net = Net::default();
    let all = migration.statements();
    for planned in statements {
        let text = all.get(planned.index).map_or("", |found| found.text(&migration.text));
        net.follow(text, planned);
    }
    net.settle();
    net.lines()
}

#[derive(Default)]
struct Net {
    objects: BTreeMap<ObjectName, BTreeMap<Part, Ends>>,
    /// Tables that got a new name: their first one and their last one.
    tables: Vec<(Arc<str>, Arc<str>)>,
    /// Columns that got a new name, by table.
    columns: Vec<(Arc<str>, String, String)>,
    /// Parts that only follow a table to its new name.
    followers: BTreeSet<(ObjectName, Part)>,
    /// Tables that were gone for a while.
    rebuilt: BTreeSet<Arc<str>>,
    /// What is done to the rows of which table.
    rows: Vec<(String, &'static str)>,
}

impl Net {
    fn follow(&mut self, text: &str, planned: &PlannedStatement) {
        if planned.class == Class::Data {
            self.follow_rows(text);
        }
        let changes = &planned.effect.changes;
        if let Some((old, new)) = class::renamed_table(text)
            && !self.is_made(&old)
            && !self.is_gone(&new)
        {
            self.rename_table(old.into(), new.into(), changes);
            return;
        }
        if let Some((old, new)) = class::renamed_column(text)
            && let Some((_, table)) = class::defined_object(text)
        {
            self.rename_column(table.into(), old, new);
            return;
        }
        for change in changes {
            self.add(change);
        }
    }

    fn follow_rows(&mut self, text: &str) {
        let Some(table) = class::written_table(text) else { return };
        let words = class::mentions(text);
        let verb = ["insert", "update", "delete", "replace"].into_iter().find(|verb| {
            text.trim_start().get(..verb.len()).is_some_and(|it| it.eq_ignore_ascii_case(verb))
        });
        let verb = verb.unwrap_or(if words.contains("delete") { "delete" } else { "changed" });
        let entry = (table, verb);
        if !self.is_made(&entry.0) && !self.rows.contains(&entry) {
            self.rows.push(entry);
        }
    }

    fn whole(&self, table: &str) -> Option<&Ends> {
        self.objects.get(&ObjectName::new(ObjectKind::Table, table))?.get(&Part::Whole)
    }

    fn is_made(&self, table: &str) -> bool {
        matches!(self.whole(table), Some((None, Some(_))))
    }

    fn is_gone(&self, table: &str) -> bool {
        matches!(self.whole(table), Some((Some(_), None)))
    }

    fn add(&mut self, change: &Change) {
        let is_table = change.object.kind == ObjectKind::Table && change.part == Part::Whole;
        if is_table && change.before.is_none() && self.is_gone(&change.object.name) {
            self.rebuilt.insert(change.object.name.clone());
        }
        let parts = self.objects.entry(change.object.clone()).or_default();
        let ends = parts.entry(change.part.clone()).or_insert((change.before.clone(), None));
        ends.1.clone_from(&change.after);
        self.followers.remove(&(change.object.clone(), change.part.clone()));
    }

    /// The parts of a table go on under its new name.
    fn rename_table(&mut self, old: Arc<str>, new: Arc<str>, changes: &[Change]) {
        let table = |name: &Arc<str>| ObjectName { kind: ObjectKind::Table, name: name.clone() };
        let known = self.objects.remove(&table(&old)).unwrap_or_default();
        let mut parts: BTreeMap<Part, Ends> = BTreeMap::new();
        for change in changes.iter().filter(|change| change.object == table(&old)) {
            let ends = (change.before.clone(), change.before.clone());
            parts.insert(change.part.clone(), ends);
        }
        parts.extend(known);
        self.objects.insert(table(&new), parts);
        let of_table = |name: &ObjectName| *name == table(&old) || *name == table(&new);
        for change in changes.iter().filter(|change| !of_table(&change.object)) {
            let key = (change.object.clone(), change.part.clone());
            let is_known = self.objects.get(&key.0).is_some_and(|parts| parts.contains_key(&key.1));
            self.add(change);
            if !is_known {
                self.followers.insert(key);
            }
        }
        match self.tables.iter_mut().find(|(_, last)| *last == old) {
            Some((_, last)) => *last = new,
            None => self.tables.push((old, new)),
        }
    }

    fn rename_column(&mut self, table: Arc<str>, old: String, new: String) {
        let name = ObjectName { kind: ObjectKind::Table, name: table.clone() };
        if let Some(parts) = self.objects.get_mut(&name)
            && let Some(ends) = parts.remove(&Part::Column(old.as_str().into()))
        {
            let is_new = ends.0.is_none();
            parts.insert(Part::Column(new.as_str().into()), ends);
            if is_new {
                return;
            }
        }
        self.columns.push((table, old, new));
    }

    /// A table that made room for a new one of its name, and went, was rebuilt.
    fn settle(&mut self) {
        for (first, last) in std::mem::take(&mut self.tables) {
            let table =
                |name: &Arc<str>| ObjectName { kind: ObjectKind::Table, name: name.clone() };
            if !(self.is_gone(&last) && self.is_made(&first)) {
                if first != last {
                    self.tables.push((first, last));
                }
                continue;
            }
            let old = self.objects.remove(&table(&last)).unwrap_or_default();
            let new = self.objects.entry(table(&first)).or_default();
            for (part, (before, _)) in old {
                new.entry(part).or_insert((None, None)).0 = before;
            }
            self.rebuilt.insert(first);
        }
        self.rows.retain(|(table, _)| {
            !matches!(
                self.objects
                    .get(&ObjectName::new(ObjectKind::Table, table))
                    .and_then(|parts| parts.get(&Part::Whole)),
                Some((None, _))
            )
        });
    }

    fn lines(&self) -> Vec<String> {
        let (mut lines, mut last) = (Vec::new(), Vec::new());
        for (first, now) in &self.tables {
            lines.push(format!("~ table `{first}` renamed to `{now}`"));
        }
        for (table, old, new) in &self.columns {
            lines.push(format!("~ table `{table}`, column `{old}` renamed to `{new}`"));
        }
        for (object, parts) in &self.objects {
            let changes: Vec<Change> = parts
                .iter()
                .filter(|(part, (before, after))| {
                    before != after && !self.followers.contains(&(object.clone(), (*part).clone()))
                })
                .map(|(part, (before, after))| Change {
                    object: object.clone(),
                    part: part.clone(),
                    before: before.clone(),
                    after: after.clone(),
                })
                .collect();
            let whole = changes.iter().find(|change| change.part == Part::Whole);
            match whole.map(|change| (&change.before, &change.after)) {
                _ if object.kind == ObjectKind::Pragma => {
                    lines.extend(changes.iter().map(ToString::to_string));
                }
                Some((None, _)) => lines.push(format!("+ {object}")),
                Some((_, None)) => last.push(format!("- {object} (dropped)")),
                Some(_) if object.kind != ObjectKind::Table => lines.push(format!("~ {object}")),
                _ if object.kind == ObjectKind::Table && self.rebuilt.contains(&object.name) => {
                    lines.push(rebuilt(object, &changes));
                }
                _ => {
                    for change in &changes {
                        let goes = change.after.is_none() && matches!(change.part, Part::Column(_));
                        if goes {
                            last.push(format!("{change} (dropped)"));
                        } else {
                            lines.push(change.to_string());
                        }
                    }
                }
            }
        }
        lines.extend(self.rows.iter().map(|(table, verb)| format!("~ rows of `{table}` ({verb})")));
        lines.extend(last);
        lines
    }
}

/// A table that was rebuilt, with what is different, what goes last.
fn rebuilt(object: &ObjectName, changes: &[Change]) -> String {
    let shown = |change: &Change| match (&change.before, &change.after) {
        (None, Some(after)) if change.has_definition() => format!("+ {}: {after}", change.part),
        (None, _) => format!("+ {}", change.part),
        (Some(_), None) => format!("- {}", change.part),
        (Some(before), Some(after)) => format!("~ {}: {before} -> {after}", change.part),
    };
    let (gone, other): (Vec<_>, Vec<_>) = changes.iter().partition(|it| it.after.is_none());
    let parts: Vec<String> = other.into_iter().chain(gone).map(shown).collect();
    if parts.is_empty() {
        return format!("~ {object} rebuilt");
    }
    format!("~ {object} rebuilt: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        database,
        history::Version,
        plan::{Action, Request, Settings, plan_database},
    };
    use std::path::Path;

    fn of(pending: &str) -> Vec<String> {
        let file = |version: &str, text: &str| {
            let version = Version::parse(version).unwrap();
            Arc::new(Migration::from_sql(version, "", Path::new("m.sql"), text.into()).unwrap())
        };
        let table =
            "CREATE TABLE u (id INTEGER PRIMARY KEY, a TEXT, b TEXT); CREATE INDEX ub ON u (b);";
        let live = database::open_scratch().unwrap();
        live.execute_batch(table).unwrap();
        let request = Request {
            target: "",
            database: Path::new(""),
            path: Path::new(""),
            migrations: &[file("1", table), file("2", pending)],
            settings: &Settings::default(),
            rules: None,
        };
        let plan = plan_database(&request, Some(&live)).unwrap();
        let Action::Statements(statements) = &plan.assessments[1].action else { return Vec::new() };
        net_effect(plan.assessments[1].migration.as_ref().unwrap(), statements)
    }

    #[test]
    fn as_a_person_would_say_it() {
        let index = "CREATE INDEX ub ON u (b);";
        let rebuild = |columns: &str| {
            format!(
                "CREATE TABLE n ({columns}); INSERT INTO n SELECT id, a, b FROM u; DROP TABLE u; \
                 ALTER TABLE n RENAME TO u; {index}"
            )
        };
        let check = rebuild("id INTEGER PRIMARY KEY, a TEXT CHECK (a <> ''), b TEXT");
        let first = format!(
            "ALTER TABLE u RENAME TO old; DROP INDEX ub; \
             CREATE TABLE u (id INTEGER PRIMARY KEY, a TEXT, b TEXT NOT NULL); \
             INSERT INTO u SELECT id, a, b FROM old; DROP TABLE old; {index}"
        );
        let cases: &[(&str, &[&str])] = &[
            (&check, &["~ table `u` rebuilt: + check (a <> '')"]),
            (&first, &["~ table `u` rebuilt: ~ column `b`: text -> text not null"]),
            (
                "ALTER TABLE u RENAME TO people; CREATE TABLE z (a);",
                &["~ table `u` renamed to `people`", "+ table `z`"],
            ),
            ("ALTER TABLE u RENAME COLUMN a TO c;", &["~ table `u`, column `a` renamed to `c`"]),
            (
                "DROP INDEX ub; ALTER TABLE u DROP COLUMN b; ALTER TABLE u ADD COLUMN c INT;",
                &[
                    "+ table `u`, column `c`: int",
                    "- table `u`, column `b`: text (dropped)",
                    "- index `ub` (dropped)",
                ],
            ),
            (
                "ALTER TABLE u ADD COLUMN c INT; UPDATE u SET c = 1; DELETE FROM u WHERE id = 9;",
                &[
                    "+ table `u`, column `c`: int",
                    "~ rows of `u` (update)",
                    "~ rows of `u` (delete)",
                ],
            ),
            ("CREATE TABLE z (a); INSERT INTO z VALUES (1);", &["+ table `z`"]),
        ];
        for (text, expected) in cases {
            assert_eq!(of(text), *expected, "{text}");
        }
    }
}
