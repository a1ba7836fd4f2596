//! Signals during a deploy: the first wish to end is heeded at the next safe place, a second one ends
//! piton at once, and a lost connection ends nothing.

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// From now on signals are noted; the function tells whether one came.
pub fn heed() -> io::Result<impl Fn() -> bool + Sync> {
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
