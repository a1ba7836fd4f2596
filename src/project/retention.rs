//! The `[retention]` keys of `piton.toml`: times like `30d`, sizes like `20GiB`.

use crate::store::Retention;
use serde::Deserialize;
use std::{ops::Range, time::Duration};
use toml::Spanned;

/// The keys as they stand in the file; each is a rule of [`Retention`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RetentionKeys {
    /// How many of the newest.
    pub last: Option<u32>,
    /// How many hours.
    pub hourly: Option<u32>,
    /// How many days.
    pub daily: Option<u32>,
    /// How many weeks.
    pub weekly: Option<u32>,
    /// How many months.
    pub monthly: Option<u32>,
    /// How many years.
    pub yearly: Option<u32>,
    /// How old, such as `30d`.
    pub within: Option<Spanned<String>>,
    /// How large all together, such as `20GiB`.
    pub max_size: Option<Spanned<String>>,
}

impl RetentionKeys {
    /// The rules that the keys state.
    ///
    /// # Errors
    /// What is wrong with a value, and where it stands.
    pub fn rules(&self) -> Result<Retention, (Range<usize>, String)> {
        let within = self.within.as_ref().map(|text| {
            span(text.get_ref()).map_err(|reason| (text.span(), format!("`within`: {reason}")))
        });
        let max_size = self.max_size.as_ref().map(|text| {
            size(text.get_ref()).map_err(|reason| (text.span(), format!("`max-size`: {reason}")))
        });
        Ok(Retention {
            last: self.last,
            hourly: self.hourly,
            daily: self.daily,
            weekly: self.weekly,
            monthly: self.monthly,
            yearly: self.yearly,
            within: within.transpose()?,
            max_size: max_size.transpose()?,
        })
    }
}

/// A time of hours, days or weeks.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write it like `12h`, `30d` or `8w`");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let hours: u64 = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(number.saturating_mul(hours * 3600)))
}

/// A size in binary or decimal units.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size: write it like `500MiB`, `20GiB` or `20GB`");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let factor: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    Ok(number.saturating_mul(factor))
}

fn split(text: &str) -> Option<(u64, &str)> {
    let at = text.find(|letter: char| !letter.is_ascii_digit())?;
    Some((text[..at].parse().ok()?, text[at..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::{Duration, size, span};

    #[test]
    fn times_and_sizes() {
        assert_eq!(span("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(span("2w"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(size("20GiB"), Ok(20 << 30));
        assert_eq!(size("20 GB"), Ok(20_000_000_000));
        for wrong in ["", "d", "30", "-1d", "3 months", "30m", "1.5d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "20", "GiB", "20G", "1.5GiB", "-1GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
