//! The writer: a process of its own, as a service is, so that its locks are its own. It ends when
//! its standard input does, and then prints how long each commit took.

use crate::counting::{self, Habit};
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
    times: Vec<Duration>,
    pub lasted: Duration,
}

impl Commits {
    /// How long the commits took, the shortest first.
    pub fn times(&self) -> &[Duration] {
        &self.times
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
        let mut times: Vec<Duration> =
            text.lines().map(|line| Duration::from_micros(line.parse().unwrap())).collect();
        times.sort_unstable();
        assert!(!times.is_empty(), "the writer has written nothing");
        Commits { times, lasted }
    }
}

/// The writer's own process.
pub fn run(data: &Path, habit: &Habit) {
    let stop = AtomicBool::new(false);
    let times = thread::scope(|scope| {
        scope.spawn(|| {
            io::stdin().read_to_end(&mut Vec::new()).unwrap();
            stop.store(true, Ordering::Relaxed);
        });
        counting::write(data, habit, || !stop.load(Ordering::Relaxed))
    });
    let mut out = io::BufWriter::new(io::stdout().lock());
    for time in times {
        writeln!(out, "{}", time.as_micros()).unwrap();
    }
}
