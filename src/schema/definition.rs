//! What only the stored CREATE TABLE text tells: CHECKs, collations, generated expressions,
//! conflict clauses, AUTOINCREMENT and deferred foreign keys. PRAGMAs tell the rest.

use crate::sql::{
    fold,
    names::normalise_tokens,
    token::{Token, TokenKind, tokens},
};
use std::collections::BTreeMap;

/// The facts that a CREATE TABLE text adds to what PRAGMAs show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// By folded column: collation, generated expression and conflict clauses, canonical.
    pub columns: BTreeMap<String, String>,
    /// Canonical CHECK expressions, of columns and of the table.
    pub checks: Vec<String>,
    /// Canonical texts of foreign key clauses that are deferrable, by their first folded column.
    pub deferred: BTreeMap<String, String>,
    /// Whether the primary key is AUTOINCREMENT.
    pub autoincrement: bool,
}

/// Reads a CREATE TABLE text; one without a column list (AS SELECT, virtual) has no such facts.
#[must_use]
pub fn read(text: &str, is_name: &dyn Fn(&str) -> bool) -> Definition {
    let all: Vec<Token> = tokens(text).into_iter().filter(|token| !token.is_blank()).collect();
    let mut definition = Definition::default();
    for item in items(&all) {
        let reader = Reader { text, item, is_name };
        reader.read(&mut definition);
    }
    definition
}

/// The top-level items of the first parenthesis: columns and table constraints.
fn items(all: &[Token]) -> Vec<&[Token]> {
    let Some(open) = all.iter().position(|token| token.kind == TokenKind::Open) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut start = open + 1;
    for (at, token) in all.iter().enumerate().skip(open) {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => {
                depth -= 1;
                if depth == 0 {
                    found.push(&all[start..at]);
                    break;
                }
            }
            TokenKind::Comma if depth == 1 => {
                found.push(&all[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

struct Reader<'a> {
    text: &'a str,
    item: &'a [Token],
    is_name: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    fn read(&self, definition: &mut Definition) {
        let Some(first) = self.item.first() else { return };
        let constraint = ["constraint", "primary", "unique", "check", "foreign"];
        let is_column = !constraint.iter().any(|word| first.is_word(self.text, word));
        let column = first.name(self.text).map(|name| fold(&name)).unwrap_or_default();
        let mut extra = String::new();
        let mut at = usize::from(is_column);
        let mut foreign = if is_column { column.clone() } else { String::new() };
        while at < self.item.len() {
            let next = self.after_group(at + 1);
            if self.word(at, "check") {
                definition.checks.push(self.canonical(at + 2, next.saturating_sub(1)));
            } else if self.word(at, "collate") && is_column {
                extra.push_str(&format!(" collate {}", self.canonical(at + 1, at + 2)));
            } else if self.word(at, "as") && is_column {
                extra.push_str(&format!(" as {}", self.canonical(at + 1, next)));
            } else if self.word(at, "conflict") {
                extra.push_str(&format!(" on conflict {}", self.canonical(at + 1, at + 2)));
            } else if self.word(at, "autoincrement") {
                definition.autoincrement = true;
            } else if self.word(at, "foreign") {
                foreign = self.canonical(at + 3, at + 4);
            } else if self.word(at, "deferrable") && !self.word(at.wrapping_sub(1), "not") {
                let initially = self.word(at + 1, "initially") && self.word(at + 2, "deferred");
                if initially {
                    definition.deferred.insert(foreign.clone(), " deferred".into());
                }
            }
            at = if self.word(at, "check") || self.word(at, "as") { next } else { at + 1 };
        }
        if is_column && !extra.is_empty() {
            definition.columns.insert(column, extra);
        } else if !extra.is_empty() {
            // A conflict clause of a table constraint has no column of its own.
            definition.columns.entry(String::new()).or_default().push_str(&extra);
        }
    }

    fn word(&self, at: usize, word: &str) -> bool {
        self.item.get(at).is_some_and(|token| token.is_word(self.text, word))
    }

    /// The position behind the parenthesis that opens at `at`, or `at` where none does.
    fn after_group(&self, at: usize) -> usize {
        if self.item.get(at).is_none_or(|token| token.kind != TokenKind::Open) {
            return at;
        }
        let mut depth = 0_usize;
        for (position, token) in self.item.iter().enumerate().skip(at) {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return position + 1;
            }
        }
        self.item.len()
    }

    fn canonical(&self, from: usize, to: usize) -> String {
        let to = to.min(self.item.len());
        normalise_tokens(self.text, &self.item[from.min(to)..to], self.is_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_pragmas_hide() {
        let text = "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, \
            b TEXT COLLATE NOCASE CHECK (b <> ','), -- x, y\n\
            c AS (a + 1) STORED, \"check\" INT UNIQUE ON CONFLICT IGNORE, \
            d INT REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED, \
            CONSTRAINT positive CHECK ((a) > 0), FOREIGN KEY (b) REFERENCES q) STRICT";
        let definition = read(text, &|_| true);
        assert_eq!(definition.checks, ["b <> ','", "( a ) > 0"]);
        assert_eq!(definition.columns["b"], " collate nocase");
        assert_eq!(definition.columns["c"], " as ( a + 1 )");
        assert_eq!(definition.columns["check"], " on conflict ignore");
        assert!(definition.autoincrement);
        assert_eq!(definition.deferred.keys().collect::<Vec<_>>(), ["d"]);
    }
}
