//! Which backup is meant: by its id, its label, or the time that a person has in mind.
//!
//! Times are UTC, as everywhere in what piton prints.

use super::Reason;
use crate::error::StoreError;
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use std::{fmt, str::FromStr};

/// Which backup is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The newest one that is no safety backup.
    Latest,
    /// The one whose id begins so; a whole id is its own beginning. Else the one with this label.
    Prefix(String),
    /// The one with this label.
    Label(String),
    /// The newest of a day that is no safety backup.
    Day(NaiveDate),
    /// The newest at this time that is no safety backup: what was live then, or before.
    At(DateTime<Utc>),
    /// The newest before this time that is no safety backup.
    Before(DateTime<Utc>),
}

impl Selector {
    /// Understands what a person types: `latest`, an id or its beginning, a label, `today`,
    /// `yesterday`, or a day such as `2026-11-30`.
    ///
    /// # Errors
    /// [`StoreError::BadId`].
    pub fn named(text: &str, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let today = now.date_naive();
        match (text, text.parse::<NaiveDate>()) {
            ("today", _) => Ok(Self::Day(today)),
            ("yesterday", _) => Ok(Self::Day(today - Days::new(1))),
            (_, Ok(day)) if text.len() == 10 => Ok(Self::Day(day)),
            _ => text.parse(),
        }
    }

    /// Understands the time of `--at`: with a day alone, its end.
    ///
    /// # Errors
    /// [`StoreError::BadTime`].
    pub fn at(text: &str) -> Result<Self, StoreError> {
        let end = NaiveTime::from_hms_opt(23, 59, 59).expect("a day has this second");
        Ok(Self::At(time(text, end)?))
    }

    /// Understands the time of `--before`: with a day alone, its beginning.
    ///
    /// # Errors
    /// [`StoreError::BadTime`].
    pub fn before(text: &str) -> Result<Self, StoreError> {
        Ok(Self::Before(time(text, NaiveTime::MIN)?))
    }

    /// Whether it may mean a backup of this time, reason and label. Which of several is meant their
    /// order decides.
    pub(crate) fn picks(
        &self,
        created: DateTime<Utc>,
        reason: Reason,
        label: Option<&str>,
    ) -> bool {
        let is_regular = reason != Reason::Safety;
        match self {
            Self::Latest => is_regular,
            Self::Prefix(text) | Self::Label(text) => label == Some(text.as_str()),
            Self::Day(day) => is_regular && created.date_naive() == *day,
            Self::At(time) => is_regular && created <= *time,
            Self::Before(time) => is_regular && created < *time,
        }
    }
}

impl FromStr for Selector {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let of_id =
            |byte: u8| byte.is_ascii_digit() || matches!(byte, b'T' | b'Z' | b'-' | b'a'..=b'f');
        match text {
            "latest" => Ok(Self::Latest),
            _ if text.trim().is_empty() => Err(StoreError::BadId { text: text.into() }),
            _ if text.bytes().all(of_id) => Ok(Self::Prefix(text.into())),
            _ => Ok(Self::Label(text.into())),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => formatter.write_str("latest"),
            Self::Prefix(text) | Self::Label(text) => formatter.write_str(text),
            Self::Day(day) => write!(formatter, "{day}"),
            Self::At(time) => write!(formatter, "at {}", time.format("%Y-%m-%d %H:%M:%S UTC")),
            Self::Before(time) => {
                write!(formatter, "before {}", time.format("%Y-%m-%d %H:%M:%S UTC"))
            }
        }
    }
}

fn time(text: &str, of_day: NaiveTime) -> Result<DateTime<Utc>, StoreError> {
    let plain = text.trim().trim_end_matches("UTC").trim_end().trim_end_matches('Z');
    let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let with_time = || formats.iter().find_map(|it| NaiveDateTime::parse_from_str(plain, it).ok());
    let day = || plain.parse::<NaiveDate>().ok().map(|day| day.and_time(of_day));
    let found = with_time().or_else(day).map(|time| time.and_utc());
    found.ok_or_else(|| StoreError::BadTime { text: text.into() })
}

#[cfg(test)]
mod tests {
    use super::{DateTime, Selector, Utc};

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn names_that_people_use() {
        let now = utc("2026-11-30T08:00:00Z");
        let day = |text: &str| Selector::Day(text.parse().unwrap());
        for (text, wanted) in [
            ("latest", Selector::Latest),
            ("yesterday", day("2026-11-29")),
            ("today", day("2026-11-30")),
            ("2026-11-28", day("2026-11-28")),
            ("20261128", Selector::Prefix("20261128".into())),
            ("2026-13-28", Selector::Prefix("2026-13-28".into())),
            ("before the import", Selector::Label("before the import".into())),
        ] {
            assert_eq!(Selector::named(text, now).unwrap(), wanted, "{text}");
        }
        assert!(Selector::named("", now).is_err());
    }

    #[test]
    fn times() {
        for (text, at, before) in [
            ("2026-11-29 22:00", "2026-11-29T22:00:00Z", "2026-11-29T22:00:00Z"),
            ("2026-11-29T22:00:05Z", "2026-11-29T22:00:05Z", "2026-11-29T22:00:05Z"),
            ("2026-11-29 22:00 UTC", "2026-11-29T22:00:00Z", "2026-11-29T22:00:00Z"),
            ("2026-11-29", "2026-11-29T23:59:59Z", "2026-11-29T00:00:00Z"),
        ] {
            assert_eq!(Selector::at(text).unwrap(), Selector::At(utc(at)), "{text}");
            assert_eq!(Selector::before(text).unwrap(), Selector::Before(utc(before)), "{text}");
        }
        for wrong in ["", "22:00", "yesterday", "2026-11-29 25:00", "2026-11-29 22:00 CET"] {
            assert!(Selector::at(wrong).is_err(), "{wrong}");
        }
    }
}
