//! What can be said on the command line of the campaign.

use crate::counting::Habit;
use std::{env, path::PathBuf, str::FromStr, time::Duration};

pub const USAGE: &str = "usage: counters [--backups COUNT] [--journal wal|delete|both] \
                         [--rate COMMITS] [--synchronous off|normal|full] [--ballast MIB] [--control SECONDS] [--writes SECONDS] [--folder DIR]";

pub struct Options {
    /// How many of each kind of journal.
    pub backups: u32,
    pub journals: Vec<String>,
    pub habit: Habit,
    /// MiB of each database.
    pub ballast: u64,
    /// How long the writer works without backups, for comparison.
    pub control: Duration,
    /// How long it works beside a program that writes and syncs as many bytes as a backup has, and
    /// does nothing else: what the disk does to it whoever writes.
    pub writes: Duration,
    /// Where everything lies.
    pub folder: PathBuf,
}

pub enum Task {
    Campaign(Options),
    /// What the campaign starts as a process of its own.
    Write {
        data: PathBuf,
        habit: Habit,
    },
}

pub fn read(words: &[String]) -> Result<Task, String> {
    let mut options = Options {
        backups: 1000,
        journals: vec!["wal".into(), "delete".into()],
        habit: Habit { rate: 200, synchronous: "normal".into() },
        ballast: 1,
        control: Duration::from_secs(20),
        writes: Duration::ZERO,
        folder: env::temp_dir(),
    };
    let mut data = None;
    let (pairs, rest) = words.as_chunks::<2>();
    for [flag, value] in pairs {
        match flag.as_str() {
            "--backups" => options.backups = number(flag, value)?,
            "--rate" => options.habit.rate = number::<u32>(flag, value)?.max(1),
            "--synchronous" => options.habit.synchronous.clone_from(value),
            "--ballast" => options.ballast = number(flag, value)?,
            "--control" => options.control = Duration::from_secs(number(flag, value)?),
            "--writes" => options.writes = Duration::from_secs(number(flag, value)?),
            "--folder" => options.folder = value.into(),
            "--write" => data = Some(PathBuf::from(value)),
            "--journal" => match value.as_str() {
                "both" => {}
                "wal" | "delete" => options.journals = vec![value.clone()],
                _ => return Err(format!("`{value}` is no journal")),
            },
            _ => return Err(format!("`{flag}` is unknown")),
        }
    }
    if let Some(word) = rest.first() {
        return Err(format!("`{word}` has no value"));
    }
    Ok(match data {
        Some(data) => Task::Write { data, habit: options.habit },
        None => Task::Campaign(options),
    })
}

fn number<T: FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{flag}` takes a number, not `{value}`"))
}
