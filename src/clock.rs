//! Monotonic time, and pauses that a person can end: an argument wherever something is waited for.
//!
//! The date is not found here (`project/world.rs` has it); this clock only tells how much time has
//! gone by.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Time that never goes back, as a test may replace it.
pub trait Clock: Sync {
    /// Time since a moment that stays the same as long as the clock lives.
    fn now(&self) -> Duration;

    /// Lets time go by.
    fn pause(&self, time: Duration);

    /// Whether somebody asked to stop: whoever waits ends its wait then.
    fn is_interrupted(&self) -> bool;
}

/// The machine's clock.
pub struct System<'a> {
    began: Instant,
    interrupted: &'a (dyn Fn() -> bool + Sync),
}

impl System<'static> {
    /// A clock whose pauses nobody ends.
    #[must_use]
    pub fn uninterrupted() -> Self {
        System::new(&|| false)
    }
}

impl<'a> System<'a> {
    /// A clock whose waits end as soon as the function says so; it is asked again and again.
    #[must_use]
    pub fn new(interrupted: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { began: Instant::now(), interrupted }
    }
}

impl Clock for System<'_> {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }

    fn is_interrupted(&self) -> bool {
        (self.interrupted)()
    }
}
