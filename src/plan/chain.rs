//! Where no point of the timeline matches: what each fact on its own tells about each step.
//!
//! A fact has a chain of values along the timeline. The live value says how far along its chain
//! the database is; a value that is nowhere in the chain was made by something else.

use super::timeline::{Key, StepKind, Timeline};
use crate::schema::{Change, Schema};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the facts of a step say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its whole effect is there, or was there and was overtaken.
    There,
    /// Nothing of it is there.
    Absent,
    /// The same values are there before and after it, or it has none.
    Silent,
    /// Some of its facts are there and others are not.
    Partly(Vec<Change>),
    /// Something else is where its facts would be.
    Different(Vec<Change>),
}

/// The standing of every step, and the facts that the history never made.
pub struct Standings {
    /// By step.
    pub steps: Vec<Standing>,
    /// Live facts about mentioned objects that are in no chain.
    pub extra: Vec<Change>,
}

/// Each fact's values along the timeline, with the points from which they hold.
type Chains = BTreeMap<Key, Vec<(usize, Option<Arc<str>>)>>;

/// Reads the live schema fact by fact.
pub fn standings(timeline: &Timeline, live: &Schema, ignored: &BTreeSet<Key>) -> Standings {
    let live_facts = timeline.restricted(live);
    let first = timeline.restricted(&timeline.first);
    let mut chains: Chains = BTreeMap::new();
    for (key, value) in &first {
        chains.insert(key.clone(), vec![(0, Some(value.clone()))]);
    }
    for (at, step) in timeline.steps.iter().enumerate() {
        for change in &step.effect.changes {
            let key = (change.object.clone(), change.part.clone());
            let chain = chains.entry(key).or_insert_with(|| vec![(0, None)]);
            chain.push((at + 1, change.after.clone()));
        }
    }
    let extra = live_facts
        .iter()
        .filter(|(key, _)| !chains.contains_key(*key) && !ignored.contains(*key))
        .map(|(key, value)| Change {
            object: key.0.clone(),
            part: key.1.clone(),
            before: None,
            after: Some(value.clone()),
        })
        .collect();
    let steps = (0..timeline.steps.len())
        .map(|at| standing(timeline, at, &chains, &live_facts, ignored))
        .collect();
    Standings { steps, extra }
}

fn standing(
    timeline: &Timeline,
    at: usize,
    chains: &Chains,
    live: &BTreeMap<Key, Arc<str>>,
    ignored: &BTreeSet<Key>,
) -> Standing {
    if timeline.steps[at].kind != StepKind::Schema {
        return Standing::Silent;
    }
    let point = at + 1;
    let (mut there, mut absent, mut different) = (0, Vec::new(), Vec::new());
    for change in &timeline.steps[at].effect.changes {
        let key = (change.object.clone(), change.part.clone());
        if ignored.contains(&key) {
            continue;
        }
        let value = live.get(&key).cloned();
        let at_points = chains[&key].iter().filter(|(_, known)| *known == value);
        let points: Vec<usize> = at_points.map(|(point, _)| *point).collect();
        let found = Change { before: value, ..change.clone() };
        match (points.iter().any(|&p| p < point), points.iter().any(|&p| p >= point)) {
            (false, false) => different.push(found),
            (false, true) => there += 1,
            (true, false) => absent.push(found),
            (true, true) => {}
        }
    }
    match (there, absent.is_empty(), different.is_empty()) {
        (_, _, false) => Standing::Different(different),
        (0, true, true) => Standing::Silent,
        (_, true, true) => Standing::There,
        (0, false, true) => Standing::Absent,
        (_, false, true) => Standing::Partly(absent),
    }
}
