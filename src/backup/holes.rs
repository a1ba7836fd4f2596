//! Which parts of a sparse file hold data, as the file system tells.

use crate::{Result, disk::failed, store::Segment};
use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};
use std::{fs::File, path::Path};

/// A hole that is shorter is stored as zeros, in bytes: a list of many takes more than it spares.
const SHORTEST: u64 = 65_536;

/// Tar's unit, in bytes.
const BLOCK: u64 = 512;

/// The parts of the first `size` bytes that hold data. Everything, where the file system cannot
/// tell.
///
/// # Errors
/// The system's, with the path.
pub(super) fn segments(file: &File, absolute: &Path, size: u64) -> Result<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut at = 0;
    while at < size {
        // To whole blocks, since each segment begins a new one in the archive.
        let begin = match seek(file, SeekFrom::Data(at)) {
            Ok(begin) => begin - begin % BLOCK,
            // Nothing but a hole from here on.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(failed("read", absolute)(error.into()).into()),
        };
        let end = match seek(file, SeekFrom::Hole(begin)) {
            Ok(end) => end.next_multiple_of(BLOCK).min(size),
            Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => size,
            Err(error) => return Err(failed("read", absolute)(error.into()).into()),
        };
        // It may be growing or shrinking meanwhile.
        if begin >= size || end <= begin {
            break;
        }
        match segments.last_mut() {
            Some(last) if begin - last.end() < SHORTEST => last.length = end - last.offset,
            _ => segments.push(Segment { offset: begin, length: end - begin }),
        }
        at = end;
    }
    Ok(segments)
}
