//! Replays a history in a scratch database; the result is the timeline.
//!
//! It depends on the files alone, unless the history uses objects that it never made: then their
//! definitions come from the live database, and the replay starts again with them as its base.

use super::{
    base::Base,
    model::Image,
    order::Unit,
    partition::{self, Apart, Partition},
    reach::reached,
    scratch::{Problem, Realm, Scratch, Shown},
    timeline::{Step, StepKind, Timeline},
};
use crate::{
    Result,
    guard::Effect,
    history::Migration,
    ledger::BaseObject,
    schema::{ObjectKind, ObjectName, Schema},
    sql::Class,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What is left of a replay.
pub enum Remains {
    /// The scratch database as the last statement left it.
    Whole(Box<Scratch>),
    /// The scratch databases of a history that was replayed apart.
    Apart(Apart),
}

impl Remains {
    /// The database that the history makes; none where SQLite cannot give it.
    ///
    /// # Errors
    /// SQLite's on the scratch database.
    pub fn image(self) -> Result<Option<Image>> {
        match self {
            Self::Whole(mut scratch) => Ok(scratch.image()),
            Self::Apart(apart) => apart.image(),
        }
    }
}

/// Replays the units in their order.
///
/// # Errors
/// SQLite's on the scratch database itself; what is wrong with a statement is in its step.
pub fn replay(units: &[Unit], live: &Schema) -> Result<Timeline> {
    Ok(replay_keeping(units, live)?.0)
}

/// Replays the units in their order, over the base that the ledger recorded or else over the one that
/// the live database shows, which is given back.
///
/// # Errors
/// SQLite's on the scratch database itself; what is wrong with a statement is in its step.
pub fn replay_over(
    units: &[Unit],
    live: &Schema,
    recorded: Option<&[BaseObject]>,
) -> Result<(Timeline, Vec<BaseObject>)> {
    let timeline = match recorded {
        Some(objects) => {
            let migrations: Vec<_> = units.iter().map(|unit| unit.replayed.clone()).collect();
            replay_from(&migrations, Base::recorded(objects), live, from(units))?.0
        }
        None => replay_keeping(units, live)?.0,
    };
    let base = base_objects(&timeline, live);
    Ok((timeline, base))
}

/// The point of the replay from which on what it finds is news: the first unit not in the ledger.
fn from(units: &[Unit]) -> usize {
    units.iter().take_while(|unit| unit.is_in_ledger()).count()
}

/// What no migration made: the first schema of the timeline, and what the history never touches.
fn base_objects(timeline: &Timeline, live: &Schema) -> Vec<BaseObject> {
    let untouched = live.objects.iter().filter(|(name, _)| !timeline.mentioned.contains(*name));
    let all = timeline.first.objects.iter().chain(untouched);
    let mut all: Vec<_> = all.filter(|(name, _)| name.kind != ObjectKind::Pragma).collect();
    all.sort_by_key(|(name, _)| name.kind);
    all.into_iter()
        .map(|(name, object)| BaseObject {
            kind: name.kind,
            name: object.name.clone(),
            table: object.table.to_string(),
            sql: object.sql.clone(),
        })
        .collect()
}

/// The same, with what is left of it.
///
/// # Errors
/// As [`replay`].
pub fn replay_keeping(units: &[Unit], live: &Schema) -> Result<(Timeline, Remains)> {
    let migrations: Vec<Arc<Migration>> = units.iter().map(|unit| unit.replayed.clone()).collect();
    let statements: usize = migrations.iter().map(|migration| migration.statements().len()).sum();
    if statements >= partition::FROM
        && Base::foreseen(&migrations, live).is_empty()
        && let Some(partition) = Partition::of(&migrations)
        && let Some((timeline, apart)) = partition.replay(&migrations)?
    {
        return Ok((timeline, Remains::Apart(apart)));
    }
    let mut base = Base::foreseen(&migrations, live);
    base.adopts = !units.iter().any(Unit::is_in_ledger);
    let (timeline, scratch) = replay_from(&migrations, base, live, from(units))?;
    Ok((timeline, Remains::Whole(Box::new(scratch))))
}

/// Replays what comes after the first `done` units on the schema that these left, without replaying
/// them. None where that schema cannot be made from its texts, or where a statement does not work.
///
/// # Errors
/// As [`replay`].
pub fn replay_onward(done: usize, units: &[Unit], live: &Schema) -> Result<Option<Timeline>> {
    let pending: Vec<Arc<Migration>> =
        units[done..].iter().map(|unit| unit.replayed.clone()).collect();
    let part = reached(&pending, live);
    let of_part = part.map(|part| replay_on(&part, &pending)).transpose()?.flatten();
    let found = match of_part {
        Some(timeline) => Some(timeline),
        None => replay_on(live, &pending)?,
    };
    let Some(mut timeline) = found else { return Ok(None) };
    timeline.starts.splice(0..0, vec![0; done]);
    timeline.broken.values_mut().for_each(|(unit, _)| *unit += done);
    Ok(Some(timeline))
}

/// Replays files on a schema as it is; none where it cannot be made, or where a statement does not work.
fn replay_on(live: &Schema, pending: &[Arc<Migration>]) -> Result<Option<Timeline>> {
    let mut base = Base::whole(live);
    let scratch = Scratch::new(&base.sql())?;
    if scratch.schema() != live {
        return Ok(None);
    }
    // A remedy would be a guess here: nothing of the base is missing.
    let Attempt::Done(replayed) = attempt_in(scratch, pending, &mut base, &Schema::default(), 0)?
    else {
        return Ok(None);
    };
    let works = replayed.0.steps.iter().all(|step| step.problem.is_none());
    Ok(works.then_some(replayed.0))
}

/// Replays a history in one database.
///
/// # Errors
/// As [`replay_over`].
#[cfg(test)]
pub fn replay_whole(migrations: &[Arc<Migration>], live: &Schema) -> Result<(Timeline, Scratch)> {
    replay_from(migrations, Base::foreseen(migrations, live), live, 0)
}

fn replay_from(
    migrations: &[Arc<Migration>],
    mut base: Base,
    live: &Schema,
    from: usize,
) -> Result<(Timeline, Scratch)> {
    loop {
        match attempt(migrations, &mut base, live, from)? {
            Attempt::Done(done) if base.take_conditional(migrations, &done.0, live) => {}
            Attempt::Done(done) => return Ok(*done),
            // Every remedy is tried once, so this ends.
            Attempt::Again => {}
        }
    }
}

enum Attempt {
    Done(Box<(Timeline, Scratch)>),
    Again,
}

fn attempt(
    migrations: &[Arc<Migration>],
    base: &mut Base,
    live: &Schema,
    from: usize,
) -> Result<Attempt> {
    attempt_in(Scratch::new(&base.sql())?, migrations, base, live, from)
}

/// The same in a scratch database that holds the base.
fn attempt_in(
    mut scratch: Scratch,
    migrations: &[Arc<Migration>],
    base: &mut Base,
    live: &Schema,
    from: usize,
) -> Result<Attempt> {
    let first = scratch.schema().clone();
    let mut mentioned: BTreeSet<ObjectName> = first.objects.keys().cloned().collect();
    let mut steps: Vec<Step> = Vec::new();
    let mut starts = Vec::with_capacity(migrations.len() + 1);
    let mut sound = BTreeMap::new();
    let mut broken: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (unit, migration) in migrations.iter().enumerate() {
        starts.push(steps.len());
        if unit == from {
            sound = scratch.broken();
        }
        scratch.begin_file();
        if migration.is_script() {
            steps.push(Step::script());
        }
        for (number, statement) in migration.statements().iter().enumerate() {
            let place = (unit, number);
            let text = statement.text(&migration.text);
            if base.absorbed.contains(&place) {
                steps.push(step(place, StepKind::Neutral, Class::Definition, Arc::default()));
                continue;
            }
            let repeated = steps.last().filter(|_| statement.repeats);
            if let Some(repeated) = repeated.and_then(Step::repeated) {
                steps.push(repeated);
                continue;
            }
            match scratch.run(text)? {
                Ok(shown) => {
                    mentioned
                        .extend(shown.effect.changes.iter().map(|change| change.object.clone()));
                    let kind = kind(&shown);
                    let mut step = step(place, kind, shown.class, shown.effect);
                    step.legacy = shown.legacy;
                    step.trace = Arc::new(shown.trace);
                    steps.push(step);
                }
                Err(problem) => {
                    if base.remedy(text, place, migrations, (live, scratch.schema())) {
                        return Ok(Attempt::Again);
                    }
                    steps.push(failed(place, text, problem));
                }
            }
        }
        if unit >= from && steps[starts[unit]..].iter().any(|step| step.kind == StepKind::Schema) {
            let now = scratch.broken();
            broken.retain(|what, _| now.contains_key(what));
            for (what, why) in now {
                if !sound.contains_key(&what) {
                    broken.entry(what).or_insert((unit, why));
                }
            }
        }
    }
    starts.push(steps.len());
    let stand_ins = std::mem::take(&mut scratch.stand_ins);
    let timeline = Timeline { steps, starts, first, mentioned, stand_ins, broken };
    Ok(Attempt::Done(Box::new((timeline, scratch))))
}

/// What a statement can show, by what it showed.
pub fn kind(shown: &Shown) -> StepKind {
    match shown.class {
        _ if !shown.effect.is_empty() => StepKind::Schema,
        _ if shown.realm == Realm::Temporary => StepKind::Temporary,
        Class::Data => StepKind::Data,
        _ => StepKind::Neutral,
    }
}

/// A step without a problem.
pub fn step(
    (_, statement): (usize, usize),
    kind: StepKind,
    class: Class,
    effect: Arc<Effect>,
) -> Step {
    Step { statement, kind, class, effect, legacy: false, problem: None, trace: Arc::default() }
}

fn failed(place: (usize, usize), text: &str, problem: Problem) -> Step {
    let class = crate::sql::classify(text);
    let kind = if class == Class::Data { StepKind::Data } else { StepKind::Neutral };
    let mut failed = step(place, kind, class, Arc::default());
    failed.problem = Some(problem);
    failed
}
