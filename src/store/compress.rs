//! Compression of the archive: independent gzip members of 1 MiB each, made on several threads.
//!
//! Any gzip reads such a file as one stream. Nothing else in piton knows the format, and the
//! result depends on the bytes alone, not on the threads or on how the bytes were handed in.

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use std::{
    collections::VecDeque,
    io::{self, BufRead, Write},
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// Uncompressed bytes of one member; small, so that memory stays small on every core.
const BLOCK: usize = 1 << 20;
/// Level 3 is where more time stops buying much on SQLite pages.
const LEVEL: u32 = 3;

struct Job {
    block: Vec<u8>,
    done: SyncSender<io::Result<Vec<u8>>>,
}

/// A writer that compresses what it is given; call [`Compressor::finish`], or the end is missing.
pub(crate) struct Compressor<W: Write> {
    out: W,
    block: Vec<u8>,
    jobs: Option<SyncSender<Job>>,
    pending: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    threads: usize,
}

impl<W: Write> Compressor<W> {
    /// Compresses into a writer on so many threads.
    pub(crate) fn new(out: W, threads: usize) -> Self {
        let threads = threads.max(1);
        let (jobs, queue) = sync_channel::<Job>(threads);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            thread::spawn(move || work(&queue));
        }
        Self {
            out,
            block: Vec::with_capacity(BLOCK),
            jobs: Some(jobs),
            pending: VecDeque::new(),
            threads,
        }
    }

    /// Compresses and writes what is left, and gives the writer back.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.dispatch()?;
        }
        // Without a sender the threads end.
        self.jobs = None;
        while let Some(done) = self.pending.pop_front() {
            self.collect(&done)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn dispatch(&mut self) -> io::Result<()> {
        // Members are written in the order of their blocks, and only so many are in memory.
        while self.pending.len() > self.threads * 2 {
            let done = self.pending.pop_front().expect("it is longer than zero");
            self.collect(&done)?;
        }
        let block = mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let (done, result) = sync_channel(1);
        let jobs = self.jobs.as_ref().expect("it is dropped only by `finish`");
        jobs.send(Job { block, done }).map_err(|_| ended())?;
        self.pending.push_back(result);
        Ok(())
    }

    fn collect(&mut self, done: &Receiver<io::Result<Vec<u8>>>) -> io::Result<()> {
        let member = done.recv().map_err(|_| ended())??;
        self.out.write_all(&member)
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

/// Reads what a [`Compressor`] wrote, through to its last member.
pub(crate) fn decompress<R: BufRead>(reader: R) -> MultiGzDecoder<R> {
    MultiGzDecoder::new(reader)
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, done }) = job else { return };
        let mut encoder =
            GzEncoder::new(Vec::with_capacity(block.len() / 2), Compression::new(LEVEL));
        let member = encoder.write_all(&block).and_then(|()| encoder.finish());
        // Nobody listens where the writer has failed and was dropped.
        drop(done.send(member));
    }
}

fn ended() -> io::Error {
    io::Error::other("a compressing thread ended")
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Compressor, decompress};
    use std::io::{Read, Write};

    fn compressed(bytes: &[u8], piece: usize, threads: usize) -> Vec<u8> {
        let mut compressor = Compressor::new(Vec::new(), threads);
        bytes.chunks(piece).for_each(|chunk| compressor.write_all(chunk).unwrap());
        compressor.finish().unwrap()
    }

    #[test]
    fn the_result_depends_on_the_bytes_alone_and_reads_back() {
        for length in [1, 1000, BLOCK, BLOCK + 1, 5 * BLOCK + 17] {
            let bytes: Vec<u8> = (0..length).map(|at| (at * at / 977) as u8).collect();
            let one = compressed(&bytes, 4096, 1);
            assert_eq!(one, compressed(&bytes, 700_001, 3), "{length}");
            let mut back = Vec::new();
            decompress(one.as_slice()).read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{length}");
        }
    }
}
