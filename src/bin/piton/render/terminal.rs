//! What reaches a person's terminal. Names of files, labels, rows and output of programs come from
//! elsewhere: a control sequence in one could move the cursor, set a title or hide a line. Colours pass.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Result, Write, stdout},
};

/// Prints what a person reads: also into a file or a pipe, whose other end may be a terminal.
pub fn print(text: &str) -> Result<()> {
    let mut stream = anstream::stdout();
    stream.write_all(harmless(text).as_bytes()).and_then(|()| stream.flush())
}

/// Prints what another program reads: byte by byte, except on a terminal.
pub fn print_verbatim(text: &str) -> Result<()> {
    if stdout().is_terminal() {
        return print(text);
    }
    let mut stream = stdout();
    stream.write_all(text.as_bytes()).and_then(|()| stream.flush())
}

/// Says something on standard error.
pub fn say(text: &str) -> Result<()> {
    let mut stream = anstream::stderr();
    stream.write_all(harmless(text).as_bytes()).and_then(|()| stream.flush())
}

/// The text with every control character but line ends and tabs in a visible form, such as `\x1b` or
/// `\u{202e}`. Sequences that set a colour or a weight stay, unless they hide the text (ECMA-48, SGR 8).
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some(sequence) = style(rest) {
            shown.push_str(sequence);
            rest = &rest[sequence.len()..];
            continue;
        }
        match letter {
            '\n' | '\t' => shown.push(letter),
            letter if u32::from(letter) < 0x80 && letter.is_control() => {
                // Writing to a text cannot fail.
                let _ = write!(shown, "\\x{:02x}", u32::from(letter));
            }
            letter if letter.is_control() || reorders(letter) => {
                let _ = write!(shown, "{}", letter.escape_unicode());
            }
            letter => shown.push(letter),
        }
        rest = &rest[letter.len_utf8()..];
    }
    shown
}

/// The sequence at the start of a text, if it is one that sets colours or weight.
fn style(text: &str) -> Option<&str> {
    let numbers = text.strip_prefix("\x1b[")?;
    let length = numbers.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    let hides = numbers[..length].split(';').any(|number| number.trim_start_matches('0') == "8");
    let ends = numbers[length..].starts_with('m');
    (ends && !hides).then(|| &text[.."\x1b[".len() + length + "m".len()])
}

/// Whether a character changes the order in which others are shown (Unicode, UAX #9).
fn reorders(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn control_characters_are_shown_and_colours_pass() {
        for (text, expected) in [
            ("plain\ttext\n", "plain\ttext\n"),
            ("für 日本", "für 日本"),
            ("\x1b[1m\x1b[31merror:\x1b[0m x", "\x1b[1m\x1b[31merror:\x1b[0m x"),
            ("\x1b[38;5;8mgrey", "\\x1b[38;5;8mgrey"),
            ("\x1b[8mhidden", "\\x1b[8mhidden"),
            ("\x1b[08mhidden", "\\x1b[08mhidden"),
            ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
            ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
            ("\x1b[", "\\x1b["),
            ("a\rb\x08\x7f", "a\\x0db\\x08\\x7f"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ] {
            assert_eq!(harmless(text), expected, "{text:?}");
        }
    }
}
