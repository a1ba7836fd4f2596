//! The lexical rules of SQLite (its documentation, "SQL Language Expressions" and "Keywords").
//!
//! It accepts any text: what SQLite would reject becomes a token of kind `Stray`.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// White space, or a byte order mark.
    Space,
    /// `-- …` or `/* … */`.
    Comment,
    /// A bare word: keyword or identifier.
    Word,
    /// `"…"`: an identifier, or a string where no such identifier exists.
    Quoted,
    /// `[…]` or `` `…` ``: always an identifier.
    Bracketed,
    /// `'…'`.
    Text,
    /// A number, or a blob such as `x'00'`.
    Literal,
    /// `;`.
    Semicolon,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `,`.
    Comma,
    /// `.`.
    Dot,
    /// Any other operator or parameter.
    Operator,
    /// An unterminated string or name.
    Stray,
}

/// A token: its kind and its bytes' place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Byte offsets.
    pub span: Range<usize>,
}

impl Token {
    /// Whether it carries no meaning: space or comment.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        matches!(self.kind, TokenKind::Space | TokenKind::Comment)
    }

    /// Whether it is this bare word, in any letter case.
    #[must_use]
    pub fn is_word(&self, text: &str, word: &str) -> bool {
        self.kind == TokenKind::Word && text[self.span.clone()].eq_ignore_ascii_case(word)
    }

    /// The name that it spells, without quotes, where it can be a name.
    #[must_use]
    pub fn name(&self, text: &str) -> Option<String> {
        let raw = &text[self.span.clone()];
        match self.kind {
            TokenKind::Word => Some(raw.into()),
            TokenKind::Quoted | TokenKind::Bracketed | TokenKind::Text => Some(unquote(raw)),
            _ => None,
        }
    }
}

/// Cuts a text into tokens that cover it without gaps.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token> {
    scan(text).collect()
}

/// The same one after another: a large file has more tokens than memory should hold.
pub fn scan(text: &str) -> impl Iterator<Item = Token> {
    let bytes = text.as_bytes();
    let mut start = 0;
    std::iter::from_fn(move || {
        (start < bytes.len()).then(|| {
            let (kind, end) = next(bytes, start);
            let token = Token { kind, span: start..end };
            start = end;
            token
        })
    })
}

fn next(bytes: &[u8], start: usize) -> (TokenKind, usize) {
    let peek = |offset: usize| bytes.get(start + offset).copied().unwrap_or(0);
    match bytes[start] {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0c => {
            (TokenKind::Space, run(bytes, start, |byte| byte.is_ascii_whitespace()))
        }
        0xef if peek(1) == 0xbb && peek(2) == 0xbf => (TokenKind::Space, start + 3),
        b'-' if peek(1) == b'-' => (TokenKind::Comment, run(bytes, start, |byte| byte != b'\n')),
        b'/' if peek(1) == b'*' => (TokenKind::Comment, block_comment(bytes, start)),
        b'\'' => quoted(bytes, start, b'\'', TokenKind::Text),
        b'"' => quoted(bytes, start, b'"', TokenKind::Quoted),
        b'`' => quoted(bytes, start, b'`', TokenKind::Bracketed),
        b'[' => match bytes[start..].iter().position(|&byte| byte == b']') {
            Some(offset) => (TokenKind::Bracketed, start + offset + 1),
            None => (TokenKind::Stray, bytes.len()),
        },
        b';' => (TokenKind::Semicolon, start + 1),
        b'(' => (TokenKind::Open, start + 1),
        b')' => (TokenKind::Close, start + 1),
        b',' => (TokenKind::Comma, start + 1),
        b'x' | b'X' if peek(1) == b'\'' => {
            let (kind, end) = quoted(bytes, start + 1, b'\'', TokenKind::Literal);
            (kind, end)
        }
        b'.' if !peek(1).is_ascii_digit() => (TokenKind::Dot, start + 1),
        b'0'..=b'9' | b'.' => (TokenKind::Literal, number(bytes, start)),
        byte if is_word(byte) => (TokenKind::Word, run(bytes, start, is_word)),
        _ => (TokenKind::Operator, operator(bytes, start)),
    }
}

fn run(bytes: &[u8], start: usize, accept: impl Fn(u8) -> bool) -> usize {
    bytes[start..]
        .iter()
        .position(|&byte| !accept(byte))
        .map_or(bytes.len(), |offset| start + offset)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn block_comment(bytes: &[u8], start: usize) -> usize {
    // SQLite takes a comment that is never closed as one that ends with the text.
    bytes[start + 2..]
        .windows(2)
        .position(|pair| pair == b"*/")
        .map_or(bytes.len(), |offset| start + 2 + offset + 2)
}

fn quoted(bytes: &[u8], start: usize, quote: u8, kind: TokenKind) -> (TokenKind, usize) {
    let mut at = start + 1;
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) == Some(&quote) {
                at += 2;
                continue;
            }
            return (kind, at + 1);
        }
        at += 1;
    }
    (TokenKind::Stray, bytes.len())
}

fn number(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < bytes.len() {
        let signed_exponent = matches!(bytes[at], b'+' | b'-')
            && matches!(bytes[at - 1], b'e' | b'E')
            && !bytes[start..].starts_with(b"0x");
        if is_word(bytes[at]) || bytes[at] == b'.' || (at > start && signed_exponent) {
            at += 1;
        } else {
            break;
        }
    }
    at
}

fn operator(bytes: &[u8], start: usize) -> usize {
    const LONG: [&[u8]; 10] =
        [b"->>", b"->", b"||", b"<=", b"<>", b"<<", b">=", b">>", b"==", b"!="];
    let rest = &bytes[start..];
    match LONG.iter().find(|operator| rest.starts_with(operator)) {
        Some(operator) => start + operator.len(),
        // Parameters: `?1`, `:name`, `@name`, `#name`.
        None if matches!(bytes[start], b'?' | b':' | b'@' | b'#') => run(bytes, start + 1, is_word),
        None => start + 1,
    }
}

/// A name or string without its quotes, doubled quotes made single.
#[must_use]
pub fn unquote(raw: &str) -> String {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    match raw.as_bytes().first() {
        Some(b'"') => inner.replace("\"\"", "\""),
        Some(b'`') => inner.replace("``", "`"),
        Some(b'\'') => inner.replace("''", "'"),
        Some(b'[') => inner.into(),
        _ => raw.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_cover_the_text() {
        for text in [
            "SELECT 'it''s', \"a\"\"b\", [c d], `e`, x'00ff', 1.5e-3, .5, 0x1F, ?1, :a FROM t -- x",
            "/* never closed",
            "'never closed",
            "a->>'$.b' || c <> d",
            "\u{feff}SELECT é",
        ] {
            let joined: String =
                tokens(text).iter().map(|token| &text[token.span.clone()]).collect();
            assert_eq!(joined, text);
        }
    }

    #[test]
    fn kinds() {
        let text = "x'00' xa .5 a.b 1e+5 1+5";
        let kinds: Vec<_> = tokens(text)
            .into_iter()
            .filter(|token| !token.is_blank())
            .map(|token| (token.kind, text[token.span].to_string()))
            .collect();
        let expected = [
            (TokenKind::Literal, "x'00'"),
            (TokenKind::Word, "xa"),
            (TokenKind::Literal, ".5"),
            (TokenKind::Word, "a"),
            (TokenKind::Dot, "."),
            (TokenKind::Word, "b"),
            (TokenKind::Literal, "1e+5"),
            (TokenKind::Literal, "1"),
            (TokenKind::Operator, "+"),
            (TokenKind::Literal, "5"),
        ]
        .map(|(kind, text)| (kind, text.to_string()));
        assert_eq!(kinds, expected);
    }
}
