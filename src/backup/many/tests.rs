//! One instant over many databases, whatever is written meanwhile.

use super::*;
use crate::backup::cut::Journal;
use rusqlite::Connection;
use std::{
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const COUNT: usize = 12;

struct Place {
    folder: tempfile::TempDir,
    paths: Vec<StoredPath>,
}

impl Place {
    fn new(mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        disk::create_private_folder("test", &folder.path().join("data")).unwrap();
        disk::create_private_folder("test", &folder.path().join("staging")).unwrap();
        let paths = (0..COUNT).map(|at| StoredPath::new(format!("{at:02}.db")).unwrap());
        let place = Self { folder, paths: paths.collect() };
        for at in 0..COUNT {
            let made = format!(
                "PRAGMA journal_mode = {mode}; CREATE TABLE t (n); INSERT INTO t VALUES (0)"
            );
            place.open(at).execute_batch(&made).unwrap();
        }
        place
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn open(&self, at: usize) -> Connection {
        let connection = Connection::open(self.paths[at].below(&self.data())).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    fn cut(&self, most: usize, rounds: u32) -> (Vec<Pinned>, Cut) {
        let (staging, bounds) = (self.folder.path().join("staging"), Bounds { most, rounds });
        cut((&self.data(), &staging), &self.paths, Duration::from_secs(2), bounds).unwrap()
    }

    /// The number in each database of a cut, and how many of them were copied beforehand.
    fn numbers(&self, pinned: Vec<Pinned>) -> (Vec<i64>, usize) {
        let paths: Vec<_> = pinned.iter().map(|it| it.path.clone()).collect();
        assert_eq!(paths, self.paths);
        let copies = pinned.iter().filter(|it| matches!(it.source, Source::Copy(_))).count();
        let target = self.folder.path().join("one.db");
        let read = |source: Pinned| -> i64 {
            disk::remove_file("test", &target).unwrap();
            copy::copy(source, &target).unwrap();
            let copy = Connection::open(&target).unwrap();
            copy.query_row("SELECT n FROM t", [], |row| row.get(0)).unwrap()
        };
        (pinned.into_iter().map(read).collect(), copies)
    }
}

fn write(connection: &Connection, number: i64) {
    connection.execute("UPDATE t SET n = ?1", [number]).unwrap();
}

#[test]
fn what_nobody_writes_to_is_copied_once() {
    for (mode, journal) in [("delete", Journal::Rollback), ("wal", Journal::Wal)] {
        let place = Place::new(mode);
        write(&place.open(3), 7);
        let (pinned, cut) = place.cut(4, 1);
        assert_eq!(cut, Cut::All);
        assert!(pinned.iter().all(|it| it.journal == journal));
        let (numbers, copies) = place.numbers(pinned);
        assert_eq!((copies, numbers[3], numbers.iter().sum::<i64>()), (COUNT - 2, 7, 7), "{mode}");
    }
}

/// For [`writer`], which is another process: closing a file gives up the locks of one's own.
const DATA: &str = "PITON_TEST_DATA";

/// Another process that writes number after number, each to the next database, until it is dropped.
struct Writer {
    process: Child,
    /// Kept open: what it says at its end would fail otherwise.
    _said: BufReader<ChildStdout>,
}

impl Writer {
    fn start(place: &Place, pauses: &str) -> Self {
        let mut writer = Command::new(env::current_exe().unwrap());
        writer.args(["--exact", "backup::many::tests::writer", "--ignored", "--nocapture"]);
        writer.env(DATA, place.data()).env("PITON_TEST_PAUSES", pauses);
        writer.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        let mut said = BufReader::new(writer.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("writing") {
            assert!(said.read_line(&mut line).unwrap() > 0, "{line}");
        }
        Self { process: writer, _said: said }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let ended = self.process.wait();
        assert!(thread::panicking() || ended.unwrap().success());
    }
}

#[test]
#[ignore = "the other process of a test"]
fn writer() {
    let Some(data) = env::var_os(DATA) else { return };
    let pauses = env::var("PITON_TEST_PAUSES").unwrap();
    let pauses: Vec<u64> = pauses.split(' ').map(|pause| pause.parse().unwrap()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    thread::spawn(move || {
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        seen.store(true, Ordering::Relaxed);
    });
    let all: Vec<Connection> = (0..COUNT)
        .map(|at| Connection::open(Path::new(&data).join(format!("{at:02}.db"))).unwrap())
        .collect();
    all.iter().for_each(|it| it.busy_timeout(Duration::from_secs(20)).unwrap());
    writeln!(io::stdout(), "\nwriting").unwrap();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        write(&all[usize::try_from(number).unwrap() % COUNT], number);
        thread::sleep(Duration::from_millis(
            pauses[usize::try_from(number).unwrap() / 20 % pauses.len()],
        ));
    }
}

#[test]
fn every_cut_shows_one_instant() {
    for mode in ["delete", "wal", "truncate", "persist"] {
        let place = Place::new(mode);
        // At times faster than they can be copied.
        let writer = Writer::start(&place, "150 15 1");
        let mut together = 0;
        for _ in 0..8 {
            let (pinned, cut) = place.cut(8, 10);
            let (numbers, _) = place.numbers(pinned);
            if cut != Cut::All {
                continue;
            }
            together += 1;
            let newest = *numbers.iter().max().unwrap();
            for (at, &found) in numbers.iter().enumerate() {
                let wanted = newest - (newest - at as i64).rem_euclid(COUNT as i64);
                assert_eq!(found, wanted.max(0), "{mode}: {numbers:?}");
            }
        }
        drop(writer);
        assert!(together > 0, "{mode}");
    }
}

#[test]
fn where_they_never_stand_still_each_is_consistent_and_that_is_said() {
    let place = Place::new("wal");
    let writer = Writer::start(&place, "1");
    let (pinned, cut) = place.cut(2, 0);
    let Cut::PerDatabase { reason } = cut else { panic!("nothing was tried") };
    assert!(reason.contains("more than 2"), "{reason}");
    assert_eq!(place.numbers(pinned).0.len(), COUNT);
    drop(writer);
}

#[test]
fn only_a_look_that_any_change_will_differ_from_counts() {
    let place = Place::new("delete");
    let look = Look::of(&place.paths[0].below(&place.data())).unwrap();
    let (_, (_, _, (seconds, rest))) = look.files[0].unwrap();
    for (passed, settled) in [
        ((seconds, rest), false),
        ((seconds + 5, rest), true),
        // The clock was set back.
        ((seconds - 5, rest), true),
    ] {
        assert_eq!(look.is_settled(passed), settled);
    }
}

#[test]
fn an_instant_in_the_middle_of_a_commit_is_none() {
    // A log has the commit already, and its index not yet.
    let place = Place::new("wal");
    let writer = place.open(0);
    write(&writer, 1);
    let before = Look::of(&place.paths[0].below(&place.data())).unwrap();
    let index = database::side_file(&place.paths[0].below(&place.data()), "-shm");
    let mut head = std::fs::read(&index).unwrap();
    assert_eq!(before.index, &head[..96]);
    head[8] ^= 1;
    disk::write_at("test", &index, 0, &head[..16]).unwrap();
    assert!(Look::of(&place.paths[0].below(&place.data())).unwrap() != before);
}

#[test]
fn without_room_for_copies_all_are_held() {
    let folder = tempfile::tempdir().unwrap();
    let count = MOST_HELD + 5;
    assert!(can_hold(count));
    let name = |at: usize| StoredPath::new(format!("{at:03}.db")).unwrap();
    let paths: Vec<StoredPath> = (0..count).map(name).collect();
    for path in &paths {
        let made = Connection::open(path.below(folder.path())).unwrap();
        made.execute_batch("CREATE TABLE t (n)").unwrap();
    }
    let limit = Duration::from_secs(5);
    let (pinned, cut) = crate::backup::cut::cut(folder.path(), &paths, limit, None).unwrap();
    assert_eq!((pinned.len(), cut), (count, Cut::All));
    assert!(pinned.iter().all(|it| matches!(it.source, Source::Live(_))));
}

#[test]
fn room_is_asked_for_the_copies_alone() {
    assert_eq!(room([10; 8].into_iter(), 8), 0);
    assert_eq!(room([10, 1_000_000, 10, 10, 10, 1_000_000, 10, 10, 1_000_000].into_iter(), 6), 60);
}
