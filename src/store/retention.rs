//! Which backups are kept: a pure function from rules, backups and the time to verdicts with
//! their reasons. It reads no clock and removes nothing.
//!
//! Periods are those of UTC; of each, the newest backup is kept. A backup whose time cannot be right
//! takes no place from another: it is kept where it would have one beside the others.

use super::{
    Backup, BackupId, Reason,
    dated::{Dated, dated},
};
use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::{Serialize, Serializer};
use std::{collections::BTreeSet, fmt, time::Duration};

/// So many safety backups are kept whatever the rules say.
const SAFETY: usize = 3;

/// The rules; one that is absent keeps nothing by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retention {
    /// Keep so many of the newest.
    pub last: Option<u32>,
    /// Keep the newest of each of the last hours that have one.
    pub hourly: Option<u32>,
    /// The same of days.
    pub daily: Option<u32>,
    /// The same of weeks, which begin on Monday (ISO 8601).
    pub weekly: Option<u32>,
    /// The same of months.
    pub monthly: Option<u32>,
    /// The same of years.
    pub yearly: Option<u32>,
    /// Keep everything that is not older; in JSON as seconds.
    #[serde(serialize_with = "as_seconds")]
    pub within: Option<Duration>,
    /// Remove the oldest until all take no more than so many bytes.
    pub max_size: Option<u64>,
}

/// What must not be removed whatever the rules say.
#[derive(Clone, Debug, Default)]
pub struct Protection {
    /// The backups from before the last run and from before the last that went well.
    pub before_last_run: BTreeSet<BackupId>,
    /// Those that an unfinished operation needs.
    pub unfinished: BTreeSet<BackupId>,
}

/// What the rules go by.
pub trait Judged {
    /// The backup's id.
    fn id(&self) -> &BackupId;
    /// When it was taken.
    fn created(&self) -> DateTime<Utc>;
    /// Why it was taken.
    fn reason(&self) -> Reason;
    /// Whether somebody pinned it.
    fn is_pinned(&self) -> bool;
    /// Bytes of its archive.
    fn archive_bytes(&self) -> u64;
}

impl Judged for Backup {
    fn id(&self) -> &BackupId {
        self.id()
    }

    fn created(&self) -> DateTime<Utc> {
        self.manifest.created
    }

    fn reason(&self) -> Reason {
        self.manifest.reason
    }

    fn is_pinned(&self) -> bool {
        self.pinned
    }

    fn archive_bytes(&self) -> u64 {
        self.archive_bytes
    }
}

/// What is to become of a backup, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The backup.
    pub backup: BackupId,
    /// Bytes of its archive.
    pub archive_bytes: u64,
    /// What keeps it; with no reason it is removed.
    pub keep: Vec<Keep>,
    /// Whether a rule would keep it, and only the size limit removes it.
    pub over_size: bool,
}

impl Verdict {
    /// Whether it stays.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.keep.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.over_size {
            return formatter.write_str("remove: over max-size");
        }
        if self.keep.is_empty() {
            return formatter.write_str("remove");
        }
        let reasons: Vec<String> = self.keep.iter().map(ToString::to_string).collect();
        write!(formatter, "keep: {}", reasons.join(", "))
    }
}

/// Why a backup is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is the newest, or the newest that is no safety backup, and verified.
    Newest,
    /// Somebody pinned it.
    Pinned,
    /// It was taken before the last run or deploy.
    BeforeLastRun,
    /// An operation that has not ended needs it.
    Unfinished,
    /// It is one of the newest three that restores took.
    Safety,
    /// It is so manieth of the newest.
    Last(u32),
    /// It is the newest of a period.
    Period(Period, String),
    /// It is young enough.
    Within,
    /// It has a time that has not come yet, and nothing says when it was taken.
    Undated,
    /// No rule but the size limit is set, and it fits.
    Fits,
}

impl Keep {
    /// Whether no rule takes it back.
    fn is_protection(&self) -> bool {
        match self {
            Self::Newest | Self::Pinned | Self::BeforeLastRun | Self::Unfinished | Self::Safety => {
                true
            }
            Self::Last(_) | Self::Period(..) | Self::Within | Self::Undated | Self::Fits => false,
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => formatter.write_str("newest"),
            Self::Pinned => formatter.write_str("pinned"),
            Self::BeforeLastRun => formatter.write_str("before the last run/deploy"),
            Self::Unfinished => formatter.write_str("needed by an unfinished operation"),
            Self::Safety => formatter.write_str("safety (newest three)"),
            Self::Last(rank) => write!(formatter, "last {rank}"),
            Self::Period(period, name) => write!(formatter, "{} {name}", period.word()),
            Self::Within => formatter.write_str("within"),
            Self::Undated => formatter.write_str("its time is in the future"),
            Self::Fits => formatter.write_str("within max-size"),
        }
    }
}

impl Serialize for Keep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A length of calendar time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// `2026-11-20 13h`
    Hour,
    /// `2026-11-20`
    Day,
    /// `2026-W47`
    Week,
    /// `2026-11`
    Month,
    /// `2026`
    Year,
}

impl Period {
    const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    fn name(self, time: DateTime<Utc>) -> String {
        match self {
            Self::Hour => format!("{} {:02}h", time.format("%Y-%m-%d"), time.hour()),
            Self::Day => time.format("%Y-%m-%d").to_string(),
            Self::Week => {
                let week = time.iso_week();
                format!("{}-W{:02}", week.year(), week.week())
            }
            Self::Month => time.format("%Y-%m").to_string(),
            Self::Year => time.year().to_string(),
        }
    }
}

impl Retention {
    /// Whether no rule is set, so that nothing is ever removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Judges backups, which come in the order in which they were taken, newest first; so do the
    /// verdicts. `taken` is what all backups take on the disk, in bytes.
    #[must_use]
    pub fn judge<B: Judged>(
        &self,
        backups: &[B],
        protection: &Protection,
        now: DateTime<Utc>,
        taken: u64,
    ) -> Vec<Verdict> {
        let created: Vec<DateTime<Utc>> = backups.iter().map(Judged::created).collect();
        let dates = dated(&created, now);
        let mut verdicts: Vec<Verdict> = backups.iter().map(verdict).collect();
        protect(&mut verdicts, backups, protection);
        self.rank(&mut verdicts, &dates);
        self.keep_periods(&mut verdicts, &created, &dates);
        for ((verdict, created), date) in verdicts.iter_mut().zip(created).zip(&dates) {
            let taken = match date {
                Dated::Right => created,
                Dated::Before(newer) => *newer,
                Dated::Unknown => now,
            };
            let age = (now - taken).to_std().unwrap_or_default();
            if self.within.is_some_and(|within| age <= within) {
                verdict.keep.push(Keep::Within);
            }
            if *date == Dated::Unknown && verdict.keep.is_empty() {
                verdict.keep.push(Keep::Undated);
            }
            if !self.has_rule_of_time() && verdict.keep.is_empty() {
                verdict.keep.push(Keep::Fits);
            }
        }
        self.fit(&mut verdicts, &dates, taken);
        verdicts
    }

    fn has_rule_of_time(&self) -> bool {
        !Self { max_size: None, ..*self }.is_empty()
    }

    fn rank(&self, verdicts: &mut [Verdict], dates: &[Dated]) {
        let mut rank = 1;
        for (verdict, date) in verdicts.iter_mut().zip(dates) {
            if rank > self.last.unwrap_or(0) {
                return;
            }
            verdict.keep.push(Keep::Last(rank));
            rank += u32::from(*date == Dated::Right);
        }
    }

    fn keep_periods(&self, verdicts: &mut [Verdict], created: &[DateTime<Utc>], dates: &[Dated]) {
        let rules = [
            (Period::Hour, self.hourly),
            (Period::Day, self.daily),
            (Period::Week, self.weekly),
            (Period::Month, self.monthly),
            (Period::Year, self.yearly),
        ];
        for (period, count) in rules {
            let mut left = count.unwrap_or(0);
            let mut latest = None;
            for ((verdict, created), date) in verdicts.iter_mut().zip(created).zip(dates) {
                if *date != Dated::Right {
                    continue;
                }
                let name = period.name(*created);
                if left > 0 && latest.as_ref() != Some(&name) {
                    left -= 1;
                    verdict.keep.push(Keep::Period(period, name.clone()));
                    latest = Some(name);
                }
            }
        }
    }

    /// Gives up those that only a rule keeps, until the rest fits: first the ones whose time is surely
    /// wrong, then the oldest.
    fn fit(&self, verdicts: &mut [Verdict], dates: &[Dated], taken: u64) {
        let Some(limit) = self.max_size else { return };
        let removed = verdicts.iter().filter(|verdict| !verdict.is_kept());
        let removed = removed.map(|verdict| verdict.archive_bytes).sum();
        let mut left = taken.saturating_sub(removed);
        let all = verdicts.iter_mut().zip(dates).rev();
        let (wrong, others): (Vec<_>, Vec<_>) =
            all.partition(|(_, date)| matches!(date, Dated::Before(_)));
        for (verdict, _) in wrong.into_iter().chain(others) {
            if left <= limit {
                return;
            }
            let by_rule = !verdict.keep.iter().any(Keep::is_protection);
            if verdict.is_kept() && by_rule {
                verdict.keep.clear();
                verdict.over_size = true;
                left = left.saturating_sub(verdict.archive_bytes);
            }
        }
    }
}

fn verdict(backup: &impl Judged) -> Verdict {
    Verdict {
        backup: backup.id().clone(),
        archive_bytes: backup.archive_bytes(),
        keep: Vec::new(),
        over_size: false,
    }
}

fn protect(verdicts: &mut [Verdict], backups: &[impl Judged], protection: &Protection) {
    let mut safety = 0;
    let regular = backups.iter().position(|backup| backup.reason() != Reason::Safety);
    for (at, (verdict, backup)) in verdicts.iter_mut().zip(backups).enumerate() {
        let is_safety = backup.reason() == Reason::Safety;
        safety += usize::from(is_safety);
        let reasons = [
            (at == 0 || Some(at) == regular, Keep::Newest),
            (backup.is_pinned(), Keep::Pinned),
            (protection.before_last_run.contains(backup.id()), Keep::BeforeLastRun),
            (protection.unfinished.contains(backup.id()), Keep::Unfinished),
            (is_safety && safety <= SAFETY, Keep::Safety),
        ];
        verdict.keep.extend(reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, why)| why));
    }
}

fn as_seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs()).serialize(serializer)
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
