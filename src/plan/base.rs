//! Base objects: what a history uses but never made, taken from the live database.
//!
//! The definitions are wound back to the state before the history touched them: a column that the
//! history adds is dropped, one that it renames gets its old name, a table that it renames or
//! drops is put back. A change that cannot be wound back is left, and its statement is absorbed.

use crate::{
    history::Migration,
    schema::{ObjectKind, Schema},
    sql::{class, fold, quote},
};
use std::{collections::BTreeSet, sync::Arc};

/// The base of a replay: SQL that makes it, in order.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// Definitions taken from the live database, by object.
    taken: Vec<(ObjectKind, String, String)>,
    /// What winds them back.
    rewound: Vec<String>,
    /// What the history makes without dropping it first: not part of the base after all.
    made_later: BTreeSet<String>,
    /// Statements that could not be wound back, by unit and statement.
    pub absorbed: BTreeSet<(usize, usize)>,
    /// Whether it is the database as the replayed files meet it: then a column that is not there is not
    /// an older one.
    pub is_exact: bool,
    attempts: BTreeSet<String>,
}

impl Base {
    /// The tables that the history mentions and does not make, with all that belongs to them.
    pub fn foreseen(migrations: &[Arc<Migration>], live: &Schema) -> Self {
        let mut base = Self::default();
        let (made, mentioned) = names(migrations);
        for (name, object) in &live.objects {
            let wanted = matches!(name.kind, ObjectKind::Table | ObjectKind::View)
                && mentioned.contains(&*name.name)
                && !made.contains(&*name.name);
            if wanted {
                base.take_object(name.kind, &name.name, &object.sql);
            }
        }
        base.take_dependants(live);
        base
    }

    /// Everything that a database holds, as it is.
    pub fn whole(live: &Schema) -> Self {
        let objects = live.objects.iter();
        let taken =
            objects.map(|(name, object)| (name.kind, name.name.to_string(), object.sql.clone()));
        Self { taken: taken.collect(), is_exact: true, ..Self::default() }
    }

    /// The SQL that makes the base.
    pub fn sql(&self) -> Vec<String> {
        let rank = |kind: &ObjectKind| match kind {
            ObjectKind::Table => 0,
            ObjectKind::Index => 1,
            ObjectKind::View => 2,
            ObjectKind::Trigger => 3,
        };
        let mut taken: Vec<_> = self.taken.iter().collect();
        taken.sort_by_key(|(kind, ..)| rank(kind));
        taken.iter().map(|(_, _, sql)| sql.clone()).chain(self.rewound.iter().cloned()).collect()
    }

    /// Whether nothing was taken: the history starts from an empty database.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    fn has(&self, name: &str) -> bool {
        self.taken.iter().any(|(_, taken, _)| taken == name)
    }

    fn take_object(&mut self, kind: ObjectKind, name: &str, sql: &str) {
        if !self.has(name) {
            self.taken.push((kind, name.into(), sql.into()));
        }
    }

    /// Indexes and triggers of the tables taken, and views over them; they vanish with a rebuild.
    /// One that the history makes may be older than the history all the same: it is left out only
    /// when its statement finds it there already.
    fn take_dependants(&mut self, live: &Schema) {
        for (name, object) in &live.objects {
            let belongs = match name.kind {
                ObjectKind::Index | ObjectKind::Trigger => self.has(&object.table),
                ObjectKind::View => class::mentions(&object.sql).iter().any(|word| self.has(word)),
                ObjectKind::Table => false,
            };
            if belongs && !self.made_later.contains(&*name.name) {
                self.take_object(name.kind, &name.name, &object.sql);
            }
        }
    }

    /// Changes the base so that a statement that failed can work; false where nothing helps.
    pub fn remedy(
        &mut self,
        message: &str,
        statement: &str,
        place: (usize, usize),
        migrations: &[Arc<Migration>],
        live: &Schema,
    ) -> bool {
        if !self.attempts.insert(format!("{place:?} {message}")) {
            return false;
        }
        if let Some(name) = after(
            message,
            &["no such table: ", "no such view: ", "no such index: ", "no such trigger: "],
        ) {
            return self.supply(&name, statement, migrations, live);
        }
        let table = class::defined_object(statement).map(|(_, name)| name).unwrap_or_default();
        let is_base = self.has(&table);
        if let Some(column) = after(message, &["duplicate column name: "]) {
            return is_base && self.rewind_column(&table, &column, place);
        }
        if let Some(column) = after(message, &["no such column: "]) {
            return is_base && self.restore_column(&table, &column, statement);
        }
        if message.contains("already exists") {
            return self.drop_made(&table, place);
        }
        false
    }

    fn supply(
        &mut self,
        name: &str,
        statement: &str,
        migrations: &[Arc<Migration>],
        live: &Schema,
    ) -> bool {
        let name = fold(name.rsplit('.').next().unwrap_or(name));
        if self.has(&name) {
            return false;
        }
        if let Some((found, object)) = live.find(&name) {
            self.take_object(found.kind, &name, &object.sql);
            self.take_dependants(live);
            return true;
        }
        // A table that the history renames later is in the live database under its last name.
        let last = last_name(&name, migrations);
        if let Some(object) = live.get(ObjectKind::Table, &last) {
            self.take_object(ObjectKind::Table, &name, &object.sql);
            self.rewound.push(format!("ALTER TABLE {} RENAME TO {}", quote(&last), quote(&name)));
            return true;
        }
        let drops = class::defined_object(statement).is_some_and(|(_, dropped)| dropped == name)
            && fold(statement.trim_start()).starts_with("drop");
        if !drops {
            return false;
        }
        // It is gone already: a stand-in lets the replay drop it.
        let (kind, sql) = match class::defined_object(statement).map(|(kind, _)| kind).as_deref() {
            Some("view") => (ObjectKind::View, format!("CREATE VIEW {} AS SELECT 1", quote(&name))),
            Some("table") => (ObjectKind::Table, format!("CREATE TABLE {} (x)", quote(&name))),
            _ => return false,
        };
        self.take_object(kind, &name, &sql);
        true
    }

    fn rewind_column(&mut self, table: &str, column: &str, place: (usize, usize)) -> bool {
        let sql = format!("ALTER TABLE {} DROP COLUMN {}", quote(table), quote(column));
        if self.rewound.contains(&sql) {
            // It could not be dropped: an index or a constraint uses it.
            return self.absorbed.insert(place);
        }
        self.rewound.push(sql);
        true
    }

    fn restore_column(&mut self, table: &str, column: &str, statement: &str) -> bool {
        let column = fold(column.trim_matches('"'));
        let sql = match class::renamed_column(statement) {
            Some((old, new)) if old == column => {
                format!(
                    "ALTER TABLE {} RENAME COLUMN {} TO {}",
                    quote(table),
                    quote(&new),
                    quote(&old)
                )
            }
            // It was dropped already; what it was is not known.
            _ => format!("ALTER TABLE {} ADD COLUMN {}", quote(table), quote(&column)),
        };
        let is_new = !self.rewound.contains(&sql);
        self.rewound.push(sql);
        is_new
    }

    fn drop_made(&mut self, name: &str, place: (usize, usize)) -> bool {
        let before = self.taken.len();
        self.taken.retain(|(_, taken, _)| taken != name);
        self.made_later.insert(name.into());
        if self.taken.len() < before { true } else { self.absorbed.insert(place) }
    }
}

/// The folded names that a history makes, and all words that it mentions.
fn names(migrations: &[Arc<Migration>]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut made, mut mentioned) = (BTreeSet::new(), BTreeSet::new());
    for migration in migrations {
        for statement in migration.statements().iter().filter(|statement| !statement.repeats) {
            let text = statement.text(&migration.text);
            mentioned.extend(class::mentions(text));
            let folded = fold(text.get(..12).unwrap_or(text));
            if folded.starts_with("create") {
                made.extend(class::defined_object(text).map(|(_, name)| name));
            }
            made.extend(class::renamed_table(text).map(|(_, new)| new));
        }
    }
    (made, mentioned)
}

/// The name that a table has after all renames of the history.
fn last_name(name: &str, migrations: &[Arc<Migration>]) -> String {
    let mut current = name.to_string();
    for migration in migrations {
        for statement in migration.statements().iter().filter(|statement| !statement.repeats) {
            match class::renamed_table(statement.text(&migration.text)) {
                Some((old, new)) if old == current => current = new,
                _ => {}
            }
        }
    }
    current
}

fn after(message: &str, starts: &[&str]) -> Option<String> {
    let rest = starts.iter().find_map(|start| message.split_once(start))?.1;
    Some(rest.trim().into())
}
