//! Replays a history in a scratch database; the result is the timeline.
//!
//! It depends on the files alone, unless the history uses objects that it never made: then their
//! definitions come from the live database, and the replay starts again with them as its base.

use super::{
    base::Base,
    model::Image,
    order::Unit,
    partition::{self, Apart, Partition},
    scratch::{Problem, Realm, Scratch, Shown},
    timeline::{Step, StepKind, Timeline},
};
use crate::{
    Result,
    guard::Effect,
    history::Migration,
    schema::{ObjectName, Schema},
    sql::Class,
};
use std::{collections::BTreeSet, sync::Arc};

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
    let (timeline, scratch) = replay_whole(&migrations, live)?;
    Ok((timeline, Remains::Whole(Box::new(scratch))))
}

/// Replays what comes after the first `done` units on the schema that these left, without replaying
/// them. None where that schema cannot be made from its texts, or where a statement does not work.
///
/// # Errors
/// As [`replay`].
pub fn replay_onward(done: usize, units: &[Unit], live: &Schema) -> Result<Option<Timeline>> {
    let mut base = Base::whole(live);
    if Scratch::new(&base.sql())?.schema() != live {
        return Ok(None);
    }
    let pending: Vec<Arc<Migration>> =
        units[done..].iter().map(|unit| unit.replayed.clone()).collect();
    // A remedy would be a guess here: nothing of the base is missing.
    let Attempt::Done(done_replay) = attempt(&pending, &mut base, &Schema::default())? else {
        return Ok(None);
    };
    let (mut timeline, _) = *done_replay;
    if timeline.steps.iter().any(|step| step.problem.is_some()) {
        return Ok(None);
    }
    timeline.starts.splice(0..0, vec![0; done]);
    Ok(Some(timeline))
}

/// Replays a history in one database.
///
/// # Errors
/// As [`replay`].
pub fn replay_whole(migrations: &[Arc<Migration>], live: &Schema) -> Result<(Timeline, Scratch)> {
    let mut base = Base::foreseen(migrations, live);
    loop {
        match attempt(migrations, &mut base, live)? {
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

fn attempt(migrations: &[Arc<Migration>], base: &mut Base, live: &Schema) -> Result<Attempt> {
    let mut scratch = Scratch::new(&base.sql())?;
    let first = scratch.schema().clone();
    let mut mentioned: BTreeSet<ObjectName> = first.objects.keys().cloned().collect();
    let mut steps: Vec<Step> = Vec::new();
    let mut starts = Vec::with_capacity(migrations.len() + 1);
    for (unit, migration) in migrations.iter().enumerate() {
        starts.push(steps.len());
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
                    if base.remedy(&problem.message, text, place, migrations, live) {
                        return Ok(Attempt::Again);
                    }
                    steps.push(failed(place, text, problem, base));
                }
            }
        }
    }
    starts.push(steps.len());
    let stand_ins = std::mem::take(&mut scratch.stand_ins);
    let timeline = Timeline { steps, starts, first, mentioned, stand_ins };
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

fn failed(place: (usize, usize), text: &str, problem: Problem, base: &Base) -> Step {
    let class = crate::sql::classify(text);
    let kind = if class == Class::Data { StepKind::Data } else { StepKind::Neutral };
    let mut failed = step(place, kind, class.clone(), Arc::default());
    // The base is as the live database has it now: an older data statement may name older columns.
    let forgiven = class != Class::Definition
        && !base.is_empty()
        && !base.is_exact
        && problem.message.contains("no such column");
    failed.problem = (!forgiven).then_some(problem);
    failed
}
