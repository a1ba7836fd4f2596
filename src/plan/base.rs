//! Base objects: what a history uses but never made, taken from the live database.
//!
//! The definitions are wound back to the state before the history touched them: a column that the
//! history adds is dropped, one that it renames gets its old name, a table that it renames or
//! drops is put back. A change that cannot be wound back is left, and its statement is absorbed.

use super::timeline::Timeline;
use crate::{
    history::Migration,
    ledger::BaseObject,
    schema::{Object, ObjectKind, ObjectName, Schema},
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
    /// Whether the ledger has nothing of the history: what is there may be older than all of it.
    pub adopts: bool,
}

impl Base {
    /// The tables that the history mentions and does not make, with all that belongs to them.
    pub fn foreseen(migrations: &[Arc<Migration>], live: &Schema) -> Self {
        let mut base = Self::default();
        let (made, mentioned) = names(migrations);
        for (name, object) in &live.objects {
            let is_used = mentioned.contains(&*name.name) && !made.contains(&*name.name);
            if is_used && name.kind != ObjectKind::Pragma {
                base.take_with_table(name, object, live);
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

    /// The base that the ledger recorded at the first run.
    pub fn recorded(objects: &[BaseObject]) -> Self {
        let mut base = Self::default();
        for object in objects {
            base.take_object(object.kind, &fold(&object.name), &object.sql);
        }
        base
    }

    /// The SQL that makes the base.
    pub fn sql(&self) -> Vec<String> {
        let rank = |kind: &ObjectKind| match kind {
            ObjectKind::Table => 0,
            ObjectKind::Index => 1,
            ObjectKind::View => 2,
            ObjectKind::Trigger => 3,
            ObjectKind::Pragma => 4,
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

    /// Takes an object, and the table to which an index or trigger belongs.
    fn take_with_table(&mut self, name: &ObjectName, object: &Object, live: &Schema) {
        if matches!(name.kind, ObjectKind::Index | ObjectKind::Trigger)
            && let Some((owner, table)) = live.find(&object.table)
        {
            self.take_object(owner.kind, &owner.name, &table.sql);
        }
        self.take_object(name.kind, &name.name, &object.sql);
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
                ObjectKind::Table | ObjectKind::Pragma => false,
            };
            if belongs && !self.made_later.contains(&*name.name) {
                self.take_object(name.kind, &name.name, &object.sql);
            }
        }
    }

    /// Changes the base so that a statement that failed can work; false where nothing helps. The
    /// schemas are the live one, and that of the replay when it failed.
    pub fn remedy(
        &mut self,
        statement: &str,
        place: (usize, usize),
        migrations: &[Arc<Migration>],
        (live, replayed): (&Schema, &Schema),
    ) -> bool {
        if self.is_exact {
            return false;
        }
        let defined = class::defined_object(statement).map(|(_, name)| name).unwrap_or_default();
        let verb = fold(&class::first_word(statement).unwrap_or_default());
        if verb == "create" && self.has(&defined) {
            return self.once(place, "made") && self.drop_made(&defined);
        }
        let fresh = class::renamed_table(statement).map(|(_, new)| new);
        for name in class::mentions(statement) {
            let is_new = (verb == "create" && name == defined) || fresh.as_deref() == Some(&name);
            if !is_new
                && !replayed.has_name(&name)
                && self.once(place, &name)
                && self.supply(&name, migrations, live)
            {
                return true;
            }
        }
        let columns = replayed.get(ObjectKind::Table, &defined).map(|table| table.columns.clone());
        let has =
            |column: &str| columns.as_ref().is_some_and(|all| all.iter().any(|it| **it == *column));
        if let (Some(column), true) = (class::altered_column(statement, "add"), self.has(&defined))
        {
            return has(&column)
                && self.once(place, &format!("add {column}"))
                && self.rewind_column(&defined, &column, place);
        }
        let lost = class::renamed_column(statement)
            .map(|(old, _)| old)
            .or_else(|| class::altered_column(statement, "drop"));
        if let (Some(column), true) = (lost, self.has(&defined)) {
            return !has(&column)
                && self.once(place, &format!("lost {column}"))
                && self.restore_column(&defined, &column, statement);
        }
        verb == "drop"
            && !replayed.has_name(&defined)
            && self.once(place, "stand-in")
            && self.stand_in(&defined, statement)
    }

    /// Every remedy is tried once, so that a replay ends.
    fn once(&mut self, place: (usize, usize), what: &str) -> bool {
        self.attempts.insert(format!("{place:?} {what}"))
    }

    fn supply(&mut self, name: &str, migrations: &[Arc<Migration>], live: &Schema) -> bool {
        if self.has(name) {
            return false;
        }
        if let Some((found, object)) = live.find(name) {
            self.take_with_table(found, object, live);
            self.take_dependants(live);
            return true;
        }
        // A table that the history renames later is in the live database under its last name.
        let last = last_name(name, migrations);
        let Some(object) = live.get(ObjectKind::Table, &last).filter(|_| last != name) else {
            return false;
        };
        self.take_object(ObjectKind::Table, name, &object.sql);
        self.rewound.push(format!("ALTER TABLE {} RENAME TO {}", quote(&last), quote(name)));
        true
    }

    /// It is gone already: a stand-in lets the replay drop it.
    fn stand_in(&mut self, name: &str, statement: &str) -> bool {
        let (kind, sql) = match class::defined_object(statement).map(|(kind, _)| kind).as_deref() {
            Some("view") => (ObjectKind::View, format!("CREATE VIEW {} AS SELECT 1", quote(name))),
            Some("table") => (ObjectKind::Table, format!("CREATE TABLE {} (x)", quote(name))),
            _ => return false,
        };
        self.take_object(kind, name, &sql);
        true
    }

    /// Takes what the application made under a name that the history clears or leaves alone where it is
    /// taken: `DROP … IF EXISTS` before its CREATE, or `CREATE … IF NOT EXISTS`, where the live
    /// definition is none that the history ever gives it. Whether there was such an object.
    pub fn take_conditional(
        &mut self,
        migrations: &[Arc<Migration>],
        timeline: &Timeline,
        live: &Schema,
    ) -> bool {
        let mut taken = self.take_numbers(timeline, live);
        if !self.adopts {
            return taken;
        }
        for (name, object) in &live.objects {
            if !timeline.mentioned.contains(name) || self.has(&name.name) {
                continue;
            }
            let Some(first) = first_statement(name, migrations) else { continue };
            let made: Vec<_> = timeline.states(name);
            let differs = made.iter().all(|facts| *facts != object.facts);
            // A table that has all that the text gives it, and more, is left alone as well; one that lacks
            // some of it is a conflict.
            let is_left = name.kind != ObjectKind::Table
                || made.first().is_some_and(|facts| {
                    facts.iter().all(|(part, value)| object.facts.get(part) == Some(value))
                });
            let wanted = match first {
                First::Cleared => true,
                First::Left => is_left,
                First::Made => false,
            };
            if wanted && differs {
                self.take_with_table(name, object, live);
                self.take_dependants(live);
                taken = true;
            }
        }
        taken
    }

    /// Takes a number of the header that the history sets, where the live value is none of the history's.
    fn take_numbers(&mut self, timeline: &Timeline, live: &Schema) -> bool {
        let before = self.taken.len();
        for (name, object) in &live.objects {
            let is_foreign = || timeline.states(name).iter().all(|facts| *facts != object.facts);
            if name.kind == ObjectKind::Pragma && timeline.mentioned.contains(name) && is_foreign()
            {
                self.take_object(name.kind, &name.name, &object.sql);
            }
        }
        self.taken.len() > before
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

    fn drop_made(&mut self, name: &str) -> bool {
        let before = self.taken.len();
        self.taken.retain(|(_, taken, _)| taken != name);
        self.made_later.insert(name.into());
        self.taken.len() < before
    }
}

/// What a history does first with a name.
enum First {
    /// `DROP … IF EXISTS`.
    Cleared,
    /// `CREATE … IF NOT EXISTS`.
    Left,
    /// Anything else.
    Made,
}

fn first_statement(name: &ObjectName, migrations: &[Arc<Migration>]) -> Option<First> {
    let statements = migrations.iter().flat_map(|migration| {
        migration.statements().iter().map(|statement| statement.text(&migration.text))
    });
    for text in statements {
        let Some((kind, found)) = class::defined_object(text) else { continue };
        if kind != name.kind.word() || *found != *name.name {
            continue;
        }
        let verb = fold(&class::first_word(text).unwrap_or_default());
        return Some(match (verb.as_str(), class::is_conditional(text)) {
            ("drop", true) => First::Cleared,
            ("create", true) => First::Left,
            _ => First::Made,
        });
    }
    None
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
