//! Runs an executable file: own process group, time limit, output taken line by line.
//!
//! A script may do anything, so nothing here can take it back: that is what the backup is for.

use crate::{
    Result,
    error::ApplyError,
    event::{Event, Observer},
};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

/// Bytes of output that the ledger keeps: the end of it.
const KEPT: usize = 64 * 1024;

/// The time that a script has to end after it was asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// What is run.
pub struct Job<'a> {
    /// The executable file.
    pub path: &'a Path,
    /// What runs it, where its mode does not let it be executed.
    pub interpreter: Option<&'a [String]>,
    /// Arguments.
    pub arguments: &'a [OsString],
    /// Environment variables beyond those of the caller.
    pub environment: &'a [(String, OsString)],
    /// The folder in which it runs.
    pub folder: &'a Path,
    /// After this time it is stopped.
    pub limit: Duration,
}

/// Runs a script to its end and returns the end of what it wrote.
///
/// # Errors
/// [`ApplyError::ScriptStart`] where it cannot be started, [`ApplyError::Script`] where it ends
/// badly or runs too long; the whole process group is gone then.
pub fn run(job: &Job<'_>, observer: &dyn Observer) -> Result<String> {
    let start_failed = |error: std::io::Error| ApplyError::ScriptStart {
        path: job.path.into(),
        reason: error.to_string(),
    };
    let mut command = command(job).map_err(start_failed)?;
    die_with_parent(&mut command);
    let mut child = command.spawn().map_err(start_failed)?;
    let lines = lines(&mut child);
    let deadline = Instant::now() + job.limit;
    let mut kept = String::new();
    let ended = wait(&mut child, &lines, deadline, &mut kept, observer);
    let how = match ended {
        Ended::Status(status) if status.success() => return Ok(kept),
        Ended::Status(status) => describe(status),
        Ended::Interrupted => "was stopped, because piton was interrupted".into(),
        Ended::TooLong => format!("ran longer than {} s and was stopped", job.limit.as_secs()),
        Ended::Lost(error) => format!("could not be waited for: {error}"),
    };
    Err(ApplyError::Script { path: job.path.into(), how, output: kept }.into())
}

/// A script whose piton was killed, or left by Ctrl-C or a lost SSH session, would go on changing
/// data behind the back of the rollback that follows.
#[expect(unsafe_code, reason = "nothing else acts in the child alone; prctl is async-signal-safe")]
fn die_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec only this one system call is made; it allocates nothing.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}

fn command(job: &Job<'_>) -> std::io::Result<Command> {
    // A relative path without a slash would be looked up in PATH.
    let path = std::path::absolute(job.path)?;
    let mut command = match job.interpreter {
        Some([program, arguments @ ..]) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(&path);
            command
        }
        _ => Command::new(&path),
    };
    command
        .args(job.arguments)
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(job.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    Ok(command)
}

fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(stream) = child.stdout.take() {
        forward(stream, sender.clone());
    }
    if let Some(stream) = child.stderr.take() {
        forward(stream, sender);
    }
    receiver
}

fn forward(stream: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        // A line without end is cut, so that a script cannot fill the memory.
        while reader
            .by_ref()
            .take(KEPT as u64)
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_string();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
}

enum Ended {
    Status(ExitStatus),
    TooLong,
    Interrupted,
    Lost(std::io::Error),
}

fn wait(
    child: &mut Child,
    lines: &Receiver<String>,
    deadline: Instant,
    kept: &mut String,
    observer: &dyn Observer,
) -> Ended {
    let mut asked: Option<Instant> = None;
    let mut interrupted = false;
    loop {
        match lines.recv_timeout(Duration::from_millis(20)) {
            Ok(line) => keep(kept, line, observer),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(5)),
        }
        match child.try_wait() {
            Ok(Some(status)) => {
                // A child of the script may hold the pipe open: what is there now is all.
                while let Ok(line) = lines.recv_timeout(Duration::from_millis(20)) {
                    keep(kept, line, observer);
                }
                signal(child, Signal::KILL);
                return match asked {
                    Some(_) if interrupted => Ended::Interrupted,
                    Some(_) => Ended::TooLong,
                    None => Ended::Status(status),
                };
            }
            Ok(None) => {}
            Err(error) => return Ended::Lost(error),
        }
        let now = Instant::now();
        match asked {
            None if now >= deadline || observer.is_interrupted() => {
                interrupted = now < deadline;
                signal(child, Signal::TERM);
                asked = Some(now);
            }
            Some(since) if now >= since + GRACE => signal(child, Signal::KILL),
            _ => {}
        }
    }
}

fn keep(kept: &mut String, line: String, observer: &dyn Observer) {
    kept.push_str(&line);
    kept.push('\n');
    if kept.len() > KEPT {
        let mut cut = kept.len() - KEPT;
        while !kept.is_char_boundary(cut) {
            cut += 1;
        }
        kept.drain(..cut);
    }
    observer.event(Event::Output { line });
}

/// Signals the whole group; one that is gone already needs nothing.
fn signal(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal);
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".into(),
    }
}
