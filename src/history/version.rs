//! Versions: the digits at the start of a migration's file name, compared as numbers.

use serde::{Serialize, Serializer};
use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

/// A version number of any length; leading zeros count for nothing, so `7` is `007`.
#[derive(Clone, Debug)]
pub struct Version {
    /// Without leading zeros; `0` alone stays.
    digits: String,
    /// As the file name spells it.
    written: String,
}

impl Version {
    /// Reads digits; anything else is no version.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let trimmed = text.trim_start_matches('0');
        let digits = if trimmed.is_empty() { "0" } else { trimmed };
        Some(Self { digits: digits.into(), written: text.into() })
    }

    /// Version 0, which belongs to data operations.
    #[must_use]
    pub fn zero() -> Self {
        Self { digits: "0".into(), written: "0".into() }
    }

    /// Whether a written version has these digits, leading zeros aside.
    #[must_use]
    pub fn same_digits(written: &str, digits: &str) -> bool {
        let trimmed = written.trim_start_matches('0');
        trimmed == digits || (trimmed.is_empty() && digits == "0")
    }

    /// The digits without leading zeros.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.digits
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.digits == other.digits
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digits.hash(state);
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.digits.len(), &self.digits).cmp(&(other.digits.len(), &other.digits))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_order() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("9") < version("010"));
        assert!(version("20260101120000") > version("999"));
        assert_eq!(version("7").cmp(&version("007")), Ordering::Equal);
        assert!(version("99999999999999999999999") > version("20260101120000"));
        assert_eq!(Version::parse("1a"), None);
        assert_eq!(version("000").digits(), "0");
    }
}
