//! The statements of files as pieces that can be compared, and which of them are the same in other files.
//!
//! Pure: comments, blanks and letter case of keywords do not count, and neither does BEGIN and COMMIT.

use super::order::Unit;
use crate::{
    history::Migration,
    ledger::{Entry, EntryKind},
    sql::{self, Class, classify, normalise},
};
use std::ops::Range;

/// What a file carries out, piece by piece.
pub type Pieces = Vec<String>;

/// The pieces of a file; a script is one, by its checksum.
pub fn of_file(file: &Migration) -> Pieces {
    match file.is_script() {
        true => vec![script(&file.checksum.forgiving)],
        false => of_text(&file.text),
    }
}

/// The pieces of what ran.
pub fn of_entry(entry: &Entry) -> Pieces {
    match entry.kind {
        EntryKind::Sql => of_text(&entry.text),
        EntryKind::Script | EntryKind::Operation => vec![script(&entry.forgiving)],
    }
}

/// Whether the file of a unit is another one than what ran under its number, and no edited one: it has
/// another name, and they share no statement.
pub fn is_another(unit: &Unit) -> bool {
    let (Some(file), Some(entry)) = (&unit.file, &unit.entry) else { return false };
    let ran = of_entry(entry);
    file.name != entry.name && !of_file(file).iter().any(|piece| ran.contains(piece))
}

fn script(checksum: &str) -> String {
    format!("script {checksum}")
}

fn of_text(text: &str) -> Pieces {
    let statements = sql::split(text);
    let texts = statements.iter().map(|statement| statement.text(text));
    texts
        .filter(|text| classify(text) != Class::TransactionControl)
        .map(|text| normalise(text, &|_| false))
        .collect()
}

/// What ran that is the same, in the same order, as files: renumbered, split or squashed. Each time a run of
/// neighbours in `ran`, and the files.
pub fn same(ran: &[Pieces], files: &[Pieces]) -> Vec<(Range<usize>, Vec<usize>)> {
    let mut free: Vec<usize> = (0..files.len()).filter(|&file| !files[file].is_empty()).collect();
    let mut found = Vec::new();
    let mut start = 0;
    while start < ran.len() {
        match first_group(ran, start, files, &free) {
            Some((end, used)) => {
                free.retain(|file| !used.contains(file));
                found.push((start..end, used));
                start = end;
            }
            None => start += 1,
        }
    }
    found
}

/// The shortest run of neighbours from `start` that files are composed of, and these files.
fn first_group(
    ran: &[Pieces],
    start: usize,
    files: &[Pieces],
    free: &[usize],
) -> Option<(usize, Vec<usize>)> {
    if ran[start].is_empty() {
        return None;
    }
    let mut wanted: Vec<&str> = Vec::new();
    for (end, more) in ran.iter().enumerate().skip(start) {
        wanted.extend(more.iter().map(String::as_str));
        if let Some(used) = composed(&wanted, files, free) {
            return Some((end + 1, used));
        }
        let may_go_on = |file: &usize| files[*file].iter().zip(&wanted).all(|(a, b)| a == b);
        if !free.iter().any(may_go_on) {
            return None;
        }
    }
    None
}

/// The files, in their order, that together are just these pieces.
fn composed(wanted: &[&str], files: &[Pieces], free: &[usize]) -> Option<Vec<usize>> {
    if wanted.is_empty() {
        return Some(Vec::new());
    }
    free.iter().enumerate().find_map(|(at, &file)| {
        let pieces = &files[file];
        let begins = pieces.len() <= wanted.len() && pieces.iter().zip(wanted).all(|(a, b)| a == b);
        let rest = begins.then(|| composed(&wanted[pieces.len()..], files, &free[at + 1..]))??;
        Some([vec![file], rest].concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ran; files; which are the same.
    type Case = (
        &'static [&'static str],
        &'static [&'static str],
        &'static [(Range<usize>, &'static [usize])],
    );

    #[test]
    fn renumbered_split_and_squashed() {
        const A: &str = "CREATE TABLE a (x TEXT);";
        const SPELLED: &str = "-- of a\ncreate table A(x  text)";
        const B: &str = "CREATE TABLE b (y);";
        const AB: &str = "BEGIN; CREATE TABLE a (x TEXT);\nCREATE TABLE b (y); COMMIT;";
        const ROWS: &str = "INSERT INTO a VALUES ('One')";
        const OTHER_ROWS: &str = "INSERT INTO a VALUES ('one')";
        let cases: [Case; 11] = [
            (&[A], &[SPELLED], &[(0..1, &[0])]),
            (&[A], &[B, A], &[(0..1, &[1])]),
            (&[A, B], &[B, A], &[(0..1, &[1]), (1..2, &[0])]),
            (&[AB], &[A, B], &[(0..1, &[0, 1])]),
            (&[AB], &[A, ROWS, B], &[(0..1, &[0, 2])]),
            (&[A, B], &[AB], &[(0..2, &[0])]),
            (&[A, "", B], &[AB], &[(0..3, &[0])]),
            (&[A], &[AB], &[]),
            (&[AB], &[A], &[]),
            (&[ROWS], &[OTHER_ROWS], &[]),
            (&[ROWS, "-- nothing"], &["", ROWS, ROWS], &[(0..1, &[1])]),
        ];
        for (ran, files, wanted) in cases {
            let pieces =
                |texts: &[&str]| texts.iter().map(|text| of_text(text)).collect::<Vec<_>>();
            let found = same(&pieces(ran), &pieces(files));
            let wanted: Vec<_> =
                wanted.iter().map(|(range, files)| (range.clone(), files.to_vec())).collect();
            assert_eq!(found, wanted, "{ran:?} {files:?}");
        }
    }
}
