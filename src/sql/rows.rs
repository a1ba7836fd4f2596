//! The parts of a data statement: where an INSERT names columns, and what it does with a taken key.

use super::{
    class::{defined_object, meaningful, written_table},
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

/// Whether a statement says itself what becomes of rows that are in conflict: `OR IGNORE`,
/// `OR REPLACE`, `REPLACE INTO`, `ON CONFLICT`. A constraint of the table may say so as well.
#[must_use]
pub fn resolves_conflicts(text: &str) -> bool {
    let all = meaningful(text);
    let pair = |one: &str, others: &[&str]| {
        all.windows(2).any(|pair| pair[0].is_word(text, one) && any_word(&pair[1], text, others))
    };
    // Where a statement may begin with WITH, its verb comes later; none of these pairs is a name.
    pair("insert", &["or"]) && pair("or", &["ignore", "replace"])
        || pair("update", &["or"]) && pair("or", &["ignore", "replace"])
        || pair("replace", &["into"])
        || pair("on", &["conflict"])
}

/// An INSERT without its ON CONFLICT clauses; any other statement as it is.
#[must_use]
pub fn before_conflict_clause(text: &str) -> &str {
    let all = meaningful(text);
    let mut depth = 0_usize;
    for (at, token) in all.iter().enumerate() {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ if depth == 0
                && token.is_word(text, "on")
                && all.get(at + 1).is_some_and(|next| next.is_word(text, "conflict")) =>
            {
                return &text[..token.span.start];
            }
            _ => {}
        }
    }
    text
}

/// An UPDATE without its WHERE clause and what follows; none where it has a FROM clause, or says what a
/// taken key means, or where it is no UPDATE.
#[must_use]
pub fn assignments(text: &str) -> Option<&str> {
    let all = meaningful(text);
    if !all.first()?.is_word(text, "update") || all.get(1)?.is_word(text, "or") {
        return None;
    }
    let mut depth = 0_usize;
    for token in &all {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ if depth == 0 && token.is_word(text, "from") => return None,
            _ if depth == 0 && any_word(token, text, &["where", "returning", "order", "limit"]) => {
                return Some(&text[..token.span.start]);
            }
            _ => {}
        }
    }
    Some(text)
}

/// The folded words in the queries inside a statement, and those that follow IN without one.
#[must_use]
pub fn names_in_queries(text: &str) -> BTreeSet<String> {
    let all = meaningful(text);
    let (mut found, mut depths) = (BTreeSet::new(), Vec::new());
    for (at, token) in all.iter().enumerate() {
        let next_is = |words: &[&str]| all.get(at + 1).is_some_and(|it| any_word(it, text, words));
        match token.kind {
            TokenKind::Open => depths.push(next_is(&["select", "with", "values"])),
            TokenKind::Close => drop(depths.pop()),
            _ => {
                let after_in = at > 0 && all[at - 1].is_word(text, "in");
                let qualifies = all.get(at + 1).is_some_and(|it| it.kind == TokenKind::Dot);
                if (depths.contains(&true) || after_in) && !qualifies {
                    found.extend(token.name(text).map(|name| fold(&name)));
                }
            }
        }
    }
    found
}

/// Whether a statement stops after so many rows: which ones is open.
#[must_use]
pub fn is_limited(text: &str) -> bool {
    meaningful(text).iter().any(|token| token.is_word(text, "limit"))
}

/// A plain INSERT as INSERT OR REPLACE; none where it says by itself what a taken key means.
#[must_use]
pub fn replacing(text: &str) -> Option<String> {
    let all = meaningful(text);
    let insert = all
        .iter()
        .position(|token| any_word(token, text, &["insert", "update", "delete", "replace"]))?;
    let plain = all[insert].is_word(text, "insert")
        && all.get(insert + 1)?.is_word(text, "into")
        && before_conflict_clause(text).len() == text.len();
    let end = all[insert].span.end;
    plain.then(|| format!("{} OR REPLACE{}", &text[..end], &text[end..]))
}

/// Whether an INSERT gives its values by the position of the columns: it names none.
#[must_use]
pub fn is_by_position(text: &str) -> bool {
    let all = meaningful(text);
    let Some(into) = all.iter().position(|token| token.is_word(text, "into")) else { return false };
    let qualified = all.get(into + 2).is_some_and(|token| token.kind == TokenKind::Dot);
    let mut at = into + if qualified { 4 } else { 2 };
    if all.get(at).is_some_and(|token| token.is_word(text, "as")) {
        at += 2;
    }
    is_insertion(text)
        && all
            .get(at)
            .is_some_and(|token| token.kind != TokenKind::Open && !token.is_word(text, "default"))
}

/// Whether a statement takes the columns of a table in their order: `SELECT *` or `t.*`, in a query at any
/// depth. What it gives back (`RETURNING *`) and `count(*)` do not count.
#[must_use]
pub fn takes_all_columns(text: &str) -> bool {
    meaningful(text).windows(2).any(|pair| {
        let is_item = matches!(pair[0].kind, TokenKind::Comma | TokenKind::Dot)
            || any_word(&pair[0], text, &["select", "distinct", "all"]);
        is_item && &text[pair[1].span.clone()] == "*"
    })
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
    fn conflicts() {
        for text in [
            "INSERT OR IGNORE INTO n SELECT a FROM t",
            "WITH x AS (SELECT 1) REPLACE INTO n SELECT * FROM x",
            "INSERT INTO n SELECT a FROM t WHERE true ON CONFLICT DO NOTHING",
            "update or replace n set a = 1",
        ] {
            assert!(resolves_conflicts(text), "{text}");
        }
        for text in [
            "INSERT INTO n SELECT replace(a, 'x', 'y'), ignore, \"conflict\" FROM t",
            "INSERT OR ABORT INTO n SELECT 'on conflict' FROM t",
            "INSERT INTO n SELECT a FROM t JOIN u ON u.id = t.id",
        ] {
            assert!(!resolves_conflicts(text), "{text}");
        }
    }

    #[test]
    fn all_columns() {
        for (text, expected) in [
            ("INSERT INTO n SELECT * FROM t", true),
            ("INSERT INTO n SELECT 1, * FROM t", true),
            ("INSERT INTO n SELECT DISTINCT t.* FROM t", true),
            ("WITH x AS (SELECT * FROM t) INSERT INTO n SELECT a FROM x", true),
            ("INSERT INTO n SELECT count(*), a * 2, (a) * b FROM t", false),
            ("INSERT INTO n (a) VALUES (1) RETURNING *", false),
            ("INSERT INTO n SELECT '*', \"select\" FROM t -- *", false),
        ] {
            assert_eq!(takes_all_columns(text), expected, "{text}");
        }
    }

    #[test]
    fn insertions() {
        let cases = [
            ("INSERT INTO t VALUES (1)", Some("INSERT OR REPLACE INTO t VALUES (1)")),
            (
                "with x as (select 1) insert into t select * from x",
                Some("with x as (select 1) insert OR REPLACE into t select * from x"),
            ),
            ("INSERT OR IGNORE INTO t VALUES (1)", None),
            ("REPLACE INTO t VALUES (1)", None),
            ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", None),
            ("UPDATE t SET a = 1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(replacing(text).as_deref(), expected, "{text}");
        }
        let head = before_conflict_clause("INSERT INTO t VALUES ((1)) on Conflict (a) DO NOTHING");
        assert_eq!(head, "INSERT INTO t VALUES ((1)) ");
        assert!(is_by_position("INSERT INTO main.n SELECT * FROM t"));
        assert!(is_by_position("INSERT INTO n AS x VALUES (1)"));
        assert!(!is_by_position("INSERT INTO n (a) SELECT * FROM t"));
        assert!(!is_by_position("INSERT INTO n DEFAULT VALUES"));
        assert!(!is_by_position("UPDATE n SET a = 1"));
    }
}
