//! The table of what was tried: kept in a file, so that a campaign can go on where it stopped.

use crate::options::Options;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

/// How one trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it must; the word says which of the ways that are allowed.
    Held(String),
    /// An invariant does not hold.
    Broken(String),
}

/// One line of the table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// Trials that were run, from the first on.
    pub trials: u32,
    /// How many ended in which way.
    pub outcomes: BTreeMap<String, u32>,
    pub violations: Vec<(u32, String)>,
    /// Why it was left out, where it was.
    pub skipped: Option<String>,
}

/// All lines, and when to stop.
pub struct Tally {
    pub options: Options,
    rows: BTreeMap<String, Row>,
    deadline: Option<Instant>,
    saved: Instant,
}

/// More violations of a row than these are counted and not shown.
const SHOWN: usize = 5;

impl Tally {
    pub fn open(options: Options) -> Result<Self, String> {
        let rows = match &options.resume {
            Some(file) if file.exists() => {
                let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
                serde_json::from_str(&text).map_err(|error| error.to_string())?
            }
            _ => BTreeMap::new(),
        };
        let deadline =
            options.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
        Ok(Self { options, rows, deadline, saved: Instant::now() })
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether a row of the table was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.options.only.as_ref().is_none_or(|only| only == name)
    }

    /// Whether any row whose name begins so was asked for.
    pub fn wants_some(&self, beginning: &str) -> bool {
        self.options.only.as_ref().is_none_or(|only| only.starts_with(beginning))
    }

    /// Runs the trials of one row, from the one at which it stopped.
    pub fn run(&mut self, name: &str, trials: u32, run: &mut dyn FnMut(u32) -> Verdict) {
        if !self.wants(name) {
            return;
        }
        if let Some(trial) = self.options.trial {
            println!("{name}, trial {trial}: {:?}", run(trial));
            return;
        }
        let first = self.rows.get(name).map_or(0, |row| row.trials);
        for trial in first..trials {
            if self.is_over() {
                break;
            }
            let verdict = run(trial);
            self.note(name, trial, verdict);
        }
        self.save();
        self.print_row(name);
    }

    fn note(&mut self, name: &str, trial: u32, verdict: Verdict) {
        let row = self.rows.entry(name.into()).or_default();
        row.trials = trial + 1;
        match verdict {
            Verdict::Held(word) => *row.outcomes.entry(word).or_default() += 1,
            Verdict::Broken(what) => {
                if row.violations.len() < SHOWN {
                    println!("VIOLATION {name}, trial {trial}: {what}");
                }
                row.violations.push((trial, what));
            }
        }
        if self.saved.elapsed() > Duration::from_secs(5) {
            self.save();
        }
    }

    /// Notes a row that cannot be run here, so that nobody takes it for one that held.
    pub fn skip(&mut self, name: &str, reason: &str) {
        println!("LEFT OUT {name}: {reason}");
        self.rows.entry(name.into()).or_default().skipped = Some(reason.into());
    }

    fn save(&mut self) {
        self.saved = Instant::now();
        let Some(file) = &self.options.resume else { return };
        let partial = file.with_extension("partial");
        let text = serde_json::to_string_pretty(&self.rows).expect("it is plain data");
        let saved = fs::write(&partial, text).and_then(|()| fs::rename(&partial, file));
        if let Err(error) = saved {
            eprintln!("cannot note the progress in `{}`: {error}", file.display());
        }
    }

    fn print_row(&self, name: &str) {
        let Some(row) = self.rows.get(name) else { return };
        let outcomes: Vec<String> =
            row.outcomes.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let violations = row.violations.len();
        println!("{name:<32} {:>7} {violations:>6}  {}", row.trials, outcomes.join(", "));
    }

    /// Prints the table, and how to repeat each violation; gives how many there are.
    pub fn print(&self) -> usize {
        println!("\n{:<32} {:>7} {:>6}  ended", "fault", "trials", "broken");
        let (mut trials, mut broken) = (0, 0);
        for (name, row) in &self.rows {
            match &row.skipped {
                Some(reason) if row.trials == 0 => println!("{name:<32}  left out: {reason}"),
                _ => self.print_row(name),
            }
            trials += row.trials;
            broken += row.violations.len();
        }
        println!("{:<32} {trials:>7} {broken:>6}", "in all");
        for (name, row) in &self.rows {
            let campaign = name.split(' ').next().unwrap_or(name);
            for (trial, what) in row.violations.iter().take(SHOWN) {
                println!("\n{name}, trial {trial}: {what}");
                println!(
                    "  cargo run --release --example campaign -- {campaign} --only '{name}' \
                     --trial {trial} --seed {}",
                    self.options.seed
                );
            }
        }
        broken
    }
}

/// A number that looks like chance and depends on nothing but its arguments.
pub fn chance(seed: u64, trial: u32, purpose: u64) -> u64 {
    let mut value = seed ^ (u64::from(trial) << 20) ^ (purpose << 56) ^ 0x9E37_79B9_7F4A_7C15;
    for _ in 0..3 {
        value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^= value >> 31;
    }
    value
}
