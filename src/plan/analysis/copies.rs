//! Follows rows into a table: copies, in forms that are taken apart and in those that are not, and
//! values that an UPDATE takes from a table whose rows were copied.

use super::{
    lineage::{CopyStep, Edge, Lineage},
    scene::At,
};
use crate::{
    plan::trace::{Copied, Filler, TableColumn, Trace},
    schema::ObjectKind,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

impl Lineage {
    /// Follows rows into a table.
    pub(super) fn fill(&mut self, at: At, trace: &Trace) {
        match &trace.copied {
            Some(copied) => {
                let Some(target) = self.find(&copied.form.target) else { return };
                let sources: Vec<usize> =
                    copied.form.sources.iter().filter_map(|it| self.find(&it.table)).collect();
                if sources.len() < copied.form.sources.len() {
                    // A view, say: SQLite names the tables behind it.
                    self.copy_unread(trace);
                    return self.note_changes(trace);
                }
                let is_as_live = sources.iter().all(|&id| self.tables[id].is_as_live());
                let exchanged = self.exchanged(target, &sources, copied);
                self.copy(target, &sources, copied);
                let key = (ObjectKind::Table, Arc::from(copied.form.target.as_str()));
                let facts = self.facts.get(&key).cloned();
                let step = CopyStep { at, sources, target, is_as_live, exchanged, facts };
                self.copies.push(step);
            }
            None => self.copy_unread(trace),
        }
        self.update(trace);
        self.note_changes(trace);
    }

    fn note_changes(&mut self, trace: &Trace) {
        for name in trace.inserts.iter().chain(&trace.deletes).chain(trace.updates.keys()) {
            if let Some(id) = self.find(name) {
                self.tables[id].changed = true;
            }
        }
    }

    fn exchanged(
        &self,
        target: usize,
        sources: &[usize],
        copied: &Copied,
    ) -> Vec<(String, String)> {
        let has = |id: usize, name: &str| {
            self.tables[id].columns.iter().any(|column| column.name == name)
        };
        let pairs = copied.pairs.iter().filter_map(|(filled, filler)| match filler {
            Filler::Column((table, column)) if filled != column => {
                let of = |&&id: &&usize| self.tables[id].name == *table;
                let source = sources.iter().find(of)?;
                let both = *source != target && has(target, column) && has(*source, filled);
                both.then(|| (filled.clone(), column.clone()))
            }
            _ => None,
        });
        pairs.collect()
    }

    fn copy(&mut self, target: usize, sources: &[usize], copied: &Copied) {
        for &source in sources.iter().filter(|&&source| source != target) {
            let name = self.tables[source].name.clone();
            let mut columns: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (filled, filler) in &copied.pairs {
                let read: Vec<&TableColumn> = match filler {
                    Filler::Column(column) => vec![column],
                    Filler::Computed(columns) => columns.iter().collect(),
                };
                for (_, column) in read.iter().filter(|(table, _)| *table == name) {
                    columns.entry(column.clone()).or_default().insert(filled.clone());
                    if read.len() == 1 {
                        self.inherit(target, filled, source, column);
                    }
                }
            }
            self.connect(source, target, columns);
        }
    }

    /// Gives a column the values of another one.
    fn inherit(&mut self, target: usize, filled: &str, source: usize, column: &str) {
        let from = self.tables[source].columns.iter().find(|found| found.name == column);
        let live = from.and_then(|found| found.live.clone());
        let mut columns = self.tables[target].columns.iter_mut();
        if let Some(found) = columns.find(|found| found.name == filled && found.live.is_none()) {
            found.live = live;
        }
    }

    fn connect(
        &mut self,
        source: usize,
        target: usize,
        columns: BTreeMap<String, BTreeSet<String>>,
    ) {
        let (live, roots) = (self.tables[source].live.clone(), self.tables[source].roots.clone());
        let carrier = &mut self.tables[target];
        if carrier.live.is_none() {
            carrier.live = live;
        }
        carrier.roots.extend(roots);
        self.tables[source].copies.push(Edge { to: target, columns });
    }

    /// A copy in a form that is not taken apart: every column that it reads counts as copied.
    fn copy_unread(&mut self, trace: &Trace) {
        let made = trace.table.iter().filter(|_| !trace.reads.is_empty()).map(|table| &table.name);
        let filled: Vec<usize> =
            trace.inserts.iter().chain(made).filter_map(|name| self.find(name)).collect();
        for target in filled {
            for (source, columns) in self.read_by_table(trace) {
                if source != target {
                    let columns = columns.into_iter().map(|name| (name.clone(), [name].into()));
                    self.connect(source, target, columns.collect());
                }
            }
        }
    }

    /// An UPDATE that takes values from a table whose rows were copied copies columns as well.
    fn update(&mut self, trace: &Trace) {
        for (name, updated) in &trace.updates {
            let Some(target) = self.find(name) else { continue };
            for (source, columns) in self.read_by_table(trace) {
                let edges = self.tables[source].copies.iter_mut();
                for edge in edges.filter(|edge| edge.to == target) {
                    for column in &columns {
                        let to = edge.columns.entry(column.clone()).or_default();
                        to.extend(updated.iter().cloned());
                    }
                }
            }
        }
    }

    fn read_by_table(&self, trace: &Trace) -> BTreeMap<usize, BTreeSet<String>> {
        let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for (table, column) in &trace.reads {
            if let Some(id) = self.find(table) {
                found.entry(id).or_default().insert(column.clone());
            }
        }
        found
    }
}
