//! Pieces of text: colours, times, sizes, problems.

use anstyle::{AnsiColor, Style};
use chrono::{DateTime, Utc};
use piton::Error;
pub use piton::error::bytes;

/// Good news.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Something to look at.
pub const NOTICE: Style = AnsiColor::Yellow.on_default().bold();
/// Bad news.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// A heading.
pub const STRONG: Style = Style::new().bold();
/// Less important.
pub const FAINT: Style = Style::new().dimmed();

/// A text in a style.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// An error with its hint.
pub fn problem(message: &str, hint: Option<&str>) -> String {
    let mut text = format!("{} {message}\n", styled(BAD, "error:"));
    if let Some(hint) = hint {
        text.push_str(&format!("  {} {hint}\n", styled(STRONG, "hint:")));
    }
    text
}

/// An error of the library: its line in the file with a caret, its hint.
pub fn failure(error: &Error) -> String {
    let text = problem(&error.to_string(), None);
    let drawing = error.place().map(|place| place.drawing(78)).unwrap_or_default();
    let drawing: String = drawing.lines().map(|line| format!("  {line}\n")).collect();
    let hint = error.hint().map(|hint| format!("  {} {hint}\n", styled(STRONG, "hint:")));
    text + &drawing + &hint.unwrap_or_default()
}

/// The last line of a report: what to type.
pub fn next(command: &str) -> String {
    format!("{} {command}\n", styled(STRONG, "next:"))
}

/// A time of a record with its zone; one that cannot be read stays as it is.
pub fn time(recorded: &str) -> String {
    DateTime::parse_from_rfc3339(recorded).map_or_else(
        |_| recorded.into(),
        |time| time.with_timezone(&Utc).format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// The time now, also where the clock is before 1970.
pub fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// How long ago something was.
pub fn ago(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds().max(0);
    let (count, unit) = match seconds {
        0..=1 => return "just now".into(),
        2..=119 => (seconds, "seconds"),
        120..=7199 => (seconds / 60, "minutes"),
        7200..=172_799 => (seconds / 3600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit} ago")
}

/// A count with its noun.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// Milliseconds as people say them.
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..=999 => format!("{milliseconds} ms"),
        1000..=119_999 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        _ => format!("{} min", milliseconds / 60_000),
    }
}
