//! The blocks before an entry's content, as the writer writes them and the reader demands them.
//!
//! The manifest determines every one of these bytes. So the reader does not interpret headers, it
//! compares them: whatever piton never writes is refused, without a rule for each trick. The form
//! is GNU tar's, which every tar reads.

use super::{Attributes, DatabaseRecord, Digest, FileKind, FileRecord, Manifest, Segment, segment};
use std::os::unix::ffi::OsStrExt;
use tar::{EntryType, Header};

/// Tar's unit: headers take one, contents are filled up to whole ones.
pub(crate) const BLOCK: usize = 512;
/// The folder of the archive in which the data directory's content lies.
const ROOT: &[u8] = b"data/";
/// The archive's last entry, but for its digest in one that is not compressed.
pub(crate) const MANIFEST_NAME: &str = "manifest.json";
const SUM_NAME: &[u8] = b"manifest.sha256";

/// One entry of a manifest.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A database.
    Database(&'a DatabaseRecord),
    /// A folder, file or link.
    File(&'a FileRecord),
}

impl<'a> Item<'a> {
    /// Its path below the data directory.
    #[must_use]
    pub fn path(self) -> &'a super::StoredPath {
        match self {
            Self::Database(record) => &record.path,
            Self::File(record) => &record.path,
        }
    }

    /// Its permissions, owner and time.
    #[must_use]
    pub fn attributes(self) -> &'a Attributes {
        match self {
            Self::Database(record) => &record.attributes,
            Self::File(record) => &record.attributes,
        }
    }

    /// Of a sparse file, the parts that hold data.
    #[must_use]
    pub fn segments(self) -> Option<&'a [Segment]> {
        match self {
            Self::Database(_) => None,
            Self::File(record) => record.segments.as_deref(),
        }
    }

    /// Bytes that it takes when it is unpacked: holes take none.
    #[must_use]
    pub fn data_bytes(self) -> u64 {
        match (self.content(), self.segments()) {
            (Some(_), Some(segments)) => segment::stored_bytes(segments),
            (Some((size, _)), None) => size,
            (None, _) => 0,
        }
    }

    /// Whether the plain header of an entry has no place for all of it.
    pub(super) fn needs_extended_header(self) -> bool {
        self.segments().is_some() || !self.attributes().extended.is_empty()
    }

    /// What stands before its bytes.
    pub(super) fn map(self) -> Vec<u8> {
        match (self.content(), self.segments()) {
            (Some((size, _)), Some(segments)) => segment::map(segments, size),
            _ => Vec::new(),
        }
    }

    /// Size and digest of its bytes, if it has bytes.
    #[must_use]
    pub fn content(self) -> Option<(u64, Digest)> {
        match self {
            Self::Database(record) => Some((record.size, record.sha256)),
            Self::File(FileRecord { kind: FileKind::File { size, sha256 }, .. }) => {
                Some((*size, *sha256))
            }
            Self::File(_) => None,
        }
    }
}

impl Manifest {
    /// All entries in the order in which they lie in the archive: databases first, then the rest
    /// by path, so that a folder comes before what is in it.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let files = self.files.iter().map(Item::File);
        self.databases.iter().map(Item::Database).chain(files)
    }
}

/// The blocks before an entry's content.
pub(crate) fn head(item: Item<'_>) -> Vec<u8> {
    let mut name = [ROOT, item.path().as_bytes()].concat();
    let mut blocks = Vec::with_capacity(BLOCK);
    let (kind, target) = match item {
        Item::Database(_) => (EntryType::Regular, None),
        Item::File(record) => match &record.kind {
            FileKind::File { .. } => (EntryType::Regular, None),
            FileKind::Folder => (EntryType::Directory, None),
            FileKind::Symlink { target } => (EntryType::Symlink, Some(target.0.as_bytes())),
        },
    };
    if kind == EntryType::Directory {
        name.push(b'/');
    }
    let mut magic = Magic::Gnu;
    if item.needs_extended_header() {
        name = push_extended(&mut blocks, item, name, target);
        magic = Magic::Posix;
    } else {
        if let Some(target) = target.filter(|target| target.len() > 100) {
            push_long(&mut blocks, EntryType::GNULongLink, target);
        }
        if name.len() > 100 {
            push_long(&mut blocks, EntryType::GNULongName, &name);
        }
    }
    let map = item.map();
    let size = item.data_bytes() + map.len() as u64;
    let target = target.unwrap_or_default();
    push_header(&mut blocks, (magic, kind), &name, target, item.attributes(), size);
    blocks.extend(map);
    blocks
}

/// The block before the manifest's content.
pub(crate) fn manifest_head(manifest: &Manifest, size: u64) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(BLOCK);
    let attributes =
        Attributes { mode: 0o600, modified: manifest.created, ..Attributes::default() };
    push_header(
        &mut blocks,
        (Magic::Gnu, EntryType::Regular),
        MANIFEST_NAME.as_bytes(),
        b"",
        &attributes,
        size,
    );
    blocks
}

/// The entry behind the manifest in an archive whose bytes nothing else protects: the manifest's
/// digest, as `sha256sum -c` reads it. Its header is the manifest's but for name and size.
pub(crate) fn manifest_sum(manifest_head: &[u8], json: &[u8]) -> Vec<u8> {
    let content = format!("{}  {MANIFEST_NAME}\n", Digest::of(json));
    let mut header = Header::from_byte_slice(manifest_head).clone();
    let name = &mut header.as_old_mut().name;
    *name = [0; 100];
    name[..SUM_NAME.len()].copy_from_slice(SUM_NAME);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let filling = filling(content.len() as u64);
    [header.as_bytes(), content.as_bytes(), filling].concat()
}

/// The zeros that fill content up to whole blocks.
pub(crate) fn filling(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let over = usize::try_from(size % BLOCK as u64).expect("it is less than a block");
    if over == 0 { &[] } else { &ZEROS[over..] }
}

/// An extended header (POSIX.1-2001, "pax") with all that the plain one has no place for; gives
/// the name that the plain one gets.
fn push_extended(
    blocks: &mut Vec<u8>,
    item: Item<'_>,
    name: Vec<u8>,
    target: Option<&[u8]>,
) -> Vec<u8> {
    let mut records = Vec::new();
    let mut plain = name.clone();
    let modified = item.attributes().modified;
    let time = format!("{}.{:09}", modified.timestamp(), modified.timestamp_subsec_nanos());
    push_record(&mut records, "mtime", time.as_bytes());
    match item.content() {
        Some((size, _)) if item.segments().is_some() => {
            push_record(&mut records, "GNU.sparse.major", b"1");
            push_record(&mut records, "GNU.sparse.minor", b"0");
            push_record(&mut records, "GNU.sparse.name", &name);
            push_record(&mut records, "GNU.sparse.realsize", size.to_string().as_bytes());
            // Whoever does not know the form finds the list and the bytes under a name that says so.
            let slash = name.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
            plain = [&name[..slash], b"GNUSparseFile.0/", &name[slash..]].concat();
        }
        _ if name.len() > 100 => push_record(&mut records, "path", &name),
        _ => {}
    }
    if let Some(target) = target.filter(|target| target.len() > 100) {
        push_record(&mut records, "linkpath", target);
    }
    for (name, value) in item.attributes().extended.iter() {
        push_record(&mut records, &format!("SCHILY.xattr.{name}"), value);
    }
    let attributes = Attributes { mode: 0o644, ..Attributes::default() };
    let size = records.len() as u64;
    push_header(
        blocks,
        (Magic::Posix, EntryType::XHeader),
        b"././@PaxHeader",
        b"",
        &attributes,
        size,
    );
    blocks.extend(records);
    blocks.extend_from_slice(filling(size));
    plain
}

/// A record is its own length in decimal digits, a space, `KEY=VALUE` and the end of the line.
fn push_record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn push_long(blocks: &mut Vec<u8>, kind: EntryType, bytes: &[u8]) {
    let attributes = Attributes::default();
    // GNU tar counts the closing NUL.
    let size = bytes.len() as u64 + 1;
    push_header(blocks, (Magic::Gnu, kind), b"././@LongLink", b"", &attributes, size);
    blocks.extend_from_slice(bytes);
    blocks.push(0);
    blocks.extend_from_slice(filling(size));
}

/// Whose magic number a header has. GNU tar takes a sparse file for one only after the other.
#[derive(Clone, Copy)]
enum Magic {
    Gnu,
    Posix,
}

fn push_header(
    blocks: &mut Vec<u8>,
    (magic, kind): (Magic, EntryType),
    name: &[u8],
    target: &[u8],
    attributes: &Attributes,
    size: u64,
) {
    let mut header = match magic {
        Magic::Gnu => Header::new_gnu(),
        Magic::Posix => Header::new_ustar(),
    };
    header.set_entry_type(kind);
    let old = header.as_old_mut();
    let (name, target) = (&name[..name.len().min(100)], &target[..target.len().min(100)]);
    old.name[..name.len()].copy_from_slice(name);
    old.linkname[..target.len()].copy_from_slice(target);
    header.set_mode(attributes.mode);
    header.set_uid(attributes.user.into());
    header.set_gid(attributes.group.into());
    // Tar knows no time before 1970 that every tar reads; the manifest has the exact one.
    header.set_mtime(u64::try_from(attributes.modified.timestamp()).unwrap_or(0));
    header.set_size(size);
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
}
