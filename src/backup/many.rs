//! One instant over more databases than can be held open at a time.
//!
//! A connection takes files and memory, and thousands of them more than a process may have. So most
//! databases are copied one after the other, and afterwards it is shown that none of them has changed since
//! its copy was begun. Every copy was begun before the instant, and every look comes after it, so that all
//! copies equal their databases at the instant. What did change is held open at the instant instead, behind
//! the barrier, and so are the largest databases, whose copies would take the most room.
//!
//! A change is seen by what the system says of the files, and by the head of a log's index: a commit always
//! writes to the database or its log, and one in a log counts only when the index says so.

use super::{
    copy,
    cut::{Pinned, Source, hold_together, pin},
    found::Found,
};
use crate::{
    Result, database, disk,
    store::{Cut, StoredPath},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How many databases are held open at a time at most: each takes a third of a MiB.
const MOST_HELD: usize = 128;
/// Files of one that is held: two connections, each with database, log and index.
const FILES: u64 = 6;
/// How often a database is looked at that changes all the time.
const LOOKS: u32 = 5;
/// The clock of files stands still for up to this long.
const TICK: Duration = Duration::from_millis(20);

/// How far it goes for one instant.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// How many databases are held open at a time.
    pub(super) most: usize,
    /// How often what changed is copied again.
    pub(super) rounds: u32,
}

impl Bounds {
    /// As far as the system lets this process open files.
    pub(super) fn of_system() -> Self {
        let files = disk::allow_descriptors(MOST_HELD as u64 * FILES);
        let most = usize::try_from(files / FILES).unwrap_or(MOST_HELD).clamp(2, MOST_HELD);
        Self { most, rounds: 10 }
    }
}

/// Whether the system lets this process hold so many databases open at a time.
pub(super) fn can_hold(count: usize) -> bool {
    let files = count as u64 * FILES;
    disk::allow_descriptors(files) >= files
}

/// Bytes of the copies that are made of so many databases before the instant.
pub(super) fn room(lengths: impl Iterator<Item = u64>, most: usize) -> u64 {
    let mut lengths: Vec<u64> = lengths.collect();
    if lengths.len() <= most {
        return 0;
    }
    lengths.sort_unstable();
    let copied = lengths.len() - most / 2;
    lengths[..copied].iter().sum()
}

/// Cuts databases of which not all can be held open at a time; the copies of the others are made in
/// a folder of the staging area.
///
/// # Errors
/// As of [`super::cut::cut`].
pub(super) fn cut(
    (data, staging): (&Path, &Path),
    paths: &[StoredPath],
    limit: Duration,
    Bounds { most, rounds }: Bounds,
) -> Result<(Vec<Pinned>, Cut)> {
    let mut copies = Copies::new(data, staging, limit)?;
    let mut left = smaller(data, paths, paths.len().saturating_sub(most / 2))?;
    for _ in 0..rounds {
        for path in std::mem::take(&mut left) {
            copies.take(path)?;
        }
        let changed = copies.changed()?;
        let held: Vec<StoredPath> =
            paths.iter().filter(|path| !copies.have(path, &changed)).cloned().collect();
        if held.len() > most {
            left = changed.into_iter().collect();
            continue;
        }
        let are_still = || copies.are_still(&changed);
        if let Some((pinned, cut)) = hold_together(data, &held, limit, &are_still)? {
            return Ok((copies.and(pinned)?, cut));
        }
    }
    let reason = format!("more than {most} of them are written to while they are copied");
    let deadline = Instant::now() + limit;
    let held = paths.iter().filter(|path| !copies.have(path, &BTreeSet::new()));
    let pinned = held.map(|path| pin(data, path, deadline)).collect::<Result<Vec<_>>>()?;
    Ok((copies.and(pinned)?, Cut::PerDatabase { reason }))
}

/// The smallest databases, so many, in the order of their paths.
fn smaller(data: &Path, paths: &[StoredPath], count: usize) -> Result<Vec<StoredPath>> {
    let length = |path: &StoredPath| -> Result<u64> {
        Ok(disk::find(&path.below(data))?.map_or(0, |found| found.len()))
    };
    let mut sorted =
        paths.iter().map(|path| Ok((length(path)?, path))).collect::<Result<Vec<_>>>()?;
    sorted.sort();
    let mut smaller: Vec<_> = sorted.into_iter().take(count).map(|(_, it)| it.clone()).collect();
    smaller.sort();
    Ok(smaller)
}

/// What the system says of a database, its log and its journal; a file that is empty is none.
#[derive(PartialEq, Eq)]
struct Look {
    files: [Option<((u64, u64), Stamp)>; 3],
    /// The head of the log's index, where there is a log.
    index: Vec<u8>,
}

/// Length, and times of the content and of the file.
type Stamp = (u64, (i64, u32), (i64, u32));

/// The two copies of its header at the beginning of a log's index, in bytes (SQLite, "WAL-mode File
/// Format", 2.1).
const INDEX_HEAD: u64 = 96;

impl Look {
    fn of(absolute: &Path) -> Result<Self> {
        let look = |path: &Path| -> Result<_> {
            let found = disk::find(path)?.filter(|found| found.len() > 0);
            let found = found.map(|found| Found::from(&found));
            Ok(found.map(|found| (found.identity(), found.stamp())))
        };
        let side = |suffix| look(&database::side_file(absolute, suffix));
        let files = [look(absolute)?, side("-wal")?, side("-journal")?];
        let index = if files[1].is_some() { head_of_index(absolute)? } else { Vec::new() };
        Ok(Self { files, index })
    }

    /// Whether a change that is made from now on differs from it; `passed` is a time of the clock of
    /// files that has passed. A time that is to come, after the clock was set back, is not met again
    /// so soon.
    fn is_settled(&self, passed: (i64, u32)) -> bool {
        let nanoseconds = |(seconds, rest): (i64, u32)| {
            u128::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(rest)).unwrap_or(0)
        };
        self.files.iter().flatten().all(|(_, (_, _, changed))| {
            // Of some file systems the clock goes on by whole seconds.
            let tick = if changed.1 == 0 { Duration::from_secs(3) } else { TICK };
            nanoseconds(*changed).abs_diff(nanoseconds(passed)) > tick.as_nanos()
        })
    }
}

/// No database of this process is open meanwhile, so that closing the file gives no lock away.
fn head_of_index(absolute: &Path) -> Result<Vec<u8>> {
    let path = database::side_file(absolute, "-shm");
    let file = match disk::open_to_read(&path) {
        Ok(file) => file,
        Err(error) if error.source.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut head = Vec::new();
    file.take(INDEX_HEAD).read_to_end(&mut head).map_err(disk::failed("read", &path))?;
    Ok(head)
}

/// A copy, and what its database was when the copy was begun; nothing where it never stood still.
struct Copied {
    pinned: Pinned,
    look: Option<Look>,
}

impl Copied {
    fn remove(self) -> Result<()> {
        match self.pinned.source {
            Source::Copy(file) => Ok(disk::remove_file("early-remove", &file)?),
            Source::Live(_) => Ok(()),
        }
    }

    fn is_still(&self) -> Result<bool> {
        let Some(look) = &self.look else { return Ok(false) };
        Ok(Look::of(&self.pinned.absolute)? == *look)
    }
}

/// The copies that were made.
struct Copies<'a> {
    data: &'a Path,
    folder: PathBuf,
    limit: Duration,
    made: BTreeMap<StoredPath, Copied>,
    /// The number of the next file.
    next: usize,
    /// A time of the clock of files that has passed.
    passed: (i64, u32),
}

impl<'a> Copies<'a> {
    fn new(data: &'a Path, staging: &Path, limit: Duration) -> Result<Self> {
        let folder = staging.join("early");
        // Of an attempt at which a database came or went.
        disk::remove_tree("early-remove", &folder)?;
        disk::create_private_folder("early-folder", &folder)?;
        let made = BTreeMap::new();
        let mut copies = Self { data, folder, limit, made, next: 0, passed: (0, 0) };
        copies.pass()?;
        Ok(copies)
    }

    /// Asks the clock of files, by making one.
    fn pass(&mut self) -> Result<()> {
        let path = self.folder.join("clock");
        disk::remove_file("early-clock", &path)?;
        drop(disk::create_private_file("early-clock", &path)?);
        if let Some(found) = disk::find(&path)? {
            self.passed = Found::from(&found).stamp().2;
        }
        Ok(())
    }

    /// A look at a database that any later change will differ from: the clock has gone on since its last
    /// change. Nothing for one that changes all the time.
    fn look(&mut self, absolute: &Path) -> Result<Option<Look>> {
        for _ in 0..LOOKS {
            let look = Look::of(absolute)?;
            if look.is_settled(self.passed) {
                return Ok(Some(look));
            }
            thread::sleep(TICK);
            self.pass()?;
        }
        Ok(None)
    }

    /// Copies a database, or copies it again.
    fn take(&mut self, path: StoredPath) -> Result<()> {
        let look = self.look(&path.below(self.data))?;
        let source = pin(self.data, &path, Instant::now() + self.limit)?;
        let (absolute, journal) = (source.absolute.clone(), source.journal);
        let file = self.folder.join(format!("{}.db", self.next));
        self.next += 1;
        copy::copy(source, &file)?;
        let pinned = Pinned { path: path.clone(), absolute, journal, source: Source::Copy(file) };
        self.made.insert(path, Copied { pinned, look }).map_or(Ok(()), Copied::remove)
    }

    /// The databases that are no longer what was copied.
    fn changed(&self) -> Result<BTreeSet<StoredPath>> {
        let mut changed = BTreeSet::new();
        for (path, copied) in &self.made {
            if !copied.is_still()? {
                changed.insert(path.clone());
            }
        }
        Ok(changed)
    }

    /// Whether all the others are what was copied.
    fn are_still(&self, changed: &BTreeSet<StoredPath>) -> Result<bool> {
        for (path, copied) in &self.made {
            if !changed.contains(path) && !copied.is_still()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether there is a copy that counts.
    fn have(&self, path: &StoredPath, changed: &BTreeSet<StoredPath>) -> bool {
        self.made.contains_key(path) && !changed.contains(path)
    }

    /// The copies together with what is held, which counts where there are both, by path.
    fn and(mut self, held: Vec<Pinned>) -> Result<Vec<Pinned>> {
        for pinned in &held {
            self.made.remove(&pinned.path).map_or(Ok(()), Copied::remove)?;
        }
        let mut all: Vec<Pinned> = self.made.into_values().map(|it| it.pinned).collect();
        all.extend(held);
        all.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
