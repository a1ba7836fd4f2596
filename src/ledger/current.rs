//! Which rows of a ledger count, and in which order what they are about ran.
//!
//! The newest row of a version counts. A row of `adopt --renumbered` replaces the rows under which the
//! same ran before: these count no more, and the new one has their place.

use super::row::{Entry, EntryKind, Witness};
use crate::history::Version;
use std::collections::{BTreeMap, BTreeSet};

/// How a line begins that names a replaced row.
const ROW: &str = "row ";

impl Entry {
    /// The numbers of the rows that this one replaces.
    pub fn replaces(&self) -> impl Iterator<Item = i64> {
        let lines = match self.witness {
            Witness::Renumbered => self.objects.as_str(),
            _ => "",
        };
        lines.lines().filter_map(|line| line.strip_prefix(ROW)?.parse().ok())
    }

    /// Says which rows this one replaces; what scripts changed in these stays known.
    pub fn replace(&mut self, rows: &[&Entry]) {
        let numbers = rows.iter().map(|row| format!("{ROW}{}", row.id));
        let objects: BTreeSet<&str> = rows
            .iter()
            .flat_map(|row| row.objects.lines())
            .filter(|line| !line.starts_with(ROW))
            .collect();
        let objects = objects.into_iter().map(Into::into);
        self.objects = numbers.chain(objects).collect::<Vec<String>>().join("\n");
    }
}

/// The rows about migrations that no later row replaces, in their order.
fn standing(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let replaced: BTreeSet<i64> = entries.iter().flat_map(Entry::replaces).collect();
    entries
        .iter()
        .filter(move |entry| entry.kind != EntryKind::Operation && !replaced.contains(&entry.id))
}

/// The row that counts for each version: the newest one.
#[must_use]
pub fn current(entries: &[Entry]) -> BTreeMap<Version, &Entry> {
    standing(entries).map(|entry| (entry.version.clone(), entry)).collect()
}

/// All rows that stand for a version.
pub fn rows_of<'a>(
    entries: &'a [Entry],
    version: &Version,
) -> impl Iterator<Item = &'a Entry> + use<'a> {
    let version = version.clone();
    standing(entries).filter(move |entry| entry.version == version)
}

/// The place of each version among what ran: the number of the row of its first run. What was accepted,
/// healed or renumbered since keeps it.
#[must_use]
pub fn places(entries: &[Entry]) -> BTreeMap<Version, i64> {
    let mut of_row: BTreeMap<i64, i64> = BTreeMap::new();
    for entry in entries {
        let replaced = entry.replaces().filter_map(|row| of_row.get(&row).copied());
        let place = replaced.min().unwrap_or(entry.id);
        of_row.insert(entry.id, place);
    }
    let mut places = BTreeMap::new();
    for entry in standing(entries) {
        places.entry(entry.version.clone()).or_insert(of_row[&entry.id]);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Migration;
    use std::path::Path;

    fn row(id: i64, version: &str, replaces: &[i64]) -> Entry {
        let version = Version::parse(version).unwrap();
        let file = Migration::from_sql(version, "", Path::new("m.sql"), String::new()).unwrap();
        let mut entry = Entry { id, ..Entry::of(&file, String::new()) };
        if !replaces.is_empty() {
            entry.witness = Witness::Renumbered;
            entry.objects = replaces.iter().map(|row| format!("row {row}\n")).collect();
        }
        entry
    }

    #[test]
    fn which_rows_count_and_where() {
        /// Rows by number, version and what they replace; the rows that count, with their places.
        type Case = (&'static [(i64, &'static str, &'static [i64])], &'static [(i64, i64)]);
        let cases: [Case; 6] = [
            (&[(1, "1", &[]), (2, "2", &[])], &[(1, 1), (2, 2)]),
            // Accepted since.
            (&[(1, "1", &[]), (2, "2", &[]), (3, "1", &[])], &[(3, 1), (2, 2)]),
            // 2 is 3 now, and another file is 2.
            (
                &[(1, "1", &[]), (2, "2", &[]), (3, "3", &[2]), (4, "2", &[])],
                &[(1, 1), (4, 4), (3, 2)],
            ),
            // Exchanged.
            (&[(1, "1", &[]), (2, "2", &[]), (3, "1", &[2]), (4, "2", &[1])], &[(3, 2), (4, 1)]),
            // Renumbered twice.
            (&[(1, "1", &[]), (2, "2", &[1]), (3, "3", &[2])], &[(3, 1)]),
            // Split, and squashed with another one.
            (&[(1, "1", &[]), (2, "2", &[]), (3, "3", &[1]), (4, "4", &[1, 2])], &[(3, 1), (4, 1)]),
        ];
        for (rows, wanted) in cases {
            let entries: Vec<Entry> =
                rows.iter().map(|(id, version, replaces)| row(*id, version, replaces)).collect();
            let places = places(&entries);
            let found: Vec<(i64, i64)> =
                current(&entries).iter().map(|(version, it)| (it.id, places[version])).collect();
            assert_eq!(found, wanted, "{rows:?}");
        }
    }
}
