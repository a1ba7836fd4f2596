//! `diff`: what differs between two backups, or between one and the live data.

use super::Project;
use crate::{
    Result,
    difference::{self, Depth, Difference, Source},
    event::Observer,
    store::{BackupId, Filter, Reason, Selector},
};
use std::str::FromStr;

/// What a backup is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opposite {
    /// The data directory as it is now.
    Live,
    /// Another backup.
    Backup(Selector),
}

impl FromStr for Opposite {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "live" => Ok(Self::Live),
            _ => Ok(Self::Backup(text.parse()?)),
        }
    }
}

/// What differs, and between which two.
#[derive(Debug)]
pub struct DiffReport {
    /// The first side.
    pub first: BackupId,
    /// The second side; none for the live data.
    pub second: Option<BackupId>,
    /// What differs.
    pub difference: Difference,
}

impl Project {
    /// Compares a backup with another one or with the live data; up to `keys` keys of rows are
    /// listed of each kind and table.
    ///
    /// # Errors
    /// Those of [`difference::find`]; a backup that cannot be found.
    pub fn diff(
        &self,
        first: &Selector,
        second: &Opposite,
        keys: usize,
        observer: &dyn Observer,
    ) -> Result<DiffReport> {
        self.settle(observer)?;
        let store = self.store();
        let first = store.unseal(&store.find(first)?)?.into_owned();
        let other = match second {
            Opposite::Live => None,
            Opposite::Backup(selector) => Some(store.unseal(&store.find(selector)?)?.into_owned()),
        };
        let only = Filter::default();
        let depth = Depth { only: &only, keys };
        let difference = self.with_backup_request(Reason::Manual, None, |live, store| {
            let second = other.as_ref().map_or(Source::Live(live), Source::Backup);
            difference::find(store, (Source::Backup(&first), second), depth, observer)
        })?;
        let second = other.map(|backup| backup.manifest.id);
        Ok(DiffReport { first: first.manifest.id, second, difference })
    }
}
