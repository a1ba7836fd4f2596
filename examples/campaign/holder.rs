//! A service: a process of its own that holds databases open and writes to them.
//!
//! It notes each write in a file of its own once the databases have acknowledged it, in all of
//! them in the same order.

use piton::rusqlite::{self, Connection};
use std::{
    env,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The databases, in the order in which each number is written to them.
pub const DATABASES: [&str; 3] = ["app.db", "notes.db", "sub/third.db"];
/// The argument that makes a service of this program.
pub const ARGUMENT: &str = "--as-service";
/// The first number that it writes; smaller ones were there before.
pub const FIRST: u32 = 1_000;

/// How it holds its databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Open all the time, with write-ahead logs.
    Wal,
    /// Open all the time, with rollback journals.
    Rollback,
    /// Open, and doing nothing.
    Idle,
    /// Open in a transaction that keeps everybody out.
    Exclusive,
    /// Opened and closed for each write.
    Passing,
}

impl Habit {
    pub const ALL: [Self; 5] =
        [Self::Wal, Self::Rollback, Self::Idle, Self::Exclusive, Self::Passing];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Rollback => "rollback",
            Self::Idle => "idle",
            Self::Exclusive => "exclusive",
            Self::Passing => "passing",
        }
    }

    const fn journal(self) -> &'static str {
        match self {
            Self::Wal | Self::Passing => "wal",
            _ => "delete",
        }
    }
}

/// A service that runs, until it is dropped.
pub struct Service {
    child: Child,
    notes: PathBuf,
}

impl Service {
    /// Starts it on a data directory.
    pub fn start(habit: Habit, data: &Path, notes: &Path) -> io::Result<Self> {
        let file = File::create(notes)?;
        let child = Command::new(env::current_exe()?)
            .args([ARGUMENT, habit.word()])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, notes: notes.into() })
    }

    /// Waits until it has said so many things, or the time is over.
    pub fn wait(&self, lines: usize, limit: Duration) {
        let clock = Instant::now();
        while self.lines().len() < lines && clock.elapsed() < limit {
            thread::sleep(Duration::from_micros(500));
        }
    }

    /// How many things it has said.
    pub fn said(&self) -> usize {
        self.lines().len()
    }

    /// The databases that it holds and that are not the ones that lie there any more. A file that
    /// lost its name and got it back counts as deleted in `/proc`, and not here.
    pub fn replaced(&self, data: &Path) -> Vec<String> {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let links = descriptors.into_iter().flatten().flatten();
        let identity = |path: &Path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
        let elsewhere = |link: &Path| {
            let name = fs::read_link(link).ok()?.display().to_string();
            let shown = name.trim_end_matches(" (deleted)");
            let database = DATABASES.iter().find(|database| shown.ends_with(*database))?;
            (identity(link) != identity(&data.join(database))).then_some(name)
        };
        links.filter_map(|link| elsewhere(&link.path())).collect()
    }

    /// Ends it as `kill -9` does; gives the numbers that were acknowledged.
    pub fn end(mut self) -> Vec<u32> {
        self.kill();
        self.lines().iter().filter_map(|line| line.parse().ok()).collect()
    }

    fn kill(&mut self) {
        drop(self.child.kill());
        // Who traces another process may have heard of its end already.
        drop(self.child.wait());
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.notes).unwrap_or_default();
        // The last line counts once it is whole.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(String::from).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the process does that is started as a service.
pub fn serve(words: &[String]) -> rusqlite::Result<()> {
    let (Some(word), Some(data)) = (words.first(), words.get(1)) else { return Ok(()) };
    let Some(habit) = Habit::ALL.into_iter().find(|habit| habit.word() == word) else {
        return Ok(());
    };
    let data = Path::new(data);
    let mut held = open(habit, data)?;
    say("ready");
    match habit {
        Habit::Idle => thread::sleep(Duration::from_secs(60)),
        Habit::Exclusive => {
            held.iter().try_for_each(|it| it.execute_batch("BEGIN EXCLUSIVE"))?;
            say("locked");
            thread::sleep(Duration::from_secs(60));
        }
        _ => {
            for number in FIRST.. {
                if habit == Habit::Passing {
                    held.clear();
                    thread::sleep(Duration::from_millis(1));
                    held = patiently(|| open(habit, data));
                }
                for connection in &held {
                    let insert = "INSERT OR IGNORE INTO acknowledged VALUES (?1)";
                    patiently(|| connection.execute(insert, [number]));
                }
                say(&number.to_string());
            }
        }
    }
    Ok(())
}

/// A service tries again: what it does not get is not acknowledged.
fn patiently<T>(mut act: impl FnMut() -> rusqlite::Result<T>) -> T {
    loop {
        match act() {
            Ok(done) => return done,
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn open(habit: Habit, data: &Path) -> rusqlite::Result<Vec<Connection>> {
    let open = |name: &&str| {
        use rusqlite::OpenFlags;
        let connection = Connection::open_with_flags(
            data.join(name),
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(Duration::from_secs(2))?;
        connection.pragma_update(None, "journal_mode", habit.journal())?;
        connection.query_row("SELECT count(*) FROM acknowledged", [], |_| Ok(()))?;
        Ok(connection)
    };
    DATABASES.iter().map(open).collect()
}

fn say(line: &str) {
    let mut out = io::stdout();
    // Nobody to tell it to: the trial is over.
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}
