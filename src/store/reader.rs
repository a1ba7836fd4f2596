//! Reading an archive through to its last byte, and accepting nothing but what its manifest says.
//!
//! Memory is bounded whatever the archive contains: headers are compared with those that the
//! manifest determines (see [`super::entry`]), contents pass in pieces and end at the size listed.

use super::{
    Compression, Digest, Form, Item, Keys, Manifest, Segment,
    compress::Expander,
    digest::Hashing,
    entry::{self, BLOCK, MANIFEST_NAME, filling},
    form::Secrecy,
    pump::Pump,
    seal::Inlet,
};
use crate::{
    Error, Result,
    disk::{self, failed},
    error::StoreError,
    event::{Event, Observer, Work, go_on},
};
use std::{
    cell::RefCell,
    io::{self, BufRead, BufReader, Read},
    mem,
    path::{Path, PathBuf},
    rc::Rc,
};
use tar::{EntryType, Header};

/// More than a manifest of a million files takes.
pub(crate) const MAX_MANIFEST: u64 = 512 << 20;
const BUFFER: usize = 256 * 1024;
/// Threads that unpack, besides the one that compares.
const THREADS: usize = 2;

/// An archive, and what opens it where it is encrypted.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) archive: &'a Path,
    pub(crate) keys: &'a Keys,
}

/// Takes what an archive contains, entry by entry.
pub(crate) trait Sink {
    /// Takes an entry, and as much of its content as it wants.
    fn take(&mut self, item: Item<'_>, content: &mut Content<'_>) -> Result<()>;

    /// Hears that the entry taken last had the listed digest.
    fn accept(&mut self, _: Item<'_>) -> Result<()> {
        Ok(())
    }
}

/// A sink that only wants everything to be read and compared.
pub(crate) struct Discard;

impl Sink for Discard {
    fn take(&mut self, _: Item<'_>, _: &mut Content<'_>) -> Result<()> {
        Ok(())
    }
}

/// The content of one entry, in pieces.
pub(crate) struct Content<'a> {
    stream: &'a mut Stream,
    hashing: Hashing<io::Sink>,
    size: u64,
    /// What is still to come of the parts that hold data, the last one first.
    segments: Vec<Segment>,
    /// Bytes of the stream that were shown and are not taken from it yet.
    shown: usize,
}

impl Content<'_> {
    fn of<'a>(item: Item<'_>, stream: &'a mut Stream) -> Content<'a> {
        let size = item.content().map_or(0, |(size, _)| size);
        let mut segments = match item.segments() {
            Some(segments) => segments.to_vec(),
            None => vec![Segment { offset: 0, length: size }],
        };
        segments.reverse();
        Content { stream, hashing: Hashing::new(io::sink()), size, segments, shown: 0 }
    }

    /// The size of the whole, holes included.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The next piece and where in the whole it belongs, or nothing at the end; what lies between
    /// two pieces is a hole.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &[u8])>> {
        self.stream.decoder.consume(mem::take(&mut self.shown));
        let Some(segment) = self.segments.last_mut() else {
            self.hashing.skip(self.size - self.hashing.count());
            return Ok(None);
        };
        let offset = segment.offset;
        let piece = match segment.length {
            0 => &[],
            length => self.stream.peek(usize::try_from(length).unwrap_or(BUFFER).min(BUFFER))?,
        };
        segment.offset += piece.len() as u64;
        segment.length -= piece.len() as u64;
        if segment.length == 0 {
            self.segments.pop();
        }
        if piece.is_empty() {
            return Ok(None);
        }
        self.hashing.skip(offset - self.hashing.count());
        io::Write::write_all(&mut self.hashing, piece).expect("a sink takes everything");
        self.shown = piece.len();
        Ok(Some((offset, piece)))
    }
}

struct Stream {
    archive: PathBuf,
    form: Form,
    decoder: Expander<Inlet<BufReader<Shared>>>,
    file: Shared,
}

/// The file below everything that unpacks it; kept, so that its digest can be asked for.
#[derive(Clone)]
struct Shared(Rc<RefCell<Pump>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Stream {
    fn open(source: Source<'_>) -> Result<Self> {
        let archive = source.archive;
        let form = Form::of_path(archive).ok_or_else(|| {
            Error::Internal(format!("`{}` is not named as an archive", archive.display()))
        })?;
        let file = Pump::new(disk::open_to_read(archive)?).map_err(failed("read", archive))?;
        let file = Shared(Rc::new(RefCell::new(file)));
        let reader = BufReader::with_capacity(BUFFER, file.clone());
        let reader = match form.secrecy {
            Secrecy::Open => Inlet::Open(reader),
            Secrecy::Age => Inlet::open(reader, source.keys, archive)?,
        };
        let decoder = Expander::new(reader, form.compression, THREADS)
            .map_err(|error| unreadable(archive, error))?;
        Ok(Self { archive: archive.into(), form, decoder, file })
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let read = self.decoder.read_exact(buffer);
        read.map_err(|error| self.unreadable(error))
    }

    /// The next bytes, as many as are at hand and at most so many, which stay in the stream.
    fn peek(&mut self, most: usize) -> Result<&[u8]> {
        match self.decoder.fill_buf() {
            Ok([]) => Err(unreadable(&self.archive, io::ErrorKind::UnexpectedEof.into())),
            Ok(found) => Ok(&found[..found.len().min(most)]),
            Err(error) => Err(unreadable(&self.archive, error)),
        }
    }

    fn unreadable(&self, error: io::Error) -> Error {
        unreadable(&self.archive, error)
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        StoreError::Damaged { archive: self.archive.clone(), reason: reason.into() }.into()
    }

    fn hostile(&self, reason: impl Into<String>) -> Error {
        StoreError::Hostile { archive: self.archive.clone(), reason: reason.into() }.into()
    }

    /// Takes the end: nothing more in the stream, nothing more in the file.
    fn end(mut self) -> Result<(Digest, u64)> {
        let mut byte = [0];
        loop {
            match self.decoder.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => return Err(self.hostile("something follows its end")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unreadable(error)),
            }
        }
        let rest = self.decoder.finish().and_then(|(_, more)| {
            // What decrypts keeps no account of what it has read of the file.
            Ok(more.saturating_add(io::copy(&mut self.file, &mut io::sink())?))
        });
        if rest.map_err(|error| unreadable(&self.archive, error))? > 0 {
            let reason = "something follows its end".into();
            return Err(StoreError::Hostile { archive: self.archive, reason }.into());
        }
        let file = Rc::into_inner(self.file.0).expect("the decoder, which had the other, is gone");
        Ok(file.into_inner().finish().map_err(failed("read", &self.archive))?)
    }
}

/// Reads a whole archive and hands its entries to a sink. Returns the digest and the size of the
/// archive file itself.
///
/// # Errors
/// [`StoreError::Damaged`] and [`StoreError::Hostile`] for whatever differs from the manifest.
pub(crate) fn read(
    source: Source<'_>,
    manifest: &Manifest,
    sink: &mut dyn Sink,
    (work, observer): (Work, &dyn Observer),
) -> Result<(Digest, u64)> {
    let mut stream = Stream::open(source)?;
    manifest.check().map_err(|reason| stream.hostile(reason))?;
    observer.event(Event::WorkStarted { work, total_bytes: Some(manifest.data_bytes()) });
    let (mut done, nothing) = (0, Digest::of(b""));
    for item in manifest.items() {
        expect_head(&mut stream, item, manifest)?;
        let (size, sha256) = (item.data_bytes(), item.content().map_or(nothing, |it| it.1));
        let mut content = Content::of(item, &mut stream);
        sink.take(item, &mut content)?;
        while content.next()?.is_some() {}
        let (_, found, _) = content.hashing.finish();
        if found != sha256 {
            return Err(stream.damaged(format!("`{}` has another digest than listed", item.path())));
        }
        expect_zeros(&mut stream, filling(size).len())?;
        sink.accept(item)?;
        done += size;
        observer.event(Event::WorkAdvanced { work, done_bytes: done });
        go_on(observer)?;
    }
    if read_manifest_entry(&mut stream, manifest)? == Inside::Other {
        return Err(stream.damaged("the manifest inside differs from the one beside it"));
    }
    expect_zeros(&mut stream, 2 * BLOCK)?;
    let end = stream.end()?;
    observer.event(Event::WorkEnded { work });
    Ok(end)
}

fn unreadable(archive: &Path, error: io::Error) -> Error {
    if error.raw_os_error().is_some() {
        return failed("read", archive)(error).into();
    }
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".into(),
        _ => format!("it does not unpack ({error})"),
    };
    StoreError::Damaged { archive: archive.into(), reason }.into()
}

/// Finds the manifest inside an archive whose manifest file is gone. It trusts nothing else: the
/// caller reads the archive again against what this returns.
///
/// # Errors
/// [`StoreError::Damaged`] where there is none.
pub(crate) fn find_manifest(source: Source<'_>) -> Result<Manifest> {
    let mut stream = Stream::open(source)?;
    let mut block = [0; BLOCK];
    loop {
        stream.fill(&mut block)?;
        if block == [0; BLOCK] {
            return Err(stream.damaged("there is no manifest in it"));
        }
        let header = Header::from_byte_slice(&block);
        if &*header.path_bytes() == MANIFEST_NAME.as_bytes() {
            return manifest_after(&mut stream, &block);
        }
        let size = header.entry_size().map_err(|error| stream.unreadable(error))?;
        let whole = size.checked_next_multiple_of(BLOCK as u64);
        let whole = whole.ok_or_else(|| stream.hostile("an entry has an endless size"))?;
        let skipped = io::copy(&mut (&mut stream.decoder).take(whole), &mut io::sink());
        if skipped.map_err(|error| stream.unreadable(error))? != whole {
            return Err(stream.damaged("it ends too early"));
        }
    }
}

/// What the manifest inside an archive is.
#[derive(PartialEq, Eq)]
enum Inside {
    /// The one beside it.
    Same,
    /// Another one.
    Other,
}

fn read_manifest_entry(stream: &mut Stream, beside: &Manifest) -> Result<Inside> {
    let mut block = [0; BLOCK];
    stream.fill(&mut block)?;
    if &*Header::from_byte_slice(&block).path_bytes() != MANIFEST_NAME.as_bytes() {
        return Err(explain(stream, &block, None));
    }
    let length = super::text::length(beside)?;
    let mut json = Vec::new();
    // Where its digest follows, that is of the whole text.
    let streamed = stream.form.compression != Compression::None;
    if streamed && entry::manifest_head(beside, length) == block {
        // Equal text needs no parsing, which for many files takes time and memory.
        let mut compared = Compared { stream, equal: 0, found: Vec::new(), failure: None };
        let same = super::text::write(&mut compared, beside).is_ok();
        let Compared { equal, found, failure, .. } = compared;
        match failure {
            Some(failure) => return Err(failure),
            None if same => {
                expect_zeros(stream, filling(length).len())?;
                return Ok(Inside::Same);
            }
            None => {}
        }
        // What was equal is known, what differs was read, and the rest follows.
        let known = super::text::write(&mut json, beside);
        known.map_err(|error| stream.unreadable(error))?;
        json.truncate(equal);
        json.extend(found);
    }
    manifest_bytes(stream, &block, &mut json)?;
    let same = parse_manifest(stream, &block, &json)? == *beside;
    Ok(if same { Inside::Same } else { Inside::Other })
}

/// Takes a text and compares it with what a stream has.
struct Compared<'a> {
    stream: &'a mut Stream,
    /// Bytes that were equal.
    equal: usize,
    /// What the stream has instead of the piece that differs.
    found: Vec<u8>,
    failure: Option<Error>,
}

impl io::Write for Compared<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.found.resize(bytes.len(), 0);
        if let Err(failure) = self.stream.fill(&mut self.found) {
            self.failure = Some(failure);
            return Err(io::ErrorKind::Other.into());
        }
        if self.found != bytes {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.equal += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn manifest_after(stream: &mut Stream, block: &[u8; BLOCK]) -> Result<Manifest> {
    let mut json = Vec::new();
    manifest_bytes(stream, block, &mut json)?;
    parse_manifest(stream, block, &json)
}

fn parse_manifest(stream: &Stream, block: &[u8; BLOCK], json: &[u8]) -> Result<Manifest> {
    let manifest = super::manifest_from_json(json, &stream.archive)?;
    if entry::manifest_head(&manifest, json.len() as u64) != block {
        return Err(stream.hostile("the header of its manifest is not one that piton writes"));
    }
    Ok(manifest)
}

/// Reads what a manifest has beyond what was read of it.
fn manifest_bytes(stream: &mut Stream, block: &[u8; BLOCK], json: &mut Vec<u8>) -> Result<()> {
    let header = Header::from_byte_slice(block);
    let size = header.entry_size().map_err(|error| stream.unreadable(error))?;
    if size > MAX_MANIFEST {
        return Err(stream.hostile("its manifest is too large"));
    }
    // Grows with what is really there, so that a size that lies costs nothing.
    let left = size.saturating_sub(json.len() as u64);
    let read = (&mut stream.decoder).take(left).read_to_end(json);
    read.map_err(|error| stream.unreadable(error))?;
    if json.len() as u64 != size {
        return Err(stream.damaged("it ends too early"));
    }
    expect_zeros(stream, filling(size).len())?;
    if stream.form.compression == Compression::None {
        let expected = entry::manifest_sum(block, json);
        let mut found = vec![0; expected.len()];
        stream.fill(&mut found)?;
        if found != expected {
            return Err(stream.damaged("the manifest inside has another digest than listed"));
        }
    }
    Ok(())
}

fn expect_head(stream: &mut Stream, item: Item<'_>, manifest: &Manifest) -> Result<()> {
    let expected = entry::head(item);
    let mut block = [0; BLOCK];
    for part in expected.chunks(BLOCK) {
        stream.fill(&mut block)?;
        if block != part {
            return Err(explain(stream, &block, Some((item, manifest))));
        }
    }
    Ok(())
}

fn expect_zeros(stream: &mut Stream, count: usize) -> Result<()> {
    let mut found = vec![0; count];
    stream.fill(&mut found)?;
    if found.iter().any(|&byte| byte != 0) {
        return Err(stream.damaged("there is something where its filling should be"));
    }
    Ok(())
}

/// Says what a header is that should not be there.
fn explain(stream: &Stream, block: &[u8; BLOCK], expected: Option<(Item<'_>, &Manifest)>) -> Error {
    if block == &[0; BLOCK] {
        return match expected {
            Some((item, _)) => stream.damaged(format!("`{}` is missing", item.path())),
            None => stream.damaged("its manifest is missing"),
        };
    }
    let header = Header::from_byte_slice(block);
    let name = super::escape(&header.path_bytes());
    let what = match header.entry_type() {
        EntryType::Link => "is a hard link",
        EntryType::Char | EntryType::Block | EntryType::Fifo => "is a device or pipe",
        EntryType::XHeader | EntryType::XGlobalHeader => "is an extended header",
        EntryType::GNUSparse => "is a sparse file",
        _ => match expected {
            Some((item, manifest)) => {
                let wanted = item.path().to_string();
                let listed = |it: Item<'_>| {
                    name.strip_prefix("data/").map(|name| name.trim_end_matches('/'))
                        == Some(it.path().to_string().as_str())
                };
                if listed(item) {
                    return stream.damaged(format!("the header of `{wanted}` is not as listed"));
                }
                if manifest.items().any(listed) {
                    "is not where it is listed"
                } else {
                    "is not listed"
                }
            }
            None => "is not listed",
        },
    };
    stream.hostile(format!("the entry `{name}` {what}"))
}
