//! Copying what is missing there, removing what no rule keeps, sweeping what was left.

use super::{
    Copy, Failure, Holdings, Note, Offsite, Plan, Settled,
    content::Content,
    holdings,
    plan::{self, Brief, Known},
};
use crate::{
    Error, Result, disk,
    error::OffsiteError,
    event::{Event, Observer, Work},
    store::{self, Backup, BackupId, Digest, Store, retention::Protection},
};
use chrono::{DateTime, Utc};
use std::{
    fs::{File, TryLockError},
    io::Read as _,
};

/// What to go by.
pub(crate) struct Request<'a> {
    /// The backups here.
    pub(crate) store: &'a Store,
    /// What must stay whatever the rules say.
    pub(crate) protection: Protection,
    /// The time now.
    pub(crate) now: DateTime<Utc>,
}

/// What was done there.
#[derive(Debug, Default)]
pub struct Report {
    /// The place.
    pub place: String,
    /// Backups that were copied, in that order.
    pub copied: Vec<BackupId>,
    /// Copies that were removed, because no rule keeps them.
    pub removed: Vec<BackupId>,
    /// Backups that are still only here, newest first.
    pub only_here: Vec<BackupId>,
    /// What went wrong.
    pub failure: Option<Error>,
}

impl Offsite<'_> {
    /// What [`Offsite::sync`] would do.
    ///
    /// # Errors
    /// The place's; the system's, with the path.
    pub(crate) fn plan(&self, request: &Request<'_>, observer: &dyn Observer) -> Result<Plan> {
        let holdings = self.holdings(observer)?;
        let here = request.store.list()?.backups;
        self.compare(request, &here, &holdings, observer)
    }

    /// Copies, removes and sweeps as far as it goes; what went wrong is in the report.
    pub(crate) fn sync(&self, request: &Request<'_>, observer: &dyn Observer) -> Report {
        let mut report = Report { place: self.shown().into(), ..Report::default() };
        let mut note = Note::read(request.store, self.shown());
        let done = match lock(request.store, Purpose::Copy) {
            Ok(_lock) => self.sync_noted(request, &mut note, &mut report, observer),
            Err(error) => Err(error),
        };
        report.failure = done.err().or(report.failure.take());
        if let Ok(catalog) = request.store.list() {
            let here = catalog.backups.iter().map(|backup| backup.id().clone());
            report.only_here = here.filter(|id| !note.settled.contains_key(id)).collect();
        }
        report
    }

    /// Copies, and notes how it went; the caller holds the lock.
    fn sync_noted(
        &self,
        request: &Request<'_>,
        note: &mut Note,
        report: &mut Report,
        observer: &dyn Observer,
    ) -> Result<()> {
        let done = self.sync_all(request, note, report, observer);
        let failure = done.err().or(report.failure.take());
        note.failure = failure.as_ref().map(|error| Failure {
            at: request.now,
            message: error.to_string(),
            hint: error.hint(),
        });
        let noted = note.write(request.store);
        failure.map_or(noted, Err)
    }

    fn sync_all(
        &self,
        request: &Request<'_>,
        note: &mut Note,
        report: &mut Report,
        observer: &dyn Observer,
    ) -> Result<()> {
        let mut holdings = self.holdings(observer)?;
        let mut here = request.store.list()?.backups;
        self.forget_what_is_gone(note, &mut holdings, &here, observer);
        let mut plan = self.compare(request, &here, &holdings, observer)?;
        self.sweep(request, &holdings, &plan, observer)?;
        loop {
            for id in &plan.copy {
                let Some(backup) = here.iter().find(|backup| backup.id() == id) else { continue };
                match self.send(request.store, backup, &holdings, observer) {
                    Ok(None) => {}
                    Ok(Some(description)) => {
                        note.settled.insert(id.clone(), Settled::Copied(description));
                        report.copied.push(id.clone());
                        // Written now, so that a crash in the next one does not take it back.
                        note.write(request.store)?;
                    }
                    Err(Error::Offsite(error)) => return Err(error.into()),
                    // This backup cannot be read here: the others may well be copied.
                    Err(error) => report.failure = report.failure.take().or(Some(error)),
                }
            }
            for id in plan.surplus {
                note.settled.insert(id, Settled::Surplus);
            }
            // Backups that were taken meanwhile by others, who found this one at work.
            let known: Vec<BackupId> = here.iter().map(|backup| backup.id().clone()).collect();
            here = request.store.list()?.backups;
            if here.iter().all(|backup| known.contains(backup.id())) {
                break;
            }
            holdings = self.holdings(observer)?;
            plan = self.compare(request, &here, &holdings, observer)?;
        }
        self.describe_anew(request.store, &here, note, observer)?;
        // The rules were asked as if everything had been copied: where something was not, what they
        // would remove may be the best copy that there is.
        if report.failure.is_some() {
            plan.remove.clear();
        }
        for id in plan.remove {
            let Some(copy) = holdings.copy_of(&id) else { continue };
            self.remove(copy, observer)?;
            note.settled.insert(id.clone(), Settled::Surplus);
            report.removed.push(id);
        }
        note.settled.retain(|id, _| here.iter().any(|backup| backup.id() == id));
        Ok(())
    }

    /// Brings note and listing together: the listing is right.
    fn forget_what_is_gone(
        &self,
        note: &mut Note,
        holdings: &mut Holdings,
        here: &[Backup],
        observer: &dyn Observer,
    ) {
        let length = |copy: &Copy| {
            let of_here = here.iter().find(|backup| *backup.id() == copy.backup);
            of_here.map_or(copy.archive_bytes, |backup| backup.archive_bytes)
        };
        let place = self.shown();
        holdings.copies.retain(|copy| {
            let whole = copy.archive_bytes == length(copy);
            if !whole {
                let (name, bytes, wanted) = (&copy.archive, copy.archive_bytes, length(copy));
                let text = format!(
                    "`{name}` in `{place}` has {bytes} bytes instead of {wanted}: it is copied anew"
                );
                observer.event(Event::Warning { text });
            }
            whole
        });
        let before = std::mem::take(&mut note.settled);
        for copy in &holdings.copies {
            let known = before.get(&copy.backup).copied().filter(|it| *it != Settled::Surplus);
            note.settled.insert(copy.backup.clone(), known.unwrap_or(Settled::Seen));
        }
    }

    fn compare(
        &self,
        request: &Request<'_>,
        here: &[Backup],
        holdings: &Holdings,
        observer: &dyn Observer,
    ) -> Result<Plan> {
        let known_here: Vec<Known> = here.iter().map(Known::from).collect();
        let mut there = Vec::new();
        for copy in &holdings.copies {
            match known_here.iter().find(|known| known.id == copy.backup) {
                Some(known) => there.push(known.clone()),
                // Without rules nothing but its id matters.
                None if self.settings.retention.is_empty() => there.push(Known {
                    id: copy.backup.clone(),
                    sequence: None,
                    label: None,
                    created: copy.backup.taken(),
                    reason: store::Reason::Manual,
                    pinned: true,
                    archive_bytes: copy.archive_bytes,
                }),
                None => match Brief::parse(&self.description(copy, observer)?, copy) {
                    Ok(known) => there.push(known),
                    Err(reason) => {
                        // What cannot be understood is never removed.
                        let (name, place) = (&copy.backup, self.shown());
                        let text = format!("`{name}.json` in `{place}` is damaged: {reason}");
                        observer.event(Event::Warning { text });
                    }
                },
            }
        }
        let (retention, protection) = (self.settings.retention, &request.protection);
        request.store.note_elsewhere(there.iter().filter_map(|known| known.sequence).max())?;
        Ok(plan::plan(&known_here, &there, retention, protection, request.now))
    }

    /// Removes what uploads have left that nobody goes on with: halves of copies that are old or that
    /// no rule keeps, and uploads of backups that are not here and not under way any more.
    fn sweep(
        &self,
        request: &Request<'_>,
        holdings: &Holdings,
        plan: &Plan,
        observer: &dyn Observer,
    ) -> Result<()> {
        let is_wanted = |id: &BackupId| plan.copy.contains(id);
        for (id, half) in &holdings.halves {
            // What a removal left that was cut off: of a backup that is here, nobody else sends one.
            let is_surplus = plan.surplus.contains(id);
            let is_old = holdings::is_old(half.modified, request.now);
            if (is_old || is_surplus) && !is_wanted(id) {
                self.retry().run(observer, || self.place.delete(&half.name))?;
            }
        }
        for upload in self.retry().run(observer, || self.place.unfinished())? {
            // An upload of somebody else is none of our business.
            let Some(id) = holdings::owner(&upload.name) else { continue };
            let is_whole = holdings.copy_of(&id).is_some();
            if !is_wanted(&id) && (is_whole || holdings::is_old(upload.modified, request.now)) {
                self.retry().run(observer, || self.place.abandon(&upload))?;
            }
        }
        Ok(())
    }

    /// Copies a backup: the archive, then its description, of which it gives the digest. Nothing
    /// where the backup was pruned here meanwhile.
    fn send(
        &self,
        store: &Store,
        backup: &Backup,
        holdings: &Holdings,
        observer: &dyn Observer,
    ) -> Result<Option<Digest>> {
        let archive = store.archive_path(backup.id());
        if !archive.exists() {
            return Ok(None);
        }
        // What is damaged here must not be taken for a copy there.
        if !store.archive_digest_agrees(backup)? {
            let reason = "the file is not the one that was written".into();
            return Err(crate::error::StoreError::Damaged { archive, reason }.into());
        }
        let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = backup.archive_bytes;
        let is_there =
            holdings.halves.iter().any(|(_, half)| half.name == name && half.bytes == bytes);
        if !is_there {
            let total_bytes = Some(bytes);
            observer.event(Event::WorkStarted { work: Work::Copy, total_bytes });
            let digest = (backup.archive_sha256, bytes);
            let content = Content::of_file(&archive, digest, &self.pace, observer)?;
            self.put(&name, &content)?;
            observer.event(Event::WorkEnded { work: Work::Copy });
        }
        let digest = self.describe(backup.id(), &description(store, backup)?, observer)?;
        let (id, archive_bytes) = (backup.id().to_string(), bytes);
        observer.event(Event::BackupCopied { id, archive_bytes });
        Ok(Some(digest))
    }

    /// Sends the description of a backup, which makes its copy whole.
    pub(super) fn describe(
        &self,
        id: &BackupId,
        json: &[u8],
        observer: &dyn Observer,
    ) -> Result<Digest> {
        let content = Content::of_text(json, &self.pace, observer);
        self.put(&holdings::description(id), &content)?;
        Ok(content.sha256())
    }

    fn put(&self, name: &str, content: &Content<'_>) -> Result<()> {
        let progress = || content.furthest();
        self.retry().run_while(content.observer(), &progress, || self.place.put(name, content))
    }

    /// Sends descriptions again that say something else now: a pin, a label.
    fn describe_anew(
        &self,
        store: &Store,
        here: &[Backup],
        note: &mut Note,
        observer: &dyn Observer,
    ) -> Result<()> {
        for backup in here {
            let digest = match note.settled.get(backup.id()) {
                Some(Settled::Copied(digest)) => Some(*digest),
                Some(Settled::Seen) => None,
                _ => continue,
            };
            if !store.archive_path(backup.id()).exists() {
                // Pruned here meanwhile.
                continue;
            }
            let json = description(store, backup)?;
            if digest != Some(Digest::of(&json)) {
                let digest = self.describe(backup.id(), &json, observer)?;
                note.settled.insert(backup.id().clone(), Settled::Copied(digest));
            }
        }
        Ok(())
    }

    /// Removes a copy: its description first, so that nothing is listed that is not whole.
    fn remove(&self, copy: &Copy, observer: &dyn Observer) -> Result<()> {
        let description = holdings::description(&copy.backup);
        self.retry().run(observer, || self.place.delete(&description))?;
        self.retry().run(observer, || self.place.delete(&copy.archive))
    }
}

/// The file beside an archive, as it stands: what it does not tell here, it does not tell there.
fn description(store: &Store, backup: &Backup) -> Result<Vec<u8>> {
    let path = store.manifest_path(backup.id());
    if !path.exists() {
        // It was lost, and the archive told what was in it.
        store.session()?.describe(&store.load(backup.id())?)?;
    }
    let mut json = Vec::new();
    disk::open_to_read(&path)?.read_to_end(&mut json).map_err(disk::failed("read", &path))?;
    Ok(json)
}

/// What a lock is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Copy,
    Fetch,
}

/// One piton copies at a time, and one fetches: fetching must not wait for a long copying. The
/// kernel releases the lock on death.
pub(super) fn lock(store: &Store, purpose: Purpose) -> Result<File> {
    disk::create_private_folders("store-folder", store.root())?;
    let word = match purpose {
        Purpose::Copy => "copy",
        Purpose::Fetch => "fetch",
    };
    let path = store.root().join(format!("{}-{word}.lock", store::OFFSITE));
    let file = disk::open_lock_file("offsite-lock", &path)?;
    if disk::fault::is_left_out("offsite-lock", "take") {
        return Ok(file);
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(OffsiteError::Busy { store: store.root().into() }.into())
        }
        Err(TryLockError::Error(error)) => Err(disk::failed("lock", &path)(error).into()),
    }
}
