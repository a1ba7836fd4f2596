//! `restore --only app.db:orders`: single tables out of a backup.

use super::{
    Outcome, Project, Source,
    logbook::{self, Note},
};
use crate::{
    Error, Result, disk,
    error::TableError,
    event::{Event, Observer},
    format,
    lock::Patience,
    offsite, records,
    restore::{self, TableFate, Tables, TablesPreview, TablesRequest},
    store::{Backup, BackupId, Reason},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a restore of tables would do, or did.
#[derive(Debug)]
pub struct TablesReport {
    /// Whether there is anything to do: the tables may be as the backup has them.
    pub outcome: Outcome,
    /// The backup.
    pub backup: Backup,
    /// The tables.
    pub tables: Tables,
    /// What it would change, or has changed.
    pub preview: TablesPreview,
    /// The backup of the state before; nothing where only the preview was asked for.
    pub safety: Option<BackupId>,
    /// What undoes it, once it is done.
    pub way_back: Option<String>,
    /// What was copied off the machine.
    pub offsite: Option<offsite::Report>,
}

impl Project {
    /// What a restore of single tables would change; nothing where the patterns mean paths.
    ///
    /// # Errors
    /// A backup that cannot be found or read; those of [`restore::chosen_tables`] and
    /// [`restore::preview_tables`].
    pub fn preview_tables(
        &self,
        source: &Source,
        only: &[String],
        observer: &dyn Observer,
    ) -> Result<Option<TablesReport>> {
        if !only.iter().any(|text| text.contains(':')) {
            return Ok(None);
        }
        let found = self.source(source)?;
        let store = self.store();
        let backup = store.unseal(&found)?.into_owned();
        let Some(tables) = restore::chosen_tables(only, &backup)? else { return Ok(None) };
        self.settle(observer)?;
        let preview = self
            .with_tables(&backup, &tables, |request| restore::preview_tables(request, observer))?;
        let outcome = match preview.changes_nothing() {
            true => Outcome::NothingToDo,
            false => Outcome::Done,
        };
        let (safety, way_back, offsite) = (None, None, None);
        Ok(Some(TablesReport { outcome, backup, tables, preview, safety, way_back, offsite }))
    }

    /// Restores the tables of a preview after a safety backup. It stops if the tables have changed since.
    ///
    /// # Errors
    /// Those of [`restore::restore_tables`] and of a backup; the data is unchanged then.
    pub fn restore_tables_previewed(
        &self,
        previewed: TablesReport,
        patience: Patience,
        observer: &dyn Observer,
    ) -> Result<TablesReport> {
        let lock = self.begin(patience, observer)?;
        self.refuse_in_deploy()?;
        let started = (self.world.clock)();
        let taken = self.take_backup(Reason::Safety, None, observer)?;
        let safety = taken.backup.id().clone();
        let note = LastTables::new(started, &previewed, &safety);
        let result = self.exchange(&previewed, &note, observer);
        self.log_tables(started, &previewed, &safety, result.as_ref().err(), observer);
        let preview = result?;
        self.prune_after(Some(previewed.backup.id()), observer);
        drop(lock);
        let offsite = self.copy_after(Reason::Safety, observer);
        let way_back = Some(note.way());
        Ok(TablesReport { preview, safety: Some(safety), way_back, offsite, ..previewed })
    }

    /// The note comes first: after a crash an undo must not take an older restore for the last one.
    fn exchange(
        &self,
        previewed: &TablesReport,
        note: &LastTables,
        observer: &dyn Observer,
    ) -> Result<TablesPreview> {
        let data = &self.config.data;
        let before = read(data)?;
        write(data, note)?;
        let TablesReport { backup, tables, preview, .. } = previewed;
        let result = self.with_tables(backup, tables, |request| {
            restore::restore_tables(request, preview, observer)
        });
        if result.is_err() {
            match &before {
                Some(before) => write(data, before)?,
                None => disk::remove_file("last-tables-remove", &path(data)?)?,
            }
        }
        result
    }

    fn with_tables<T>(
        &self,
        backup: &Backup,
        tables: &Tables,
        act: impl FnOnce(&TablesRequest<'_>) -> Result<T>,
    ) -> Result<T> {
        act(&TablesRequest {
            data: &self.config.data,
            store: &self.store(),
            backup,
            tables,
            busy: self.config.busy_timeout,
            now: (self.world.clock)(),
        })
    }

    fn log_tables(
        &self,
        started: DateTime<Utc>,
        previewed: &TablesReport,
        safety: &BackupId,
        error: Option<&Error>,
        observer: &dyn Observer,
    ) {
        let outcome = error.map_or(Outcome::Done, |error| Outcome::Problem(error.kind()));
        if error.is_some_and(|error| !logbook::is_worth_noting(error.kind())) {
            return;
        }
        let about = format!("{} {}", previewed.backup.id(), previewed.tables.words());
        let note = Note {
            command: "restore",
            started,
            outcome,
            about: Some(about),
            backup: Some(safety),
            reason: error.map(ToString::to_string),
            log: None,
        };
        self.log(note, observer);
    }

    /// A restore of files is the last one now.
    pub(super) fn forget_tables(&self, observer: &dyn Observer) {
        let removed = path(&self.config.data)
            .and_then(|path| Ok(disk::remove_file("last-tables-remove", &path)?));
        if let Err(error) = removed {
            let text = format!("the note of an earlier restore of tables stays: {error}");
            observer.event(Event::Warning { text });
        }
    }

    /// Refuses an undo of files if tables were restored after them.
    pub(super) fn refuse_undo_of_tables(&self, last: Option<DateTime<Utc>>) -> Result<()> {
        match read(&self.config.data)? {
            // The time tells it too, if an interruption has left the note.
            Some(note) if last.is_none_or(|last| last <= note.started) => {
                let tables = note.tables.join("`, `");
                Err(TableError::Undo { tables, way: note.way_in_words() }.into())
            }
            _ => Ok(()),
        }
    }
}

/// The newest format of the note.
const FORMAT: u32 = 1;
const NAME: &str = "last-tables.json";

/// The note of the last restore of tables.
#[derive(Serialize, Deserialize)]
struct LastTables {
    #[serde(default = "format::first")]
    format: u32,
    started: DateTime<Utc>,
    /// The backup of the state before it.
    safety: BackupId,
    /// The tables with their database.
    tables: Vec<String>,
    /// The flags that name what undoes it.
    only: String,
    /// Whether all tables were there before; otherwise only the whole database goes back.
    whole: bool,
}

impl LastTables {
    fn new(started: DateTime<Utc>, previewed: &TablesReport, safety: &BackupId) -> Self {
        let Tables { database, tables } = &previewed.tables;
        let changes = &previewed.preview.tables;
        let whole = changes.iter().any(|table| table.change == TableFate::Created);
        let only = match whole {
            true => format!("--only /{database}"),
            false => previewed.tables.words(),
        };
        let tables = tables.iter().map(|table| format!("{database}:{table}")).collect();
        Self { format: FORMAT, started, safety: safety.clone(), tables, only, whole }
    }

    fn way(&self) -> String {
        format!("piton restore {} {}", self.safety, self.only)
    }

    fn way_in_words(&self) -> String {
        let way = self.way();
        match self.whole {
            true => format!("`{way}` restores the whole database as it was before"),
            false => format!("`{way}` restores the rows that were there before"),
        }
    }
}

fn path(data: &Path) -> Result<std::path::PathBuf> {
    Ok(records::folder(data)?.join(NAME))
}

fn read(data: &Path) -> Result<Option<LastTables>> {
    let path = path(data)?;
    let Some(json) = records::read(&path)? else { return Ok(None) };
    match format::parse(&json, FORMAT, &path, Error::Internal) {
        Err(newer @ Error::Newer { .. }) => Err(newer),
        // One that is malformed says nothing.
        other => Ok(other.ok()),
    }
}

fn write(data: &Path, note: &LastTables) -> Result<()> {
    let text = serde_json::to_vec_pretty(note)
        .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
    let path = records::make_folder(data)?.join(NAME);
    Ok(disk::write_atomic("last-tables", &path, disk::PRIVATE_FILE, &text)?)
}
