//! `init --timers`: units and timers of systemd for what happens at night. Files that are there stay.

use super::{Config, Created, Made, Project};
use crate::{Result, disk, error::ProjectError};
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// What was written.
#[derive(Clone, Debug)]
pub struct Timers {
    /// The files.
    pub created: Vec<Created>,
    /// The timers, to be enabled.
    pub timers: Vec<String>,
}

/// One job of the night.
struct Job {
    /// The last part of the unit's name.
    name: &'static str,
    /// What is typed.
    words: &'static str,
    /// When.
    schedule: Schedule,
}

/// When a timer fires.
#[derive(Debug, PartialEq, Eq)]
enum Schedule {
    /// At times of the calendar, as systemd.time(7) writes them.
    Calendar(String),
    /// So long after the last time.
    After(Duration),
}

impl Project {
    /// Writes them into a folder. `piton` is the program that they start.
    ///
    /// # Errors
    /// A path that no unit file can hold; the system's, with the path.
    pub fn write_timers(&self, folder: &Path, piton: &Path) -> Result<Timers> {
        let root = absolute(&self.config.root)?;
        let project = root.file_name().map_or_else(|| "data".into(), |it| it.to_string_lossy());
        let prefix = format!("piton-{}", unit_name(&project));
        disk::create_folders("timers-folder", folder)?;
        let mut found = Timers { created: Vec::new(), timers: Vec::new() };
        for job in jobs(&self.config) {
            let name = format!("{prefix}-{}", job.name);
            let service = self.service(&job, &root, piton)?;
            let timer = timer(&job, &root)?;
            for (kind, text) in [("service", service), ("timer", timer)] {
                let path = folder.join(format!("{name}.{kind}"));
                let made = if disk::exists(&path)? { Made::Before } else { Made::Now };
                if made == Made::Now {
                    disk::write_atomic("timers-file", &path, 0o644, text.as_bytes())?;
                }
                found.created.push(Created { path, made });
            }
            found.timers.push(format!("{name}.timer"));
        }
        Ok(found)
    }

    fn service(&self, job: &Job, root: &Path, piton: &Path) -> Result<String> {
        let piton = quoted(&absolute(piton)?)?;
        let config = match &self.config.path {
            Some(path) => format!(" --config {}", quoted(&absolute(path)?)?),
            None => String::new(),
        };
        let user = match self.owner()? {
            0 => String::new(),
            user => format!("User={user}\n"),
        };
        Ok(format!(
            "[Unit]\nDescription=piton {} of {}\n\n[Service]\nType=oneshot\nWorkingDirectory={}\n\
             ExecStart={piton}{config} {}\n{user}Nice=10\nIOSchedulingClass=idle\n",
            job.words,
            text(root)?,
            text(root)?,
            job.words
        ))
    }

    /// Who works on the backups: their owner, or that of the data where there are none yet.
    fn owner(&self) -> Result<u32> {
        for path in [&self.config.backups, &self.config.data] {
            if let Some(found) = disk::find(path)? {
                return Ok(found.uid());
            }
        }
        Ok(rustix::process::geteuid().as_raw())
    }
}

/// What happens at night, in this order.
fn jobs(config: &Config) -> Vec<Job> {
    let daily = |time: &str| Schedule::Calendar(format!("*-*-* {time}:00"));
    let every = config.backup_every.unwrap_or(Duration::from_secs(86_400));
    let mut jobs = vec![Job { name: "backup", words: "backup --wait", schedule: schedule(every) }];
    if !config.retention.is_empty() {
        jobs.push(Job { name: "prune", words: "prune --wait", schedule: daily("03:00") });
    }
    if config.offsite.is_some() {
        jobs.push(Job { name: "sync", words: "backups sync", schedule: daily("03:20") });
    }
    jobs.push(Job { name: "drill", words: "drill", schedule: daily("04:00") });
    jobs
}

/// A calendar where whole hours divide the day, else a time after the last one.
fn schedule(every: Duration) -> Schedule {
    let (hours, rest) = (every.as_secs() / 3600, every.as_secs() % 3600);
    match hours {
        24 if rest == 0 => Schedule::Calendar("*-*-* 02:00:00".into()),
        1 if rest == 0 => Schedule::Calendar("*-*-* *:05:00".into()),
        2..24 if rest == 0 && 24 % hours == 0 => {
            Schedule::Calendar(format!("*-*-* 00/{hours}:05:00"))
        }
        _ => Schedule::After(every),
    }
}

fn timer(job: &Job, root: &Path) -> Result<String> {
    let when = match &job.schedule {
        // What was missed while the machine was off is made up for.
        Schedule::Calendar(times) => format!("OnCalendar={times}\nPersistent=true\n"),
        Schedule::After(time) => {
            format!("OnActiveSec=5min\nOnUnitActiveSec={}s\n", time.as_secs().max(60))
        }
    };
    Ok(format!(
        "[Unit]\nDescription=When piton {} of {} runs\n\n[Timer]\n{when}RandomizedDelaySec=5min\n\n\
         [Install]\nWantedBy=timers.target\n",
        job.words,
        text(root)?
    ))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(disk::failed("find", path))?;
    // Without `.` in it, which has no name.
    Ok(path.components().collect())
}

/// Letters, digits and `-`, as every unit may be called.
fn unit_name(text: &str) -> String {
    let letter = |it: char| if it.is_ascii_alphanumeric() || it == '_' { it } else { '-' };
    text.chars().map(letter).collect()
}

/// A path as a unit file holds it: `%` begins a specifier there.
fn text(path: &Path) -> Result<String> {
    let wrong = || ProjectError::Setting {
        name: "--timers".into(),
        reason: format!("no unit file can hold the path `{}`", path.display()),
    };
    let text = path.to_str().ok_or_else(wrong)?;
    if text.chars().any(char::is_control) {
        return Err(wrong().into());
    }
    Ok(text.replace('%', "%%"))
}

/// A word of a command line there (systemd.service(5), "Command lines").
fn quoted(path: &Path) -> Result<String> {
    let text = text(path)?.replace('$', "$$");
    let is_plain = |it: char| it.is_alphanumeric() || "/._-%+@$".contains(it);
    Ok(match text.chars().all(is_plain) {
        true => text,
        false => format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"")),
    })
}

#[cfg(test)]
mod tests {
    use super::{Duration, Path, Schedule, quoted, schedule, text, unit_name};

    #[test]
    fn times_become_schedules() {
        let calendar = |text: &str| Schedule::Calendar(text.into());
        for (hours, wanted) in [
            (24, calendar("*-*-* 02:00:00")),
            (1, calendar("*-*-* *:05:00")),
            (6, calendar("*-*-* 00/6:05:00")),
            (5, Schedule::After(Duration::from_secs(5 * 3600))),
            (48, Schedule::After(Duration::from_secs(48 * 3600))),
        ] {
            assert_eq!(schedule(Duration::from_secs(hours * 3600)), wanted);
        }
    }

    #[test]
    fn names_and_paths_are_written_as_systemd_reads_them() {
        assert_eq!(unit_name("my app@2"), "my-app-2");
        assert_eq!(quoted(Path::new("/srv/app/piton")).unwrap(), "/srv/app/piton");
        assert_eq!(quoted(Path::new("/srv/my \"app\"/5%")).unwrap(), "\"/srv/my \\\"app\\\"/5%%\"");
        assert!(text(Path::new("/srv/a\nExecStart=evil")).is_err());
    }
}
