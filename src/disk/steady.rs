//! A file that goes to the disk while it is written, so that little is left when it is synced.
//!
//! A sync of much takes long, and on most file systems every other program's sync waits for it: a
//! service's commit too. Nothing here makes anything durable; that is [`super::sync_file`].

use super::{Result, failed, open_to_change, sync_file};
use std::{
    fs::File,
    io::{self, Write},
    ops::Range,
    os::fd::AsRawFd,
    path::Path,
};

/// Bytes after which the system is asked to write. At most two such steps are under way.
const STEP: u64 = 2 << 20;

/// A file that is written from its beginning to its end.
pub struct Steady {
    file: File,
    written: u64,
    /// Up to where the system was asked to write.
    begun: u64,
    /// Up to where it has written.
    done: u64,
}

impl Steady {
    /// Takes an empty file.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self { file, written: 0, begun: 0, done: 0 }
    }

    /// The file, for syncing it.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Begins to write the newest step, once the one before it has reached the disk.
    fn step(&mut self) -> io::Result<()> {
        let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
            | libc::SYNC_FILE_RANGE_WRITE
            | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        // Of a length of zero the system would take everything to the end.
        if self.done < self.begun {
            write_range(&self.file, self.done..self.begun, flags)?;
        }
        write_range(&self.file, self.begun..self.written, libc::SYNC_FILE_RANGE_WRITE)?;
        (self.done, self.begun) = (self.begun, self.written);
        Ok(())
    }
}

impl Write for Steady {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        if self.written - self.begun >= STEP {
            self.step()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Flushes a file that was written elsewhere, step by step: whoever else syncs meanwhile waits for one
/// step and not for all of it.
///
/// # Errors
/// The system's, with the path.
pub fn sync_steadily(point: &'static str, path: &Path) -> Result<()> {
    let file = open_to_change(point, path)?;
    let length = file.metadata().map_err(failed("read", path))?.len();
    let mut steady = Steady { file, written: 0, begun: 0, done: 0 };
    while steady.written < length {
        steady.written = length.min(steady.written + STEP);
        steady.step().map_err(failed("sync", path))?;
    }
    sync_file(point, path, steady.file())
}

/// An error of the disk is told once, here or by the sync: so it is never passed over.
#[expect(unsafe_code, reason = "no safe wrapper at hand knows sync_file_range")]
fn write_range(file: &File, range: Range<u64>, flags: libc::c_uint) -> io::Result<()> {
    let (offset, length) = (range.start.cast_signed(), (range.end - range.start).cast_signed());
    // SAFETY: the descriptor is open as long as the file lives, and the call takes numbers only.
    if unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, flags) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // Where it is not to be had, the sync at the end does it all.
        error
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOSYS | libc::EINVAL | libc::ESPIPE | libc::EOPNOTSUPP | libc::EPERM)
            ) =>
        {
            Ok(())
        }
        error => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::{STEP, Steady, sync_steadily};
    use std::io::Write;

    #[test]
    fn every_byte_arrives_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..4 * STEP + 7).map(|at| (at % 251) as u8).collect();
        let mut steady = Steady::new(std::fs::File::create(&path).unwrap());
        for piece in bytes.chunks(300_001) {
            steady.write_all(piece).unwrap();
        }
        assert!(steady.done >= 2 * STEP && steady.begun >= 3 * STEP);
        assert!(std::fs::read(&path).unwrap() == bytes);
        sync_steadily("steady", &path).unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes);
        // What cannot do it is written all the same.
        let mut nowhere = Steady::new(std::fs::File::create("/dev/null").unwrap());
        nowhere.write_all(&bytes).unwrap();
    }
}
