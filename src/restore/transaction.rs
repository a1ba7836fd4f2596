//! Carrying out a journal, forward or back, from whatever point an interruption left it at.
//!
//! Every function here may be run again after it was cut off anywhere, and looks at what is there
//! instead of remembering. A name is always one whole old or one whole new file: the old one gets a
//! second name in the undo area, then the new one is renamed over it.

use super::{
    directory,
    hold::Hold,
    is_absent,
    journal::{Action, Area, Journal, What},
    logs::{Pairs, move_logs, remove_logs},
    moves::{dress_folder, identity, later_name, move_entry, parent, remove_if_empty, sync_up_to},
    second_name,
};
use crate::{Result, disk, store::StoredPath};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A journal, and the three trees between which it moves entries.
pub(super) struct Transaction<'a> {
    pub(super) area: &'a Area,
    pub(super) journal: &'a Journal,
    /// What keeps others out of the databases meanwhile.
    pub(super) hold: &'a Hold,
}

/// Where one entry is looked for.
pub(super) struct Places {
    pub(super) live: PathBuf,
    pub(super) staged: PathBuf,
    pub(super) undo: PathBuf,
}

impl Transaction<'_> {
    /// Makes the folders of the undo area, durable, so that afterwards nothing but moves is left.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn prepare(&self) -> Result<()> {
        let tree = self.area.undo_tree(&self.journal.id);
        let mut folders = BTreeSet::from([tree.clone()]);
        for action in &self.journal.actions {
            let path = match action {
                // What is in place already replaces nothing any more.
                Action::Place { path, .. } if disk::find(&self.places(path).staged)?.is_some() => {
                    path
                }
                Action::Displace { path, .. } => path,
                _ => continue,
            };
            if disk::find(&path.below(&self.area.data))?.is_some_and(|found| !found.is_dir()) {
                folders.insert(parent(&path.below(&tree)));
            }
        }
        for folder in &folders {
            disk::create_private_folders("undo-folder", folder)?;
        }
        sync_up_to("undo-sync", &self.area.private, folders)?;
        if self.area.records == self.area.private {
            return Ok(());
        }
        // The journal becomes the record there.
        let record = self.area.record_folder(&self.journal.id);
        disk::create_private_folders("undo-folder", &record)?;
        sync_up_to("undo-sync", &self.area.records, BTreeSet::from([record]))
    }

    /// Goes to the new state; gives how long the names were of both.
    ///
    /// # Errors
    /// [`crate::error::RestoreError::InUse`]; the system's, with the path; the journal still stands then.
    pub(super) fn forward(&self) -> Result<Duration> {
        let actions = &self.journal.actions;
        // Second names for all old files first, and durable: only then may one be replaced.
        self.keep_single_files()?;
        for action in actions {
            match action {
                Action::Place { path, what } => self.keep(path, *what)?,
                Action::Displace { path, .. } => self.keep_displaced(path)?,
                _ => {}
            }
        }
        self.sync_parents("keep-sync")?;
        // The syncs take longest: whoever came meanwhile has met nothing but old files.
        self.hold.require_old_unheld()?;
        let clock = Instant::now();
        for action in actions {
            if let Action::Displace { path, what } = action {
                let places = self.places(path);
                move_entry("displace", &places.live, &places.undo)?;
                move_logs("displace-log", *what, &places.live, &places.undo)?;
            }
        }
        for action in actions {
            match action {
                Action::RemoveFolder { path, .. } => {
                    remove_if_empty("remove-folder", &path.below(&self.area.data))?;
                }
                Action::MakeFolder { path, .. } => {
                    disk::create_private_folders("make-folder", &path.below(&self.area.data))?;
                }
                _ => {}
            }
        }
        for action in actions {
            if let Action::Place { path, .. } = action {
                self.place(path)?;
            }
        }
        // Only a damaged database that is put back by an undo has logs waiting.
        let late = self.late_logs(|places| (&places.staged, &places.live), Pairs::Without)?;
        if !late.is_empty() {
            self.sync_parents("place-log-sync")?;
        }
        for (from, to) in &late {
            move_logs("place-log", What::Database, from, to)?;
        }
        self.complete_pairs()?;
        for action in actions.iter().rev() {
            if let Action::MakeFolder { path, attributes: after }
            | Action::DressFolder { path, after, .. } = action
            {
                dress_folder(&path.below(&self.area.data), after)?;
            }
        }
        if let Some(change) = self.journal.data_directory {
            directory::set(&self.area.data, change.after)?;
        }
        let mixed = clock.elapsed();
        // Before the syncs: the sooner whoever waits gets his file back, the better.
        self.hold.require_old_unheld()?;
        self.sync_parents("transaction-sync")?;
        Ok(mixed)
    }

    /// Goes to the state before.
    ///
    /// # Errors
    /// The system's, with the path; the journal still stands then.
    pub(super) fn back(&self) -> Result<()> {
        self.part_pairs()?;
        let actions = &self.journal.actions;
        // Second names for all new files first, and durable: once an old file has its name back
        // and the new one none, a second recovery would take the old one for the new. The logs of a
        // new one go with it: one of them must never lie beside an old file.
        for action in actions.iter().rev() {
            if let Action::Place { path, what } = action
                && !self.comes_as_pair(path)
            {
                self.keep_new(path)?;
                self.keep_new_logs(path, *what)?;
            }
        }
        self.sync_staged("back-keep-sync")?;
        for action in actions.iter().rev() {
            if let Action::Place { path, .. } = action {
                self.take_back(path)?;
            }
        }
        let late = self.late_logs(|places| (&places.undo, &places.live), Pairs::With)?;
        if !late.is_empty() {
            self.sync_parents("back-log-sync")?;
        }
        for (from, to) in &late {
            move_logs("back-log", What::Database, from, to)?;
        }
        // Before the folders go out of which files went to where they waited.
        self.sync_staged("back-staged-sync")?;
        for action in actions.iter().rev() {
            match action {
                Action::MakeFolder { path, .. } => {
                    remove_if_empty("back-folder", &path.below(&self.area.data))?;
                }
                Action::RemoveFolder { path, .. } => {
                    disk::create_private_folders("back-folder", &path.below(&self.area.data))?;
                }
                _ => {}
            }
        }
        for action in actions.iter().rev() {
            if let Action::Displace { path, what } = action {
                let places = self.places(path);
                move_entry("back-displaced", &places.undo, &places.live)?;
                move_logs("back-displaced-log", *what, &places.undo, &places.live)?;
            }
        }
        for action in actions.iter().rev() {
            if let Action::RemoveFolder { path, attributes: before }
            | Action::DressFolder { path, before, .. } = action
            {
                dress_folder(&path.below(&self.area.data), before)?;
            }
        }
        if let Some(change) = self.journal.data_directory {
            directory::set(&self.area.data, change.before)?;
        }
        self.sync_parents("back-sync")
    }

    /// Gives the old file a second name in the undo area, and moves its logs there.
    fn keep(&self, path: &StoredPath, what: What) -> Result<()> {
        let places = &self.places(path);
        let Some(staged) = disk::find(&places.staged)? else { return Ok(()) };
        let Some(live) = disk::find(&places.live)? else {
            // Logs whose database is gone must not lie beside the one that comes.
            return move_logs("keep-orphan", what, &places.live, &places.undo);
        };
        if self.is_between(path)? {
            return Ok(());
        }
        if self.journal.raw.contains(path) && !live.is_dir() {
            // What the live file has by now is what SQLite made of it and its log.
            disk::create_private_folders("undo-folder", &parent(&places.undo))?;
            let raw = path.below(&self.area.raw());
            move_entry("keep-raw", &raw, &places.undo)?;
            move_logs("keep-raw-log", what, &raw, &places.undo)?;
            // Empty by now, and of another database than the one that comes.
            return remove_logs("keep-raw-end", &places.live);
        }
        // A folder goes by actions of its own.
        if identity(&staged) == identity(&live) || live.is_dir() {
            return Ok(());
        }
        match disk::find(&places.undo)? {
            None => {
                // There unless the live file has come since the restore was prepared.
                disk::create_private_folders("undo-folder", &parent(&places.undo))?;
                self.second_name(["keep", "keep-copy"], &places.live, &places.undo)?;
            }
            Some(_) if self.is_same(&places.undo, &places.live)? => {}
            // Somebody has replaced it since the interruption: that one is kept as well.
            Some(_) => {
                let is_kept = |later: &Path| self.is_same(later, &places.live);
                if let Some(later) = later_name(&places.undo, is_kept)? {
                    self.second_name(["keep-later", "keep-later-copy"], &places.live, &later)?;
                }
            }
        }
        move_logs("keep-log", what, &places.live, &places.undo)
    }

    fn place(&self, path: &StoredPath) -> Result<()> {
        let places = self.places(path);
        if self.comes_as_pair(path) {
            return match disk::find(&places.staged)? {
                Some(_) => self.put_single("place", path),
                None => Ok(()),
            };
        }
        move_entry("place", &places.staged, &places.live)
    }

    /// Gives a file that goes its name in the undo area beforehand, so that later nothing but its old
    /// name has to go.
    fn keep_displaced(&self, path: &StoredPath) -> Result<()> {
        let places = &self.places(path);
        let live = disk::find(&places.live)?.filter(|live| !live.is_dir());
        if live.is_some() && disk::find(&places.undo)?.is_none() {
            // Where it cannot have two, it is moved when its time comes.
            second_name::give_link("displace-keep", &places.live, &places.undo)?;
        }
        Ok(())
    }

    /// Gives the new file its staged name again where an old one will take its place.
    fn keep_new(&self, path: &StoredPath) -> Result<()> {
        let places = &self.places(path);
        let kept = disk::find(&places.undo)?.filter(|kept| !kept.is_dir());
        let (staged, live) = (disk::find(&places.staged)?, disk::find(&places.live)?);
        if staged.is_none() && live.is_some() && kept.is_some() {
            self.second_name(["back-keep", "back-keep-copy"], &places.live, &places.staged)?;
        }
        Ok(())
    }

    fn take_back(&self, path: &StoredPath) -> Result<()> {
        let places = &self.places(path);
        if self.is_between(path)? {
            return self.take_single_back(path);
        }
        if self.take_back_as_single(path)? {
            // The logs first: they alone would be taken for those of the old file.
            remove_logs("back-unkeep", &places.undo)?;
            return Ok(disk::remove_file("back-unkeep", &places.undo)?);
        }
        let (staged, live) = (disk::find(&places.staged)?, disk::find(&places.live)?);
        let kept = disk::find(&places.undo)?.filter(|kept| !kept.is_dir());
        let unkeep = || disk::remove_file("back-unkeep", &places.undo);
        let put_back = || disk::rename("back-place", &places.undo, &places.live);
        match (staged, live, kept) {
            (_, None, Some(_)) => put_back()?,
            (None, Some(_), None) => disk::rename("back-new", &places.live, &places.staged)?,
            // A power cut has left the new file under both names of the rename above.
            (Some(staged), Some(live), None) if identity(&staged) == identity(&live) => {
                disk::remove_file("back-new", &places.live)?;
            }
            // Two names of one file: renaming one over the other would leave both.
            (Some(_), Some(live), Some(kept)) if identity(&live) == identity(&kept) => unkeep()?,
            (Some(staged), Some(live), Some(_)) if identity(&staged) == identity(&live) => {
                put_back()?;
            }
            // The live one is still the old one, with its log folded. Without links, the new one
            // was copied.
            (Some(_), Some(_), Some(_))
                if self.journal.raw.contains(path)
                    && !self.is_same(&places.staged, &places.live)? =>
            {
                remove_logs("back-unkeep", &places.undo)?;
                return Ok(unkeep()?);
            }
            (Some(_), Some(_), Some(_)) if self.is_same(&places.live, &places.undo)? => {
                unkeep()?;
            }
            (Some(_), Some(_), Some(_)) if self.is_same(&places.staged, &places.live)? => {
                put_back()?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn second_name(
        &self,
        points: [&'static str; 2],
        from: &Path,
        to: &Path,
    ) -> Result<()> {
        second_name::give(points, from, to, &self.area.scratch(), self.hold)
    }

    pub(super) fn is_same(&self, one: &Path, other: &Path) -> Result<bool> {
        second_name::is_same(one, other, self.hold)
    }

    pub(super) fn places(&self, path: &StoredPath) -> Places {
        Places {
            live: path.below(&self.area.data),
            staged: path.below(&self.area.staged(self.journal)),
            undo: path.below(&self.area.undo_tree(&self.journal.id)),
        }
    }

    /// Syncs every folder in which a new file waits, and those that its logs have left.
    pub(super) fn sync_staged(&self, point: &'static str) -> Result<()> {
        let mut folders = BTreeSet::new();
        for action in &self.journal.actions {
            let Action::Place { path, what } = action else { continue };
            let places = self.places(path);
            folders.insert(parent(&places.staged));
            if *what == What::Database {
                folders.insert(parent(&places.live));
            }
        }
        for folder in folders {
            match disk::sync_folder(point, &folder) {
                Err(error) if is_absent(&error) => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Syncs every folder in which a name may have changed.
    pub(super) fn sync_parents(&self, point: &'static str) -> Result<()> {
        let mut folders = BTreeSet::new();
        for action in &self.journal.actions {
            match action {
                Action::Place { path, .. } | Action::Displace { path, .. } => {
                    let places = self.places(path);
                    folders.extend([&places.live, &places.undo].map(|path| parent(path)));
                }
                Action::MakeFolder { path, .. }
                | Action::RemoveFolder { path, .. }
                | Action::DressFolder { path, .. } => {
                    let live = path.below(&self.area.data);
                    folders.extend([parent(&live), live]);
                }
            }
        }
        for folder in folders {
            match disk::sync_folder(point, &folder) {
                // A folder that the restore removes, or has not made yet.
                Err(error) if is_absent(&error) => {}
                other => other?,
            }
        }
        Ok(())
    }
}
