//! A file that is read and hashed by a thread of its own, while another unpacks what it gave.
//!
//! Of what was read ahead, only a few pieces are in memory: more than one block of what is unpacked takes.

use super::{Digest, digest::Hashing};
use std::{
    fs::File,
    io::{self, Cursor, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

const PIECE: usize = 256 * 1024;
const AHEAD: usize = 16;

/// A reader of a whole file; dropped before its end, it stops the thread.
pub(super) struct Pump {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Cursor<Vec<u8>>,
    thread: JoinHandle<(Digest, u64)>,
}

impl Pump {
    /// Begins to read.
    ///
    /// # Errors
    /// The system's, where there can be no thread.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(AHEAD);
        let thread = thread::Builder::new().spawn(move || pump(file, &sender))?;
        Ok(Self { pieces, piece: Cursor::default(), thread })
    }

    /// The digest and the length of what was read, which after the end is the whole file.
    ///
    /// # Errors
    /// Where the thread has died.
    pub(super) fn finish(self) -> io::Result<(Digest, u64)> {
        let Self { pieces, thread, .. } = self;
        // The thread must not wait for somebody who takes a piece.
        drop(pieces);
        thread.join().map_err(|_| io::Error::other("the thread that reads has ended"))
    }
}

impl Read for Pump {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.pieces.recv() {
                Ok(piece) => self.piece = Cursor::new(piece?),
                // At the end of the file the thread is done.
                Err(_) => return Ok(0),
            }
        }
    }
}

fn pump(file: File, pieces: &SyncSender<io::Result<Vec<u8>>>) -> (Digest, u64) {
    let mut file = Hashing::new(file);
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece);
        let ended = matches!(read, Ok(0) | Err(_));
        let given = match read {
            Ok(0) => Ok(()),
            Ok(_) => pieces.send(Ok(piece)).map_err(drop),
            Err(error) => pieces.send(Err(error)).map_err(drop),
        };
        if ended || given.is_err() {
            let (_, digest, count) = file.finish();
            return (digest, count);
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::{Digest, PIECE, Pump, Read};
    use std::fs::File;

    #[test]
    fn gives_every_byte_and_their_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let mut pump = Pump::new(File::open(&path).unwrap()).unwrap();
            let mut found = Vec::new();
            pump.read_to_end(&mut found).unwrap();
            assert!(found == bytes, "{length}");
            assert_eq!(pump.finish().unwrap(), (Digest::of(&bytes), length as u64));
        }
        // Half read: the thread ends all the same.
        let mut pump = Pump::new(File::open(&path).unwrap()).unwrap();
        pump.read_exact(&mut [0; 10]).unwrap();
        pump.finish().unwrap();
        // A folder can be opened and not read.
        let mut pump = Pump::new(File::open(folder.path()).unwrap()).unwrap();
        assert!(pump.read(&mut [0; 10]).unwrap_err().raw_os_error().is_some());
    }
}
