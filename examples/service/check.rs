//! `check`: which acknowledged writes of a log the databases lack, and how long nothing was acknowledged.
//!
//! `--except RELEASE` leaves out what that release took: a rollback gives it back, knowingly. It
//! works on the databases themselves, service running or not, and changes nothing in them.

use crate::{Flags, Result, store::Counters};
use rusqlite::{Connection, OpenFlags};
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    process::ExitCode,
};

/// Keys that are printed at most.
const SHOWN: usize = 10;

struct Line<'a> {
    milliseconds: u64,
    key: &'a str,
    release: &'a str,
}

pub fn run(flags: &Flags) -> Result<ExitCode> {
    let text = fs::read_to_string(flags.log()?)?;
    let lines: Vec<Line> = text.lines().filter_map(line).collect();
    let data = Path::new(flags.data());
    let mut complete = true;
    for name in ["app.db", "audit.db"] {
        let held = keys(&data.join(name))?;
        let wanted = lines.iter().filter(|line| flags.get("except") != Some(line.release));
        let missing: Vec<&Line> = wanted.filter(|line| !held.contains(line.key)).collect();
        println!("{name}: {} of {} acknowledged writes missing", missing.len(), lines.len());
        for line in missing.iter().take(SHOWN) {
            println!("  {} acknowledged by {} at {}", line.key, line.release, line.milliseconds);
        }
        complete &= missing.is_empty();
    }
    // Last written, first read: a step between the two readings looks like order, never like disorder.
    let audit = steps(&data.join("audit.db"))?;
    let counters = Counters { app: steps(&data.join("app.db"))?, audit };
    if counters.app < counters.audit {
        println!("the databases disagree: {counters:?}");
        complete = false;
    }
    let mut releases: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &lines {
        *releases.entry(line.release).or_default() += 1;
    }
    println!("acknowledged by release: {releases:?}");
    println!("longest silence: {} ms", longest_silence(&lines));
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line that the client was killed in the midst of is none.
fn line(text: &str) -> Option<Line<'_>> {
    let mut words = text.split(' ');
    let (milliseconds, key, release) = (words.next()?, words.next()?, words.next()?);
    Some(Line { milliseconds: milliseconds.parse().ok()?, key, release })
}

fn longest_silence(lines: &[Line]) -> u64 {
    let pairs = lines.windows(2);
    pairs.map(|pair| pair[1].milliseconds.saturating_sub(pair[0].milliseconds)).max().unwrap_or(0)
}

fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    Ok(Connection::open_with_flags(path, flags)
        .map_err(|error| format!("{}: {error}", path.display()))?)
}

fn keys(path: &Path) -> Result<HashSet<String>> {
    let connection = open(path)?;
    let mut statement = connection.prepare("SELECT key FROM writes")?;
    let keys = statement.query_map([], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

fn steps(path: &Path) -> Result<i64> {
    let sql = "SELECT value FROM counters WHERE name = 'steps'";
    Ok(open(path)?.query_row(sql, [], |row| row.get(0))?)
}
