//! Signals: a command that changes something ends in order, any other at once.
//!
//! While something is changed, INT, TERM and HUP only leave a sign, which the library looks for
//! between steps. A signal that whoever started piton has it ignore (`nohup`) stays ignored. During
//! a deploy the first wish to end is heeded at the next safe place, a second one ends piton at once,
//! and a lost connection ends nothing.

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};
use std::{
    io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

static IDLE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));
static SEEN: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(false)));
static ORDERLY: AtomicBool = AtomicBool::new(false);

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

/// Whether a signal has come while something was changed that can end in order.
pub fn is_seen() -> bool {
    ORDERLY.load(Ordering::SeqCst) && SEEN.load(Ordering::SeqCst)
}

/// Does something that must end in order.
pub fn in_order<T>(act: impl FnOnce() -> T) -> T {
    ORDERLY.store(true, Ordering::SeqCst);
    IDLE.store(false, Ordering::SeqCst);
    let result = act();
    IDLE.store(true, Ordering::SeqCst);
    ORDERLY.store(false, Ordering::SeqCst);
    result
}

/// From now on signals are noted for a deploy; the function tells whether one came.
pub fn heed() -> io::Result<impl Fn() -> bool + Sync> {
    IDLE.store(false, Ordering::SeqCst);
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal only sets the flag, the second finds it set.
        flag::register_conditional_default(signal, asked.clone())?;
        flag::register(signal, asked.clone())?;
    }
    // The terminal is gone, the deploy goes on; its record and its log tell the rest.
    flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
    Ok(move || asked.load(Ordering::Relaxed))
}

/// Whether the process was started with a signal ignored (proc(5), `SigIgn`).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
