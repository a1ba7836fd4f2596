//! Which backups have a time that can be right: a clock may have been ahead or behind when one was
//! taken. A pure function of the order in which they were taken and of their times.

use chrono::{DateTime, TimeDelta, Utc};

/// So far two clocks may differ without being wrong.
const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// When a backup was taken, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dated {
    /// At its time.
    Right,
    /// Its time is wrong; it was taken before this one, at which the next newer backup was taken.
    Before(DateTime<Utc>),
    /// Its time is wrong, and no newer backup says anything about it.
    Unknown,
}

/// Whether a time has not come yet.
#[must_use]
pub fn is_in_future(created: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    created > now + TOLERANCE
}

/// Judges times that come in the order in which the backups were taken, newest first.
///
/// Wrong are times in the future, and those outside of the longest run of times that fits the order:
/// so one wrong time never makes the many others wrong.
pub(super) fn dated(created: &[DateTime<Utc>], now: DateTime<Utc>) -> Vec<Dated> {
    let fitting = longest_run(created, now);
    let mut newer = None;
    let mut judged = Vec::with_capacity(created.len());
    for (time, fits) in created.iter().zip(fitting) {
        judged.push(match (fits, newer) {
            (true, _) => {
                newer = Some(*time);
                Dated::Right
            }
            (false, Some(newer)) => Dated::Before(newer),
            (false, None) => Dated::Unknown,
        });
    }
    judged
}

/// Whether each belongs to the longest run, oldest to newest, in which no time is before the one
/// before it. Of two of one length the one with the newest members is taken.
fn longest_run(created: &[DateTime<Utc>], now: DateTime<Utc>) -> Vec<bool> {
    // By length of a run, the member at which the run of that length ends earliest.
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![None; created.len()];
    for (at, time) in created.iter().enumerate().rev() {
        if is_in_future(*time, now) {
            continue;
        }
        let length = ends.partition_point(|end| created[*end] <= *time);
        before[at] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut belongs = vec![false; created.len()];
    let mut next = ends.last().copied();
    while let Some(at) = next {
        belongs[at] = true;
        next = before[at];
    }
    belongs
}

#[cfg(test)]
mod tests {
    use super::{DateTime, Dated, TimeDelta, Utc, dated};

    fn day(number: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + number)
    }

    #[test]
    fn one_wrong_time_spoils_no_other() {
        use Dated::{Before, Right, Unknown};
        let cases: [(&[i64], &[Dated]); 8] = [
            (&[], &[]),
            (&[9, 8, 8, 1], &[Right; 4]),
            // The newest is of the future, then an older one.
            (&[400, 9, 8], &[Unknown, Right, Right]),
            (&[9, 400, 8], &[Right, Before(day(9)), Right]),
            // It was ahead by a day, which has come by now.
            (&[8, 9, 7, 6], &[Right, Before(day(8)), Right, Right]),
            // It was behind by years.
            (&[9, -9000, 8, 7], &[Right, Before(day(9)), Right, Right]),
            (&[-9000, 9, 8, 7], &[Unknown, Right, Right, Right]),
            // The clock now is behind: nothing can be said.
            (&[14, 13, 12], &[Unknown; 3]),
        ];
        for (days, wanted) in cases {
            let times: Vec<DateTime<Utc>> = days.iter().map(|it| day(*it)).collect();
            assert_eq!(dated(&times, day(10)), wanted, "{days:?}");
        }
    }
}
