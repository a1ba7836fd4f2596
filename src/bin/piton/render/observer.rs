//! Tells on standard error what happens while a command works.
//!
//! With `--json` every event is a line; on a terminal there are one-line notices; in a pipe only
//! warnings and what scripts write.

use super::{
    Screen,
    text::{NOTICE, bytes, styled},
};
use piton::event::{Event, Observer, Work};
use std::{
    io::{IsTerminal, Write},
    sync::Mutex,
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
    shown: Option<Instant>,
}

impl Teller {
    /// An observer that prints as the screen says.
    pub fn new(screen: Screen) -> Self {
        let progress = Progress { total: None, began: Instant::now(), shown: None };
        Self { screen, terminal: std::io::stderr().is_terminal(), progress: Mutex::new(progress) }
    }

    /// A line that the next one replaces: the report tells it again.
    fn passing(&self, text: &str) {
        self.clear();
        let mut progress = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        progress.shown = Some(Instant::now());
        let _ = write!(anstream::stderr(), "{text}");
    }

    fn line(&self, text: &str) {
        self.clear();
        // A closed pipe must not stop the work.
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    fn advance(&self, work: Work, done: u64) {
        const EVERY: Duration = Duration::from_millis(200);
        let mut progress = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let soon = progress.shown.is_some_and(|shown| now - shown < EVERY);
        if soon || now - progress.began < EVERY {
            return;
        }
        progress.shown = Some(now);
        let seconds = (now - progress.began).as_secs_f64();
        let rate = done as f64 / seconds;
        let rest = match progress.total {
            Some(total) if rate > 0.0 && total >= done => {
                format!(" of {}, {:.0} s left", bytes(total), (total - done) as f64 / rate)
            }
            _ => String::new(),
        };
        let text = format!("{} {}{rest} ({}/s)", verb(work), bytes(done), bytes(rate as u64));
        let _ = write!(anstream::stderr(), "\r\x1b[K{text}");
    }

    fn clear(&self) {
        let mut progress = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if progress.shown.take().is_some() {
            let _ = write!(anstream::stderr(), "\r\x1b[K");
        }
    }

    fn begin(&self, total: Option<u64>) {
        let mut progress = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *progress = Progress { total, began: Instant::now(), shown: None };
    }

    fn tell(&self, event: Event) {
        match event {
            Event::Waiting { holder } => self.line(&format!("waiting for {holder}")),
            Event::Recovered { backup, direction } => self.line(&format!(
                "{} an interrupted restore of {backup} was rolled {direction}",
                styled(NOTICE, "note:")
            )),
            Event::WorkStarted { total_bytes, .. } => self.begin(total_bytes),
            Event::WorkAdvanced { work, done_bytes } if self.terminal => {
                self.advance(work, done_bytes)
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
    fn event(&self, event: Event) {
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
