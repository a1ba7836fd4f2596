//! Which paths a list of patterns means; used for excluding and for `--only`.
//!
//! A pattern without `/` is compared with every part of a path, so `cache` means that folder
//! wherever it lies; one with `/` is compared with the path from its beginning. A pattern that
//! means a folder means all that is in it.

use super::StoredPath;
use crate::error::StoreError;
use glob::{MatchOptions, Pattern};

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A list of patterns.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    patterns: Vec<Pattern>,
}

impl Filter {
    /// Compiles patterns such as `*.log`, `cache` or `tenants/*.db`.
    ///
    /// # Errors
    /// [`StoreError::BadPattern`] names the first that is malformed.
    pub fn new<T: AsRef<str>>(patterns: &[T]) -> Result<Self, StoreError> {
        let compile = |text: &T| {
            let text = text.as_ref();
            let trimmed = text.strip_prefix("./").unwrap_or(text).trim_end_matches('/');
            Pattern::new(trimmed).map_err(|error| StoreError::BadPattern {
                pattern: text.into(),
                reason: error.to_string(),
            })
        };
        Ok(Self { patterns: patterns.iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// Whether there is no pattern in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a pattern means the path or a folder above it.
    #[must_use]
    pub fn matches(&self, path: &StoredPath) -> bool {
        let text = path.as_path().to_string_lossy();
        self.patterns.iter().any(|pattern| {
            if pattern.as_str().contains('/') {
                let ends = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
                ends.into_iter().any(|end| pattern.matches_with(&text[..end], OPTIONS))
            } else {
                text.split('/').any(|part| pattern.matches_with(part, OPTIONS))
            }
        })
    }

    /// The patterns as they were given.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect()
    }

    /// A filter that means what either of two means.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut patterns = self.patterns.clone();
        patterns.extend(other.patterns.iter().filter(|it| !self.patterns.contains(it)).cloned());
        Self { patterns }
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, StoredPath};

    #[test]
    fn patterns_mean_what_the_documentation_says() {
        let cases = [
            ("*.log", "a.log", true),
            ("*.log", "logs/a.log", true),
            ("*.log", "a.log.gz", false),
            ("cache", "cache/x/y", true),
            ("cache", "web/cache/x", true),
            ("cache/", "cache/x", true),
            ("cache", "cached", false),
            ("tenants/*.db", "tenants/a.db", true),
            ("tenants/*.db", "x/tenants/a.db", false),
            ("tenants/*.db", "tenants/a/b.db", false),
            ("web/cache", "web/cache/x", true),
            ("**/tmp/*", "a/b/tmp/x", true),
        ];
        for (pattern, path, expected) in cases {
            let path = StoredPath::new(path).unwrap();
            assert_eq!(
                Filter::new(&[pattern]).unwrap().matches(&path),
                expected,
                "{pattern} {path}"
            );
        }
        assert!(Filter::new(&["[a"]).is_err());
    }
}
