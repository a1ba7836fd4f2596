//! Compression of the archive: independent gzip members of 1 MiB each, made and read on several
//! threads.
//!
//! Any gzip reads such a file as one stream. Nothing else in piton knows the format, and the
//! result depends on the bytes alone, not on the threads or on how the bytes were handed in.

use super::{
    member::{self, BLOCK, HEAD},
    workers::Workers,
};
use flate2::bufread::MultiGzDecoder;
use std::{
    io::{self, BufRead, Cursor, Read, Write},
    mem,
};

/// A writer that compresses what it is given; call [`Compressor::finish`], or the end is missing.
pub(crate) struct Compressor<W: Write> {
    out: W,
    block: Vec<u8>,
    workers: Workers,
}

impl<W: Write> Compressor<W> {
    /// Compresses into a writer on so many threads.
    pub(crate) fn new(out: W, threads: usize) -> Self {
        let workers = Workers::new(threads, member::compress);
        Self { out, block: Vec::with_capacity(BLOCK), workers }
    }

    /// Compresses and writes what is left, and gives the writer back.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.dispatch()?;
        }
        while let Some(member) = self.workers.take() {
            self.out.write_all(&member?)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn dispatch(&mut self) -> io::Result<()> {
        while self.workers.is_full() {
            let Some(member) = self.workers.take() else { break };
            self.out.write_all(&member?)?;
        }
        self.workers.give(mem::replace(&mut self.block, Vec::with_capacity(BLOCK)))
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK {
            self.dispatch()?;
        }
        Ok(count)
    }

    /// Does nothing: a member ends where its block is full, never where the writer pauses.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader of what a [`Compressor`] wrote, through to its last member; also of any other gzip
/// file, on one thread.
pub(crate) enum Expander<R: BufRead> {
    /// Members that say how long they are.
    Members(Members<R>),
    /// What somebody else compressed.
    Foreign(Box<MultiGzDecoder<io::Chain<Cursor<Vec<u8>>, R>>>),
}

/// The members of a file, on their way through the threads.
pub(crate) struct Members<R> {
    reader: R,
    /// The head of the next member, read already; shorter or nothing at the end.
    head: Vec<u8>,
    workers: Workers,
    block: Cursor<Vec<u8>>,
}

impl<R: BufRead> Expander<R> {
    /// Looks at the beginning of a file and reads on from there.
    ///
    /// # Errors
    /// The reader's.
    pub(crate) fn new(mut reader: R, threads: usize) -> io::Result<Self> {
        let head = read_head(&mut reader)?;
        if length_of(&head).is_none() {
            let whole = Cursor::new(head).chain(reader);
            return Ok(Self::Foreign(Box::new(MultiGzDecoder::new(whole))));
        }
        let workers = Workers::new(threads, member::expand);
        Ok(Self::Members(Members { reader, head, workers, block: Cursor::default() }))
    }

    /// The reader, after everything was read, and how many bytes follow the last member.
    ///
    /// # Errors
    /// The reader's.
    pub(crate) fn finish(self) -> io::Result<(R, u64)> {
        let (mut reader, taken) = match self {
            Self::Members(members) => (members.reader, members.head.len() as u64),
            Self::Foreign(decoder) => {
                let (head, reader) = decoder.into_inner().into_inner();
                (reader, head.get_ref().len() as u64 - head.position())
            }
        };
        let rest = io::copy(&mut reader, &mut io::sink())?;
        Ok((reader, taken + rest))
    }
}

impl<R: BufRead> Read for Expander<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Members(members) => members.read(buffer),
            Self::Foreign(decoder) => decoder.read(buffer),
        }
    }
}

impl<R: BufRead> Members<R> {
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
            let Some(length) = length_of(&self.head) else { return Ok(()) };
            let mut member = mem::take(&mut self.head);
            member.resize(length, 0);
            self.reader.read_exact(&mut member[HEAD..])?;
            self.workers.give(member)?;
            self.head = read_head(&mut self.reader)?;
        }
        Ok(())
    }
}

fn length_of(head: &[u8]) -> Option<usize> {
    member::length(head.try_into().ok()?)
}

fn read_head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    reader.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Compressor, Expander, HEAD, MultiGzDecoder};
    use std::io::{Read, Write};

    fn compressed(bytes: &[u8], piece: usize, threads: usize) -> Vec<u8> {
        let mut compressor = Compressor::new(Vec::new(), threads);
        bytes.chunks(piece).for_each(|chunk| compressor.write_all(chunk).unwrap());
        compressor.finish().unwrap()
    }

    fn sample(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * at / 977) as u8).collect()
    }

    fn expanded(bytes: &[u8]) -> std::io::Result<(Vec<u8>, u64)> {
        let mut expander = Expander::new(bytes, 3)?;
        let mut back = Vec::new();
        expander.read_to_end(&mut back)?;
        Ok((back, expander.finish()?.1))
    }

    #[test]
    fn the_result_depends_on_the_bytes_alone_and_reads_back() {
        for length in [1, 1000, BLOCK, BLOCK + 1, 9 * BLOCK + 17] {
            let bytes = sample(length);
            let one = compressed(&bytes, 4096, 1);
            assert_eq!(one, compressed(&bytes, 700_001, 3), "{length}");
            assert!(expanded(&one).unwrap() == (bytes.clone(), 0), "{length}");
            let mut back = Vec::new();
            MultiGzDecoder::new(one.as_slice()).read_to_end(&mut back).unwrap();
            assert!(back == bytes, "any gzip reads it, {length}");
        }
    }

    #[test]
    fn bytes_that_cannot_be_compressed_pass() {
        let mut state = 1_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        let bytes: Vec<u8> = (0..2 * BLOCK).map(|_| next()).collect();
        assert!(expanded(&compressed(&bytes, BLOCK, 2)).unwrap() == (bytes, 0));
    }

    #[test]
    fn files_of_other_programs_are_read_too() {
        let bytes = sample(3 * BLOCK);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        assert!(expanded(&encoder.finish().unwrap()).unwrap() == (bytes, 0));
    }

    #[test]
    fn what_is_cut_off_appended_or_changed_is_found() {
        let bytes = sample(2 * BLOCK + 5);
        let whole = compressed(&bytes, 4096, 2);
        let mut longer = whole.clone();
        longer.extend_from_slice(b"more");
        assert_eq!(expanded(&longer).unwrap().1, 4);
        for length in [whole.len() - 1, whole.len() / 2, HEAD + 1] {
            expanded(&whole[..length]).unwrap_err();
        }
        for at in [HEAD - 1, HEAD + 7, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            let found = expanded(&changed);
            assert!(found.is_err() || found.unwrap().0 == bytes, "byte {at}");
        }
    }
}
