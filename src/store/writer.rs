//! Writing an archive: entries are streamed under a partial name, which no listing shows.
//!
//! Nothing here publishes: that is [`super::Session::publish`], after the archive was read back.

use super::{
    Attributes, Compression, Digest, FileKind, FileRecord, Form, Item, Keys, Manifest, Sealed,
    Segment,
    compress::Compressor,
    digest::Hashing,
    entry::{self, filling},
    seal::Outlet,
};
use crate::{
    Error, Result,
    disk::{self, Steady, failed},
    event::{Event, Observer, Work, go_on},
};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Threads that compress; the machine's other core belongs to the service.
const THREADS: usize = 2;
const BUFFER: usize = 256 * 1024;

/// An archive that is being written; dropped before it is published, it leaves nothing.
pub(crate) struct Draft<'a> {
    partial: PathBuf,
    out: Option<Compressor<Outlet<io::BufWriter<Steady>>>>,
    form: Form,
    keys: Keys,
    observer: &'a dyn Observer,
    done: u64,
}

/// An archive that is complete and durable, still under its partial name.
pub(crate) struct Written {
    pub(crate) partial: PathBuf,
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
        let out = io::BufWriter::with_capacity(BUFFER, Steady::new(file));
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
        let mut record = file_of(path, attributes, size, None);
        self.write(&entry::head(Item::File(&record)))?;
        let mut hashing = Hashing::new(io::sink());
        let supply = self.content(size, source, &mut hashing)?;
        self.write(filling(size))?;
        record.kind = FileKind::File { size, sha256: hashing.finish().1 };
        Ok((record, supply))
    }

    /// Adds a file with holes: only the segments that hold data are read and stored.
    pub(crate) fn add_sparse(
        &mut self,
        path: &super::StoredPath,
        attributes: Attributes,
        (size, segments): (u64, Vec<Segment>),
        (absolute, mut file): (&Path, &File),
    ) -> Result<(FileRecord, Supply)> {
        let mut record = file_of(path, attributes, size, Some(segments.clone()));
        let item = Item::File(&record);
        self.write(&entry::head(item))?;
        let mut hashing = Hashing::new(io::sink());
        let mut supply = Supply::Whole;
        for Segment { offset, length } in segments {
            hashing.skip(offset - hashing.count());
            file.seek(SeekFrom::Start(offset)).map_err(failed("read", absolute))?;
            if self.content(length, (absolute, &mut file), &mut hashing)? == Supply::Short {
                supply = Supply::Short;
            }
        }
        hashing.skip(size - hashing.count());
        self.write(filling(item.data_bytes()))?;
        record.kind = FileKind::File { size, sha256: hashing.finish().1 };
        Ok((record, supply))
    }

    /// Adds a database that nobody changes; gives its digest.
    pub(crate) fn add_database(
        &mut self,
        path: &super::StoredPath,
        attributes: &Attributes,
        size: u64,
        source: (&Path, &mut dyn Read),
    ) -> Result<Digest> {
        let shown = source.0;
        // In the archive, a database is a file like any other.
        match self.add_file(path, attributes.clone(), size, source)? {
            (FileRecord { kind: FileKind::File { sha256, .. }, .. }, Supply::Whole) => Ok(sha256),
            _ => Err(Error::Internal(format!("`{}` became shorter", shown.display()))),
        }
    }

    /// Adds the manifest, closes the archive and makes it durable.
    pub(crate) fn finish(mut self, manifest: &Manifest) -> Result<Written> {
        let size = super::text::length(manifest)?;
        let head = entry::manifest_head(manifest, size);
        self.write(&head)?;
        let out = self.out.as_mut().expect("it is taken only by `finish`");
        super::text::write(out, manifest).map_err(failed("write", &self.partial))?;
        self.write(filling(size))?;
        if self.form.compression == Compression::None {
            let json = super::to_json(manifest)?;
            self.write(&entry::manifest_sum(&head, &json))?;
        }
        // Two blocks of zeros are the end of a tar archive.
        self.write(&[0; 2 * entry::BLOCK])?;
        let out = self.out.take().expect("it is taken only here");
        let out = out.finish().and_then(Outlet::finish);
        let out = out
            .and_then(|buffer| buffer.into_inner().map_err(io::IntoInnerError::into_error))
            .map_err(failed("write", &self.partial))?;
        disk::sync_file("archive-sync", &self.partial, out.file())?;
        // Its name too, before that of its manifest: a manifest alone would look like a damaged
        // backup for good.
        disk::sync_parent("archive-sync-name", &self.partial)?;
        let sealed = self.keys.encrypts().then(|| self.keys.seal(manifest)).transpose()?;
        // Taken, so that dropping the draft does not remove the file.
        let partial = std::mem::take(&mut self.partial);
        self.observer.event(Event::WorkEnded { work: Work::Archive });
        Ok(Written { partial, sealed })
    }

    /// Writes exactly `size` bytes of a source.
    fn content(
        &mut self,
        size: u64,
        (path, reader): (&Path, &mut dyn Read),
        hashing: &mut Hashing<io::Sink>,
    ) -> Result<Supply> {
        let mut left = size;
        let mut supply = Supply::Whole;
        let out = self.out.as_mut().expect("it is taken only by `finish`");
        while left > 0 {
            let room = out.room();
            let wanted = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER).min(room.len());
            let room = &mut room[..wanted];
            let mut count = match reader.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(failed("read", path))?,
            };
            if count == 0 {
                // The header has promised `size` bytes: zeros keep the archive readable.
                supply = Supply::Short;
                room.fill(0);
                count = wanted;
            }
            hashing.write_all(&room[..count]).expect("a sink takes everything");
            out.put(count).map_err(failed("write", &self.partial))?;
            left -= count as u64;
            self.done += count as u64;
            self.observer.event(Event::WorkAdvanced { work: Work::Archive, done_bytes: self.done });
            go_on(self.observer)?;
        }
        Ok(supply)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let out = self.out.as_mut().expect("it is taken only by `finish`");
        Ok(out.write_all(bytes).map_err(failed("write", &self.partial))?)
    }
}

/// A file's record before its digest is known.
fn file_of(
    path: &super::StoredPath,
    attributes: Attributes,
    size: u64,
    segments: Option<Vec<Segment>>,
) -> FileRecord {
    let kind = FileKind::File { size, sha256: Digest::of(b"") };
    FileRecord { path: path.clone(), attributes, kind, segments }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.partial.as_os_str().is_empty() {
            // Best effort: what stays is swept by the next session.
            drop(disk::remove_file("archive-discard", &self.partial));
        }
    }
}
