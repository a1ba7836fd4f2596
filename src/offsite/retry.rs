//! Trying again: a place that cannot be reached may be reached a moment later.

use crate::{
    Error, Result,
    event::{Event, Observer},
};
use std::{
    thread,
    time::{Duration, Instant},
};

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// For how long without any progress it is tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub(crate) patience: Duration,
}

impl Retry {
    /// Acts until it succeeds, fails for good, or patience is at an end.
    pub(crate) fn run<T>(
        self,
        observer: &dyn Observer,
        act: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        self.run_while(observer, &|| 0, act)
    }

    /// The same for long work: patience begins anew whenever `progress` has grown.
    pub(crate) fn run_while<T>(
        self,
        observer: &dyn Observer,
        progress: &dyn Fn() -> u64,
        mut act: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let (mut began, mut pause, mut reached) = (Instant::now(), FIRST, progress());
        loop {
            let error = match act() {
                Err(Error::Offsite(error)) if error.is_transient() => error,
                other => return other,
            };
            if progress() > reached {
                (began, pause, reached) = (Instant::now(), FIRST, progress());
            }
            if began.elapsed() + pause > self.patience {
                return Err(error.into());
            }
            let milliseconds = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            observer.event(Event::Retrying { reason: error.to_string(), milliseconds });
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::OffsiteError, event::Silent};
    use std::cell::Cell;

    fn broken() -> Error {
        OffsiteError::Broken { place: "there".into(), reason: "it broke".into() }.into()
    }

    #[test]
    fn transient_errors_are_met_again_until_patience_ends() {
        let (tries, retry) = (Cell::new(0), Retry { patience: Duration::from_secs(30) });
        let count = || tries.set(tries.get() + 1);
        let third = retry.run(&Silent, || {
            count();
            if tries.get() < 3 { Err(broken()) } else { Ok(()) }
        });
        assert!(third.is_ok() && tries.get() == 3);
        tries.set(0);
        let retry = Retry { patience: Duration::from_millis(400) };
        let never = retry.run(&Silent, || -> Result<()> {
            count();
            Err(broken())
        });
        // At once and after 250 milliseconds; the next pause of 500 would be too long.
        assert!(never.is_err() && tries.get() == 2);
    }

    #[test]
    fn what_is_wrong_for_good_is_not_tried_again() {
        let tries = Cell::new(0);
        let retry = Retry { patience: Duration::from_secs(60) };
        let denied = OffsiteError::Denied { place: "there".into(), reason: "no".into() };
        let found: Result<()> = retry.run(&Silent, || {
            tries.set(tries.get() + 1);
            Err(Error::Internal(denied.to_string()))
        });
        assert!(found.is_err() && tries.get() == 1);
    }

    #[test]
    fn progress_renews_patience() {
        let (tries, done) = (Cell::new(0), Cell::new(0));
        let retry = Retry { patience: Duration::from_millis(300) };
        let found = retry.run_while(&Silent, &|| done.get(), || {
            tries.set(tries.get() + 1);
            done.set(done.get() + 1);
            if tries.get() < 5 { Err(broken()) } else { Ok(()) }
        });
        assert!(found.is_ok(), "five attempts take longer than 300 ms, and each got further");
    }
}
