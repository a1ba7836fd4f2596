//! Copying to a place in memory that fails when it is told to.
#![allow(clippy::disallowed_methods)]

use super::{
    Holdings, Location, Offsite, Report, Request, Settings, World,
    content::Content,
    pace::Pace,
    place::{Object, Place, Unfinished},
};
use crate::{
    Error, Result,
    error::OffsiteError,
    event::Silent,
    lock::Patience,
    project::{Config, Overrides, Project, World as ProjectWorld},
    store::{Checking, Retention, Selector, Store, retention::Protection},
};
use chrono::{DateTime, Utc};
use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Read},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

/// What lies in memory, and what is to go wrong.
#[derive(Default)]
struct Memory {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Calls of any kind that still succeed before one fails; none never fails.
    healthy: Mutex<Option<u32>>,
    /// How it fails, and whether it does so for ever.
    fault: Mutex<Option<Fault>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Once,
    ForEver,
    /// Reading ends after so many bytes, once.
    Short(usize),
}

impl Memory {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock().unwrap()
    }

    fn names(&self) -> Vec<String> {
        self.objects().keys().cloned().collect()
    }

    fn break_after(&self, calls: u32, fault: Fault) {
        *self.healthy.lock().unwrap() = Some(calls);
        *self.fault.lock().unwrap() = Some(fault);
    }

    fn mend(&self) {
        *self.fault.lock().unwrap() = None;
    }

    fn call(&self) -> Result<()> {
        let mut fault = self.fault.lock().unwrap();
        let mut healthy = self.healthy.lock().unwrap();
        match (*fault, healthy.as_mut()) {
            (Some(Fault::Once | Fault::ForEver), Some(left)) if *left > 0 => *left -= 1,
            (Some(Fault::Once), _) => {
                *fault = None;
                return Err(broken());
            }
            (Some(Fault::ForEver), _) => return Err(broken()),
            _ => {}
        }
        Ok(())
    }
}

fn broken() -> Error {
    OffsiteError::Broken { place: "memory".into(), reason: "told to".into() }.into()
}

impl Place for &Memory {
    fn shown(&self) -> &str {
        "memory"
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.call()?;
        let objects = self.objects();
        let one = |(name, bytes): (&String, &Vec<u8>)| Object {
            name: name.clone(),
            bytes: bytes.len() as u64,
            modified: Utc::now(),
        };
        Ok(objects.iter().map(one).collect())
    }

    fn put(&self, name: &str, content: &Content<'_>) -> Result<()> {
        self.call()?;
        let mut bytes = Vec::new();
        content.send(0, content.bytes()).read_to_end(&mut bytes).unwrap();
        self.objects().insert(name.into(), bytes);
        Ok(())
    }

    fn get(&self, name: &str, from: u64) -> Result<Box<dyn Read + '_>> {
        self.call()?;
        let bytes = self.objects()[name][usize::try_from(from).unwrap()..].to_vec();
        let mut fault = self.fault.lock().unwrap();
        if let Some(Fault::Short(count)) = *fault
            && name.ends_with("gz")
        {
            *fault = None;
            return Ok(Box::new(Cursor::new(bytes[..count].to_vec())));
        }
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.call()?;
        self.objects().remove(name);
        Ok(())
    }

    fn unfinished(&self) -> Result<Vec<Unfinished>> {
        self.call()?;
        Ok(Vec::new())
    }

    fn abandon(&self, _: &Unfinished) -> Result<()> {
        self.call()
    }
}

/// A project with so many backups.
fn project(backups: u32) -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("data")).unwrap();
    fs::write(root.join("piton.toml"), "").unwrap();
    let config = Some(root.join("piton.toml"));
    let config = Config::load(&Overrides { config, ..Overrides::default() }).unwrap();
    let project = Project::new(config, ProjectWorld::system("test"));
    for number in 0..backups {
        let text = format!("{number} {}", "text ".repeat(5000));
        fs::write(root.join("data/file"), text).unwrap();
        project.backup(None, Patience::Refuse, &Silent).unwrap();
    }
    (folder, project)
}

fn settings(patience: Duration, retention: Retention) -> Settings {
    Settings {
        location: Location::parse("file:///nowhere").unwrap(),
        copy_after: Vec::new(),
        retention,
        bandwidth: None,
        timeout: Duration::from_secs(1),
        patience,
    }
}

fn offsite<'a>(memory: &'a Memory, settings: &'a Settings) -> Offsite<'a> {
    Offsite { place: Box::new(memory), settings, pace: Pace::new(None) }
}

fn sync(memory: &Memory, settings: &Settings, store: &Store) -> Report {
    let request = Request { store, protection: Protection::default(), now: Utc::now() };
    offsite(memory, settings).sync(&request, &Silent)
}

fn ids(project: &Project) -> Vec<String> {
    project.backups().unwrap().backups.iter().map(|backup| backup.id().to_string()).collect()
}

fn whole(ids: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        ids.iter().flat_map(|id| [format!("{id}.json"), format!("{id}.tar.gz")]).collect();
    names.sort();
    names
}

#[test]
fn broken_after_any_call_it_ends_whole() {
    let (_folder, project) = project(3);
    let never = settings(Duration::ZERO, Retention::default());
    let (store, ids) = (project.store(), ids(&project));
    let mut broke = 0;
    for calls in 0..40 {
        let memory = Memory::default();
        memory.break_after(calls, Fault::ForEver);
        let report = sync(&memory, &never, &store);
        // Whatever is listed as a copy is whole, and nothing of it is forgotten here.
        let holdings = Holdings::of(
            Place::list(&{
                memory.mend();
                &memory
            })
            .unwrap(),
        );
        let copied: Vec<_> = holdings.copies.iter().map(|copy| &copy.backup).collect();
        assert!(report.copied.iter().all(|id| copied.contains(&id)), "{calls}");
        assert_eq!(report.failure.is_some(), !report.only_here.is_empty(), "{calls}");
        broke += u32::from(report.failure.is_some());
        let again = sync(&memory, &never, &store);
        assert!(again.failure.is_none() && again.only_here.is_empty(), "{calls}: {again:?}");
        assert_eq!(memory.names(), whole(&ids), "{calls}");
        let file = |id: &String| fs::read(store.archive_path(&id.parse().unwrap())).unwrap();
        assert!(ids.iter().all(|id| memory.objects()[&format!("{id}.tar.gz")] == file(id)));
    }
    // A listing, the uploads, two files each: eight calls that can fail.
    assert_eq!(broke, 8);
}

#[test]
fn removal_that_is_interrupted_lists_nothing_that_is_half() {
    let (_folder, project) = project(3);
    let store = project.store();
    let everything = settings(Duration::ZERO, Retention::default());
    let retention = Retention { last: Some(1), ..Retention::default() };
    let one = settings(Duration::ZERO, retention);
    for calls in 0..12 {
        let memory = Memory::default();
        assert!(sync(&memory, &everything, &store).failure.is_none());
        memory.break_after(calls, Fault::ForEver);
        let report = sync(&memory, &one, &store);
        memory.mend();
        assert_eq!(report.failure.is_some(), calls < 6, "{calls}: {report:?}");
        let again = sync(&memory, &one, &store);
        assert!(again.failure.is_none() && again.only_here.is_empty(), "{calls}: {again:?}");
        // Halves of what is only surplus are swept however new they are.
        assert_eq!(memory.names(), whole(&ids(&project)[..1]), "{calls}");
    }
}

#[test]
fn a_moment_of_trouble_is_not_even_noticed() {
    let (_folder, project) = project(1);
    let patient = settings(Duration::from_secs(5), Retention::default());
    for calls in 0..4 {
        let memory = Memory::default();
        memory.break_after(calls, Fault::Once);
        let report = sync(&memory, &patient, &project.store());
        assert!(report.failure.is_none() && report.copied.len() == 1, "{calls}: {report:?}");
    }
}

#[test]
fn a_line_that_breaks_is_taken_up_where_it_broke() {
    let (folder, project) = project(1);
    let patient = settings(Duration::from_secs(5), Retention::default());
    let (memory, store) = (Memory::default(), project.store());
    assert!(sync(&memory, &patient, &store).failure.is_none());
    let original = fs::read(store.archive_path(&ids(&project)[0].parse().unwrap())).unwrap();
    fs::remove_dir_all(folder.path().join("backups")).unwrap();
    *memory.fault.lock().unwrap() = Some(Fault::Short(37));
    let offsite = offsite(&memory, &patient);
    let copy = offsite.find(&Selector::Latest, &Silent).unwrap();
    let fetched = offsite.fetch(&store, &copy, &Silent).unwrap();
    assert!(memory.fault.lock().unwrap().is_none(), "the fault was met");
    assert_eq!(fs::read(store.archive_path(fetched.backup.id())).unwrap(), original);
}

#[test]
fn every_flipped_byte_there_is_found() {
    let (folder, project) = project(1);
    let patient = settings(Duration::ZERO, Retention::default());
    let (memory, store) = (Memory::default(), project.store());
    assert!(sync(&memory, &patient, &store).failure.is_none());
    let offsite = offsite(&memory, &patient);
    let copy = offsite.find(&Selector::Latest, &Silent).unwrap();
    let length = memory.objects()[&copy.archive].len();
    let checking =
        Checking { now: DateTime::UNIX_EPOCH, scratch: folder.path(), inspect: &|_, _| None };
    // A program that another test starts has the lock of this one for an instant, between fork and
    // exec.
    let verify = || loop {
        let found = offsite.verify(&store, &copy, &checking, &Silent);
        if found.as_ref().err().map(Error::kind) != Some(crate::Kind::Locked) {
            return found;
        }
        std::thread::yield_now();
    };
    assert!(verify().is_ok());
    for at in 0..length {
        memory.objects().get_mut(&copy.archive).unwrap()[at] ^= 1;
        let found = verify();
        let kind = found.as_ref().err().map(Error::kind);
        assert_eq!(kind, Some(crate::Kind::Damaged), "{at}: {found:?}");
        memory.objects().get_mut(&copy.archive).unwrap()[at] ^= 1;
    }
    assert!(verify().is_ok());
}

#[test]
fn a_backup_that_is_damaged_here_is_not_copied() {
    let (_folder, project) = project(2);
    let (store, ids) = (project.store(), ids(&project));
    let archive = store.archive_path(&ids[0].parse().unwrap());
    let mut bytes = fs::read(&archive).unwrap();
    bytes[40] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let memory = Memory::default();
    let report = sync(&memory, &settings(Duration::ZERO, Retention::default()), &store);
    // The other one is.
    assert_eq!(memory.names(), whole(&ids[1..]));
    assert_eq!(report.failure.as_ref().map(Error::kind), Some(crate::Kind::Damaged));
}

#[test]
fn while_the_newest_cannot_be_copied_nothing_older_is_removed() {
    let (folder, project) = project(1);
    let (store, memory) = (project.store(), Memory::default());
    let retention = Retention { last: Some(1), ..Retention::default() };
    let one = settings(Duration::ZERO, retention);
    assert!(sync(&memory, &one, &store).failure.is_none());
    let older = memory.names();
    fs::write(folder.path().join("data/file"), "newer").unwrap();
    project.backup(None, Patience::Refuse, &Silent).unwrap();
    let archive = store.archive_path(&ids(&project)[0].parse().unwrap());
    let good = fs::read(&archive).unwrap();
    let mut bytes = good.clone();
    bytes[40] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let report = sync(&memory, &one, &store);
    assert!(report.failure.is_some() && report.removed.is_empty(), "{report:?}");
    assert_eq!(memory.names(), older);
    fs::write(&archive, good).unwrap();
    assert!(sync(&memory, &one, &store).failure.is_none());
    assert_eq!(memory.names(), whole(&ids(&project)[..1]));
}

#[test]
fn two_do_not_copy_at_the_same_time() {
    let (_folder, project) = project(1);
    let store = project.store();
    let lock = super::sync::lock(&store, super::sync::Purpose::Copy).unwrap();
    let (memory, quick) = (Memory::default(), settings(Duration::ZERO, Retention::default()));
    let report = sync(&memory, &quick, &store);
    assert_eq!(report.failure.as_ref().map(Error::kind), Some(crate::Kind::Locked));
    assert_eq!((memory.names(), report.only_here.len()), (Vec::new(), 1));
    drop(lock);
    assert!(sync(&memory, &quick, &store).failure.is_none());
}

#[test]
fn places_of_kinds_that_are_not_built_in_are_named() {
    let world = World { variables: &|_| None, clock: &Utc::now };
    for (url, built, feature) in [
        ("s3://bucket/prefix", cfg!(feature = "s3"), "s3"),
        ("sftp://host/path", cfg!(feature = "sftp"), "sftp"),
    ] {
        let mut settings = settings(Duration::ZERO, Retention::default());
        settings.location = Location::parse(url).unwrap();
        let message = Offsite::open(&settings, &world).err().map(|error| error.to_string());
        let named =
            message.is_some_and(|it| it.contains(&format!("without the feature `{feature}`")));
        assert_eq!(named, !built, "{url}");
    }
}
