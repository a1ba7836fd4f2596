//! The order in which a history is replayed for one database: what the ledger has, in the order
//! in which it ran there, then the rest by version.

use crate::{
    Result,
    error::HistoryError,
    history::{Body, Migration, Version},
    ledger::{self, Entry, EntryKind, EntryState},
};
use std::{path::PathBuf, sync::Arc};

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

    /// The name of the file that ran.
    #[must_use]
    pub fn ran_title(&self) -> String {
        self.entry.as_ref().map_or_else(|| self.title.clone(), missing_title)
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

/// The units of a history on one database.
///
/// # Errors
/// [`HistoryError`] where a text in the ledger has a wrong header, which piton never wrote.
pub fn units(migrations: &[Arc<Migration>], entries: &[Entry]) -> Result<Vec<Unit>> {
    let mut rows = ledger::current(entries);
    let places = ledger::places(entries);
    let mut done = Vec::new();
    let mut rest = Vec::new();
    for file in migrations {
        let entry = rows.remove(&file.version).cloned();
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
        let title = missing_title(entry);
        let path = PathBuf::from(&title);
        let text = if entry.kind == EntryKind::Sql { entry.text.clone() } else { String::new() };
        let replayed = Arc::new(Migration::from_sql(version.clone(), &entry.name, &path, text)?);
        done.push(Unit { version, title, file: None, replayed, entry: Some(entry.clone()) });
    }
    done.sort_by_key(|unit| (places.get(&unit.version).copied(), unit.version.clone()));
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
