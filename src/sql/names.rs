//! Names and canonical text: two spellings of the same definition become the same string.

use super::token::{Token, TokenKind, tokens, unquote};

/// A name in the form in which SQLite compares names: ASCII letters lowered.
#[must_use]
pub fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// A name as a quoted identifier.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Canonical text: one space between tokens, no comments, keywords and names folded and unquoted
/// where they can be.
///
/// `is_name` tells whether a folded word is a name of the schema: SQLite takes a double-quoted
/// word that is none for a string, whose letter case matters.
#[must_use]
pub fn normalise(text: &str, is_name: &dyn Fn(&str) -> bool) -> String {
    let mut canonical = String::with_capacity(text.len());
    for token in tokens(text) {
        append(&mut canonical, text, &token, is_name);
    }
    canonical
}

/// Canonical text of a run of tokens of `text`.
pub(crate) fn normalise_tokens(
    text: &str,
    tokens: &[Token],
    is_name: &dyn Fn(&str) -> bool,
) -> String {
    let mut canonical = String::new();
    for token in tokens {
        append(&mut canonical, text, token, is_name);
    }
    canonical
}

fn append(canonical: &mut String, text: &str, token: &Token, is_name: &dyn Fn(&str) -> bool) {
    if token.is_blank() || token.kind == TokenKind::Semicolon {
        return;
    }
    if !canonical.is_empty() {
        canonical.push(' ');
    }
    let raw = &text[token.span.clone()];
    match token.kind {
        TokenKind::Word | TokenKind::Literal => canonical.push_str(&fold(raw)),
        TokenKind::Bracketed => canonical.push_str(&bare(&fold(&unquote(raw)))),
        TokenKind::Quoted => {
            let name = unquote(raw);
            let folded = fold(&name);
            if is_name(&folded) {
                canonical.push_str(&bare(&folded));
            } else {
                canonical.push_str(raw);
            }
        }
        _ => canonical.push_str(raw),
    }
}

/// A folded name, quoted only where it must be.
fn bare(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.bytes().next().is_none_or(|byte| byte.is_ascii_digit());
    if plain { name.into() } else { quote(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let is_name = |name: &str| name == "users" || name == "e mail";
        let same = [
            "CREATE VIEW v AS SELECT \"E mail\" FROM [Users] WHERE x='A'",
            "create view v as\n  select `e MAIL` -- comment\n from \"USERS\" where X = 'A';",
        ];
        assert_eq!(normalise(same[0], &is_name), normalise(same[1], &is_name));
        assert_ne!(normalise("'A'", &is_name), normalise("'a'", &is_name));
        assert_ne!(normalise("\"A\"", &is_name), normalise("\"a\"", &is_name));
    }
}
