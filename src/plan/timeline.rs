//! The timeline: the schema after each statement of a history, as effects one after another.
//!
//! A *point* is a place between two steps: point 0 is before the first, point n behind the last.

use super::{scratch::Problem, trace::Trace};
use crate::{
    guard::Effect,
    schema::{Change, ObjectName, Part, Schema},
    sql::Class,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a step can show about whether it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// It changes the schema.
    Schema,
    /// It changes rows: the schema cannot tell.
    Data,
    /// A script: nothing can tell.
    Script,
    /// It makes or fills something temporary, which is gone with the connection.
    Temporary,
    /// It leaves nothing behind.
    Neutral,
}

impl StepKind {
    /// Whether a step of this kind leaves something in the database.
    pub fn lasts(self) -> bool {
        matches!(self, Self::Schema | Self::Data | Self::Script)
    }
}

/// One statement, or one script.
#[derive(Clone, Debug)]
pub struct Step {
    /// The statement's number in its file.
    pub statement: usize,
    /// What it can show.
    pub kind: StepKind,
    /// What the statement is.
    pub class: Class,
    /// Its effect.
    pub effect: Arc<Effect>,
    /// Whether it needs `legacy_alter_table`.
    pub legacy: bool,
    /// Why it did not work in the scratch database.
    pub problem: Option<Problem>,
    /// What it reads and writes.
    pub trace: Arc<Trace>,
}

impl Step {
    /// The step of the statement after this one, where that only has other values; none where this
    /// one is no data statement, or SQLite refused it.
    pub fn repeated(&self) -> Option<Self> {
        let same = self.kind == StepKind::Data && self.problem.is_none();
        same.then(|| Self { statement: self.statement + 1, ..self.clone() })
    }

    /// The step of a script.
    pub fn script() -> Self {
        Self {
            statement: 0,
            kind: StepKind::Script,
            class: Class::Other,
            effect: Arc::default(),
            legacy: false,
            problem: None,
            trace: Arc::default(),
        }
    }
}

/// A fact's name.
pub type Key = (ObjectName, Part);

/// The steps of a history with the schemas at both ends.
#[derive(Debug)]
pub struct Timeline {
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// The point at which each unit begins, and the last point.
    pub starts: Vec<usize>,
    /// The schema at point 0: the base objects.
    pub first: Schema,
    /// Every object that the replay ever held; only these are compared.
    pub mentioned: BTreeSet<ObjectName>,
    /// Views and triggers that SQLite prepared before the pending files and does not after them all:
    /// what does not work, with the unit after which it was so, and what SQLite says.
    pub broken: BTreeMap<String, (usize, String)>,
    /// Functions and collations that only the application has.
    pub stand_ins: BTreeSet<String>,
}

impl Timeline {
    /// Whether every statement changed the schema as it stands, and nothing else: then what the
    /// replay made is what a run on an empty database would make.
    pub fn is_schema_alone(&self) -> bool {
        let plain = |step: &Step| {
            step.problem.is_none()
                && match step.kind {
                    StepKind::Schema => step.class == Class::Definition,
                    StepKind::Neutral => {
                        matches!(step.class, Class::Definition | Class::TransactionControl)
                    }
                    _ => false,
                }
        };
        self.stand_ins.is_empty() && self.first.objects.is_empty() && self.steps.iter().all(plain)
    }

    /// The facts of a schema about mentioned objects.
    pub fn restricted(&self, schema: &Schema) -> BTreeMap<Key, Arc<str>> {
        let mut facts = BTreeMap::new();
        for name in &self.mentioned {
            if let Some(object) = schema.objects.get(name) {
                for (part, definition) in &object.facts {
                    facts.insert((name.clone(), part.clone()), definition.clone());
                }
            }
        }
        facts
    }

    /// The points at which the schema equals the live one, `ignored` facts aside.
    pub fn matches(&self, live: &Schema, ignored: &BTreeSet<Key>) -> Vec<usize> {
        let mut found = Vec::new();
        self.walk(live, ignored, |point, differing| {
            if differing == 0 {
                found.push(point);
            }
        });
        found
    }

    /// The point with the fewest differing facts, the latest of several.
    pub fn nearest(&self, live: &Schema) -> usize {
        let mut best = (usize::MAX, 0);
        self.walk(live, &BTreeSet::new(), |point, differing| {
            if differing <= best.0 {
                best = (differing, point);
            }
        });
        best.1
    }

    /// Calls `visit` at each point with the number of facts that differ from the live schema.
    fn walk(&self, live: &Schema, ignored: &BTreeSet<Key>, mut visit: impl FnMut(usize, usize)) {
        let live = self.restricted(live);
        let mut state = self.restricted(&self.first);
        let counts = |key: &Key| !ignored.contains(key);
        let keys: BTreeSet<&Key> = live.keys().chain(state.keys()).collect();
        let mut differing =
            keys.into_iter().filter(|key| counts(key) && live.get(key) != state.get(key)).count();
        visit(0, differing);
        for (at, step) in self.steps.iter().enumerate() {
            for change in &step.effect.changes {
                let key = (change.object.clone(), change.part.clone());
                if counts(&key) {
                    let wanted = live.get(&key);
                    differing -= usize::from(state.get(&key) != wanted);
                    differing += usize::from(change.after.as_ref() != wanted);
                }
                match &change.after {
                    Some(after) => state.insert(key, after.clone()),
                    None => state.remove(&key),
                };
            }
            visit(at + 1, differing);
        }
    }

    /// The facts at a point.
    pub fn facts_at(&self, point: usize) -> BTreeMap<Key, Arc<str>> {
        let mut state = self.restricted(&self.first);
        for change in self.steps[..point].iter().flat_map(|step| &step.effect.changes) {
            let key = (change.object.clone(), change.part.clone());
            match &change.after {
                Some(after) => state.insert(key, after.clone()),
                None => state.remove(&key),
            };
        }
        state
    }

    /// The facts that differ between the schema at a point and the live one.
    pub fn differences(&self, point: usize, live: &Schema) -> Vec<Change> {
        let live = self.restricted(live);
        let state = self.facts_at(point);
        let keys: BTreeSet<&Key> = live.keys().chain(state.keys()).collect();
        keys.into_iter()
            .filter(|key| live.get(key) != state.get(key))
            .map(|key| Change {
                object: key.0.clone(),
                part: key.1.clone(),
                before: state.get(key).cloned(),
                after: live.get(key).cloned(),
            })
            .collect()
    }

    /// The facts of an object in every form that it has along the timeline, the first one first.
    pub fn states(&self, name: &ObjectName) -> Vec<BTreeMap<Part, Arc<str>>> {
        let mut state = self.first.objects.get(name).map(|it| it.facts.clone()).unwrap_or_default();
        let mut states = Vec::new();
        if !state.is_empty() {
            states.push(state.clone());
        }
        for step in &self.steps {
            let mut differs = false;
            for change in step.effect.changes.iter().filter(|change| change.object == *name) {
                differs = true;
                match &change.after {
                    Some(after) => state.insert(change.part.clone(), after.clone()),
                    None => state.remove(&change.part),
                };
            }
            if differs && !state.is_empty() {
                states.push(state.clone());
            }
        }
        states
    }

    /// The steps of a unit.
    pub fn of_unit(&self, unit: usize) -> &[Step] {
        &self.steps[self.starts[unit]..self.starts[unit + 1]]
    }
}
