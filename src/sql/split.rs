//! Where statements end: the rule of `sqlite3_complete` (SQLite's documentation of that function).
//!
//! A statement ends at its first semicolon, but a CREATE TRIGGER at the semicolon after the first
//! END that directly follows a semicolon. Columns named `begin` or `end` and CASE … END inside a
//! trigger body are therefore no obstacle.

use super::{
    repeat,
    token::{Token, TokenKind, scan},
};
use std::ops::Range;

/// One statement of a text: from its first meaningful token to its semicolon, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Byte offsets in the text.
    pub span: Range<usize>,
    /// Whether it differs from the statement before it in the values of its VALUES list alone: what
    /// was found out about that one holds for it too.
    pub repeats: bool,
}

impl Statement {
    /// The statement's own text.
    #[must_use]
    pub fn text<'a>(&self, whole: &'a str) -> &'a str {
        &whole[self.span.clone()]
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but EXPLAIN [QUERY PLAN] so far.
    Start,
    /// CREATE [TEMP | TEMPORARY] so far.
    Create,
    /// Any statement but a trigger.
    Normal,
    /// In a trigger, not directly behind a semicolon.
    Trigger,
    /// In a trigger, directly behind a semicolon.
    TriggerSemicolon,
    /// In a trigger, directly behind `; END`.
    TriggerEnd,
}

/// Cuts a text into its statements; empty ones (a lone semicolon, comments only) are left out.
#[must_use]
pub fn split(text: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut state = State::Start;
    let mut start = None;
    let mut end = 0;
    let (mut earlier, mut current) = (Vec::new(), Vec::new());
    for token in scan(text) {
        if token.is_blank() {
            continue;
        }
        if token.kind == TokenKind::Semicolon && start.is_none() {
            continue;
        }
        let first = *start.get_or_insert(token.span.start);
        end = token.span.end;
        let ends_here = token.kind == TokenKind::Semicolon
            && !matches!(state, State::Trigger | State::TriggerSemicolon);
        if ends_here {
            let repeats = repeat::differ_in_values_alone((text, &earlier), (text, &current));
            found.push(Statement { span: first..end, repeats });
            (earlier, current) = (current, earlier);
            current.clear();
            start = None;
            state = State::Start;
        } else {
            state = advance(state, &token, text);
            current.push(token);
        }
    }
    if let Some(first) = start {
        let repeats = repeat::differ_in_values_alone((text, &earlier), (text, &current));
        found.push(Statement { span: first..end, repeats });
    }
    found
}

fn advance(state: State, token: &Token, text: &str) -> State {
    let word = |word| token.is_word(text, word);
    match state {
        State::Start if word("CREATE") => State::Create,
        State::Start if word("EXPLAIN") || word("QUERY") || word("PLAN") => State::Start,
        State::Create if word("TEMP") || word("TEMPORARY") => State::Create,
        State::Create if word("TRIGGER") => State::Trigger,
        State::Start | State::Create | State::Normal => State::Normal,
        State::Trigger | State::TriggerSemicolon if token.kind == TokenKind::Semicolon => {
            State::TriggerSemicolon
        }
        State::TriggerSemicolon if word("END") => State::TriggerEnd,
        State::Trigger | State::TriggerSemicolon | State::TriggerEnd => State::Trigger,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        split(text).iter().map(|statement| &text[statement.span.clone()]).collect()
    }

    #[test]
    fn table() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (";;; -- nothing\n/* ; */", &[]),
            ("SELECT 1", &["SELECT 1"]),
            ("\u{feff}SELECT 1;\r\nSELECT 2;", &["SELECT 1;", "SELECT 2;"]),
            ("-- it's; \nSELECT ';'; SELECT \";\"", &["SELECT ';';", "SELECT \";\""]),
            (
                "CREATE TABLE t (begin, \"end\"); SELECT 1;",
                &["CREATE TABLE t (begin, \"end\");", "SELECT 1;"],
            ),
            (
                "create temp trigger a after insert on t begin select case when 1 then 2 end; \
                 update t set end = 1; end; SELECT 1;",
                &[
                    "create temp trigger a after insert on t begin select case when 1 then 2 end; \
                     update t set end = 1; end;",
                    "SELECT 1;",
                ],
            ),
            (
                "CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1; END",
                &["CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1; END"],
            ),
            (
                "CREATE TABLE trigger_log (a); SELECT 1",
                &["CREATE TABLE trigger_log (a);", "SELECT 1"],
            ),
            (
                "EXPLAIN CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1; END; SELECT 2",
                &["EXPLAIN CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1; END;", "SELECT 2"],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(&texts(text), expected, "{text}");
        }
    }
}
