//! Which process works on a data directory, by `/proc/locks` (proc_locks(5)): nothing is opened or locked.

use crate::records::{self, PRIVATE_FOLDER};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// A process that holds a lock of a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// Its number.
    pub pid: u32,
    /// What was typed.
    pub command: String,
    /// When it started.
    pub since: Option<DateTime<Utc>>,
}

/// The other process that works on a data directory; nothing where there is none, or none can be seen.
#[must_use]
pub fn worker(data: &Path) -> Option<Worker> {
    let private = records::folder(data).unwrap_or_else(|_| data.join(PRIVATE_FOLDER));
    let places = [data.to_path_buf(), private.join("deploy.lock"), private.join("lock")];
    let inodes: Vec<String> = places
        .iter()
        .filter_map(|path| Some(format!(":{}", fs::metadata(path).ok()?.ino())))
        .collect();
    let text = fs::read_to_string("/proc/locks").ok()?;
    let mut pids = text.lines().filter_map(|line| {
        // Kind, way, access, process, device and inode stand in each line.
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, "WRITE", pid, place, ..]
                if inodes.iter().any(|inode| place.ends_with(inode.as_str())) =>
            {
                pid.parse().ok()
            }
            _ => None,
        }
    });
    let pid = pids.find(|pid| *pid > 0 && *pid != std::process::id())?;
    Some(Worker { pid, command: command(pid), since: started(pid) })
}

fn command(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    words.join(" ").replace(char::is_control, " ")
}

/// When a process started: its start in clock ticks after the boot (proc_pid_stat(5)), and the boot.
fn started(pid: u32) -> Option<DateTime<Utc>> {
    const TICKS_PER_SECOND: i64 = 100;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything; 20 fields follow it up to the start.
    let ticks: i64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot = system.lines().find_map(|line| line.strip_prefix("btime "))?;
    let boot: i64 = boot.trim().parse().ok()?;
    DateTime::from_timestamp(boot + ticks / TICKS_PER_SECOND, 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_has_started_a_while_ago() {
        let since = super::started(std::process::id()).unwrap();
        let age = (chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()) - since)
            .num_seconds();
        assert!((-2..86_400).contains(&age), "{age}");
        assert!(super::command(std::process::id()).contains("piton"));
    }
}
