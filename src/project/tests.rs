//! Keeping backups: verifying all, pinning, pruning, on a project with a clock that can be turned.
#![allow(clippy::disallowed_methods)]

use super::{
    Config, Outcome, Overrides, Project, RestoreOptions, Selection, Source, UpOptions, World,
};
use crate::{
    Kind,
    event::Silent,
    lock::{Holder, Patience},
    restore::Gate,
    store::{BackupId, Changed, Remark, Selector},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
};

struct Place {
    folder: tempfile::TempDir,
    project: Project,
    hours: Arc<AtomicI64>,
}

fn place(keys: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("data")).unwrap();
    fs::create_dir(root.join("migrations")).unwrap();
    fs::write(root.join("migrations/001_a.sql"), "CREATE TABLE a (id INTEGER PRIMARY KEY);")
        .unwrap();
    fs::write(root.join("piton.toml"), keys).unwrap();
    let hours = Arc::new(AtomicI64::new(0));
    let project = open(root, &hours);
    Place { folder, project, hours }
}

fn open(root: &Path, hours: &Arc<AtomicI64>) -> Project {
    let config = Some(root.join("piton.toml"));
    let config = Config::load(&Overrides { config, ..Overrides::default() }).unwrap();
    let began: DateTime<Utc> = "2026-11-20T00:00:00Z".parse().unwrap();
    let (hours, counter) = (Arc::clone(hours), AtomicU8::new(0));
    let world = World {
        clock: Box::new(move || began + TimeDelta::hours(hours.load(Ordering::Relaxed))),
        random: Box::new(move || [7, 7, counter.fetch_add(1, Ordering::Relaxed)]),
        holder: Holder { pid: 1, host: "host".into(), command: "test".into() },
        variables: Box::new(|_| None),
        temporary: std::env::temp_dir(),
        git_revision: None,
        deploy: None,
    };
    Project::new(config, world)
}

impl Place {
    /// A backup of new content, an hour after the last one.
    fn backup(&self) -> BackupId {
        let hour = self.hours.fetch_add(1, Ordering::Relaxed);
        fs::write(self.folder.path().join("data/file"), format!("{hour}")).unwrap();
        self.project.backup(None, Patience::Refuse, &Silent).unwrap().taken.backup.manifest.id
    }

    fn listed(&self) -> Vec<BackupId> {
        self.project.backups().unwrap().backups.into_iter().map(|it| it.manifest.id).collect()
    }

    fn prune(&self) -> Vec<BackupId> {
        self.project.prune(Patience::Refuse, &Silent).unwrap().removed
    }

    fn with_rules(mut self, keys: &str) -> Self {
        fs::write(self.folder.path().join("piton.toml"), keys).unwrap();
        self.project = open(self.folder.path(), &self.hours);
        self
    }
}

fn named(id: &BackupId) -> Selector {
    id.as_str().parse().unwrap()
}

#[test]
fn verifying_all_finds_every_damaged_one_and_notes_the_time() {
    let place = place("");
    let ids = [place.backup(), place.backup(), place.backup(), place.backup()];
    let store = place.project.store();
    // Cut off, which the catalog sees; changed inside, which only reading shows; gone.
    fs::write(store.archive_path(&ids[0]), "short").unwrap();
    let mut bytes = fs::read(store.archive_path(&ids[1])).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(store.archive_path(&ids[1]), bytes).unwrap();
    fs::remove_file(store.archive_path(&ids[2])).unwrap();
    fs::write(store.root().join("notes.txt"), "not a backup").unwrap();
    place.hours.fetch_add(1, Ordering::Relaxed);
    let found = place.project.verify(None, &Silent).unwrap();
    let verified: Vec<_> = found.verified.iter().map(|it| it.backup.id().clone()).collect();
    assert_eq!(verified, ids[3..]);
    let mut failed: Vec<_> = found.failures.iter().map(|(id, _)| id.clone()).collect();
    failed.sort();
    assert_eq!(failed, ids[..3]);
    assert!(found.failures.iter().all(|(_, error)| error.kind() == Kind::Damaged));
    let beside = store.load(&ids[3]).unwrap();
    assert_eq!(beside.verified, (place.project.world.clock)());
    assert!(beside.verified > beside.manifest.created);
}

#[test]
fn looking_creates_nothing() {
    let place = place("");
    place.project.recover(Patience::Refuse, &Silent).unwrap();
    place.project.status(&Selection::default(), &Silent).unwrap();
    place.project.plan_prune(&Silent).unwrap();
    assert!(place.project.verify(None, &Silent).unwrap().verified.is_empty());
    place.project.verify(Some(&Selector::Latest), &Silent).unwrap_err();
    place.project.remark(&Selector::Latest, &Remark::Pin, &Silent).unwrap_err();
    assert_eq!(fs::read_dir(place.folder.path().join("data")).unwrap().count(), 0);
    assert!(!place.folder.path().join("backups").exists());
}

#[test]
fn remarks_last_and_change_nothing_else() {
    let place = place("");
    let id = place.backup();
    let archive = fs::read(place.project.store().archive_path(&id)).unwrap();
    let label = Remark::Label(Some("before".into()));
    for (remark, changed) in [
        (&Remark::Pin, Changed::Yes),
        (&Remark::Pin, Changed::No),
        (&label, Changed::Yes),
        (&Remark::Unpin, Changed::Yes),
    ] {
        assert_eq!(
            place.project.remark(&named(&id), remark, &Silent).unwrap().changed,
            changed,
            "{remark:?}"
        );
    }
    let backup = place.project.store().load(&id).unwrap();
    assert_eq!((backup.pinned, backup.label.as_deref()), (false, Some("before")));
    assert_eq!(fs::read(place.project.store().archive_path(&id)).unwrap(), archive);
    place.project.remark(&named(&id), &Remark::Label(None), &Silent).unwrap();
    assert_eq!(place.project.store().load(&id).unwrap().label, None);
}

#[test]
fn without_rules_nothing_is_pruned() {
    let place = place("");
    let ids = [place.backup(), place.backup()];
    assert_eq!(place.prune(), []);
    assert_eq!(place.listed().len(), ids.len());
}

#[test]
fn every_backup_is_followed_by_pruning_and_pins_hold() {
    let place = place("[retention]\nlast = 2\n");
    let first = place.backup();
    place.project.remark(&named(&first), &Remark::Pin, &Silent).unwrap();
    let ids = [place.backup(), place.backup(), place.backup()];
    assert_eq!(place.listed(), [ids[2].clone(), ids[1].clone(), first]);
    let left = fs::read_dir(place.project.store().root()).unwrap().count();
    assert_eq!(left, 3 * 2 + 1, "archives, manifests and the lock");
}

#[test]
fn a_dry_run_tells_what_the_run_then_does() {
    let place = place("");
    let ids = [place.backup(), place.backup(), place.backup()];
    let place = place.with_rules("[retention]\nlast = 1\n");
    let planned = place.project.plan_prune(&Silent).unwrap();
    let planned: Vec<_> = planned.surplus().map(|verdict| verdict.backup.clone()).collect();
    assert_eq!(place.listed().len(), 3);
    assert_eq!(place.prune(), planned);
    assert_eq!(place.listed(), ids[2..]);
}

#[test]
fn a_size_limit_counts_the_directory_without_what_is_foreign() {
    let place = place("");
    let ids = [place.backup(), place.backup(), place.backup()];
    fs::write(place.project.store().root().join("foreign"), vec![0; 1 << 20]).unwrap();
    let place = place.with_rules("[retention]\nmax-size = \"500KiB\"\n");
    assert_eq!(place.prune(), []);
    let place = place.with_rules("[retention]\nmax-size = \"1KiB\"\n");
    assert_eq!(place.prune(), [ids[1].clone(), ids[0].clone()]);
}

#[test]
fn a_preview_names_the_rows_that_would_be_lost() {
    let place = place("");
    let data = place.folder.path().join("data");
    let live = rusqlite::Connection::open(data.join("app.db")).unwrap();
    live.execute_batch(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 1), (2, 2)",
    )
    .unwrap();
    place.backup();
    // As many rows as before: their number tells nothing.
    live.execute_batch("UPDATE t SET a = 9 WHERE id = 1; UPDATE t SET id = 3 WHERE id = 2")
        .unwrap();
    live.execute_batch("CREATE TABLE n (a); INSERT INTO n VALUES (1)").unwrap();
    let options =
        RestoreOptions { only: Vec::new(), gate: Gate::Refuse, patience: Patience::Refuse };
    let latest = Source::Named(Selector::Latest);
    let preview = || place.project.preview_restore(&latest, &options, &Silent).unwrap().preview;
    let found = preview();
    let rows = |table: &str| {
        let rows = found.databases[0].tables[table];
        (rows.live, rows.backup, rows.only_live, rows.changed)
    };
    assert_eq!(rows("t"), (Some(2), Some(2), Some(1), Some(1)));
    assert_eq!(rows("n"), (Some(1), None, Some(1), Some(0)));
    assert_eq!(found.uncounted, None);
    // A directory that is gone loses nothing more.
    drop(live);
    fs::remove_dir_all(&data).unwrap();
    let found = preview();
    assert_eq!((found.databases.len(), found.uncounted), (1, None));
    place.project.restore(&latest, &options, &Silent).unwrap();
    assert!(data.join("app.db").exists());
}

#[test]
fn what_the_last_good_run_and_restores_took_stays() {
    let place = place("[retention]\nlast = 1\n");
    place.backup();
    let options = UpOptions { selection: Selection::default(), patience: Patience::Refuse };
    let up = || {
        place.hours.fetch_add(1, Ordering::Relaxed);
        place.project.up(&options, &Silent).unwrap()
    };
    let good = up().backup.unwrap();
    // A run that fails leaves the one before it the last good one.
    let wrong = place.folder.path().join("migrations/002_b.sql");
    fs::write(&wrong, "INSERT INTO a VALUES (1); INSERT INTO a VALUES (1);").unwrap();
    place.backup();
    let failed = up();
    assert_eq!(failed.outcome, Outcome::Problem(Kind::Failed));
    let failed = failed.backup.unwrap();
    let newest = place.backup();
    let mut expected = vec![newest, failed, good.clone()];
    expected.dedup();
    assert_eq!(place.listed(), expected);
    // Going back to it takes a safety backup, and both stay.
    let restore =
        RestoreOptions { only: Vec::new(), gate: Gate::Refuse, patience: Patience::Refuse };
    place.hours.fetch_add(1, Ordering::Relaxed);
    place.project.restore(&Source::Named(named(&good)), &restore, &Silent).unwrap();
    assert!(place.listed().contains(&good));
}
