//! What a deploy would go through, and what a refused one leaves: nothing. Neither starts anything.

use super::DeployOutline;
use crate::{
    Result, clock,
    deploy::{
        Phase, Restart, Work,
        phase::{Course, DataState},
        service,
    },
    disk,
    event::Silent,
    lock::PRIVATE_FOLDER,
    project::Project,
    store::LOGS_NAME,
};
use std::{ffi::OsStr, fs, path::PathBuf};

impl Project {
    /// The phases of a deploy that goes well, its service and its probes.
    #[must_use]
    pub fn deploy_outline(&self, restart: Option<Restart>, pending: usize) -> DeployOutline {
        let settings = &self.config.deploy;
        let managed = !matches!(settings.service, service::Settings::None);
        let restart = restart.unwrap_or(settings.restart);
        let work = match (pending, managed && restart == Restart::Always) {
            (1.., _) => Work::Migrate,
            (0, true) => Work::Restart,
            (0, false) => Work::Nothing,
        };
        let data = DataState::default();
        let course = Course { work, rehearsal: settings.rehearsal, data };
        let phases = std::iter::successors(Some(Phase::Preflight), |phase| phase.next(course));
        let timer = clock::System::new(&|| false);
        let ground = service::Ground {
            root: &self.config.root,
            data: &self.config.data,
            run: std::path::Path::new("/run"),
            environment: &[],
            clock: &timer,
            observer: &Silent,
        };
        let service = managed.then(|| settings.service.service(ground).name());
        DeployOutline { phases: phases.collect(), service, probes: settings.health.names() }
    }

    /// The folders that a deploy makes before it has looked at anything, where they are not there yet.
    pub(super) fn missing_folders(&self) -> Result<Vec<PathBuf>> {
        let mut missing = Vec::new();
        for folder in [&self.config.data, &self.config.backups] {
            if !disk::exists(folder)? {
                missing.push(folder.clone());
            }
        }
        Ok(missing)
    }

    /// Removes such folders where nothing but the notes and the log of a refused deploy is in them.
    pub(super) fn remove_empty(folders: &[PathBuf]) -> Result<()> {
        let is_ours = |name: &OsStr| name == PRIVATE_FOLDER || name == LOGS_NAME;
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            let listing = fs::read_dir(folder).map_err(disk::failed("list the folder", folder))?;
            let entries: Vec<_> = listing.collect();
            if entries.iter().all(|it| it.as_ref().is_ok_and(|entry| is_ours(&entry.file_name()))) {
                disk::remove_tree("deploy-refused", folder)?;
            }
        }
        Ok(())
    }
}
