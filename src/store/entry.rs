//! The blocks before an entry's content, as the writer writes them and the reader demands them.
//!
//! The manifest determines every one of these bytes. So the reader does not interpret headers, it
//! compares them: whatever piton never writes is refused, without a rule for each trick. The form
//! is GNU tar's, which every tar reads.

use super::{Attributes, DatabaseRecord, Digest, FileKind, FileRecord, Manifest};
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
    if let Some(target) = target.filter(|target| target.len() > 100) {
        push_long(&mut blocks, EntryType::GNULongLink, target);
    }
    if name.len() > 100 {
        push_long(&mut blocks, EntryType::GNULongName, &name);
    }
    let size = item.content().map_or(0, |(size, _)| size);
    push_header(&mut blocks, kind, &name, target.unwrap_or_default(), item.attributes(), size);
    blocks
}

/// The block before the manifest's content.
pub(crate) fn manifest_head(manifest: &Manifest, size: u64) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(BLOCK);
    let attributes = Attributes { mode: 0o600, user: 0, group: 0, modified: manifest.created };
    push_header(&mut blocks, EntryType::Regular, MANIFEST_NAME.as_bytes(), b"", &attributes, size);
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

fn push_long(blocks: &mut Vec<u8>, kind: EntryType, bytes: &[u8]) {
    let attributes = Attributes { mode: 0, user: 0, group: 0, modified: Default::default() };
    // GNU tar counts the closing NUL.
    let size = bytes.len() as u64 + 1;
    push_header(blocks, kind, b"././@LongLink", b"", &attributes, size);
    blocks.extend_from_slice(bytes);
    blocks.push(0);
    blocks.extend_from_slice(filling(size));
}

fn push_header(
    blocks: &mut Vec<u8>,
    kind: EntryType,
    name: &[u8],
    target: &[u8],
    attributes: &Attributes,
    size: u64,
) {
    let mut header = Header::new_gnu();
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
