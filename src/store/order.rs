//! The order in which backups were taken. The clock does not decide it: a clock that was ahead once
//! would make an old backup the newest for years.

use super::{Backup, BackupId, Store, Summary};
use crate::{Result, disk};
use chrono::{DateTime, Utc};
use std::{fs, io::ErrorKind, path::PathBuf};

/// What is known here of the numbers of backups that are elsewhere.
const ELSEWHERE: &str = ".offsite-sequence";

/// Where a backup is in that order. Those that an older piton took have no number: they come before
/// all others, by their times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    sequence: Option<u64>,
    created: DateTime<Utc>,
    id: BackupId,
}

impl Order {
    pub(crate) fn new(sequence: Option<u64>, created: DateTime<Utc>, id: BackupId) -> Self {
        Self { sequence, created, id }
    }
}

impl Backup {
    /// Where it is in the order in which backups were taken.
    #[must_use]
    pub fn order(&self) -> Order {
        Order::new(self.manifest.sequence, self.manifest.created, self.id().clone())
    }
}

/// The number of a backup that is taken now, after others of which `highest` is the greatest.
///
/// It is at least the time in seconds, so that backups of two machines, which know nothing of each
/// other, are in order as far as their clocks are right.
fn next(highest: Option<u64>, now: DateTime<Utc>) -> u64 {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    highest.map_or(seconds, |highest| highest.saturating_add(1).max(seconds))
}

impl Store {
    /// The number of the backup that is taken next; the caller has a session.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(crate) fn next_sequence(
        &self,
        survey: &[(BackupId, Summary)],
        now: DateTime<Utc>,
    ) -> Result<u64> {
        let here = survey.iter().filter_map(|(_, summary)| summary.sequence);
        Ok(next(here.chain(self.elsewhere()?).max(), now))
    }

    /// Notes the greatest number that was seen of a backup elsewhere, so that the next one that is
    /// taken here comes after it.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(crate) fn note_elsewhere(&self, highest: Option<u64>) -> Result<()> {
        if highest <= self.elsewhere()? {
            return Ok(());
        }
        let text = highest.map(|highest| format!("{highest}\n")).unwrap_or_default();
        let path = self.elsewhere_path();
        Ok(disk::write_atomic("sequence-note", &path, disk::PRIVATE_FILE, text.as_bytes())?)
    }

    fn elsewhere(&self) -> Result<Option<u64>> {
        let path = self.elsewhere_path();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk::failed("read", &path)(error).into()),
        }
    }

    fn elsewhere_path(&self) -> PathBuf {
        self.root().join(ELSEWHERE)
    }
}

#[cfg(test)]
mod tests {
    use super::{BackupId, DateTime, Order, Utc, next};

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn numbers_grow_whatever_the_clock_says() {
        for (highest, now, wanted) in [
            (None, 1000, 1000),
            (Some(900), 1000, 1000),
            (Some(1000), 1000, 1001),
            (Some(5000), 1000, 5001),
            (Some(7), -5, 8),
            (Some(u64::MAX), 1000, u64::MAX),
        ] {
            assert_eq!(next(highest, time(now)), wanted, "{highest:?} at {now}");
        }
    }

    #[test]
    fn the_number_decides_then_the_time_then_the_id() {
        let order = |sequence, created, random| {
            let id = BackupId::new(time(created), [0, 0, random]);
            Order::new(sequence, time(created), id)
        };
        let sorted = [
            order(None, 10, 0),
            order(None, 9000, 0),
            order(Some(4), 5000, 0),
            order(Some(5), 20, 0),
            order(Some(6), 20, 1),
            order(Some(6), 20, 2),
            order(Some(6), 21, 0),
        ];
        assert!(sorted.is_sorted());
    }
}
