//! Encrypted backups that are damaged, cut off or exchanged.
#![allow(clippy::disallowed_methods)]

use crate::store::{
    Attributes, Backup, BackupId, Checked, Checking, Cut, FORMAT, Filter, Keys, Manifest, Reason,
    SECRET, Store, StoredPath,
};
use crate::{
    Kind,
    error::{Error, StoreError},
    event::Silent,
};
use chrono::{TimeZone, Utc};
use std::{fs, path::Path};

/// A recipient whose identity nobody has kept.
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn keys() -> Keys {
    Keys::new(&[RECIPIENT.into()], None, None).unwrap()
}

fn id(number: u8) -> BackupId {
    BackupId::new(Utc.with_ymd_and_hms(2026, 11, 20, 13, 19, 7).unwrap(), [0, 0, number])
}

/// Publishes a backup of one small file.
fn publish(store: &Store, number: u8) -> Backup {
    let created = Utc.with_ymd_and_hms(2026, 11, 20, 13, 19, 7).unwrap();
    let session = store.session().unwrap();
    let mut draft = session.draft(&id(number), &Silent).unwrap();
    let attributes = Attributes { mode: 0o600, modified: created, ..Attributes::default() };
    let (path, content) = (StoredPath::new("file").unwrap(), b"the content of a file");
    let source = (Path::new("file"), &mut &content[..] as _);
    let (record, _) = draft.add_file(&path, attributes, content.len() as u64, source).unwrap();
    let files = vec![record];
    let manifest = Manifest {
        format: FORMAT,
        sequence: None,
        id: id(number),
        created,
        host: "host".into(),
        piton_version: "0".into(),
        sqlite_version: "0".into(),
        reason: Reason::Manual,
        label: None,
        git_revision: Some("revision".into()),
        cut: Cut::PerDatabase { reason: "a reason".into() },
        excluded: vec!["cache".into()],
        included: vec!["uploads".into()],
        data_directory: None,
        content: Manifest::content_of(&[], &files),
        databases: Vec::new(),
        files,
        notes: vec!["a note".into()],
    };
    let written = draft.finish(&manifest).unwrap();
    let (archive_sha256, archive_bytes) = session.read_back(&written, &manifest, &Silent).unwrap();
    let backup = Backup {
        archive_bytes,
        archive_sha256,
        label: None,
        pinned: false,
        verified: created,
        damage: None,
        sealed: written.sealed.clone(),
        manifest,
    };
    session.publish(&written, &backup).unwrap();
    backup
}

fn verify(store: &Store, number: u8) -> crate::Result<Checked> {
    let (now, scratch) = (Utc::now(), store.root());
    let checking = Checking { now, scratch, inspect: &|_, _| None };
    store.verify(&id(number), &checking, &Silent).map(|verified| verified.checked)
}

#[test]
fn every_flipped_byte_and_every_truncation_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("backups")).with_keys(keys());
    publish(&store, 1);
    let archive = store.archive_path(&id(1));
    let sound = fs::read(&archive).unwrap();
    let beside = fs::read(store.manifest_path(&id(1))).unwrap();
    assert_eq!(verify(&store, 1).unwrap(), Checked::Content);
    // Another process has not the key of this one.
    let other = Store::new(store.root().into()).with_keys(keys());
    assert_eq!(verify(&other, 1).unwrap(), Checked::Archive);
    for at in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&archive, &flipped).unwrap();
        for store in [&store, &other] {
            assert_eq!(verify(store, 1).unwrap_err().kind(), Kind::Damaged, "byte {at}");
        }
        // Without the digest beside it, what is encrypted proves itself; a damaged head may look
        // like that of somebody else's file.
        fs::remove_file(store.manifest_path(&id(1))).unwrap();
        let error = verify(&store, 1).expect_err("flipped");
        let strange = matches!(error, Error::Store(StoreError::NoIdentity { .. }));
        assert!(strange || error.kind() == Kind::Damaged, "byte {at}: {error}");
        fs::write(store.manifest_path(&id(1)), &beside).unwrap();
    }
    for length in 0..sound.len() {
        fs::write(&archive, &sound[..length]).unwrap();
        for store in [&store, &other] {
            assert_eq!(verify(store, 1).unwrap_err().kind(), Kind::Damaged, "length {length}");
        }
    }
}

#[test]
fn what_lies_beside_is_held_against_what_is_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("backups")).with_keys(keys());
    let (one, two) = (publish(&store, 1), publish(&store, 2));
    let beside = store.manifest_path(&id(1));
    let listed = store.load(&id(1)).unwrap();
    assert!(listed.manifest.files.is_empty() && listed.manifest.notes.is_empty());
    assert_eq!(listed.manifest.excluded, Vec::<String>::new());
    assert_eq!(listed.manifest.included, Vec::<String>::new());
    assert_eq!(listed.manifest.cut, Cut::PerDatabase { reason: "encrypted".into() });
    assert_eq!(*store.unseal(&listed).unwrap(), one);
    // The manifest of another backup, and one that is damaged.
    let text = fs::read_to_string(&beside).unwrap();
    let armor =
        |backup: &Backup| serde_json::to_string(&backup.sealed.as_ref().unwrap().manifest).unwrap();
    let exchanged = text.replace(&armor(&one), &armor(&two));
    let damaged = text.replace("AGE ENCRYPTED FILE-----\\n", "AGE ENCRYPTED FILE-----\\nAAAA");
    // In the open, while the archive is encrypted.
    let opened = crate::store::to_json(&Backup { sealed: None, ..one.clone() }).unwrap();
    for (what, text) in [
        ("exchanged", exchanged),
        ("damaged", damaged),
        ("opened", String::from_utf8(opened).unwrap()),
    ] {
        assert_ne!(text, fs::read_to_string(&beside).unwrap(), "{what}");
        fs::write(&beside, text).unwrap();
        let error = verify(&store, 1).expect_err(what);
        assert_eq!(error.kind(), Kind::Damaged, "{what}: {error}");
    }
}

#[test]
fn equal_content_under_other_lists_is_another_backup() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("likeness");
    fs::write(&secret, [7; SECRET]).unwrap();
    let keys = || Keys::new(&[RECIPIENT.into()], None, Some(secret.clone())).unwrap();
    let store = Store::new(folder.path().join("backups")).with_keys(keys());
    let published = publish(&store, 1);
    // Another process can open it no more than this machine can, and goes by the likeness alone.
    let other = Store::new(store.root().into()).with_keys(keys());
    for (excluded, included, stands) in [
        (&["cache"][..], &["uploads"][..], true),
        (&[], &["uploads"], false),
        (&["cache"], &[], false),
        (&["uploads"], &["cache"], false),
        (&["cache", "uploads"], &[], false),
        (&["cache"], &["uploads", "uploads"], false),
        (&["cache\",\"uploads"], &[], false),
    ] {
        let lists = Filter::leaving_out(excluded, included).unwrap();
        for store in [&store, &other] {
            let content = &published.manifest.content;
            let survey = store.survey().unwrap();
            let found = store.find_identical(content, Reason::Manual, (&lists, None), &survey);
            assert_eq!(found.is_some(), stands, "{excluded:?} {included:?}");
        }
    }
}

#[test]
fn nothing_of_a_key_is_shown() {
    let keys = keys();
    assert_eq!(format!("{keys:?}"), format!("Keys {{ recipients: [{RECIPIENT:?}], .. }}"));
    let error = Keys::new(&["age1wrong".into()], None, None).unwrap_err();
    assert!(matches!(error, StoreError::BadRecipient { .. }), "{error}");
}
