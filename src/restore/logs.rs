//! The logs beside a database, which go with it wherever it goes.
//!
//! A log of one database beside another is replayed into it, and a database without its log is
//! another one: so when each of them moves is a matter of order, which stands here.

use super::{
    journal::{Action, What},
    moves::{identity, move_entry},
    transaction::{Places, Transaction},
};
use crate::{
    Result,
    database::{SIDE_SUFFIXES, side_file},
    disk,
    store::StoredPath,
};
use std::path::{Path, PathBuf};

/// Whether databases that are put in place by a single file are meant as well.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pairs {
    With,
    Without,
}

impl Transaction<'_> {
    /// Moves the logs that lie beside a new file to its staged name.
    pub(super) fn keep_new_logs(&self, path: &StoredPath, what: What) -> Result<()> {
        let places = &self.places(path);
        let kept = disk::find(&places.undo)?.filter(|kept| !kept.is_dir());
        let (staged, live) = (disk::find(&places.staged)?, disk::find(&places.live)?);
        let is_new = match (staged, live, kept) {
            (None, Some(live), None) => !live.is_dir(),
            (Some(staged), Some(live), _) if identity(&staged) == identity(&live) => true,
            (Some(_), Some(live), Some(kept)) if identity(&live) != identity(&kept) => {
                !self.is_same(&places.live, &places.undo)?
                    && self.is_same(&places.staged, &places.live)?
            }
            _ => false,
        };
        match is_new {
            true => move_logs("back-new-log", what, &places.live, &places.staged),
            false => Ok(()),
        }
    }

    /// Where logs wait for databases that have their names already. They come when these are durable:
    /// a log that comes alone would be taken for one of what was there before.
    pub(super) fn late_logs(
        &self,
        way: impl Fn(&Places) -> (&PathBuf, &PathBuf),
        pairs: Pairs,
    ) -> Result<Vec<(PathBuf, PathBuf)>> {
        let mut late = Vec::new();
        for action in &self.journal.actions {
            let Action::Place { path, what: What::Database } = action else { continue };
            if pairs == Pairs::Without && self.comes_as_pair(path) {
                continue;
            }
            let places = self.places(path);
            let (from, to) = way(&places);
            if has_logs(from)? {
                late.push((from.clone(), to.clone()));
            }
        }
        Ok(late)
    }
}

/// Moves the logs of a database, if any lie there; of what is none, nothing.
///
/// # Errors
/// The system's, with the path.
pub(super) fn move_logs(point: &'static str, what: What, from: &Path, to: &Path) -> Result<()> {
    if what == What::Database {
        for suffix in SIDE_SUFFIXES {
            move_entry(point, &side_file(from, suffix), &side_file(to, suffix))?;
        }
    }
    Ok(())
}

pub(super) fn has_logs(main: &Path) -> Result<bool> {
    for suffix in SIDE_SUFFIXES {
        if disk::find(&side_file(main, suffix))?.is_some_and(|found| !found.is_dir()) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn remove_logs(point: &'static str, main: &Path) -> Result<()> {
    for suffix in SIDE_SUFFIXES {
        disk::remove_file(point, &side_file(main, suffix))?;
    }
    Ok(())
}
