//! Writing an archive: entries are streamed under a partial name, which no listing shows.
//!
//! Nothing here publishes: that is [`super::Session::publish`], after the archive was read back.

use super::{
    Attributes, Compression, Digest, FileKind, FileRecord, Form, Item, Keys, Manifest, Sealed,
    compress::Compressor,
    digest::Hashing,
    entry::{self, filling},
    seal::Outlet,
};
use crate::{
    Error, Result,
    disk::{self, failed},
    event::{Event, Observer, Work},
};
use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Threads that compress; the machine's other core belongs to the service.
const THREADS: usize = 2;
const BUFFER: usize = 256 * 1024;

/// An archive that is being written; dropped before it is published, it leaves nothing.
pub(crate) struct Draft<'a> {
    partial: PathBuf,
    out: Option<Compressor<Outlet<Hashing<io::BufWriter<File>>>>>,
    form: Form,
    keys: Keys,
    observer: &'a dyn Observer,
    done: u64,
}

/// An archive that is complete and durable, still under its partial name.
pub(crate) struct Written {
    pub(crate) partial: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) sha256: Digest,
    /// What is to be said beside it where it is encrypted.
    pub(crate) sealed: Option<Sealed>,
}

/// Whether a source gave as many bytes as it had when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    /// As many, or more, of which the first ones are stored.
    Whole,
    /// Fewer: the rest is stored as zeros.
    Short,
}

impl<'a> Draft<'a> {
    pub(crate) fn create(
        partial: PathBuf,
        form: Form,
        keys: &Keys,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        let file = disk::create_private_file("archive-create", &partial)?;
        let out = Hashing::new(io::BufWriter::with_capacity(BUFFER, file));
        // Dropped where it fails, so that the partial file goes.
        let mut draft = Self { partial, out: None, form, keys: keys.clone(), observer, done: 0 };
        let out = Outlet::new(out, keys).map_err(failed("write", &draft.partial))?;
        draft.out = Some(Compressor::new(out, form.compression, THREADS));
        Ok(draft)
    }

    /// Adds a folder or a link.
    pub(crate) fn add(&mut self, record: &FileRecord) -> Result<()> {
        let head = entry::head(Item::File(record));
        self.write(&head)
    }

    /// Adds an ordinary file: exactly `size` bytes of the source.
    pub(crate) fn add_file(
        &mut self,
        path: &super::StoredPath,
        attributes: Attributes,
        size: u64,
        source: (&Path, &mut dyn Read),
    ) -> Result<(FileRecord, Supply)> {
        let kind = FileKind::File { size, sha256: Digest::of(b"") };
        let mut record = FileRecord { path: path.clone(), attributes, kind };
        let head = entry::head(Item::File(&record));
        self.write(&head)?;
        let (digest, supply) = self.content(size, source)?;
        record.kind = FileKind::File { size, sha256: digest };
        Ok((record, supply))
    }

    /// Adds a copy of a database; gives its digest.
    pub(crate) fn add_database(
        &mut self,
        path: &super::StoredPath,
        attributes: &Attributes,
        size: u64,
        copy: &Path,
    ) -> Result<Digest> {
        let mut file = disk::open_to_read(copy)?;
        // In the archive, a database is a file like any other.
        match self.add_file(path, attributes.clone(), size, (copy, &mut file))? {
            (FileRecord { kind: FileKind::File { sha256, .. }, .. }, Supply::Whole) => Ok(sha256),
            _ => Err(Error::Internal(format!("the copy `{}` became shorter", copy.display()))),
        }
    }

    /// Adds the manifest, closes the archive and makes it durable.
    pub(crate) fn finish(mut self, manifest: &Manifest) -> Result<Written> {
        let json = super::to_json(manifest)?;
        let size = json.len() as u64;
        let head = entry::manifest_head(manifest, size);
        self.write(&head)?;
        self.write(&json)?;
        self.write(filling(size))?;
        if self.form.compression == Compression::None {
            self.write(&entry::manifest_sum(&head, &json))?;
        }
        // Two blocks of zeros are the end of a tar archive.
        self.write(&[0; 2 * entry::BLOCK])?;
        let out = self.out.take().expect("it is taken only here");
        let out = out.finish().and_then(Outlet::finish);
        let (buffer, sha256, bytes) = out.map_err(failed("write", &self.partial))?.finish();
        let file = buffer
            .into_inner()
            .map_err(|error| failed("write", &self.partial)(error.into_error()))?;
        disk::sync_file("archive-sync", &self.partial, &file)?;
        // Its name too, before that of its manifest: a manifest alone would look like a damaged
        // backup for good.
        disk::sync_parent("archive-sync-name", &self.partial)?;
        let sealed = self.keys.encrypts().then(|| self.keys.seal(manifest)).transpose()?;
        // Taken, so that dropping the draft does not remove the file.
        let partial = std::mem::take(&mut self.partial);
        self.observer.event(Event::WorkEnded { work: Work::Archive });
        Ok(Written { partial, bytes, sha256, sealed })
    }

    fn content(
        &mut self,
        size: u64,
        (path, reader): (&Path, &mut dyn Read),
    ) -> Result<(Digest, Supply)> {
        let mut hashing = Hashing::new(io::sink());
        let mut buffer = vec![0; BUFFER.min(usize::try_from(size).unwrap_or(BUFFER).max(1))];
        let mut supply = Supply::Whole;
        while hashing.count() < size {
            let wanted =
                usize::try_from(size - hashing.count()).unwrap_or(BUFFER).min(buffer.len());
            let mut count = match reader.read(&mut buffer[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(failed("read", path))?,
            };
            if count == 0 {
                // The header has promised `size` bytes: zeros keep the archive readable.
                supply = Supply::Short;
                buffer[..wanted].fill(0);
                count = wanted;
            }
            hashing.write_all(&buffer[..count]).expect("a sink takes everything");
            self.write(&buffer[..count])?;
            self.done += count as u64;
            self.observer.event(Event::WorkAdvanced { work: Work::Archive, done_bytes: self.done });
        }
        self.write(filling(size))?;
        Ok((hashing.finish().1, supply))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let out = self.out.as_mut().expect("it is taken only by `finish`");
        Ok(out.write_all(bytes).map_err(failed("write", &self.partial))?)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.partial.as_os_str().is_empty() {
            // Best effort: what stays is swept by the next session.
            drop(disk::remove_file("archive-discard", &self.partial));
        }
    }
}
