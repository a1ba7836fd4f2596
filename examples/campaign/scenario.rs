//! Commands that are interrupted, each with the project it begins with and what it may leave.

use crate::{
    archive,
    calls::is_changing,
    files::{copy_folder, names},
    kill::Visitor,
    project::Project,
    setup::{self, Made, Pending},
    state::State,
    tracer::{Moment, Then},
};
use piton::rusqlite::Connection;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

/// What a command is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The data stays as it is.
    Backup,
    /// The data stays, and what is to be kept is kept.
    Prune,
    /// Every database stands between two migrations, with just their ledger rows.
    Up,
    /// The same; once the service was stopped, it is resumed or given up.
    Deploy,
    /// All old or all new; run again it is new.
    Restore,
    /// All old or all new; run again it would be another restore.
    Undo,
    /// All old or all new, whichever.
    Recover,
}

/// One command on one project.
pub struct Scenario {
    pub name: &'static str,
    pub words: String,
    pub kind: Kind,
    /// Its folder is the template, which is never changed.
    pub template: Project,
    pub old: State,
    pub new: State,
    /// The states between migrations that single databases may be in, besides old and new.
    pub between: Vec<State>,
    /// The contents that the template's backups have.
    pub archived: Vec<BTreeMap<String, String>>,
    /// The backups that are left by a whole run.
    pub kept: BTreeSet<String>,
    /// Who comes to the project while it is killed.
    pub visitor: Option<Visitor>,
}

impl Scenario {
    /// A project in a folder that ends with the scenario, as the template is.
    pub fn fresh(&self, folder: &Path) -> std::io::Result<Project> {
        copy_folder(&self.template.folder, folder)?;
        Ok(self.template.at(folder))
    }
}

/// Makes all scenarios below a folder.
pub fn all(piton: &Project, folder: &Path) -> Made<Vec<Scenario>> {
    let first = piton.at(&folder.join("lived"));
    setup::lived(&first)?;
    let id = single_backup(&first)?;
    let restore = format!("restore {id} --yes");
    let with = |name: &str, prepare: &dyn Fn(&Project) -> Made<()>| -> Made<Project> {
        let project = piton.at(&folder.join(name));
        copy_folder(&first.folder, &project.folder)?;
        prepare(&project)?;
        Ok(project)
    };
    let mut all = vec![make("backup", "backup", Kind::Backup, first.clone())?];
    for (name, pending) in
        [("up-one", Pending::One), ("up-two", Pending::Two), ("up-script", Pending::Script)]
    {
        let project = with(name, &|project| setup::pending(project, pending))?;
        all.push(make(name, "up", Kind::Up, project)?);
    }
    let deploy = with("deploy", &|project| setup::pending(project, Pending::Two))?;
    all.push(make("deploy", "deploy --yes", Kind::Deploy, deploy)?);
    all.push(make("restore", &restore, Kind::Restore, first.clone())?);
    let undo = with("undo", &|project| {
        project.run(&restore)?.expect(0, "the restore before an undo")?;
        Ok(())
    })?;
    all.push(make("undo", "restore --undo --yes", Kind::Undo, undo)?);
    let rollback = with("rollback", &|project| {
        setup::pending(project, Pending::Script)?;
        project.run("up")?.expect(0, "the run before a rollback")?;
        Ok(())
    })?;
    all.push(make("rollback", "rollback --yes --lose-rows", Kind::Undo, rollback)?);
    for (name, nth, failing) in RECOVERIES {
        let project = with(name, &|project| interrupted(project, &restore, *nth, *failing))?;
        let mut scenario = make(name, "recover", Kind::Recover, project)?;
        let whole = all.iter().find(|it| it.name == "restore").expect("it was made above");
        (scenario.old, scenario.new) = (whole.old.clone(), whole.new.clone());
        all.push(scenario);
    }
    let many = with("prune", &setup::many_backups)?;
    all.push(make("prune", "prune", Kind::Prune, many)?);
    Ok(all)
}

/// Backups of a database that is archived where it lies: by itself, and with somebody who begins to
/// write in the middle, for whom it is copied.
pub fn large(piton: &Project, folder: &Path) -> Made<[Scenario; 2]> {
    let project = piton.at(&folder.join("large"));
    setup::large(&project)?;
    let alone = make("backup-large", "backup", Kind::Backup, project.clone())?;
    let written = make("backup-large-written", "backup", Kind::Backup, project)?;
    Ok([alone, Scenario { visitor: Some(write_in_vain), ..written }])
}

/// Once there is a part of an archive, tries to write, is refused, and goes.
fn write_in_vain(project: &Project) -> bool {
    let is_time = names(&project.backups()).iter().any(|name| name.ends_with(".tar.gz.partial"));
    if is_time {
        let tried = Connection::open(project.data().join("app.db")).and_then(|connection| {
            connection.busy_timeout(Duration::ZERO)?;
            connection.execute_batch("BEGIN; UPDATE items SET text = 'in vain'; COMMIT")
        });
        // Whoever could write would be found: the data is held to what it was.
        drop(tried);
    }
    is_time
}

/// Restores that were cut off after so many renames of the swap, by themselves or after one of
/// them failed and the way back had begun.
const RECOVERIES: &[(&str, u32, Way)] = &[
    ("recover-first", 2, Way::Forward),
    ("recover-half", 5, Way::Forward),
    ("recover-last", 8, Way::Forward),
    ("recover-back", 12, Way::Back),
    ("recover-late", 0, Way::BackLate),
];

/// Which way a restore was going when it was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Forward,
    Back,
    /// Once files were replaced, whatever number of changes that takes.
    BackLate,
}

/// Leaves a restore that was killed after its journal was written and so many names were changed.
pub fn interrupted(project: &Project, words: &str, nth: u32, way: Way) -> Made<()> {
    let journal = project.data().join(".piton/restore.json");
    let (mut seen, mut failed) = (0, false);
    let mut first = Some(nth).filter(|_| way != Way::BackLate);
    // Where nothing was before, and not the last one that is put in place.
    let placed = || project.data().join("uploads/b.txt").exists();
    project.traced(words, &mut |point| {
        let name = crate::calls::name(point);
        let changes = is_changing(point) && (name.contains("rename") || name.contains("link"));
        if point.moment != Moment::Before || !changes || !journal.exists() {
            return Then::Go;
        }
        seen += 1;
        first = first.or_else(|| placed().then_some(seen));
        match first {
            None => Then::Go,
            Some(first) if seen < first => Then::Go,
            Some(_) if way == Way::Forward => Then::Kill,
            Some(first) if seen == first && !failed => {
                failed = true;
                Then::Fail(nix::libc::EIO)
            }
            // The journal is written anew, and then nothing has gone back yet.
            Some(first) if seen < first + 2 => Then::Go,
            Some(_) => Then::Kill,
        }
    })?;
    match journal.exists() {
        true => Ok(()),
        false => Err(format!("`{words}` left no journal after {seen} changes").into()),
    }
}

/// Runs the command once as it is meant, to learn what it leaves.
fn make(name: &'static str, words: &str, kind: Kind, template: Project) -> Made<Scenario> {
    let scratch = tempfile::tempdir()?;
    let old = State::read(&template.data(), scratch.path());
    let place = template.at(&scratch.path().join("place"));
    copy_folder(&template.folder, &place.folder)?;
    let mut between = Vec::new();
    if matches!(kind, Kind::Up | Kind::Deploy) {
        for version in ["1", "2", "3", "4"] {
            let words = format!("up --to {version}");
            if place.run(&words)?.code == Some(0) {
                between.push(State::read(&place.data(), scratch.path()));
            }
        }
        copy_folder(&template.folder, &place.folder)?;
    }
    place.run(words)?.expect(0, &format!("`{words}` of the scenario `{name}`"))?;
    let new = State::read(&place.data(), scratch.path());
    let kept = archives(&place.backups()).into_iter().collect();
    let archived = archives(&template.backups())
        .iter()
        .map(|name| archive::contents(&template.backups().join(name), scratch.path()))
        .collect::<Result<_, _>>()?;
    let words = words.into();
    let visitor = None;
    Ok(Scenario { name, words, kind, template, old, new, between, archived, kept, visitor })
}

/// The names of the archives in a backups directory.
pub fn archives(backups: &Path) -> Vec<String> {
    names(backups).into_iter().filter(|name| name.ends_with(".tar.gz")).collect()
}

pub fn single_backup(project: &Project) -> Made<String> {
    let labelled = |name: &String| {
        let beside = project.backups().join(name.replace(".tar.gz", ".json"));
        fs::read_to_string(beside).is_ok_and(|text| text.contains("\"label\": \"first\""))
    };
    let found = archives(&project.backups()).into_iter().find(labelled);
    Ok(found.ok_or("the first backup is not there")?.replace(".tar.gz", ""))
}
