//! With each sync, rename, link, lock and fold left out, one at a time, a campaign must notice.
//!
//! The binary is one that can leave them out, which no released one can. Which labels there are is
//! read from the sources, so that none is forgotten; what nothing can notice stands in `listed.rs`
//! with its reason.

use crate::{
    cases,
    hunt::{Case, Hunter, Looking, Step},
    listed,
    project::Project,
    races,
    scenario::Scenario,
    setup::Made,
    tally::{Tally, Verdict},
};
use std::{collections::BTreeMap, fs, path::Path};

/// What is left out, as `PITON_FAULT` names it, and what it does.
type Labels = BTreeMap<String, Step>;

/// Functions whose calls are left out, by what follows their label, and what these do.
const CALLS: &[(&str, &[(&str, Step)])] = &[
    ("disk::sync_file(", &[("@sync", Step::Sync)]),
    ("disk::sync_folder(", &[("@sync", Step::Sync)]),
    ("disk::sync_parent(", &[("@sync", Step::Sync)]),
    ("sync_parents(", &[("@sync", Step::Sync)]),
    ("sync_staged(", &[("@sync", Step::Sync)]),
    ("sync_up_to(", &[("@sync", Step::Sync)]),
    ("copy_pair(", &[("@sync", Step::Sync)]),
    ("disk::sync_file_system(", &[("@sync", Step::SyncAll)]),
    ("disk::rename(", &[("@rename", Step::Act)]),
    ("move_entry(", &[("@rename", Step::Act)]),
    ("move_logs(", &[("@rename", Step::Act)]),
    ("put_single(", &[("@link", Step::Act), ("@rename", Step::Act)]),
    ("disk::hard_link(", &[("@link", Step::Act)]),
    ("give_link(", &[("@link", Step::Act)]),
    ("disk::write_atomic(", WRITE),
    ("disk::write_atomic_with(", WRITE),
    ("write_json(", WRITE),
    ("disk::lock_range(", &[(".take", Step::Act)]),
];
const WRITE: &[(&str, Step)] =
    &[("", Step::Act), (".sync", Step::Sync), (".sync-folder", Step::Sync)];
/// A function with two labels: of the link, and of the copy where there can be none.
const SECOND_NAME: &str = "second_name([";
/// What is no single call of `disk`.
const PARTS: &[&str] = &[
    "lock.take",
    "deploy-lock.take",
    "store-lock.take",
    "offsite-lock.take",
    "gate.look",
    "hold.lease",
    "fold.logs",
];
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
    if let Some(gone) = listed::ALL.iter().find(|it| !labels.contains_key(it.label)) {
        return Err(format!("`{}` is listed, and no step is called so", gone.label).into());
    }
    let hunter = Hunter { folder, seed: tally.options.seed };
    let mut cases = cases::all(scenarios, piton, folder)?;
    let all = labels.into_iter().chain([("races".to_owned(), Step::Nothing)]);
    for (label, step) in all {
        let name = format!("mutants {label}");
        if !tally.wants(&name) {
            continue;
        }
        let mut hunt =
            Hunt { hunter: &hunter, label: &label, step, cases: &mut cases, piton, trials };
        tally.run(&name, 1, &mut |_| hunt.verdict());
    }
    for case in &mut cases {
        let name = format!("mutants nothing, {}", case.name);
        tally.run(&name, 1, &mut |_| match nothing(&hunter, case, trials) {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Broken(format!("the trial itself failed: {error}")),
        });
    }
    Ok(())
}

struct Hunt<'a, 'b> {
    hunter: &'a Hunter<'a>,
    label: &'a str,
    step: Step,
    cases: &'a mut [Case<'b>],
    piton: &'a Project,
    trials: u32,
}

impl Hunt<'_, '_> {
    fn verdict(&mut self) -> Verdict {
        let listed = listed::ALL.iter().find(|it| it.label == self.label);
        if let Some(listed) = listed {
            return Verdict::Held(listed.shown());
        }
        let found = match self.step {
            Step::Nothing => self.races(),
            _ => self.found(),
        };
        found.unwrap_or_else(|error| Verdict::Broken(format!("the trial itself failed: {error}")))
    }

    /// What notices the mutant first.
    fn found(&mut self) -> Made<Verdict> {
        let fault = format!("{}:0:leave-out", self.label);
        if let Some(by) = races::notices(self.label, &fault, self.piton, self.hunter.folder)? {
            return Ok(Verdict::Held(shortened(&by)));
        }
        let mut met = Vec::new();
        let mut left = self.trials;
        for (at, case) in self.cases.iter_mut().enumerate() {
            let recording = self.hunter.record(case, Some(&fault), self.step)?;
            if recording.met == 0 {
                continue;
            }
            let looking = Looking::AtTheEnd;
            let noticed = self.hunter.look(case, Some(&fault), &recording, looking, &mut left)?;
            if let Some(by) = noticed {
                return Ok(Verdict::Held(shortened(&by)));
            }
            met.push((at, recording));
        }
        // Short ones first, and each half of what is left, so that a long one hides nothing.
        met.sort_by_key(|(_, recording)| recording.count());
        for (at, recording) in &met {
            let mut share = left.div_ceil(2);
            left -= share;
            let (case, looking) = (&mut self.cases[*at], Looking::Within);
            let noticed = self.hunter.look(case, Some(&fault), recording, looking, &mut share)?;
            if let Some(by) = noticed {
                return Ok(Verdict::Held(shortened(&by)));
            }
            left += share;
        }
        let names: Vec<&str> = met.iter().map(|(at, _)| self.cases[*at].name.as_str()).collect();
        Ok(Verdict::Broken(match names.as_slice() {
            [] => "no case comes to it".into(),
            _ => format!("nothing notices that it is missing: {}", names.join(", ")),
        }))
    }

    /// Where every lock is taken, no race is won.
    fn races(&self) -> Made<Verdict> {
        races::notice_nothing(self.piton, self.hunter.folder)?;
        Ok(Verdict::Held("as it should".into()))
    }
}

/// With nothing left out there is nothing to notice.
fn nothing(hunter: &Hunter<'_>, case: &mut Case<'_>, trials: u32) -> Made<Verdict> {
    let recording = hunter.record(case, None, Step::Nothing)?;
    let mut left = trials;
    Ok(match hunter.look(case, None, &recording, Looking::All, &mut left)? {
        Some(what) => Verdict::Broken(what),
        None => Verdict::Held(format!("as it should, in {} pictures", trials - left)),
    })
}

/// The beginning of the first line: the rest is what a file holds.
fn shortened(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(160).collect()
}

/// Every label in the sources that stands for one of the calls.
fn labels(folder: &Path) -> Made<Labels> {
    let mut labels: Labels = PARTS.iter().map(|part| ((*part).into(), Step::Act)).collect();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry?;
        let is_test = entry.path().iter().any(|part| TESTS.iter().any(|test| part == *test));
        if is_test || entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(entry.path())?;
        for (call, parts) in CALLS {
            for (at, _) in text.match_indices(call) {
                // `remove_logs` moves none.
                if text[..at].ends_with(|it: char| it.is_alphanumeric() || it == '_') {
                    continue;
                }
                let after = &text[at + call.len()..];
                let Some(rest) = after.trim_start().strip_prefix('"') else { continue };
                let label = rest.split('"').next().unwrap_or_default();
                let named = parts.iter().map(|(part, step)| (format!("{label}{part}"), *step));
                labels.extend(named);
            }
        }
        for after in text.split(SECOND_NAME).skip(1) {
            let mut quoted = after.split('"').skip(1).step_by(2);
            let (link, copy) = (quoted.next(), quoted.next());
            labels.extend(link.map(|link| (format!("{link}@link"), Step::Act)));
            labels.extend(copy.map(|copy| (format!("{copy}@sync"), Step::Sync)));
            labels.extend(copy.map(|copy| (format!("{copy}@rename"), Step::Act)));
        }
    }
    Ok(labels)
}
