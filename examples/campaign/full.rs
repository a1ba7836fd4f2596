//! The disk is filled up in the middle of a command, until some multiple of 64 KiB is left.

use crate::{
    calls::is_changing,
    errors::word,
    files::copy_folder,
    judge::Judge,
    kill::{Calls, count, spread},
    power::{Power, separate},
    scenario::Scenario,
    tally::{Tally, Verdict, chance},
    tracer::{Moment, Then},
};
use rustix::fs::FallocateFlags;
use std::{
    fs::{self, File},
    io,
    path::Path,
};

const STEP: u64 = 64 * 1024;
/// Of the file system.
const BLOCK: u64 = 4096;
/// Steps that are left free: from none to what all of a trial needs.
const STEPS: u32 = 8;

/// Runs the trials on all scenarios, each its share.
pub fn run(
    tally: &mut Tally,
    scenarios: &[Scenario],
    trials: u32,
    folder: &Path,
) -> io::Result<()> {
    let made = separate().and_then(|()| Power::new("ext4", folder));
    let disk = match made {
        Ok(disk) => disk,
        Err(error) => {
            tally.skip("full", &error.to_string());
            return Ok(());
        }
    };
    let mut judge = Judge::new(folder);
    let share = trials.div_ceil(scenarios.len().max(1) as u32);
    for scenario in scenarios {
        let name = format!("full {}", scenario.name);
        if !tally.wants(&name) {
            continue;
        }
        let calls = count(scenario, &folder.join("place"))?;
        let seed = tally.options.seed;
        tally.run(&name, share, &mut |trial| {
            one(scenario, calls, &disk, folder, &mut judge, (seed, trial)).unwrap_or_else(|error| {
                Verdict::Broken(format!("the trial itself failed: {error}"))
            })
        });
    }
    Ok(())
}

fn one(
    scenario: &Scenario,
    calls: Calls,
    disk: &Power,
    folder: &Path,
    judge: &mut Judge,
    (seed, trial): (u64, u32),
) -> io::Result<Verdict> {
    let place = disk.folder().join("place");
    let project = scenario.fresh(&place)?;
    let all = calls.changing * STEPS;
    let picked = spread(trial % all, all);
    let (nth, steps) = (picked / STEPS + 1, picked % STEPS);
    let (mut left, mut filled) = (nth, Ok(()));
    let ended = project.traced(&scenario.words, &mut |point| {
        if left > 0 && point.moment == Moment::Before && is_changing(point) {
            left -= 1;
            if left == 0 {
                filled = fill(disk.folder(), u64::from(steps) * STEP);
            }
        }
        Then::Go
    })?;
    let coded = match ended.code {
        // SQLite maps the index of a log into memory. On a disk that is quite full the kernel
        // cannot back it, and ends the process: that is no worse than being killed.
        None if ended.output.ends_with("SIGBUS") => Ok(()),
        _ => judge.code(scenario, &project, &ended),
    };
    drop(fs::remove_file(disk.folder().join("ballast")));
    filled?;
    let after = project.at(&folder.join("after"));
    copy_folder(&place, &after.folder)?;
    let choice = chance(seed, trial, 8);
    let judged = coded.and_then(|()| judge.judge(scenario, &after, &ended, choice));
    Ok(match judged {
        Ok(_) => Verdict::Held(word(&ended)),
        Err(what) => Verdict::Broken(format!(
            "{} KiB were left from change {nth} on ({}): {what}",
            u64::from(steps) * STEP / 1024,
            ended.shown()
        )),
    })
}

/// Leaves so many bytes free on a file system.
fn fill(folder: &Path, free: u64) -> io::Result<()> {
    let ballast = File::create(folder.join("ballast"))?;
    // What was written and has no block yet is counted as free until then.
    rustix::fs::syncfs(&ballast)?;
    let found = rustix::fs::statvfs(folder)?;
    let mut bytes = (found.f_bavail * found.f_frsize).saturating_sub(free);
    loop {
        // The list of its own blocks takes some too.
        let filled = rustix::fs::fallocate(&ballast, FallocateFlags::empty(), 0, bytes);
        match filled {
            Err(rustix::io::Errno::NOSPC) if bytes > BLOCK => bytes -= BLOCK,
            other => return Ok(other?),
        }
    }
}
