//! What the catalog lists, reports and finds.

use super::{Beside, Crafted, craft, craft_as, id};
use crate::{
    Kind,
    error::{Error, StoreError},
    store::{BackupId, Compression, Form, Secrecy, Selector, Store},
};
use chrono::{TimeZone, Utc};
use std::fs;

#[test]
fn an_archive_in_two_forms_is_one_backup() {
    for (first, second) in
        [(Compression::Gzip, Compression::None), (Compression::None, Compression::Gzip)]
    {
        let crafted = craft_as(first);
        crafted.write(&crafted.entries(), Beside::Manifest);
        let copy = Crafted { compression: second, ..craft() };
        let other = crafted
            .store
            .path_of(&crafted.manifest.id, Form { compression: second, secrecy: Secrecy::Open });
        copy.write(&crafted.entries(), Beside::Nothing);
        fs::copy(copy.archive(), &other).unwrap();
        let catalog = crafted.store.list().unwrap();
        assert_eq!(catalog.backups.len(), 1, "{first} and {second}: {:?}", catalog.strays);
        assert_eq!(crafted.store.archive_path(&crafted.manifest.id), crafted.archive());
        assert_eq!(catalog.strays.len(), 1);
        assert_eq!((&catalog.strays[0].path, &catalog.strays[0].damaged), (&other, &None));
    }
}

#[test]
fn the_catalog_reports_what_it_does_not_list() {
    let crafted = craft();
    crafted.write(&crafted.entries(), Beside::Manifest);
    let root = crafted.store.root();
    fs::write(root.join("readme.txt"), "mine").unwrap();
    fs::write(crafted.store.manifest_path(&id(1)), "{").unwrap();
    fs::write(crafted.store.archive_path(&id(2)), "not gzip").unwrap();
    fs::write(root.join(format!("{}.tar.gz.partial", id(3))), "dead").unwrap();
    fs::write(crafted.store.manifest_path(&id(3)), "{}").unwrap();
    fs::write(root.join("theirs.partial"), "not ours").unwrap();
    let catalog = crafted.store.list().unwrap();
    assert_eq!(catalog.backups.len(), 1);
    // A manifest beside a partial archive belongs to it: that backup is on its way in or out.
    assert_eq!(catalog.strays.len(), 5, "{:?}", catalog.strays);
    assert_eq!(catalog.strays.iter().filter(|stray| stray.damaged.is_some()).count(), 2);
    // A session sweeps what only a dead one can have left, and nothing else.
    drop(crafted.store.session().unwrap());
    assert_eq!(crafted.store.list().unwrap().strays.len(), 4);
    assert!(Store::new("/nonexistent/folder".into()).list().unwrap().backups.is_empty());
}

#[test]
fn selectors_find_one_backup_or_say_why_not() {
    let mut crafted = craft();
    let find = |crafted: &Crafted, text: &str| {
        crafted.store.find(&text.parse::<Selector>()?).map(|backup| backup.id().clone())
    };
    assert!(matches!(find(&crafted, "latest"), Err(Error::Store(StoreError::Empty { .. }))));
    for number in [7, 9, 8] {
        crafted.manifest.id = id(number);
        crafted.write(&crafted.entries(), Beside::Manifest);
    }
    assert_eq!(find(&crafted, "latest").unwrap(), id(9));
    assert_eq!(find(&crafted, id(8).as_str()).unwrap(), id(8));
    assert_eq!(find(&crafted, "20261120T131907").unwrap(), id(7));
    let ambiguous = find(&crafted, "2026");
    assert!(matches!(ambiguous, Err(Error::Store(StoreError::Ambiguous { .. }))));
    for (text, kind) in [("2027", Kind::Usage), ("../etc", Kind::Usage), ("", Kind::Usage)] {
        assert_eq!(find(&crafted, text).unwrap_err().kind(), kind, "{text}");
    }
}

#[test]
fn ids_are_what_they_look_like() {
    let taken = Utc.with_ymd_and_hms(2026, 11, 20, 13, 19, 7).unwrap();
    let id = BackupId::new(taken, [0x3f, 0x9a, 0x2c]);
    assert_eq!(id.to_string(), "20261120T131907Z-3f9a2c");
    assert_eq!(id.taken(), taken);
    assert_eq!("20261120T131907Z-3f9a2c".parse::<BackupId>().unwrap(), id);
    for bad in [
        "20261120T131907Z-3F9A2C",
        "20261120T131907Z-3f9a2",
        "20261320T131907Z-3f9a2c",
        "20261120T131907X-3f9a2c",
        "2026112 T131907Z-3f9a2c",
        "+0261120T131907Z-3f9a2c",
        "20261120T131907Zä3f9a2",
        "",
    ] {
        assert!(bad.parse::<BackupId>().is_err(), "{bad}");
    }
}
