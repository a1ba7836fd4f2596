//! The writer: a process of its own, as a service is, so that its locks are its own. It ends when
//! its standard input does, and then prints how long each commit took.

use crate::counting::{self, Commit, Habit};
use std::{
    env,
    io::{self, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A writer that works.
pub struct Writer {
    child: Child,
    began: Instant,
}

/// What a writer did.
pub struct Commits {
    all: Vec<Commit>,
    pub lasted: Duration,
}

impl Commits {
    /// One time of each commit, the shortest first.
    pub fn times(&self, of: impl Fn(&Commit) -> Duration) -> Vec<Duration> {
        let mut times: Vec<Duration> = self.all.iter().map(of).collect();
        times.sort_unstable();
        times
    }
}

impl Writer {
    pub fn start(data: &Path, habit: &Habit) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .arg("--write")
            .arg(data)
            .args(["--rate", &habit.rate.to_string(), "--synchronous", &habit.synchronous])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, began: Instant::now() }
    }

    pub fn end(mut self) -> Commits {
        let lasted = self.began.elapsed();
        drop(self.child.stdin.take());
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success(), "the writer failed");
        let text = String::from_utf8(output.stdout).unwrap();
        let commit = |line: &str| {
            let (waited, took) = line.split_once(' ').unwrap();
            let time = |text: &str| Duration::from_micros(text.parse().unwrap());
            Commit { waited: time(waited), took: time(took) }
        };
        let all: Vec<Commit> = text.lines().map(commit).collect();
        assert!(!all.is_empty(), "the writer has written nothing");
        Commits { all, lasted }
    }
}

/// The writer's own process.
pub fn run(data: &Path, habit: &Habit) {
    let stop = AtomicBool::new(false);
    let commits = thread::scope(|scope| {
        scope.spawn(|| {
            io::stdin().read_to_end(&mut Vec::new()).unwrap();
            stop.store(true, Ordering::Relaxed);
        });
        counting::write(data, habit, || !stop.load(Ordering::Relaxed))
    });
    let mut out = io::BufWriter::new(io::stdout().lock());
    for Commit { waited, took } in commits {
        writeln!(out, "{} {}", waited.as_micros(), took.as_micros()).unwrap();
    }
}
