//! Fault points: a test arms one label, and the n-th call that carries it fails or kills.
//!
//! Nothing is armed unless a program calls [`arm`]; the check is then one relaxed atomic load.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// What happens at the armed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call returns this operating system error number instead of acting.
    Error(i32),
    /// The process kills itself before it acts, as `kill -9` would.
    Kill,
}

struct Armed {
    point: String,
    /// Calls with this label still to let pass.
    left: u32,
    fault: Fault,
}

static ANY: AtomicBool = AtomicBool::new(false);
static ARMED: Mutex<Option<Armed>> = Mutex::new(None);

/// Arms one point: its call number `nth` (the first is 1) meets the fault.
pub fn arm(point: &str, nth: u32, fault: Fault) {
    *ARMED.lock().unwrap_or_else(PoisonError::into_inner) =
        Some(Armed { point: point.into(), left: nth.saturating_sub(1), fault });
    ANY.store(true, Ordering::SeqCst);
}

/// Arms from text, `POINT:NTH:kill` or `POINT:NTH:ERRNO`; false where the text is not of that form.
#[must_use]
pub fn arm_from(text: &str) -> bool {
    let mut parts = text.split(':');
    let (Some(point), Some(nth), Some(what), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let fault = match what {
        "kill" => Some(Fault::Kill),
        number => number.parse().ok().map(Fault::Error),
    };
    match (nth.parse(), fault) {
        (Ok(nth), Some(fault)) => {
            arm(point, nth, fault);
            true
        }
        _ => false,
    }
}

/// Called before every change of the file system.
pub(super) fn check(point: &str) -> io::Result<()> {
    if !ANY.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    match armed.as_mut() {
        Some(found) if found.point == point => {
            if found.left > 0 {
                found.left -= 1;
                return Ok(());
            }
            let fault = found.fault;
            *armed = None;
            match fault {
                Fault::Error(number) => Err(io::Error::from_raw_os_error(number)),
                Fault::Kill => {
                    let _ = rustix::process::kill_process(
                        rustix::process::getpid(),
                        rustix::process::Signal::KILL,
                    );
                    Ok(())
                }
            }
        }
        _ => Ok(()),
    }
}
