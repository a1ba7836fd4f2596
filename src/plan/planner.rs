//! Plans one database: fast where nothing changed since the last run, by replay otherwise.

use super::{
    analysis::{self, Rules},
    assess::{Newness, Witnesses},
    column_order,
    draft::Draft,
    finding::Finding,
    model::{Action, Assessment, DatabasePlan, Position, State},
    order::{Unit, units},
    renumbered::{Renumbered, Scene},
    replay::{replay_keeping, replay_onward, replay_over},
    timeline::Timeline,
};
use crate::{
    Result, database,
    history::{Migration, Version},
    ledger::{self, BaseObject, Entry, EntryKind, EntryState, Witness},
    schema::{Introspector, Schema, schema_hash},
};
use rusqlite::Connection;
use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What to do about a pending migration that is older than an applied one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutOfOrder {
    /// Refuse the plan.
    #[default]
    Refuse,
    /// Run it.
    Run,
}

/// What to do about applied migrations whose effect is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Healing {
    /// Refuse the plan.
    #[default]
    Refuse,
    /// Redo just what is missing.
    Redo,
}

/// What the user chose.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// About older pending migrations.
    pub out_of_order: OutOfOrder,
    /// About drift.
    pub healing: Healing,
    /// Nothing behind this version is run.
    pub last: Option<Version>,
}

/// Which database is planned, with which history.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The target's name.
    pub target: &'a str,
    /// The database, relative to the data directory.
    pub database: &'a Path,
    /// Where it is.
    pub path: &'a Path,
    /// Its history.
    pub migrations: &'a [Arc<Migration>],
    /// What the user chose.
    pub settings: &'a Settings,
    /// What the project wants of its files; none where only the state is asked for.
    pub rules: Option<&'a Rules>,
}

/// Plans one database; `live` is none where it does not exist yet.
///
/// # Errors
/// SQLite's, with the database's path.
pub fn plan_database(request: &Request<'_>, live: Option<&Connection>) -> Result<DatabasePlan> {
    let failed = |error| database::failed("read", request.path)(error);
    let Some(connection) = live else {
        let scratch = database::open_scratch()?;
        return plan_absent(request, &scratch);
    };
    // One read transaction, so that schema, ledger and guards are of the same moment.
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let brief = ledger::read_brief(connection)
        .map_err(ledger::failed("read the ledger of", request.path))?;
    let hash = schema_hash(connection).map_err(failed)?;
    if let Some(plan) = unchanged(request, &brief, &hash) {
        return Ok(plan);
    }
    if let Some(plan) = plan_onward(request, connection, &brief, &hash)? {
        return Ok(plan);
    }
    let new = if brief.is_empty() && is_empty(connection).map_err(failed)? {
        Newness::New
    } else if brief.iter().any(Entry::is_baseline) {
        Newness::Baseline
    } else {
        Newness::Used
    };
    let plan = plan_open(request, connection, new)?;
    transaction.finish().map_err(failed)?;
    Ok(plan)
}

/// The version that a database has reached, for a backup's manifest; none where it has none or
/// cannot be planned.
#[must_use]
pub fn position_of(connection: &Connection, migrations: &[Arc<Migration>]) -> Option<String> {
    let request = Request {
        target: "",
        database: Path::new(""),
        path: Path::new(""),
        migrations,
        settings: &Settings::default(),
        rules: None,
    };
    if let Some(version) = settled_version(connection, migrations) {
        return Some(version);
    }
    let plan = plan_database(&request, Some(connection)).ok()?;
    plan.position.version.map(|version| version.to_string())
}

/// The same where ledger and schema are as a run of the first files left them: nothing is replayed for it.
fn settled_version(connection: &Connection, migrations: &[Arc<Migration>]) -> Option<String> {
    let (done, left) = ledger::settled_hash(connection, migrations).ok()??;
    let last = migrations.get(done.checked_sub(1)?)?;
    (schema_hash(connection).ok()? == left).then(|| last.version.to_string())
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .query_row("SELECT NOT EXISTS (SELECT 1 FROM main.sqlite_schema)", [], |row| row.get(0))
}

/// The hash of the schema that the last run left; none where a run did not end, or where something
/// was missing when a person adopted it.
fn left_by_the_last_run(entries: &[Entry]) -> Option<&str> {
    let is_open = |entry: &Entry| {
        entry.state == EntryState::Started
            || (entry.witness == Witness::Adopted && !entry.objects.is_empty())
    };
    if entries.iter().any(is_open) {
        return None;
    }
    let runs = entries.iter().rev().filter(|entry| entry.kind != EntryKind::Operation);
    runs.map(|entry| entry.schema_hash.as_str()).find(|hash| !hash.is_empty())
}

/// The plan of a database on which nothing changed: every file is in the ledger with its
/// checksum, and the schema's text is that which the last run left.
fn unchanged(request: &Request<'_>, entries: &[Entry], hash: &str) -> Option<DatabasePlan> {
    if left_by_the_last_run(entries)? != hash {
        return None;
    }
    let mut current = ledger::current(entries);
    let mut assessments = Vec::with_capacity(request.migrations.len());
    for migration in request.migrations {
        let Some(entry) = current.remove(&migration.version) else {
            if migration.is_blank() {
                continue;
            }
            return None;
        };
        let same = entry.checksum == migration.checksum.exact
            || entry.forgiving == migration.checksum.forgiving;
        if entry.state == EntryState::Started || !same {
            return None;
        }
        assessments.push(Assessment {
            version: migration.version.clone(),
            title: migration.title(),
            migration: Some(migration.clone()),
            state: State::Applied,
            witness: Some(entry.witness),
            action: Action::None,
            entry: Some(entry.clone()),
        });
    }
    let position = Position {
        version: assessments.last().map(|assessment| assessment.version.clone()),
        known_by: "ledger",
    };
    current.is_empty().then(|| plan(request, position, assessments, Vec::new(), hash.into()))
}

fn plan(
    request: &Request<'_>,
    position: Position,
    assessments: Vec<Assessment>,
    findings: Vec<Finding>,
    schema_hash: String,
) -> DatabasePlan {
    DatabasePlan {
        target: request.target.into(),
        database: PathBuf::from(request.database),
        path: PathBuf::from(request.path),
        exists: true,
        position,
        assessments: assessments.into(),
        findings,
        schema_hash,
        base: None,
        image: None,
    }
}

/// The plan of a database that does not exist yet.
fn plan_absent(request: &Request<'_>, empty: &Connection) -> Result<DatabasePlan> {
    let units = units(request.migrations, &[])?;
    let (timeline, remains) = replay_keeping(&units, &Schema::default())?;
    let replayed = Replayed::on(empty, request, units, timeline)?;
    let mut plan = replayed.plan(request, empty, Newness::New);
    plan.exists = false;
    plan.base = Some(Vec::new());
    let whole = plan.assessments.iter().all(|found| {
        found.migration.as_ref().is_some_and(|migration| migration.is_plain_schema())
            && matches!(found.action, Action::Statements(_))
    });
    if whole && replayed.timeline.is_schema_alone() && plan.denials().next().is_none() {
        plan.image = remains.image()?;
    }
    Ok(plan)
}

fn plan_open(request: &Request<'_>, connection: &Connection, new: Newness) -> Result<DatabasePlan> {
    let failed = |error| database::failed("read", request.path)(error);
    let mut entries =
        ledger::read(connection).map_err(ledger::failed("read the ledger of", request.path))?;
    let base = ledger::read_base(connection)
        .map_err(ledger::failed("read the ledger of", request.path))?;
    let live = Introspector::default().read(connection).map_err(failed)?;
    let renumbered = Renumbered::find(&Scene {
        migrations: request.migrations,
        entries: &entries,
        live: &live,
        base: base.as_deref(),
        last: None,
    })?;
    // Planned is what would be left once a person has recorded it.
    entries.extend(renumbered.rows(&entries, ""));
    let units = units(request.migrations, &entries)?;
    let mut plan = plan_units(request, connection, new, (units, &entries), (&live, base))?;
    let mut assessments = plan.assessments.to_vec();
    plan.findings.splice(0..0, renumbered.tell(&mut assessments));
    plan.assessments = assessments.into();
    Ok(plan)
}

fn plan_units(
    request: &Request<'_>,
    connection: &Connection,
    new: Newness,
    (units, entries): (Vec<Unit>, &[Entry]),
    (live, base): (&Schema, Option<Vec<BaseObject>>),
) -> Result<DatabasePlan> {
    let failed = |error| database::failed("read", request.path)(error);
    let done = units.iter().filter(|unit| unit.is_in_ledger()).count();
    if done > 0 && left_by_the_last_run(entries) == Some(&schema_hash(connection).map_err(failed)?)
    {
        // Nothing is drift then, and nothing about what is there has to be derived again.
        if let Some(timeline) = replay_onward(done, &units, live)? {
            let replayed = Replayed::on(connection, request, units, timeline)?;
            return Ok(replayed.plan(request, connection, Newness::Settled));
        }
    }
    let (timeline, first) = replay_over(&units, live, base.as_deref())?;
    let replayed = Replayed::on(connection, request, units, timeline)?;
    let mut plan = replayed.plan(request, connection, new);
    plan.base = base.is_none().then_some(first);
    plan.findings.splice(0..0, replayed.other_orders(&plan.assessments)?);
    Ok(plan)
}

/// The plan of a database whose ledger and schema are as the last run left them; none where
/// [`replay_pending`] has none.
fn plan_onward(
    request: &Request<'_>,
    connection: &Connection,
    brief: &[Entry],
    hash: &str,
) -> Result<Option<DatabasePlan>> {
    let replayed = replay_pending(request, connection, brief, hash)?;
    Ok(replayed.map(|replayed| replayed.plan(request, connection, Newness::Used)))
}

/// Replays what is pending on the schema of a database whose ledger and schema are as the last run left
/// them, and not what ran. None where that is not so, or where a pending statement does not work on
/// the schema as it is: then the whole history is asked.
///
/// # Errors
/// SQLite's, with the database's path.
pub(super) fn replay_pending(
    request: &Request<'_>,
    connection: &Connection,
    brief: &[Entry],
    hash: &str,
) -> Result<Option<Replayed>> {
    let failed = |error| database::failed("read", request.path)(error);
    if left_by_the_last_run(brief) != Some(hash) || !is_complete(request, brief) {
        return Ok(None);
    }
    let units = units(request.migrations, brief)?;
    let done = units.iter().filter(|unit| unit.is_in_ledger()).count();
    let live = Introspector::default().read(connection).map_err(failed)?;
    let timeline = replay_onward(done, &units, &live)?;
    Ok(timeline.map(|timeline| Replayed { units, timeline, live, hash: hash.into() }))
}

/// Whether everything that ran is among the files, unchanged, and its effect was seen and not only
/// said.
fn is_complete(request: &Request<'_>, entries: &[Entry]) -> bool {
    let mut current = ledger::current(entries);
    for migration in request.migrations {
        let Some(entry) = current.remove(&migration.version) else { continue };
        let same = entry.checksum == migration.checksum.exact
            || entry.forgiving == migration.checksum.forgiving;
        let seen =
            !matches!(entry.witness, Witness::Adopted | Witness::Guard | Witness::Renumbered);
        if entry.state == EntryState::Started || !same || !seen {
            return false;
        }
    }
    current.is_empty() && !entries.iter().any(Entry::is_baseline)
}

/// What follows from the files, the ledger and the schema alone: no row was asked for it.
pub(super) struct Replayed {
    units: Vec<Unit>,
    timeline: Timeline,
    live: Schema,
    hash: String,
}

impl Replayed {
    fn on(
        connection: &Connection,
        request: &Request<'_>,
        units: Vec<Unit>,
        timeline: Timeline,
    ) -> Result<Self> {
        let failed = |error| database::failed("read", request.path)(error);
        let live = Introspector::default().read(connection).map_err(failed)?;
        let hash = schema_hash(connection).map_err(failed)?;
        Ok(Self { units, timeline, live, hash })
    }

    /// What would be exchanged because columns are in another order than in the history.
    fn other_orders(&self, assessments: &[Assessment]) -> Result<Vec<Finding>> {
        column_order::findings(&self.units, &self.timeline, &self.live, assessments)
    }

    /// The plan of a database with this ledger and schema. All that depends on its rows is asked here,
    /// so that databases that share a replay do not share an answer about rows.
    pub(super) fn plan(
        &self,
        request: &Request<'_>,
        connection: &Connection,
        new: Newness,
    ) -> DatabasePlan {
        let Self { units, timeline, live, .. } = self;
        let assessed = Witnesses {
            units,
            timeline,
            live,
            connection,
            path: if new == Newness::New { Path::new("") } else { request.path },
            trial: OnceCell::new(),
            new,
        }
        .assess();
        let mut draft = Draft { request, units, timeline, live, findings: Vec::new() };
        let mut assessments = draft.assessments(&assessed, connection);
        draft.general(&assessed, &assessments);
        let mut findings = draft.findings;
        if let Some(rules) = request.rules {
            let rows = (new != Newness::New).then_some(connection);
            findings.extend(analysis::of_plan(units, timeline, live, &assessments, rows, rules));
        }
        assessments.sort_by(|a, b| a.version.cmp(&b.version));
        let position = position(&assessments, new);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        plan(request, position, assessments, findings, self.hash.clone())
    }
}

fn position(assessments: &[Assessment], new: Newness) -> Position {
    let done = assessments
        .iter()
        .take_while(|found| {
            !matches!(
                found.state,
                State::Pending
                    | State::Resumed
                    | State::OutOfOrder
                    | State::Undecided
                    | State::Conflict
                    | State::Dirty
            )
        })
        .last();
    let by_schema = assessments.iter().any(|found| found.state == State::Recorded);
    let known_by = match (new, by_schema) {
        (Newness::New, _) => "new",
        (_, true) => "schema",
        _ if assessments.iter().any(|found| found.entry.is_some()) => "ledger",
        _ => "schema",
    };
    Position { version: done.map(|found| found.version.clone()), known_by }
}
