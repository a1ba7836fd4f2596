//! The name of a backup: when it was taken (UTC) and three random bytes.
//!
//! Ids sort by time as text, so the directory's own order is the catalog's. Clock and randomness
//! enter as arguments.

use crate::error::StoreError;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const TIME: &str = "%Y%m%dT%H%M%SZ";
/// `20261120T131907Z-3f9a2c`.
const LENGTH: usize = 23;

/// The id of a backup, such as `20261120T131907Z-3f9a2c`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);

impl BackupId {
    /// Names the backup taken at a time; the random bytes keep two of one second apart.
    #[must_use]
    pub fn new(taken: DateTime<Utc>, random: [u8; 3]) -> Self {
        let [first, second, third] = random;
        Self(format!("{}-{first:02x}{second:02x}{third:02x}", taken.format(TIME)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the backup was taken, to the second.
    #[must_use]
    pub fn taken(&self) -> DateTime<Utc> {
        NaiveDateTime::parse_from_str(&self.0[..16], TIME)
            .expect("an id is parsed before it is made")
            .and_utc()
    }
}

impl FromStr for BackupId {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let well_formed = text.len() == LENGTH
            && text.is_ascii()
            && text.as_bytes()[16] == b'-'
            && text[17..].bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            // Formatted again, because the parser forgives missing zeros.
            && NaiveDateTime::parse_from_str(&text[..16], TIME)
                .is_ok_and(|time| time.and_utc().format(TIME).to_string() == text[..16]);
        if well_formed {
            Ok(Self(text.into()))
        } else {
            Err(StoreError::BadId { text: text.into() })
        }
    }
}

impl TryFrom<String> for BackupId {
    type Error = StoreError;

    fn try_from(text: String) -> Result<Self, StoreError> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> Self {
        id.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
