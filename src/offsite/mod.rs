//! Copies of backups off the machine: a mounted disk, an object store, a server.
//!
//! A copy is the archive and, sent last, its description `ID.json`; so whatever is listed is whole.
//! Nothing here decides about live data, and no failure here may fail a backup.

mod content;
mod fetch;
mod folder;
mod holdings;
mod note;
mod pace;
mod place;
mod plan;
mod retry;
#[cfg(feature = "s3")]
mod s3;
mod settings;
#[cfg(feature = "sftp")]
mod sftp;
mod sync;
#[cfg(test)]
mod tests;

pub use fetch::Fetched;
pub use holdings::{Copy, Holdings};
pub use note::Failure;
pub use plan::Plan;
pub use settings::{Addressing, Bucket, Location, Server, Settings};
pub use sync::Report;

pub(crate) use sync::Request;

use crate::{
    Result,
    error::OffsiteError,
    event::Observer,
    store::{Backup, BackupId, Catalog, Changed, Order, Remark, Selector, Store},
};
use chrono::{DateTime, Utc};
use note::{Note, Settled};
use pace::Pace;
use place::Place;
use plan::Brief;
use retry::Retry;
use std::io::Read as _;

/// No description is longer: what is, is none.
const LONGEST_DESCRIPTION: u64 = 512 << 20;

/// What a place needs of the world around.
pub struct World<'a> {
    /// The variables of the environment.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
    /// The time now.
    pub clock: &'a (dyn Fn() -> DateTime<Utc> + Sync),
}

/// A place off the machine, ready to be asked.
pub struct Offsite<'a> {
    place: Box<dyn Place + 'a>,
    settings: &'a Settings,
    pace: Pace,
}

impl<'a> Offsite<'a> {
    /// Makes ready; nothing is reached yet.
    ///
    /// # Errors
    /// [`OffsiteError::NotBuilt`], and what is wrong with credentials.
    pub fn open(settings: &'a Settings, world: &World<'a>) -> Result<Self> {
        let shown = settings.location.to_string();
        let place: Box<dyn Place + 'a> = match &settings.location {
            Location::Folder(path) => Box::new(folder::Folder::new(path, shown)),
            #[cfg(feature = "s3")]
            Location::Bucket(bucket) => {
                Box::new(s3::ObjectStore::open(bucket, shown, settings.timeout, world)?)
            }
            #[cfg(not(feature = "s3"))]
            Location::Bucket(_) => {
                return Err(OffsiteError::NotBuilt { place: shown, feature: "s3" }.into());
            }
            #[cfg(feature = "sftp")]
            Location::Server(server) => {
                Box::new(sftp::Remote::new(server, shown, settings.timeout))
            }
            #[cfg(not(feature = "sftp"))]
            Location::Server(_) => {
                return Err(OffsiteError::NotBuilt { place: shown, feature: "sftp" }.into());
            }
        };
        let _ = world;
        Ok(Self { place, settings, pace: Pace::new(settings.bandwidth) })
    }

    /// What to call the place in messages.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.place.shown()
    }

    /// What lies there.
    ///
    /// # Errors
    /// The place's.
    pub fn holdings(&self, observer: &dyn Observer) -> Result<Holdings> {
        self.retry().run(observer, || self.place.list()).map(Holdings::of)
    }

    /// Finds the copy that is meant.
    ///
    /// # Errors
    /// [`OffsiteError::NotFound`], [`OffsiteError::Ambiguous`]; the place's.
    pub fn find(&self, selector: &Selector, observer: &dyn Observer) -> Result<Copy> {
        let mut copies = self.holdings(observer)?.copies;
        let place = self.shown().to_string();
        let prefix = match selector {
            Selector::Prefix(prefix) => prefix,
            other => return self.newest(copies, other, observer),
        };
        copies.retain(|copy| copy.backup.as_str().starts_with(prefix.as_str()));
        match copies.len() {
            0 => Err(OffsiteError::NotFound { place, selector: prefix.clone() }.into()),
            1 => Ok(copies.swap_remove(0)),
            _ => {
                let matches = copies.iter().map(|copy| copy.backup.to_string()).collect();
                Err(OffsiteError::Ambiguous { prefix: prefix.clone(), matches }.into())
            }
        }
    }

    /// The copy of the backup that was taken last among those that are meant. What their names say of
    /// the time is what a clock said, so the descriptions decide.
    fn newest(
        &self,
        copies: Vec<Copy>,
        selector: &Selector,
        observer: &dyn Observer,
    ) -> Result<Copy> {
        let mut newest: Option<(Order, Copy)> = None;
        let mut damaged: Option<(BackupId, OffsiteError)> = None;
        for copy in copies {
            match Brief::parse(&self.description(&copy, observer)?, &copy) {
                Ok(known) => {
                    let order = known.order();
                    let is_newer = newest.as_ref().is_none_or(|(newest, _)| order > *newest);
                    let label = known.label.as_deref();
                    if selector.picks(known.created, known.reason, label) && is_newer {
                        newest = Some((order, copy));
                    }
                }
                Err(reason) if damaged.as_ref().is_none_or(|(id, _)| copy.backup > *id) => {
                    let name = holdings::description(&copy.backup);
                    damaged = Some((copy.backup, place::damaged(self.shown(), &name, reason)));
                }
                Err(_) => {}
            }
        }
        // It never means an older one instead of one that cannot be read.
        match (newest, damaged) {
            (Some((_, copy)), Some((id, error))) if id > copy.backup => Err(error.into()),
            (Some((_, copy)), _) => Ok(copy),
            (None, Some((_, error))) => Err(error.into()),
            (None, None) => {
                let (place, selector) = (self.shown().to_string(), selector.to_string());
                Err(OffsiteError::NotFound { place, selector }.into())
            }
        }
    }

    /// Changes what is said about a copy there; tells whether anything is different now.
    ///
    /// # Errors
    /// [`OffsiteError::Damaged`] where its description is none; the place's.
    pub(crate) fn remark(
        &self,
        copy: &Copy,
        remark: &Remark,
        observer: &dyn Observer,
    ) -> Result<(Backup, Changed)> {
        let before = self.described(copy, observer)?;
        let mut backup = before.clone();
        remark.apply(&mut backup);
        if backup == before {
            return Ok((backup, Changed::No));
        }
        self.describe(backup.id(), &crate::store::to_json(&backup)?, observer)?;
        Ok((backup, Changed::Yes))
    }

    /// Reads and understands the description of a copy.
    fn described(&self, copy: &Copy, observer: &dyn Observer) -> Result<Backup> {
        let json = self.description(copy, observer)?;
        let name = holdings::description(&copy.backup);
        let backup = crate::store::described(&json, &copy.backup, std::path::Path::new(&name));
        let damaged = |reason: String| place::damaged(self.shown(), &name, reason);
        Ok(backup.map_err(|error| damaged(error.to_string()))?)
    }

    fn retry(&self) -> Retry {
        Retry { patience: self.settings.patience }
    }

    /// Reads the description of a copy.
    fn description(&self, copy: &Copy, observer: &dyn Observer) -> Result<Vec<u8>> {
        let name = holdings::description(&copy.backup);
        if copy.description_bytes > LONGEST_DESCRIPTION {
            return Err(place::damaged(self.shown(), &name, "it is too long").into());
        }
        self.retry().run(observer, || {
            let mut json = Vec::new();
            let reader = self.place.get(&name, 0)?;
            let limit = LONGEST_DESCRIPTION + 1;
            reader.take(limit).read_to_end(&mut json).map_err(place::broken(self.shown()))?;
            self.pace.keep(json.len() as u64);
            Ok(json)
        })
    }
}

/// What is known here about the copies, without asking the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The place.
    pub place: String,
    /// Backups that are only here as far as is known, newest first.
    pub only_here: Vec<crate::store::BackupId>,
    /// Backups that are only here because no rule would keep them there, newest first.
    pub surplus: Vec<crate::store::BackupId>,
    /// How the last attempt failed, where it did.
    pub failure: Option<Failure>,
}

impl Standing {
    /// Compares the backups here with what is noted about the copies.
    #[must_use]
    pub fn of(settings: &Settings, store: &Store, catalog: &Catalog) -> Self {
        let place = settings.location.to_string();
        let note = Note::read(store, &place);
        let with = |settled: Option<Settled>| {
            let ids = catalog.backups.iter().map(|backup| backup.id().clone());
            ids.filter(|id| note.settled.get(id).copied() == settled).collect()
        };
        let (only_here, surplus) = (with(None), with(Some(Settled::Surplus)));
        Self { place, only_here, surplus, failure: note.failure }
    }
}
