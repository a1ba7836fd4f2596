//! `drill`: the newest backup is restored into a scratch folder, and what is in it is looked at, so that
//! somebody knows before the day it is needed. Nothing live is changed, and no backup.

mod facts;
mod newest;
mod record;
mod settings;
mod trend;

pub use record::{DrillRecord, DrillResult};
pub use settings::{DrillConfig, DrillKeys};

use super::{Outcome, Project};
use crate::{
    Error, Kind, Result, clock,
    deploy::service::Ground,
    disk,
    error::{DrillError, StoreError},
    event::{self, Observer, Silent},
    restore,
    store::{self, Backup, DRILL, Folders, Selector, Store},
};
use chrono::TimeDelta;
use serde::Serialize;
use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    time::{Duration, Instant},
};

/// What a person says about the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// They are compared with earlier backups.
    Judged,
    /// They are meant as they are: from now on earlier backups do not count.
    Accepted,
}

/// Something that is wrong with a backup that restores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// What kind it is; a documented word.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

impl Alarm {
    fn new(code: &'static str, message: String) -> Self {
        Self { code, message }
    }

    /// Whether `--accept` settles it.
    #[must_use]
    pub fn is_about_counts(&self) -> bool {
        matches!(
            self.code,
            "database-gone"
                | "databases-gone"
                | "another-database"
                | "empty"
                | "table-gone"
                | "halved"
        )
    }
}

/// What a drill found.
#[derive(Debug)]
pub struct DrillReport {
    /// How it ended.
    pub outcome: Outcome,
    /// The backup.
    pub backup: Backup,
    /// What was noted beside the backups.
    pub record: DrillRecord,
    /// What is wrong.
    pub alarms: Vec<Alarm>,
    /// What should be known and is no alarm.
    pub notes: Vec<String>,
    /// What was asked and is well.
    pub passed: Vec<String>,
    /// With how many earlier backups the counts were compared.
    pub compared: usize,
}

/// What is known about drills.
#[derive(Clone, Debug, Serialize)]
pub struct DrillStanding {
    /// The last one; nothing where there was none.
    pub last: Option<DrillRecord>,
    /// The last one that proved a backup.
    pub proved: Option<DrillRecord>,
}

/// A scratch folder that goes with the drill.
struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: what stays is swept by the next drill.
        drop(disk::remove_tree("drill-end", &self.folder));
    }
}

impl Project {
    /// Restores a backup into a scratch folder and looks at it.
    ///
    /// # Errors
    /// A backup that cannot be found, or does not restore, which is noted too; no room; another drill.
    pub fn drill(
        &self,
        selector: &Selector,
        counts: Counts,
        observer: &dyn Observer,
    ) -> Result<DrillReport> {
        let store = self.store();
        let found = store.find(selector).map_err(|error| self.or_elsewhere(error))?;
        let backup = store.unseal(&found)?.into_owned();
        let scratch = self.scratch(&store, &backup)?;
        let mut record = DrillRecord::new(backup.id().clone(), (self.world.clock)());
        record.data_bytes = backup.data_bytes();
        let data = scratch.folder.join("data");
        if let Err(error) = prove(&store, &backup, &data, &mut record, observer) {
            record.at = (self.world.clock)();
            record.alarms = vec![error.to_string()];
            if !matches!(error, Error::Interrupted) {
                self.note_drill(&store, &record, observer);
            }
            if error.kind() == Kind::Damaged {
                // It no longer counts, and the next backup does not refer to it.
                drop(self.verify(Some(&Selector::Prefix(found.id().to_string())), observer));
            }
            return Err(error);
        }
        let mut report = DrillReport {
            outcome: Outcome::Done,
            backup,
            record,
            alarms: Vec::new(),
            notes: Vec::new(),
            passed: Vec::new(),
            compared: 0,
        };
        if *selector == Selector::Latest {
            self.judge_age(&store, &mut report)?;
        }
        self.judge_counts(&store, &data, counts, &mut report)?;
        self.ask_queries(&data, &mut report);
        self.ask_newest(&data, &mut report);
        event::go_on(observer)?;
        self.run_command(&store, &data, &mut report, observer)?;
        report.record.at = (self.world.clock)();
        report.record.accepted = counts == Counts::Accepted;
        report.record.alarmed(&report.alarms);
        if !report.alarms.is_empty() {
            report.outcome = Outcome::Problem(Kind::Failed);
        }
        self.note_drill(&store, &report.record, observer);
        Ok(report)
    }

    /// What is known about drills.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn drills(&self) -> Result<Vec<DrillRecord>> {
        record::read(&self.store())
    }

    /// Where drills stand; nothing where the project makes none.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn drill_standing(&self) -> Result<Option<DrillStanding>> {
        let all = self.drills()?;
        if all.is_empty() && !self.config.drill.is_configured {
            return Ok(None);
        }
        let proved = all.iter().rfind(|it| it.result == DrillResult::Proved).cloned();
        Ok(Some(DrillStanding { last: all.into_iter().next_back(), proved }))
    }

    fn note_drill(&self, store: &Store, record: &DrillRecord, observer: &dyn Observer) {
        if let Err(error) = record::add(store, record) {
            let text = format!("the drill could not be noted beside the backups: {error}");
            observer.event(event::Event::Warning { text });
        }
    }

    /// Makes the scratch folder, which no other drill uses meanwhile.
    fn scratch(&self, store: &Store, backup: &Backup) -> Result<Scratch> {
        let place = self.config.drill.folder.as_deref().unwrap_or(store.root());
        let found = fs::metadata(place).map_err(disk::failed("read", place))?;
        let real = |path: &Path| path.canonicalize().ok();
        if place != store.root()
            && real(&self.config.data)
                .zip(real(place))
                .is_some_and(|(data, it)| it.starts_with(data))
        {
            return Err(DrillError::InData { folder: place.into() }.into());
        }
        // Where others can rename, this process would write where they lead it.
        let is_open = found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0;
        if is_open {
            return Err(StoreError::Open { path: place.into() }.into());
        }
        if ![0, rustix::process::geteuid().as_raw()].contains(&found.uid()) {
            return Err(StoreError::OfAnother { path: place.into() }.into());
        }
        let path = place.join(format!("{DRILL}.lock"));
        let lock = disk::open_lock_file("drill-lock", &path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DrillError::Another { folder: place.into() }.into());
            }
            Err(TryLockError::Error(error)) => {
                return Err(disk::failed("lock", &path)(error).into());
            }
        }
        let folder = place.join(DRILL);
        disk::remove_tree("drill-sweep", &folder)?;
        let needed = restore::room_for(backup.data_bytes());
        let free = disk::free_space(place)?;
        if free < needed {
            return Err(DrillError::NoRoom { path: place.into(), free, needed }.into());
        }
        disk::create_private_folder("drill-folder", &folder)?;
        Ok(Scratch { folder, _lock: lock })
    }

    /// The newest one is no proof if the nights before made none.
    fn judge_age(&self, store: &Store, report: &mut DrillReport) -> Result<()> {
        let Some(overdue) = self.overdue(&store.list()?) else { return Ok(()) };
        let age = TimeDelta::seconds(overdue.age_seconds.unwrap_or_default());
        let message = format!(
            "the newest backup is {} old; one is promised every {}",
            newest::said(age),
            newest::said(TimeDelta::seconds(overdue.every_seconds))
        );
        report.alarms.push(Alarm::new("stale", message));
        Ok(())
    }

    fn ask_queries(&self, data: &Path, report: &mut DrillReport) {
        for query in &self.config.deploy.health.query {
            if query.new {
                continue;
            }
            let name = format!("query of `{}`", query.database.display());
            if let Err(reason) = require_listed(&report.backup, &query.database) {
                report.alarms.push(Alarm::new("query", format!("{name}: {reason}")));
                continue;
            }
            match query.ask_in(data, query.timeout) {
                Ok(()) => report.passed.push(name),
                // It may need what a migration after the backup made.
                Err(reason)
                    if reason.starts_with("no such ")
                        && self.has_moved_on(&query.database, report) =>
                {
                    report.notes.push(format!(
                        "{name} was not asked, the schema has changed since the backup: {reason}"
                    ));
                }
                Err(reason) => {
                    report.alarms.push(Alarm::new("query", format!("{name}: {reason}")));
                }
            }
        }
    }

    fn ask_newest(&self, data: &Path, report: &mut DrillReport) {
        let config = &self.config.drill;
        let Some((sql, limit)) = &config.newest else { return };
        let database = config.database.as_ref().unwrap_or(&self.config.database);
        let shown = database.display();
        if let Err(reason) = require_listed(&report.backup, database) {
            return report.alarms.push(Alarm::new("newest", format!("`{shown}`: {reason}")));
        }
        let taken = report.backup.manifest.created;
        match newest::ask(&data.join(database), sql) {
            Err(reason) => report.alarms.push(Alarm::new("newest", format!("`{shown}`: {reason}"))),
            Ok(time) => {
                let age = taken - time;
                let limit = TimeDelta::from_std(*limit).unwrap_or(TimeDelta::MAX);
                let time = time.format("%Y-%m-%d %H:%M:%S UTC");
                let told = format!(
                    "`{shown}`: the newest row is of {time}, {} before the backup",
                    newest::said(age)
                );
                match age > limit {
                    true => report.alarms.push(Alarm::new("newest", told)),
                    false => report.passed.push(told),
                }
            }
        }
    }

    /// Runs the project's own check on the restored data.
    fn run_command(
        &self,
        store: &Store,
        data: &Path,
        report: &mut DrillReport,
        observer: &dyn Observer,
    ) -> Result<()> {
        let config = &self.config.drill;
        let Some(command) = &config.command else { return Ok(()) };
        let data = std::path::absolute(data).map_err(disk::failed("find", data))?;
        let archive = store.archive_path(report.backup.id());
        let archive = std::path::absolute(&archive).map_err(disk::failed("find", &archive))?;
        let variable = |name: &str, value: PathBuf| (name.to_string(), OsString::from(value));
        let environment = [
            variable("PITON_DATA_DIR", data.clone()),
            variable("PITON_DATABASE", data.join(&self.config.database)),
            variable("PITON_BACKUP", archive),
        ];
        let root = std::path::absolute(&self.config.root);
        let root = root.map_err(disk::failed("find", &self.config.root))?;
        let asked = || observer.is_interrupted();
        let timer = clock::System::new(&asked);
        let ground = Ground {
            root: &root,
            data: &data,
            run: Path::new("/run"),
            environment: &environment,
            clock: &timer,
            observer: &Silent,
        };
        let name = format!("command `{command}`");
        let wrong = match command.on(&data).check(&ground, config.limit) {
            Ok(()) => {
                report.passed.push(name);
                return Ok(());
            }
            Err(reason) => reason,
        };
        event::go_on(observer)?;
        report.alarms.push(Alarm::new("command", format!("{name}: {wrong}")));
        Ok(())
    }
}

/// Only databases of the backup are opened: a link of such a name could lead anywhere.
fn require_listed(backup: &Backup, database: &Path) -> Result<(), String> {
    let path: PathBuf = database.components().filter(|it| *it != Component::CurDir).collect();
    let mut records = backup.manifest.databases.iter();
    match records.any(|record| record.path.as_path() == path) {
        true => Ok(()),
        false => Err("the backup has no such database".into()),
    }
}

/// Unpacks the backup and compares every database with what is listed.
fn prove(
    store: &Store,
    backup: &Backup,
    data: &Path,
    record: &mut DrillRecord,
    observer: &dyn Observer,
) -> Result<()> {
    let started = Instant::now();
    disk::create_private_folder("drill-data", data)?;
    // With folders of its own, which it can remove whatever their modes were.
    store.extract(backup, data, &|_| true, Folders::Private, observer)?;
    record.unpack_ms = milliseconds(started.elapsed());
    let started = Instant::now();
    let archive = store.archive_path(backup.id());
    for database in &backup.manifest.databases {
        event::go_on(observer)?;
        store::compare_database(&archive, database, &database.path.below(data))?;
    }
    record.check_ms = milliseconds(started.elapsed());
    Ok(())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
