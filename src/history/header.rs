//! Declared guards and settings: directives in the comments at the top of a file.
//!
//! The header ends at the first line that is neither blank nor a comment. A word that is nearly a
//! directive is an error, because a guard that is silently not there is worse than none.

use crate::{
    Error, Result, database,
    error::{HistoryError, Place},
    sql::fold,
};
use std::{path::Path, time::Duration};

/// Whether a file runs inside the run's transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transaction {
    /// In the one transaction of the run, as every file unless it says otherwise.
    #[default]
    Shared,
    /// Statement by statement, with its progress kept in the ledger.
    None,
}

/// A finding that a file declares to be intended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The finding's code.
    pub code: String,
    /// Why it is intended.
    pub reason: String,
}

/// What the comments at the top of a file declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `skip-if:` a query; the migration is done already when it yields a true value.
    pub skip_if: Option<String>,
    /// `require:` queries; the run is refused unless each yields a true value.
    pub require: Vec<String>,
    /// `verify:` queries; each must be true after the migration, before it is committed.
    pub verify: Vec<String>,
    /// `database:` the database it belongs to, relative to the data directory.
    pub database: Option<String>,
    /// `transaction: none`.
    pub transaction: Transaction,
    /// `foreign-keys: on`: enforce foreign keys while it runs.
    pub foreign_keys: bool,
    /// `timeout:` such as `30s`, `5m`, `1h`: the time limit of a script.
    pub timeout: Option<Duration>,
    /// `allow: CODE reason`: findings that are intended.
    pub allow: Vec<Allowance>,
}

const KEYS: [&str; 8] =
    ["skip-if", "require", "verify", "database", "transaction", "foreign-keys", "timeout", "allow"];

impl Header {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// [`HistoryError::Directive`] with the line of a directive that is misspelt or wrong.
    pub fn read(file: &Path, text: &str) -> Result<Self> {
        let mut header = Self::default();
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let start = offset;
            offset += line.len();
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.is_empty() || line.starts_with("#!") {
                continue;
            }
            let Some(comment) = comment(line) else { break };
            let Some((key, value)) = comment.split_once(':') else { continue };
            let fail = |reason| {
                Error::from(HistoryError::Directive { place: Place::of(file, text, start), reason })
            };
            match known(key.trim()) {
                Key::Known(key) => header.set(key, value.trim()).map_err(fail)?,
                Key::Misspelt(meant) => {
                    let key = key.trim();
                    return Err(fail(format!("unknown directive `{key}`: is `{meant}` meant?")));
                }
                Key::Prose => {}
            }
        }
        Ok(header)
    }

    /// The declared queries, each with its directive.
    pub fn queries(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let skip_if = self.skip_if.iter().map(|query| ("skip-if", query.as_str()));
        let require = self.require.iter().map(|query| ("require", query.as_str()));
        let verify = self.verify.iter().map(|query| ("verify", query.as_str()));
        skip_if.chain(require).chain(verify)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        if value.is_empty() {
            return Err(format!("`{key}:` has no value"));
        }
        match key {
            "skip-if" => {
                if self.skip_if.replace(value.into()).is_some() {
                    return Err("`skip-if:` stands twice: join the two queries with AND".into());
                }
            }
            "require" => self.require.push(value.into()),
            "verify" => self.verify.push(value.into()),
            "database" if database::lies_inside(Path::new(value)) => {
                self.database = Some(value.into());
            }
            "database" => {
                return Err(format!(
                    "`database:` names one inside the data directory, not `{value}`"
                ));
            }
            "transaction" if value == "none" => self.transaction = Transaction::None,
            "transaction" => return Err(format!("`transaction:` can be `none`, not `{value}`")),
            "foreign-keys" if value == "on" => self.foreign_keys = true,
            "foreign-keys" if value == "off" => self.foreign_keys = false,
            "foreign-keys" => {
                return Err(format!("`foreign-keys:` is `on` or `off`, not `{value}`"));
            }
            "timeout" => self.timeout = Some(duration(value)?),
            _ => self.allow.push(allowance(value)?),
        }
        Ok(())
    }
}

/// Reads a time such as `500ms`, `90s`, `5m` or `1h`.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn duration(value: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let read = |(unit, milliseconds): (&str, u64)| {
        let number: u64 = value.strip_suffix(unit)?.trim().parse().ok()?;
        Some(Duration::from_millis(number.saturating_mul(milliseconds)))
    };
    let found = units.into_iter().find_map(read);
    found.ok_or_else(|| format!("`{value}` is no time: write it like `500ms`, `30s`, `5m` or `1h`"))
}

fn allowance(value: &str) -> Result<Allowance, String> {
    match value.split_once(char::is_whitespace) {
        Some((code, reason)) if !reason.trim().is_empty() => Ok(Allowance {
            code: code.trim_end_matches([',', ':']).into(),
            reason: reason.trim().into(),
        }),
        _ => {
            Err("`allow:` needs a finding's code and the reason, such as `allow: rows-lost …`"
                .into())
        }
    }
}

fn comment(line: &str) -> Option<&str> {
    ["--", "//", "#"].iter().find_map(|marker| line.strip_prefix(marker)).map(str::trim)
}

enum Key {
    Known(&'static str),
    Misspelt(&'static str),
    Prose,
}

fn known(word: &str) -> Key {
    let folded = fold(word).replace('_', "-");
    if let Some(key) = KEYS.iter().find(|key| **key == word) {
        return Key::Known(key);
    }
    // Prose such as `Note:` is far from every key; `Skip-If:` and `skipif:` are near one.
    KEYS.iter()
        .find(|key| folded == **key || strsim::osa_distance(&folded, key) <= 1 + key.len() / 8)
        .map_or(Key::Prose, |key| Key::Misspelt(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Header, String> {
        Header::read(Path::new("1.sql"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn directives_in_any_comment_style() {
        let header = read(
            "#!/bin/sh\n# Note: prose\n# skip-if: SELECT 1\n// timeout: 5m\n\n-- verify: SELECT 2\n\
             -- allow: rows-lost old sessions go\nSELECT 1;\n-- require: not read\n",
        )
        .unwrap();
        assert_eq!(header.skip_if.as_deref(), Some("SELECT 1"));
        assert_eq!(header.timeout, Some(Duration::from_secs(300)));
        assert_eq!(header.verify, ["SELECT 2"]);
        assert_eq!(header.allow[0].code, "rows-lost");
        assert!(header.require.is_empty());
    }

    #[test]
    fn misspelt_ones_are_errors_with_their_line() {
        for wrong in ["skipif: x", "Skip-If: x", "verfy: x", "requires: x", "transactions: none"] {
            let text = format!("-- Note: a\n-- {wrong}\n");
            assert!(read(&text).unwrap_err().contains("1.sql:2:1"), "{wrong}");
        }
        for wrong in ["transaction: off", "timeout: 5 days", "skip-if:", "allow: rows-lost"] {
            assert!(read(&format!("-- {wrong}\n")).is_err(), "{wrong}");
        }
    }
}
