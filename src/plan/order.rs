//! The order in which a history is replayed for one database: what the ledger has, in the order
//! in which it ran there, then the rest by version.

use crate::{
    Result,
    error::HistoryError,
    history::{Body, Migration, Version},
    ledger::{Entry, EntryKind, EntryState},
};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// One migration as it takes part in a replay.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its version.
    pub version: Version,
    /// Its file name.
    pub title: String,
    /// The file in the migrations folder; none where it is missing.
    pub file: Option<Arc<Migration>>,
    /// What is replayed: the text that ran, where the ledger has one, else the file.
    pub replayed: Arc<Migration>,
    /// Its row in the ledger.
    pub entry: Option<Entry>,
}

impl Unit {
    /// Whether the ledger says that it is done.
    #[must_use]
    pub fn is_in_ledger(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.state != EntryState::Started)
    }

    /// Whether the file differs from what ran, beyond line ends and trailing spaces.
    #[must_use]
    pub fn is_divergent(&self) -> bool {
        match (&self.file, &self.entry) {
            (Some(file), Some(entry)) => entry.forgiving != file.checksum.forgiving,
            _ => false,
        }
    }
}

/// The row that counts for each version: the newest one.
pub fn current_entries(entries: &[Entry]) -> BTreeMap<Version, Entry> {
    entries
        .iter()
        .filter(|entry| entry.kind != EntryKind::Operation)
        .map(|entry| (entry.version.clone(), entry.clone()))
        .collect()
}

/// The row of the first run of each version: what was accepted or healed since keeps its place.
fn first_rows(entries: &[Entry]) -> BTreeMap<Version, i64> {
    let mut first = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.kind != EntryKind::Operation) {
        first.entry(entry.version.clone()).or_insert(entry.id);
    }
    first
}

/// The units of a history on one database.
///
/// # Errors
/// [`HistoryError`] where a text in the ledger has a wrong header, which piton never wrote.
pub fn units(migrations: &[Arc<Migration>], entries: &[Entry]) -> Result<Vec<Unit>> {
    let mut rows = current_entries(entries);
    let first = first_rows(entries);
    let mut done = Vec::new();
    let mut rest = Vec::new();
    for file in migrations {
        let entry = rows.remove(&file.version);
        // Recorded now, it would count as edited as soon as somebody writes into it.
        if entry.is_none() && file.is_blank() {
            continue;
        }
        let unit = Unit {
            version: file.version.clone(),
            title: file.title(),
            replayed: replayed(file, entry.as_ref())?,
            file: Some(file.clone()),
            entry,
        };
        if unit.is_in_ledger() { done.push(unit) } else { rest.push(unit) }
    }
    for (version, entry) in rows {
        let title = missing_title(&entry);
        let path = PathBuf::from(&title);
        let text = if entry.kind == EntryKind::Sql { entry.text.clone() } else { String::new() };
        let replayed = Arc::new(Migration::from_sql(version.clone(), &entry.name, &path, text)?);
        done.push(Unit { version, title, file: None, replayed, entry: Some(entry) });
    }
    done.sort_by_key(|unit| first.get(&unit.version).copied());
    rest.sort_by(|a, b| a.version.cmp(&b.version));
    done.append(&mut rest);
    Ok(done)
}

fn missing_title(entry: &Entry) -> String {
    let name = if entry.name.is_empty() { String::new() } else { format!("_{}", entry.name) };
    let extension = if entry.kind == EntryKind::Sql { ".sql" } else { "" };
    format!("{}{name}{extension}", entry.version)
}

fn replayed(file: &Arc<Migration>, entry: Option<&Entry>) -> Result<Arc<Migration>> {
    let Some(entry) = entry else { return Ok(file.clone()) };
    let same = entry.forgiving == file.checksum.forgiving;
    if same || entry.kind != EntryKind::Sql || !matches!(file.body, Body::Sql(_)) {
        return Ok(file.clone());
    }
    let (version, text) = (file.version.clone(), entry.text.clone());
    match Migration::from_sql(version, &file.name, &file.path, text) {
        Ok(migration) => Ok(Arc::new(migration)),
        // A header that an older version accepted says nothing about the schema.
        Err(crate::Error::History(HistoryError::Directive { .. })) => Ok(file.clone()),
        Err(error) => Err(error),
    }
}
