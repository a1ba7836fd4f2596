//! The power fails before each change of the disk, and right after a command has ended.

use crate::{
    calls::{self, is_changing},
    files::copy_folder,
    judge::Judge,
    kill::{Calls, count, spread},
    model::{Model, Through},
    power::{Power, separate},
    project::{Ended, Project},
    scenario::Scenario,
    tally::{Tally, Verdict, chance},
    tracer::{Moment, Point, Then},
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Where trials are run and judged.
struct Bench<'a> {
    judge: Judge,
    place: PathBuf,
    after: PathBuf,
    disk: Disk<'a>,
}

/// What forgets.
enum Disk<'a> {
    Model,
    Real(&'a Power),
}

/// Runs the trials: a third on each of the model, ext4 and XFS.
pub fn run(
    tally: &mut Tally,
    scenarios: &[Scenario],
    trials: u32,
    folder: &Path,
) -> io::Result<()> {
    on(tally, scenarios, ("model", trials / 3), folder, Disk::Model)?;
    let separated = separate();
    for kind in ["ext4", "xfs"] {
        let power = match &separated {
            Ok(()) => Power::new(kind, folder),
            Err(error) => Err(io::Error::other(format!("no mount namespace: {error}"))),
        };
        match power {
            Ok(power) => {
                on(tally, scenarios, (kind, trials / 3), folder, Disk::Real(&power))?;
            }
            Err(error) => tally.skip(&format!("cut {kind}"), &error.to_string()),
        }
    }
    Ok(())
}

fn on(
    tally: &mut Tally,
    scenarios: &[Scenario],
    (kind, trials): (&str, u32),
    folder: &Path,
    disk: Disk<'_>,
) -> io::Result<()> {
    let place = match disk {
        Disk::Model => folder.join("place"),
        Disk::Real(power) => power.folder().join("place"),
    };
    let (judge, after) = (Judge::new(folder), folder.join("after"));
    let mut bench = Bench { judge, place, after, disk };
    let share = trials.div_ceil(scenarios.len().max(1) as u32);
    for scenario in scenarios {
        let name = format!("cut {kind} {}", scenario.name);
        if !tally.wants(&name) {
            continue;
        }
        let calls = count(scenario, &folder.join("place"))?;
        let seed = tally.options.seed;
        tally.run(&name, share, &mut |trial| {
            bench.one(scenario, calls, (seed, trial)).unwrap_or_else(|error| {
                Verdict::Broken(format!("the trial itself failed: {error}"))
            })
        });
    }
    Ok(())
}

impl Bench<'_> {
    fn one(
        &mut self,
        scenario: &Scenario,
        calls: Calls,
        (seed, trial): (u64, u32),
    ) -> io::Result<Verdict> {
        // One more than there are changes: the cut comes after the command has ended.
        let all = calls.changing + 1;
        let nth = match trial < all {
            true => spread(trial, all) + 1,
            false => (chance(seed, trial, 4) % u64::from(all)) as u32 + 1,
        };
        self.cut(scenario, (nth, all), chance(seed, trial, 5))
    }

    /// Cuts before one of so many changes; `choice` says what of the rest is lost, and what comes
    /// after.
    fn cut(
        &mut self,
        scenario: &Scenario,
        (nth, all): (u32, u32),
        choice: u64,
    ) -> io::Result<Verdict> {
        let (place, ended) = match self.disk {
            Disk::Model => self.forgetting(scenario, nth, choice)?,
            Disk::Real(power) => self.on_disk(scenario, nth, power)?,
        };
        Ok(match self.judge.judge(scenario, &place, &ended, choice >> 8) {
            Ok(outcome) if ended.code.is_some() => {
                Verdict::Held(format!("{} (ended)", outcome.word()))
            }
            Ok(outcome) => Verdict::Held(outcome.word().into()),
            Err(what) => Verdict::Broken(format!("cut at change {nth} of {all}: {what}")),
        })
    }

    fn forgetting(
        &self,
        scenario: &Scenario,
        nth: u32,
        choice: u64,
    ) -> io::Result<(Project, Ended)> {
        let project = scenario.fresh(&self.place)?;
        let mut model = Model::new(&self.place)?;
        let mut trouble = None;
        let mut left = nth;
        let ended = project.traced(&scenario.words, &mut |point| {
            if let Err(error) = follow(&mut model, point) {
                trouble = Some(error);
            }
            cut_off(point, &mut left)
        })?;
        if let Some(error) = trouble {
            return Err(error);
        }
        let mut draw = 0;
        let mut luck = || {
            draw += 1;
            chance(choice, draw, 6).is_multiple_of(2)
        };
        let through = match choice.is_multiple_of(2) {
            true => Through::Nothing,
            false => Through::Luck(&mut luck),
        };
        model.image(through)?.lay_out(&self.after)?;
        Ok((project.at(&self.after), ended))
    }

    fn on_disk(
        &self,
        scenario: &Scenario,
        nth: u32,
        power: &Power,
    ) -> io::Result<(Project, Ended)> {
        let project = scenario.fresh(&self.place)?;
        power.sync()?;
        let mut left = nth;
        let mut failed = None;
        let ended = project.traced(&scenario.words, &mut |point| {
            let then = cut_off(point, &mut left);
            if then == Then::Kill {
                failed = power.cut().err();
            }
            then
        })?;
        if ended.code.is_some() {
            failed = power.cut().err();
        }
        power.restart()?;
        if let Some(error) = failed {
            return Err(error);
        }
        copy_folder(&self.place, &self.after)?;
        Ok((project.at(&self.after), ended))
    }
}

fn cut_off(point: &Point, left: &mut u32) -> Then {
    if point.moment != Moment::Before || !is_changing(point) {
        return Then::Go;
    }
    *left = left.saturating_sub(1);
    if *left == 0 { Then::Kill } else { Then::Go }
}

/// Tells the model what was synced.
pub fn follow(model: &mut Model, point: &Point) -> io::Result<()> {
    if point.moment != Moment::After(0) {
        return Ok(());
    }
    let descriptor = point.arguments[0];
    let opened = format!("/proc/{}/fd/{descriptor}", point.process);
    match calls::name(point) {
        // A file that has no name any more is nothing that a cut could keep.
        "fsync" | "fdatasync" if Path::new(&opened).exists() => model.sync(Path::new(&opened)),
        "syncfs" | "sync" => model.sync_all(),
        _ => Ok(()),
    }
}
