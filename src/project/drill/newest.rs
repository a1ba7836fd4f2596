//! How old the newest row is: the answer of a query, understood as a time or not at all.

use crate::database::{self, Access};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, types::Value};
use std::{path::Path, time::Duration};

/// Asks a database.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn ask(database: &Path, sql: &str) -> Result<DateTime<Utc>, String> {
    let connection = database::open(database, Access::Write, Duration::ZERO)
        .map_err(|error| error.to_string())?;
    let value = connection
        .pragma_update(None, "query_only", true)
        .and_then(|()| connection.query_row(sql, [], |row| row.get::<_, Value>(0)));
    let value = value.map_err(|error| format!("{error}: {sql}"))?;
    understood(&connection, &value).ok_or_else(|| match value {
        Value::Null => format!("there is no row: {sql}"),
        other => format!("{other:?} is not a time that piton understands: {sql}"),
    })
}

/// Texts as SQLite reads them, without a zone in UTC; numbers as seconds, milliseconds, microseconds or
/// nanoseconds since 1970, which differ by their size, or days as `julianday` gives them.
fn understood(connection: &Connection, value: &Value) -> Option<DateTime<Utc>> {
    let of_seconds = |seconds: i64| DateTime::from_timestamp(seconds, 0);
    match value {
        Value::Integer(number) => match number {
            0..100_000_000_000 => of_seconds(*number),
            100_000_000_000..100_000_000_000_000 => DateTime::from_timestamp_millis(*number),
            100_000_000_000_000..100_000_000_000_000_000 => {
                DateTime::from_timestamp_micros(*number)
            }
            100_000_000_000_000_000.. => Some(DateTime::from_timestamp_nanos(*number)),
            _ => None,
        },
        Value::Real(number) if (1_000_000.0..4_000_000.0).contains(number) => {
            let sql = "SELECT unixepoch(?1)";
            connection.query_row(sql, [number], |row| row.get(0)).ok().and_then(of_seconds)
        }
        Value::Real(number) if (0.0..1e11).contains(number) => of_seconds(*number as i64),
        // SQLite would take a text that is a number for a day.
        Value::Text(text) if text.trim().parse::<f64>().is_ok() => {
            let number = text.trim().parse::<i64>().ok()?;
            understood(connection, &Value::Integer(number))
        }
        Value::Text(text) => {
            let sql = "SELECT unixepoch(trim(?1))";
            connection.query_row(sql, [text], |row| row.get(0)).ok().flatten().and_then(of_seconds)
        }
        _ => None,
    }
}

/// A time span as people say it: `9 days`, `5 hours`.
pub(super) fn said(span: TimeDelta) -> String {
    let counted = |number: i64, unit: &str| match number {
        1 => format!("1 {unit}"),
        _ => format!("{number} {unit}s"),
    };
    match (span.num_days(), span.num_hours(), span.num_minutes()) {
        (days @ 2.., ..) => counted(days, "day"),
        (_, hours @ 2.., _) => counted(hours, "hour"),
        (.., minutes) => counted(minutes.max(0), "minute"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Value, said, understood};
    use chrono::TimeDelta;

    #[test]
    fn times_are_understood_in_the_forms_that_applications_use() {
        let connection = crate::database::open_scratch().unwrap();
        let text = |text: &str| Value::Text(text.into());
        for value in [
            text("2026-11-20 13:00:00"),
            text("2026-11-20T13:00:00Z"),
            text("2026-11-20T13:00:00.250Z"),
            text("2026-11-20 15:00:00+02:00"),
            text("1795179600"),
            Value::Integer(1_795_179_600),
            Value::Integer(1_795_179_600_000),
            Value::Integer(1_795_179_600_000_000),
            Value::Integer(1_795_179_600_000_000_000),
            Value::Real(1_795_179_600.4),
            Value::Real(2_461_365.041_666_667),
        ] {
            let found = understood(&connection, &value).unwrap();
            assert_eq!(found.timestamp(), 1_795_179_600, "{value:?}");
        }
        for value in
            [text("yesterday"), text(""), Value::Null, Value::Integer(-5), Value::Real(7e15)]
        {
            assert_eq!(understood(&connection, &value), None, "{value:?}");
        }
    }

    #[test]
    fn spans_are_said() {
        for (span, text) in [
            (TimeDelta::days(9), "9 days"),
            (TimeDelta::hours(30), "30 hours"),
            (TimeDelta::minutes(61), "61 minutes"),
            (TimeDelta::minutes(1), "1 minute"),
        ] {
            assert_eq!(said(span), text);
        }
    }
}
