//! With each sync, rename, link, lock and fold left out, one at a time, a campaign must notice.
//!
//! The binary is one that can leave them out, which no released one can. Which labels there are is
//! read from the sources, so that none is forgotten.

use crate::{
    cut,
    judge::Judge,
    kill::{self, Counted},
    project::Project,
    scenario::Scenario,
    service,
    setup::Made,
    tally::{Tally, Verdict, chance},
};
use std::{collections::BTreeSet, fs, path::Path};

/// Functions of `disk` whose calls are left out, and what they are.
const CALLS: &[(&str, &[&str])] = &[
    ("disk::sync_file(", &[""]),
    ("disk::sync_folder(", &[""]),
    ("disk::sync_parent(", &[""]),
    ("disk::sync_file_system(", &[""]),
    ("disk::rename(", &[""]),
    ("disk::hard_link(", &[""]),
    ("move_entry(", &[""]),
    ("move_logs(", &[""]),
    ("disk::write_atomic(", &["", ".sync", ".sync-folder"]),
];
/// What is no single call of `disk`.
const PARTS: &[&str] = &["lock.take", "store-lock.take", "gate.look", "fold.logs", "hold.lease"];
/// Where the labels stand in the sources, and where a test has labels of its own.
const TESTS: &[&str] = &["tests", "tests.rs", "retention_tests.rs"];

/// Tries every mutant, each until something notices it.
pub fn run(
    tally: &mut Tally,
    scenarios: &[Scenario],
    piton: &Project,
    trials: u32,
    folder: &Path,
) -> Made<()> {
    let labels = labels(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))?;
    let seed = tally.options.seed;
    for label in labels {
        let name = format!("mutants {label}");
        if !tally.wants(&name) {
            continue;
        }
        let mutant = Project {
            variables: vec![("PITON_FAULT".into(), format!("{label}:0:leave-out"))],
            ..piton.clone()
        };
        let mut hunt = Hunt { mutant, label: &label, scenarios, folder, trials, seed };
        tally.run(&name, 1, &mut |_| match hunt.found() {
            Ok(Some(by)) => Verdict::Held(by),
            Ok(None) => Verdict::Broken("nothing notices that it is missing".into()),
            Err(error) => Verdict::Broken(format!("the trial itself failed: {error}")),
        });
    }
    Ok(())
}

struct Hunt<'a> {
    mutant: Project,
    label: &'a str,
    scenarios: &'a [Scenario],
    folder: &'a Path,
    trials: u32,
    seed: u64,
}

impl Hunt<'_> {
    /// What notices the mutant first.
    fn found(&mut self) -> Made<Option<String>> {
        let reached = self.reached()?;
        if reached.is_empty() && !PARTS.contains(&self.label) {
            return Ok(Some("not reached by any scenario".into()));
        }
        for scenario in &reached {
            if let Some(what) = self.plainly(scenario)? {
                return Ok(Some(format!("{} itself: {what}", scenario.name)));
            }
        }
        for part in [0, 1] {
            for scenario in &reached {
                if let Some(what) = self.by_cut(scenario, part)? {
                    return Ok(Some(format!("cut {}: {what}", scenario.name)));
                }
            }
        }
        for scenario in &reached {
            if let Some(what) = self.by_kill(scenario)? {
                return Ok(Some(format!("kill {}: {what}", scenario.name)));
            }
        }
        let trials = self.trials.min(60);
        Ok(service::notices(&self.mutant, trials, self.folder)?
            .map(|what| format!("service: {what}")))
    }

    /// The scenarios that come to the label: there they can be killed.
    fn reached(&self) -> Made<Vec<&Scenario>> {
        let whole = self.label.split('.').next().unwrap_or(self.label);
        let mut reached = Vec::new();
        for scenario in self.scenarios {
            let place = self.fresh(scenario)?;
            let killed = Project {
                variables: vec![("PITON_FAULT".into(), format!("{whole}:1:kill"))],
                ..place
            };
            // A part of the program that is no call of `disk` cannot be killed at.
            if PARTS.contains(&self.label) || killed.run(&scenario.words)?.code.is_none() {
                reached.push(scenario);
            }
        }
        Ok(reached)
    }

    fn fresh(&self, scenario: &Scenario) -> Made<Project> {
        let place = scenario.fresh(&self.folder.join("place"))?;
        Ok(Project { folder: place.folder, ..self.mutant.clone() })
    }

    fn plainly(&self, scenario: &Scenario) -> Made<Option<String>> {
        let place = self.fresh(scenario)?;
        let ended = place.run(&scenario.words)?;
        if ended.code != Some(0) {
            return Ok(Some(ended.shown()));
        }
        Ok(Judge::new(self.folder).judge(scenario, &place, &ended, 0).err())
    }

    /// Power cuts in the model; in the first part those after the end, where most is noticed.
    fn by_cut(&self, scenario: &Scenario, part: u32) -> Made<Option<String>> {
        let mut bench = cut::Bench::in_model(self.folder, self.mutant.clone());
        let all = kill::count(scenario, &self.folder.join("place"))?.changing + 1;
        let tries: Vec<u32> = match part {
            0 => vec![all; 4],
            _ => {
                let syncs = kill::syncs(scenario, &self.folder.join("place"))?;
                let rounds = (self.trials as usize).div_ceil(syncs.len().max(1));
                syncs.iter().copied().cycle().take(rounds * syncs.len()).collect()
            }
        };
        for (number, nth) in (0..).zip(tries) {
            let choice = chance(self.seed, number, 14);
            if let Verdict::Broken(what) = bench.cut(scenario, (nth, all), choice)? {
                return Ok(Some(what));
            }
        }
        Ok(None)
    }

    fn by_kill(&self, scenario: &Scenario) -> Made<Option<String>> {
        let calls = kill::count(scenario, &self.folder.join("place"))?;
        let mut judge = Judge::new(self.folder);
        for trial in 0..self.trials.min(calls.changing) {
            let place = self.fresh(scenario)?;
            let nth = kill::spread(trial, calls.changing) + 1;
            let ended = kill::kill_at(&place, &scenario.words, Counted::Changing, nth)?;
            let choice = chance(self.seed, trial, 15);
            if let Err(what) = judge.judge(scenario, &place, &ended, choice) {
                return Ok(Some(format!("killed at change {nth}: {what}")));
            }
        }
        Ok(None)
    }
}

/// Every label in the sources that stands for one of the calls.
fn labels(folder: &Path) -> Made<BTreeSet<String>> {
    let mut labels: BTreeSet<String> = PARTS.iter().map(|part| (*part).into()).collect();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry?;
        let is_test = entry.path().iter().any(|part| TESTS.iter().any(|test| part == *test));
        if is_test || entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(entry.path())?;
        for (call, parts) in CALLS {
            for after in text.split(call).skip(1) {
                let Some(rest) = after.trim_start().strip_prefix('"') else { continue };
                let label = rest.split('"').next().unwrap_or_default();
                labels.extend(parts.iter().map(|part| format!("{label}{part}")));
            }
        }
    }
    Ok(labels)
}
