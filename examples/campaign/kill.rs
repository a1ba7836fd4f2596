//! Killed before every system call, then before one of its recovery; then judged.

use crate::{
    calls::is_changing,
    judge::Judge,
    project::{Ended, Project, Showing},
    scenario::{Kind, Scenario},
    tally::{Tally, Verdict, chance},
    tracer::{Moment, Then},
};
use std::{io, path::Path};

/// Somebody who comes to a project while a command runs, at the first call at which it is time; tells
/// whether it was.
pub type Visitor = fn(&Project) -> bool;

/// Which calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    All,
    /// Those that change the file system.
    Changing,
}

/// How many calls a command makes.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    pub all: u32,
    pub changing: u32,
}

/// Runs the trials on all scenarios, each its share.
pub fn run(
    tally: &mut Tally,
    scenarios: &[Scenario],
    trials: u32,
    folder: &Path,
) -> io::Result<()> {
    let mut judge = Judge::new(folder);
    let place = folder.join("place");
    let share = trials.div_ceil(scenarios.len().max(1) as u32);
    for scenario in scenarios {
        let title = format!("kill {}", scenario.name);
        if !tally.wants(&title) {
            continue;
        }
        let calls = count(scenario, &place)?;
        let seed = tally.options.seed;
        tally.run(&title, share, &mut |trial| match one(
            scenario,
            calls,
            &place,
            &mut judge,
            (seed, trial),
        ) {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Broken(format!("the trial itself failed: {error}")),
        });
    }
    Ok(())
}

/// Counts the calls of one whole run.
pub fn count(scenario: &Scenario, place: &Path) -> io::Result<Calls> {
    let project = Project { showing: Showing::Nothing, ..scenario.fresh(place)? };
    let (mut calls, mut visitor) = (Calls { all: 0, changing: 0 }, scenario.visitor);
    project.traced(&scenario.words, &mut |point| {
        if point.moment == Moment::Before && visitor.is_some_and(|visit| visit(&project)) {
            visitor = None;
        }
        if point.moment == Moment::Before {
            calls.all += 1;
            calls.changing += u32::from(is_changing(point));
        }
        Then::Go
    })?;
    Ok(calls)
}

/// Every call once, spread so that a few trials come from everywhere; from then on, changes of the
/// file system by chance.
pub fn pick(calls: Calls, seed: u64, trial: u32) -> (Counted, u32) {
    match trial < calls.all {
        true => (Counted::All, spread(trial, calls.all) + 1),
        false => {
            let drawn = chance(seed, trial, 1) % u64::from(calls.changing.max(1));
            (Counted::Changing, drawn as u32 + 1)
        }
    }
}

/// The place of a trial in an order that visits each of so many once, far from the one before.
pub fn spread(trial: u32, count: u32) -> u32 {
    let divides = |one: u32, other: u32| one > 1 && other.is_multiple_of(one);
    let coprime = |step: &u32| !(2..=*step).any(|it| divides(it, *step) && divides(it, count));
    // Near the golden section, which spreads any number of points evenly.
    let step = (count * 618 / 1000..=count).find(coprime).unwrap_or(1).max(1);
    (u64::from(trial) * u64::from(step) % u64::from(count.max(1))) as u32
}

fn one(
    scenario: &Scenario,
    calls: Calls,
    place: &Path,
    judge: &mut Judge,
    (seed, trial): (u64, u32),
) -> io::Result<Verdict> {
    let project = scenario.fresh(place)?;
    let (counted, nth) = pick(calls, seed, trial);
    let ended = kill_at(&project, &scenario.words, scenario.visitor, (counted, nth))?;
    let choice = chance(seed, trial, 2);
    let mut again = 0;
    if ended.code.is_none() && !choice.is_multiple_of(4) {
        // Most people type the same again; a restore is recovered from by any command.
        let words = match scenario.kind {
            Kind::Recover => "recover",
            Kind::Restore | Kind::Undo if choice.is_multiple_of(8) => "recover",
            _ => scenario.words.as_str(),
        };
        again = 1 + (chance(seed, trial, 3) % 60) as u32;
        kill_at(&project, words, None, (Counted::Changing, again))?;
    }
    Ok(match judge.judge(scenario, &project, &ended, choice >> 8) {
        Ok(outcome) if ended.code.is_some() => Verdict::Held(format!("{} (ran)", outcome.word())),
        Ok(outcome) => Verdict::Held(outcome.word().into()),
        Err(what) => {
            let counted = if counted == Counted::All { "call" } else { "change" };
            Verdict::Broken(format!("killed at {counted} {nth}, again at {again}: {what}"))
        }
    })
}

/// Runs a command and kills it before its n-th call.
fn kill_at(
    project: &Project,
    words: &str,
    mut visitor: Option<Visitor>,
    (counted, nth): (Counted, u32),
) -> io::Result<Ended> {
    let mut left = nth;
    project.traced(words, &mut |point| {
        if point.moment == Moment::Before && visitor.is_some_and(|visit| visit(project)) {
            visitor = None;
        }
        let counts = counted == Counted::All || is_changing(point);
        if point.moment != Moment::Before || !counts {
            return Then::Go;
        }
        left = left.saturating_sub(1);
        if left == 0 { Then::Kill } else { Then::Go }
    })
}
