//! Where the rows and columns of each table go while the statements run: copied, renamed, dropped.
//!
//! A rebuild is recognised by its effect, in any order and over any number of files: rows of a table
//! are copied to another one, the first is dropped, and the second gets its name.

use super::scene::{At, Scene};
use crate::{
    plan::{
        timeline::{Step, StepKind},
        trace::{TableColumn, TableNow},
    },
    schema::{Object, ObjectKind, Part},
    sql::{Class, class},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The facts of a table.
pub type Facts = BTreeMap<Part, Arc<str>>;

/// The facts of every object.
pub type AllFacts = BTreeMap<(ObjectKind, Arc<str>), Facts>;

/// A table on its way.
#[derive(Clone, Debug, Default)]
pub struct Carrier {
    /// Its name now, or its last one.
    pub name: String,
    /// The live table whose rows it has.
    pub live: Option<String>,
    /// Its stored columns.
    pub columns: Vec<Column>,
    /// The statement that made it; none for one that was there before.
    pub made: Option<At>,
    /// Whether a statement changed its rows.
    pub changed: bool,
    /// The names of the tables whose rows it has.
    pub(super) roots: BTreeSet<String>,
    pub(super) copies: Vec<Edge>,
    pub(super) is_dropped: bool,
}

impl Carrier {
    /// Whether it is still as it is in the live database.
    pub fn is_as_live(&self) -> bool {
        let same =
            |column: &Column| column.live.as_ref().is_some_and(|(_, live)| *live == column.name);
        self.live.as_ref() == Some(&self.name)
            && self.made.is_none()
            && !self.changed
            && self.columns.iter().all(same)
    }
}

/// A column on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its folded name now.
    pub name: String,
    /// The live column whose values it has.
    pub live: Option<TableColumn>,
}

/// Rows that were copied on: by column, the columns that they went to.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The table that they went to.
    pub to: usize,
    /// The columns.
    pub columns: BTreeMap<String, BTreeSet<String>>,
}

/// A table that is dropped.
#[derive(Clone, Debug)]
pub struct Drop {
    /// The statement.
    pub at: At,
    /// The table.
    pub table: usize,
    /// Whether any of its rows were copied before, to a table that is still there.
    pub is_copied: bool,
    /// The columns that nothing has a copy of.
    pub uncopied: Vec<Column>,
    /// The table that took its name, with its rows.
    pub rebuilt: Option<Rebuilt>,
    /// The table that took its name, without its rows.
    pub remade: Option<usize>,
    /// What it was.
    pub facts: Facts,
    /// How many tables had been seen.
    seen: usize,
}

/// How a rebuild ended.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The table that has the rows now.
    pub heir: usize,
    /// The name that it took.
    pub name: String,
    /// The statement that gave it.
    pub at: At,
}

/// A column that ALTER TABLE drops.
#[derive(Clone, Debug)]
pub struct DroppedColumn {
    /// The statement.
    pub at: At,
    /// The table's name.
    pub table: String,
    /// Whether the table was made by the same file.
    pub is_new: bool,
    /// The column.
    pub column: Column,
}

/// Rows that are copied into another table, with their columns.
#[derive(Clone, Debug)]
pub struct CopyStep {
    /// The statement.
    pub at: At,
    /// The tables that are read.
    pub sources: Vec<usize>,
    /// The table that is filled.
    pub target: usize,
    /// Whether every table that is read is still as it is in the live database.
    pub is_as_live: bool,
    /// Columns, each with another one whose values it gets, though both tables have both.
    pub exchanged: Vec<(String, String)>,
    /// What the table that is filled holds its rows to.
    pub facts: Option<Facts>,
}

/// A table or column with a new name.
#[derive(Clone, Debug)]
pub struct Rename {
    /// The statement.
    pub at: At,
    /// The table, and the column if it is one of a column.
    pub old: String,
    /// Its new name.
    pub new: String,
    /// The live table that it belongs to.
    pub live: Option<String>,
}

/// What happened to the tables.
#[derive(Debug, Default)]
pub struct Lineage {
    /// Every table.
    pub tables: Vec<Carrier>,
    /// The tables that were dropped.
    pub drops: Vec<Drop>,
    /// The columns that were dropped.
    pub columns: Vec<DroppedColumn>,
    /// The copies, in their order.
    pub copies: Vec<CopyStep>,
    /// The renames that last.
    pub renames: Vec<Rename>,
    /// The facts of every object at the end.
    pub facts: AllFacts,
    /// The facts at the end of each unit in which a rebuild ended.
    pub ends: BTreeMap<usize, AllFacts>,
    pub(super) names: BTreeMap<String, usize>,
}

impl Lineage {
    /// Follows the tables of a scene.
    pub fn of(scene: &Scene<'_>) -> Self {
        let mut lineage = Self::default();
        for (name, object) in &scene.start.objects {
            lineage.facts.insert((name.kind, name.name.clone()), object.facts.clone());
            if name.kind == ObjectKind::Table {
                lineage.begin(&name.name, object);
            }
        }
        for unit in scene.of_units() {
            let mut renamed = Vec::new();
            for &at in unit {
                let step = scene.step(at);
                if step.kind == StepKind::Script {
                    // Nobody knows what rows it leaves.
                    lineage.tables.iter_mut().for_each(|table| table.changed = true);
                }
                if step.problem.is_none() {
                    lineage.follow(at, step, scene.text(at), &mut renamed);
                }
            }
            lineage.keep_renames(renamed);
            let unit = unit.first().map(|at| at.unit);
            let ended = |dropped: &Drop| dropped.rebuilt.as_ref().map(|rebuilt| rebuilt.at.unit);
            if let Some(unit) = unit
                && lineage.drops.iter().any(|dropped| ended(dropped) == Some(unit))
            {
                lineage.ends.insert(unit, lineage.facts.clone());
            }
        }
        lineage
    }

    /// The table of this name now.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    fn begin(&mut self, name: &str, object: &Object) {
        let columns = object
            .columns
            .iter()
            .filter(|column| {
                let fact = object.facts.get(&Part::Column((*column).clone()));
                fact.is_none_or(|fact| !fact.ends_with(" virtual") && !fact.ends_with(" stored"))
            })
            .map(|column| Column {
                name: column.to_string(),
                live: Some((name.to_string(), column.to_string())),
            })
            .collect();
        self.add(Carrier {
            name: name.into(),
            live: Some(name.into()),
            columns,
            roots: BTreeSet::from([name.into()]),
            ..Carrier::default()
        });
    }

    fn add(&mut self, carrier: Carrier) -> usize {
        self.names.insert(carrier.name.clone(), self.tables.len());
        self.tables.push(carrier);
        self.tables.len() - 1
    }

    fn follow(&mut self, at: At, step: &Step, text: &str, renamed: &mut Vec<(usize, Rename)>) {
        let trace = &step.trace;
        if step.class == Class::Definition {
            if let Some(name) = &trace.dropped {
                self.drop_table(at, name);
            } else if let Some((old, new)) = class::renamed_table(text) {
                self.rename_table(at, &old, &new, renamed);
            } else if let Some(table) = &trace.table {
                match self.find(&table.name) {
                    Some(id) => self.alter(at, id, table, text, renamed),
                    None => self.make(at, table),
                }
            }
        }
        self.fill(at, trace);
        for change in &step.effect.changes {
            let key = (change.object.kind, change.object.name.clone());
            match &change.after {
                Some(after) => {
                    self.facts.entry(key).or_default().insert(change.part.clone(), after.clone());
                }
                None if change.part == Part::Whole => {
                    self.facts.remove(&key);
                }
                None => {
                    self.facts.entry(key).or_default().remove(&change.part);
                }
            }
        }
    }

    fn make(&mut self, at: At, table: &TableNow) {
        let columns = table.columns.iter().map(|name| Column { name: name.clone(), live: None });
        self.add(Carrier {
            name: table.name.clone(),
            columns: columns.collect(),
            made: Some(at),
            roots: BTreeSet::from([table.name.clone()]),
            ..Carrier::default()
        });
    }

    fn drop_table(&mut self, at: At, name: &str) {
        let Some(id) = self.names.remove(name) else { return };
        self.tables[id].is_dropped = true;
        let mut copied = BTreeMap::new();
        self.carried(id, &mut copied, &mut BTreeSet::new());
        let all: BTreeSet<&String> = copied.values().flatten().collect();
        let carrier = &self.tables[id];
        let uncopied =
            carrier.columns.iter().filter(|column| !all.contains(&column.name)).cloned().collect();
        let key = (ObjectKind::Table, Arc::from(name));
        let facts = self.facts.get(&key).cloned().unwrap_or_default();
        let mut dropped = Drop {
            at,
            table: id,
            is_copied: !copied.is_empty(),
            uncopied,
            rebuilt: None,
            facts,
            remade: None,
            seen: self.tables.len(),
        };
        for heir in carrier.roots.iter().filter_map(|root| self.find(root)) {
            if copied.contains_key(&heir) {
                let name = self.tables[heir].name.clone();
                dropped.rebuilt = Some(Rebuilt { heir, name, at });
            } else if copied.is_empty() && self.tables[heir].made.is_some() {
                dropped.remade = Some(heir);
            }
        }
        self.drops.push(dropped);
    }

    /// By table that is still there, the columns of a table that it has, directly or in turn.
    fn carried(
        &self,
        id: usize,
        found: &mut BTreeMap<usize, BTreeSet<String>>,
        seen: &mut BTreeSet<usize>,
    ) {
        if !seen.insert(id) {
            return;
        }
        for edge in &self.tables[id].copies {
            if !self.tables[edge.to].is_dropped {
                found.entry(edge.to).or_default().extend(edge.columns.keys().cloned());
                continue;
            }
            let mut further = BTreeMap::new();
            self.carried(edge.to, &mut further, seen);
            for (to, columns) in further {
                let back =
                    edge.columns.iter().filter(|(_, targets)| !targets.is_disjoint(&columns));
                found.entry(to).or_default().extend(back.map(|(column, _)| column.clone()));
            }
        }
    }

    fn rename_table(&mut self, at: At, old: &str, new: &str, renamed: &mut Vec<(usize, Rename)>) {
        let Some(id) = self.names.remove(old) else { return };
        self.names.insert(new.into(), id);
        self.tables[id].name = new.into();
        let mut is_heir = false;
        for at_drop in 0..self.drops.len() {
            let dropped = &self.drops[at_drop];
            let of_name = self.tables[dropped.table].roots.contains(new);
            if !of_name || dropped.rebuilt.is_some() {
                continue;
            }
            let mut copied = BTreeMap::new();
            self.carried(dropped.table, &mut copied, &mut BTreeSet::new());
            let dropped = &mut self.drops[at_drop];
            if copied.contains_key(&id) {
                dropped.rebuilt = Some(Rebuilt { heir: id, name: new.into(), at });
                is_heir = true;
            } else if !dropped.is_copied && id < dropped.seen {
                dropped.remade = Some(id);
                is_heir = true;
            }
        }
        let carrier = &self.tables[id];
        if !is_heir && carrier.made.is_none_or(|made| made.unit != at.unit) {
            let live = carrier.live.clone();
            renamed.push((id, Rename { at, old: old.into(), new: new.into(), live }));
        }
    }

    /// A table that only makes room for a new one of its name, or comes back, is not renamed; one that
    /// is renamed twice is renamed once.
    fn keep_renames(&mut self, renamed: Vec<(usize, Rename)>) {
        let mut firsts: Vec<(usize, Rename)> = Vec::new();
        for (id, rename) in renamed {
            match firsts.iter_mut().find(|(first, kept)| *first == id && kept.new == rename.old) {
                Some((_, kept)) => kept.new = rename.new,
                None => firsts.push((id, rename)),
            }
        }
        for (id, rename) in firsts {
            let is_column = rename.old.contains('.');
            let gone = self.tables[id].is_dropped || self.names.contains_key(&rename.old);
            if rename.old != rename.new && (is_column || !gone) {
                self.renames.push(rename);
            }
        }
    }

    fn alter(
        &mut self,
        at: At,
        id: usize,
        table: &TableNow,
        text: &str,
        renamed: &mut Vec<(usize, Rename)>,
    ) {
        let column_rename = class::renamed_column(text);
        let is_new = self.tables[id].made.is_some_and(|made| made.unit == at.unit);
        let carrier = &mut self.tables[id];
        if let Some((old, new)) = column_rename {
            for column in carrier.columns.iter_mut().filter(|column| column.name == old) {
                column.name.clone_from(&new);
            }
            if !is_new {
                let old = format!("{}.{old}", carrier.name);
                let new = format!("{}.{new}", carrier.name);
                renamed.push((id, Rename { at, old, new, live: carrier.live.clone() }));
            }
        }
        for column in carrier.columns.iter().filter(|column| !table.columns.contains(&column.name))
        {
            let (table, column) = (table.name.clone(), column.clone());
            self.columns.push(DroppedColumn { at, table, is_new, column });
        }
        let known = |name: &String| carrier.columns.iter().find(|column| column.name == *name);
        carrier.columns = table
            .columns
            .iter()
            .map(|name| known(name).cloned().unwrap_or(Column { name: name.clone(), live: None }))
            .collect();
    }
}
