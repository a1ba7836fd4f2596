//! Laws 1 to 5 over random histories, stopped, restored and rerun in random ways.
//!
//! `PITON_CASES` says how many, `PITON_SEED` picks one of them, `PITON_SHRINK` makes it smaller.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use crate::{
    engine::{Ended, connect, drop_ledger, dump, last, plain, plan, up, written},
    generator::{Case, Random},
    judge::{Held, Stops, Subject, Trial, record},
    seeds::Seeds,
};
use piton::plan::Settings;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

impl Subject<'_> {
    /// The database after piton ran the first so many migrations, and the application wrote rows.
    fn advanced(&self, name: &str, count: usize) -> Option<PathBuf> {
        let path = self.start(name);
        for (at, migration) in self.migrations[..count].iter().enumerate() {
            match up(&path, &self.migrations, &last(&migration.version)) {
                Ended::Done(_) => self.seeds.plant(&connect(&path), at),
                _ => return None,
            }
        }
        Some(path)
    }

    /// Law 5 with a ledger that knows only the first so many migrations; somebody went on by hand.
    /// With nothing done by hand this is a backup that was put back.
    fn stale(&self, random: &mut Random, trials: &mut Vec<Trial>) {
        let known = random.below(self.migrations.len());
        let Some(boundary) = self.advanced("stale.db", known) else { return };
        let known_schema = dump(&boundary).schema;
        let reached = known + random.below(self.migrations.len() - known);
        let mut at = known;
        loop {
            let rest = || {
                let path = self.copied(&boundary, "rest.db");
                for migration in &self.migrations[at..] {
                    let count = migration.statements().len();
                    plain(&connect(&path), migration, count).unwrap();
                }
                dump(&path)
            };
            let wanted = rest();
            let whole = self.migrations[at].statements().len();
            for statements in [0, 1 + random.below(whole.max(2) - 1)] {
                let path = self.copied(&boundary, "stopped.db");
                plain(&connect(&path), &self.migrations[at], statements.min(whole)).unwrap();
                let by_hand = at > known || statements > 0;
                let before = dump(&path);
                if by_hand && before.schema == known_schema {
                    // Where the schema is that of the ledger, the ledger's word is all there is.
                    continue;
                }
                let what = if by_hand { "stale" } else { "restored" };
                let title = self.migrations[at].title();
                let what = format!("{what}: ledger {known}, then {title} to {statements}");
                let ended = self.up_as_planned(&path, &Settings::default(), &what, trials);
                let held = self.outcome(&ended, &before, &wanted, &path, &rest);
                let held = self.limited(held, &self.migrations[at], statements.min(whole));
                record(trials, 5, &what, held);
            }
            if at == reached {
                return;
            }
            plain(&connect(&boundary), &self.migrations[at], whole).unwrap();
            self.seeds.plant(&connect(&boundary), at);
            at += 1;
        }
    }

    /// `plan`, `up --to` and `up` in any order, and now and then without the ledger.
    fn any_order(&self, random: &mut Random, trials: &mut Vec<Trial>) {
        let path = self.start("order.db");
        let again = || {
            let path = self.start("again.db");
            for migration in &self.migrations {
                plain(&connect(&path), migration, migration.statements().len()).unwrap();
            }
            dump(&path)
        };
        let wanted = again();
        for _ in 0..4 {
            let settings = last(&random.pick(&self.migrations).version);
            match random.below(6) {
                0 => drop(plan(&path, &self.migrations, &settings)),
                1 if path.exists() => drop_ledger(&path),
                _ => drop(self.up_as_planned(&path, &settings, "reruns", trials)),
            }
        }
        let before = dump(&path);
        let ended = self.up_as_planned(&path, &Settings::default(), "reruns", trials);
        record(trials, 4, "reruns", self.outcome(&ended, &before, &wanted, &path, &again));
    }
}

/// All trials of a case.
fn judge(case: &Case, folder: &Path, seed: u64) -> Vec<Trial> {
    let texts = case.texts();
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (&**name, &**text)).collect();
    let migrations = written(&folder.join("migrations"), &files);
    let base = (!case.base.is_empty()).then(|| {
        let path = folder.join("base.db");
        connect(&path).execute_batch(&case.base.join(";")).unwrap();
        path
    });
    let seeds = Seeds { behind: case.seeds.clone() };
    let mut subject = Subject { migrations, base, folder, seeds };
    let mut random = Random::new(seed ^ 0xABCD);
    let mut trials = Vec::new();
    subject.stale(&mut random, &mut trials);
    subject.any_order(&mut random, &mut trials);
    trials.extend(subject.judge(stops(seed)));
    // A file without transaction that fails half-way is put right by the backup of its run.
    let alone = case.files.iter().any(|file| file.header.iter().any(|line| line.contains("none")));
    for trial in &mut trials {
        match &trial.held {
            Held::Broken(text) if alone && text.starts_with("Failed(") => {
                trial.held = Held::Refused(text.clone());
            }
            _ => {}
        }
    }
    trials
}

/// All stops in a campaign, a few of them otherwise.
fn stops(seed: u64) -> Stops {
    if number("PITON_CASES").or(number("PITON_SEED")).is_some() {
        Stops::Statements
    } else {
        Stops::Sample(16, usize::try_from(seed).unwrap())
    }
}

fn judged(case: &Case, seed: u64) -> Vec<Trial> {
    let folder = tempfile::tempdir().unwrap();
    let found = catch_unwind(AssertUnwindSafe(|| judge(case, folder.path(), seed)));
    found.unwrap_or_else(|_| {
        let held = Held::Broken("the judge stumbled".into());
        vec![Trial { law: 0, what: "the case".into(), held }]
    })
}

fn broken(trials: &[Trial]) -> Vec<&Trial> {
    trials.iter().filter(|trial| matches!(trial.held, Held::Broken(_))).collect()
}

/// The smallest case in which the same law breaks.
fn shrunk(case: Case, seed: u64, law: u8) -> Case {
    let breaks = |case: &Case| {
        case.is_valid() && broken(&judged(case, seed)).iter().any(|trial| trial.law == law)
    };
    let mut case = case;
    while let Some(smaller) = case.smaller().into_iter().find(breaks) {
        case = smaller;
    }
    case
}

fn report(case: Case, seed: u64, trials: &[Trial]) -> String {
    let law = broken(trials)[0].law;
    let case =
        if std::env::var_os("PITON_SHRINK").is_some() { shrunk(case, seed, law) } else { case };
    let trials = judged(&case, seed);
    let lines: Vec<String> = broken(&trials)
        .iter()
        .map(|trial| format!("law {}, {}: {:?}", trial.law, trial.what, trial.held))
        .collect();
    format!("PITON_SEED={seed}\n{case}{}", lines.join("\n").replace("\\n", "\n"))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn laws_hold_over_random_histories() {
    let seeds = match (number("PITON_SEED"), number("PITON_CASES")) {
        (Some(seed), _) => seed..seed + 1,
        (None, cases) => 0..cases.unwrap_or(50),
    };
    let next = AtomicU64::new(seeds.start);
    let (wrong, counts) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let Some(case) = Case::generate(seed) else { continue };
            let trials = judged(&case, seed);
            for trial in &trials {
                let kind = trial.what.split(':').next().unwrap_or_default();
                let kind =
                    if trial.law == 5 && !trial.what.contains(':') { "stopped" } else { kind };
                let kind = kind.split(' ').next().unwrap_or_default().to_string();
                let mut counts = counts.lock().unwrap();
                let count: &mut [usize; 3] = counts.entry((trial.law, kind)).or_default();
                count[match trial.held {
                    Held::Yes => 0,
                    Held::Refused(_) => 1,
                    Held::Broken(_) => 2,
                }] += 1;
            }
            if !broken(&trials).is_empty() {
                wrong.lock().unwrap().push(report(case, seed, &trials));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    for ((law, kind), [held, refused, broken]) in counts.into_inner().unwrap() {
        println!("law {law} {kind}: {held} held, {refused} refused, {broken} broken");
    }
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n\n"));
}
