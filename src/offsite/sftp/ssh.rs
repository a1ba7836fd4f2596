//! The `ssh` program as a pipe to the server's SFTP subsystem.
//!
//! It never asks: no password, no unknown host key. Every wait for it has an end.

use super::super::settings::Server;
use crate::error::OffsiteError;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
};
use std::{
    io::{self, Read, Write},
    os::fd::AsFd,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Bytes of what ssh says that are kept.
const SAID: usize = 8 * 1024;

/// A running `ssh`.
pub(super) struct Ssh {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    said: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
    timeout: Duration,
}

impl Ssh {
    /// Starts it; whether it gets through shows at the first answer.
    pub(super) fn start(
        server: &Server,
        shown: &str,
        timeout: Duration,
    ) -> Result<Self, OffsiteError> {
        let failed = |error: io::Error| OffsiteError::Failed {
            place: shown.into(),
            action: "be asked".into(),
            reason: match error.kind() {
                io::ErrorKind::NotFound => "the program `ssh` is not installed".into(),
                _ => format!("`ssh` cannot be started: {error}"),
            },
        };
        let mut child = command(server, timeout).spawn().map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(mut errors)) = pipes else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        // Set on this end alone: a pipe that is full must not hold a write beyond its time.
        fcntl_getfl(&input)
            .and_then(|flags| fcntl_setfl(&input, flags | OFlags::NONBLOCK))
            .map_err(|error| failed(error.into()))?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let listener = thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = errors.read(&mut buffer) {
                let mut said = heard.lock().unwrap_or_else(PoisonError::into_inner);
                let room = SAID.saturating_sub(said.len());
                said.extend(&buffer[..count.min(room)]);
            }
        });
        Ok(Self { child, input, output, said, listener: Some(listener), timeout })
    }

    /// Sends all of it.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + self.timeout;
        while !bytes.is_empty() {
            match self.input.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(&self.input, PollFlags::OUT, deadline)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills the whole buffer.
    pub(super) fn receive(&mut self, mut buffer: &mut [u8]) -> io::Result<()> {
        let deadline = Instant::now() + self.timeout;
        while !buffer.is_empty() {
            wait(&self.output, PollFlags::IN, deadline)?;
            match self.output.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => buffer = &mut buffer[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends it, and tells what it said; the last line where there are several.
    pub(super) fn end(mut self) -> String {
        // Where it has ended by itself, it has said why: give it the time to.
        let deadline = Instant::now() + Duration::from_millis(500);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        self.stop();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).into_owned()
    }

    fn stop(&mut self) {
        // Neither fails for a child that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(listener) = self.listener.take() {
            // A process that ssh has started may hold the pipe: then nobody waits for it.
            let deadline = Instant::now() + Duration::from_millis(200);
            while !listener.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        self.stop();
    }
}

fn command(server: &Server, timeout: Duration) -> Command {
    let mut command = Command::new("ssh");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for option in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        "PermitLocalCommand=no",
        "RemoteCommand=none",
    ] {
        command.arg("-o").arg(option);
    }
    command.arg("-o").arg(format!("ConnectTimeout={}", timeout.as_secs().clamp(1, 30)));
    if let Some(known) = &server.known_hosts {
        command.arg("-o").arg(format!("UserKnownHostsFile=\"{}\"", known.display()));
        command.arg("-o").arg("GlobalKnownHostsFile=/dev/null");
    }
    if let Some(identity) = &server.identity {
        command.arg("-o").arg("IdentitiesOnly=yes").arg("-i").arg(identity);
    }
    if let Some(port) = server.port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &server.user {
        command.arg("-l").arg(user);
    }
    command.arg("-s").arg("--").arg(&server.host).arg("sftp");
    command
}

fn wait(pipe: &impl AsFd, flags: PollFlags, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        // A pipe whose other end is closed is ready too: the next read or write says so.
        match poll(&mut [PollFd::new(pipe, flags)], Some(&left)) {
            Ok(0) => {}
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What it means that ssh ended, or did not answer, before the server spoke.
pub(super) fn no_connection(place: &str, error: &io::Error, said: &str) -> OffsiteError {
    let (place, reason) = (place.to_string(), last_line(said).unwrap_or_else(|| error.to_string()));
    let says = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    if says(&["Host key verification failed", "HOST IDENTIFICATION HAS CHANGED"]) {
        // The last line does not say why.
        let why = said.lines().find(|line| line.contains("host key is known"));
        let changed = "it is another one than before";
        let reason = why.map_or_else(
            || if says(&["HAS CHANGED"]) { changed.into() } else { reason },
            |line| line.trim().into(),
        );
        return OffsiteError::HostKey { place, reason };
    }
    if says(&["Permission denied", "Too many authentication failures", "UNPROTECTED PRIVATE KEY"]) {
        return OffsiteError::Denied { place, reason };
    }
    if says(&["subsystem request failed"]) {
        let (action, reason) = ("speak SFTP".into(), "its ssh has no such subsystem".into());
        return OffsiteError::Failed { place, action, reason };
    }
    if says(&["Bad configuration option", "no such identity", "terminating,", "Bad port"]) {
        return OffsiteError::Failed { place, action: "be asked".into(), reason };
    }
    OffsiteError::Unreachable { place, reason }
}

/// The last line of what ssh said.
pub(super) fn last_line(said: &str) -> Option<String> {
    let line = said.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.trim_end_matches('.').to_string())
}
