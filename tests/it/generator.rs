//! Random histories: each statement is tried on a scratch database first, so that what plain SQL
//! rejects never becomes part of one. The seed alone decides; nothing here judges.
#![allow(clippy::unwrap_used)]

use crate::{engine::plain_statement, statements::Writer};
use piton::{database::open_scratch, rusqlite::Connection};
use std::fmt::Write;

/// Numbers from a seed (splitmix64).
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// A history, the database on which it starts, and what the application writes meanwhile.
#[derive(Clone, Debug)]
pub struct Case {
    /// What the application made before the first file.
    pub base: Vec<String>,
    /// The files in their order.
    pub files: Vec<File>,
    /// The rows that the application writes behind each file.
    pub seeds: Vec<Vec<String>>,
}

/// One migration before it is text.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// The comments at its top.
    pub header: Vec<String>,
    /// Its statements, without their semicolons.
    pub statements: Vec<String>,
    /// How it is written.
    pub style: Style,
}

/// What in a file's text means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// One statement a line.
    #[default]
    Plain,
    /// Line ends of another system, and a byte order mark.
    Foreign,
    /// No semicolon at the end.
    Open,
    /// Comments wherever they may stand.
    Commented,
}

impl File {
    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.header {
            writeln!(text, "{line}").unwrap();
        }
        let (between, end) = match self.style {
            Style::Commented => (" /* here; it ends */ ;\n-- and; another\n", ";\n-- the 'end"),
            Style::Open => (";\n", ""),
            Style::Plain | Style::Foreign => (";\n", ";\n"),
        };
        text.push_str(&self.statements.join(between));
        text.push_str(end);
        if self.style == Style::Foreign {
            text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        }
        text
    }
}

impl Case {
    /// The case of a seed; none where plain SQL rejects it in some order of events.
    pub fn generate(seed: u64) -> Option<Self> {
        let mut writer = Writer::new(Random::new(seed), open_scratch().unwrap());
        let mut case = Self { base: Vec::new(), files: Vec::new(), seeds: Vec::new() };
        if writer.random.once_in(4) {
            for _ in 0..=writer.random.below(3) {
                case.base.extend(writer.attempt(Writer::base));
            }
            for _ in 0..3 {
                case.base.extend(writer.attempt(Writer::application_row));
            }
        }
        for _ in 0..3 + writer.random.below(10) {
            let file = file(&mut writer);
            case.files.push(file);
            let rows = (0..writer.random.below(4))
                .flat_map(|_| writer.attempt(Writer::application_row))
                .collect();
            case.seeds.push(rows);
        }
        case.drop_false_guards();
        case.is_valid().then_some(case)
    }

    /// Takes away declared guards that later statements make false: those are their authors' lies.
    fn drop_false_guards(&mut self) {
        let connection = open_scratch().unwrap();
        let run = |sql: &String| plain_statement(&connection, sql).is_ok();
        let _ = self.base.iter().all(run);
        let mut guards: Vec<(usize, String)> = Vec::new();
        for at in 0..self.files.len() {
            for sql in self.files[at].statements.clone().iter().filter(|sql| !is_control(sql)) {
                run(sql);
                let found = self.files[at].header.iter();
                let guard = found.filter_map(|line| line.strip_prefix("-- skip-if: "));
                guards.extend(guard.map(|query| (at, query.to_string())));
                for (file, query) in &guards {
                    let exists = format!("SELECT EXISTS ({query})");
                    let held = connection.query_row(&exists, [], |row| row.get(0));
                    if held == Ok(false) && *file < at {
                        self.files[*file].header.clear();
                    }
                }
            }
            let _ = self.seeds[at].iter().all(run);
        }
    }

    /// Whether plain SQL accepts it, wherever the application stops writing rows.
    pub fn is_valid(&self) -> bool {
        (0..=self.files.len()).all(|seeded| {
            let connection = open_scratch().unwrap();
            let run = |sql: &String| plain_statement(&connection, sql).is_ok();
            self.base.iter().all(run)
                && self.files.iter().enumerate().all(|(at, file)| {
                    let statements = file.statements.iter().filter(|sql| !is_control(sql));
                    let rows = self.seeds[at].iter().filter(|_| at < seeded);
                    statements.chain(rows).all(run)
                })
        })
    }

    /// The names and texts of the files.
    pub fn texts(&self) -> Vec<(String, String)> {
        let texts = self.files.iter().enumerate();
        texts.map(|(at, file)| (format!("{:03}_m.sql", at + 1), file.text())).collect()
    }

    /// Every case with one thing less.
    pub fn smaller(&self) -> Vec<Self> {
        let mut found = Vec::new();
        let mut without = |change: &dyn Fn(&mut Self)| {
            let mut case = self.clone();
            change(&mut case);
            found.push(case);
        };
        for at in (0..self.files.len()).rev() {
            without(&|case| {
                case.files.remove(at);
                let rows = case.seeds.remove(at);
                match at.checked_sub(1) {
                    Some(before) => case.seeds[before].extend(rows),
                    None => case.base.extend(rows),
                }
            });
            without(&|case| case.seeds[at].clear());
            without(&|case| case.files[at].style = Style::Plain);
            without(&|case| case.files[at].header.clear());
            for statement in (0..self.files[at].statements.len()).rev() {
                without(&|case| drop(case.files[at].statements.remove(statement)));
            }
            for row in 0..self.seeds[at].len() {
                without(&|case| drop(case.seeds[at].remove(row)));
            }
        }
        for statement in (0..self.base.len()).rev() {
            without(&|case| drop(case.base.remove(statement)));
        }
        let same = format!("{self:?}");
        found.retain(|case| {
            !case.files.iter().any(|file| file.statements.is_empty()) && format!("{case:?}") != same
        });
        found
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "-- base\n{}", self.base.join(";\n"))?;
        for (at, (name, text)) in self.texts().into_iter().enumerate() {
            writeln!(formatter, "-- {name}\n{}", text.trim_end())?;
            writeln!(formatter, "--   rows: {}", self.seeds[at].join("; "))?;
        }
        Ok(())
    }
}

/// What a run carries out in its own way.
fn is_control(sql: &str) -> bool {
    let words = ["BEGIN", "COMMIT", "PRAGMA foreign_keys"];
    words.iter().any(|word| sql.starts_with(word))
}

fn file(writer: &mut Writer) -> File {
    let mut file = File::default();
    if writer.random.once_in(10)
        && let Some((guard, sql)) = guarded(writer)
    {
        return File { header: vec![guard], statements: vec![sql], style: Style::Plain };
    }
    let kind = if writer.random.once_in(4) { Writer::data } else { Writer::any };
    let wanted = 1 + writer.random.below(5);
    for _ in 0..12 {
        if file.statements.len() < wanted {
            file.statements.extend(writer.attempt(kind));
        }
    }
    while file.statements.is_empty() {
        file.statements.extend(writer.attempt(Writer::base));
    }
    let drops = file.statements.iter().any(|sql| sql.to_lowercase().contains("drop table"));
    if drops && !writer.random.once_in(6) {
        file.header.push("-- allow: object-lost it is meant".into());
        file.header.push("-- allow: rows-lost it is meant".into());
    }
    match writer.random.below(12) {
        0 => surround(&mut file, "BEGIN", "COMMIT"),
        1 => {
            surround(&mut file, "BEGIN TRANSACTION", "COMMIT");
            surround(&mut file, "PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON");
        }
        2 => file.header.push("-- transaction: none".into()),
        3 => file.header.push("-- a file; of 'prose".into()),
        _ => {}
    }
    let styles = [Style::Plain, Style::Plain, Style::Foreign, Style::Open, Style::Commented];
    file.style = writer.random.pick(&styles);
    file
}

/// One statement, and a query that tells whether it ran.
fn guarded(writer: &mut Writer) -> Option<(String, String)> {
    let sql = writer.attempt(Writer::guarded_row);
    let guard = writer.guard.take()?;
    Some((guard, sql.into_iter().next()?))
}

fn surround(file: &mut File, before: &str, behind: &str) {
    file.statements.insert(0, before.into());
    file.statements.push(behind.into());
}

/// Whether references have to lead somewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strict {
    /// Each of them.
    Yes,
    /// None.
    No,
}

/// Runs statements on the scratch database, all or none: references that lead nowhere are
/// refused by piton, so few histories have them.
pub fn attempted(connection: &Connection, statements: Vec<String>, strict: Strict) -> Vec<String> {
    connection.execute_batch("SAVEPOINT attempt").unwrap();
    let check = "SELECT NOT EXISTS (SELECT 1 FROM pragma_foreign_key_check)";
    let worked = statements.iter().all(|sql| plain_statement(connection, sql).is_ok())
        && (strict == Strict::No
            || connection.query_row(check, [], |row| row.get(0)).unwrap_or(false));
    let end = if worked { "RELEASE attempt" } else { "ROLLBACK TO attempt; RELEASE attempt" };
    connection.execute_batch(end).unwrap();
    if worked { statements } else { Vec::new() }
}
