//! Whether another program wants to write to a database that a read transaction of this process keeps as
//! it is. Only a rollback journal makes writers wait for readers.

use super::{FIRST_LOCK_BYTE, JOURNAL_SUFFIX};
use rustix::{
    fd::OwnedFd,
    fs::inotify::{self, CreateFlags, Event, ReadFlags, Reader, WatchFlags},
    process::{Flock, FlockType},
};
use std::{ffi::OsString, fs::File, mem::MaybeUninit, os::unix::ffi::OsStrExt, path::Path};

/// The locks of whoever is about to commit and of whoever writes (SQLite file format, 1.3).
const WRITERS_BYTES: u64 = 2;

/// A look for writers, from its beginning on.
pub(crate) struct Wanted {
    journal: OsString,
    /// What happens to names in the database's folder; without it, only locks tell.
    events: Option<OwnedFd>,
}

impl Wanted {
    /// Begins to look.
    pub(crate) fn new(database: &Path) -> Self {
        let mut journal = database.file_name().unwrap_or_default().to_os_string();
        journal.push(JOURNAL_SUFFIX);
        // The system has only so many of these. A writer that waits is seen without it too.
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        let events = events.filter(|events| {
            let folder = database.parent().unwrap_or(Path::new("/"));
            let written = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::MOVED_TO;
            inotify::add_watch(events, folder, written).is_ok()
        });
        Self { journal, events }
    }

    /// Whether a writer waits, or came and gave up since the last look; where the system cannot tell, it
    /// does. The file is one of the database, open as long as the transaction.
    pub(crate) fn is_so(&self, file: &File) -> bool {
        let bytes = Flock {
            start: FIRST_LOCK_BYTE.unsigned_abs(),
            length: WRITERS_BYTES,
            ..Flock::from(FlockType::ReadLock)
        };
        let locked = !matches!(rustix::process::fcntl_getlk(file, &bytes), Ok(None));
        self.has_begun() || locked
    }

    /// Whether a journal was begun: also by a writer that is told at once that the database is busy.
    fn has_begun(&self) -> bool {
        let Some(events) = &self.events else { return false };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(events, &mut buffer);
        let concerns = |event: Event<'_>| {
            event.events().contains(ReadFlags::QUEUE_OVERFLOW)
                || event.file_name().is_some_and(|it| it.to_bytes() == self.journal.as_bytes())
        };
        let mut begun = false;
        while let Ok(event) = reader.next() {
            begun |= concerns(event);
        }
        begun
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::Wanted;
    use rusqlite::Connection;
    use std::{
        env, fs,
        fs::File,
        io::{self, BufRead, BufReader, Read, Write},
        process::{Command, Stdio},
        time::Duration,
    };

    /// For [`writer`], which is another process: locks of one's own are not seen.
    const DATABASE: &str = "PITON_TEST_DATABASE";

    #[test]
    fn whoever_holds_a_lock_is_seen_without_a_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let (file, wanted) = (File::open(&path).unwrap(), Wanted::new(&path));
        let mut writer = Command::new(env::current_exe().unwrap());
        writer.args(["--exact", "database::wanted::tests::writer", "--ignored", "--nocapture"]);
        writer.env(DATABASE, &path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        assert!(!wanted.is_so(&file));
        let mut said = BufReader::new(writer.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("writing") {
            assert!(said.read_line(&mut line).unwrap() > 0, "{line}");
        }
        assert!(wanted.is_so(&file));
        drop(writer.stdin.take());
        assert!(writer.wait().unwrap().success());
        assert!(!wanted.is_so(&file));
    }

    #[test]
    #[ignore = "the other process of a test"]
    fn writer() {
        let Some(path) = env::var_os(DATABASE) else { return };
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "journal_mode", "MEMORY").unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        writeln!(io::stdout(), "\nwriting").unwrap();
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn whoever_begins_to_write_is_seen_and_nobody_else() {
        for mode in ["DELETE", "TRUNCATE", "PERSIST"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a b.db");
            let writer = Connection::open(&path).unwrap();
            writer.busy_timeout(Duration::ZERO).unwrap();
            writer.pragma_update(None, "journal_mode", mode).unwrap();
            writer.execute_batch("CREATE TABLE t (a)").unwrap();
            let reader = Connection::open(&path).unwrap();
            reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
            let file = File::open(&path).unwrap();
            let wanted = Wanted::new(&path);
            assert!(!wanted.is_so(&file), "{mode}");
            // Neither another reader nor another file nor another database.
            writer.query_row("SELECT count(*) FROM t", [], |_| Ok(())).unwrap();
            fs::write(folder.path().join("upload"), "x").unwrap();
            let other = Connection::open(folder.path().join("b.db")).unwrap();
            other.execute_batch("CREATE TABLE t (a)").unwrap();
            assert!(!wanted.is_so(&file), "{mode}");
            writer.execute_batch("INSERT INTO t VALUES (1)").unwrap_err();
            assert!(wanted.is_so(&file), "{mode}");
            assert!(!wanted.is_so(&file), "{mode}: it has given up");
            drop(reader);
            drop(file);
        }
    }
}
