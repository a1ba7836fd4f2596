//! What a drill compares a backup with: earlier backups, drills that proved one, and the live database.

use super::{
    super::{Project, databases, targets},
    Alarm, Counts, DrillRecord, DrillReport, DrillResult,
    trend::{self, Group, Sample},
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

/// So many earlier backups show the trend.
const EARLIER: usize = 90;

impl Project {
    /// Compares tables and rows with those of earlier backups.
    pub(super) fn judge_counts(
        &self,
        store: &Store,
        data: &Path,
        counts: Counts,
        report: &mut DrillReport,
    ) -> Result<()> {
        let shadows = shadows(&report.backup, data);
        let patterns = self.patterns();
        let sample = |backup: &Backup| sample(backup, &patterns, &shadows);
        let now = sample(&report.backup);
        let drills = super::record::read(store)?;
        let earlier: Vec<Backup> = self.earlier(store, &report.backup, &drills)?;
        let samples: Vec<Sample> = earlier.iter().map(sample).collect();
        report.compared = samples.len();
        // The newest that counts.
        if let Some(base) = samples.first() {
            let found = trend::judge(&now, base, &samples, &self.config.drill.ignored);
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
        listed.truncate(EARLIER);
        let opened = listed.iter().filter_map(|it| store.unseal(it).ok());
        Ok(opened.map(std::borrow::Cow::into_owned).collect())
    }

    /// Targets that are patterns: their databases count together, since each comes and goes.
    fn patterns(&self) -> Vec<glob::Pattern> {
        let all = targets::read(&self.config).map(|it| it.targets).unwrap_or_default();
        let patterns = all.iter().filter_map(|target| match &target.databases {
            targets::Databases::Matching(pattern) => glob::Pattern::new(pattern).ok(),
            targets::Databases::Named(_) => None,
        });
        patterns.collect()
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

/// The tables in which virtual tables of the restored databases keep what they have: how many rows they
/// have is their own affair.
fn shadows(backup: &Backup, data: &Path) -> BTreeSet<(PathBuf, String)> {
    let mut all = BTreeSet::new();
    for record in &backup.manifest.databases {
        let Ok(copy) = store::open_copy(&record.path.below(data)) else { continue };
        let read = || -> rusqlite::Result<Vec<String>> {
            let sql =
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'";
            copy.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        let path = record.path.as_path();
        all.extend(read().unwrap_or_default().into_iter().map(|name| (path.to_path_buf(), name)));
    }
    all
}

fn sample(
    backup: &Backup,
    patterns: &[glob::Pattern],
    shadows: &BTreeSet<(PathBuf, String)>,
) -> Sample {
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
            if is_internal(table) || shadows.contains(&(path.to_path_buf(), table.clone())) {
                continue;
            }
            let sum = group.tables.entry(table.clone()).or_default();
            *sum = sum.saturating_add(*rows);
        }
    }
    sample
}
