//! Plans all databases of a selection, those of a pattern on all processors.

use super::{
    candidates,
    config::Config,
    guarded,
    targets::{Target, Targets},
};
use crate::{
    Result,
    database::{self, Access},
    disk,
    error::ProjectError,
    event::{Observer, go_on},
    history::Version,
    plan::{DatabasePlan, Request, Settings, Settled, plan_database},
    store::{Backup, Store},
    store::{Filter, StoredPath},
};
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

/// One database of a target.
struct Job<'a> {
    target: &'a Target,
    settled: &'a Settled,
    database: PathBuf,
}

/// Plans every database of the targets, in order.
///
/// # Errors
/// The first of SQLite's, in the order of the databases.
pub fn plan_all(
    config: &Config,
    targets: &Targets,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Vec<DatabasePlan>> {
    let mut jobs = Vec::new();
    let settled: Vec<Settled> = targets.targets.iter().map(|_| Settled::default()).collect();
    for (target, settled) in targets.targets.iter().zip(&settled) {
        let paths = target.paths(&config.data)?;
        jobs.extend(paths.into_iter().map(|database| Job { target, settled, database }));
    }
    let mut owners = BTreeMap::new();
    for job in &jobs {
        if let Some(first) = owners.insert(&job.database, &job.target.name) {
            let (database, first, second) =
                (job.database.clone(), first.clone(), job.target.name.clone());
            return Err(ProjectError::TwoTargets { database, first, second }.into());
        }
    }
    let planned = watching(observer, |sign| {
        in_parallel(&jobs, |job| database::stoppable(sign, || plan_one(config, job, settings)))
    });
    // What SQLite says of a statement that was stopped is no fault of the statement.
    go_on(observer)?;
    let mut plans = planned.into_iter().collect::<Result<Vec<_>>>()?;
    plans.iter_mut().for_each(|plan| name_the_way_back(config, plan));
    candidates::refuse_beside_others(config, targets, &mut plans)?;
    Ok(plans)
}

/// Does something that stops when the work is interrupted: the sign is set then.
fn watching<T>(observer: &dyn Observer, act: impl FnOnce(&Arc<AtomicBool>) -> T) -> T {
    const PAUSE: Duration = Duration::from_millis(50);
    let sign = Arc::new(AtomicBool::new(observer.is_interrupted()));
    let (ended, ends) = channel::<()>();
    thread::scope(|scope| {
        let watched = &sign;
        let watch = move || {
            while ends.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                watched.fetch_or(observer.is_interrupted(), Ordering::Relaxed);
            }
        };
        // Without a thread nobody looks, and the work goes on to its end.
        let _ = thread::Builder::new().spawn_scoped(scope, watch);
        let result = act(&sign);
        drop(ended);
        result
    })
}

/// Where a database is ahead of the checkout: the newest backup that the checkout understands.
fn name_the_way_back(config: &Config, plan: &mut DatabasePlan) {
    let newest = plan.assessments.iter().rfind(|found| found.migration.is_some());
    let newest = newest.map(|found| found.version.clone());
    let database = plan.database.as_path();
    for finding in plan.findings.iter_mut().filter(|finding| finding.code == "ahead") {
        let Ok(catalog) = Store::new(config.backups.clone()).list() else { return };
        let is_older = |backup: &&Backup| {
            let mut records = backup.manifest.databases.iter();
            let record = records.find(|record| record.path.as_path() == database);
            let version = record.and_then(|record| Version::parse(record.position.as_deref()?));
            version.is_some_and(|version| newest.as_ref().is_some_and(|newest| version <= *newest))
        };
        if let Some(backup) = catalog.backups.iter().find(is_older) {
            let way =
                format!("`piton restore {}` brings back what this checkout knows", backup.id());
            finding.hint = Some(format!("check out the release that has it; or {way}"));
        }
    }
}

/// Does something about every item on all processors; the results are in the order of the items.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    if workers < 2 {
        return items.iter().map(act).collect();
    }
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, act(item)));
        }
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        // Where the system gives no more threads, this one does what is left.
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let handles: Vec<_> = (1..workers).filter_map(start).collect();
        let here = work();
        let join = |handle: thread::ScopedJoinHandle<'_, Vec<(usize, R)>>| {
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        handles.into_iter().flat_map(join).chain(here).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn plan_one(config: &Config, job: &Job<'_>, settings: &Settings) -> Result<DatabasePlan> {
    let path = config.data.join(&job.database);
    let live = open_to_read(&path, config)?;
    if job.target.is_guarding() {
        return guarded::plan(job.target, &job.database, &path, live.as_ref());
    }
    let request = Request {
        target: &job.target.name,
        database: &job.database,
        path: &path,
        migrations: &job.target.migrations,
        settings,
        rules: Some(&config.rules),
    };
    if let Some(connection) = &live
        && let Some(plan) = job.settled.plan(&request, connection)?
    {
        return Ok(plan);
    }
    plan_database(&request, live.as_ref())
}

/// Refuses a database that no backup of the data directory holds: what a run does to it could not
/// be put back.
///
/// # Errors
/// [`ProjectError::NotInBackups`] with the reason; the system's.
pub fn require_in_backups(config: &Config, database: &Path) -> Result<()> {
    let refused = |reason: String| ProjectError::NotInBackups { database: database.into(), reason };
    if let Ok(path) = StoredPath::try_from(database) {
        if Filter::new(&config.exclude)?.matches(&path) {
            return Err(refused("`exclude` leaves it out".into()).into());
        }
        if config.left_out()?.matches(&path) {
            return Err(refused("`include` does not name it".into()).into());
        }
    }
    // The nearest thing that is there: the database itself, a link, or its folder.
    let path = config.data.join(database);
    let Some(there) = path.ancestors().find(|path| path.symlink_metadata().is_ok()) else {
        return Ok(());
    };
    let real = |path: &Path| path.canonicalize().map_err(disk::failed("follow the link", path));
    if disk::exists(&config.data)? && there.starts_with(&config.data) {
        let (there, data) = (real(there)?, real(&config.data)?);
        if !there.starts_with(data) {
            let reason =
                format!("it is a link to `{}`, outside the data directory", there.display());
            return Err(refused(reason).into());
        }
    }
    Ok(())
}

/// Opens a live database for reading; none where it does not exist.
///
/// # Errors
/// [`crate::error::DatabaseError`]: it is not a database, or cannot be opened.
pub fn open_to_read(path: &Path, config: &Config) -> Result<Option<Connection>> {
    if !disk::exists(path)? {
        return Ok(None);
    }
    let is_empty = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0);
    if !is_empty && !database::sniff(path)? {
        return Err(crate::error::DatabaseError::NotADatabase { path: path.into() }.into());
    }
    let connection = database::open(path, Access::Read, config.busy_timeout)?;
    let readable = connection.query_row("SELECT 1 FROM main.sqlite_schema", [], |_| Ok(()));
    match readable {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.code == rusqlite::ErrorCode::CannotOpen && !has_log(path) =>
        {
            // A write-ahead database in a folder that cannot be written: without a log nobody
            // else has it open for writing, so it can be read as it lies there.
            Ok(Some(database::open(path, Access::Immutable, config.busy_timeout)?))
        }
        Err(rusqlite::Error::QueryReturnedNoRows) | Ok(()) => Ok(Some(connection)),
        Err(error) => Err(database::failed("read", path)(error).into()),
    }
}

fn has_log(path: &Path) -> bool {
    // What cannot be looked at may be there.
    disk::exists(&database::side_file(path, "-wal")).unwrap_or(true)
}
