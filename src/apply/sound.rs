//! Views and triggers after a run: those that SQLite prepared before it prepare after it.

use super::stage::Item;
use crate::{error::ApplyError, schema::Schema};
use rusqlite::Connection;
use std::collections::BTreeMap;

pub(super) use crate::schema::broken;

/// A view or trigger that SQLite prepared before the stage and does not now.
pub(super) fn broken_since(
    connection: &Connection,
    stage: &[Item<'_>],
    sound: &BTreeMap<String, String>,
    after: &Schema,
) -> Option<ApplyError> {
    let mut headers = stage.iter().flat_map(|(_, migration)| &migration.header.allow);
    if headers.any(|allow| allow.code == "view-broken") {
        return None;
    }
    let mut broken = broken(connection, after).into_iter();
    let (what, reason) = broken.find(|(what, _)| !sound.contains_key(what))?;
    let migration = stage.last().map(|(_, migration)| migration.title()).unwrap_or_default();
    Some(ApplyError::ViewBroken { migration, what, reason })
}
