//! One gzip member (RFC 1952), whose extra field says how long it is: so its reader finds the next
//! one without unpacking it, and several can be unpacked at once. Any gzip skips that field.

use super::compress::Piece;
use libdeflater::{CompressionLvl, Compressor, Decompressor, crc32};
use std::{
    cell::RefCell,
    io::{self, Read},
};

/// Uncompressed bytes of one member; small, so that memory stays small on every core.
pub(super) const BLOCK: usize = 1 << 20;
/// Fixed bytes, 4 bytes of time that stay 0, and the extra field: two letters, its length, and the
/// length of the whole member in 4 bytes, little-endian.
pub(super) const HEAD: usize = 20;
/// CRC-32 and length of the uncompressed bytes.
const TAIL: usize = 8;
const START: [u8; 16] = [0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0xFF, 8, 0, b'P', b'T', 4, 0];
/// More than a block that cannot be compressed takes.
const LONGEST: usize = BLOCK + BLOCK / 16 + HEAD + TAIL;
/// Measured on SQLite pages: level 6 is 4 % smaller and takes nearly three times as long.
const LEVEL: i32 = 1;

thread_local! {
    static COMPRESSOR: RefCell<Compressor> = RefCell::new(Compressor::new(
        CompressionLvl::new(LEVEL).expect("it is one of the levels 0 to 12"),
    ));
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

/// Makes a member of a block.
///
/// # Errors
/// Where the block is longer than [`BLOCK`].
pub(super) fn compress(block: &[u8], member: &mut Vec<u8>) -> io::Result<()> {
    member.resize(LONGEST, 0);
    let length = COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.deflate_compress(block, &mut member[HEAD..LONGEST - TAIL])
    });
    let length = length.map_err(|_| malformed("a block is too long"))?;
    member.truncate(HEAD + length);
    member.extend_from_slice(&crc32(block).to_le_bytes());
    member.extend_from_slice(&four_bytes(block.len())?);
    member[..START.len()].copy_from_slice(&START);
    let whole = four_bytes(member.len())?;
    member[START.len()..HEAD].copy_from_slice(&whole);
    Ok(())
}

/// Reads the next member without unpacking it, into an empty buffer.
///
/// # Errors
/// The reader's; a member that is cut off.
pub(super) fn read(reader: &mut impl Read, mut member: Vec<u8>) -> io::Result<Piece> {
    reader.take(HEAD as u64).read_to_end(&mut member)?;
    let Some(length) = length(&member) else { return Ok(Piece::Other(member)) };
    reader.take((length - HEAD) as u64).read_to_end(&mut member)?;
    if member.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Piece::Whole(member))
}

/// The length of the member that begins so, where it is one of ours.
fn length(head: &[u8]) -> Option<usize> {
    let length = head.strip_prefix(&START)?.first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    (HEAD + TAIL..=LONGEST).contains(&length).then_some(length)
}

/// Unpacks a whole member.
///
/// # Errors
/// Whatever in it is not as [`compress`] makes it.
pub(super) fn expand(member: &[u8], block: &mut Vec<u8>) -> io::Result<()> {
    let (body, tail) = member.split_at(member.len().saturating_sub(TAIL));
    let number = |at: usize| {
        tail.get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_le_bytes)
            .ok_or_else(|| malformed("a member is too short"))
    };
    let (sum, size) = (number(0)?, usize::try_from(number(4)?).unwrap_or(usize::MAX));
    if size > BLOCK || body.len() < HEAD {
        return Err(malformed("a member is too long"));
    }
    block.resize(size, 0);
    let unpacked = DECOMPRESSOR
        .with_borrow_mut(|decompressor| decompressor.deflate_decompress(&body[HEAD..], block));
    if unpacked.ok() != Some(size) || crc32(block) != sum {
        return Err(malformed("a member is corrupt"));
    }
    Ok(())
}

fn four_bytes(number: usize) -> io::Result<[u8; 4]> {
    let number = u32::try_from(number).map_err(|_| malformed("a block is too long"))?;
    Ok(number.to_le_bytes())
}

fn malformed(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
