//! What is sent: bytes that can be read again from any offset, at the pace that the user allows.

use super::pace::Pace;
use crate::{
    Result, disk,
    event::{Event, Observer, Work},
    store::Digest,
};
use std::{
    cell::Cell,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Bytes to be sent, with their length and digest.
pub(crate) struct Content<'a> {
    source: Source<'a>,
    bytes: u64,
    sha256: Digest,
    pace: &'a Pace,
    observer: &'a dyn Observer,
    /// The furthest byte that was sent: as long as it grows, trying again is worth it.
    furthest: Cell<u64>,
}

enum Source<'a> {
    File { path: PathBuf, file: File },
    Memory(&'a [u8]),
}

impl<'a> Content<'a> {
    /// The archive of a backup, as long and with the digest that its description says.
    pub(crate) fn of_file(
        path: &Path,
        (sha256, bytes): (Digest, u64),
        pace: &'a Pace,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        // Held open, so that it can be sent to its end though it be pruned here meanwhile.
        let source = Source::File { path: path.into(), file: disk::open_to_read(path)? };
        Ok(Self { source, bytes, sha256, pace, observer, furthest: Cell::new(0) })
    }

    /// A small text.
    pub(crate) fn of_text(text: &'a [u8], pace: &'a Pace, observer: &'a dyn Observer) -> Self {
        let (bytes, sha256) = (text.len() as u64, Digest::of(text));
        let source = Source::Memory(text);
        Self { source, bytes, sha256, pace, observer, furthest: Cell::new(0) }
    }

    /// How many bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Their digest.
    pub(crate) fn sha256(&self) -> Digest {
        self.sha256
    }

    /// The furthest byte that was sent.
    pub(super) fn furthest(&self) -> u64 {
        self.furthest.get()
    }

    /// Whom to tell how it goes.
    pub(super) fn observer(&self) -> &'a dyn Observer {
        self.observer
    }

    /// The pace that the user allows.
    #[cfg_attr(
        not(any(feature = "s3", feature = "sftp")),
        expect(dead_code, reason = "one kind of place needs it")
    )]
    pub(super) fn pace(&self) -> &'a Pace {
        self.pace
    }

    /// A part of it, for a computation on this machine.
    #[cfg_attr(not(feature = "s3"), expect(dead_code, reason = "one kind of place needs it"))]
    pub(super) fn peek(&self, from: u64, bytes: u64) -> impl Read {
        Part { content: self, at: from, end: (from + bytes).min(self.bytes), sending: false }
    }

    /// A part of it, to be sent.
    pub(super) fn send(&self, from: u64, bytes: u64) -> impl Read {
        Part { content: self, at: from, end: (from + bytes).min(self.bytes), sending: true }
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match &self.source {
            Source::File { file, path } => {
                let count = file.read_at(buffer, at);
                count.map_err(|error| io::Error::other(disk::failed("read", path)(error)))
            }
            Source::Memory(text) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX).min(text.len());
                let count = buffer.len().min(text.len() - at);
                buffer[..count].copy_from_slice(&text[at..at + count]);
                Ok(count)
            }
        }
    }

    fn is_worth_telling(&self) -> bool {
        matches!(self.source, Source::File { .. })
    }
}

struct Part<'c, 'a> {
    content: &'c Content<'a>,
    at: u64,
    end: u64,
    sending: bool,
}

impl Read for Part<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.content.read_at(&mut buffer[..wanted], self.at)?;
        if count == 0 {
            // Promised and not there: an end without a word would be taken for the whole.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        if self.sending {
            self.content.pace.keep(count as u64);
            self.content.furthest.set(self.content.furthest.get().max(self.at));
            if self.content.is_worth_telling() {
                let event = Event::WorkAdvanced { work: Work::Copy, done_bytes: self.at };
                self.content.observer.event(event);
            }
        }
        Ok(count)
    }
}
