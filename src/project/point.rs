//! The rollback point of a deploy: made ready beside the running service, taken when it has stopped,
//! archived when there is time.

use super::Project;
use crate::{
    Result, backup,
    event::Observer,
    store::{BackupId, Reason},
};

/// The label of a backup of what the service left.
pub(super) const AFTER: &str = "after the stop";

impl Project {
    /// Takes a backup beside the running service, and a copy by which the rollback point is quick.
    pub(super) fn prepare_point(
        &self,
        label: Option<String>,
        observer: &dyn Observer,
    ) -> Result<backup::Taken> {
        self.with_room(Reason::Deploy, label, |request, store| {
            backup::point::prepare(request, store, observer)
        })
    }

    /// Brings that copy up to what the service left; nothing where there is none to go by.
    pub(super) fn take_point(&self) -> Result<Option<BackupId>> {
        self.with_backup_request(Reason::Deploy, None, backup::point::take)
    }

    /// Makes the archive of the rollback point with this id, if one waits for it.
    pub(super) fn archive_point(&self, id: &BackupId, observer: &dyn Observer) -> Result<()> {
        if !backup::point::is_waiting(&self.store(), id)? || self.store().load(id).is_ok() {
            return Ok(());
        }
        self.with_room(Reason::Deploy, Some(AFTER.into()), |request, store| {
            backup::point::archive(request, store, id, observer)
        })
        .map(drop)
    }
}
