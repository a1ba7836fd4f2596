//! Compression of the archive: independent pieces, made and read on several threads.
//!
//! A piece is a gzip member of 1 MiB or a zstd frame of 4 MiB; any gzip or zstd reads such a file
//! as one stream. The result depends on the bytes alone, not on the threads or on how the bytes
//! were handed in.

use super::{
    form::Compression,
    frame, member,
    workers::{Work, Workers},
};
use flate2::bufread::MultiGzDecoder;
use std::{
    io::{self, BufRead, BufReader, Cursor, Read, Write},
    mem,
};

/// Bytes that are gathered where none are compressed.
const PLAIN: usize = 256 * 1024;

/// A piece of a compressed file, as its reader finds it.
pub(super) enum Piece {
    /// One that can be unpacked by itself.
    Whole(Vec<u8>),
    /// The beginning of something else; nothing at the end of the file.
    Other(Vec<u8>),
}

/// How pieces are made and unpacked.
struct Pieces {
    /// Uncompressed bytes of one.
    block: usize,
    compress: Work,
    expand: Work,
}

const fn pieces(compression: Compression) -> Option<Pieces> {
    match compression {
        Compression::Gzip => Some(Pieces {
            block: member::BLOCK,
            compress: member::compress,
            expand: member::expand,
        }),
        Compression::Zstd => {
            Some(Pieces { block: frame::BLOCK, compress: frame::compress, expand: frame::expand })
        }
        Compression::None => None,
    }
}

/// A writer that compresses what it is given; call [`Compressor::finish`], or the end is missing.
pub(crate) struct Compressor<W: Write> {
    out: W,
    block: Block,
    /// Nothing where bytes pass as they are.
    workers: Option<Workers>,
}

/// What is being gathered: the first bytes of a buffer.
struct Block {
    bytes: Vec<u8>,
    filled: usize,
}

impl<W: Write> Compressor<W> {
    /// Compresses into a writer on so many threads.
    pub(crate) fn new(out: W, compression: Compression, threads: usize) -> Self {
        let pieces = pieces(compression);
        let bytes = vec![0; pieces.as_ref().map_or(PLAIN, |pieces| pieces.block)];
        // The longest work beside it is the check of a database, which one thread has to do.
        let workers = pieces.map(|pieces| Workers::new(threads, pieces.compress).patient());
        Self { out, block: Block { bytes, filled: 0 }, workers }
    }

    /// Where the next bytes are to be put; there is room for one at least. What was put there is
    /// written by [`Compressor::put`].
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.block.bytes[self.block.filled..]
    }

    /// Takes so many bytes from the beginning of the room.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn put(&mut self, count: usize) -> io::Result<()> {
        self.block.filled += count;
        if self.block.filled == self.block.bytes.len() { self.dispatch() } else { Ok(()) }
    }

    /// Compresses and writes what is left, and gives the writer back.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if self.block.filled > 0 {
            self.dispatch()?;
        }
        while self.write_next()? {}
        self.out.flush()?;
        Ok(self.out)
    }

    fn dispatch(&mut self) -> io::Result<()> {
        let filled = mem::take(&mut self.block.filled);
        if self.workers.as_ref().is_some_and(Workers::is_full) {
            self.write_next()?;
        }
        let Some(workers) = &mut self.workers else {
            return self.out.write_all(&self.block.bytes[..filled]);
        };
        let size = self.block.bytes.len();
        let mut next = workers.buffer();
        next.resize(size, 0);
        let mut block = mem::replace(&mut self.block.bytes, next);
        block.truncate(filled);
        workers.give(block)
    }

    /// Writes the next piece and tells whether there was one.
    fn write_next(&mut self) -> io::Result<bool> {
        let Some(piece) = self.workers.as_mut().and_then(Workers::take).transpose()? else {
            return Ok(false);
        };
        self.out.write_all(&piece)?;
        if let Some(workers) = &mut self.workers {
            workers.reclaim(piece);
        }
        Ok(true)
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room();
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.put(count)?;
        Ok(count)
    }

    /// Does nothing: a piece ends where its block is full, never where the writer pauses.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader of what a [`Compressor`] wrote, through to its last piece; also of what another
/// program compressed, on one thread.
pub(crate) enum Expander<R: BufRead> {
    /// Pieces that say how long they are.
    Pieces(Incoming<R>),
    /// What another gzip made.
    Gzip(Box<BufReader<MultiGzDecoder<Begun<R>>>>),
    /// What another zstd made.
    Zstd(Box<BufReader<zstd::stream::read::Decoder<'static, Begun<R>>>>),
    /// What nobody compressed.
    Plain(R),
}

/// A reader of which the first bytes were read already.
type Begun<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Other programs' zstd files may need so much memory, as a power of two: what every level but
/// those beyond 19 needs.
const WINDOW: u32 = 23;

/// The pieces of a file, on their way through the threads.
pub(crate) struct Incoming<R> {
    reader: R,
    compression: Compression,
    next: Piece,
    workers: Workers,
    block: Cursor<Vec<u8>>,
}

impl<R: BufRead> Expander<R> {
    /// Looks at the beginning of a file and reads on from there.
    ///
    /// # Errors
    /// The reader's.
    pub(crate) fn new(mut reader: R, compression: Compression, threads: usize) -> io::Result<Self> {
        let Some(Pieces { expand, .. }) = pieces(compression) else {
            return Ok(Self::Plain(reader));
        };
        match (read_piece(&mut reader, compression, Vec::new())?, compression) {
            (Piece::Other(head), Compression::Zstd) => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(Cursor::new(head).chain(reader))?;
                decoder.window_log_max(WINDOW)?;
                Ok(Self::Zstd(Box::new(BufReader::new(decoder))))
            }
            (Piece::Other(head), _) => {
                let decoder = MultiGzDecoder::new(Cursor::new(head).chain(reader));
                Ok(Self::Gzip(Box::new(BufReader::new(decoder))))
            }
            (next, _) => {
                let (workers, block) = (Workers::new(threads, expand), Cursor::default());
                Ok(Self::Pieces(Incoming { reader, compression, next, workers, block }))
            }
        }
    }

    /// The reader, after everything was read, and how many bytes follow the last piece.
    ///
    /// # Errors
    /// The reader's.
    pub(crate) fn finish(self) -> io::Result<(R, u64)> {
        let left = |begun: Begun<R>| {
            let (head, reader) = begun.into_inner();
            (reader, head.get_ref().len() as u64 - head.position())
        };
        let (mut reader, taken) = match self {
            Self::Pieces(incoming) => match incoming.next {
                Piece::Whole(bytes) | Piece::Other(bytes) => (incoming.reader, bytes.len() as u64),
            },
            Self::Gzip(decoder) => left(decoder.into_inner().into_inner()),
            Self::Zstd(decoder) => left(decoder.into_inner().finish()),
            Self::Plain(reader) => (reader, 0),
        };
        let rest = io::copy(&mut reader, &mut io::sink())?;
        Ok((reader, taken + rest))
    }
}

impl<R: BufRead> BufRead for Expander<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Pieces(incoming) => incoming.fill_buf(),
            Self::Gzip(decoder) => decoder.fill_buf(),
            Self::Zstd(decoder) => decoder.fill_buf(),
            Self::Plain(reader) => reader.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::Pieces(incoming) => incoming.block.consume(count),
            Self::Gzip(decoder) => decoder.consume(count),
            Self::Zstd(decoder) => decoder.consume(count),
            Self::Plain(reader) => reader.consume(count),
        }
    }
}

impl<R: BufRead> Read for Expander<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> Incoming<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.block.fill_buf()?.is_empty() {
            self.fetch()?;
            let Some(block) = self.workers.take() else { break };
            let read = mem::replace(&mut self.block, Cursor::new(block?));
            self.workers.reclaim(read.into_inner());
        }
        self.block.fill_buf()
    }

    /// Keeps the threads busy.
    fn fetch(&mut self) -> io::Result<()> {
        while !self.workers.is_full() {
            let Piece::Whole(piece) = &mut self.next else { return Ok(()) };
            self.workers.give(mem::take(piece))?;
            let buffer = self.workers.buffer();
            self.next = read_piece(&mut self.reader, self.compression, buffer)?;
        }
        Ok(())
    }
}

fn read_piece(
    reader: &mut impl Read,
    compression: Compression,
    mut buffer: Vec<u8>,
) -> io::Result<Piece> {
    buffer.clear();
    match compression {
        Compression::Zstd => frame::read(reader, buffer),
        _ => member::read(reader, buffer),
    }
}

#[cfg(test)]
#[path = "compress_tests.rs"]
mod tests;
