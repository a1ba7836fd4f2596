//! The n-th call of each kind returns an error.

use crate::{
    calls::{concerns, name},
    judge::Judge,
    project::{Ended, Project, Showing},
    scenario::Scenario,
    tally::{Tally, Verdict, chance},
    tracer::{Moment, Then},
};
use nix::libc::{EDQUOT, EINTR, EIO, EMFILE, ENOSPC};
use std::{collections::BTreeMap, io, path::Path};

/// Which calls an error can come from.
const CALLS: &[(i32, &str, &[&str])] = &[
    (
        EIO,
        "EIO",
        &[
            "read",
            "pread64",
            "write",
            "pwrite64",
            "openat",
            "creat-open",
            "ftruncate",
            "fallocate",
            "fsync",
            "fdatasync",
            "syncfs",
            "rename",
            "link",
            "linkat",
            "symlink",
            "unlink",
            "unlinkat",
            "rmdir",
            "mkdir",
            "fchmod",
            "chmod",
            "utimensat",
            "lchown",
            "getdents64",
            "statx",
            "flock",
            "statfs",
        ],
    ),
    (ENOSPC, "ENOSPC", GROWING),
    (EDQUOT, "EDQUOT", GROWING),
    (
        EINTR,
        "EINTR",
        &[
            "read",
            "pread64",
            "write",
            "pwrite64",
            "openat",
            "creat-open",
            "ftruncate",
            "fallocate",
            "fsync",
            "fdatasync",
            "flock",
        ],
    ),
    (EMFILE, "EMFILE", &["openat", "creat-open"]),
];

/// Calls that may need a block more.
const GROWING: &[&str] = &[
    "write",
    "pwrite64",
    "creat-open",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "link",
    "linkat",
    "symlink",
    "mkdir",
];

/// One call that fails.
#[derive(Clone, Copy, Debug)]
struct Fault {
    error: i32,
    word: &'static str,
    call: &'static str,
    nth: u32,
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
        let name = format!("errors {}", scenario.name);
        if !tally.wants(&name) {
            continue;
        }
        let faults = faults(scenario, &place)?;
        let count = faults.len() as u32;
        let seed = tally.options.seed;
        tally.run(&name, share, &mut |trial| {
            // More trials than faults find the same ones again: the threads may run otherwise.
            let fault = faults[crate::kill::spread(trial % count, count) as usize];
            one(scenario, fault, &place, &mut judge, chance(seed, trial, 7)).unwrap_or_else(
                |error| Verdict::Broken(format!("the trial itself failed: {error}")),
            )
        });
    }
    Ok(())
}

/// Every call of one whole run with every error that it can return.
fn faults(scenario: &Scenario, place: &Path) -> io::Result<Vec<Fault>> {
    let project = Project { showing: Showing::Nothing, ..scenario.fresh(place)? };
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    project.traced(&scenario.words, &mut |point| {
        if point.moment == Moment::Before && concerns(point, place) {
            *counts.entry(name(point)).or_default() += 1;
        }
        Then::Go
    })?;
    let mut faults = Vec::new();
    for &(error, word, calls) in CALLS {
        for &call in calls {
            let count = counts.get(call).copied().unwrap_or(0);
            faults.extend((1..=count).map(|nth| Fault { error, word, call, nth }));
        }
    }
    Ok(faults)
}

fn one(
    scenario: &Scenario,
    fault: Fault,
    place: &Path,
    judge: &mut Judge,
    choice: u64,
) -> io::Result<Verdict> {
    let project = scenario.fresh(place)?;
    let mut left = fault.nth;
    let ended = project.traced(&scenario.words, &mut |point| {
        let counts = point.moment == Moment::Before && name(point) == fault.call;
        if left == 0 || !counts || !concerns(point, place) {
            return Then::Go;
        }
        left -= 1;
        if left == 0 { Then::Fail(fault.error) } else { Then::Go }
    })?;
    let judged = judge
        .code(scenario, &project, &ended)
        .and_then(|()| judge.judge(scenario, &project, &ended, choice));
    Ok(match judged {
        Ok(_) => Verdict::Held(word(&ended)),
        Err(what) => {
            let Fault { word, call, nth, .. } = fault;
            Verdict::Broken(format!("{word} from {call} {nth} ({}): {what}", ended.shown()))
        }
    })
}

/// The exit code as a word of the table.
pub fn word(ended: &Ended) -> String {
    ended.code.map_or("killed by the kernel".into(), |code| format!("code {code}"))
}
