//! The number of the next migration, in the form that the folder uses.

use crate::history::{Migration, Version};
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use std::sync::Arc;

/// Forms of times in names: date and time, and the seconds, milliseconds since 1970.
#[derive(Clone, Copy)]
enum Form {
    Calendar(&'static str),
    Seconds,
    Milliseconds,
}

/// The number after the last one, as wide as the last one is written; the time, where the folder
/// counts by times.
pub fn next(migrations: &[Arc<Migration>], now: DateTime<Utc>) -> String {
    let Some(last) = migrations.last().map(|migration| migration.version.clone()) else {
        return "001".into();
    };
    let written = last.to_string();
    let time = form(&written).map(|form| match form {
        Form::Calendar(format) => now.format(format).to_string(),
        Form::Seconds => now.timestamp().to_string(),
        Form::Milliseconds => now.timestamp_millis().to_string(),
    });
    // A file from the future, or of this second: one more keeps the order.
    let is_later = |time: &String| Version::parse(time).is_some_and(|time| time > last);
    time.filter(is_later).unwrap_or_else(|| one_more(&last, written.len()))
}

/// The form of a number that is a time of this century, as far as it can be one.
fn form(written: &str) -> Option<Form> {
    let in_century = |time: DateTime<Utc>| {
        let year = time.format("%Y").to_string();
        (2000..2100).contains(&year.parse::<i32>().unwrap_or(0))
    };
    let calendar = |padding: &str, format| {
        let parsed = NaiveDateTime::parse_from_str(&format!("{written}{padding}"), "%Y%m%d%H%M%S");
        let time = parsed.ok()?.and_utc();
        in_century(time).then_some(Form::Calendar(format))
    };
    let since = |time: Option<DateTime<Utc>>, form| time.filter(|it| in_century(*it)).map(|_| form);
    let number: i64 = written.parse().ok()?;
    match written.len() {
        8 => calendar("000000", "%Y%m%d"),
        12 => calendar("00", "%Y%m%d%H%M"),
        14 => calendar("", "%Y%m%d%H%M%S"),
        10 => since(Utc.timestamp_opt(number, 0).single(), Form::Seconds),
        13 => since(Utc.timestamp_millis_opt(number).single(), Form::Milliseconds),
        _ => None,
    }
}

fn one_more(last: &Version, width: usize) -> String {
    let mut digits: Vec<u8> = last.digits().bytes().collect();
    let mut at = digits.len();
    loop {
        if at == 0 {
            digits.insert(0, b'1');
            break;
        }
        at -= 1;
        if digits[at] == b'9' {
            digits[at] = b'0';
        } else {
            digits[at] += 1;
            break;
        }
    }
    let text: String = digits.into_iter().map(char::from).collect();
    format!("{text:0>width$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn after(last: &str) -> String {
        let version = Version::parse(last).unwrap();
        let migration =
            Migration::from_sql(version, "", Path::new("x.sql"), String::new()).unwrap();
        next(&[Arc::new(migration)], Utc.with_ymd_and_hms(2026, 11, 30, 12, 5, 9).unwrap())
    }

    #[test]
    fn in_the_form_of_the_folder() {
        for (last, wanted) in [
            ("7", "8"),
            ("009", "010"),
            ("0099", "0100"),
            ("99", "100"),
            ("20260101120000", "20261130120509"),
            ("20261130120509", "20261130120510"),
            ("20270101120000", "20270101120001"),
            ("202601011200", "202611301205"),
            ("20260101", "20261130"),
            ("1700000000", "1796040309"),
            ("1700000000000", "1796040309000"),
            // No time: months have no day 99.
            ("20261399", "20261400"),
        ] {
            assert_eq!(after(last), wanted, "{last}");
        }
        assert_eq!(next(&[], Utc::now()), "001");
    }
}
