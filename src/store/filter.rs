//! Which paths a list of patterns means; used for excluding, for including and for `--only`.
//!
//! A pattern that begins with `/` means exactly that path from the data directory on. One without `/` is compared with every part of a path, so `cache` means that folder
//! wherever it lies; one with `/` is compared with the path from its beginning. A pattern that
//! means a folder means all that is in it.

use super::StoredPath;
use crate::{database::SIDE_SUFFIXES, error::StoreError};
use glob::{MatchOptions, Pattern};
use std::collections::BTreeSet;

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A list of patterns.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    patterns: Vec<Meaning>,
    /// Lists that each must mean a path, or the filter does: what is not included is left out.
    included: Vec<Vec<Meaning>>,
    /// Paths that it means besides, each alone.
    paths: BTreeSet<StoredPath>,
}

/// A pattern, and where it may match.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Meaning {
    /// As it was given.
    text: String,
    pattern: Pattern,
    place: Where,
}

/// With which part of a path a pattern is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// With every part.
    Anywhere,
    /// With the path from its beginning.
    Beginning,
}

impl Filter {
    /// Compiles patterns such as `*.log`, `cache` or `tenants/*.db`.
    ///
    /// # Errors
    /// [`StoreError::BadPattern`] names the first that is malformed.
    pub fn new<T: AsRef<str>>(patterns: &[T]) -> Result<Self, StoreError> {
        Ok(Self { patterns: compiled(patterns)?, ..Self::default() })
    }

    /// A filter that means these paths, each alone.
    pub(crate) fn of_paths(paths: impl Iterator<Item = StoredPath>) -> Self {
        Self { paths: paths.collect(), ..Self::default() }
    }

    /// The first pattern that means none of these paths.
    pub(crate) fn unmatched<'a>(
        &self,
        paths: impl Iterator<Item = &'a StoredPath> + Clone,
    ) -> Option<&str> {
        let matches = |pattern: &Meaning| {
            let pattern = std::slice::from_ref(pattern);
            paths.clone().any(|path| mean(pattern, &path.as_path().to_string_lossy()))
        };
        self.patterns.iter().find(|pattern| !matches(pattern)).map(|it| it.text.as_str())
    }

    /// A filter of what a backup leaves out: what the first list means, and what the second does
    /// not, unless that is empty.
    ///
    /// # Errors
    /// [`StoreError::BadPattern`] names the first that is malformed.
    pub fn leaving_out<T: AsRef<str>>(excluded: &[T], included: &[T]) -> Result<Self, StoreError> {
        let mut filter = Self::new(excluded)?;
        if !included.is_empty() {
            filter.included.push(compiled(included)?);
        }
        Ok(filter)
    }

    /// Whether there is no pattern in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.included.is_empty() && self.paths.is_empty()
    }

    /// Whether a pattern means the path or a folder above it, or a list of what is included does
    /// not.
    #[must_use]
    pub fn matches(&self, path: &StoredPath) -> bool {
        self.excludes(path) || !self.includes(path)
    }

    /// Whether a pattern means the path or a folder above it.
    pub(crate) fn excludes(&self, path: &StoredPath) -> bool {
        mean(&self.patterns, &path.as_path().to_string_lossy()) || self.paths.contains(path)
    }

    /// Whether every list of what is included means the path. The log of a database goes with it.
    fn includes(&self, path: &StoredPath) -> bool {
        let text = path.as_path().to_string_lossy();
        let without = SIDE_SUFFIXES.iter().find_map(|suffix| text.strip_suffix(suffix));
        let meant = |list: &Vec<Meaning>| {
            mean(list, &text) || without.is_some_and(|database| mean(list, database))
        };
        self.included.iter().all(meant)
    }

    /// The patterns as they were given.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.patterns.iter().map(|pattern| pattern.text.clone()).collect()
    }

    /// The patterns of what is included, as they were given.
    #[must_use]
    pub fn included_texts(&self) -> Vec<String> {
        self.included.iter().flatten().map(|pattern| pattern.text.clone()).collect()
    }

    /// A filter that means what either of two means.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut patterns = self.patterns.clone();
        patterns.extend(other.patterns.iter().filter(|it| !self.patterns.contains(it)).cloned());
        let mut included = self.included.clone();
        included.extend(other.included.iter().filter(|it| !self.included.contains(it)).cloned());
        let paths = self.paths.union(&other.paths).cloned().collect();
        Self { patterns, included, paths }
    }
}

fn compiled<T: AsRef<str>>(patterns: &[T]) -> Result<Vec<Meaning>, StoreError> {
    let compile = |text: &T| {
        let text = text.as_ref();
        let trimmed = text.strip_prefix("./").unwrap_or(text).trim_end_matches('/');
        let pattern = trimmed.strip_prefix('/').unwrap_or(trimmed);
        let place = if trimmed.contains('/') { Where::Beginning } else { Where::Anywhere };
        let pattern = Pattern::new(pattern).map_err(|error| StoreError::BadPattern {
            pattern: text.into(),
            reason: error.to_string(),
        })?;
        Ok(Meaning { text: trimmed.into(), pattern, place })
    };
    patterns.iter().map(compile).collect()
}

fn mean(patterns: &[Meaning], text: &str) -> bool {
    let matches = |Meaning { pattern, place, .. }: &Meaning| match place {
        Where::Beginning => {
            let ends = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|end| pattern.matches_with(&text[..end], OPTIONS))
        }
        Where::Anywhere => text.split('/').any(|part| pattern.matches_with(part, OPTIONS)),
    };
    patterns.iter().any(matches)
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
            ("/app.db", "app.db", true),
            ("/app.db", "sub/app.db", false),
            ("/cache/", "cache/x", true),
            ("/cache", "web/cache/x", false),
            ("/sub/*.db", "sub/app.db", true),
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

    #[test]
    fn what_is_not_included_is_left_out_and_excluding_goes_first() {
        let filter = Filter::leaving_out(&["*.log"], &["app.db", "uploads/*"]).unwrap();
        let all = Filter::leaving_out(&["*.log"], &[]).unwrap();
        let both = filter.or(&Filter::leaving_out(&[], &["uploads"]).unwrap());
        for (path, by_filter, by_all, by_both) in [
            ("app.db", false, false, true),
            ("app.db-wal", false, false, true),
            ("sub/app.db", false, false, true),
            ("other.db", true, false, true),
            ("uploads", true, false, false),
            ("uploads/a", false, false, false),
            ("uploads/a/b", false, false, false),
            ("uploads/a.log", true, true, true),
        ] {
            let stored = StoredPath::new(path).unwrap();
            assert_eq!(filter.matches(&stored), by_filter, "{path}");
            assert_eq!(all.matches(&stored), by_all, "{path}");
            // Both must include it; the folder itself only the second one does.
            assert_eq!(both.matches(&stored), by_both || by_filter, "{path}");
        }
    }
}
