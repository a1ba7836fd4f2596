//! What a drill compares a backup with: earlier backups, drills that proved one, and the live database.

use super::{
    super::{Project, databases, targets},
    Alarm, Counts, DrillRecord, DrillReport, DrillResult,
    trend::{self, Group, Rules, Sample},
};
use crate::{
    Result, disk, ledger,
    schema::is_internal,
    store::{self, Backup, Reason, Store},
};
use rusqlite::Connection;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// So many earlier backups show the trend, and of those before them the newest of each day.
const EARLIER: usize = 90;
/// So many in all.
const MOST: usize = 400;

impl Project {
    /// Compares tables and rows with those of earlier backups.
    pub(super) fn judge_counts(
        &self,
        store: &Store,
        data: &Path,
        counts: Counts,
        report: &mut DrillReport,
    ) -> Result<()> {
        let inner = Inner::of(&report.backup, data);
        let (patterns, named) = self.databases_by_name();
        let sample = |backup: &Backup| sample(backup, &patterns, &inner);
        let now = sample(&report.backup);
        let drills = super::record::read(store)?;
        let earlier: Vec<Backup> = self.earlier(store, &report.backup, &drills)?;
        let samples: Vec<Sample> = earlier.iter().map(sample).collect();
        report.compared = samples.len();
        // The newest that counts.
        if let Some(base) = samples.first() {
            let rules = Rules { ignored: &self.config.drill.ignored, named };
            let found = trend::judge(&now, base, &samples, &rules);
            report.notes.extend(found.notes);
            match counts {
                Counts::Judged => report.alarms.extend(found.alarms),
                Counts::Accepted => report
                    .notes
                    .extend(found.alarms.into_iter().map(|it| format!("accepted: {}", it.message))),
            }
        }
        if samples.is_empty() {
            report.notes.push("there is no earlier backup to compare the counts with".into());
        }
        let own = self.config.database.to_string_lossy();
        let is_bare = now.groups.get(&*own).is_some_and(|group| group.tables.is_empty());
        if is_bare && !report.alarms.iter().any(|alarm| alarm.code == "another-database") {
            let message = format!("`{own}` has no table");
            report.alarms.push(Alarm::new("empty", message));
        }
        let live = self.config.data.join(&self.config.database);
        let is_missing = !now.groups.contains_key(&*own) && disk::is_file(&live)?;
        if is_missing && !report.alarms.iter().any(|alarm| alarm.code == "database-gone") {
            let message = format!("`{own}` is not in it, and is in the data directory now");
            report.alarms.push(Alarm::new("database-gone", message));
        }
        if counts == Counts::Judged {
            self.judge_identity(data, report);
        }
        Ok(())
    }

    /// The backups before this one that count, the newest first.
    fn earlier(
        &self,
        store: &Store,
        backup: &Backup,
        drills: &[DrillRecord],
    ) -> Result<Vec<Backup>> {
        let mut listed = store.list()?.backups;
        listed.retain(|it| it.order() < backup.order() && it.manifest.reason != Reason::Safety);
        // A person has said that the counts of one are meant: those before it say nothing.
        let accepted = drills.iter().rfind(|it| it.accepted && it.result == DrillResult::Proved);
        if let Some(accepted) = accepted {
            let from = listed.iter().find(|it| *it.id() == accepted.backup).map(Backup::order);
            match from {
                _ if accepted.backup == *backup.id() => listed.clear(),
                Some(from) => listed.retain(|it| it.order() >= from),
                // It was pruned.
                None => listed.retain(|it| it.manifest.created > accepted.backup.taken()),
            }
        }
        // What a drill alarmed, and what was taken after it without a drill, is no measure.
        if let Some(proved) = last_proved(&listed, drills).map(Backup::order) {
            listed.retain(|it| it.order() <= proved);
        }
        // Hourly backups alone would not reach back to what happens once a month.
        let (mut count, mut day) = (0, None);
        listed.retain(|it| {
            let own = it.manifest.created.date_naive();
            let is_kept = count < EARLIER || day != Some(own);
            (count, day) = (count + 1, Some(own));
            is_kept
        });
        listed.truncate(MOST);
        let opened = listed.iter().filter_map(|it| store.unseal(it).ok());
        Ok(opened.map(std::borrow::Cow::into_owned).collect())
    }

    /// Targets that are patterns, whose databases count together, since each comes and goes; and the
    /// databases that are named.
    fn databases_by_name(&self) -> (Vec<glob::Pattern>, BTreeSet<String>) {
        let all = targets::read(&self.config).map(|it| it.targets).unwrap_or_default();
        let (mut patterns, mut named) = (Vec::new(), BTreeSet::new());
        named.insert(self.config.database.to_string_lossy().into_owned());
        for target in &all {
            match &target.databases {
                targets::Databases::Named(path) => {
                    named.insert(path.to_string_lossy().into_owned());
                }
                targets::Databases::Matching(pattern) => {
                    named.insert(pattern.clone());
                    patterns.extend(glob::Pattern::new(pattern));
                }
            }
        }
        (patterns, named)
    }

    /// Whether the live database has another schema than the backup.
    pub(super) fn has_moved_on(&self, database: &Path, report: &DrillReport) -> bool {
        let mut records = report.backup.manifest.databases.iter();
        let Some(record) = records.find(|it| it.path.as_path() == database) else { return false };
        let live = self.config.data.join(database);
        let live = databases::open_to_read(&live, &self.config).ok().flatten();
        live.and_then(|live| store::schema_hash(&live).ok())
            .is_some_and(|hash| hash != record.facts.schema_hash)
    }

    /// A ledger is written row after row: one that has no row in common with the live one is of another
    /// database.
    fn judge_identity(&self, data: &Path, report: &mut DrillReport) {
        for record in &report.backup.manifest.databases {
            let path = record.path.as_path();
            let rows = |connection: &Connection| -> BTreeSet<(String, String)> {
                let rows = ledger::read_brief(connection).unwrap_or_default().into_iter();
                rows.map(|row| (row.version.to_string(), row.started)).collect()
            };
            let Ok(then) = store::open_copy(&record.path.below(data)) else { continue };
            let then = rows(&then);
            let live = self.config.data.join(path);
            let Ok(Some(live)) = databases::open_to_read(&live, &self.config) else { continue };
            let now = rows(&live);
            if then.is_empty() || now.is_empty() || !then.is_disjoint(&now) {
                continue;
            }
            let message = format!(
                "`{}` is another database: its ledger has no row in common with the live one",
                record.path
            );
            report.alarms.push(Alarm::new("another-database", message));
        }
    }
}

fn last_proved<'a>(listed: &'a [Backup], drills: &[DrillRecord]) -> Option<&'a Backup> {
    let proved: BTreeSet<&str> = drills
        .iter()
        .filter(|it| it.result == DrillResult::Proved)
        .map(|it| it.backup.as_str())
        .collect();
    listed.iter().find(|it| proved.contains(it.id().as_str()))
}

/// Tables of the restored databases that are no tables of the application, each with its database.
#[derive(Default)]
struct Inner {
    /// Those in which virtual tables keep what they have: how many rows they have is their own affair.
    shadows: BTreeSet<(PathBuf, String)>,
    /// Ledgers of other tools: another number of rows says that migrations ran.
    ledgers: BTreeSet<(PathBuf, String)>,
}

impl Inner {
    fn of(backup: &Backup, data: &Path) -> Self {
        let mut inner = Self::default();
        for record in &backup.manifest.databases {
            let Ok(copy) = store::open_copy(&record.path.below(data)) else { continue };
            let shadows = || -> rusqlite::Result<Vec<String>> {
                let sql =
                    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'";
                copy.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
            };
            let path = record.path.as_path();
            let of = |name: String| (path.to_path_buf(), name);
            inner.shadows.extend(shadows().unwrap_or_default().into_iter().map(of));
            let ledgers = ledger::foreign(&copy).unwrap_or_default();
            inner.ledgers.extend(ledgers.into_iter().map(|it| of(it.table)));
        }
        inner
    }
}

fn sample(backup: &Backup, patterns: &[glob::Pattern], inner: &Inner) -> Sample {
    let manifest = &backup.manifest;
    let mut sample = Sample {
        id: Some(manifest.id.clone()),
        day: manifest.created.format("%Y-%m-%d").to_string(),
        ..Sample::default()
    };
    for record in &manifest.databases {
        let path = record.path.as_path();
        let pattern = patterns.iter().find(|pattern| pattern.matches_path(path));
        let name = pattern.map_or_else(|| record.path.to_string(), ToString::to_string);
        let group: &mut Group = sample.groups.entry(name).or_default();
        group.databases += 1;
        group.positions.insert(record.position.clone());
        for (table, rows) in &record.facts.rows {
            let key = (path.to_path_buf(), table.clone());
            if is_internal(table) || inner.shadows.contains(&key) {
                continue;
            }
            if inner.ledgers.contains(&key) {
                group.positions.insert(Some(format!("{table}: {rows}")));
                continue;
            }
            let sum = group.tables.entry(table.clone()).or_default();
            *sum = sum.saturating_add(*rows);
        }
    }
    sample
}
