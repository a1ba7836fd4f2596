//! Unpacked archives, taken apart into entries and put together again otherwise.

use crate::tally::chance;
use std::io::Write;
use tar::{EntryType, Header};

const BLOCK: usize = 512;

/// A header and its content, filled up to whole blocks.
#[derive(Clone)]
struct Entry {
    header: [u8; BLOCK],
    content: Vec<u8>,
}

/// Draws numbers that depend on nothing but a seed.
pub struct Draw {
    seed: u64,
    drawn: u32,
}

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    pub fn below(&mut self, count: usize) -> usize {
        self.drawn += 1;
        (chance(self.seed, self.drawn, 9) % count.max(1) as u64) as usize
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// Names that an archive must not bring.
const NAMES: &[&str] = &[
    "../evil",
    "data/../../evil",
    "/evil",
    "data//evil",
    "data/./evil",
    "evil",
    "data/",
    "",
    "data",
    "data/link/evil",
    "data/app.db-wal",
    "data/app.db",
    "data/APP.DB",
    "data/.piton/lock",
    "manifest.json",
    "data/uploads/a.txt/evil",
    "data/\u{202E}evil",
    "data/evil\n",
    "..",
    ".",
];
const LINKS: &[&str] = &["/etc/passwd", "../../evil", "data/app.db", "app.db", "..", ""];
const TYPES: &[u8] = b"0123456789gxLKSDMNVX\0\xff";
const PAX: &[&str] = &[
    "path=../../evil",
    "linkpath=/etc",
    "size=1",
    "size=99999999999999999999",
    "size=-1",
    "GNU.sparse.realsize=9999999999",
    "path=data/app.db",
    "uid=0",
    "mtime=-1",
    "charset=BINARY",
    "GNU.sparse.name=../evil",
    "=",
    "path",
];

/// Changes an unpacked archive in one to three ways.
pub fn mutated(tar: &[u8], draw: &mut Draw) -> Vec<u8> {
    let (mut entries, mut end) = taken_apart(tar);
    let mut raw = None;
    for _ in 0..=draw.below(3) {
        match draw.below(14) {
            0..=4 => change_header(&mut entries, draw),
            5 => {
                let (from, to) = (draw.below(entries.len()), draw.below(entries.len() + 1));
                let entry = entries[from].clone();
                entries.insert(to, entry);
            }
            6 if entries.len() > 1 => drop(entries.remove(draw.below(entries.len()))),
            7 => {
                let (one, other) = (draw.below(entries.len()), draw.below(entries.len()));
                entries.swap(one, other);
            }
            8 => {
                let at = draw.below(entries.len() + 1);
                entries.insert(at, foreign(draw));
            }
            9 => {
                let at = draw.below(entries.len() + 1);
                entries.insert(at, extended(draw));
            }
            10 => {
                let at = draw.below(entries.len());
                let content = &mut entries[at].content;
                let place = draw.below(content.len());
                if let Some(byte) = content.get_mut(place) {
                    *byte ^= 1 << draw.below(8);
                }
            }
            11 => end = vec![0; BLOCK * draw.below(8)],
            12 => end.extend_from_slice(b"something after the end"),
            _ => raw = Some(draw.below(tar.len())),
        }
    }
    let mut bytes: Vec<u8> =
        entries.iter().flat_map(|entry| [&entry.header[..], &entry.content].concat()).collect();
    bytes.extend(end);
    if let Some(byte) = raw.and_then(|at| bytes.get_mut(at)) {
        *byte ^= 1 << draw.below(8);
    }
    bytes
}

/// Packs it as one member, or as several of chance length.
pub fn packed(tar: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = tar;
    let several = draw.below(2) == 0;
    loop {
        let count = if several { draw.below(rest.len() + 1).max(1) } else { rest.len() };
        let (member, more) = rest.split_at(count.min(rest.len()));
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(member).expect("memory takes everything");
        bytes.extend(encoder.finish().expect("memory takes everything"));
        rest = more;
        if rest.is_empty() {
            return bytes;
        }
    }
}

fn taken_apart(tar: &[u8]) -> (Vec<Entry>, Vec<u8>) {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some(header) = tar.get(at..at + BLOCK) {
        if header.iter().all(|&byte| byte == 0) {
            break;
        }
        let header: [u8; BLOCK] = header.try_into().expect("it has the length of a block");
        let size = Header::from_byte_slice(&header).entry_size().unwrap_or(0) as usize;
        let whole = size.next_multiple_of(BLOCK);
        let content = tar[at + BLOCK..(at + BLOCK + whole).min(tar.len())].to_vec();
        entries.push(Entry { header, content });
        at += BLOCK + whole;
    }
    (entries, tar[at.min(tar.len())..].to_vec())
}

fn change_header(entries: &mut [Entry], draw: &mut Draw) {
    let at = draw.below(entries.len());
    let bytes = &mut entries[at].header;
    let put = |bytes: &mut [u8; BLOCK], range: std::ops::Range<usize>, text: &[u8]| {
        let place = &mut bytes[range];
        place.fill(0);
        let count = text.len().min(place.len());
        place[..count].copy_from_slice(&text[..count]);
    };
    match draw.below(10) {
        0 | 1 => put(bytes, 0..100, draw.one_of(NAMES).as_bytes()),
        2 => put(bytes, 345..500, draw.one_of(&["..", "/", "data", "../.."]).as_bytes()),
        3 => bytes[156] = TYPES[draw.below(TYPES.len())],
        4 => {
            bytes[156] = b'1' + draw.below(2) as u8;
            put(bytes, 157..257, draw.one_of(LINKS).as_bytes());
        }
        5 => {
            let sizes: [&[u8]; 6] = [
                b"00000000000\0",
                b"77777777777\0",
                b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                b"-0000000001\0",
                b"99999999999 ",
            ];
            put(bytes, 124..136, draw.one_of(&sizes));
        }
        6 => put(bytes, 100..108, draw.one_of(&["0007777\0", "0004755\0", "0000000\0"]).as_bytes()),
        7 => put(bytes, 136..148, b"77777777777\0"),
        8 => put(bytes, 108..124, b"0000001\x000000001\0"),
        _ => {
            let place = draw.below(BLOCK);
            bytes[place] ^= 1 << draw.below(8);
        }
    }
    // Mostly with a checksum that is right, so that it is the change itself that must be seen.
    if draw.below(8) > 0 {
        let mut header = Header::from_byte_slice(bytes).clone();
        header.set_cksum();
        *bytes = *header.as_bytes();
    }
}

/// An entry that nobody listed.
fn foreign(draw: &mut Draw) -> Entry {
    let content = b"evil".to_vec();
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::new(TYPES[draw.below(TYPES.len())]));
    let name = draw.one_of(NAMES).as_bytes();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    let link = draw.one_of(LINKS).as_bytes();
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.set_cksum();
    Entry { header: *header.as_bytes(), content: filled(content) }
}

/// An extended header, which changes how the next entry is read.
fn extended(draw: &mut Draw) -> Entry {
    let text = draw.one_of(PAX);
    let mut length = text.len() + 3;
    while format!("{length} {text}\n").len() != length && length < 200 {
        length += 1;
    }
    let content = format!("{length} {text}\n").into_bytes();
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::new(*draw.one_of(&[&b'x', &b'g', &b'L', &b'K'])));
    header.as_mut_bytes()[..6].copy_from_slice(b"header");
    header.set_size(content.len() as u64);
    header.set_cksum();
    Entry { header: *header.as_bytes(), content: filled(content) }
}

fn filled(mut content: Vec<u8>) -> Vec<u8> {
    content.resize(content.len().next_multiple_of(BLOCK), 0);
    content
}
