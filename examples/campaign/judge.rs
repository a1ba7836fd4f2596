//! Holds what an interrupted command left to the invariants.

use crate::{
    archive,
    files::{copy_folder, names},
    project::{Ended, Project},
    scenario::{Kind, Scenario, archives},
    setup::SCRIPTED,
    state::State,
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// What became of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Old,
    New,
    /// Only of a run: some databases are further than others.
    Between,
}

impl Outcome {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
            Self::Between => "between",
        }
    }
}

/// Judges trials; it remembers archives that it has read.
pub struct Judge {
    scratch: PathBuf,
    read: HashMap<Vec<u8>, BTreeMap<String, String>>,
}

type Judged<T> = Result<T, String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Judge {
    pub fn new(scratch: &Path) -> Self {
        Self { scratch: scratch.into(), read: HashMap::new() }
    }

    /// Judges what a command left that ended so; `choice` picks the way on from there.
    ///
    /// The error says which invariant does not hold.
    pub fn judge(
        &mut self,
        scenario: &Scenario,
        place: &Project,
        ended: &Ended,
        choice: u64,
    ) -> Judged<Outcome> {
        if matches!(scenario.kind, Kind::Restore | Kind::Undo | Kind::Recover) {
            whole_files(scenario, &State::read(&place.data(), &self.scratch))?;
        }
        self.type_again(scenario, place, ended, choice)?;
        let found = State::read(&place.data(), &self.scratch);
        let outcome = outcome(scenario, &found)?;
        let acknowledged = ended.code == Some(0) && scenario.kind != Kind::Recover;
        if acknowledged && found != scenario.new {
            let difference = found.difference(&scenario.new).unwrap_or_default();
            return Err(format!("it was acknowledged and is {}: {difference}", outcome.word()));
        }
        self.backups(scenario, place, choice)?;
        if outcome == Outcome::New && !matches!(scenario.kind, Kind::Backup | Kind::Prune) {
            self.old_is_reachable(scenario, place, ended)?;
        }
        if acknowledged && scenario.kind == Kind::Backup {
            self.require_backup_of(&scenario.old, place)?;
        }
        self.go_on(scenario, place, outcome, choice)?;
        place.run("backup").map_err(text)?.expect(0, "a backup at the end")?;
        self.backups(scenario, place, choice)?;
        leftovers(place)?;
        Ok(outcome)
    }

    /// What is typed next: the same command or `recover`. A killed deploy is first looked at as it is.
    fn type_again(
        &self,
        scenario: &Scenario,
        place: &Project,
        ended: &Ended,
        choice: u64,
    ) -> Judged<()> {
        let is_same = ended.code.is_none() && (choice / 4).is_multiple_of(2);
        match scenario.kind {
            Kind::Deploy => self.enter_deploy(scenario, place, choice),
            Kind::Restore | Kind::Undo if is_same => {
                place.run(&scenario.words).map_err(text)?.expect(0, "the same command again")?;
                self.require(&scenario.new, place, "the same command again")
            }
            _ => place.run("recover").map_err(text)?.expect(0, "`recover`").map(drop),
        }
    }

    /// The same deploy again, and what its refusal names.
    fn enter_deploy(&self, scenario: &Scenario, place: &Project, choice: u64) -> Judged<()> {
        outcome(scenario, &State::read(&place.data(), &self.scratch))?;
        let run = |words: &str| place.run(words).map_err(text);
        let again = run(&scenario.words)?;
        if again.code != Some(4) || !again.output.contains("piton deploy --resume") {
            again.expect(0, "the deploy again")?;
            return self.require(&scenario.new, place, "the deploy again");
        }
        if choice.is_multiple_of(2) {
            run("deploy --yes --resume")?.expect(0, "the deploy resumed")?;
            return self.require(&scenario.new, place, "the deploy resumed");
        }
        run("deploy --yes --abort")?.expect(11, "the deploy given up")?;
        self.require(&scenario.old, place, "the deploy given up")?;
        run(&scenario.words)?.expect(0, "the deploy after one that was given up")?;
        self.require(&scenario.new, place, "the deploy after one that was given up")
    }

    /// Holds the state that a command left to the code with which it ended, before anything else
    /// is done about it.
    pub fn code(&self, scenario: &Scenario, place: &Project, ended: &Ended) -> Judged<()> {
        let found = State::read(&place.data(), &self.scratch);
        match ended.code {
            Some(0) => Ok(()),
            // The state before a recovery is half a restore, and so is what a failed one leaves.
            Some(5 | 7) if scenario.kind == Kind::Recover => says_why(ended),
            Some(7) => says_why(ended),
            Some(12..=14) if scenario.kind == Kind::Deploy => says_why(ended),
            Some(2 | 4 | 5 | 6 | 9 | 10 | 11) => {
                says_why(ended)?;
                match found.difference(&scenario.old) {
                    None => Ok(()),
                    Some(difference) => Err(format!("everything is not as before: {difference}")),
                }
            }
            _ => Err("no such exit code is documented for that".into()),
        }
    }

    /// Back, or again, or both.
    fn go_on(
        &mut self,
        scenario: &Scenario,
        place: &Project,
        outcome: Outcome,
        choice: u64,
    ) -> Judged<()> {
        let again = || place.run(&scenario.words).map_err(text);
        match scenario.kind {
            Kind::Backup => {
                again()?.expect(0, "the backup run again")?;
                self.require(&scenario.old, place, "the backup run again")?;
                self.require_backup_of(&scenario.old, place)
            }
            Kind::Prune => {
                again()?.expect(0, "the prune run again")?;
                let left = archives(&place.backups());
                if left.iter().cloned().collect::<std::collections::BTreeSet<_>>() != scenario.kept
                {
                    return Err(format!("pruned again, {left:?} are left"));
                }
                self.require(&scenario.old, place, "the prune run again")
            }
            Kind::Restore => {
                if outcome == Outcome::New && choice.is_multiple_of(2) {
                    place.run("restore --undo --yes").map_err(text)?.expect(0, "the undo")?;
                    self.require(&scenario.old, place, "the undo")?;
                }
                again()?.expect(0, "the restore run again")?;
                self.require(&scenario.new, place, "the restore run again")
            }
            Kind::Undo => {
                again()?.expect(0, "the undo run again")?;
                self.require(&scenario.new, place, "the undo run again")
            }
            Kind::Recover => {
                again()?.expect(0, "the recovery run again")?;
                let state = if outcome == Outcome::New { &scenario.new } else { &scenario.old };
                self.require(state, place, "the recovery run again")
            }
            Kind::Deploy => {
                again()?.expect(0, "the deploy run again")?;
                self.require(&scenario.new, place, "the deploy run again")
            }
            Kind::Up => self.go_on_with_run(scenario, place, outcome, choice),
        }
    }

    /// After an interrupted run: back to where it began, or on to its end.
    fn go_on_with_run(
        &mut self,
        scenario: &Scenario,
        place: &Project,
        outcome: Outcome,
        choice: u64,
    ) -> Judged<()> {
        let back =
            |what: &str| place.run("rollback --yes --lose-rows").map_err(text)?.expect(0, what);
        let note = |project: &Project| fs::read(project.data().join(".piton/last-run.json")).ok();
        let begun = note(place) != note(&scenario.template);
        if outcome != Outcome::Old && !begun {
            return Err("data has changed and no run is noted".into());
        }
        let noted = String::from_utf8(note(place).unwrap_or_default()).map_err(text)?;
        if begun && !noted.contains("\"as-before\"") && choice.is_multiple_of(2) {
            back("the rollback of the interrupted run")?;
            self.require(&scenario.old, place, "the rollback of the interrupted run")?;
        }
        let mut again = place.run(&scenario.words).map_err(text)?;
        // A script that began and did not end: only going back is safe.
        if again.code == Some(4) && again.output.contains("rollback") {
            back("the rollback of the script")?;
            self.require(&scenario.old, place, "the rollback of the script")?;
            again = place.run(&scenario.words).map_err(text)?;
        }
        again.expect(0, "the run again")?;
        self.require(&scenario.new, place, "the run again")
    }

    fn require(&self, state: &State, place: &Project, what: &str) -> Judged<()> {
        let found = State::read(&place.data(), &self.scratch);
        match found.difference(state) {
            None if found.ledgers == state.ledgers => Ok(()),
            None => Err(format!("after {what} the ledgers differ: {:?}", found.ledgers)),
            Some(difference) => Err(format!("after {what} {difference}")),
        }
    }

    /// What bears the name of a backup is one, by itself and by piton.
    fn backups(&mut self, scenario: &Scenario, place: &Project, choice: u64) -> Judged<()> {
        for name in archives(&place.backups()) {
            let contents = self.contents(&place.backups().join(&name))?;
            if !is_known(scenario, contents) {
                return Err(format!("`{name}` holds a state that never was: {contents:?}"));
            }
        }
        if choice.is_multiple_of(8) && !archives(&place.backups()).is_empty() {
            place.run("verify --all").map_err(text)?.expect(0, "`verify --all`")?;
        }
        let listed = place.run("backups").map_err(text)?.expect(0, "`backups`")?;
        let damaged = |line: &&str| line.contains("damaged") || line.contains("missing");
        if let Some(line) = listed.output.lines().find(damaged) {
            return Err(format!("`backups`: {line}"));
        }
        if scenario.kind == Kind::Prune {
            let there = archives(&place.backups());
            if let Some(lost) = scenario.kept.iter().find(|name| !there.contains(name)) {
                return Err(format!("`{lost}` was to be kept and is gone"));
            }
        }
        Ok(())
    }

    /// Before a restore is acknowledged, and after it, the way back is there as a backup too.
    fn old_is_reachable(
        &mut self,
        scenario: &Scenario,
        place: &Project,
        ended: &Ended,
    ) -> Judged<()> {
        if ended.output.contains("no safety backup") {
            if scenario.words.contains("--undo") {
                // It is done once, and what it replaced is in the undo area alone.
                return Ok(());
            }
            let copy = place.at(&self.scratch.join("undone"));
            copy_folder(&place.folder, &copy.folder).map_err(text)?;
            copy.run("restore --undo --yes").map_err(text)?.expect(0, "the undo")?;
            return self.require(&scenario.old, &copy, "the undo");
        }
        self.require_backup_of(&scenario.old, place)
    }

    fn require_backup_of(&mut self, state: &State, place: &Project) -> Judged<()> {
        for name in archives(&place.backups()) {
            let contents = self.contents(&place.backups().join(name))?;
            if same(contents, state) {
                return Ok(());
            }
        }
        Err("no backup holds the state before".into())
    }

    fn contents(&mut self, path: &Path) -> Judged<&BTreeMap<String, String>> {
        let bytes = fs::read(path).map_err(text)?;
        let digest = Sha256::digest(&bytes).to_vec();
        if !self.read.contains_key(&digest) {
            let contents = archive::contents(path, &self.scratch)
                .map_err(|error| format!("`{}` does not unpack: {error}", path.display()))?;
            self.read.insert(digest.clone(), contents);
        }
        Ok(&self.read[&digest])
    }
}

fn says_why(ended: &Ended) -> Judged<()> {
    match ended.output.contains("error: ") {
        true => Ok(()),
        false => Err("it does not say what failed".into()),
    }
}

fn same(contents: &BTreeMap<String, String>, state: &State) -> bool {
    let state = state.contents();
    contents.len() == state.len()
        && contents
            .iter()
            .all(|(path, content)| state.get(path.as_str()) == Some(&content.as_str()))
}

/// A state of the scenario; of a run also one in which only some databases are done.
fn is_known(scenario: &Scenario, contents: &BTreeMap<String, String>) -> bool {
    let known = scenario.archived.contains(contents)
        || same(contents, &scenario.old)
        || same(contents, &scenario.new);
    known
        || (matches!(scenario.kind, Kind::Up | Kind::Deploy)
            && contents.iter().all(|(path, content)| {
                let is_of =
                    |state: &State| state.contents().get(path.as_str()) == Some(&content.as_str());
                // A backup may be of what a killed script had left.
                is_begun(path, content) || states(scenario).any(is_of)
            }))
}

fn states(scenario: &Scenario) -> impl Iterator<Item = &State> {
    [&scenario.old, &scenario.new].into_iter().chain(&scenario.between)
}

/// What a script was about to write when it was killed with the run: that it began is known, and that
/// it ended is not.
fn is_half_written(path: &str, content: &str, found: &State) -> bool {
    let mut states = found.ledgers.values().flat_map(BTreeMap::values);
    is_begun(path, content) && states.any(|state| state == "started")
}

/// Whether it is the file that the script writes, with nothing in it yet.
fn is_begun(path: &str, content: &str) -> bool {
    path == SCRIPTED && content == "file "
}

fn outcome(scenario: &Scenario, found: &State) -> Judged<Outcome> {
    // What stays the same is acknowledged as what is new.
    if *found == scenario.new {
        return Ok(Outcome::New);
    }
    if *found == scenario.old {
        return Ok(Outcome::Old);
    }
    if !matches!(scenario.kind, Kind::Up | Kind::Deploy) {
        let (old, new) = (found.difference(&scenario.old), found.difference(&scenario.new));
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        return Err(format!("neither old nor new: {old}; {new}"));
    }
    for (path, entry) in &found.entries {
        let applied = |state: &State| {
            let rows = state.ledgers.get(path).into_iter().flatten();
            rows.filter(|(_, state)| *state != "started")
                .map(|(version, _)| version.clone())
                .collect::<Vec<_>>()
        };
        let fits = |state: &State| {
            state.entries.get(path) == Some(entry) && applied(state) == applied(found)
        };
        if !states(scenario).any(fits) && !is_half_written(path, &entry.1, found) {
            let state = found.difference(&scenario.new).unwrap_or_default();
            return Err(format!("`{path}` stands within a migration: {state}"));
        }
    }
    Ok(Outcome::Between)
}

/// Whatever the order in which files are replaced, each name is one whole old or new file.
fn whole_files(scenario: &Scenario, found: &State) -> Judged<()> {
    let (old, new) = (scenario.old.contents(), scenario.new.contents());
    for (path, content) in found.contents() {
        let known = [old.get(path), new.get(path)];
        if !known.contains(&Some(&content)) && content != "folder" {
            return Err(format!("before the recovery `{path}` is neither old nor new"));
        }
    }
    let everywhere = old.keys().filter(|path| new.contains_key(*path));
    match everywhere.into_iter().find(|path| !found.entries.contains_key(**path)) {
        Some(path) => Err(format!("before the recovery `{path}` is not there")),
        None => Ok(()),
    }
}

/// Nothing stays but what is documented.
fn leftovers(place: &Project) -> Judged<()> {
    for name in names(&place.backups()) {
        let backup = [".tar.gz", ".json"].iter().any(|end| name.ends_with(end));
        if !backup && ![".lock", ".logbook.jsonl", "deploys"].contains(&name.as_str()) {
            return Err(format!("`backups/{name}` is left over"));
        }
    }
    let private = place.data().join(".piton");
    for name in names(&private) {
        if !["last-run.json", "undo", "deploy.json", "deploy.lock"].contains(&name.as_str()) {
            return Err(format!("`.piton/{name}` is left over"));
        }
    }
    for area in names(&private.join("undo")) {
        if !private.join("undo").join(&area).join("record.json").exists() {
            return Err(format!("the undo area `{area}` has no record"));
        }
    }
    Ok(())
}
