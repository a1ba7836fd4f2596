//! What was seen of the live data at one moment, and whether it is still that.
//!
//! A preview names what a restore takes away. What is written after it was shown was never named,
//! so the restore must not take it: it stops instead.

use super::{
    journal::{Action, Journal, What},
    raw,
    same::Same,
};
use crate::{
    Result,
    backup::scan::{self, Tree},
    database::side_file,
    disk,
    store::{Digest, Filter, StoredPath},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// The logs that can hold content; an empty one has none.
const LOGS: [&str; 2] = ["-wal", "-journal"];
/// Longer than the steps in which a kernel counts the times of files.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// The same where times are whole seconds, two of them on FAT.
const COARSE_TICK: Duration = Duration::from_millis(2100);

/// What a preview has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The content of each database: a file alone would not tell, because SQLite moves content
    /// between log and database on its own.
    contents: BTreeMap<StoredPath, Digest>,
    /// The files of each database whose content could not be read.
    raw: Sights,
    files: BTreeMap<StoredPath, Stamp>,
    /// What the restore leaves alone.
    pub(super) same: Same,
}

/// The files of databases at one moment.
pub(super) type Sights = BTreeMap<StoredPath, Sight>;

/// A database and its logs, each only where it has any content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sight([Option<Stamp>; 3]);

/// What changes when a file is written to or another one takes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    identity: (u64, u64),
    written: (u64, (i64, u32), (i64, u32)),
}

/// The files of databases at one moment, by which it can be said later that nobody has written to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint(Sights);

impl Footprint {
    /// That of all databases of a data directory.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn of(data: &Path, excluded: &Filter) -> Result<Self> {
        let tree = scan::scan(scan::Scope { data, excluded, left_out: &[] })?;
        Ok(Self(sights(data, tree.databases.keys())?))
    }

    /// Whether a database has the same files; one whose files cannot be looked at has not.
    #[must_use]
    pub fn is_still(&self, data: &Path, database: &StoredPath) -> bool {
        let then = self.0.get(database);
        then.is_some_and(|then| Sight::of(data, database).is_ok_and(|now| now == *then))
    }
}

impl Stamp {
    pub(super) fn of(found: &scan::Found) -> Self {
        Self { identity: found.identity(), written: found.stamp() }
    }
}

/// How long one step takes in which the times of the file system of this file are counted.
pub(super) fn ticks(stamp: &Stamp) -> Duration {
    let is_coarse = stamp.written.2.1 == 0;
    if is_coarse { COARSE_TICK } else { TICK }
}

impl Seen {
    /// The files and links that these actions concern, and what they leave alone.
    pub(super) fn files(live: &Tree, actions: &[Action], same: Same) -> Self {
        let found = entries(actions).filter_map(|path| {
            let found = live.files.get(path).or(live.symlinks.get(path))?;
            Some((path.clone(), Stamp::of(found)))
        });
        Self { files: found.collect(), same, ..Self::default() }
    }

    /// Whether it knows what the databases contain.
    pub(super) fn has_contents(&self) -> bool {
        !self.contents.is_empty()
    }

    /// Adds what the databases contain.
    pub(super) fn add_contents(&mut self, contents: BTreeMap<StoredPath, Digest>) {
        self.contents = contents;
    }

    /// Adds a database that the restore leaves alone, whose content is known.
    pub(super) fn leave_alone(&mut self, path: &StoredPath) {
        if let Some(content) = self.contents.get(path) {
            self.same.add_database(path.clone(), *content);
        }
    }

    /// Adds the files of databases that could not be read.
    pub(super) fn add_raw(&mut self, raw: Sights) {
        self.raw = raw;
    }

    /// The databases that could not be read and have changed; to be asked before any of them is
    /// opened.
    pub(super) fn changed_raw<'a>(
        &self,
        data: &Path,
        databases: impl Iterator<Item = &'a StoredPath>,
    ) -> Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        for path in databases {
            if let Some(then) = self.raw.get(path)
                && Sight::of(data, path)? != *then
            {
                changed.push(path.as_path().to_path_buf());
            }
        }
        Ok(changed)
    }

    /// Those of these entries that are not what the preview has seen, as far as they are there.
    /// `now` is the content of the databases, where it could be read.
    pub(super) fn changed(
        &self,
        live: &Tree,
        entries: &[&StoredPath],
        now: Option<&BTreeMap<StoredPath, Digest>>,
    ) -> Vec<PathBuf> {
        let same = |path: &StoredPath| {
            if live.databases.contains_key(path) {
                return match self.contents.get(path) {
                    Some(then) => now.and_then(|now| now.get(path)) == Some(then),
                    None => self.raw.contains_key(path),
                };
            }
            match live.files.get(path).or(live.symlinks.get(path)) {
                Some(found) => self.files.get(path) == Some(&Stamp::of(found)),
                None => true,
            }
        };
        let changed = entries.iter().filter(|path| !same(path));
        changed.map(|path| path.as_path().to_path_buf()).collect()
    }
}

impl Seen {
    /// What a journal is about and is not what was seen any more, as far as it was seen.
    pub(super) fn changed_of(
        &self,
        data: &Path,
        journal: &Journal,
        now: Option<&BTreeMap<StoredPath, Digest>>,
    ) -> Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        for action in &journal.actions {
            let Some(path) = action.entry() else { continue };
            let is_database = matches!(
                action,
                Action::Place { what: What::Database, .. }
                    | Action::Displace { what: What::Database, .. }
            );
            let is_same = if is_database {
                let then = self.contents.get(path);
                now.is_none() || then.is_none() || now.and_then(|now| now.get(path)) == then
            } else {
                let then = self.files.get(path).or(self.same.stamp(path));
                then.is_none()
                    || stamp(&path.below(data))?.as_ref().is_none_or(|now| Some(now) == then)
            };
            if !is_same {
                changed.push(path.as_path().to_path_buf());
            }
        }
        Ok(changed)
    }
}

impl Sight {
    fn of(data: &Path, path: &StoredPath) -> Result<Self> {
        let main = path.below(data);
        let [log, journal] = LOGS.map(|suffix| side_file(&main, suffix));
        // Of a journal that is ended its setting may leave the file, of which SQLite sets the owner
        // again whenever it looks there as root.
        let journal = match raw::is_to_play_back(&journal)? {
            true => stamp(&journal)?,
            false => None,
        };
        Ok(Self([stamp(&main)?, stamp(&log)?.filter(has_content), journal]))
    }
}

/// The files of these databases, taken late enough that whatever is written to them from now on
/// gives them another time.
pub(super) fn sights<'a>(
    data: &Path,
    databases: impl Iterator<Item = &'a StoredPath>,
) -> Result<Sights> {
    let databases: Vec<&StoredPath> = databases.collect();
    let look = || -> Result<Sights> {
        databases.iter().map(|path| Ok(((*path).clone(), Sight::of(data, path)?))).collect()
    };
    let first = look()?;
    let stamps = first.values().flat_map(|sight| &sight.0).flatten();
    if !databases.is_empty() {
        thread::sleep(stamps.map(ticks).max().unwrap_or(TICK));
    }
    // What was written meanwhile belongs to what is seen.
    look()
}

/// The databases that have changed since, or were not there.
pub(super) fn changed_since<'a>(
    data: &Path,
    databases: impl Iterator<Item = &'a StoredPath>,
    then: &Sights,
) -> Result<Vec<PathBuf>> {
    let mut changed = Vec::new();
    for path in databases {
        let now = Sight::of(data, path)?;
        if now.0[0].is_some() && then.get(path) != Some(&now) {
            changed.push(path.as_path().to_path_buf());
        }
    }
    Ok(changed)
}

fn entries(actions: &[Action]) -> impl Iterator<Item = &StoredPath> {
    actions.iter().filter_map(Action::entry)
}

fn has_content(stamp: &Stamp) -> bool {
    stamp.written.0 > 0
}

fn stamp(path: &Path) -> Result<Option<Stamp>> {
    Ok(disk::find(path)?.map(|found| Stamp::of(&scan::Found::from(&found))))
}
