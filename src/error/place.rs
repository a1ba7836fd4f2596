//! Where in a file something is: line, column and the line's text, for messages with a caret.

use serde::Serialize;
use std::{fmt, path::PathBuf};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, as the user would name it.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line's text.
    pub excerpt: String,
}

impl Place {
    /// The place of a byte offset; an offset behind the end means the end.
    #[must_use]
    pub fn of(file: &std::path::Path, text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let excerpt = text[start..].lines().next().unwrap_or_default();
        Self {
            file: file.into(),
            line: before.matches('\n').count() + 1,
            column: text[start..offset].trim_start_matches('\u{feff}').chars().count() + 1,
            excerpt: excerpt.trim_start_matches('\u{feff}').into(),
        }
    }

    /// The excerpt with its line number and a caret below it, at most `width` columns wide.
    #[must_use]
    pub fn drawing(&self, width: usize) -> String {
        let number = self.line.to_string();
        let room = width.saturating_sub(number.len() + 3).max(20);
        let characters: Vec<char> =
            self.excerpt.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        // A long line is shown around the caret.
        let first = (self.column + 10).saturating_sub(room).min(characters.len());
        let shown: String = characters.iter().skip(first).take(room).collect();
        let caret = " ".repeat((self.column - 1).saturating_sub(first));
        let margin = " ".repeat(number.len());
        format!("{number} | {shown}\n{margin} | {caret}^")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn caret_points_at_the_column() {
        let place = Place::of(Path::new("a.sql"), "one\ntwo thrée four\n", 15);
        assert_eq!(place.to_string(), "a.sql:2:11");
        assert_eq!(place.drawing(80), "2 | two thrée four\n  |           ^");
        let end = Place::of(Path::new("a.sql"), "one\n", 99);
        assert_eq!((end.line, end.column), (2, 1));
    }
}
