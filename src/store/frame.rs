//! One zstd frame (RFC 8878) that states how long its content is, so that several can be made and
//! unpacked at once. Frames one after another are one stream to any zstd.

use super::compress::Piece;
use std::{
    cell::RefCell,
    io::{self, Read},
};
use zstd::bulk::{Compressor, Decompressor};

/// Uncompressed bytes of one frame: smaller ones compress worse (by 7 % at 1 MiB), larger ones no
/// better, and a few of them are in memory at once.
pub(super) const BLOCK: usize = 4 << 20;
/// More than a block that cannot be compressed takes.
const LONGEST: usize = BLOCK + BLOCK / 128;
/// Measured on SQLite pages: 1 is hardly faster and a fifth larger.
const LEVEL: i32 = 3;
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Bytes of the magic number and of the frame header's first byte.
const START: usize = MAGIC.len() + 1;
const BLOCK_HEAD: usize = 3;
const CHECKSUM: usize = 4;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Makes a frame of a block.
///
/// # Errors
/// The library's.
pub(super) fn compress(block: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
    frame.clear();
    frame.reserve_exact(zstd::zstd_safe::compress_bound(block.len()));
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => {
                let mut new = Compressor::new(LEVEL)?;
                new.include_checksum(true)?;
                // As long as a block, so that every frame is one segment.
                new.window_log(BLOCK.ilog2())?;
                kept.insert(new)
            }
        };
        compressor.compress_to_buffer(block, frame).map(drop)
    })
}

/// Unpacks a whole frame and compares its checksum.
///
/// # Errors
/// Whatever in it is not as [`compress`] makes it.
pub(super) fn expand(frame: &[u8], block: &mut Vec<u8>) -> io::Result<()> {
    let size = content_size(frame).ok_or_else(|| malformed("a frame is too long"))?;
    block.clear();
    block.reserve_exact(size);
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(frame, block)
    })?;
    if block.len() != size {
        return Err(malformed("a frame is shorter than it says"));
    }
    Ok(())
}

/// Reads the next frame without unpacking it, into an empty buffer: its blocks say how long they are.
///
/// # Errors
/// The reader's; a frame that is cut off.
pub(super) fn read(reader: &mut impl Read, mut frame: Vec<u8>) -> io::Result<Piece> {
    frame.reserve(BLOCK / 2);
    reader.take(START as u64).read_to_end(&mut frame)?;
    let Some(sizes) = size_bytes(&frame) else { return Ok(Piece::Other(frame)) };
    grow(&mut frame, reader, sizes)?;
    if content_size(&frame).is_none() {
        return Ok(Piece::Other(frame));
    }
    loop {
        let at = frame.len();
        grow(&mut frame, reader, BLOCK_HEAD)?;
        let head = u32::from_le_bytes([frame[at], frame[at + 1], frame[at + 2], 0]);
        let stored = match (head >> 1) & 3 {
            // One byte, to be repeated.
            1 => 1,
            0 | 2 => usize::try_from(head >> 3).unwrap_or(usize::MAX),
            _ => return Err(malformed("a frame has a block of an unknown kind")),
        };
        if stored > LONGEST - frame.len().min(LONGEST) {
            return Err(malformed("a frame is too long"));
        }
        grow(&mut frame, reader, stored)?;
        if head & 1 == 1 {
            grow(&mut frame, reader, CHECKSUM)?;
            return Ok(Piece::Whole(frame));
        }
    }
}

/// How many bytes state the size of the content, where the frame begins as those of
/// [`compress`]: in one segment, with a checksum, without a dictionary.
fn size_bytes(start: &[u8]) -> Option<usize> {
    let descriptor = *start.strip_prefix(&MAGIC)?.first()?;
    (descriptor & 0b0011_1111 == 0b0010_0100).then(|| 1 << (descriptor >> 6))
}

/// What a frame says of the size of its content, where that is not more than a block.
fn content_size(frame: &[u8]) -> Option<usize> {
    let count = size_bytes(frame)?;
    let mut bytes = [0; 8];
    bytes[..count].copy_from_slice(frame.get(START..START + count)?);
    // Two bytes begin at 256, which one byte cannot state.
    let least = if count == 2 { 256 } else { 0 };
    let size = u64::from_le_bytes(bytes).checked_add(least)?;
    usize::try_from(size).ok().filter(|size| *size <= BLOCK)
}

fn grow(frame: &mut Vec<u8>, reader: &mut impl Read, count: usize) -> io::Result<()> {
    match reader.take(count as u64).read_to_end(frame)? {
        read if read < count => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn malformed(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
