//! Runs a program to its end: own process group, time limit, output taken line by line.
//!
//! A program may do anything, so nothing here can take it back. It never decides what an exit
//! status means.

mod enclosure;
#[cfg(test)]
mod tests;

pub use enclosure::Enclosure;

use crate::{
    clock::Clock,
    disk,
    event::{Event, Observer},
};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal, setsid};
use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel},
    thread,
    time::Duration,
};

/// Bytes of output that are kept: the end of it.
const KEPT: usize = 64 * 1024;

/// Lines that wait to be shown.
const LINES: usize = 256;

/// The time that a program has to end after it was asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How often a program is looked at.
const STEP: Duration = Duration::from_millis(20);

/// How long a pipe that nobody closes may be silent after the end of its program. A busy machine
/// takes its time to hand over what was written.
const SILENCE: Duration = Duration::from_secs(1);

/// The command line of a process, in one line that can be read; its name where it has none.
#[must_use]
pub fn command_line(pid: u32) -> String {
    let process = Path::new("/proc").join(pid.to_string());
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    let is_gap = |it: char| it.is_whitespace() || it.is_control();
    let words: Vec<&str> = line.split(is_gap).filter(|word| !word.is_empty()).collect();
    match words.is_empty() {
        true => std::fs::read_to_string(process.join("comm")).unwrap_or_default().trim().into(),
        false => words.join(" "),
    }
}

/// What is run.
pub struct Job<'a> {
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: &'a OsStr,
    /// Its arguments.
    pub arguments: &'a [OsString],
    /// Environment variables beyond those of the caller.
    pub environment: &'a [(String, OsString)],
    /// The folder in which it runs.
    pub folder: &'a Path,
    /// After this time it is stopped.
    pub limit: Duration,
    /// What becomes of the processes that it leaves behind.
    pub remains: Remains<'a>,
}

/// What becomes of the processes that are in a program's group when it has ended.
#[derive(Clone, Copy, Debug)]
pub enum Remains<'a> {
    /// They are killed with it.
    Killed,
    /// They live on: it started a service. They write to this file, which is begun anew; a pipe
    /// would kill them with their first line after this process has gone.
    Left(&'a Path),
}

/// How a program ended, and the end of what it wrote.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub how: How,
    /// The end of what it wrote to its output and its error output.
    pub output: String,
}

/// How a program ended. As text: `exited with status 3`.
#[derive(Debug)]
pub enum How {
    /// By itself, or by somebody else's signal.
    Status(ExitStatus),
    /// It ran longer than this and was stopped.
    TooLong(Duration),
    /// The clock was interrupted, and it was stopped.
    Interrupted,
    /// It could not be waited for.
    Lost(io::Error),
}

impl How {
    /// Whether it ended by itself with status 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Status(status) if status.success())
    }

    /// The exit status, where it ended by itself.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Status(status) => status.code(),
            _ => None,
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(formatter, "exited with status {code}"),
                (None, Some(signal)) => write!(formatter, "was killed by signal {signal}"),
                (None, None) => formatter.write_str("ended in an unknown way"),
            },
            Self::TooLong(limit) if limit.as_secs() == 0 => {
                write!(formatter, "ran longer than {} ms and was stopped", limit.as_millis())
            }
            Self::TooLong(limit) => {
                write!(formatter, "ran longer than {} s and was stopped", limit.as_secs())
            }
            Self::Interrupted => formatter.write_str("was interrupted and stopped"),
            Self::Lost(error) => write!(formatter, "could not be waited for: {error}"),
        }
    }
}

/// Runs a program to its end. However it ends, except where it shall leave a service running, its
/// whole process group is gone then.
///
/// # Errors
/// The system's, where it cannot be started.
pub fn run(job: &Job<'_>, clock: &dyn Clock, observer: &dyn Observer) -> io::Result<Ended> {
    run_in(job, None, clock, observer)
}

/// The same in an enclosure, if there is one.
///
/// # Errors
/// Those of [`run`].
pub fn run_in(
    job: &Job<'_>,
    enclosure: Option<&Enclosure>,
    clock: &dyn Clock,
    observer: &dyn Observer,
) -> io::Result<Ended> {
    let mut command = command(job)?;
    if let Some(enclosure) = enclosure {
        enclosure.clone().apply(&mut command);
    }
    let mut child;
    let lines;
    let log;
    match job.remains {
        Remains::Killed => {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            child = command.spawn()?;
            // Nobody would read what it writes: it would wait for ever.
            lines = piped(&mut child).inspect_err(|_| signal(&child, Signal::KILL))?;
            log = None;
        }
        Remains::Left(path) => {
            let file = disk::begin_log("service-output", path).map_err(io::Error::other)?;
            command.stdout(file.try_clone()?).stderr(file);
            lines = channel().1;
            log = Some(File::open(path)?);
            child = command.spawn()?;
        }
    }
    let mut output = Output { lines, log, rest: Vec::new(), kept: String::new(), observer };
    let how = wait(&mut child, job, &mut output, clock);
    if matches!(job.remains, Remains::Killed) || !matches!(how, How::Status(_)) {
        // First, so that none of them holds the pipe open.
        signal(&child, Signal::KILL);
    }
    output.finish();
    Ok(Ended { how, output: output.kept })
}

fn command(job: &Job<'_>) -> io::Result<Command> {
    let mut command = Command::new(job.program);
    command
        .args(job.arguments)
        // What opens the backups is no business of a script.
        .env_remove("PITON_IDENTITY")
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(std::path::absolute(job.folder)?)
        .stdin(Stdio::null());
    let session = match job.remains {
        Remains::Killed => {
            command.process_group(0);
            Session::Same
        }
        Remains::Left(_) => Session::Own,
    };
    prepare(&mut command, session);
    Ok(command)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Session {
    Same,
    /// No terminal that is closed, and no lost connection, ends what it started.
    Own,
}

/// A program whose piton was killed, or left by Ctrl-C or a lost connection, would go on changing
/// data behind the back of the rollback that follows: it dies with its parent.
#[expect(unsafe_code, reason = "nothing else acts in the child alone; these system calls may")]
fn prepare(command: &mut Command, session: Session) {
    // SAFETY: between fork and exec only system calls are made; they allocate nothing.
    unsafe {
        command.pre_exec(move || {
            if session == Session::Own {
                setsid()?;
                // What `nohup` or a shell made this process ignore, a service would ignore as well.
                for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                    libc::signal(signal, libc::SIG_DFL);
                }
            }
            Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
        });
    }
}

fn piped(child: &mut Child) -> io::Result<Receiver<String>> {
    // A program that writes faster than this is read waits, so that it cannot fill the memory.
    let (sender, receiver) = sync_channel(LINES);
    if let Some(stream) = child.stdout.take() {
        forward(stream, sender.clone())?;
    }
    if let Some(stream) = child.stderr.take() {
        forward(stream, sender)?;
    }
    Ok(receiver)
}

fn forward(stream: impl Read + Send + 'static, sender: SyncSender<String>) -> io::Result<()> {
    let forward = move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        // A line without end is cut, so that a script cannot fill the memory.
        while reader
            .by_ref()
            .take(KEPT as u64)
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            if sender.send(text_of(&line)).is_err() {
                return;
            }
            line.clear();
        }
    };
    thread::Builder::new().spawn(forward).map(drop)
}

fn text_of(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_string()
}

/// What a program writes: through a pipe, or into a log that is read as it grows.
struct Output<'a> {
    lines: Receiver<String>,
    log: Option<File>,
    /// A line of the log whose end has not been written yet.
    rest: Vec<u8>,
    kept: String,
    observer: &'a dyn Observer,
}

impl Output<'_> {
    /// Takes what there is, waiting for it a little.
    fn take(&mut self, clock: &dyn Clock) {
        if self.log.is_some() {
            clock.pause(STEP);
            self.read_log();
            return;
        }
        match self.lines.recv_timeout(STEP) {
            Ok(line) => self.keep(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => clock.pause(STEP / 4),
        }
    }

    /// Takes what is left, to the end of the pipe. Only a process that left the group may still hold
    /// it open: then what comes without a longer silence is all.
    fn finish(&mut self) {
        while let Ok(line) = self.lines.recv_timeout(SILENCE) {
            self.keep(line);
        }
        self.read_log();
        if !self.rest.is_empty() {
            let line = text_of(&std::mem::take(&mut self.rest));
            self.keep(line);
        }
    }

    fn read_log(&mut self) {
        let Some(log) = &mut self.log else { return };
        // What cannot be read is not shown; the file still has it.
        let _ = log.by_ref().take(KEPT as u64).read_to_end(&mut self.rest);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.keep(text_of(&line));
        }
        if self.rest.len() > KEPT {
            let line = text_of(&std::mem::take(&mut self.rest));
            self.keep(line);
        }
    }

    fn keep(&mut self, line: String) {
        self.kept.push_str(&line);
        self.kept.push('\n');
        if self.kept.len() > KEPT {
            let mut cut = self.kept.len() - KEPT;
            while !self.kept.is_char_boundary(cut) {
                cut += 1;
            }
            self.kept.drain(..cut);
        }
        self.observer.event(Event::Output { line });
    }
}

fn wait(child: &mut Child, job: &Job<'_>, output: &mut Output<'_>, clock: &dyn Clock) -> How {
    let deadline = clock.now() + job.limit;
    let mut asked: Option<(Duration, How)> = None;
    loop {
        output.take(clock);
        match child.try_wait() {
            Ok(Some(status)) => {
                return asked.map_or(How::Status(status), |(_, why)| why);
            }
            Ok(None) => {}
            Err(error) => return How::Lost(error),
        }
        let now = clock.now();
        match &asked {
            None if clock.is_interrupted() => {
                signal(child, Signal::TERM);
                asked = Some((now, How::Interrupted));
            }
            None if now >= deadline => {
                signal(child, Signal::TERM);
                asked = Some((now, How::TooLong(job.limit)));
            }
            // `sudo` and what it runs cannot be killed by the user who called it: left to itself.
            Some((since, _)) if now >= *since + GRACE * 2 => {
                return asked.map_or(How::TooLong(job.limit), |(_, why)| why);
            }
            Some((since, _)) if now >= *since + GRACE => signal(child, Signal::KILL),
            _ => {}
        }
    }
}

/// Signals the whole group; one that is gone already needs nothing.
fn signal(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal);
    }
}
