//! Replaces what differs from run to run, so that whole outputs can be compared.
//!
//! It must never touch what a test is about: names, versions, counts of rows.

/// Ids, times, durations, sizes and process ids as words in brackets.
pub fn replaced(text: &str) -> String {
    // Said where the tests run in a container, or not as root.
    let limited = |line: &&str| !line.contains("who has a database open is seen only in part");
    let text: String = text.split_inclusive('\n').filter(limited).collect();
    let text = fixed(&text, "########T######Z-xxxxxx", "[ID]");
    let text = fixed(&text, "####-##-##T##:##:##.#########+##:##", "[TIME]");
    let text = fixed(&text, "####-##-##T##:##:##", "[TIME]");
    let text = fixed(&text, "####-##-## ##:##:##", "[TIME]");
    let mut text = text.replace("just now", "[AGO]");
    for (unit, word) in [
        (" seconds ago", "[AGO]"),
        (" ms", "[DURATION]"),
        (" B", "[SIZE]"),
        (" KiB", "[SIZE]"),
        (" MiB", "[SIZE]"),
    ] {
        text = numbers_before(&text, unit, word);
    }
    text
}

/// Replaces what has a shape: `#` is a digit, `x` a hexadecimal one, the rest stands for itself.
fn fixed(text: &str, shape: &str, word: &str) -> String {
    let fits = |part: &[u8]| {
        part.len() == shape.len()
            && part.iter().zip(shape.bytes()).all(|(&byte, wanted)| match wanted {
                b'#' => byte.is_ascii_digit(),
                b'x' => byte.is_ascii_hexdigit(),
                other => byte == other,
            })
    };
    let mut result = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let part = rest.as_bytes().get(..shape.len()).unwrap_or_default();
        if fits(part) {
            result.push_str(word);
            rest = &rest[shape.len()..];
        } else {
            result.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    result
}

/// Replaces a number and the unit behind it, padding included.
fn numbers_before(text: &str, unit: &str, word: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(unit) {
        let (before, after) = (&rest[..at], &rest[at + unit.len()..]);
        let head = before.trim_end_matches(|it: char| it.is_ascii_digit() || it == '.');
        let ends = !after.starts_with(|it: char| it.is_alphanumeric());
        if ends && head.len() < before.len() {
            result.push_str(head);
            result.push_str(word);
        } else {
            result.push_str(before);
            result.push_str(unit);
        }
        rest = after;
    }
    result + rest
}

#[test]
fn what_differs_becomes_a_word() {
    let text = "backup  20261121T014508Z-847e7c, verified\napp.db: 001.sql 12 ms, 336 B\n";
    assert_eq!(replaced(text), "backup  [ID], verified\napp.db: 001.sql [DURATION], [SIZE]\n");
    assert_eq!(replaced("9 Blocks of 1.2 KiB"), "9 Blocks of [SIZE]");
    assert_eq!(replaced("at 2026-11-21T01:45:08Z"), "at [TIME]Z");
}
