//! Holds backups to law 8, with a writer in another process that never pauses:
//! `cargo run --release --example counters -- --backups 1000`.
//!
//! Five databases, first with write-ahead logs and then with rollback journals; the writer
//! increments a counter in each of them in a fixed order and notes how long each commit took. Every
//! backup is unpacked by tar and opened: the counters must be in order. A row without backups says
//! what the machine alone does to the writer.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "../../tests/it/counting.rs"]
mod counting;
mod options;
mod writer;

use options::{Options, Task};
use piton::{
    backup::{Origin, Taken},
    event::Silent,
    lock::Patience,
    project::Project,
    store::Cut,
};
use std::{
    env, fs,
    io::Write,
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};
use writer::Writer;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match options::read(&words) {
        Ok(Task::Campaign(options)) => campaign(&options),
        Ok(Task::Write { data, habit }) => {
            writer::run(&data, &habit);
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}\n{}", options::USAGE);
            ExitCode::from(2)
        }
    }
}

fn campaign(options: &Options) -> ExitCode {
    println!(
        "five databases of {} MiB, {} commits/s, synchronous {}, {} backups\n",
        options.ballast, options.habit.rate, options.habit.synchronous, options.backups
    );
    println!(
        "{:<18} {:>9} {:>24} {:>16} {:>12} {:>10} {:>6}",
        "journal",
        "commits/s",
        "ms: median, p99, longest",
        "of it for a lock",
        "one cut",
        "disordered",
        "s each"
    );
    let mut wrong = 0;
    for journal in &options.journals {
        let folder = tempfile::tempdir_in(&options.folder).unwrap();
        let data = folder.path().join("data");
        counting::make(&data, journal, options.ballast << 20);
        let writer = Writer::start(&data, &options.habit);
        thread::sleep(options.control);
        line(&format!("{journal}, no backups"), &writer.end(), None);
        let writer = Writer::start(&data, &options.habit);
        let found = back_up(folder.path(), options);
        line(journal, &writer.end(), Some(&found));
        wrong += found.wrong();
        if !options.writes.is_zero() {
            let writer = Writer::start(&data, &options.habit);
            let (bytes, pause) = (found.bytes / u64::from(found.backups), found.each());
            write_plainly(folder.path(), (bytes, pause), options.writes);
            line(&format!("{journal}, plain writes"), &writer.end(), None);
        }
    }
    ExitCode::from(u8::from(wrong > 0))
}

/// What the backups of one kind of journal were.
#[derive(Default)]
struct Found {
    backups: u32,
    one_cut: u32,
    disordered: u32,
    seconds: f64,
    /// Of all archives.
    bytes: u64,
}

impl Found {
    /// Backups that are not what they should be. One that says that it is not of one instant is
    /// honest, and yet not what was asked for.
    fn wrong(&self) -> u32 {
        self.disordered + self.backups - self.one_cut
    }

    /// How long one took.
    fn each(&self) -> Duration {
        Duration::from_secs_f64(self.seconds / f64::from(self.backups))
    }
}

fn back_up(folder: &Path, options: &Options) -> Found {
    // Pruned as a service would, so that the list stays short.
    fs::write(folder.join("piton.toml"), "[retention]\nlast = 5\n").unwrap();
    let project = Project::at(folder, "counters").unwrap();
    let mut found = Found::default();
    for number in 0..options.backups {
        let began = Instant::now();
        let taken = project.backup(None, Patience::Refuse, &Silent).unwrap().taken;
        found.seconds += began.elapsed().as_secs_f64();
        found.backups += 1;
        found.bytes += taken.backup.archive_bytes;
        assert_eq!(taken.origin, Origin::New, "the writer has stopped");
        let counters = unpacked(folder, &project, &taken);
        match &taken.backup.manifest.cut {
            Cut::All => found.one_cut += 1,
            Cut::PerDatabase { reason } => eprintln!("backup {number}: {reason}"),
        }
        if !counting::in_order(&counters) {
            eprintln!("backup {number}: the counters are {counters:?}");
            found.disordered += 1;
        }
    }
    found
}

/// Writes files as large as archives and as often, each with one sync and nothing else; five of them
/// stay, as with the backups.
fn write_plainly(folder: &Path, (bytes, pause): (u64, Duration), limit: Duration) {
    let path = |number: u64| folder.join(format!("plain-{number}"));
    let content: Vec<u8> = (0..bytes).map(|at| (at * at % 251) as u8).collect();
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < limit {
        let next = Instant::now() + pause;
        let mut file = fs::File::create(path(number)).unwrap();
        file.write_all(&content).unwrap();
        file.sync_all().unwrap();
        if number >= 5 {
            fs::remove_file(path(number - 5)).unwrap();
        }
        number += 1;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// The counters of a backup, unpacked by a program that is not ours.
fn unpacked(folder: &Path, project: &Project, taken: &Taken) -> Vec<i64> {
    let out = folder.join("out");
    fs::create_dir(&out).unwrap();
    let archive = project.store().archive_path(taken.backup.id());
    let tar = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(&out).status().unwrap();
    assert!(tar.success());
    let counters = counting::read(&out.join("data"));
    fs::remove_dir_all(out).unwrap();
    counters
}

fn line(what: &str, commits: &writer::Commits, found: Option<&Found>) {
    let times = commits.times(|commit| commit.took);
    let waits = commits.times(|commit| commit.waited);
    let figures =
        format!("{:.2}, {:.2}, {:.1}", at(&times, 0.5), at(&times, 0.99), at(&times, 1.0));
    let waited = format!("{:.2}, {:.1}", at(&waits, 0.99), at(&waits, 1.0));
    let rate = times.len() as f64 / commits.lasted.as_secs_f64();
    let backups = found.map_or_else(Default::default, |found| {
        format!(
            "{:>12} {:>10} {:>6.2}",
            format!("{} of {}", found.one_cut, found.backups),
            found.disordered,
            found.seconds / f64::from(found.backups)
        )
    });
    println!("{what:<18} {rate:>9.0} {figures:>24} {waited:>16} {backups}");
}

/// Milliseconds of the time that such a part of all does not exceed.
fn at(sorted: &[Duration], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0
}
