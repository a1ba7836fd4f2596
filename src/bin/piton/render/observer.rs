//! Tells on standard error what happens while a command works.
//!
//! With `--json` every event is a line; on a terminal there are one-line notices; in a pipe only
//! warnings and what scripts write.

use super::{
    Screen, terminal,
    text::{NOTICE, bytes, styled},
};
use piton::event::{Event, Observer, Work};
use std::{
    io::{IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The observer of the command line.
pub struct Teller {
    screen: Screen,
    terminal: bool,
    progress: Mutex<Progress>,
}

struct Progress {
    total: Option<u64>,
    began: Instant,
    /// When a line was shown last.
    told: Option<Instant>,
    /// Characters of the line that stands there and is to be replaced.
    width: usize,
}

impl Progress {
    fn new(total: Option<u64>) -> Self {
        Self { total, began: Instant::now(), told: None, width: 0 }
    }

    /// Whether it is time for a line: not at once, because most work ends before anybody could
    /// read it, and then a few times a second.
    fn is_due(&mut self) -> bool {
        const EVERY: Duration = Duration::from_millis(200);
        let now = Instant::now();
        let due = now - self.told.unwrap_or(self.began) >= EVERY;
        if due {
            self.told = Some(now);
        }
        due
    }

    /// Writes a line over the one that stands there. Spaces instead of a control sequence, which
    /// would not pass where colours are off.
    fn show(&mut self, text: &str) {
        let width = text.chars().count();
        let rest = " ".repeat(self.width.saturating_sub(width));
        let back = if width == 0 { "\r" } else { "" };
        // A closed pipe must not stop the work.
        let _ = write!(anstream::stderr(), "\r{text}{rest}{back}");
        self.width = width;
    }

    /// What is done, of how much, how fast, and how long it will take; well below 80 characters.
    fn line(&self, work: Work, done: u64) -> String {
        let rate = done as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let speed = format!("{}/s", bytes(rate as u64));
        match self.total {
            Some(total) if rate > 0.0 && total >= done => {
                let left = remaining((total - done) as f64 / rate);
                format!("{} {} of {}, {speed}, {left} left", verb(work), bytes(done), bytes(total))
            }
            _ => format!("{} {}, {speed}", verb(work), bytes(done)),
        }
    }
}

fn remaining(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

impl Teller {
    /// An observer that prints as the screen says.
    pub fn new(screen: Screen) -> Self {
        let progress = Mutex::new(Progress::new(None));
        Self { screen, terminal: std::io::stderr().is_terminal(), progress }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, text: &str) {
        self.clear();
        // A closed pipe must not stop the work.
        let _ = terminal::say(&format!("{text}\n"));
    }

    /// A line that the next one replaces: the report tells it again.
    fn passing(&self, text: &str) {
        self.progress().show(&terminal::harmless(text));
    }

    fn clear(&self) {
        let mut progress = self.progress();
        if progress.width > 0 {
            progress.show("");
        }
    }

    fn tell(&self, event: Event) {
        match event {
            Event::Waiting { holder } => self.line(&format!("waiting for {holder}")),
            Event::Recovered { backup, direction } => self.line(&format!(
                "{} an interrupted restore of {backup} was rolled {direction}",
                styled(NOTICE, "note:")
            )),
            Event::WorkAdvanced { work, done_bytes } if self.terminal => {
                let mut progress = self.progress();
                let line = progress.line(work, done_bytes);
                progress.show(&line);
            }
            Event::WorkEnded { .. } => self.clear(),
            Event::MigrationStarted { database, migration } if self.terminal => {
                self.passing(&format!("{}: {migration} …", database.display()));
            }
            Event::MigrationEnded { .. } => self.clear(),
            Event::Retrying { reason, milliseconds } if self.terminal => {
                let seconds = milliseconds.div_ceil(1000);
                self.passing(&format!("{reason}; again in {seconds} s …"));
            }
            Event::PhaseStarted { phase } if self.terminal => {
                self.passing(&format!("{phase:<13} …"));
            }
            Event::PhaseEnded { phase, milliseconds, result, detail } => {
                self.line(&super::deploy::line(phase, result, milliseconds, &detail));
            }
            Event::Output { line } => self.line(&format!("  | {line}")),
            Event::Warning { text } => self.line(&format!("{} {text}", styled(NOTICE, "warning:"))),
            _ => {}
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        // The report begins on a clean line.
        self.clear();
    }
}

impl Observer for Teller {
    fn is_interrupted(&self) -> bool {
        crate::interrupt::is_seen()
    }

    fn event(&self, event: Event) {
        if let Event::WorkStarted { total_bytes, .. } = event {
            let mut progress = self.progress();
            *progress = Progress { width: progress.width, ..Progress::new(total_bytes) };
        }
        // Of many files there is one for each: more than anybody could read.
        if matches!(event, Event::WorkAdvanced { .. }) && !self.progress().is_due() {
            return;
        }
        if self.screen.json {
            if let Ok(text) = serde_json::to_string(&event) {
                self.line(&text);
            }
        } else if !self.screen.quiet {
            self.tell(event);
        }
    }
}

fn verb(work: Work) -> &'static str {
    match work {
        Work::Archive => "archiving",
        Work::Verify => "verifying",
        Work::Unpack => "unpacking",
        Work::Publish => "putting in place",
        Work::Copy => "copying",
        Work::Compare => "comparing the copy",
        Work::Fetch => "fetching",
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, remaining};
    use piton::event::Work;
    use std::time::Duration;

    #[test]
    fn the_line_stays_within_80_columns() {
        let mut progress = Progress::new(Some(1_100 << 30));
        progress.began -= Duration::from_secs(1_000_000);
        for done in [0, 1_000, 999 << 30, 1_100 << 30, 2_000 << 30] {
            let line = progress.line(Work::Publish, done);
            assert!(line.chars().count() < 79, "{line}");
        }
        let line = progress.line(Work::Archive, 550 << 30);
        assert_eq!(line, "archiving 550.0 GiB of 1.1 TiB, 576.7 KiB/s, 278 h left");
        assert_eq!([1.2, 99.0, 150.0, 7000.0].map(remaining), ["2 s", "99 s", "3 min", "2 h"]);
    }

    #[test]
    fn a_line_is_due_only_now_and_then() {
        let mut progress = Progress::new(None);
        assert!(!progress.is_due());
        progress.began -= Duration::from_secs(1);
        assert_eq!([progress.is_due(), progress.is_due()], [true, false]);
    }
}
