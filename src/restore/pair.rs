//! Databases with a log that a crash has left: two files, which no system exchanges at once.
//!
//! Without its log such a database is another one. So one file stands for both in between: the same
//! database with the log folded into it. To put a pair in place, the single file comes first, then
//! the log (to replay it over what it was folded into changes nothing), then the database itself;
//! to take it away, the same in reverse. Each step is durable before the next. To go back from a
//! restore that has replaced one, the single file is enough, which SQLite had made of it by then.
//!
//! Where files cannot have second names there is no single file, and the two are moved one after
//! the other.

use super::{
    journal::{Action, Area, Journal, What},
    logs::{has_logs, move_logs},
    moves::{identity, move_entry, parent, sync_up_to},
    raw::{self, Left},
    second_name::{Linked, give_link},
    transaction::Transaction,
};
use crate::{
    Result, backup,
    database::{self, Folded, SIDE_SUFFIXES, side_file},
    disk,
    store::{Bare, StoredPath, dress},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Makes the single file of every pair that waits to be put in place; gives those that have one.
///
/// # Errors
/// The system's, with the path; [`crate::error::DatabaseError`] where the copy cannot be written.
pub(super) fn fold_staged(area: &Area, journal: &Journal) -> Result<Vec<StoredPath>> {
    let _inside = disk::stay_inside(&area.data)?;
    disk::remove_tree("folded-sweep", &area.folded())?;
    let staged = area.staged(journal);
    let mut folded = Vec::new();
    for action in &journal.actions {
        let Action::Place { path, what: What::Database } = action else { continue };
        let main = path.below(&staged);
        let is_pair = raw::left(&main)? != Left::Nothing;
        if is_pair && fold_copy(area, &main, &path.below(&area.singles()))? {
            folded.push(path.clone());
        }
    }
    Ok(folded)
}

/// Whether a copy of a pair could be made one file that can have a second name.
fn fold_copy(area: &Area, main: &Path, single: &Path) -> Result<bool> {
    disk::create_private_folders("folded-folder", &parent(single))?;
    raw::copy_pair("folded-copy", main, single)?;
    let is_whole = match database::fold(single) {
        Ok(Folded::Whole) => true,
        // It cannot be opened: nobody can read it, with its log or without.
        Ok(Folded::Held | Folded::Raw(_)) => false,
        Err(error) => return Err(error),
    };
    for suffix in SIDE_SUFFIXES {
        disk::remove_file("folded-alone", &side_file(single, suffix))?;
    }
    let next = area.next();
    disk::remove_file("folded-next-old", &next)?;
    if !is_whole || give_link("folded-next", single, &next)? == Linked::Never {
        disk::remove_file("folded-end", single)?;
        return Ok(false);
    }
    disk::remove_file("folded-next-old", &next)?;
    if let Some(found) = disk::find(main)? {
        dress(single, &backup::dressed(&backup::scan::Found::from(&found), main)?, Bare::File)?;
    }
    disk::sync_file("folded-copy", single, &disk::open_to_read(single)?)?;
    sync_up_to("folded-sync", &area.private, [parent(single)].into())?;
    Ok(true)
}

/// Whether the single file of a pair is in place of the pair, which waits.
///
/// # Errors
/// The system's, with the path.
pub(super) fn is_between(area: &Area, journal: &Journal, path: &StoredPath) -> Result<bool> {
    let comes = journal.folded.contains(path) && !journal.raw.contains(path);
    Ok(comes && are_one(&path.below(&area.data), &path.below(&area.singles()))?)
}

fn are_one(one: &Path, other: &Path) -> Result<bool> {
    Ok(match (disk::find(one)?, disk::find(other)?) {
        (Some(one), Some(other)) => identity(&one) == identity(&other),
        _ => false,
    })
}

impl Transaction<'_> {
    /// The pairs that are to be put in place.
    fn coming(&self) -> impl Iterator<Item = &StoredPath> {
        self.journal.folded.iter().filter(|path| !self.journal.raw.contains(path))
    }

    /// Whether a pair is to be put in place here.
    pub(super) fn comes_as_pair(&self, path: &StoredPath) -> bool {
        self.coming().any(|it| it == path)
    }

    fn single(&self, path: &StoredPath) -> PathBuf {
        path.below(&self.area.singles())
    }

    pub(super) fn is_between(&self, path: &StoredPath) -> Result<bool> {
        is_between(self.area, self.journal, path)
    }

    /// Keeps what is live now of the pairs that go, by which they come back.
    pub(super) fn keep_single_files(&self) -> Result<()> {
        let mut folders = BTreeSet::new();
        for path in self.journal.folded.iter().filter(|path| self.journal.raw.contains(path)) {
            let (places, single) = (self.places(path), self.single(path));
            let live = disk::find(&places.live)?.filter(|live| live.is_file());
            let waits = disk::find(&places.staged)?.is_some();
            if live.is_none() || !waits || are_one(&places.live, &places.staged)? {
                continue;
            }
            if !are_one(&places.live, &single)? {
                disk::create_private_folders("folded-folder", &parent(&single))?;
                disk::remove_file("folded-keep-old", &single)?;
                give_link("folded-keep", &places.live, &single)?;
            }
            folders.insert(parent(&single));
        }
        sync_up_to("folded-sync", &self.area.private, folders)
    }

    /// Puts the single file in place of what is live, and keeps it.
    pub(super) fn put_single(&self, point: &'static str, path: &StoredPath) -> Result<()> {
        let (live, single, next) = (self.places(path).live, self.single(path), self.area.next());
        if are_one(&live, &single)? {
            return Ok(());
        }
        disk::remove_file(point, &next)?;
        disk::hard_link(point, &single, &next)?;
        Ok(disk::rename(point, &next, &live)?)
    }

    /// Puts the pairs in place of the single files that stand for them.
    pub(super) fn complete_pairs(&self) -> Result<()> {
        let mut between = Vec::new();
        for path in self.coming() {
            if self.is_between(path)? {
                between.push(self.places(path));
            }
        }
        if between.is_empty() {
            return Ok(());
        }
        self.sync_parents("pair-sync")?;
        for places in &between {
            move_logs("pair-log", What::Database, &places.staged, &places.live)?;
        }
        self.sync_parents("pair-sync")?;
        for places in &between {
            move_entry("pair", &places.staged, &places.live)?;
        }
        Ok(())
    }

    /// Takes the pairs back to where they waited; single files are left in place.
    pub(super) fn part_pairs(&self) -> Result<()> {
        let mut pairs = Vec::new();
        for path in self.coming() {
            let places = self.places(path);
            if disk::find(&places.live)?.is_none() {
                continue;
            }
            // Its logs come before a pair and go after it. They alone tell that it is in place where
            // an interrupted way back has copied it.
            let waits = disk::find(&places.staged)?.is_some();
            let is_placed =
                !waits || are_one(&places.live, &places.staged)? || !has_logs(&places.staged)?;
            if !waits {
                self.second_name(["pair-keep", "pair-keep-copy"], &places.live, &places.staged)?;
            }
            if is_placed || self.is_between(path)? {
                pairs.push((path, places));
            }
        }
        if pairs.is_empty() {
            return Ok(());
        }
        self.sync_staged("pair-keep-sync")?;
        for (path, _) in &pairs {
            self.put_single("pair-back", path)?;
        }
        self.sync_staged("pair-keep-sync")?;
        for (_, places) in &pairs {
            move_logs("pair-back-log", What::Database, &places.live, &places.staged)?;
        }
        self.sync_staged("pair-keep-sync")
    }

    /// Gives the place of a single file back to what was there before, but for its logs.
    pub(super) fn take_single_back(&self, path: &StoredPath) -> Result<()> {
        let places = self.places(path);
        match disk::find(&places.undo)? {
            Some(kept) if !kept.is_dir() => {
                disk::rename("back-place", &places.undo, &places.live)?;
            }
            _ => disk::remove_file("back-new", &places.live)?,
        }
        Ok(())
    }

    /// Goes back from a pair's replacement to its single file, where there is one; tells whether.
    pub(super) fn take_back_as_single(&self, path: &StoredPath) -> Result<bool> {
        let gone = self.journal.folded.contains(path) && self.journal.raw.contains(path);
        if !gone || disk::find(&self.single(path))?.is_none() {
            return Ok(false);
        }
        let places = self.places(path);
        let is_away = disk::find(&places.live)?.is_none();
        if is_away || self.is_same(&places.live, &places.staged)? {
            self.put_single("back-place", path)?;
        }
        are_one(&places.live, &self.single(path))
    }
}
