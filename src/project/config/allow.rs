//! `[allow]`: findings that are intended, for files that must not be edited because they ran elsewhere.

use crate::history::Allowance;
use std::{collections::BTreeMap, ops::Range};
use toml::Spanned;

/// By `VERSION` or `TARGET/VERSION`, then by code, the reason.
pub type Keys = BTreeMap<String, BTreeMap<String, Spanned<String>>>;

/// By `VERSION` or `TARGET/VERSION`.
pub type Allowed = BTreeMap<String, Vec<Allowance>>;

/// Reads the table.
///
/// # Errors
/// A place in the file with what is wrong there.
pub fn read(keys: &Keys) -> Result<Allowed, (Range<usize>, String)> {
    let mut allowed = Allowed::new();
    for (key, codes) in keys {
        let mut allowances = Vec::new();
        for (code, reason) in codes {
            if reason.get_ref().trim().is_empty() {
                return Err((reason.span(), format!("`allow.{key}`: `{code}` needs the reason")));
            }
            allowances.push(Allowance { code: code.clone(), reason: reason.get_ref().clone() });
        }
        allowed.insert(key.clone(), allowances);
    }
    Ok(allowed)
}
