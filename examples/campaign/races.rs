//! Locks, and looking for who holds a database: what one process does while another is at work.

use crate::{
    calls,
    cases::{Builder, copies, deploys},
    files::names,
    holder::{DATABASES, Habit, Service},
    project::{Ended, Project},
    scenario::archives,
    service,
    setup::{self, Made},
    tracer::{Moment, Then},
};
use piton::rusqlite::{Connection, ErrorCode};
use std::{fs, path::Path, time::Duration};

/// Trials beside a service of each kind.
const TRIALS: u32 = 12;
/// Where the rollback point of a deploy lies among the backups (docs/deploy.md).
const POINT: &str = ".point";
/// How long a service may take that nobody keeps out.
const LIMIT: Duration = Duration::from_secs(3);

/// What notices that a lock is not taken, or the gate does not look; nothing for other steps.
pub fn notices(label: &str, fault: &str, piton: &Project, folder: &Path) -> Made<Option<String>> {
    let mut mutant = piton.clone();
    mutant.variables.push(("PITON_FAULT".into(), fault.into()));
    let noticed = match label {
        "lock.take" | "store-lock.take" | "gate.look" => {
            return Ok(
                service::notices(&mutant, TRIALS, folder)?.map(|it| format!("service: {it}"))
            );
        }
        "hold.take" => let_in(&mutant, folder)?,
        "deploy-lock.take" => second_deploy(&mutant, folder)?,
        "offsite-lock.take" => second_copying(&mutant, folder)?,
        "point-lock.take" => written_while_copied(&mutant, folder)?,
        _ => None,
    };
    Ok(noticed.map(|what| format!("race: {what}")))
}

/// That none of these finds anything where nothing is missing.
pub fn notice_nothing(piton: &Project, folder: &Path) -> Made<()> {
    let service = service::notices(piton, TRIALS, folder)?;
    let others = [
        let_in(piton, folder)?,
        second_deploy(piton, folder)?,
        second_copying(piton, folder)?,
        written_while_copied(piton, folder)?,
    ];
    match service.into_iter().chain(others.into_iter().flatten()).next() {
        Some(what) => Err(what.into()),
        None => Ok(()),
    }
}

/// While names are exchanged, a service that starts waits.
fn let_in(mutant: &Project, folder: &Path) -> Made<Option<String>> {
    let template = mutant.at(&folder.join("cases/exchange"));
    fresh(&template)?;
    setup::served(&template, &DATABASES)?;
    let name = archives(&template.backups()).pop().ok_or("there is no backup")?;
    template.write("data/more.txt", "more")?;
    let words = format!("restore {} --yes", name.trim_end_matches(".tar.gz"));
    let (notes, journal) =
        (folder.join("acknowledged"), template.data().join(".piton/restore.json"));
    let (mut service, mut said) = (None, 0);
    template.traced(&words, &mut |point| {
        if service.is_none() && point.moment == Moment::Before && journal.exists() {
            service = Service::start(Habit::Idle, &template.data(), &notes).ok();
            if let Some(service) = &service {
                service.wait(1, LIMIT);
                said = service.said();
            }
        }
        Then::Go
    })?;
    match (service, said) {
        (None, _) => Err("the restore wrote no journal".into()),
        (Some(_), 0) => Ok(None),
        _ => Ok(Some("a service read its databases while they were exchanged".into())),
    }
}

fn second_deploy(mutant: &Project, folder: &Path) -> Made<Option<String>> {
    let name = "two-deploys";
    let template = mutant.at(&folder.join("cases").join(name));
    fresh(&template)?;
    let template = deploys::deployable(&Builder { piton: mutant, folder }, name)?;
    let record = template.data().join(".piton/deploy.json");
    refused(&template, ["deploy --release b", "deploy --release b"], &|| record.exists())
}

fn second_copying(mutant: &Project, folder: &Path) -> Made<Option<String>> {
    let name = "two-copies";
    let template = mutant.at(&folder.join("cases").join(name));
    fresh(&template)?;
    let template = copies::project(&Builder { piton: mutant, folder }, name, "")?;
    let disk = template.folder.join("disk");
    refused(&template, ["backups sync", "backups sync"], &|| !names(&disk).is_empty())
}

/// While the rollback point of a deploy is compared with a database, nobody writes to that.
fn written_while_copied(mutant: &Project, folder: &Path) -> Made<Option<String>> {
    let name = "written-while-copied";
    let template = mutant.at(&folder.join("cases").join(name));
    fresh(&template)?;
    let template = deploys::deployable(&Builder { piton: mutant, folder }, name)?;
    let copy = template.backups().join(POINT).join("data/app.db");
    // Before the service is stopped the copy is archived, and after it was started again.
    let fence = template.data().join(".piton/fence");
    let mut written = None;
    template.traced("deploy --release b", &mut |point| {
        let reads = calls::name(point) == "pread64" && calls::is_about(point, &copy);
        if written.is_none() && point.moment == Moment::Before && reads && fence.exists() {
            written = Some(write_at_once(&template.data().join("app.db")));
        }
        Then::Go
    })?;
    match written {
        None => Err("the deploy never compared its rollback point".into()),
        Some(Err(error)) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(None),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(())) => Ok(Some("a database was written while its copy was compared".into())),
    }
}

/// Writes a row, or is refused without waiting.
fn write_at_once(database: &Path) -> piton::rusqlite::Result<()> {
    let connection = Connection::open(database)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.execute_batch("INSERT INTO items DEFAULT VALUES")
}

/// From the moment at which one command holds something, another one is refused.
fn refused(
    place: &Project,
    [first, second]: [&str; 2],
    holds: &dyn Fn() -> bool,
) -> Made<Option<String>> {
    let mut other = None;
    // Both say something, and only one of them into the file for what is traced.
    place.traced(first, &mut |point| {
        if other.is_none() && point.moment == Moment::Before && holds() {
            other = Some(place.run(second));
        }
        Then::Go
    })?;
    let other: Ended = other.ok_or(format!("`{first}` never held anything"))??;
    match other.code {
        Some(5 | 8) => Ok(None),
        _ => Ok(Some(format!("beside `{first}`, `{second}` was not refused: {}", other.shown()))),
    }
}

/// Nothing is left of the trial before.
fn fresh(project: &Project) -> Made<()> {
    if project.folder.exists() {
        fs::remove_dir_all(&project.folder)?;
    }
    fs::create_dir_all(&project.folder)?;
    Ok(())
}
