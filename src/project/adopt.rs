//! `adopt`: a person's word about what ran, where nothing else can tell.

use super::{Project, Selection, databases, targets::Target};
use crate::{
    Result,
    apply::record,
    database::{self, Access},
    error::{DatabaseError, ProjectError},
    event::Observer,
    history::{Migration, Version},
    ledger::{self, EntryState, Witness},
    lock::Patience,
    plan::{self, Missing},
    schema::schema_hash,
};
use rusqlite::Connection;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What was written into one ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Adopted {
    /// The database, relative to the data directory.
    pub database: PathBuf,
    /// The files that are now recorded.
    pub migrations: Vec<String>,
}

/// What is done if the schema lacks what a person says is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingEffect {
    /// Nothing is recorded.
    Refuse,
    /// It is recorded, and what is missing stays visible as drift.
    Record,
}

impl Project {
    /// Records every migration up to a version as done, without running anything; with the number of a
    /// statement, of that version only what comes up to it.
    ///
    /// # Errors
    /// An unknown version; [`ProjectError::NotThere`]; SQLite's.
    pub fn adopt_at(
        &self,
        (version, statement): (&Version, Option<usize>),
        selection: &Selection,
        effect: MissingEffect,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<Vec<Adopted>> {
        let start = match statement {
            Some(number) => Start::Statement(number),
            None if version.digits() == "0" => Start::Nothing,
            None => Start::Version,
        };
        self.adopt(
            selection,
            patience,
            observer,
            &|migration, current| {
                migration.version <= *version
                    && current.is_none_or(|entry| entry.state == EntryState::Started)
            },
            version,
            (start, effect),
        )
    }

    /// Accepts the text of a file that was edited after it ran.
    ///
    /// # Errors
    /// An unknown version; [`ProjectError::NotThere`]; SQLite's.
    pub fn adopt_text(
        &self,
        version: &Version,
        selection: &Selection,
        effect: MissingEffect,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<Vec<Adopted>> {
        self.adopt(
            selection,
            patience,
            observer,
            &|migration, current| {
                migration.version == *version
                    && current.is_some_and(|entry| entry.forgiving != migration.checksum.forgiving)
            },
            version,
            (Start::Version, effect),
        )
    }

    fn adopt(
        &self,
        selection: &Selection,
        patience: Patience,
        observer: &dyn Observer,
        wanted: &dyn Fn(&Migration, Option<&ledger::Entry>) -> bool,
        version: &Version,
        (start, effect): (Start, MissingEffect),
    ) -> Result<Vec<Adopted>> {
        let targets = self.selected(selection)?;
        if start != Start::Nothing {
            super::require_version(&targets, version)?;
        }
        let _lock = self.begin(patience, observer)?;
        self.refuse_in_deploy()?;
        let mut adopted = Vec::new();
        for target in &targets.targets {
            for database in target.paths(&self.config.data)? {
                let path = self.config.data.join(&database);
                if databases::open_to_read(&path, &self.config)?.is_none() {
                    return Err(DatabaseError::Missing { path }.into());
                }
                let migrations = self.write_adoption(target, &path, wanted, (start, effect))?;
                adopted.push(Adopted { database, migrations });
            }
        }
        Ok(adopted)
    }

    fn write_adoption(
        &self,
        target: &Target,
        path: &Path,
        wanted: &dyn Fn(&Migration, Option<&ledger::Entry>) -> bool,
        (start, effect): (Start, MissingEffect),
    ) -> Result<Vec<String>> {
        let failed = || database::failed("write the ledger of", path);
        let mut connection =
            database::open_to_commit(path, Access::Write, self.config.busy_timeout)?;
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed())?;
        ledger::create(&transaction).map_err(ledger::failed("write the ledger of", path))?;
        let entries =
            ledger::read(&transaction).map_err(ledger::failed("read the ledger of", path))?;
        let rows = ledger::current(&entries);
        let current = |migration: &Arc<Migration>| rows.get(&migration.version).copied();
        let hash = schema_hash(&transaction).map_err(failed())?;
        let mut titles = Vec::new();
        let chosen: Vec<&Arc<Migration>> = target
            .migrations
            .iter()
            .filter(|migration| wanted(migration, current(migration)))
            .collect();
        let lacks = lacks(&transaction, target, path, &entries, &chosen)?;
        let half = match (start, chosen.last()) {
            (Start::Statement(number), Some(last)) => Some((half_run(last, number)?, number)),
            _ => None,
        };
        let is_half =
            |migration: &Migration| half.as_ref().is_some_and(|it| it.0 == migration.version);
        let named: Vec<String> = chosen
            .iter()
            .filter(|migration| !is_half(migration))
            .filter_map(|it| Some(format!("`{}`:\n{}", it.title(), lacks.get(&it.version)?.lines)))
            .collect();
        if effect == MissingEffect::Refuse && !named.is_empty() {
            return Err(ProjectError::NotThere { missing: named.join("\n") }.into());
        }
        for migration in chosen {
            let mut row = record::entry(migration, (self.world.clock)(), None);
            titles.push(migration.title());
            if let Some((_, number)) = half.as_ref().filter(|_| is_half(migration)) {
                row.statements = i64::try_from(*number).unwrap_or(i64::MAX);
                row.state = EntryState::Started;
                row.witness = Witness::Adopted;
                let written = match current(migration) {
                    Some(begun) => ledger::set_progress(&transaction, begun.id, row.statements),
                    None => ledger::insert(&transaction, &row).map(drop),
                };
                written.map_err(failed())?;
                continue;
            }
            row.state = EntryState::Recorded;
            row.witness = Witness::Adopted;
            if let Some(missing) = lacks.get(&migration.version) {
                row.objects = missing.objects.iter().cloned().collect::<Vec<_>>().join("\n");
            }
            // What is drift stays drift: the schema is what a run left only if nothing is missing.
            if lacks.is_empty() {
                row.schema_hash.clone_from(&hash);
            }
            ledger::insert(&transaction, &row).map_err(failed())?;
        }
        if start == Start::Nothing && titles.is_empty() && entries.is_empty() {
            // The ledger itself says from now on that nothing of the history ran.
            ledger::insert(&transaction, &record::baseline((self.world.clock)(), &hash))
                .map_err(failed())?;
            titles.push(ledger::BASELINE.into());
        }
        transaction.commit().map_err(failed())?;
        Ok(titles)
    }
}

/// The version of a file of which a statement was the last one that ran.
fn half_run(migration: &Migration, number: usize) -> Result<Version> {
    let count = migration.statements().len();
    if number < count {
        return Ok(migration.version.clone());
    }
    let reason =
        format!("`{}` has {count} statements, and this says that {number} ran", migration.title());
    Err(ProjectError::Setting { name: "--at".into(), reason }.into())
}

/// What the schema lacks of what is done, and of what a person says is done.
fn lacks(
    connection: &Connection,
    target: &Target,
    path: &Path,
    entries: &[ledger::Entry],
    chosen: &[&Arc<Migration>],
) -> Result<BTreeMap<Version, Missing>> {
    let mut entries = entries.to_vec();
    for entry in &mut entries {
        let accepted = chosen.iter().find(|migration| migration.version == entry.version);
        if let Some(migration) = accepted.filter(|_| entry.kind == ledger::EntryKind::Sql) {
            entry.text.clone_from(&migration.text);
            entry.forgiving.clone_from(&migration.checksum.forgiving);
        }
    }
    let mut found = plan::missing(connection, path, &target.migrations, &entries)?;
    found.retain(|version, _| {
        chosen.iter().any(|migration| migration.version == *version)
            || entries.iter().any(|entry| entry.version == *version)
    });
    Ok(found)
}

/// What a person says ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Nothing of the history.
    Nothing,
    /// Of the last version, this statement was the last one that ran; what lies before it is done.
    Statement(usize),
    /// What lies up to a version, or one version.
    Version,
}
