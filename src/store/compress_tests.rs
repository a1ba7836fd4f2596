//! Every way to compress, there and back.

use super::{Compression, Compressor, Expander, MultiGzDecoder, frame, member};
use std::io::{Read, Write};

const ALL: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::None];

/// Uncompressed bytes of one piece.
fn block(compression: Compression) -> usize {
    if compression == Compression::Zstd { frame::BLOCK } else { member::BLOCK }
}

fn compressed(bytes: &[u8], compression: Compression, piece: usize, threads: usize) -> Vec<u8> {
    let mut compressor = Compressor::new(Vec::new(), compression, threads);
    bytes.chunks(piece).for_each(|chunk| compressor.write_all(chunk).unwrap());
    compressor.finish().unwrap()
}

fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * at / 977) as u8).collect()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

fn expanded(bytes: &[u8], compression: Compression) -> std::io::Result<(Vec<u8>, u64)> {
    let mut expander = Expander::new(bytes, compression, 3)?;
    let mut back = Vec::new();
    expander.read_to_end(&mut back)?;
    Ok((back, expander.finish()?.1))
}

#[test]
fn the_result_depends_on_the_bytes_alone_and_reads_back() {
    for compression in ALL {
        let block = block(compression);
        for length in [1, 255, 256, 257, 65_791, 65_792, block, block + 1, 5 * block + 17] {
            let what = format!("{compression}, {length}");
            let bytes = sample(length);
            let one = compressed(&bytes, compression, 4096, 1);
            assert_eq!(one, compressed(&bytes, compression, 700_001, 3), "{what}");
            let expander = Expander::new(one.as_slice(), compression, 3).unwrap();
            let on_threads = matches!(expander, Expander::Pieces(_));
            assert_eq!(on_threads, compression != Compression::None, "{what}");
            assert!(expanded(&one, compression).unwrap() == (bytes.clone(), 0), "{what}");
            let mut back = Vec::new();
            match compression {
                Compression::Gzip => {
                    MultiGzDecoder::new(one.as_slice()).read_to_end(&mut back).unwrap();
                }
                Compression::Zstd => back = zstd::decode_all(one.as_slice()).unwrap(),
                Compression::None => back = one,
            }
            assert!(back == bytes, "any program reads it, {what}");
        }
    }
}

#[test]
fn bytes_that_cannot_be_compressed_pass() {
    for compression in ALL {
        let bytes = noise(2 * block(compression));
        let there = compressed(&bytes, compression, 1 << 20, 2);
        assert!(expanded(&there, compression).unwrap() == (bytes, 0), "{compression}");
    }
}

#[test]
fn one_byte_over_and_over_passes() {
    for compression in ALL {
        let bytes = vec![7; 3 * block(compression)];
        let there = compressed(&bytes, compression, 1 << 20, 2);
        assert!(expanded(&there, compression).unwrap() == (bytes, 0), "{compression}");
    }
}

#[test]
fn files_of_other_programs_are_read_too() {
    let bytes = sample(3 * frame::BLOCK);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&bytes).unwrap();
    let found = expanded(&encoder.finish().unwrap(), Compression::Gzip).unwrap();
    assert!(found == (bytes.clone(), 0));
    for level in [1, 19] {
        let foreign = zstd::encode_all(bytes.as_slice(), level).unwrap();
        let found = expanded(&foreign, Compression::Zstd).unwrap();
        assert!(found == (bytes.clone(), 0), "level {level}");
        expanded(&foreign[..foreign.len() - 1], Compression::Zstd).unwrap_err();
    }
}

#[test]
fn a_foreign_file_cannot_ask_for_much_memory() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&sample(3 * frame::BLOCK)).unwrap();
    let foreign = encoder.finish().unwrap();
    expanded(&foreign, Compression::Zstd).unwrap_err();
}

#[test]
fn what_is_cut_off_appended_or_changed_is_found() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let bytes = sample(2 * block(compression) + 5);
        let whole = compressed(&bytes, compression, 4096, 2);
        let mut longer = whole.clone();
        longer.extend_from_slice(b"more");
        assert_eq!(expanded(&longer, compression).unwrap().1, 4, "{compression}");
        for length in [whole.len() - 1, whole.len() / 2, 21, 7, 5] {
            let found = expanded(&whole[..length], compression);
            assert!(found.is_err(), "{compression}, {length} bytes");
        }
        for at in (0..40).chain([whole.len() / 2, whole.len() - 1]) {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            let found = expanded(&changed, compression);
            let told = found.as_ref().is_err()
                || found.as_ref().is_ok_and(|(back, more)| *back == bytes || *more > 0);
            assert!(told, "{compression}, byte {at}");
        }
    }
}
