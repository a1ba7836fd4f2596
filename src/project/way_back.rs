//! Whether what is about to start could be put back: before a deploy, and before a run that SQL alone
//! cannot undo. It only looks, and it looks before anything is changed.

use super::{Project, Targets};
use crate::{
    Result, backup, disk,
    error::ProjectError,
    history::Transaction,
    plan::{Action, DatabasePlan},
    restore,
    store::Filter,
};
use std::path::{Path, PathBuf};

/// What a restore might have to put back.
pub(super) enum Extent {
    /// These databases, relative to the data directory.
    Databases(Vec<PathBuf>),
    /// Every database: a service runs on them meanwhile.
    AllDatabases,
    /// Everything: a script may change any file.
    Everything,
}

impl Project {
    /// Refuses where the restore that follows a failure would be refused or find no room.
    ///
    /// # Errors
    /// [`ProjectError::OnAnotherMount`], [`ProjectError::NoRoomToRestore`]; the system's, with the path.
    pub(super) fn require_way_back(&self, plans: &[DatabasePlan], extent: &Extent) -> Result<()> {
        let data = &self.config.data;
        if !disk::exists(data)? {
            return Ok(());
        }
        for plan in plans.iter().filter(|plan| plan.runs()) {
            self.require_same_mount(&plan.database)?;
        }
        self.require_room_to_restore(extent)
    }

    /// Nothing can be renamed onto another mount, and a restore renames.
    pub(super) fn require_same_mount(&self, database: &Path) -> Result<()> {
        let data = &self.config.data;
        let path = data.join(database);
        // One that is new lies where its folder lies.
        let mut there = path.as_path();
        while disk::find(there)?.is_none() && there != data.as_path() {
            there = there.parent().unwrap_or(data);
        }
        if disk::mount_of(there)? == disk::mount_of(&data.join("."))? || there == data.as_path() {
            return Ok(());
        }
        Err(ProjectError::OnAnotherMount { database: database.into() }.into())
    }

    /// What is put back is unpacked beside the data first.
    pub(super) fn require_room_to_restore(&self, extent: &Extent) -> Result<()> {
        let data = &self.config.data;
        let left_out = self.config.left_out()?;
        let bytes = match extent {
            Extent::Everything => backup::size_of_data(data, &left_out)?,
            Extent::AllDatabases => backup::size_of_databases(data, &left_out)?,
            Extent::Databases(databases) => {
                let lengths = databases.iter().map(|it| disk::find(&data.join(it)));
                lengths.map(|found| Ok(found?.map_or(0, |it| it.len()))).sum::<Result<u64>>()?
            }
        };
        let needed = restore::room_for(bytes);
        let free = disk::free_space(data)?;
        if bytes > 0 && free < needed {
            let path = data.clone();
            return Err(ProjectError::NoRoomToRestore { path, free, needed }.into());
        }
        Ok(())
    }

    /// What must be put back if a run with these plans fails; nothing where SQL undoes itself.
    pub(super) fn extent_of_run(plans: &[DatabasePlan], targets: &Targets) -> Option<Extent> {
        let runs = || plans.iter().filter(|plan| plan.runs());
        let all = || runs().flat_map(DatabasePlan::actions);
        if all().any(|it| matches!(it.action, Action::Script)) {
            return Some(Extent::Everything);
        }
        let is_alone = |header: &crate::history::Header| header.transaction == Transaction::None;
        let alone =
            all().any(|it| it.migration.as_ref().is_some_and(|file| is_alone(&file.header)));
        // Databases of a pattern stand each for itself; named ones go back together.
        let named = runs().filter(|plan| !targets.is_matching(&plan.target)).count();
        let databases = runs().map(|plan| plan.database.clone()).collect();
        (alone || named > 1).then_some(Extent::Databases(databases))
    }
}

/// The mounts inside a data directory, as patterns that mean each of them alone.
pub(super) fn mounts_inside(data: &Path) -> Result<(Vec<String>, Filter)> {
    let points = backup::mounts_inside(data);
    let patterns: Vec<String> = points
        .iter()
        .map(|path| format!("/{}", glob::Pattern::escape(&path.to_string())))
        .collect();
    let filter = Filter::new(&patterns)?;
    Ok((points.iter().map(ToString::to_string).collect(), filter))
}
