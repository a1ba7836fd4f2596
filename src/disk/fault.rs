//! Fault points: a test arms one label, and the n-th call that carries it fails or kills.
//!
//! Nothing is armed unless a program calls [`arm`]; the check is then one relaxed atomic load.

use rustix::process::Signal;
use std::{
    io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ThreadId},
};

/// What happens at the armed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call returns this operating system error number instead of acting.
    Error(i32),
    /// The process kills itself before it acts, as `kill -9` would.
    Kill,
    /// The process stops before it acts, until it is sent SIGCONT: time for somebody else.
    Stop,
    /// This call and every later one with the label return this error number, as on a file system
    /// that cannot do it.
    Refuse(i32),
    /// This call and every later one fail until [`disarm`]: to the disk, the process is dead.
    Crash,
    /// Every call with this label does nothing and says that it did: what a test must notice.
    #[cfg(any(debug_assertions, feature = "faults"))]
    LeaveOut,
}

/// What comes before the path in the call by which a step that is left out shows itself.
pub const MARK: &str = "/piton-leaves-out:";

/// Whether a call that met no fault acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    Act,
    #[cfg_attr(
        not(any(debug_assertions, feature = "faults")),
        expect(dead_code, reason = "nothing is ever left out of a program that is released")
    )]
    LeaveOut,
}

/// The point that stands for every call.
pub const ANY_POINT: &str = "*";

struct Armed {
    point: String,
    /// Calls with this label still to let pass.
    left: u32,
    fault: Fault,
    /// The only thread that is concerned; all of them where there is none.
    thread: Option<ThreadId>,
}

static ANY: AtomicBool = AtomicBool::new(false);
static ARMED: Mutex<Vec<Armed>> = Mutex::new(Vec::new());

/// Arms one point for all threads: its call number `nth` (the first is 1) meets the fault.
pub fn arm(point: &str, nth: u32, fault: Fault) {
    add(point, nth, fault, None);
}

/// Arms one point for the calling thread alone, so that tests may run beside each other.
pub fn arm_here(point: &str, nth: u32, fault: Fault) {
    disarm();
    add(point, nth, fault, Some(thread::current().id()));
}

/// Takes back what the calling thread has armed for itself; tells whether it was still waiting.
pub fn disarm() -> bool {
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    let here = Some(thread::current().id());
    let once = |fault: Fault| !matches!(fault, Fault::Refuse(_));
    let waiting = armed.iter().any(|it| it.thread == here && it.left > 0 && once(it.fault));
    armed.retain(|it| it.thread != here);
    waiting
}

fn add(point: &str, nth: u32, fault: Fault, thread: Option<ThreadId>) {
    let armed = Armed { point: point.into(), left: nth.max(1), fault, thread };
    ARMED.lock().unwrap_or_else(PoisonError::into_inner).push(armed);
    ANY.store(true, Ordering::SeqCst);
}

/// Arms one more point for the calling thread alone.
pub fn arm_also_here(point: &str, nth: u32, fault: Fault) {
    add(point, nth, fault, Some(thread::current().id()));
}

/// Arms from text, several with commas between: `POINT:NTH:kill`, `POINT:NTH:stop`,
/// `POINT:NTH:ERRNO`, `POINT:NTH:ERRNO+` for every call from that one on or, in builds for tests,
/// `POINT:NTH:leave-out`; false where the text is not of that form. `POINT@WORD` are only those
/// calls with the label that do what the word says, such as `sync` or `rename`.
#[must_use]
pub fn arm_from(text: &str) -> bool {
    text.split(',').all(arm_one)
}

fn arm_one(text: &str) -> bool {
    let mut parts = text.split(':');
    let (Some(point), Some(nth), Some(what), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let fault = match what {
        "kill" => Some(Fault::Kill),
        "stop" => Some(Fault::Stop),
        #[cfg(any(debug_assertions, feature = "faults"))]
        "leave-out" => Some(Fault::LeaveOut),
        number => match number.strip_suffix('+') {
            Some(number) => number.parse().ok().map(Fault::Refuse),
            None => number.parse().ok().map(Fault::Error),
        },
    };
    match (nth.parse(), fault) {
        (Ok(nth), Some(fault)) => {
            arm(point, nth, fault);
            true
        }
        _ => false,
    }
}

/// Whether a part of the program is left out, to see that a test notices: a lock that is not taken,
/// a log that is not folded, a sync within a longer step. Never in a program that is released.
#[must_use]
pub fn is_left_out(point: &str, part: &str) -> bool {
    #[cfg(any(debug_assertions, feature = "faults"))]
    if ANY.load(Ordering::Relaxed) {
        let name = format!("{point}.{part}");
        let armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = armed.iter().any(|it| it.point == name && it.fault == Fault::LeaveOut);
        if left_out {
            mark(Path::new(""));
        }
        return left_out;
    }
    let _ = (point, part);
    false
}

/// Shows a tracer that a step is left out here, and which path it is about: by asking for a file
/// that nobody has.
pub(super) fn mark(path: &Path) {
    #[cfg(any(debug_assertions, feature = "faults"))]
    drop(std::fs::symlink_metadata(format!("{MARK}{}", path.display())));
    let _ = path;
}

/// Called before every change of the file system.
pub(super) fn check(point: &str, action: &str) -> io::Result<Meeting> {
    if !ANY.load(Ordering::Relaxed) {
        return Ok(Meeting::Act);
    }
    let here = thread::current().id();
    let word = action.split(' ').next();
    let is_narrowed = |armed: &str| {
        armed.split_once('@').is_some_and(|(label, it)| label == point && Some(it) == word)
    };
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    let concerned = armed.iter_mut().find(|it| {
        let named = it.point == point || it.point == ANY_POINT || is_narrowed(&it.point);
        named && it.thread.is_none_or(|it| it == here)
    });
    let Some(found) = concerned else { return Ok(Meeting::Act) };
    #[cfg(any(debug_assertions, feature = "faults"))]
    if found.fault == Fault::LeaveOut {
        return Ok(Meeting::LeaveOut);
    }
    match (found.left, found.fault) {
        (0, Fault::Refuse(number)) => Err(io::Error::from_raw_os_error(number)),
        (0, Fault::Crash) => Err(io::Error::other("the process is dead")),
        // Other faults happen once.
        (0, _) => Ok(Meeting::Act),
        (2.., _) => {
            found.left -= 1;
            Ok(Meeting::Act)
        }
        (1, fault) => {
            found.left = 0;
            match fault {
                Fault::Error(number) | Fault::Refuse(number) => {
                    Err(io::Error::from_raw_os_error(number))
                }
                Fault::Crash => Err(io::Error::other("the process is dead")),
                Fault::Kill => {
                    send_self(Signal::KILL);
                    Ok(Meeting::Act)
                }
                Fault::Stop => {
                    send_self(Signal::STOP);
                    Ok(Meeting::Act)
                }
                #[cfg(any(debug_assertions, feature = "faults"))]
                Fault::LeaveOut => Ok(Meeting::LeaveOut),
            }
        }
    }
}

fn send_self(signal: Signal) {
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
}
