//! How long the parts of a restore took.

use std::time::{Duration, Instant};

/// Milliseconds of each part, in the order in which they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Timings {
    /// Reading the archive, comparing it with its manifest and writing its files beside the data.
    pub unpack: u64,
    /// SQLite's checks of the databases that were unpacked.
    pub check: u64,
    /// The backup of the state before.
    pub safety: u64,
    /// From the first name that changes to the last: how long the data is neither old nor new.
    pub exchange: u64,
    /// Comparing what is in place with the manifest.
    pub compare: u64,
    /// From before the journal to its end, `exchange` included and `compare` not.
    pub publish: u64,
}

/// Runs a part and adds how long it took.
pub(super) fn timed<T>(milliseconds: &mut u64, act: impl FnOnce() -> T) -> T {
    let clock = Instant::now();
    let done = act();
    *milliseconds += whole(clock.elapsed());
    done
}

/// Whole milliseconds.
pub(super) fn whole(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
