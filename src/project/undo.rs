//! `restore --undo`: what the last restore replaced takes its place again, once.

use super::{
    Outcome, Project, RestoreOptions,
    last_run::{self, Ending},
    restores::{Only, Safety},
};
use crate::{
    Result,
    error::RestoreError,
    event::Observer,
    lock::Patience,
    restore::{self, Gate, LastRestore, Preview, Restored, Seen, Undo, Way},
    store::{BackupId, Reason},
};

/// What an undo would do, or did.
#[derive(Debug)]
pub struct UndoReport {
    /// Whether there was anything to undo.
    pub outcome: Outcome,
    /// The backup whose restore is undone, or was already.
    pub backup: BackupId,
    /// What it would change, or has changed; nothing where it was done already.
    pub preview: Option<Preview>,
    /// What was done; nothing where only the preview was asked for.
    pub restored: Option<Restored>,
}

impl Project {
    /// What an undo of the last restore would change, and which rows it would lose.
    ///
    /// # Errors
    /// [`RestoreError::NothingToUndo`]; records that cannot be read; the system's.
    pub fn preview_undo(&self, observer: &dyn Observer) -> Result<UndoReport> {
        if restore::is_interrupted(&self.config.data) {
            drop(self.begin_restore(Patience::Wait, observer)?);
        }
        let last = self.last_restore()?;
        if last.way == Way::Undone {
            return Ok(undone(last));
        }
        let preview = match self.preview_of_state_before(&last, observer)? {
            Some(preview) => preview,
            None => restore::plan_undo(&self.config.data, (self.world.clock)())?,
        };
        let outcome = Outcome::Done;
        Ok(UndoReport { outcome, backup: last.backup, preview: Some(preview), restored: None })
    }

    /// Undoes the last restore after a preview: it stops where the data has changed since. What was
    /// undone already stays so.
    ///
    /// # Errors
    /// Those of [`restore::undo`], and of [`restore::carry_out`] for open databases.
    pub fn undo_previewed(
        &self,
        previewed: UndoReport,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<UndoReport> {
        let _lock = self.begin_restore(patience, observer)?;
        self.refuse_in_deploy()?;
        let last = self.last_restore()?;
        let seen = previewed.preview.as_ref().map(|preview| &preview.seen);
        // Without contents nothing was seen of the databases.
        let seen = seen.filter(|_| previewed.backup == last.backup);
        if last.way == Way::Undone {
            return Ok(undone(last));
        }
        let started = (self.world.clock)();
        let result = self.undo(&last, seen, patience, observer);
        let said = result.as_ref().map(|restored| restored.safety.as_ref());
        self.log_restore("undo", (started, &last.backup), said, observer);
        let restored = result?;
        if let Some(mut run) = last_run::read(&self.config.data) {
            // What the run did may be there again: it must be possible to roll it back.
            run.ending = Ending::Done;
            last_run::note(&self.config.data, &run, observer);
        }
        self.prune_after(restored.safety.as_ref(), observer);
        let restored = Some(restored);
        Ok(UndoReport { outcome: Outcome::Done, backup: last.backup, restored, ..previewed })
    }

    fn undo(
        &self,
        last: &LastRestore,
        seen: Option<&Seen>,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<Restored> {
        match last.way {
            Way::Undone => {
                Err(RestoreError::NothingToUndo { data: self.config.data.clone() }.into())
            }
            Way::Files => self.with_backup_request(Reason::Safety, None, |of_now, store| {
                let (now, random) = (of_now.now, of_now.random);
                let (data, safety) = (self.config.data.as_path(), Some((of_now, store)));
                restore::undo(&Undo { data, seen, safety, now, random }, observer)
            }),
            Way::OpenDatabases => {
                // There are no old files of open databases: the safety backup has what was there.
                let Some(before) = &last.before else {
                    return Err(RestoreError::UndoHot { safety: None }.into());
                };
                let backup = self.store().load(before)?;
                let options = RestoreOptions { only: last.only.clone(), gate: Gate::Hot, patience };
                let safety = Safety::Take { seen, save_lost: None };
                self.carry_out_undo(&backup, &options, &last.backup, safety, observer)
            }
        }
    }

    /// Puts back what the last restore replaced, without a preview.
    ///
    /// # Errors
    /// Those of [`Self::undo_previewed`].
    pub fn undo_restore(&self, patience: Patience, observer: &dyn Observer) -> Result<UndoReport> {
        let backup = self.last_restore()?.backup;
        let (outcome, preview, restored) = (Outcome::NothingToDo, None, None);
        self.undo_previewed(UndoReport { outcome, backup, preview, restored }, patience, observer)
    }

    fn last_restore(&self) -> Result<LastRestore> {
        let data = &self.config.data;
        let last = restore::last(data)?;
        self.refuse_undo_of_tables(last.as_ref().map(|last| last.taken))?;
        Ok(last.ok_or_else(|| RestoreError::NothingToUndo { data: data.clone() })?)
    }

    /// The state before is what its backup has, as long as that is there.
    fn preview_of_state_before(
        &self,
        last: &LastRestore,
        observer: &dyn Observer,
    ) -> Result<Option<Preview>> {
        let Some(before) = last.before.as_ref().and_then(|id| self.store().load(id).ok()) else {
            return Ok(None);
        };
        let (only, gate) = match last.way {
            Way::OpenDatabases => (Only::Patterns(&last.only), Gate::Hot),
            _ => (Only::Paths(restore::paths_to_undo(&self.config.data)?), Gate::Refuse),
        };
        self.preview_for_undo((&before, &last.backup), only, gate, observer).map(Some)
    }
}

fn undone(last: LastRestore) -> UndoReport {
    let (outcome, backup) = (Outcome::NothingToDo, last.backup);
    UndoReport { outcome, backup, preview: None, restored: None }
}
