//! Bringing a copy back: streamed beside the backups, compared with its description, then read
//! back like any new backup before it gets its name.

use super::{
    Copy, Offsite, place,
    sync::{Purpose, lock},
};
use crate::{
    Error, Result, disk,
    event::{Event, Observer, Work},
    store::{self, Backup, Checking, Digest, Hashing, Noted, Store, Verified, Written},
};
use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

const BUFFER: usize = 256 * 1024;

/// A backup that was wanted from there.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The backup, which is here now.
    pub backup: Backup,
    /// Bytes that came over the line; none where it was here already.
    pub fetched_bytes: u64,
}

impl Offsite<'_> {
    /// Puts a copy among the backups here.
    ///
    /// # Errors
    /// [`crate::error::OffsiteError::Damaged`] where it is not what was copied; the place's;
    /// [`crate::error::StoreError::NoSpace`] before anything is fetched.
    pub(crate) fn fetch(
        &self,
        store: &Store,
        copy: &Copy,
        observer: &dyn Observer,
    ) -> Result<Fetched> {
        let _lock = lock(store, Purpose::Fetch)?;
        let (backup, written) = self.bring(store, copy, observer)?;
        let opened = store.unseal(&backup)?.into_owned();
        let session = store.session()?;
        // Where every archive lies that has no name yet; whatever interrupts this is swept there.
        let name = format!("{}{}", copy.archive, store::PARTIAL);
        let partial = store.root().join(name);
        disk::rename("fetch-rename", &written.partial, &partial)?;
        // Before that of its description, which alone would look like a damaged backup for good.
        disk::sync_parent("fetch-name-sync", &partial)?;
        let written = Written { partial, ..written };
        let found = session.read_back(&written, &opened.manifest, observer)?;
        store::compare_archive(&written.partial, &opened, found)
            .inspect_err(|_| session.discard(&written))?;
        session.publish(&written, &opened)?;
        Ok(Fetched { fetched_bytes: backup.archive_bytes, backup })
    }

    /// Reads a copy whole and checks every database in it; nothing stays here.
    ///
    /// # Errors
    /// Those of [`Offsite::fetch`]; what is found in the archive.
    pub(crate) fn verify(
        &self,
        store: &Store,
        copy: &Copy,
        checking: &Checking<'_>,
        observer: &dyn Observer,
    ) -> Result<Verified> {
        let _lock = lock(store, Purpose::Fetch)?;
        let (backup, written) = self.bring(store, copy, observer)?;
        let at = &written.partial;
        let found = store.prove_at(at, &backup, &folder(store), checking, observer);
        disk::remove_file("fetch-remove", &written.partial)?;
        let (checked, notes) = found.map_err(|error| match error {
            Error::Store(error) => {
                place::damaged(self.shown(), &copy.archive, error.to_string()).into()
            }
            other => other,
        })?;
        Ok(Verified { backup, checked, noted: Noted::Yes, notes })
    }

    /// Fetches description and archive, and compares the two.
    fn bring(
        &self,
        store: &Store,
        copy: &Copy,
        observer: &dyn Observer,
    ) -> Result<(Backup, Written)> {
        let backup = self.described(copy, observer)?;
        let damaged = |name: &str, reason: String| place::damaged(self.shown(), name, reason);
        if backup.archive_bytes != copy.archive_bytes {
            let reason =
                format!("it has {} bytes instead of {}", copy.archive_bytes, backup.archive_bytes);
            return Err(damaged(&copy.archive, reason).into());
        }
        store.require_space(backup.archive_bytes)?;
        // Whatever lies there was left by one that died, since this one holds the lock.
        disk::remove_tree("fetch-sweep", &folder(store))?;
        disk::create_private_folder("fetch-folder", &folder(store))?;
        let partial = folder(store).join(&copy.archive);
        let total_bytes = Some(backup.archive_bytes);
        observer.event(Event::WorkStarted { work: Work::Fetch, total_bytes });
        let written = self.stream(&partial, copy, observer).and_then(|sha256| {
            if sha256 == backup.archive_sha256 {
                let sealed = backup.sealed.clone();
                return Ok(Written { partial: partial.clone(), sealed });
            }
            Err(damaged(&copy.archive, "its SHA-256 is not that of what was copied".into()).into())
        });
        observer.event(Event::WorkEnded { work: Work::Fetch });
        if written.is_err() {
            // Best effort: the next one sweeps what stays.
            drop(disk::remove_file("fetch-discard", &partial));
        }
        Ok((backup, written?))
    }

    /// Streams an archive into a new file; where the line breaks, it goes on from there.
    fn stream(&self, partial: &Path, copy: &Copy, observer: &dyn Observer) -> Result<Digest> {
        let file = disk::create_private_file("fetch-create", partial)?;
        let out = RefCell::new(Hashing::new(file));
        let progress = || out.borrow().count();
        self.retry().run_while(observer, &progress, || {
            let from = progress();
            let mut reader = self.place.get(&copy.archive, from)?;
            self.pass_on(&mut *reader, &mut out.borrow_mut(), partial, observer)?;
            if progress() < copy.archive_bytes {
                let short = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(place::broken(self.shown())(short).into());
            }
            Ok(())
        })?;
        let (file, sha256, _) = out.into_inner().finish();
        disk::sync_file("fetch-sync", partial, &file)?;
        Ok(sha256)
    }

    fn pass_on(
        &self,
        reader: &mut dyn Read,
        out: &mut Hashing<File>,
        partial: &Path,
        observer: &dyn Observer,
    ) -> Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match reader.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(place::broken(self.shown()))?,
            };
            if count == 0 {
                return Ok(());
            }
            self.pace.keep(count as u64);
            out.write_all(&buffer[..count]).map_err(disk::failed("write", partial))?;
            let done_bytes = out.count();
            observer.event(Event::WorkAdvanced { work: Work::Fetch, done_bytes });
        }
    }
}

/// Where the copies are put that are being fetched.
fn folder(store: &Store) -> PathBuf {
    store.root().join(store::OFFSITE)
}
