//! What a statement is by its words: enough to run it in the right way, never to know its effect.
//!
//! The effect of a statement is what introspection shows; this only tells apart what must not be
//! run as it is (transaction control, PRAGMAs, ATTACH) and names the tables whose rows it may take.

use super::{
    names::fold,
    token::{Token, TokenKind, scan, tokens},
};
use std::collections::BTreeSet;

/// What a statement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// BEGIN, COMMIT, END: the run has its own transaction.
    TransactionControl,
    /// ROLLBACK: what the run would lose with it cannot be told.
    Rollback,
    /// PRAGMA with its folded name, and its argument where it has one.
    Pragma {
        /// The folded name, without a schema.
        name: String,
        /// The argument as written, unquoted and folded.
        argument: Option<String>,
    },
    /// VACUUM: not possible inside a transaction.
    Vacuum,
    /// ATTACH or DETACH.
    Attach,
    /// CREATE, ALTER or DROP.
    Definition,
    /// INSERT, UPDATE, DELETE, REPLACE, or WITH before one of them.
    Data,
    /// SELECT, VALUES, EXPLAIN: changes nothing by itself.
    Query,
    /// REINDEX, ANALYZE.
    Maintenance,
    /// A line of the `sqlite3` shell such as `.read`.
    DotCommand,
    /// Nothing known: SQLite will say.
    Other,
}

impl Class {
    /// Whether it sets one of the numbers in the header of a database that are the application's.
    #[must_use]
    pub fn sets_number(&self) -> bool {
        match self {
            Self::Pragma { name, argument: Some(_) } => {
                name == "user_version" || name == "application_id"
            }
            _ => false,
        }
    }

    /// Whether it sets what a database is as a file, which works only while the file is empty.
    #[must_use]
    pub fn sets_form(&self) -> bool {
        match self {
            Self::Pragma { name, argument: Some(_) } => {
                ["encoding", "page_size", "auto_vacuum"].contains(&name.as_str())
            }
            _ => false,
        }
    }
}

/// Tells what a statement is.
#[must_use]
pub fn classify(text: &str) -> Class {
    let Some(first) = scan(text).find(|token| !token.is_blank()) else { return Class::Other };
    if first.kind == TokenKind::Dot {
        return Class::DotCommand;
    }
    let word = fold(&text[first.span.clone()]);
    match word.as_str() {
        "begin" | "commit" | "end" => Class::TransactionControl,
        "rollback" => Class::Rollback,
        "pragma" => pragma(text, &meaningful(text)),
        "vacuum" => Class::Vacuum,
        "attach" | "detach" => Class::Attach,
        "create" | "alter" | "drop" => Class::Definition,
        "insert" | "update" | "delete" | "replace" => Class::Data,
        "with"
            if scan(text)
                .any(|token| is_any(&token, text, &["insert", "update", "delete", "replace"])) =>
        {
            Class::Data
        }
        "select" | "values" | "explain" | "with" => Class::Query,
        "reindex" | "analyze" => Class::Maintenance,
        _ => Class::Other,
    }
}

/// The folded tables from which a statement may take rows by its own words: the table of a
/// DELETE, of a REPLACE, and of an INSERT or UPDATE that says `OR REPLACE`; in a trigger's body too.
#[must_use]
pub fn takes_rows_from(text: &str) -> BTreeSet<String> {
    let all = meaningful(text);
    let mut found = BTreeSet::new();
    for (at, token) in all.iter().enumerate() {
        let behind = |offset: usize, word: &str| {
            all.get(at + offset).is_some_and(|token| token.is_word(text, word))
        };
        let plain = (token.is_word(text, "delete") && behind(1, "from"))
            || (token.is_word(text, "replace") && behind(1, "into"));
        let update = token.is_word(text, "update") && behind(1, "or") && behind(2, "replace");
        let table = match (plain, update) {
            (true, _) => at + 2,
            (_, true) => at + 3,
            _ => continue,
        };
        found.extend(qualified_name(text, &all, table));
    }
    found
}

/// The folded table that a statement starting with DELETE, INSERT, REPLACE or UPDATE writes to.
#[must_use]
pub fn written_table(text: &str) -> Option<String> {
    let all = meaningful(text);
    let verb = all
        .iter()
        .position(|token| is_any(token, text, &["insert", "update", "delete", "replace"]))?;
    let mut at = verb + 1;
    while all.get(at).is_some_and(|token| {
        is_any(
            token,
            text,
            &["or", "replace", "ignore", "abort", "fail", "rollback", "into", "from"],
        )
    }) {
        at += 1;
    }
    qualified_name(text, &all, at)
}

/// The first word of a statement, as written.
#[must_use]
pub fn first_word(text: &str) -> Option<String> {
    meaningful(text).first().map(|token| text[token.span.clone()].to_string())
}

/// Every folded word or name that a statement mentions.
#[must_use]
pub fn mentions(text: &str) -> BTreeSet<String> {
    tokens(text)
        .iter()
        .filter(|token| token.kind != TokenKind::Text)
        .filter_map(|token| token.name(text))
        .map(|name| fold(&name))
        .collect()
}

/// Whether a name in a statement begins so, also one that is spelt as a string.
#[must_use]
pub fn has_name_with(text: &str, start: &str) -> bool {
    let names = tokens(text).into_iter().filter_map(|token| token.name(text));
    names.map(|name| fold(&name)).any(|name| name.starts_with(start))
}

/// The object of `CREATE … name`, `DROP … name` or `ALTER TABLE name`, with its folded kind.
#[must_use]
pub fn defined_object(text: &str) -> Option<(String, String)> {
    let all = meaningful(text);
    let kinds = ["table", "index", "trigger", "view"];
    let kind = all.iter().take(4).position(|token| is_any(token, text, &kinds))?;
    let mut at = kind + 1;
    while all.get(at).is_some_and(|token| is_any(token, text, &["if", "not", "exists"])) {
        at += 1;
    }
    Some((fold(&text[all[kind].span.clone()]), qualified_name(text, &all, at)?))
}

/// The folded old and new name of `ALTER TABLE old RENAME TO new`.
#[must_use]
pub fn renamed_table(text: &str) -> Option<(String, String)> {
    let (old, at, all) = alteration(text)?;
    let renames = all.get(at)?.is_word(text, "rename") && all.get(at + 1)?.is_word(text, "to");
    renames.then(|| Some((old, fold(&all.get(at + 2)?.name(text)?))))?
}

/// The folded old and new name of `ALTER TABLE … RENAME [COLUMN] old TO new`.
#[must_use]
pub fn renamed_column(text: &str) -> Option<(String, String)> {
    let (_, mut at, all) = alteration(text)?;
    if !all.get(at)?.is_word(text, "rename") || all.get(at + 1)?.is_word(text, "to") {
        return None;
    }
    at += if all.get(at + 1)?.is_word(text, "column") { 2 } else { 1 };
    let (old, new) = (all.get(at)?.name(text)?, all.get(at + 2)?.name(text)?);
    Some((fold(&old), fold(&new)))
}

/// The folded column of `ALTER TABLE … ADD [COLUMN] c …` or `… DROP [COLUMN] c`, by the verb.
#[must_use]
pub fn altered_column(text: &str, verb: &str) -> Option<String> {
    let (_, at, all) = alteration(text)?;
    if !all.get(at)?.is_word(text, verb) {
        return None;
    }
    let named = at + if all.get(at + 1)?.is_word(text, "column") { 2 } else { 1 };
    all.get(named)?.name(text).map(|name| fold(&name))
}

/// The table of an ALTER TABLE, and where its action begins among the tokens.
fn alteration(text: &str) -> Option<(String, usize, Vec<Token>)> {
    let all = meaningful(text);
    if !all.first()?.is_word(text, "alter") {
        return None;
    }
    let table = qualified_name(text, &all, 2)?;
    let qualified = all.get(3).is_some_and(|token| token.kind == TokenKind::Dot);
    Some((table, if qualified { 5 } else { 3 }, all))
}

/// Whether a definition says IF EXISTS or IF NOT EXISTS.
#[must_use]
pub fn is_conditional(text: &str) -> bool {
    let all = meaningful(text);
    all.iter().take(6).any(|token| token.is_word(text, "if"))
        && all.iter().take(8).any(|token| token.is_word(text, "exists"))
}

/// The tokens of a text that are neither blanks nor comments.
#[must_use]
pub fn meaningful(text: &str) -> Vec<Token> {
    tokens(text).into_iter().filter(|token| !token.is_blank()).collect()
}

fn is_any(token: &Token, text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| token.is_word(text, word))
}

pub(super) fn qualified_name(text: &str, all: &[Token], at: usize) -> Option<String> {
    let first = all.get(at)?.name(text)?;
    if all.get(at + 1).is_some_and(|token| token.kind == TokenKind::Dot) {
        return Some(fold(&all.get(at + 2)?.name(text)?));
    }
    Some(fold(&first))
}

fn pragma(text: &str, all: &[Token]) -> Class {
    let mut at = 1;
    if all.get(2).is_some_and(|token| token.kind == TokenKind::Dot) {
        at = 3;
    }
    let name = all.get(at).and_then(|token| token.name(text)).unwrap_or_default();
    let argument = all
        .get(at + 2)
        .map(|token| token.name(text).unwrap_or_else(|| text[token.span.clone()].into()));
    Class::Pragma { name: fold(&name), argument: argument.map(|argument| fold(&argument)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let pragma = |name: &str, argument: Option<&str>| Class::Pragma {
            name: name.into(),
            argument: argument.map(Into::into),
        };
        let cases = [
            ("/* a */ BEGIN IMMEDIATE;", Class::TransactionControl),
            ("pragma main.foreign_keys = OFF", pragma("foreign_keys", Some("off"))),
            ("PRAGMA foreign_keys(0)", pragma("foreign_keys", Some("0"))),
            ("PRAGMA foreign_key_check", pragma("foreign_key_check", None)),
            ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", Class::Data),
            ("WITH a AS (SELECT 1) SELECT * FROM a", Class::Query),
            (".read other.sql", Class::DotCommand),
            ("alter table t add x", Class::Definition),
        ];
        for (text, expected) in cases {
            assert_eq!(classify(text), expected, "{text}");
        }
    }

    #[test]
    fn rows_and_objects() {
        let taken = |text| takes_rows_from(text).into_iter().collect::<Vec<_>>();
        assert_eq!(taken("DELETE FROM main.\"T\" WHERE a"), ["t"]);
        assert_eq!(taken("INSERT OR REPLACE INTO [a b] VALUES (1)"), ["a b"]);
        assert_eq!(taken("INSERT INTO t SELECT 1"), Vec::<String>::new());
        assert_eq!(
            written_table("insert or ignore into main.T (a) select 1").as_deref(),
            Some("t")
        );
        assert_eq!(
            defined_object("CREATE UNIQUE INDEX IF NOT EXISTS \"I\" ON t (a)"),
            Some(("index".into(), "i".into()))
        );
        assert!(is_conditional("DROP TABLE IF EXISTS x"));
    }
}
