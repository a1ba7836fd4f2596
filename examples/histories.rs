//! Holds real histories to the laws: `cargo run --release --example histories -- FOLDER…`.
//!
//! Each folder is one history in piton's naming, with the database on which it starts as `base.db`
//! where it does not start from nothing (`tests/histories/fetch.py` makes them). One line is
//! printed per history, then a table of totals; with `--why` also each refusal.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "../tests/it/engine.rs"]
mod engine;
#[path = "../tests/it/judge.rs"]
mod judge;
#[path = "../tests/it/seeds.rs"]
mod seeds;

use engine::{connect, dump, fresh, history, up};
use judge::{Held, Stops, Subject, Trial};
use piton::plan::Settings;
use seeds::Seeds;
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Boundaries at which a long history is stopped, at most.
const STOPS: usize = 40;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let why = arguments.iter().any(|argument| argument == "--why");
    arguments.retain(|argument| argument != "--why");
    if arguments.is_empty() {
        eprintln!("usage: histories [--why] FOLDER…");
        return ExitCode::from(2);
    }
    let mut totals: BTreeMap<u8, [usize; 3]> = BTreeMap::new();
    let (mut histories, mut migrations) = (0, 0);
    for folder in arguments.iter().map(PathBuf::from) {
        let Some((count, trials)) = judged(&folder) else { continue };
        histories += 1;
        migrations += count;
        report(&folder, count, &trials, why);
        for trial in &trials {
            let cells = totals.entry(trial.law).or_default();
            cells[column(&trial.held)] += 1;
        }
    }
    println!("\n{histories} histories, {migrations} migrations");
    println!("law     held  refused   BROKEN");
    for (law, [held, refused, broken]) in &totals {
        println!("{law:>3} {held:>8} {refused:>8} {broken:>8}");
    }
    let broken = totals.values().any(|cells| cells[2] > 0);
    ExitCode::from(u8::from(broken))
}

fn column(held: &Held) -> usize {
    match held {
        Held::Yes => 0,
        Held::Refused(_) => 1,
        Held::Broken(_) => 2,
    }
}

/// The trials of one history; what its plain SQL cannot do is left out of it.
fn judged(folder: &Path) -> Option<(usize, Vec<Trial>)> {
    let all = history(folder);
    let place = env::temp_dir().join(format!("piton-histories-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let base = folder.join("base.db");
    let base = base.exists().then_some(base);
    let open = || {
        let path = fresh(&place, "seeds.db");
        if let Some(base) = &base {
            fs::copy(base, &path).unwrap();
        }
        connect(&path)
    };
    let (seeds, count) = match Seeds::generic(&all, &open) {
        Ok(seeds) => (seeds, all.len()),
        Err((count, error)) => {
            println!("{}: plain SQL fails: {}", folder.display(), shortened(&error));
            let seeds = Seeds::generic(&all[..count], &open).unwrap_or_default();
            (seeds, count)
        }
    };
    let mut subject =
        Subject { migrations: all[..count].to_vec(), base: base.clone(), folder: &place, seeds };
    let mut trials = subject.judge(Stops::Migrations(STOPS));
    if count < all.len() {
        drop(open());
        let path = place.join("seeds.db");
        let before = dump(&path);
        let ended = up(&path, &all, &Settings::default());
        let held = if ended.stopped() && dump(&path) == before {
            Held::Refused(format!("{:?}", ended.codes()))
        } else {
            Held::Broken(format!("{ended:?}"))
        };
        trials.push(Trial { law: 10, what: "SQL that fails".into(), held });
    }
    fs::remove_dir_all(&place).unwrap();
    Some((count, trials))
}

fn report(folder: &Path, count: usize, trials: &[Trial], why: bool) {
    let mut laws: BTreeMap<u8, [usize; 3]> = BTreeMap::new();
    for trial in trials {
        laws.entry(trial.law).or_default()[column(&trial.held)] += 1;
    }
    let cells: Vec<String> =
        laws.iter().map(|(law, [a, b, c])| format!("law {law}: {a}/{b}/{c}")).collect();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    println!("{name:<20} {count:>4}  {}", cells.join("  "));
    for trial in trials {
        match &trial.held {
            Held::Broken(text) => {
                println!("  BROKEN law {}, {}: {}", trial.law, trial.what, shortened(text));
            }
            Held::Refused(text) if why => {
                println!("  refused law {}, {}: {}", trial.law, trial.what, shortened(text));
            }
            _ => {}
        }
    }
}

fn shortened(text: &str) -> String {
    let lines: Vec<String> =
        text.lines().take(6).map(|line| line.chars().take(300).collect()).collect();
    lines.join("\n      ")
}
