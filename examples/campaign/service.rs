//! Commands beside a service: what it was told is written stays, or was named before it went.

use crate::{
    calls::concerns,
    files::copy_folder,
    holder::{DATABASES, FIRST, Habit, Service},
    kill::spread,
    options::Length,
    project::{Ended, Project},
    scenario::archives,
    setup::{self, Made},
    tally::{Tally, Verdict, chance},
    tracer::{Moment, Then},
};
use piton::rusqlite::Connection;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// A template, and where its copies are tried.
struct Stage {
    template: Project,
    place: Project,
    /// The backup that is put back.
    backup: String,
    folder: PathBuf,
}

/// Runs the trials, each command beside each kind of service.
pub fn run(tally: &mut Tally, piton: &Project, trials: u32, folder: &Path) -> Made<()> {
    let stage = Stage::new(piton, folder)?;
    let mut commands = vec!["restore", "backup", "up"];
    let mut habits = Habit::ALL.to_vec();
    match tally.options.length {
        Length::Long => commands.extend(["restore --hot", FAILING]),
        // These depend on the moment, and a few trials say nothing about them.
        Length::Short => habits.retain(|habit| *habit != Habit::Passing),
    }
    let share = trials.div_ceil((commands.len() * habits.len()) as u32 + 5);
    let seed = tally.options.seed;
    for command in commands {
        for &habit in &habits {
            let name = format!("service {} {command}", habit.word());
            tally.run(&name, share, &mut |trial| {
                verdict(stage.beside(command, habit, chance(seed, trial, 13)))
            });
        }
    }
    tally.run("service two pitons", share, &mut |_| verdict(stage.beside_another()));
    tally.run("service one store", share, &mut |_| verdict(stage.sharing_a_store()));
    let name = "service started in a restore";
    if tally.wants(name) {
        let calls = stage.count()?;
        tally.run(name, share * 5, &mut |trial| {
            verdict(stage.started_within(spread(trial % calls, calls) + 1))
        });
    }
    Ok(())
}

/// What of these trials notices that something is missing in a binary.
pub fn notices(piton: &Project, trials: u32, folder: &Path) -> Made<Option<String>> {
    let stage = Stage::new(piton, folder)?;
    if let Err(what) = stage.beside_another() {
        return Ok(Some(what.to_string()));
    }
    if let Err(what) = stage.sharing_a_store() {
        return Ok(Some(what.to_string()));
    }
    for trial in 0..trials {
        let habit = [Habit::Wal, Habit::Rollback, Habit::Idle][trial as usize % 3];
        if let Err(what) = stage.beside("restore", habit, u64::from(trial)) {
            return Ok(Some(format!("{}: {what}", habit.word())));
        }
    }
    let calls = stage.count()?;
    for trial in 0..trials * 2 {
        if let Err(what) = stage.started_within(spread(trial % calls, calls) + 1) {
            return Ok(Some(format!("started in a restore: {what}")));
        }
    }
    Ok(None)
}

fn verdict(made: Made<String>) -> Verdict {
    match made {
        Ok(word) => Verdict::Held(word),
        Err(error) => Verdict::Broken(error.to_string()),
    }
}

impl Stage {
    fn new(piton: &Project, folder: &Path) -> Made<Self> {
        let template = piton.at(&folder.join("served"));
        if template.folder.exists() {
            fs::remove_dir_all(&template.folder)?;
        }
        setup::served(&template, &DATABASES)?;
        let name = archives(&template.backups()).pop().ok_or("there is no backup")?;
        let backup = name.trim_end_matches(".tar.gz").into();
        let place = piton.at(&folder.join("place"));
        Ok(Self { template, place, backup, folder: folder.into() })
    }

    fn fresh(&self) -> Made<()> {
        Ok(copy_folder(&self.template.folder, &self.place.folder)?)
    }

    fn notes(&self) -> PathBuf {
        self.folder.join("acknowledged")
    }

    fn words(&self, command: &str) -> String {
        match command {
            "restore" => format!("restore {} --yes", self.backup),
            "restore --hot" => format!("restore {} --yes --hot", self.backup),
            FAILING => "up --busy-timeout 1s".into(),
            "up" => "up --to 1 --busy-timeout 1s".into(),
            other => other.into(),
        }
    }

    /// One command while a service runs.
    fn beside(&self, command: &str, habit: Habit, choice: u64) -> Made<String> {
        self.fresh()?;
        let service = Service::start(habit, &self.place.data(), &self.notes())?;
        let lines = if matches!(habit, Habit::Idle) { 1 } else { 2 + (choice % 20) as usize };
        service.wait(lines.min(if habit == Habit::Exclusive { 2 } else { lines }), LIMIT);
        let inodes = self.inodes();
        let ended = self.place.run(&self.words(command))?;
        std::thread::sleep(Duration::from_millis(choice % 7));
        let replaced = service.replaced(&self.place.data());
        let acknowledged = service.end();
        if let Some(first) = replaced.first() {
            return Err(
                format!("`{first}` was replaced under its holder: {}", ended.shown()).into()
            );
        }
        let held = !matches!(habit, Habit::Passing);
        if command == "restore" && held && (ended.code != Some(9) || inodes != self.inodes()) {
            return Err(format!("it is held, and: {}", ended.shown()).into());
        }
        let writes = !matches!(habit, Habit::Idle | Habit::Exclusive);
        match ended.code {
            Some(7) if command == FAILING && writes => self.judge_left(&ended, &acknowledged)?,
            _ => self.judge(&ended, &acknowledged)?,
        }
        if command == "backup" && ended.code == Some(0) {
            self.one_cut()?;
        }
        Ok(crate::errors::word(&ended))
    }

    /// A service that starts just before the n-th call of a restore.
    fn started_within(&self, nth: u32) -> Made<String> {
        self.fresh()?;
        let (mut left, mut service) = (nth, None);
        let folder = self.place.folder.clone();
        let ended = self.place.traced(&self.words("restore"), &mut |point| {
            if left == 0 || point.moment != Moment::Before || !concerns(point, &folder) {
                return Then::Go;
            }
            left -= 1;
            if left == 0 {
                let started = Service::start(Habit::Wal, &self.place.data(), &self.notes());
                service = started.ok();
                if let Some(service) = &service {
                    // It may have to wait for a lock that the restore holds.
                    service.wait(3, Duration::from_millis(60));
                }
            }
            Then::Go
        })?;
        let Some(service) = service else { return Ok("it had ended".into()) };
        service.wait(6, Duration::from_millis(60));
        let replaced = service.replaced(&self.place.data());
        let acknowledged = service.end();
        if let Some(first) = replaced.first() {
            let count = acknowledged.len();
            return Err(format!(
                "from call {nth} on `{first}` was replaced under its holder, {count} \
                 acknowledged: {}",
                ended.shown()
            )
            .into());
        }
        self.judge(&ended, &acknowledged)?;
        Ok(crate::errors::word(&ended))
    }

    /// While one piton works on the data, another one is told so.
    fn beside_another(&self) -> Made<String> {
        self.fresh()?;
        let (mut second, place) = (None, self.place.clone());
        let ended = self.place.traced(&self.words("restore"), &mut |point| {
            // The staging area is made once the lock is held.
            let holding = place.data().join(".piton/staging").exists();
            if second.is_none() && holding && point.moment == Moment::Before {
                second = Some(place.run("backup"));
            }
            Then::Go
        })?;
        ended.expect(0, "the restore beside another piton")?;
        match second {
            Some(ran) => Ok(crate::errors::word(&ran?.expect(8, "the other piton")?)),
            None => Err("the restore held no lock".into()),
        }
    }

    /// Two data directories with one backups directory: their backups come one after the other.
    fn sharing_a_store(&self) -> Made<String> {
        self.fresh()?;
        copy_folder(&self.place.data(), &self.place.folder.join("other"))?;
        fs::write(self.place.folder.join("other/more.txt"), "other data")?;
        fs::write(self.place.data().join("more.txt"), "more data")?;
        let (mut second, place) = (None, self.place.clone());
        let before = archives(&self.place.backups()).len();
        let ended = self.place.traced("backup --label first", &mut |point| {
            let names = crate::files::names(&place.backups());
            let holding = names.iter().any(|name| name.ends_with(".tar.gz.partial"));
            if second.is_none() && holding && point.moment == Moment::Before {
                second = Some(place.start("backup --data other"));
                std::thread::sleep(Duration::from_millis(150));
            }
            Then::Go
        })?;
        ended.expect(0, "the first of two backups")?;
        let Some(second) = second else { return Err("there was no partial archive".into()) };
        // Who traces the first one may hear of the end of the second one as well.
        drop(second?.wait());
        let made = archives(&self.place.backups()).len() - before;
        self.place.run("verify --all")?.expect(0, "`verify --all`")?;
        match made {
            2 => Ok("both".into()),
            count => Err(format!("{count} backups were made instead of 2").into()),
        }
    }

    fn count(&self) -> Made<u32> {
        self.fresh()?;
        let (mut calls, folder) = (0, self.place.folder.clone());
        self.place.traced(&self.words("restore"), &mut |point| {
            calls += u32::from(point.moment == Moment::Before && concerns(point, &folder));
            Then::Go
        })?;
        Ok(calls)
    }

    /// Every number that was acknowledged is there, or in the backup of the state before.
    fn judge(&self, ended: &Ended, acknowledged: &[u32]) -> Made<()> {
        if !matches!(ended.code, Some(0 | 4 | 5 | 6 | 8 | 9)) {
            return Err(format!("it ended with {}", ended.shown()).into());
        }
        self.place.run("recover")?.expect(0, "`recover`")?;
        let live = self.numbers(&self.place.data());
        for (database, found) in &live {
            let lost: BTreeSet<u32> =
                acknowledged.iter().copied().filter(|it| !found.contains(it)).collect();
            if lost.is_empty() {
                continue;
            }
            let kept = self.kept(database, ended)?;
            let gone = lost.iter().filter(|it| !kept.contains(it)).count();
            if gone > 0 {
                return Err(format!(
                    "{gone} of {} acknowledged rows of `{database}` are neither there nor in a \
                     backup: {}",
                    acknowledged.len(),
                    ended.shown()
                )
                .into());
            }
        }
        Ok(())
    }

    /// A failing run does not go back over rows that no backup has: all are still there, and once the
    /// service stands still, what it says can be typed.
    fn judge_left(&self, ended: &Ended, acknowledged: &[u32]) -> Made<()> {
        let all = |found: &BTreeSet<u32>| acknowledged.iter().all(|it| found.contains(it));
        if !self.numbers(&self.place.data()).values().all(all) {
            return Err(format!("rows are gone, and it says: {}", ended.shown()).into());
        }
        let archives = archives(&self.place.backups());
        let mut ids = archives.iter().map(|name| name.trim_end_matches(".tar.gz"));
        let told = |id: &str| ended.output.contains(&format!("piton restore {id} --yes"));
        let Some(id) = ids.find(|id| told(id)) else {
            return Err(format!("it names no backup to restore: {}", ended.shown()).into());
        };
        let went = self.place.run(&format!("restore {id} --yes"))?.expect(0, "what it says")?;
        self.judge(&went, acknowledged)
    }

    /// What the backups that this command took hold of a database. Where a run failed and nobody
    /// was asked, also what an undo brings back.
    fn kept(&self, database: &str, ended: &Ended) -> Made<BTreeSet<u32>> {
        let mut kept = BTreeSet::new();
        if ended.code == Some(6) {
            let copy = self.place.at(&self.folder.join("undone"));
            copy_folder(&self.place.folder, &copy.folder)?;
            copy.run("restore --undo --yes")?;
            kept.extend(self.numbers(&copy.data()).remove(database).unwrap_or_default());
        }
        for name in archives(&self.place.backups()) {
            kept.extend(self.unpacked(&name)?.remove(database).unwrap_or_default());
        }
        Ok(kept)
    }

    /// In the newest backup, no database is ahead of the one that is written before it.
    fn one_cut(&self) -> Made<()> {
        let newest = archives(&self.place.backups()).pop().ok_or("there is no backup")?;
        let found = self.unpacked(&newest)?;
        let last = |name: &str| found.get(name).and_then(|all| all.last().copied()).unwrap_or(0);
        let [first, second, third] = DATABASES.map(last);
        match first >= second && second >= third && third.max(FIRST) + 1 >= first {
            true => Ok(()),
            false => Err(format!("no one cut: {first}, {second}, {third}").into()),
        }
    }

    fn unpacked(&self, archive: &str) -> Made<BTreeMap<String, BTreeSet<u32>>> {
        let folder = self.folder.join("unpacked");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let bytes = fs::read(self.place.backups().join(archive))?;
        tar::Archive::new(flate2::read::MultiGzDecoder::new(&bytes[..])).unpack(&folder)?;
        Ok(self.numbers(&folder.join("data")))
    }

    fn numbers(&self, data: &Path) -> BTreeMap<String, BTreeSet<u32>> {
        let read = |name: &str| -> piton::rusqlite::Result<BTreeSet<u32>> {
            let connection = Connection::open(data.join(name))?;
            let mut rows = connection.prepare("SELECT number FROM acknowledged")?;
            rows.query_map([], |row| row.get(0))?.collect()
        };
        let all = DATABASES.iter().map(|name| (name.to_string(), read(name).unwrap_or_default()));
        all.collect()
    }

    fn inodes(&self) -> Vec<u64> {
        use std::os::unix::fs::MetadataExt;
        let found = DATABASES.map(|name| fs::metadata(self.place.data().join(name)));
        found.into_iter().map(|found| found.map_or(0, |found| found.ino())).collect()
    }
}

const LIMIT: Duration = Duration::from_secs(2);
/// A run whose second migration fails.
const FAILING: &str = "up that fails";
