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
    io::{self, BufRead, Cursor, Read, Write},
    mem,
};

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
    /// Nothing where bytes pass as they are.
    blocks: Option<Blocks>,
}

struct Blocks {
    size: usize,
    block: Vec<u8>,
    workers: Workers,
}

impl<W: Write> Compressor<W> {
    /// Compresses into a writer on so many threads.
    pub(crate) fn new(out: W, compression: Compression, threads: usize) -> Self {
        let blocks = pieces(compression).map(|pieces| Blocks {
            size: pieces.block,
            block: Vec::new(),
            workers: Workers::new(threads, pieces.compress),
        });
        Self { out, blocks }
    }

    /// Compresses and writes what is left, and gives the writer back.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if let Some(blocks) = &mut self.blocks {
            if !blocks.block.is_empty() {
                blocks.dispatch(&mut self.out)?;
            }
            while let Some(piece) = blocks.workers.take() {
                self.out.write_all(&piece?)?;
            }
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

impl Blocks {
    fn dispatch(&mut self, out: &mut impl Write) -> io::Result<()> {
        while self.workers.is_full() {
            let Some(piece) = self.workers.take() else { break };
            out.write_all(&piece?)?;
        }
        self.workers.give(mem::take(&mut self.block))
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(blocks) = &mut self.blocks else { return self.out.write(bytes) };
        let count = bytes.len().min(blocks.size - blocks.block.len());
        blocks.block.extend_from_slice(&bytes[..count]);
        if blocks.block.len() == blocks.size {
            blocks.dispatch(&mut self.out)?;
        }
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
    Gzip(Box<MultiGzDecoder<Begun<R>>>),
    /// What another zstd made.
    Zstd(Box<zstd::stream::read::Decoder<'static, Begun<R>>>),
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
        match (read_piece(&mut reader, compression)?, compression) {
            (Piece::Other(head), Compression::Zstd) => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(Cursor::new(head).chain(reader))?;
                decoder.window_log_max(WINDOW)?;
                Ok(Self::Zstd(Box::new(decoder)))
            }
            (Piece::Other(head), _) => {
                Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Cursor::new(head).chain(reader)))))
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
            Self::Gzip(decoder) => left(decoder.into_inner()),
            Self::Zstd(decoder) => left(decoder.finish()),
            Self::Plain(reader) => (reader, 0),
        };
        let rest = io::copy(&mut reader, &mut io::sink())?;
        Ok((reader, taken + rest))
    }
}

impl<R: BufRead> Read for Expander<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Pieces(incoming) => incoming.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
            Self::Plain(reader) => reader.read(buffer),
        }
    }
}

impl<R: BufRead> Incoming<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.block.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.fetch()?;
            match self.workers.take() {
                Some(block) => self.block = Cursor::new(block?),
                None => return Ok(0),
            }
        }
    }

    /// Keeps the threads busy.
    fn fetch(&mut self) -> io::Result<()> {
        while !self.workers.is_full() {
            let Piece::Whole(piece) = &mut self.next else { return Ok(()) };
            self.workers.give(mem::take(piece))?;
            self.next = read_piece(&mut self.reader, self.compression)?;
        }
        Ok(())
    }
}

fn read_piece(reader: &mut impl Read, compression: Compression) -> io::Result<Piece> {
    match compression {
        Compression::Zstd => frame::read(reader),
        _ => member::read(reader),
    }
}

#[cfg(test)]
#[path = "compress_tests.rs"]
mod tests;
