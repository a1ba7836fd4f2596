//! The three witnesses: for each unit, what ledger, schema and declared guards say together.
//!
//! First the live schema is looked for on the timeline. Where it is found, the steps before the
//! point are done and those behind it are not; where it is not, the facts are read one by one.

use super::{
    chain::standings,
    data::truth,
    evidence::Evidence,
    live_rows::Trial,
    order::Unit,
    own::removals,
    text_only::is_without_effect,
    timeline::{Key, StepKind, Timeline},
};
use crate::{
    ledger::{EntryKind, EntryState, Witness},
    schema::{Change, Part, Schema},
    sql::Class,
};
use rusqlite::Connection;
use std::{cell::OnceCell, collections::BTreeSet, ops::RangeInclusive, path::Path};

/// What is known about one unit.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The ledger has it and the schema agrees.
    Applied,
    /// It is done, though the ledger does not say so.
    Recorded(Witness),
    /// It is not done.
    Pending,
    /// These of its steps are missing.
    Resumed(Vec<usize>),
    /// Nothing tells whether these of its steps ran, and running them again adds nothing.
    Again(Vec<usize>),
    /// The ledger has it; these steps are missing and can be redone, these facts are wrong.
    Drift { missing: Vec<usize>, facts: Vec<Change> },
    /// Something else is there.
    Conflict(Vec<Change>),
    /// It began and did not end.
    Dirty,
    /// Nothing can tell; the reason.
    Undecided(String),
}

/// What was found about a whole database.
pub struct Assessed {
    /// By unit.
    pub verdicts: Vec<Verdict>,
    /// Live facts that the history never made.
    pub extra: Vec<Change>,
    /// Where the schema is the same at several points with data between them: their titles.
    pub choices: Vec<String>,
}

/// What the judgement rests on.
pub struct Witnesses<'a> {
    /// The units in replay order.
    pub units: &'a [Unit],
    /// Their timeline.
    pub timeline: &'a Timeline,
    /// The live schema.
    pub live: &'a Schema,
    /// The live database.
    pub connection: &'a Connection,
    /// Where the live database is; empty where nothing may be tried on it.
    pub path: &'a Path,
    /// Statements tried on its rows, once that is needed.
    pub trial: OnceCell<Option<Trial>>,
    /// Whether the database holds nothing and never had a ledger.
    pub new: Newness,
}

/// Whether a database has a past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newness {
    /// It holds no object and no ledger.
    New,
    /// It holds something.
    Used,
    /// It holds something, and a person said that nothing of the history had run.
    Baseline,
    /// Its schema is what the last run left: the timeline starts there.
    Settled,
}

impl Witnesses<'_> {
    /// Judges every unit.
    pub fn assess(&self) -> Assessed {
        let mut assessed = self.placed();
        self.settle_empty(&mut assessed.verdicts);
        self.settle_texts(&mut assessed.verdicts);
        self.protect(&mut assessed.verdicts);
        assessed
    }

    /// The live rows, on which statements can be tried.
    pub(super) fn trial(&self) -> Option<&Trial> {
        self.trial.get_or_init(|| Trial::open(self.path)).as_ref()
    }

    /// A unit without any effect needs no run where a later one is done.
    fn settle_empty(&self, verdicts: &mut [Verdict]) {
        let done = |verdict: &Verdict| matches!(verdict, Verdict::Applied | Verdict::Recorded(_));
        let Some(last) = self.newest(verdicts, done) else { return };
        for (at, verdict) in verdicts.iter_mut().enumerate() {
            let steps = self.timeline.of_unit(at);
            let is_empty = steps.iter().all(is_without_effect);
            let earlier = self.units[at].version < self.units[last].version;
            if is_empty && earlier && matches!(verdict, Verdict::Pending) {
                *verdict = Verdict::Recorded(Witness::Later);
            }
        }
    }

    /// The unit of the highest version with such a verdict.
    fn newest(&self, verdicts: &[Verdict], wanted: impl Fn(&Verdict) -> bool) -> Option<usize> {
        let found = (0..verdicts.len()).filter(|&at| wanted(&verdicts[at]));
        found.max_by(|&a, &b| self.units[a].version.cmp(&self.units[b].version))
    }

    /// Keeps a DROP that comes after the CREATE of that name in its file from what another made.
    fn protect(&self, verdicts: &mut [Verdict]) {
        for at in 0..verdicts.len() {
            let (start, end) = (self.timeline.starts[at], self.timeline.starts[at + 1]);
            let runs: Vec<usize> = match &verdicts[at] {
                Verdict::Pending => (start..end).collect(),
                Verdict::Resumed(steps) | Verdict::Again(steps) => steps.clone(),
                _ => continue,
            };
            if let Some(what) = self.stranger(at, &runs, verdicts) {
                let unit = &self.units[at];
                let reason =
                    format!("it {what}, and the database has one that this run did not make");
                verdicts[at] = match self.guard(unit) {
                    Some(true) => Verdict::Recorded(Witness::Guard),
                    _ => Verdict::Undecided(reason),
                };
            }
        }
    }

    /// What a unit would make and remove, and is there already.
    fn stranger(&self, at: usize, runs: &[usize], verdicts: &[Verdict]) -> Option<String> {
        let unit = &self.units[at];
        let start = self.timeline.starts[at];
        let finished = progress(unit).unwrap_or(0);
        for found in removals(&unit.replayed, self.timeline.of_unit(at)) {
            let makes = runs.contains(&(start + found.made));
            let by_this_file = self.timeline.steps[start + found.made].statement < finished;
            if !runs.contains(&(start + found.step)) || (makes && found.cleared) || by_this_file {
                continue;
            }
            // What this run makes can only meet another of its first name.
            let names = if makes { &found.keys[..1] } else { &found.keys[..] };
            let is_there = |key: &&Key| {
                self.live.fact(&key.0, &key.1).is_some() && !self.goes_before(at, key, verdicts)
            };
            let Some((object, part)) = names.iter().find(is_there) else { continue };
            let what = match part {
                Part::Whole => object.to_string(),
                part => format!("{part} of {object}"),
            };
            let does = if found.rows { "makes and deletes rows of" } else { "makes and removes" };
            return Some(format!("{does} {what}"));
        }
        None
    }

    /// Whether a unit that runs before this one removes something.
    fn goes_before(&self, at: usize, key: &Key, verdicts: &[Verdict]) -> bool {
        let runs = |unit: &usize| {
            matches!(verdicts[*unit], Verdict::Pending | Verdict::Resumed(_) | Verdict::Again(_))
        };
        (0..at).filter(runs).flat_map(|unit| self.timeline.of_unit(unit)).any(|step| {
            step.effect.changes.iter().any(|change| {
                change.object == key.0 && change.part == key.1 && change.after.is_none()
            })
        })
    }

    fn placed(&self) -> Assessed {
        if self.new == Newness::Settled {
            return self.located(0..=0);
        }
        let ignored = self.ignored();
        let done = self.units.iter().filter(|unit| unit.is_in_ledger()).count();
        let boundary = self.timeline.starts[done];
        if self.new == Newness::New {
            return self.located(0..=0);
        }
        let matches = self.timeline.matches(self.live, &ignored);
        let ledger_knows = done > 0 || self.new == Newness::Baseline;
        if ledger_knows && matches.contains(&boundary) {
            return self.located(boundary..=boundary);
        }
        let ahead: Vec<usize> = matches.into_iter().filter(|&point| point >= boundary).collect();
        let mut runs = runs(&ahead);
        let Some(last) = runs.pop() else {
            return self.scattered(&standings(self.timeline, self.live, &ignored));
        };
        if let Some(first) = runs.first()
            && self.row_work(first, *last.start())
        {
            runs.push(last);
            return self.ambiguous(&runs, done);
        }
        self.located(last)
    }

    /// Facts of units for which somebody's word counts more than the schema, or whose script made
    /// them: they are not compared.
    fn ignored(&self) -> BTreeSet<Key> {
        let mut ignored = BTreeSet::new();
        for (at, unit) in self.units.iter().enumerate() {
            let Some(entry) = &unit.entry else { continue };
            if entry.witness == Witness::Guard {
                for step in self.timeline.of_unit(at) {
                    let keys = step.effect.changes.iter();
                    ignored.extend(keys.map(|change| (change.object.clone(), change.part.clone())));
                }
            }
            let objects: BTreeSet<&str> = entry.objects.lines().collect();
            if objects.is_empty() || entry.witness == Witness::Adopted {
                continue;
            }
            for (name, object) in &self.live.objects {
                if objects.contains(name.to_string().as_str()) {
                    ignored.extend(object.facts.keys().map(|part| (name.clone(), part.clone())));
                }
            }
        }
        ignored
    }

    /// The schema is that of these points, between which only data lies.
    fn located(&self, points: RangeInclusive<usize>) -> Assessed {
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(self.units.len());
        let mut begun = false;
        for (at, unit) in self.units.iter().enumerate() {
            let verdict = match self.locate_unit(at, &points) {
                // What an earlier one will still do is not in the rows yet, and migrations run in
                // their order: so this one did not run.
                Verdict::Recorded(Witness::Schema) | Verdict::Undecided(_) if begun => {
                    self.pending(unit)
                }
                verdict => verdict,
            };
            begun |= matches!(verdict, Verdict::Pending | Verdict::Resumed(_))
                && self.timeline.of_unit(at).iter().any(|step| step.kind.lasts());
            verdicts.push(verdict);
        }
        Assessed { verdicts, extra: Vec::new(), choices: Vec::new() }
    }

    fn locate_unit(&self, at: usize, points: &RangeInclusive<usize>) -> Verdict {
        let unit = &self.units[at];
        if let Some(verdict) = settled(unit) {
            return verdict;
        }
        if let Some(finished) = progress(unit) {
            return self.in_progress(at, finished, *points.end());
        }
        let (start, end) = (self.timeline.starts[at], self.timeline.starts[at + 1]);
        let (low, high) = (*points.start(), *points.end());
        let steps = || (start..end).map(|step| (step, &self.timeline.steps[step]));
        let behind = steps().any(|(step, found)| step >= high && found.kind.lasts());
        let schema_done = steps().any(|(step, found)| step < low && found.kind == StepKind::Schema);
        let open: Vec<usize> = steps()
            .filter(|(step, found)| {
                (low..high).contains(step)
                    && matches!(found.kind, StepKind::Data | StepKind::Script)
            })
            .map(|(step, _)| step)
            .collect();
        if schema_done {
            return self.begun(at, &open, high);
        }
        let is_empty = start == end && self.new == Newness::Used && unit.entry.is_none();
        let no_ledger = !self.units.iter().any(Unit::is_in_ledger);
        if end <= low && (start < end || end < low || is_empty && no_ledger) {
            return Verdict::Recorded(Witness::Later);
        }
        if !open.is_empty() && !behind {
            let reason = "only data: neither the ledger nor the schema tells whether it ran";
            return self.by_rows(at, &open, end..end, reason);
        }
        // None of its effect is there, and the ledger does not have it. Data statements at its head may
        // have run by hand all the same: they run if that does no harm, or if the rows tell.
        let harmless = open.is_empty()
            || self.evidence(at, &open).start().is_some()
            || self.is_repeatable(&open);
        if !harmless {
            let reason = "nothing tells whether the data statements at its beginning ran";
            return self.by_guard(unit, reason);
        }
        self.pending(unit)
    }

    /// A unit of which data statements at the live schema are all that is open, but for `rest`.
    fn by_rows(
        &self,
        at: usize,
        open: &[usize],
        rest: std::ops::Range<usize>,
        reason: &str,
    ) -> Verdict {
        let unit = &self.units[at];
        let evidence = self.evidence(at, open);
        let Some(finished) = evidence.start() else { return self.by_guard(unit, reason) };
        let missing: Vec<usize> = open[finished..].iter().copied().chain(rest.clone()).collect();
        let lasts = |step: &usize| self.timeline.steps[*step].kind.lasts();
        if !missing.iter().any(lasts) {
            return Verdict::Recorded(Witness::Schema);
        }
        if self.guard(unit) == Some(true) {
            return Verdict::Recorded(Witness::Guard);
        }
        let next = missing.first().copied().unwrap_or(rest.start);
        if next == self.timeline.starts[at] && !matches!(evidence, Evidence::Again(_)) {
            return Verdict::Pending;
        }
        match (evidence, self.resumed(at, missing, next)) {
            (Evidence::Again(_), Verdict::Resumed(steps)) => Verdict::Again(steps),
            (_, verdict) => verdict,
        }
    }

    /// A unit of which schema steps are there.
    pub(super) fn begun(&self, at: usize, open: &[usize], high: usize) -> Verdict {
        let reason =
            "its schema changes are there, but nothing tells whether its data statements ran";
        self.by_rows(at, open, high..self.timeline.starts[at + 1].max(high), reason)
    }

    /// The missing steps of a unit that goes on at `next`; a temporary table that earlier
    /// statements made is gone with their connection.
    pub(super) fn resumed(&self, at: usize, missing: Vec<usize>, next: usize) -> Verdict {
        let unit = &self.units[at];
        let start = self.timeline.starts[at];
        let earlier = &self.timeline.steps[start..next];
        if earlier.iter().any(|step| step.kind == StepKind::Temporary) {
            let reason = "it stopped in the middle, and the temporary tables that it made are gone";
            return self.by_guard(unit, reason);
        }
        // The settings of the connection are gone too, and they are set again.
        let settings = (start..next).filter(|step| {
            matches!(self.timeline.steps[*step].class, Class::Pragma { .. })
                && !self.timeline.steps[*step].class.sets_number()
                && !missing.contains(step)
        });
        Verdict::Resumed(settings.chain(missing.iter().copied()).collect())
    }

    /// A file without transaction that was interrupted: the ledger says after which statement,
    /// and the schema whether the next one ended.
    pub(super) fn in_progress(&self, at: usize, finished: usize, high: usize) -> Verdict {
        let start = self.timeline.starts[at];
        let rest = start..self.timeline.starts[at + 1];
        let is_done = |step: usize| {
            let found = &self.timeline.steps[step];
            found.statement < finished || (step < high && found.kind == StepKind::Schema)
        };
        let missing: Vec<usize> = rest.filter(|&step| !is_done(step)).collect();
        let next = missing.first().copied().unwrap_or(start);
        self.resumed(at, missing, next)
    }

    fn ambiguous(&self, runs: &[RangeInclusive<usize>], done: usize) -> Assessed {
        let title = |point: usize| {
            let unit = self.timeline.starts.iter().rposition(|&start| start < point);
            unit.map_or_else(|| "nothing".into(), |unit| self.units[unit].title.clone())
        };
        let choices = runs.iter().map(|run| title(*run.start())).collect();
        let reason = "the schema is the same at several points of the history";
        let (first, last) = (&runs[0], &runs[runs.len() - 1]);
        let verdicts = self
            .units
            .iter()
            .enumerate()
            .map(|(at, unit)| match settled(unit) {
                Some(verdict) => verdict,
                None if at < done => Verdict::Applied,
                None if self.timeline.starts[at + 1] <= *first.start() => {
                    Verdict::Recorded(Witness::Later)
                }
                None if self.timeline.starts[at] >= *last.end() => self.pending(unit),
                None => self.by_guard(unit, reason),
            })
            .collect();
        Assessed { verdicts, extra: Vec::new(), choices }
    }

    pub(super) fn guard(&self, unit: &Unit) -> Option<bool> {
        let query = unit.replayed.header.skip_if.as_ref()?;
        truth(self.connection, query).ok()
    }

    pub(super) fn by_guard(&self, unit: &Unit, reason: &str) -> Verdict {
        match self.guard(unit) {
            Some(true) => Verdict::Recorded(Witness::Guard),
            Some(false) => Verdict::Pending,
            None => Verdict::Undecided(reason.into()),
        }
    }

    pub(super) fn pending(&self, unit: &Unit) -> Verdict {
        match self.guard(unit) {
            Some(true) => Verdict::Recorded(Witness::Guard),
            _ => Verdict::Pending,
        }
    }
}

/// What the ledger alone settles.
pub(super) fn settled(unit: &Unit) -> Option<Verdict> {
    let entry = unit.entry.as_ref()?;
    match (entry.state, entry.kind) {
        (EntryState::Applied | EntryState::Recorded, _) => Some(Verdict::Applied),
        (EntryState::Started, EntryKind::Sql) => None,
        (EntryState::Started, _) => Some(Verdict::Dirty),
    }
}

/// How many statements of an interrupted file without transaction are finished.
pub(super) fn progress(unit: &Unit) -> Option<usize> {
    let entry = unit.entry.as_ref()?;
    let begun = entry.state == EntryState::Started && entry.kind == EntryKind::Sql;
    begun.then(|| usize::try_from(entry.statements).unwrap_or(0))
}

/// Runs of neighbouring points.
fn runs(points: &[usize]) -> Vec<RangeInclusive<usize>> {
    let mut found: Vec<RangeInclusive<usize>> = Vec::new();
    for &point in points {
        match found.last_mut() {
            Some(run) if *run.end() + 1 == point => *run = *run.start()..=point,
            _ => found.push(point..=point),
        }
    }
    found
}
