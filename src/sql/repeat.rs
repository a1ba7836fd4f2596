//! Whether two statements are one statement with other values, as the lines of a data file are.
//!
//! SQLite compiles such statements to the same program, so a question about one is answered for
//! all. It must never say so of statements of which SQLite could accept one and refuse the other.

use super::token::{Token, TokenKind};

/// Words after VALUES behind which a literal may be a name or a place instead of a value.
const NOT_ONLY_VALUES: [&str; 5] = ["select", "values", "on", "returning", "collate"];

/// Whether two statements, given by their texts and meaningful tokens, are `INSERT … VALUES …` and differ
/// in nothing but literals after VALUES.
pub fn differ_in_values_alone(
    (one_text, one): (&str, &[Token]),
    (text, other): (&str, &[Token]),
) -> bool {
    let word = |token: &Token| &text[token.span.clone()];
    let one_word = |token: &Token| &one_text[token.span.clone()];
    let Some(first) = other.first() else { return false };
    if one.len() != other.len() || !["insert", "replace"].iter().any(|it| first.is_word(text, it)) {
        return false;
    }
    let mut in_values = false;
    for (a, b) in one.iter().zip(other) {
        if a.kind != b.kind {
            return false;
        }
        let is_value = in_values && (a.kind == TokenKind::Text || is_plain(one_word(a), word(b)));
        if !is_value && one_word(a) != word(b) {
            return false;
        }
        if b.kind == TokenKind::Word {
            if in_values && NOT_ONLY_VALUES.iter().any(|it| b.is_word(text, it)) {
                return false;
            }
            in_values |= b.is_word(text, "values");
        }
    }
    in_values
}

/// Whether both are numbers or blobs that SQLite accepts in every place where it accepts one.
fn is_plain(one: &str, other: &str) -> bool {
    [one, other].iter().all(|literal| match literal.as_bytes() {
        [b'x' | b'X', b'\'', digits @ .., b'\''] => {
            digits.len() % 2 == 0 && digits.iter().all(u8::is_ascii_hexdigit)
        }
        digits => {
            digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
                && digits.iter().any(u8::is_ascii_digit)
                && digits.iter().filter(|byte| **byte == b'.').count() < 2
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::sql::split;

    #[test]
    fn table() {
        let cases = [
            ("INSERT INTO t VALUES (1, 'a'); INSERT INTO t VALUES (2, 'it''s');", true),
            ("INSERT INTO t (a) VALUES (-1.5), (x'00'); insert INTO t (a) VALUES (2), (3)", false),
            ("INSERT INTO t (a) VALUES (-1.5), (x'00'); INSERT INTO t (a) VALUES (-2), (3)", true),
            (
                "REPLACE INTO t VALUES (f('a'), NULL);\n-- more\nREPLACE INTO t VALUES (f('b'), NULL);",
                true,
            ),
            ("INSERT INTO t VALUES (1); INSERT INTO u VALUES (1);", false),
            ("INSERT INTO 't' VALUES (1); INSERT INTO 'u' VALUES (1);", false),
            ("INSERT INTO t VALUES (1); INSERT INTO t VALUES ('a');", false),
            ("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1a);", false),
            ("INSERT INTO t VALUES (x'00'); INSERT INTO t VALUES (x'0');", false),
            ("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1, 2);", false),
            ("INSERT INTO t VALUES (f()); INSERT INTO t VALUES (g());", false),
            (
                "INSERT INTO t VALUES ('a' COLLATE 'nocase'); INSERT INTO t VALUES ('a' COLLATE 'x');",
                false,
            ),
            (
                "INSERT INTO t VALUES ((SELECT 1 ORDER BY 1)); INSERT INTO t VALUES ((SELECT 1 ORDER BY 2));",
                false,
            ),
            (
                "INSERT INTO t VALUES (1) ON CONFLICT ('a') DO NOTHING; INSERT INTO t VALUES (1) ON CONFLICT ('b') DO NOTHING;",
                false,
            ),
            ("INSERT INTO t SELECT 1; INSERT INTO t SELECT 2;", false),
            ("UPDATE t SET a = 1; UPDATE t SET a = 2;", false),
        ];
        for (text, expected) in cases {
            let statements = split(text);
            assert!(!statements[0].repeats, "{text}");
            assert_eq!(statements[1].repeats, expected, "{text}");
        }
    }
}
