//! Archives that are damaged, cut off or hostile, and the catalog that lists them.
#![allow(clippy::disallowed_methods)]

mod catalog;

use super::{
    Attributes, Backup, BackupId, Check, Checking, Compression, Cut, DatabaseFacts, DatabaseRecord,
    Digest, FORMAT, FileKind, FileRecord, Folders, Form, LinkTarget, Manifest, Reason, Secrecy,
    Store, StoredPath, compress::Compressor, digest_of, entry, facts, open_copy, text,
};
use crate::{
    Kind,
    error::{Error, StoreError},
    event::Silent,
};
use chrono::{TimeZone, Utc};
use std::{
    fs,
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use tar::{EntryType, Header};

const CONTENT: &[u8] = b"the content of a file";

struct Crafted {
    folder: tempfile::TempDir,
    store: Store,
    manifest: Manifest,
    database: Vec<u8>,
    compression: Compression,
}

const KINDS: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::None];

fn path(text: &str) -> StoredPath {
    StoredPath::new(text).unwrap()
}

fn attributes() -> Attributes {
    let modified = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
    Attributes { mode: 0o755, modified, ..Attributes::default() }
}

fn file(name: &str, kind: FileKind) -> FileRecord {
    FileRecord { path: path(name), attributes: attributes(), kind, segments: None }
}

fn content() -> FileKind {
    FileKind::File { size: CONTENT.len() as u64, sha256: Digest::of(CONTENT) }
}

fn id(number: u8) -> BackupId {
    BackupId::new(
        Utc.with_ymd_and_hms(2026, 11, 20, 13, 19, number.into()).unwrap(),
        [0, 0, number],
    )
}

/// A database of one small page, so that flipping every byte stays affordable.
fn small_database(folder: &Path) -> (Vec<u8>, DatabaseFacts) {
    let live = folder.join("small.db");
    let connection = rusqlite::Connection::open(&live).unwrap();
    connection.execute_batch("PRAGMA page_size = 512; CREATE TABLE t (a)").unwrap();
    connection.close().unwrap();
    let facts = facts(&open_copy(&live).unwrap(), &live).unwrap();
    (fs::read(live).unwrap(), facts)
}

fn craft() -> Crafted {
    let folder = tempfile::tempdir().unwrap();
    let (database, facts) = small_database(folder.path());
    assert_eq!(facts.check, Check::Full);
    let databases = vec![DatabaseRecord {
        path: path("app.db"),
        attributes: attributes(),
        size: database.len() as u64,
        sha256: Digest::of(&database),
        facts,
        position: None,
    }];
    let files = vec![
        file("folder", FileKind::Folder),
        file("folder/file", content()),
        file("link", FileKind::Symlink { target: LinkTarget("folder".into()) }),
    ];
    let manifest = Manifest {
        format: FORMAT,
        sequence: None,
        id: id(7),
        created: Utc.with_ymd_and_hms(2026, 11, 20, 13, 19, 7).unwrap(),
        host: "host".into(),
        piton_version: "0".into(),
        sqlite_version: "0".into(),
        reason: Reason::Manual,
        label: None,
        git_revision: None,
        cut: Cut::All,
        excluded: Vec::new(),
        included: Vec::new(),
        data_directory: None,
        content: Manifest::content_of(&databases, &files),
        databases,
        files,
        notes: Vec::new(),
    };
    let store = Store::new(folder.path().join("backups"));
    // Whatever umask the tests have: others may not write there.
    fs::DirBuilder::new().mode(0o700).create(store.root()).unwrap();
    Crafted { folder, store, manifest, database, compression: Compression::Gzip }
}

fn craft_as(compression: Compression) -> Crafted {
    Crafted { compression, ..craft() }
}

/// Which files of the crafted backup lie in the store.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Manifest,
    Nothing,
}

impl Crafted {
    /// The entries of a sound archive; the last one is its end.
    fn entries(&self) -> Vec<Vec<u8>> {
        let mut entries: Vec<Vec<u8>> = Vec::new();
        for item in self.manifest.items() {
            let mut bytes = entry::head(item);
            if let Some((size, _)) = item.content() {
                let content =
                    if size == self.database.len() as u64 { &self.database } else { CONTENT };
                bytes.extend_from_slice(content);
                bytes.extend_from_slice(entry::filling(size));
            }
            entries.push(bytes);
        }
        entries.push(self.manifest_entry());
        entries.push(vec![0; 1024]);
        entries
    }

    fn manifest_entry(&self) -> Vec<u8> {
        let mut json = Vec::new();
        text::write(&mut json, &self.manifest).unwrap();
        self.manifest_entry_of(&json)
    }

    fn manifest_entry_of(&self, json: &[u8]) -> Vec<u8> {
        let size = json.len() as u64;
        let mut bytes = entry::manifest_head(&self.manifest, size);
        let sum = entry::manifest_sum(&bytes, json);
        bytes.extend_from_slice(json);
        bytes.extend_from_slice(entry::filling(size));
        if self.compression == Compression::None {
            bytes.extend_from_slice(&sum);
        }
        bytes
    }

    fn archive(&self) -> PathBuf {
        self.store.path_of(
            &self.manifest.id,
            Form { compression: self.compression, secrecy: Secrecy::Open },
        )
    }

    fn write(&self, entries: &[Vec<u8>], beside: Beside) {
        let mut compressor = Compressor::new(Vec::new(), self.compression, 1);
        compressor.write_all(&entries.concat()).unwrap();
        self.write_raw(&compressor.finish().unwrap(), beside);
    }

    fn write_raw(&self, archive: &[u8], beside: Beside) {
        fs::write(self.archive(), archive).unwrap();
        let manifest_path = self.store.manifest_path(&self.manifest.id);
        match beside {
            Beside::Nothing => drop(fs::remove_file(manifest_path)),
            // Even whoever can forge the digest of the archive gets nothing past the reader.
            Beside::Manifest => {
                let (archive_sha256, archive_bytes) = digest_of(archive).unwrap();
                let backup = Backup {
                    archive_bytes,
                    archive_sha256,
                    label: None,
                    pinned: false,
                    verified: self.manifest.created,
                    damage: None,
                    sealed: None,
                    manifest: self.manifest.clone(),
                };
                let mut json = Vec::new();
                text::write(&mut json, &backup).unwrap();
                fs::write(manifest_path, json).unwrap();
            }
        }
    }

    fn verify(&self) -> crate::Result<Backup> {
        let (now, scratch) = (id(59).taken(), self.folder.path());
        let checking = Checking { now, scratch, inspect: &|_, _| None };
        Ok(self.store.verify(&self.manifest.id, &checking, &Silent)?.backup)
    }

    /// Demands that verifying and unpacking refuse it, and that nothing lands outside.
    fn must_be_refused(&self, entries: &[Vec<u8>], what: &str) {
        for beside in [Beside::Manifest, Beside::Nothing] {
            self.write(entries, beside);
            let error = self.verify().expect_err(what);
            assert_eq!(error.kind(), Kind::Damaged, "{what}, {beside:?}: {error}");
            let out = self.folder.path().join("out");
            fs::create_dir(&out).unwrap();
            let unpacked = self.store.load(&self.manifest.id).and_then(|backup| {
                self.store.extract(&backup, &out, &|_| true, Folders::AsListed, &Silent)
            });
            assert!(unpacked.is_err(), "{what}, {beside:?}");
            fs::remove_dir_all(out).unwrap();
            let mut names: Vec<_> = fs::read_dir(self.folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            assert_eq!(names, ["backups", "small.db"], "{what}");
        }
    }
}

/// One entry in a header that piton would not write.
fn foreign(kind: EntryType, name: &[u8], target: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let filling = entry::filling(content.len() as u64);
    [header.as_bytes().as_slice(), content, filling].concat()
}

#[test]
fn a_sound_archive_is_accepted_with_and_without_the_manifest_beside_it() {
    for crafted in KINDS.map(craft_as) {
        for beside in [Beside::Manifest, Beside::Nothing] {
            crafted.write(&crafted.entries(), beside);
            assert_eq!(crafted.verify().unwrap().manifest, crafted.manifest);
        }
    }
}

#[test]
fn the_manifest_inside_may_be_another_text_for_the_same() {
    let crafted = craft();
    let mut text = Vec::new();
    text::write(&mut text, &crafted.manifest).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines = |turned: bool| {
        let mut lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| line.contains("\"host\"")).unwrap();
        lines.swap(at, if turned { at + 1 } else { at });
        lines.join("\n") + "\n"
    };
    assert_eq!(lines(false), text);
    let older = serde_json::to_string_pretty(&crafted.manifest).unwrap();
    let mut entries = crafted.entries();
    let at = entries.len() - 2;
    for same in [lines(true), older] {
        assert_ne!(same, text);
        entries[at] = crafted.manifest_entry_of(same.as_bytes());
        crafted.write(&entries, Beside::Manifest);
        assert_eq!(crafted.verify().unwrap().manifest, crafted.manifest);
    }
    let other = text.replace("\"host\": \"host\"", "\"host\": \"tosh\"");
    assert_ne!(other, text);
    entries[at] = crafted.manifest_entry_of(other.as_bytes());
    crafted.write(&entries, Beside::Manifest);
    assert_eq!(crafted.verify().expect_err("it differs").kind(), Kind::Damaged);
}

#[test]
fn every_flipped_byte_and_every_truncation_is_found() {
    KINDS.map(craft_as).iter().for_each(flip_and_cut_everywhere);
}

fn flip_and_cut_everywhere(crafted: &Crafted) {
    crafted.write(&crafted.entries(), Beside::Manifest);
    let sound = fs::read(crafted.archive()).unwrap();
    for at in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(crafted.archive(), &flipped).unwrap();
        assert_eq!(crafted.verify().expect_err("flipped").kind(), Kind::Damaged, "byte {at}");
    }
    for at in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        crafted.write_raw(&flipped, Beside::Nothing);
        match crafted.verify() {
            // A compressor's header has bytes that mean nothing.
            Ok(backup) => {
                let whole = backup.manifest == crafted.manifest;
                assert!(whole && crafted.compression != Compression::None, "byte {at}");
            }
            Err(error) => assert_eq!(error.kind(), Kind::Damaged, "byte {at}: {error}"),
        }
    }
    for length in 0..sound.len() {
        crafted.write_raw(&sound[..length], Beside::Nothing);
        assert_eq!(crafted.verify().expect_err("cut off").kind(), Kind::Damaged, "length {length}");
    }
}

#[test]
fn entries_that_piton_never_writes_are_refused() {
    let crafted = craft();
    let sound = crafted.entries();
    let extra = [
        ("an absolute path", foreign(EntryType::Regular, b"/etc/evil", b"", b"x")),
        ("a path that leaves", foreign(EntryType::Regular, b"data/../../evil", b"", b"x")),
        ("an unlisted file", foreign(EntryType::Regular, b"data/extra", b"", b"x")),
        ("a hard link", foreign(EntryType::Link, b"data/extra", b"/etc/passwd", b"")),
        ("a device", foreign(EntryType::Char, b"data/extra", b"", b"")),
        ("a pipe", foreign(EntryType::Fifo, b"data/extra", b"", b"")),
        ("a size in an extended header", foreign(EntryType::XHeader, b"x", b"", b"12 size=9999\n")),
        ("a global header", foreign(EntryType::XGlobalHeader, b"x", b"", b"12 path=evil\n")),
        ("a sparse file", foreign(EntryType::GNUSparse, b"data/extra", b"", b"x")),
        ("a long name", foreign(EntryType::GNULongName, b"././@LongLink", b"", &[b'a'; 5000])),
    ];
    for (what, entry) in extra {
        for at in 0..sound.len() {
            let mut entries = sound.clone();
            entries.insert(at, entry.clone());
            crafted.must_be_refused(&entries, &format!("{what} at {at}"));
        }
    }
    for at in 0..sound.len() {
        let mut entries = sound.clone();
        let taken = entries.remove(at);
        crafted.must_be_refused(&entries, &format!("without entry {at}"));
        entries.insert(at, taken.clone());
        entries.insert(at, taken);
        crafted.must_be_refused(&entries, &format!("entry {at} twice"));
    }
    let mut entries = sound.clone();
    entries.push(b"more".to_vec());
    crafted.must_be_refused(&entries, "something after the end");
    let mut entries = sound;
    let end = entries.len() - 1;
    entries[end].truncate(512);
    crafted.must_be_refused(&entries, "half an end");
}

#[test]
fn sizes_that_lie_are_refused_in_bounded_memory() {
    let crafted = craft();
    for (at, size) in [(2, u64::MAX / 2), (2, 1 << 40), (4, 1 << 33), (4, 1 << 28)] {
        let mut entries = crafted.entries();
        let mut header = Header::from_byte_slice(&entries[at][..512]).clone();
        header.set_size(size);
        header.set_cksum();
        entries[at][..512].copy_from_slice(header.as_bytes());
        crafted.must_be_refused(&entries, &format!("entry {at} of {size} bytes"));
    }
}

#[test]
fn manifests_that_would_lead_elsewhere_are_refused() {
    let link = |target: &str| FileKind::Symlink { target: LinkTarget(target.into()) };
    let cases: [(&str, Vec<FileRecord>); 6] = [
        ("through a link", vec![file("a", link("/etc")), file("a/b", content())]),
        ("without its folder", vec![file("a/b", content())]),
        ("twice", vec![file("a", content()), file("a", content())]),
        (
            "into the private folder",
            vec![file(".piton", FileKind::Folder), file(".piton/lock", content())],
        ),
        ("as a log of a database", vec![file("app.db-wal", content())]),
        ("unsorted", vec![file("b", content()), file("a", content())]),
    ];
    for (what, files) in cases {
        let mut crafted = craft();
        crafted.manifest.files = files;
        crafted.manifest.content =
            Manifest::content_of(&crafted.manifest.databases, &crafted.manifest.files);
        crafted.must_be_refused(&crafted.entries(), what);
    }
    let mut crafted = craft();
    crafted.manifest.content = Digest::of(b"");
    crafted.must_be_refused(&crafted.entries(), "another content digest");
    crafted.manifest.format = FORMAT + 1;
    crafted.write(&crafted.entries(), Beside::Manifest);
    assert_eq!(crafted.verify().unwrap_err().kind(), Kind::Refused);
}

#[test]
fn a_database_that_is_not_as_listed_is_found() {
    let mut crafted = craft();
    crafted.manifest.databases[0].facts.rows.insert("t".into(), 5);
    crafted.write(&crafted.entries(), Beside::Manifest);
    let error = crafted.verify().unwrap_err();
    assert!(matches!(error, Error::Store(StoreError::Damaged { .. })), "{error}");
}
