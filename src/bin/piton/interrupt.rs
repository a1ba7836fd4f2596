//! Signals: a command that changes something ends in order, any other at once.
//!
//! While something is changed, INT, TERM and HUP only leave a sign, which the library looks for
//! between steps. A signal that whoever started piton has it ignore (`nohup`) stays ignored.

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};
use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicBool, Ordering},
};

static IDLE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));
static SEEN: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(false)));

/// Listens to the signals; where that is refused they end the process, as they always did.
pub fn listen() {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if !is_ignored(signal) {
            // In this order: what is idle ends before a sign is left.
            let _ = flag::register_conditional_default(signal, Arc::clone(&IDLE));
            let _ = flag::register(signal, Arc::clone(&SEEN));
        }
    }
}

/// Whether a signal has come while something was changed.
pub fn is_seen() -> bool {
    SEEN.load(Ordering::SeqCst)
}

/// Does something that must end in order.
pub fn in_order<T>(act: impl FnOnce() -> T) -> T {
    IDLE.store(false, Ordering::SeqCst);
    let result = act();
    IDLE.store(true, Ordering::SeqCst);
    result
}

/// Whether the process was started with a signal ignored (proc(5), `SigIgn`).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
