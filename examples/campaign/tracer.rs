//! Runs a program and stops it before and after each of its system calls (ptrace), in all its
//! threads. What it starts itself is not stopped.
//!
//! `strace` injects signals and errors too; this is several times faster, counts over all calls
//! instead of those of one name, and can act while the program stands still.

use nix::{
    libc,
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::process::CommandExt,
    process::Command,
};

/// The program stands before or after a system call.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The process.
    pub process: Pid,
    /// The call, as in `libc::SYS_write`.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    pub moment: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    /// With what it returned; a negative number is an error.
    After(i64),
}

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Go,
    /// The whole process dies, as by `kill -9`.
    Kill,
    /// The call returns this error number and does nothing; only before a call.
    Fail(i32),
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Code(i32),
    Signal(Signal),
}

/// Runs a command to its end.
pub fn trace(command: &mut Command, meet: &mut dyn FnMut(&Point) -> Then) -> io::Result<End> {
    become_traced(command);
    let child = command.spawn()?;
    let process = Pid::from_raw(child.id().cast_signed());
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    waitpid(process, None)?;
    ptrace::setoptions(process, options)?;
    ptrace::syscall(process, None)?;
    let mut tracing =
        Tracing { process, meet, threads: BTreeSet::from([process]), calls: BTreeMap::new() };
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Exited(it, code) if it == process => return Ok(End::Code(code)),
            WaitStatus::Signaled(it, signal, _) if it == process => return Ok(End::Signal(signal)),
            status => tracing.step(status)?,
        }
    }
}

struct Tracing<'a> {
    process: Pid,
    meet: &'a mut dyn FnMut(&Point) -> Then,
    threads: BTreeSet<Pid>,
    /// By thread, the call in which it is, and the error that it is to return.
    calls: BTreeMap<Pid, (i64, [u64; 6], Option<i32>)>,
}

impl Tracing<'_> {
    fn step(&mut self, status: WaitStatus) -> io::Result<()> {
        match status {
            WaitStatus::PtraceSyscall(thread) => {
                let then = self.at_call(thread)?;
                if then == Then::Kill {
                    let _ = kill(self.process, Signal::SIGKILL);
                }
                resume(thread, None)
            }
            WaitStatus::PtraceEvent(thread, ..) => resume(thread, None),
            // A new thread begins by standing still.
            WaitStatus::Stopped(thread, _) if self.threads.insert(thread) => resume(thread, None),
            WaitStatus::Stopped(thread, signal) => resume(thread, Some(signal)),
            _ => Ok(()),
        }
    }

    fn at_call(&mut self, thread: Pid) -> io::Result<Then> {
        // A process that was killed is no longer there to be asked.
        let Ok(info) = ptrace::syscall_info(thread) else { return Ok(Then::Go) };
        let process = self.process;
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                let (number, arguments) = entry(&info);
                let point = Point { process, number, arguments, moment: Moment::Before };
                let then = (self.meet)(&point);
                let error = match then {
                    Then::Fail(error) => Some(error),
                    _ => None,
                };
                if error.is_some() {
                    forge(thread, None)?;
                }
                self.calls.insert(thread, (number, arguments, error));
                Ok(then)
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => {
                let Some((number, arguments, error)) = self.calls.remove(&thread) else {
                    return Ok(Then::Go);
                };
                let result = match error {
                    Some(error) => {
                        forge(thread, Some(error))?;
                        -i64::from(error)
                    }
                    None => returned(&info),
                };
                let moment = Moment::After(result);
                Ok((self.meet)(&Point { process, number, arguments, moment }))
            }
            _ => Ok(Then::Go),
        }
    }
}

/// A thread that has died in the meantime needs no resuming.
fn resume(thread: Pid, signal: Option<Signal>) -> io::Result<()> {
    match ptrace::syscall(thread, signal) {
        Err(nix::Error::ESRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[expect(unsafe_code, reason = "nothing else acts in the child alone; ptrace is one system call")]
fn become_traced(command: &mut Command) {
    // SAFETY: between fork and exec only this one system call is made; it allocates nothing.
    unsafe {
        command.pre_exec(|| Ok(ptrace::traceme()?));
    }
}

#[expect(unsafe_code, reason = "the kernel's structure is a union, told apart by its `op`")]
fn entry(info: &libc::ptrace_syscall_info) -> (i64, [u64; 6]) {
    // SAFETY: the caller has seen that this is the entry of a call.
    let entry = unsafe { info.u.entry };
    (entry.nr.cast_signed(), entry.args)
}

#[expect(unsafe_code, reason = "the kernel's structure is a union, told apart by its `op`")]
fn returned(info: &libc::ptrace_syscall_info) -> i64 {
    // SAFETY: the caller has seen that this is the exit of a call.
    unsafe { info.u.exit.sval }
}

/// Before a call: makes it none. After it: makes it return an error.
#[cfg(target_arch = "x86_64")]
fn forge(thread: Pid, error: Option<i32>) -> io::Result<()> {
    let mut registers = ptrace::getregs(thread)?;
    match error {
        None => registers.orig_rax = u64::MAX,
        Some(error) => registers.rax = (-i64::from(error)).cast_unsigned(),
    }
    Ok(ptrace::setregs(thread, registers)?)
}

#[cfg(not(target_arch = "x86_64"))]
fn forge(_: Pid, _: Option<i32>) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "errors are injected on x86-64 only"))
}
