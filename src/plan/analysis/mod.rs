//! The findings about files: one set for `check`, `plan`, `up`, `rehearse` and `deploy`.
//!
//! One analyzer per code, or per family of codes that share one question. They look at what a
//! statement does (its effect, what SQLite's authorizer says, what SQLite refuses), never at words
//! in it, and ask the live rows only by counting. `-- allow: CODE reason` in a file and the
//! project's policy have the last word.

mod broken;
mod chance;
mod constraints;
mod copies;
mod dependants;
mod destructive;
mod down_half;
mod house;
mod lineage;
mod quoted;
mod rebuild;
mod renames;
mod scene;
mod statements;
mod views;
mod with_rows;

pub use down_half::analyze as down_half;
pub use house::HouseRule;
pub use scene::{At, Knowledge, Scene};

use super::{
    finding::{Finding, Severity},
    model::{Action, Assessment},
    order::Unit,
    policy::Policy,
    timeline::Timeline,
};
use crate::schema::Schema;
use lineage::Lineage;
use rusqlite::Connection;
use std::collections::BTreeSet;

/// What the project wants of its files.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What is done about a finding.
    pub policy: Policy,
    /// Whether migrations may hold data statements.
    pub house: HouseRule,
}

/// The findings about the statements of a scene.
pub fn examine(scene: &Scene<'_>, rules: &Rules) -> Vec<Finding> {
    if scene.steps.is_empty() {
        return Vec::new();
    }
    let lineage = Lineage::of(scene);
    let all = [
        statements::analyze(scene),
        destructive::analyze(scene, &lineage),
        rebuild::analyze(scene, &lineage),
        constraints::analyze(scene, &lineage),
        broken::analyze(scene, &lineage),
        quoted::analyze(scene),
        with_rows::analyze(scene, &lineage),
        dependants::analyze(scene, &lineage),
        renames::analyze(scene, &lineage),
        chance::analyze(scene),
        house::analyze(scene, rules.house),
        views::analyze(scene),
    ];
    let found = all.into_iter().flatten().filter(|finding| !is_allowed(scene.units, finding));
    found.filter_map(|finding| rules.policy.apply(finding)).collect()
}

/// Whether the file says that it means it.
fn is_allowed(units: &[Unit], finding: &Finding) -> bool {
    let about = |unit: &&Unit| Some(&unit.title) == finding.migration.as_ref();
    units.iter().find(about).is_some_and(|unit| {
        unit.replayed.header.allow.iter().any(|allow| allow.code == finding.code)
    })
}

/// The statements that a plan would run, in their order; `assessments` are those of the units, in
/// the units' order.
pub fn planned(timeline: &Timeline, assessments: &[Assessment]) -> Vec<At> {
    let mut steps = Vec::new();
    for (unit, assessment) in assessments.iter().enumerate() {
        let all = timeline.starts[unit]..timeline.starts[unit + 1];
        let planned: BTreeSet<usize> = match &assessment.action {
            Action::Statements(planned) => planned.iter().map(|found| found.index).collect(),
            _ => BTreeSet::new(),
        };
        let acts = |step: &usize| match &assessment.action {
            Action::Statements(_) => planned.contains(&timeline.steps[*step].statement),
            Action::Script => true,
            Action::None | Action::Record(_) => false,
        };
        steps.extend(all.filter(acts).map(|step| At { unit, step }));
    }
    steps
}

/// The findings about what a plan would run on a database; `connection` is none where it does not
/// exist yet.
pub fn of_plan(
    units: &[Unit],
    timeline: &Timeline,
    live: &Schema,
    assessments: &[Assessment],
    connection: Option<&Connection>,
    rules: &Rules,
) -> Vec<Finding> {
    let knowledge = connection.map_or(Knowledge::New, Knowledge::Live);
    let steps = planned(timeline, assessments);
    examine(&Scene::new(units, timeline, live, steps, knowledge), rules)
}

/// The findings about files alone. `weight` gives the most that a finding about a unit may weigh, and
/// none for a unit that is not looked at.
pub fn of_files(
    units: &[Unit],
    timeline: &Timeline,
    weight: impl Fn(usize) -> Option<Severity>,
    rules: &Rules,
) -> Vec<Finding> {
    let steps_of = |unit: usize| timeline.starts[unit]..timeline.starts[unit + 1];
    let steps = (0..units.len()).flat_map(|unit| steps_of(unit).map(move |step| At { unit, step }));
    let scene = Scene::new(units, timeline, &timeline.first, steps.collect(), Knowledge::Unknown);
    let weighed = |mut finding: Finding| {
        let about = |unit: &Unit| Some(&unit.title) == finding.migration.as_ref();
        let unit = units.iter().position(about)?;
        finding.severity = finding.severity.min(weight(unit)?);
        Some(finding)
    };
    let halves = units.iter().filter_map(down_half);
    examine(&scene, rules).into_iter().chain(halves).filter_map(weighed).collect()
}

#[cfg(test)]
mod tests;
