//! `restore`, `rollback` and `recover`: putting a backup back.

use super::{
    InterruptedDatabase, Outcome, Project, RolledBack,
    last_run::{self, Ending},
    way_back,
};
use crate::{
    Error, Result, backup, deploy,
    error::{RestoreError, StoreError},
    event::{Event, Observer, Steadfast},
    lock::{Lock, Patience, Scope},
    offsite,
    restore::{self, Gate, Preview, Recovered, Restored, Seen},
    store::{Backup, BackupId, Filter, Reason, Selector},
};
use std::path::{Path, PathBuf};

/// What the user chose for a restore.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// Only what these patterns mean; everything where there is none.
    pub only: Vec<String>,
    /// What to do about open databases.
    pub gate: Gate,
    /// What to do when another piton works.
    pub patience: Patience,
}

/// Which backup is put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The one that is named.
    Named(Selector),
    /// The one that the last run took.
    LastRun,
}

/// What a restore would do, or did.
#[derive(Debug)]
pub struct RestoreReport {
    /// Whether there is anything to do: the data may be as the backup has it.
    pub outcome: Outcome,
    /// The backup.
    pub backup: Backup,
    /// The run that a rollback goes back over.
    pub run: Option<RolledBack>,
    /// What it would change, or has changed.
    pub preview: Preview,
    /// What was done; nothing where only the preview was asked for.
    pub restored: Option<Restored>,
    /// What was copied off the machine; nothing where no place is configured, or not for such
    /// backups.
    pub offsite: Option<offsite::Report>,
}

impl Project {
    /// What a restore would change, and which rows it would lose.
    ///
    /// # Errors
    /// A backup that cannot be found or read; the system's.
    pub fn preview_restore(
        &self,
        source: &Source,
        options: &RestoreOptions,
        observer: &dyn Observer,
    ) -> Result<RestoreReport> {
        if restore::is_interrupted(&self.config.data) {
            drop(self.begin_restore(Patience::Wait, observer)?);
        }
        last_run::require_known(&self.config.data)?;
        restore::require_known(&self.config.data)?;
        let backup = self.source(source)?;
        let done = self.done_by_run(source, &backup);
        let preview = self.preview(&backup, options, observer)?;
        let outcome = self.outcome_of(&preview);
        let run = done.map(|done| self.rolled_back(&backup, done, &preview));
        Ok(RestoreReport { outcome, backup, run, preview, restored: None, offsite: None })
    }

    /// What the run did that a rollback goes back over; nothing for another restore.
    fn done_by_run(&self, source: &Source, backup: &Backup) -> Option<Vec<InterruptedDatabase>> {
        match source {
            Source::Named(_) => None,
            Source::LastRun => Some(self.describe(self.run_before(backup)).databases),
        }
    }

    /// Puts a backup back, after a safety backup of what is there now.
    ///
    /// # Errors
    /// Those of [`restore::carry_out`]: everything is as before then, unless the error says more.
    pub fn restore(
        &self,
        source: &Source,
        options: &RestoreOptions,
        observer: &dyn Observer,
    ) -> Result<RestoreReport> {
        let backup = self.source(source)?;
        let lock = self.begin_restore(options.patience, observer)?;
        self.refuse_in_deploy()?;
        let done = self.done_by_run(source, &backup);
        let preview = self.preview(&backup, options, observer)?;
        let outcome = self.outcome_of(&preview);
        if outcome == Outcome::NothingToDo {
            let is_rollback = *source == Source::LastRun;
            return Ok(self.as_it_is(backup, preview, (is_rollback, options), observer));
        }
        let run = done.map(|done| self.rolled_back(&backup, done, &preview));
        let report = RestoreReport { outcome, backup, run, preview, restored: None, offsite: None };
        let safety = Safety::Take { seen: None, save_lost: None };
        self.put_in_place(lock, report, options, safety, observer)
    }

    /// Puts back the backup of a preview, as [`Self::restore`] does, but takes away only what that
    /// has named: it stops where the data has changed since. The rows that get lost are saved as SQL
    /// where a file for them is named.
    ///
    /// # Errors
    /// Those of [`Self::restore`], and [`crate::error::RestoreError::Changed`].
    pub fn restore_previewed(
        &self,
        previewed: RestoreReport,
        options: &RestoreOptions,
        save_lost: Option<&Path>,
        observer: &dyn Observer,
    ) -> Result<RestoreReport> {
        let lock = self.begin_restore(options.patience, observer)?;
        self.refuse_in_deploy()?;
        if previewed.outcome == Outcome::NothingToDo {
            let how = (previewed.run.is_some(), options);
            return Ok(self.as_it_is(previewed.backup, previewed.preview, how, observer));
        }
        let seen = previewed.preview.seen.clone();
        let safety = Safety::Take { seen: Some(&seen), save_lost };
        self.put_in_place(lock, previewed, options, safety, observer)
    }

    /// Whether a restore with this preview has anything to do. One that stopped among open databases
    /// is ended by the same again, whatever is live.
    fn outcome_of(&self, preview: &Preview) -> Outcome {
        match preview.changes_nothing() && restore::require_whole(&self.config.data).is_ok() {
            true => Outcome::NothingToDo,
            false => Outcome::Done,
        }
    }

    /// What is reported where the data is as the backup has it. The undo of an earlier restore stays.
    fn as_it_is(
        &self,
        backup: Backup,
        preview: Preview,
        how: (bool, &RestoreOptions),
        observer: &dyn Observer,
    ) -> RestoreReport {
        self.note_gone_back(&backup, how, observer);
        let outcome = Outcome::NothingToDo;
        RestoreReport { outcome, backup, run: None, preview, restored: None, offsite: None }
    }

    /// Notes that what the last run did is gone, where a whole backup from before it is live. After a
    /// rollback that is noted also where the run's own note is lost: typed again, it would go further back.
    fn note_gone_back(
        &self,
        backup: &Backup,
        (is_rollback, options): (bool, &RestoreOptions),
        observer: &dyn Observer,
    ) {
        let known = last_run::read(&self.config.data);
        if let Some(mut run) = known.or_else(|| is_rollback.then(|| self.run_before(backup)))
            && options.only.is_empty()
            && backup.manifest.created <= run.started
            && run.ending != Ending::AsBefore
        {
            // Going back once more would go back to before the run before.
            run.ending = Ending::AsBefore;
            last_run::note(&self.config.data, &run, observer);
        }
    }

    /// Carries a restore out and keeps its books; what is copied off the machine needs no lock.
    fn put_in_place(
        &self,
        lock: Lock,
        report: RestoreReport,
        options: &RestoreOptions,
        safety: Safety<'_>,
        observer: &dyn Observer,
    ) -> Result<RestoreReport> {
        let (started, backup) = ((self.world.clock)(), &report.backup);
        let result = match &report.run {
            // Whoever goes back over a run means what the run changed.
            Some(_) => self.put_back_around_mounts(backup, options, safety, observer),
            None => self.carry_out_restore(backup, options, safety, observer),
        };
        let said = result.as_ref().map(|restored| restored.safety.as_ref());
        let command = if report.run.is_some() { "rollback" } else { "restore" };
        self.log_restore(command, (started, backup.id()), said, observer);
        let restored = result?;
        self.note_gone_back(backup, (report.run.is_some(), options), observer);
        self.prune_after(Some(backup.id()), observer);
        drop(lock);
        let offsite = self.copy_after(Reason::Safety, observer);
        let (outcome, restored) = (Outcome::Done, Some(restored));
        Ok(RestoreReport { outcome, restored, offsite, ..report })
    }

    /// Unpacks a backup beside the live data.
    ///
    /// # Errors
    /// Those of [`restore::to_directory`].
    pub fn restore_to(
        &self,
        selector: &Selector,
        folder: &Path,
        only: &[String],
        observer: &dyn Observer,
    ) -> Result<Backup> {
        let store = self.store();
        let found = store.find(selector).map_err(|error| self.or_elsewhere(error))?;
        let backup = store.unseal(&found)?.into_owned();
        restore::to_directory(&store, &backup, folder, &Filter::new(only)?, observer)?;
        Ok(backup)
    }

    /// Finishes or reverts an interrupted restore; nothing where there is none.
    ///
    /// # Errors
    /// Those of [`restore::recover`].
    pub fn recover(
        &self,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<Option<Recovered>> {
        // Nothing is created, and a restore creates this first.
        if !crate::disk::exists(&self.config.data)? {
            return Ok(None);
        }
        let holder = &self.world.holder;
        let _lock =
            crate::lock::acquire(&self.config.data, Scope::Data, holder, patience, observer)?;
        let recovered = restore::recover(&self.config.data, observer)?;
        restore::require_whole(&self.config.data)?;
        // In `ExecStartPre=` this is what keeps a service down until its deploy is finished.
        deploy::refuse_fenced(&self.config.data, self.world.deploy.as_deref())?;
        Ok(recovered)
    }

    /// Puts a backup back after a safety backup; the caller holds the lock.
    pub(super) fn put_back_safely(
        &self,
        backup: &Backup,
        options: &RestoreOptions,
        observer: &dyn Observer,
    ) -> Result<Restored> {
        let safety = Safety::Take { seen: None, save_lost: None };
        match self.put_back_around_mounts(backup, options, safety, observer) {
            // The failed state is worth less than the way back, and the undo area has its files.
            Err(Error::Store(error @ (StoreError::NoSpace { .. } | StoreError::NoRoom { .. }))) => {
                let text = format!(
                    "no backup of the failed state: {error}; its files are in the undo area"
                );
                observer.event(Event::Warning { text });
                self.put_back_around_mounts(backup, options, Safety::Skip, observer)
            }
            other => other,
        }
    }

    /// Puts a backup back. What is mounted inside and has changed cannot be replaced: that is no reason to
    /// leave the databases as they are, so it is named and stays as it is.
    fn put_back_around_mounts(
        &self,
        backup: &Backup,
        options: &RestoreOptions,
        safety: Safety<'_>,
        observer: &dyn Observer,
    ) -> Result<Restored> {
        let first = self.carry_out_restore(backup, options, safety, observer);
        let Err(Error::Restore(RestoreError::OtherFileSystem { .. })) = &first else {
            return first;
        };
        let (mounts, spared) = way_back::mounts_inside(&self.config.data)?;
        let opened = self.store().unseal(backup)?.into_owned();
        let mut databases = opened.manifest.databases.iter().map(|record| &record.path);
        if mounts.is_empty() || databases.any(|path| spared.matches(path)) {
            return first;
        }
        let restored = self.carry_out_restore_but(backup, options, safety, &spared, observer)?;
        let text = format!(
            "`{}` is mounted there and stays as it is now; `piton restore {} --to DIR` unpacks how it was",
            mounts.join("`, `"),
            backup.id()
        );
        observer.event(Event::Warning { text });
        Ok(restored)
    }

    /// Puts a backup of this very run back; the caller holds the lock.
    pub(super) fn put_back(
        &self,
        backup: &BackupId,
        only: Option<PathBuf>,
        observer: &dyn Observer,
    ) -> Result<()> {
        self.archive_point(backup, observer)?;
        let backup = self.store().load(backup)?;
        let only: Vec<String> = only
            .iter()
            .map(|path| format!("/{}", glob::Pattern::escape(&path.to_string_lossy())))
            .collect();
        let mut options = RestoreOptions { only, gate: Gate::Refuse, patience: Patience::Refuse };
        // What a run has left half-done must not stay so.
        let observer = &Steadfast(observer);
        let first = self.put_back_around_mounts(&backup, &options, Safety::Skip, observer);
        match first {
            // A service that runs beside a deploy holds its databases: SQLite itself writes the
            // old content into them.
            Err(error) if error.kind() == crate::Kind::InUse => {
                options.gate = Gate::Hot;
                // What the service wrote since the backup is in nothing but the live data: it stays
                // in a backup, and is said.
                let safety = Safety::Take { seen: None, save_lost: None };
                let restored = self.put_back_around_mounts(&backup, &options, safety, observer)?;
                if let Some(id) = restored.safety {
                    let text = format!(
                        "a process had a database open; what it wrote since {} is in backup {id}",
                        backup.id()
                    );
                    observer.event(Event::Warning { text });
                }
                Ok(())
            }
            other => other.map(drop),
        }
    }

    pub(super) fn source(&self, source: &Source) -> Result<Backup> {
        match source {
            Source::Named(selector) => {
                self.store().find(selector).map_err(|error| self.or_elsewhere(error))
            }
            Source::LastRun => self.last_run_backup(),
        }
    }

    /// Finds out what would change, and which rows would be lost.
    fn preview(
        &self,
        backup: &Backup,
        options: &RestoreOptions,
        observer: &dyn Observer,
    ) -> Result<Preview> {
        let what = (Only::Patterns(&options.only), options.gate, None);
        self.with_restore_request(backup, what, Safety::Skip, |request, of_now| {
            let mut preview = restore::plan(request, of_now.inspect)?;
            restore::count_losses(&mut preview, request, of_now, observer);
            Ok(preview)
        })
    }

    /// What an undo would change that restores the state before.
    pub(super) fn preview_for_undo(
        &self,
        (before, undone): (&Backup, &BackupId),
        only: Only<'_>,
        gate: Gate,
        observer: &dyn Observer,
    ) -> Result<Preview> {
        let what = (only, gate, Some(undone));
        self.with_restore_request(before, what, Safety::Skip, |request, of_now| {
            let mut preview = restore::plan(request, of_now.inspect)?;
            restore::count_losses(&mut preview, request, of_now, observer);
            Ok(preview)
        })
    }

    fn carry_out_restore(
        &self,
        backup: &Backup,
        options: &RestoreOptions,
        safety: Safety<'_>,
        observer: &dyn Observer,
    ) -> Result<Restored> {
        self.carry_out_restore_but(backup, options, safety, &Filter::default(), observer)
    }

    /// The same, and leaves alone what the filter matches.
    fn carry_out_restore_but(
        &self,
        backup: &Backup,
        options: &RestoreOptions,
        safety: Safety<'_>,
        spared: &Filter,
        observer: &dyn Observer,
    ) -> Result<Restored> {
        crate::disk::create_folders("data-folder", &self.config.data)?;
        let what = (Only::Patterns(&options.only), options.gate, None);
        let restored = self.with_restore_request(backup, what, safety, |request, _| {
            let excluded = request.excluded.or(spared);
            let request = restore::Request { excluded: &excluded, ..request.clone() };
            restore::carry_out(&request, observer)
        })?;
        self.forget_tables(observer);
        Ok(restored)
    }

    /// Undoes the restore of a backup by restoring the state before.
    pub(super) fn carry_out_undo(
        &self,
        before: &Backup,
        options: &RestoreOptions,
        undone: &BackupId,
        safety: Safety<'_>,
        observer: &dyn Observer,
    ) -> Result<Restored> {
        let what = (Only::Patterns(&options.only), options.gate, Some(undone));
        self.with_restore_request(before, what, safety, |request, _| {
            restore::carry_out(request, observer)
        })
    }

    /// Makes the request of a restore, with that of a backup of the present state, and hands both on.
    fn with_restore_request<T>(
        &self,
        backup: &Backup,
        (only, gate, undoes): (Only<'_>, Gate, Option<&BackupId>),
        safety: Safety<'_>,
        act: impl FnOnce(&restore::Request<'_>, &backup::Request<'_>) -> Result<T>,
    ) -> Result<T> {
        let store = self.store();
        let backup = &*store.unseal(backup)?;
        self.with_backup_request(Reason::Safety, None, |of_now, store| {
            let excluded = self.config.left_out()?;
            let only = match only {
                Only::Patterns(patterns) => Filter::new(patterns)?,
                Only::Paths(paths) => paths,
            };
            let (taken, seen, save_lost) = match safety {
                Safety::Take { seen, save_lost } => (true, seen, save_lost),
                Safety::Skip => (false, None, None),
            };
            let request = restore::Request {
                data: &self.config.data,
                store,
                backup,
                only: &only,
                excluded: &excluded,
                left_out: &[],
                gate,
                seen,
                save_lost,
                undoes,
                safety: taken.then_some(of_now),
                now: of_now.now,
                random: of_now.random,
            };
            act(&request, of_now)
        })
    }
}

/// To what a restore is limited.
pub(super) enum Only<'a> {
    /// What these patterns mean; everything where there is none.
    Patterns(&'a [String]),
    /// These paths, each alone.
    Paths(Filter),
}

/// Whether the state before a restore is backed up.
#[derive(Clone, Copy)]
pub(super) enum Safety<'a> {
    /// It is.
    Take {
        /// What a preview has seen; the state must still be that.
        seen: Option<&'a Seen>,
        /// Where the rows that get lost are saved.
        save_lost: Option<&'a Path>,
    },
    /// It is a half-done run, worth nothing.
    Skip,
}
