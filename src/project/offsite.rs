//! Copies off the machine: made after a backup, listed, verified, fetched back.
//!
//! Nothing here fails a backup or a run: what went wrong with a copy is said and tried again later.

use super::{Project, Source, Verification};
use crate::{
    Error, Result,
    error::{OffsiteError, ProjectError, StoreError},
    event::Observer,
    offsite::{self, Fetched, Holdings, Offsite, Plan, Report, Standing},
    store::{Backup, BackupId, Changed, Checking, Reason, Remark, Selector},
};

impl Project {
    /// What lies off the machine.
    ///
    /// # Errors
    /// [`OffsiteError::NotConfigured`]; the place's.
    pub fn offsite_holdings(&self, observer: &dyn Observer) -> Result<Holdings> {
        self.with_offsite(|offsite| offsite.holdings(observer))
    }

    /// What [`Project::sync_offsite`] would do.
    ///
    /// # Errors
    /// [`OffsiteError::NotConfigured`]; the place's.
    pub fn plan_offsite(&self, observer: &dyn Observer) -> Result<Plan> {
        let store = self.store();
        let request = self.offsite_request(&store)?;
        self.with_offsite(|offsite| offsite.plan(&request, observer))
    }

    /// Copies what is missing there, and removes there what its own rules do not keep. It takes
    /// no lock of the data directory: other commands go on beside it.
    ///
    /// # Errors
    /// [`OffsiteError::NotConfigured`] and wrong credentials; the rest is in the report.
    pub fn sync_offsite(&self, observer: &dyn Observer) -> Result<Report> {
        let store = self.store();
        let request = self.offsite_request(&store)?;
        self.with_offsite(|offsite| Ok(offsite.sync(&request, observer)))
    }

    /// Makes sure that a backup is here: fetched from off the machine where it is not, or not as
    /// it was.
    ///
    /// # Errors
    /// [`OffsiteError::NotFound`]; the place's; a copy that does not verify.
    pub fn fetch(&self, source: &Source, observer: &dyn Observer) -> Result<Fetched> {
        let selector = match source {
            Source::Named(selector) => selector.clone(),
            Source::LastRun => self.last_run_selector()?,
        };
        let store = self.store();
        self.with_offsite(|offsite| {
            let copy = offsite.find(&selector, observer)?;
            match store.load(&copy.backup) {
                Ok(backup) if store.archive_digest_agrees(&backup)? => {
                    Ok(Fetched { backup, fetched_bytes: 0 })
                }
                _ => offsite.fetch(&store, &copy, observer),
            }
        })
    }

    /// Reads copies whole and checks every database in them: one, or all that are there.
    ///
    /// # Errors
    /// Where none can be found; what does not verify is in the report.
    pub fn verify_offsite(
        &self,
        selector: Option<&Selector>,
        observer: &dyn Observer,
    ) -> Result<Verification> {
        let store = self.store();
        self.with_offsite(|offsite| {
            let copies = match selector {
                Some(selector) => vec![offsite.find(selector, observer)?],
                None => offsite.holdings(observer)?.copies,
            };
            let mut verification = Verification::default();
            self.with_backup_request(Reason::Manual, None, |request, _| {
                for copy in copies {
                    let checking = Checking {
                        now: (self.world.clock)(),
                        scratch: &self.world.temporary,
                        inspect: request.inspect,
                    };
                    match offsite.verify(&store, &copy, &checking, observer) {
                        Ok(verified) => verification.verified.push(verified),
                        Err(error) => verification.failures.push((copy.backup, error)),
                    }
                }
                Ok(())
            })?;
            Ok(verification)
        })
    }

    /// What is known here about the copies, without asking the place; nothing where none is
    /// configured.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn offsite_standing(&self) -> Result<Option<Standing>> {
        let Some(settings) = &self.config.offsite else { return Ok(None) };
        let store = self.store();
        Ok(Some(Standing::of(settings, &store, &store.list()?)))
    }

    /// Changes what is said about a copy there.
    pub(super) fn remark_offsite(
        &self,
        selector: &Selector,
        remark: &Remark,
        observer: &dyn Observer,
    ) -> Result<(Backup, Changed)> {
        self.with_offsite(|offsite| {
            let copy = offsite.find(selector, observer)?;
            offsite.remark(&copy, remark, observer)
        })
    }

    /// Whether a copy is known of.
    pub(super) fn is_copied(&self, id: &BackupId) -> bool {
        let standing = self.offsite_standing().ok().flatten();
        standing.is_some_and(|standing| !standing.only_here.contains(id))
    }

    /// Copies after a command that took a backup for this reason. The caller has let go of the
    /// lock of the data directory: a slow line must not keep other commands waiting.
    pub(super) fn copy_after(&self, reason: Reason, observer: &dyn Observer) -> Option<Report> {
        let settings = self.config.offsite.as_ref()?;
        if !settings.copy_after.contains(&reason) {
            return None;
        }
        self.sync_where_configured(observer)
    }

    /// Copies and prunes there; whatever fails is in the report.
    pub(super) fn sync_where_configured(&self, observer: &dyn Observer) -> Option<Report> {
        let place = self.config.offsite.as_ref()?.location.to_string();
        Some(self.sync_offsite(observer).unwrap_or_else(|error| Report {
            place,
            failure: Some(error),
            ..Report::default()
        }))
    }

    /// Says, of a backup that is not here, that it may lie off the machine.
    pub(super) fn or_elsewhere(&self, error: Error) -> Error {
        let selector = match &error {
            Error::Store(StoreError::Empty { .. }) => "latest".to_string(),
            Error::Store(StoreError::NotFound { selector, .. }) => selector.clone(),
            _ => return error,
        };
        match &self.config.offsite {
            Some(settings) => {
                let (place, store) = (settings.location.to_string(), self.config.backups.clone());
                OffsiteError::NotHere { selector, place, store }.into()
            }
            None => error,
        }
    }

    fn with_offsite<T>(&self, act: impl FnOnce(&Offsite<'_>) -> Result<T>) -> Result<T> {
        let settings = self.config.offsite.as_ref().ok_or(OffsiteError::NotConfigured)?;
        let world = offsite::World { variables: &*self.world.variables, clock: &*self.world.clock };
        act(&Offsite::open(settings, &world)?)
    }

    fn offsite_request<'a>(&self, store: &'a crate::store::Store) -> Result<offsite::Request<'a>> {
        let protection = self.protection(&store.list()?.backups)?;
        Ok(offsite::Request { store, protection, now: (self.world.clock)() })
    }

    /// The backup of the last run by its own note: it need not be here.
    fn last_run_selector(&self) -> Result<Selector> {
        let run = self.run_to_roll_back()?.ok_or(ProjectError::NothingToRollBack)?;
        let backup = run.backup.ok_or(ProjectError::NothingToRollBack)?;
        Ok(Selector::Prefix(backup.to_string()))
    }
}
