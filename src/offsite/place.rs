//! What a place off the machine must be able to do. It knows names and bytes, not backups.

use super::content::Content;
use crate::{Result, error::OffsiteError};
use chrono::{DateTime, Utc};
use std::io::{self, Read};

/// Ends the name of what is still being written, where a place has no better way.
pub(super) const PARTIAL: &str = ".partial";

/// Something that lies at the place under a final name, or is on its way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name, without the place's own prefix.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// When it was last written, by the place's own clock.
    pub modified: DateTime<Utc>,
}

/// An upload that has not ended, or that nobody will end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The final name it was meant for.
    pub name: String,
    /// By what the place tells it from others.
    pub handle: String,
    /// When it was last known to go on, by the place's own clock.
    pub modified: DateTime<Utc>,
}

/// A folder, bucket or server; every call may be repeated.
///
/// Errors that a later attempt may not meet again are [`OffsiteError::Unreachable`] and
/// [`OffsiteError::Broken`].
pub(crate) trait Place: Sync {
    /// What to call it in messages: its address, without any secret.
    fn shown(&self) -> &str;

    /// Everything under a final name.
    ///
    /// # Errors
    /// The place's.
    fn list(&self) -> Result<Vec<Object>>;

    /// Writes a whole object, which replaces one of that name, and compares what arrived with what
    /// was sent. Until it is whole, its name does not show it. Goes on where an earlier attempt
    /// ended, where the place can do that.
    ///
    /// # Errors
    /// The place's; [`OffsiteError::Damaged`] where something else arrived.
    fn put(&self, name: &str, content: &Content<'_>) -> Result<()>;

    /// Reads an object from an offset to its end.
    ///
    /// # Errors
    /// The place's.
    fn get(&self, name: &str, from: u64) -> Result<Box<dyn Read + '_>>;

    /// Removes an object; one that is not there is as good as removed.
    ///
    /// # Errors
    /// The place's.
    fn delete(&self, name: &str) -> Result<()>;

    /// Uploads that have not ended.
    ///
    /// # Errors
    /// The place's.
    fn unfinished(&self) -> Result<Vec<Unfinished>>;

    /// Removes what an upload has left.
    ///
    /// # Errors
    /// The place's.
    fn abandon(&self, upload: &Unfinished) -> Result<()>;
}

/// An error in the middle of a transfer: it may go on later.
pub(crate) fn broken(place: &str) -> impl Fn(io::Error) -> OffsiteError + use<> {
    let place = place.to_string();
    move |error| OffsiteError::Broken { place: place.clone(), reason: error.to_string() }
}

/// What lies there is not what was sent.
pub(super) fn damaged(place: &str, name: &str, reason: impl Into<String>) -> OffsiteError {
    OffsiteError::Damaged { place: place.into(), name: name.into(), reason: reason.into() }
}

impl Unfinished {
    /// An upload that lies under a partial name.
    pub(super) fn from_partial(object: Object) -> Option<Self> {
        let name = object.name.strip_suffix(PARTIAL)?.to_string();
        Some(Self { name, handle: object.name, modified: object.modified })
    }
}
