//! The verdicts where the live schema is nowhere on the timeline: by what each fact tells.
//!
//! Facts alone say less than a place on the timeline, so data statements are trusted to have run
//! only where nothing before them is missing.

use super::{
    assess::{Assessed, Verdict, Witnesses, progress, settled},
    chain::{Standing, Standings},
    order::Unit,
    timeline::StepKind,
};
use crate::ledger::Witness;
use std::collections::BTreeSet;

/// How far the schema is there.
struct Trail {
    /// The last step that is there.
    last_there: Option<usize>,
    /// The first step that is not.
    first_gap: Option<usize>,
}

impl Witnesses<'_> {
    /// The schema is nowhere on the timeline.
    pub(super) fn scattered(&self, found: &Standings) -> Assessed {
        let trail = Trail {
            last_there: found.steps.iter().rposition(|standing| *standing == Standing::There),
            first_gap: found
                .steps
                .iter()
                .position(|standing| !matches!(standing, Standing::There | Standing::Silent)),
        };
        let verdicts =
            (0..self.units.len()).map(|at| self.scattered_unit(at, found, &trail)).collect();
        Assessed { verdicts, extra: found.extra.clone(), choices: Vec::new() }
    }

    fn scattered_unit(&self, at: usize, found: &Standings, trail: &Trail) -> Verdict {
        let unit = &self.units[at];
        let range = self.timeline.starts[at]..self.timeline.starts[at + 1];
        let mut there = 0;
        let (mut missing, mut facts, mut broken) = (Vec::new(), Vec::new(), false);
        for step in range.clone() {
            match &found.steps[step] {
                Standing::There => there += 1,
                Standing::Absent => {
                    missing.push(step);
                    facts.extend(self.timeline.steps[step].effect.changes.iter().cloned());
                }
                Standing::Partly(changes) | Standing::Different(changes) => {
                    broken = true;
                    facts.extend(changes.iter().cloned());
                }
                Standing::Silent => {}
            }
        }
        if let Some(verdict) = settled(unit) {
            return match verdict {
                Verdict::Applied if !facts.is_empty() => {
                    let can_be_made = !broken && !self.is_torn(&range, &missing);
                    Verdict::Drift {
                        missing: if can_be_made { missing } else { Vec::new() },
                        facts,
                    }
                }
                other => other,
            };
        }
        if let Some(finished) = progress(unit) {
            return self.in_progress(at, finished, 0);
        }
        if broken {
            return match self.guard(unit) {
                Some(true) => Verdict::Recorded(Witness::Guard),
                _ => Verdict::Conflict(facts),
            };
        }
        let lasting = range.clone().any(|step| self.timeline.steps[step].kind.lasts());
        let has_data = range.clone().any(|step| self.timeline.steps[step].kind == StepKind::Data);
        // With a gap before it, what is there behind it says nothing about it.
        let followed = trail.last_there.is_some_and(|last| last >= range.end)
            && trail.first_gap.is_none_or(|gap| gap >= range.end);
        let in_ledger = self.units.iter().any(Unit::is_in_ledger);
        match (there > 0, missing.is_empty()) {
            (true, true) if has_data && !followed => self.begun_scattered(at, range),
            (true, true) => Verdict::Recorded(Witness::Schema),
            (true, false) if has_data => self.by_guard(
                unit,
                "it is partly there, and its data statements make it unsafe to go on from the middle",
            ),
            (true, false) if self.is_torn(&range, &missing) => self.by_guard(
                unit,
                "it is partly there, but not as any of its statements leaves the schema",
            ),
            (true, false) => {
                let next = missing[0];
                self.resumed(at, missing, next)
            }
            (false, false) => self.pending(unit),
            (false, true) if followed => Verdict::Recorded(Witness::Later),
            (false, true) if !lasting => self.pending(unit),
            // The ledger is there and does not have it, nor is anything behind it there.
            (false, true) if in_ledger && trail.last_there.is_none_or(|last| last < range.end) => {
                self.pending(unit)
            }
            (false, true) => self.by_guard(unit, "nothing tells whether it ran"),
        }
    }

    /// Whether a step that is not missing comes after a missing one and changes the same: then the file
    /// never stopped there, and what is there has another origin.
    fn is_torn(&self, range: &std::ops::Range<usize>, missing: &[usize]) -> bool {
        let mut changed = BTreeSet::new();
        range.clone().any(|step| {
            let changes = &self.timeline.steps[step].effect.changes;
            let mut keys = changes.iter().map(|change| (&change.object, &change.part));
            if missing.contains(&step) {
                changed.extend(keys);
                return false;
            }
            keys.any(|key| changed.contains(&key))
        })
    }

    fn begun_scattered(&self, at: usize, range: std::ops::Range<usize>) -> Verdict {
        let open: Vec<usize> = range
            .clone()
            .filter(|&step| self.timeline.steps[step].kind == StepKind::Data)
            .collect();
        self.begun(at, &open, range.end)
    }
}
