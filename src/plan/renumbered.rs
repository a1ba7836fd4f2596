//! Files that ran under other numbers: renumbered in a merge, split in two, squashed into one.
//!
//! What ran and is among the files no more is compared with the files that the ledger does not have: by
//! its statements, or else by the schema that both make. Nothing is recorded here: a person does that.

use super::{
    finding::{Finding, Severity},
    model::{Assessment, State},
    order::{Unit, units},
    pieces,
    replay::replay_over,
    timeline::Key,
};
use crate::{
    Result, database,
    history::{Migration, Version},
    ledger::{self, BaseObject, Entry, EntryState, Witness},
    schema::{Introspector, Schema},
    sql::{Class, class, classify, fold},
};
use rusqlite::Connection;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// So many files at most are tried as the last one of those that were squashed: each trial is a replay.
const TRIED: usize = 8;

/// So many files at most are looked at for that.
const LOOKED_AT: usize = 256;

/// What ran, and the files that are the same.
pub struct Group {
    /// What ran.
    ran: Vec<Unit>,
    /// The files.
    files: Vec<Arc<Migration>>,
    /// By what they are the same.
    sameness: Sameness,
}

/// By what files are the same as what ran.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sameness {
    /// They have the same statements.
    Text,
    /// They make the same schema.
    Schema,
}

/// What was recognised on one database.
#[derive(Default)]
pub struct Renumbered {
    /// What is the same.
    pub groups: Vec<Group>,
    /// Files up to which the schema is the same each time: a person has to say which one it is.
    pub choices: Vec<Arc<Migration>>,
}

/// What is compared.
pub struct Scene<'a> {
    /// The files.
    pub migrations: &'a [Arc<Migration>],
    /// The rows of the ledger.
    pub entries: &'a [Entry],
    /// The live schema.
    pub live: &'a Schema,
    /// The objects that no migration made, where the ledger has them.
    pub base: Option<&'a [BaseObject]>,
    /// The last file that is the same, where a person says it.
    pub last: Option<&'a Version>,
}

/// The rows that say of files that they ran under other numbers; none where nothing is recognised.
///
/// # Errors
/// SQLite's, with the database's path.
pub fn renumbered(
    connection: &Connection,
    path: &Path,
    migrations: &[Arc<Migration>],
    entries: &[Entry],
    (last, started): (Option<&Version>, &str),
) -> Result<Vec<Entry>> {
    let live = Introspector::default().read(connection).map_err(database::failed("read", path))?;
    let base = ledger::read_base(connection).map_err(ledger::failed("read the ledger of", path))?;
    let scene = Scene { migrations, entries, live: &live, base: base.as_deref(), last };
    Ok(Renumbered::find(&scene)?.rows(entries, started))
}

impl Renumbered {
    /// Compares what ran and is gone with the files that did not run.
    ///
    /// # Errors
    /// SQLite's on the scratch database.
    pub fn find(scene: &Scene<'_>) -> Result<Self> {
        let all = units(scene.migrations, scene.entries)?;
        let is_gone =
            |unit: &&Unit| unit.is_in_ledger() && (unit.file.is_none() || unit.is_divergent());
        let gone: Vec<&Unit> = all.iter().filter(is_gone).collect();
        let fresh = |unit: &Unit| {
            let is_new = unit.entry.is_none() || unit.is_in_ledger() && unit.is_divergent();
            unit.file.clone().filter(|_| is_new)
        };
        let mut files: Vec<Arc<Migration>> = all.iter().filter_map(fresh).collect();
        files.sort_by(|a, b| a.version.cmp(&b.version));
        if gone.is_empty() || files.is_empty() {
            return Ok(Self::default());
        }
        let mut found = Self { groups: same_texts(&gone, &files), choices: Vec::new() };
        let known = |version: &Version| {
            found.groups.iter().any(|it| it.ran.iter().any(|unit| unit.version == *version))
        };
        let gone: Vec<&Unit> = gone.into_iter().filter(|unit| !known(&unit.version)).collect();
        let used: BTreeSet<Version> = found.files().map(|file| file.version.clone()).collect();
        files.retain(|file| !used.contains(&file.version));
        found.by_schema(scene, &all, &gone, &files)?;
        Ok(found)
    }

    /// Whether files replace all that is gone: together they make the same schema.
    fn by_schema(
        &mut self,
        scene: &Scene<'_>,
        all: &[Unit],
        gone: &[&Unit],
        files: &[Arc<Migration>],
    ) -> Result<()> {
        // Files that were only edited are compared with nothing else: each trial is a replay.
        let is_lost = |unit: &&Unit| unit.file.is_none() || pieces::is_another(unit);
        if files.is_empty() || !gone.iter().any(is_lost) {
            return Ok(());
        }
        let is_possible = |count: &usize| is_possible(gone, &files[..*count], scene.live);
        let counts: Vec<usize> =
            (1..=files.len().min(LOOKED_AT)).filter(is_possible).take(TRIED).collect();
        if counts.is_empty() {
            return Ok(());
        }
        let Some(wanted) = end_of(all, scene)? else { return Ok(()) };
        let numbers: BTreeSet<&Version> = gone.iter().map(|unit| &unit.version).collect();
        let mut possible = Vec::new();
        for count in [0].into_iter().chain(counts) {
            let group = Group {
                ran: gone.iter().copied().cloned().collect(),
                files: files[..count].to_vec(),
                sameness: Sameness::Schema,
            };
            if end_with(&group, self, all, scene)?.as_ref() != Some(&wanted) {
                continue;
            }
            let same_numbers =
                group.files.iter().map(|file| &file.version).eq(numbers.iter().copied());
            // Without any of the files the schema is the same, so it tells nothing; or the files were
            // only edited.
            if count == 0 || same_numbers {
                return Ok(());
            }
            possible.push(group);
        }
        let chosen = match scene.last {
            Some(last) => possible
                .into_iter()
                .find(|it| it.files.last().is_some_and(|file| file.version == *last)),
            None if possible.len() > 1 => {
                let last = |group: &Group| group.files.last().cloned();
                self.choices = possible.iter().filter_map(last).collect();
                None
            }
            None => possible.pop(),
        };
        self.groups.extend(chosen);
        Ok(())
    }

    fn files(&self) -> impl Iterator<Item = &Arc<Migration>> {
        self.groups.iter().flat_map(|group| &group.files)
    }

    /// The rows that say it, with the numbers that they would get.
    pub fn rows(&self, entries: &[Entry], started: &str) -> Vec<Entry> {
        let next = entries.iter().map(|entry| entry.id).max().unwrap_or(0) + 1;
        let rows = self.groups.iter().flat_map(|group| group.rows(entries, started));
        (next..).zip(rows).map(|(id, row)| Entry { id, ..row }).collect()
    }

    /// Marks the files among the assessments, and says what was recognised.
    pub fn tell(&self, assessments: &mut [Assessment]) -> Vec<Finding> {
        let files: BTreeSet<&Version> = self.files().map(|file| &file.version).collect();
        for found in assessments.iter_mut().filter(|it| it.state == State::Applied) {
            if files.contains(&found.version) {
                found.state = State::Renumbered;
            }
        }
        let mut findings: Vec<Finding> = self.groups.iter().map(Group::finding).collect();
        if let Some(last) = self.choices.last() {
            let titles: Vec<String> = self.choices.iter().map(|it| it.title()).collect();
            let message = format!(
                "what ran here was put into other files, and the schema is the same after each of `{}`",
                titles.join("`, `")
            );
            findings.push(Finding::new("renumbered", Severity::Denied, message).about(&last.title()).hint(
                "say which file is the last one that ran here in other files: `piton adopt --renumbered VERSION`",
            ));
        }
        findings
    }
}

impl Group {
    fn rows(&self, entries: &[Entry], started: &str) -> Vec<Entry> {
        let ran = self.ran.iter().flat_map(|unit| ledger::rows_of(entries, &unit.version));
        let ran: Vec<&Entry> = ran.collect();
        let row = |file: &Arc<Migration>| {
            let mut row = Entry::of(file, started.into());
            row.state = EntryState::Recorded;
            row.witness = Witness::Renumbered;
            row.replace(&ran);
            row
        };
        self.files.iter().map(row).collect()
    }

    fn finding(&self) -> Finding {
        let list = |titles: Vec<String>| format!("`{}`", titles.join("`, `"));
        let ran = list(self.ran.iter().map(Unit::ran_title).collect());
        let files = list(self.files.iter().map(|file| file.title()).collect());
        let verb = if self.files.len() == 1 { "is" } else { "are" };
        let message = match self.sameness {
            Sameness::Text => format!("{files} {verb} what ran here as {ran}"),
            Sameness::Schema => format!(
                "{files} {verb} in place of {ran}, which ran here: the schema is the same. What either does to \
                 rows is not compared"
            ),
        };
        let finding = Finding::new("renumbered", Severity::Denied, message);
        let first = self.files.first().map(|file| file.title()).unwrap_or_default();
        finding
            .about(&first)
            .hint("record that without running anything: `piton adopt --renumbered`")
    }
}

fn same_texts(gone: &[&Unit], files: &[Arc<Migration>]) -> Vec<Group> {
    let ran: Vec<_> =
        gone.iter().map(|it| it.entry.as_ref().map(pieces::of_entry).unwrap_or_default()).collect();
    let new: Vec<_> = files.iter().map(|file| pieces::of_file(file)).collect();
    let group = |(ran, used): (std::ops::Range<usize>, Vec<usize>)| Group {
        ran: gone[ran].iter().copied().cloned().collect(),
        files: used.into_iter().map(|file| files[file].clone()).collect(),
        sameness: Sameness::Text,
    };
    // A file that was edited in its comments alone keeps its number.
    let is_moved = |group: &Group| {
        !group.ran.iter().map(|unit| &unit.version).eq(group.files.iter().map(|file| &file.version))
    };
    pieces::same(&ran, &new).into_iter().map(group).filter(is_moved).collect()
}

/// Whether files can make what ran, by the names in them: they are about some of its objects, and leave no
/// object that the database does not have. What is possible is tried.
fn is_possible(gone: &[&Unit], files: &[Arc<Migration>], live: &Schema) -> bool {
    let mut left: BTreeSet<String> = BTreeSet::new();
    let mut words: BTreeSet<String> = BTreeSet::new();
    for text in files.iter().flat_map(|file| definitions(file)) {
        words.extend(class::mentions(text));
        let is_creation =
            class::first_word(text).is_some_and(|it| it.eq_ignore_ascii_case("create"));
        match (class::renamed_table(text), class::defined_object(text)) {
            (Some((old, new)), _) => {
                left.remove(&old);
                left.insert(new);
            }
            (None, Some((_, name))) if is_creation => drop(left.insert(name)),
            (None, Some((_, name))) if fold(text.get(..4).unwrap_or_default()) == "drop" => {
                left.remove(&name);
            }
            _ => {}
        }
    }
    let is_about =
        |text: &str| class::defined_object(text).is_some_and(|(_, it)| words.contains(&it));
    gone.iter().flat_map(|unit| definitions(&unit.replayed)).any(is_about)
        && left.iter().all(|name| live.has_name(name))
}

/// The statements of a file that define something.
fn definitions(file: &Migration) -> impl Iterator<Item = &str> {
    let statements = file.statements().iter().filter(|statement| !statement.repeats);
    statements
        .map(|statement| statement.text(&file.text))
        .filter(|text| classify(text) == Class::Definition)
}

/// The facts after all that the ledger has, with the files of a group in place of what ran; none where
/// SQLite refuses any of it.
fn end_with(
    group: &Group,
    others: &Renumbered,
    all: &[Unit],
    scene: &Scene<'_>,
) -> Result<Option<BTreeMap<Key, Arc<str>>>> {
    let is_other = |unit: &Unit| {
        others.groups.iter().any(|it| it.ran.iter().any(|ran| ran.version == unit.version))
    };
    let mut units: Vec<Unit> = Vec::new();
    for unit in all.iter().filter(|unit| unit.is_in_ledger()) {
        let is_replaced = |ran: &Unit| ran.version == unit.version && !is_other(unit);
        if !group.ran.iter().any(is_replaced) {
            units.push(unit.clone());
        } else if group.ran.first().is_some_and(is_replaced) {
            units.extend(group.files.iter().map(|file| Unit {
                version: file.version.clone(),
                title: file.title(),
                file: Some(file.clone()),
                replayed: file.clone(),
                entry: unit.entry.clone(),
            }));
        }
    }
    end_of(&units, scene)
}

/// The facts after all that the ledger has; none where SQLite refuses any of it.
fn end_of(units: &[Unit], scene: &Scene<'_>) -> Result<Option<BTreeMap<Key, Arc<str>>>> {
    let done: Vec<Unit> = units.iter().filter(|unit| unit.is_in_ledger()).cloned().collect();
    let (timeline, _) = replay_over(&done, scene.live, scene.base)?;
    let works = timeline.steps.iter().all(|step| step.problem.is_none());
    Ok(works.then(|| timeline.facts_at(timeline.steps.len())))
}
