//! Down halves: what another tool runs only when it goes back lies behind a mark in the same file.
//!
//! piton runs a whole file, so a file with such a half must not run as it is. A mark is a comment
//! that is a line of its own; the same words in a string, in a block comment or in a sentence are none.

use crate::sql::{Statement, token::tokens};

/// The half of a file that another tool runs only when it goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownHalf {
    /// Where its mark begins in the text.
    pub offset: usize,
    /// The mark as it is written.
    pub mark: String,
    /// The tool whose mark it is.
    pub tool: &'static str,
}

/// Marks of down halves and the tools that read them, without dashes, folded, blanks made single.
const DOWN: [(&str, &str); 14] = [
    ("migrate:down", "dbmate"),
    ("+goose down", "goose"),
    ("+migrate down", "sql-migrate"),
    ("create above/drop below", "tern"),
    ("down migration", "node-pg-migrate"),
    ("//@undo", "MyBatis Migrations"),
    ("rambler down", "rambler"),
    ("+micrate down", "micrate"),
    ("down", "the npm package sqlite, and others"),
    ("!downs", "Play"),
    ("@down", "several tools"),
    ("undo", "several tools"),
    ("rollback", "several tools"),
    ("revert", "several tools"),
];

/// Marks after which statements run again when a tool goes forward.
const UP: [&str; 9] = [
    "migrate:up",
    "+goose up",
    "+migrate up",
    "rambler up",
    "+micrate up",
    "up migration",
    "up",
    "!ups",
    "@up",
];

enum Mark {
    Down(&'static str),
    Up,
}

/// The first down half that holds a statement; a mark with nothing but comments behind it is harmless.
#[must_use]
pub fn down_half(text: &str, statements: &[Statement]) -> Option<DownHalf> {
    let marks = marks(text);
    for (at, (offset, line, mark)) in marks.iter().enumerate() {
        let Mark::Down(tool) = mark else { continue };
        let next = marks[at + 1..].iter().find(|(.., mark)| matches!(mark, Mark::Up));
        let end = next.map_or(text.len(), |(offset, ..)| *offset);
        // A statement that is begun above the mark goes on below it in some files.
        let holds = |it: &Statement| it.span.end > *offset && it.span.start < end;
        if statements.iter().any(holds) {
            return Some(DownHalf { offset: *offset, mark: (*line).into(), tool });
        }
    }
    None
}

/// The marks of a text with their places, in order.
fn marks(text: &str) -> Vec<(usize, &str, Mark)> {
    // Most files have none of these words, and need not be cut into tokens.
    let folded = text.to_ascii_lowercase();
    if !["down", "undo", "drop below", "rollback", "revert"]
        .iter()
        .any(|word| folded.contains(word))
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    for token in tokens(text) {
        let line = &text[token.span.clone()];
        let before = text[..token.span.start].rsplit('\n').next().unwrap_or_default();
        let is_own_line = before.trim_start_matches('\u{feff}').trim().is_empty();
        let after = text[token.span.end..].split('\n').next().unwrap_or_default();
        // Of a block comment, only one that is a line of its own.
        let is_block = line.starts_with("/*") && !line.contains('\n') && after.trim().is_empty();
        if token.is_blank() && (line.starts_with("--") || is_block) && is_own_line {
            found.extend(mark(line).map(|mark| (token.span.start, line.trim_end(), mark)));
        }
    }
    found
}

fn mark(line: &str) -> Option<Mark> {
    let line = line.trim();
    let line = line.strip_prefix("/*").map_or(line, |rest| rest.trim_end_matches("*/"));
    let bare = line.trim_matches(['-', '=', '*', '#', ' ', '\t']).to_ascii_lowercase();
    let words: Vec<&str> = bare.split_whitespace().collect();
    let mut bare = words.join(" ").replace(" :", ":").replace("migrate: ", "migrate:");
    for sign in ["+", "!", "@", "//", "/"] {
        bare = bare.replace(&format!("{sign} "), sign);
    }
    let bare = bare.replace("above /", "above/");
    let bare = bare.trim_end_matches([':', '.']).trim_end();
    if UP.contains(&bare) || bare.starts_with("migrate:up ") || bare.starts_with("+migrate up ") {
        return Some(Mark::Up);
    }
    // Options may follow: `migrate:down transaction:false`, `+migrate Down notransaction`.
    let is_mark = |word: &str| {
        let rest = bare.strip_prefix(word).unwrap_or("x");
        rest.is_empty() || (rest.starts_with(' ') && word.starts_with(['m', '+']))
    };
    let known = DOWN.iter().find(|(word, _)| is_mark(word));
    known.map(|(_, tool)| Mark::Down(tool))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::split;

    fn tool(text: &str) -> Option<&'static str> {
        down_half(text, &split(text)).map(|half| half.tool)
    }

    #[test]
    fn marks_in_any_case_and_spacing() {
        for (mark, expected) in [
            ("-- migrate:down", "dbmate"),
            ("--MIGRATE:DOWN", "dbmate"),
            ("  --  migrate: down  transaction:false", "dbmate"),
            ("-- +goose Down", "goose"),
            ("-- +GOOSE   down\r", "goose"),
            ("-- +migrate Down notransaction", "sql-migrate"),
            ("---- create above / drop below ----", "tern"),
            ("---- Create above  / drop below ----", "tern"),
            ("-- Down Migration", "node-pg-migrate"),
            ("-- //@UNDO", "MyBatis Migrations"),
            ("-- rambler down", "rambler"),
            ("-- +micrate Down", "micrate"),
            ("-- Down", "the npm package sqlite, and others"),
            ("--DOWN", "the npm package sqlite, and others"),
            ("-- ==== DOWN ====", "the npm package sqlite, and others"),
            ("-- down:", "the npm package sqlite, and others"),
            ("-- // @UNDO", "MyBatis Migrations"),
            ("-- !Downs", "Play"),
            ("---- create above/drop below ----", "tern"),
            ("/* migrate:down */", "dbmate"),
            ("/* ==== DOWN ==== */", "the npm package sqlite, and others"),
            ("-- @DOWN", "several tools"),
            ("-- rollback:", "several tools"),
            ("-- UNDO", "several tools"),
        ] {
            let text = format!("CREATE TABLE t (a);\n{mark}\nDROP TABLE t;\n");
            assert_eq!(tool(&text), Some(expected), "{mark}");
            assert_eq!(tool(&format!("{mark}\nDROP TABLE t;\n")), Some(expected), "{mark}");
        }
    }

    #[test]
    fn what_is_no_down_half() {
        for text in [
            // In a string, in a block comment, behind a statement, in a sentence.
            "INSERT INTO t VALUES ('\n-- migrate:down\n');",
            "/*\n-- +goose Down\n*/\nCREATE TABLE t (a);",
            "CREATE TABLE t (a); -- down\nSELECT 1;",
            "-- Down the road this table goes\nCREATE TABLE t (a);",
            "-- goes down migration lane\nCREATE TABLE t (a);",
            "-- markdown\nCREATE TABLE t (a);",
            "-- rambler downs tools\nCREATE TABLE t (a);",
            "SELECT 1;\n--> statement-breakpoint\nSELECT 2;",
            // Nothing is behind the mark, or only what goes forward again.
            "CREATE TABLE t (a);\n-- migrate:down\n",
            "CREATE TABLE t (a);\n-- +goose Down\n-- DROP TABLE t;\n",
            "-- migrate:down\n-- migrate:up\nCREATE TABLE t (a);",
        ] {
            assert_eq!(tool(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_one_of_several() {
        let text = "-- migrate:up\nSELECT 1;\n-- migrate:down\n-- nothing\n-- migrate:up\nSELECT 2;\n\
                    -- migrate:down\nSELECT 3;\n";
        let half = down_half(text, &split(text)).unwrap();
        assert!(text[half.offset..].starts_with("-- migrate:down\nSELECT 3"));
        assert_eq!(half.mark, "-- migrate:down");
    }
}
