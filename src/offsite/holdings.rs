//! What lies at the place: whole copies, halves of copies, and what is not ours.
//!
//! A copy is whole when its description `ID.json` is there, which is sent last and removed first.

use super::place::Object;
use crate::store::BackupId;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use std::{collections::BTreeMap, str::FromStr};

pub(super) const DESCRIPTION: &str = ".json";
/// A half that is older belongs to no upload that still runs, on whichever machine.
pub(super) const ABANDONED: TimeDelta = TimeDelta::days(1);

/// What lies at the place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Whole copies, newest first.
    pub copies: Vec<Copy>,
    /// Archives without a description, or descriptions without an archive.
    pub(super) halves: Vec<(BackupId, Object)>,
    /// Names that piton does not give.
    pub strays: Vec<String>,
}

/// A copy of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// The backup.
    pub backup: BackupId,
    /// The name of its archive there.
    pub archive: String,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of the description.
    #[serde(skip)]
    pub(super) description_bytes: u64,
}

impl Holdings {
    /// Sorts what a listing shows.
    pub(super) fn of(objects: Vec<Object>) -> Self {
        let mut holdings = Self::default();
        let mut archives: BTreeMap<BackupId, Object> = BTreeMap::new();
        let mut descriptions: BTreeMap<BackupId, Object> = BTreeMap::new();
        for object in objects {
            match kind(&object.name) {
                Some((id, Part::Archive)) => drop(archives.insert(id, object)),
                Some((id, Part::Description)) => drop(descriptions.insert(id, object)),
                None => holdings.strays.push(object.name),
            }
        }
        for (id, archive) in archives {
            match descriptions.remove(&id) {
                Some(description) => holdings.copies.push(Copy {
                    backup: id,
                    archive: archive.name,
                    archive_bytes: archive.bytes,
                    description_bytes: description.bytes,
                }),
                None => holdings.halves.push((id, archive)),
            }
        }
        holdings.halves.extend(descriptions);
        holdings.copies.reverse();
        holdings.strays.sort();
        holdings
    }

    /// The copy of a backup.
    #[must_use]
    pub fn copy_of(&self, id: &BackupId) -> Option<&Copy> {
        self.copies.iter().find(|copy| copy.backup == *id)
    }
}

/// Whether something was left by an upload that runs no more.
pub(super) fn is_old(modified: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - modified > ABANDONED
}

enum Part {
    Archive,
    Description,
}

/// The backup that a name belongs to; the archive may be of any kind.
fn kind(name: &str) -> Option<(BackupId, Part)> {
    let (id, ending) = name.split_once('.')?;
    let id = BackupId::from_str(id).ok()?;
    // Names come from elsewhere, and become names here: nothing in them may lead to another folder.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
    match ending {
        "json" => Some((id, Part::Description)),
        _ if !ending.starts_with("tar") || !ending.bytes().all(plain) => None,
        _ => Some((id, Part::Archive)),
    }
}

/// The backup that a final name belongs to.
pub(super) fn owner(name: &str) -> Option<BackupId> {
    kind(name).map(|(id, _)| id)
}

/// The name of a backup's description.
pub(super) fn description(id: &BackupId) -> String {
    format!("{id}{DESCRIPTION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, hours: i64) -> Object {
        let modified = DateTime::UNIX_EPOCH - TimeDelta::hours(hours);
        Object { name: name.into(), bytes: 7, modified }
    }

    #[test]
    fn whole_half_and_foreign() {
        let found = Holdings::of(vec![
            object("20261120T131907Z-3f9a2c.tar.gz", 30),
            object("20261120T131907Z-3f9a2c.json", 30),
            object("20261121T131907Z-3f9a2c.tar.zst.age", 1),
            object("20261121T131907Z-3f9a2c.json", 1),
            object("20261122T131907Z-3f9a2c.tar", 30),
            object("20261123T131907Z-3f9a2c.tar", 1),
            object("20261124T131907Z-3f9a2c.json", 30),
            object("notes.txt", 30),
            object("20261124T131907Z-3f9a2c.tar/../../x", 30),
            object("20261124T131907Z-3f9a2c.txt", 30),
            object("20261124T131907Z-3f9a2c", 30),
        ]);
        let ids: Vec<&str> = found.copies.iter().map(|copy| copy.backup.as_str()).collect();
        assert_eq!(ids, ["20261121T131907Z-3f9a2c", "20261120T131907Z-3f9a2c"]);
        assert_eq!(found.copies[0].archive, "20261121T131907Z-3f9a2c.tar.zst.age");
        let strays = [
            "20261124T131907Z-3f9a2c",
            "20261124T131907Z-3f9a2c.tar/../../x",
            "20261124T131907Z-3f9a2c.txt",
            "notes.txt",
        ];
        assert_eq!(found.strays, strays);
        assert_eq!(found.halves.len(), 3);
        let halves = found.halves.iter().map(|(_, half)| half);
        let old: Vec<&str> = halves
            .filter(|half| super::is_old(half.modified, DateTime::UNIX_EPOCH))
            .map(|half| half.name.as_str())
            .collect();
        assert_eq!(old, ["20261122T131907Z-3f9a2c.tar", "20261124T131907Z-3f9a2c.json"]);
    }
}
