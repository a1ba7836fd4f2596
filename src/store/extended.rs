//! Extended attributes: what users and access control lists add to a file beside its mode.

use super::path::{Escaped, escape, unescape};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names longer than this are none (xattr(7)).
const LONGEST_NAME: usize = 255;
/// Values longer than this are none (xattr(7)).
const LONGEST_VALUE: usize = 65_536;

/// The extended attributes of a path, by name; in JSON their values are escaped as paths are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Escaped>", into = "BTreeMap<String, Escaped>")]
pub struct Extended(BTreeMap<String, Vec<u8>>);

impl Extended {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Adds one.
    ///
    /// # Errors
    /// One phrase, where it is none that a backup holds.
    pub(crate) fn insert(&mut self, name: &str, value: Vec<u8>) -> Result<(), &'static str> {
        if !is_kept(name) {
            return Err("no backup holds an extended attribute of this name");
        }
        if value.len() > LONGEST_VALUE {
            return Err("the value of an extended attribute is too long");
        }
        self.0.insert(name.into(), value);
        Ok(())
    }
}

/// Whether a backup holds attributes of this name: those of users, access control lists, and
/// security labels. Capabilities are left out as set-user-id is: an archive must not bring any.
/// Measurements of the kernel (`ima`, `evm`) are of the file as it was, and it makes them again.
pub(crate) fn is_kept(name: &str) -> bool {
    let known = match name.split_once('.') {
        Some(("user", rest)) => !rest.is_empty(),
        Some(("system", rest)) => matches!(rest, "posix_acl_access" | "posix_acl_default"),
        Some(("security", rest)) => !matches!(rest, "" | "capability" | "ima" | "evm"),
        _ => false,
    };
    // An equals sign would end the name in the archive.
    known && name.len() <= LONGEST_NAME && !name.contains(['=', '\0', '\n'])
}

impl From<Extended> for BTreeMap<String, Escaped> {
    fn from(extended: Extended) -> Self {
        extended.0.into_iter().map(|(name, value)| (name, Escaped(escape(&value)))).collect()
    }
}

impl TryFrom<BTreeMap<String, Escaped>> for Extended {
    type Error = &'static str;

    fn try_from(listed: BTreeMap<String, Escaped>) -> Result<Self, &'static str> {
        let mut extended = Self::default();
        for (name, text) in listed {
            let value = unescape(&text.0).ok_or("a value has a malformed escape")?;
            extended.insert(&name, value)?;
        }
        Ok(extended)
    }
}

#[cfg(test)]
mod tests {
    use super::Extended;

    #[test]
    fn any_value_passes_through_json() {
        let mut extended = Extended::default();
        extended.insert("user.ä b", (0..=255).collect()).unwrap();
        let json = serde_json::to_string(&extended).unwrap();
        assert_eq!(serde_json::from_str::<Extended>(&json).unwrap(), extended);
    }

    #[test]
    fn names_that_would_do_harm_are_refused() {
        let names = ["security.capability", "trusted.x", "user.", "user.a=b", "system.x", "x"];
        for name in names {
            assert!(Extended::default().insert(name, Vec::new()).is_err(), "{name}");
            let json = format!("{{\"{name}\": \"\"}}");
            assert!(serde_json::from_str::<Extended>(&json).is_err(), "{name}");
        }
    }
}
