//! Making a copy of a database equal to it again: read both, write what differs.
//!
//! It reads the live file by ordinary means, so this process must have no connection to the
//! database; while it reads, nobody can write to it, because SQLite's locks are held.

use super::super::copy;
use crate::{
    Result,
    database::{FIRST_LOCK_BYTE, LOCK_BYTES},
    disk::{self, Claim, failed},
};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

/// Bytes that are read at a time.
const PIECE: u64 = 1 << 20;
/// Bytes that are written where one of them differs: the largest page of SQLite.
const BLOCK: usize = 1 << 16;
/// More threads would wait for the memory.
const THREADS: usize = 4;

/// What a copy was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// It was equal.
    Equal,
    /// It differed, and is equal now and on the disk.
    Changed,
    /// Somebody uses the database.
    Held,
}

/// Makes the copy equal to the live file but for the counters in its header, which are as in every copy.
/// `begin` is called before the first byte of the copy is changed.
///
/// # Errors
/// The system's, with the path; those of `begin`.
pub(super) fn follow(
    live: &Path,
    copy: &Path,
    begin: &mut (dyn FnMut() -> Result<()> + Send),
) -> Result<Followed> {
    let source = disk::open_to_lock(live)?;
    let claim = disk::lock_range("point-lock", live, &source, FIRST_LOCK_BYTE, LOCK_BYTES)?;
    if claim == Claim::Taken {
        return Ok(Followed::Held);
    }
    let target = disk::open_to_change("point-open", copy)?;
    let length = |file: &File, path: &Path| -> Result<u64> {
        Ok(file.metadata().map_err(failed("read", path))?.len())
    };
    let wanted = length(&source, live)?;
    let had = length(&target, copy)?;
    let pair = Pair {
        source: &source,
        target: &target,
        shown: (live, copy),
        length: wanted,
        compared: wanted.min(had),
        next: AtomicU64::new(0),
        differs: AtomicBool::new(wanted != had),
        begin: Mutex::new(begin),
    };
    if wanted != had {
        (pair.begin.lock().expect("no thread has panicked yet"))()?;
        disk::set_length("point-length", copy, &target, wanted)?;
    }
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    thread::scope(|scope| {
        // Where the system gives no more threads, this one does what is left.
        let start = |_| thread::Builder::new().spawn_scoped(scope, || pair.work()).ok();
        let working: Vec<_> = (1..threads).filter_map(start).collect();
        let here = pair.work();
        working.into_iter().try_for_each(|it| it.join().expect("comparing does not panic"))?;
        here
    })?;
    if !pair.differs.load(Ordering::Relaxed) {
        return Ok(Followed::Equal);
    }
    disk::sync_file("point-sync", copy, &target)?;
    Ok(Followed::Changed)
}

/// A live file and its copy.
struct Pair<'a> {
    source: &'a File,
    target: &'a File,
    shown: (&'a Path, &'a Path),
    length: u64,
    /// So many bytes both of them have.
    compared: u64,
    next: AtomicU64,
    differs: AtomicBool,
    begin: Mutex<&'a mut (dyn FnMut() -> Result<()> + Send)>,
}

impl Pair<'_> {
    /// Takes one piece after another until none is left.
    fn work(&self) -> Result<()> {
        let (mut new, mut old) = (vec![0; PIECE as usize], vec![0; PIECE as usize]);
        loop {
            let at = self.next.fetch_add(PIECE, Ordering::Relaxed);
            if at >= self.length {
                return Ok(());
            }
            self.piece(at, &mut new, &mut old)?;
        }
    }

    fn piece(&self, at: u64, new: &mut [u8], old: &mut [u8]) -> Result<()> {
        let (live, copy) = self.shown;
        let size = |end: u64| usize::try_from(end.saturating_sub(at).min(PIECE)).unwrap_or(0);
        let (new, old) = (&mut new[..size(self.length)], &mut old[..size(self.compared)]);
        self.source.read_exact_at(new, at).map_err(failed("read", live))?;
        self.target.read_exact_at(old, at).map_err(failed("read", copy))?;
        copy::dress(new, at);
        if new == old {
            return Ok(());
        }
        self.begin_once()?;
        for (number, block) in new.chunks(BLOCK).enumerate() {
            let from = number * BLOCK;
            if old.get(from..from + block.len()) != Some(block) {
                let offset = at + from as u64;
                self.target.write_all_at(block, offset).map_err(failed("write", copy))?;
            }
        }
        Ok(())
    }

    fn begin_once(&self) -> Result<()> {
        let mut begin = self.begin.lock().expect("no thread has panicked");
        if !self.differs.load(Ordering::Relaxed) {
            begin()?;
            self.differs.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
