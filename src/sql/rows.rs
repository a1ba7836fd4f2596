//! What a data statement does to rows, as far as its words tell: never more than SQLite confirms.

use super::{
    class::{defined_object, meaningful, qualified_name, written_table},
    names::fold,
    token::{Token, TokenKind},
};
use std::collections::BTreeSet;

/// Whether a statement is an INSERT or REPLACE.
#[must_use]
pub fn is_insertion(text: &str) -> bool {
    meaningful(text)
        .iter()
        .find(|token| any_word(token, text, &["insert", "update", "delete", "replace"]))
        .is_some_and(|token| any_word(token, text, &["insert", "replace"]))
}

/// A query for the rows that a statement would change or add, where its form is simple enough:
/// `UPDATE t SET … WHERE …`, `DELETE FROM t WHERE …`, `INSERT INTO t … SELECT …`.
#[must_use]
pub fn affected_rows(text: &str) -> Option<String> {
    let shape = Shape::read(text)?;
    if shape.has(&["returning", "limit"]) {
        return None;
    }
    match shape.verb.as_str() {
        "delete" | "update" if !shape.top_level(&["from", "order"]) => {
            let head = shape.all[shape.target].span.start..shape.all[shape.behind - 1].span.end;
            let filter = shape.position("where").map_or("", |at| {
                let start = shape.all[at].span.start;
                text[start..].trim_end().trim_end_matches(';')
            });
            Some(format!("SELECT 1 FROM {} {filter}", &text[head]))
        }
        "insert" | "replace" if !shape.has(&["conflict"]) => {
            let start = shape.all[shape.position("select")?].span.start;
            Some(text[start..].trim_end().trim_end_matches(';').into())
        }
        _ => None,
    }
}

/// Whether running a statement twice, with nothing in between, is the same as running it once.
///
/// A DELETE is; an UPDATE is where no value that it assigns depends on what it assigns.
#[must_use]
pub fn is_repeatable(text: &str) -> bool {
    let Some(shape) = Shape::read(text) else { return false };
    if shape.has(&["random", "randomblob", "limit", "returning"]) {
        return false;
    }
    let again = |name: &str| {
        shape.all[shape.behind..]
            .iter()
            .any(|token| token.name(text).is_some_and(|found| fold(&found) == name))
    };
    let reads_itself = shape.has(&["select"]) && again(&shape.table);
    match shape.verb.as_str() {
        "delete" => !reads_itself,
        "update" => !reads_itself && assignments(&shape).is_some_and(independent),
        _ => false,
    }
}

/// A data statement that starts with its verb: where its parts are.
struct Shape<'a> {
    text: &'a str,
    all: Vec<Token>,
    verb: String,
    table: String,
    /// The first token of the table's name.
    target: usize,
    /// The token behind the table's name.
    behind: usize,
}

impl<'a> Shape<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let all: Vec<Token> =
            meaningful(text).into_iter().filter(|t| t.kind != TokenKind::Semicolon).collect();
        let verb = fold(&text[all.first()?.span.clone()]);
        let target = match verb.as_str() {
            "delete" => 2,
            "insert" | "replace" => all.iter().position(|t| t.is_word(text, "into"))? + 1,
            "update" if all.get(1)?.is_word(text, "or") => 3,
            "update" => 1,
            _ => return None,
        };
        let table = qualified_name(text, &all, target)?;
        let qualified = all.get(target + 1).is_some_and(|token| token.kind == TokenKind::Dot);
        let behind = target + if qualified { 3 } else { 1 };
        let shape = Self { text, all, verb, table, target, behind };
        let plain = match shape.verb.as_str() {
            // An alias or an INDEXED BY would have to be carried along.
            "update" => shape.all.get(behind)?.is_word(text, "set"),
            "delete" => shape.all.get(behind).is_none_or(|token| token.is_word(text, "where")),
            _ => true,
        };
        plain.then_some(shape)
    }

    fn has(&self, words: &[&str]) -> bool {
        self.all.iter().any(|token| any_word(token, self.text, words))
    }

    /// The place of a word outside of parentheses, behind the table.
    fn position(&self, word: &str) -> Option<usize> {
        let mut depth = 0_usize;
        for (at, token) in self.all.iter().enumerate().skip(self.behind) {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                _ if depth == 0 && token.is_word(self.text, word) => return Some(at),
                _ => {}
            }
        }
        None
    }

    fn top_level(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.position(word).is_some())
    }
}

/// The names that an UPDATE assigns, and those that its values read.
fn assignments(shape: &Shape<'_>) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
    let end = shape.position("where").unwrap_or(shape.all.len());
    if shape.position("from").is_some() {
        return None;
    }
    let (mut assigned, mut read) = (BTreeSet::new(), BTreeSet::new());
    let (mut depth, mut at) = (0_usize, shape.behind + 1);
    let mut is_target = true;
    while at < end {
        let token = &shape.all[at];
        let name = token.name(shape.text).map(|name| fold(&name));
        match token.kind {
            // `SET (a, b) = (…)`.
            TokenKind::Open if is_target => return None,
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            TokenKind::Comma if depth == 0 => is_target = true,
            TokenKind::Operator if is_target => is_target = false,
            _ if is_target => assigned.extend(name),
            TokenKind::Text => {}
            _ => read.extend(name),
        }
        at += 1;
    }
    Some((assigned, read))
}

fn independent((assigned, read): (BTreeSet<String>, BTreeSet<String>)) -> bool {
    assigned.is_disjoint(&read)
}

fn any_word(token: &Token, text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| token.is_word(text, word))
}

/// The folded table of an INSERT, or of a CREATE TABLE … AS, whose rows come from a query over
/// these folded words.
#[must_use]
pub fn copied_rows(text: &str) -> Option<(String, BTreeSet<String>)> {
    let all = meaningful(text);
    let table = match all.first()? {
        first if first.is_word(text, "create") => {
            defined_object(text).filter(|(kind, _)| kind == "table").map(|(_, name)| name)
        }
        _ if is_insertion(text) => written_table(text),
        _ => None,
    }?;
    let select = all.iter().position(|token| token.is_word(text, "select"))?;
    let words = all[select..].iter().filter(|token| token.kind != TokenKind::Text);
    let words = words.filter_map(|token| token.name(text)).map(|name| fold(&name)).collect();
    Some((table, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affected() {
        let cases = [
            ("UPDATE t SET a = 1;", Some("SELECT 1 FROM t ")),
            ("UPDATE main.\"t\" SET a = 1 WHERE b", Some("SELECT 1 FROM main.\"t\" WHERE b")),
            ("DELETE FROM t WHERE (a) ;", Some("SELECT 1 FROM t WHERE (a) ")),
            ("INSERT INTO t (a) SELECT 1 WHERE 0;", Some("SELECT 1 WHERE 0")),
            ("INSERT INTO t VALUES (1)", None),
            ("UPDATE t AS x SET a = 1", None),
            ("UPDATE t SET a = 1 FROM u WHERE b", None),
            ("WITH x AS (SELECT 1) DELETE FROM t", None),
        ];
        for (text, expected) in cases {
            assert_eq!(affected_rows(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn repeatable() {
        for text in [
            "UPDATE t SET a = 'a', b = c + 1 WHERE a = 2",
            "UPDATE t SET a = (SELECT x FROM u WHERE u.id = c)",
            "DELETE FROM t WHERE a IN (SELECT id FROM u)",
        ] {
            assert!(is_repeatable(text), "{text}");
        }
        for text in [
            "UPDATE t SET a = a + 1",
            "UPDATE t SET a = b, b = a",
            "UPDATE t SET a = random()",
            "UPDATE t SET a = (SELECT count(*) FROM t)",
            "DELETE FROM t WHERE id NOT IN (SELECT max(id) FROM t GROUP BY a)",
            "INSERT INTO t VALUES (1)",
        ] {
            assert!(!is_repeatable(text), "{text}");
        }
    }
}
