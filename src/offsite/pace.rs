//! How fast bytes may go over the line.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// At most so many bytes a second, both ways together.
pub(crate) struct Pace {
    per_second: Option<u64>,
    /// When the line is free again.
    free_at: Mutex<Instant>,
}

impl Pace {
    /// A pace; none is as fast as it goes.
    pub(crate) fn new(per_second: Option<u64>) -> Self {
        Self {
            per_second: per_second.filter(|rate| *rate > 0),
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Accounts for bytes that go now, and waits until the line is free for them.
    pub(crate) fn keep(&self, bytes: u64) {
        let Some(rate) = self.per_second else { return };
        let now = Instant::now();
        let wait = {
            let mut free_at =
                self.free_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let start = (*free_at).max(now);
            *free_at = start + Duration::from_secs_f64(bytes as f64 / rate as f64);
            start - now
        };
        thread::sleep(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Pace};

    #[test]
    fn a_limit_is_kept_and_none_costs_nothing() {
        let pace = Pace::new(Some(1 << 20));
        let began = Instant::now();
        (0..6).for_each(|_| pace.keep(64 << 10));
        // The sixth may go when the five before it are through.
        assert!(began.elapsed() >= Duration::from_millis(310), "{:?}", began.elapsed());
        let began = Instant::now();
        let pace = Pace::new(None);
        (0..100_000).for_each(|_| pace.keep(1 << 20));
        assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    }
}
