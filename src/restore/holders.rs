//! Who holds a database open, found in `/proc/*/fd` by device and inode, and by its locks.
//!
//! Locks alone do not tell: an idle connection in rollback-journal mode holds none. Deleted files
//! count too: whoever has one open works on a database that is no longer there, and may still
//! write. What cannot be seen from here is said.

use crate::{
    Result,
    backup::scan,
    database::{FIRST_LOCK_BYTE, LOCK_BYTES, SIDE_SUFFIXES, side_file},
    disk::{self, Owner},
    error::{FileHolder, Held, Limit, RestoreError},
    process,
    store::{Filter, StoredPath},
};
use rustix::process::geteuid;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    os::{
        fd::RawFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

/// The inode of the first process namespace (`PROC_PID_INIT_INO` in Linux).
const FIRST_NAMESPACE: u64 = 0xEFFF_FFFC;
/// Characters of a command line that are shown.
const LONGEST: usize = 80;
const DELETED: &[u8] = b" (deleted)";

/// Whether every process could be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// All of them.
    Whole,
    /// Not all: the limits say why.
    Partial,
}

/// Files that are looked for, each with the database that it belongs to.
#[derive(Default)]
pub(crate) struct Wanted {
    /// By device and inode.
    pub(crate) files: HashMap<(u64, u64), PathBuf>,
    /// By the names that deleted files had.
    names: HashMap<PathBuf, PathBuf>,
}

/// What was found.
pub(crate) struct Found {
    pub(crate) holders: Vec<FileHolder>,
    pub(crate) limits: Vec<Limit>,
}

impl Found {
    pub(crate) const fn view(&self) -> View {
        if self.limits.is_empty() { View::Whole } else { View::Partial }
    }
}

/// These databases and their logs.
///
/// # Errors
/// The system's, with the path.
pub(crate) fn wanted<'a>(
    data: &Path,
    databases: impl Iterator<Item = &'a StoredPath>,
) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    let real = fs::canonicalize(data).unwrap_or_else(|_| data.into());
    for path in databases {
        let main = path.below(data);
        let sides = SIDE_SUFFIXES.iter().map(|suffix| side_file(&main, suffix));
        for file in [main.clone()].into_iter().chain(sides) {
            if let Some(found) = disk::find(&file)? {
                wanted.files.insert((found.dev(), found.ino()), path.as_path().into());
            }
        }
        wanted.names.insert(path.below(&real), path.as_path().into());
    }
    Ok(wanted)
}

/// The processes that hold one of these files, this one included, but for descriptors of its own
/// that are named.
pub(crate) fn holders(wanted: &Wanted, own: &[RawFd]) -> Found {
    let mut found = Found { holders: Vec::new(), limits: Vec::new() };
    if wanted.files.is_empty() {
        return found;
    }
    let mut is_barred = false;
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            // A process that has just ended has no descriptors either.
            is_barred |= process.path().exists();
            continue;
        };
        // What says most, where a process holds several files of a database.
        let mut held: BTreeMap<&PathBuf, Held> = BTreeMap::new();
        for descriptor in descriptors.flatten().map(|it| it.path()) {
            let is_own = pid == std::process::id() && is_one_of(own, &descriptor);
            if let (false, Some((database, how))) = (is_own, held_by(wanted, &descriptor)) {
                let most = held.entry(database).or_insert(how);
                *most = (*most).max(how);
            }
        }
        found.holders.extend(held.into_iter().map(|(database, held)| FileHolder {
            pid,
            command: command_of(pid),
            database: database.clone(),
            held,
        }));
    }
    found.holders.sort_by(|one, other| (&one.database, one.pid).cmp(&(&other.database, other.pid)));
    found.limits = limits(is_barred);
    found
}

/// What is said of a database that is locked: who locks it, or why that cannot be seen.
pub(crate) fn locked(file: &Path, shown: &Path) -> RestoreError {
    let owner = disk::open_to_read(file)
        .and_then(|open| disk::range_owner(file, &open, FIRST_LOCK_BYTE, LOCK_BYTES));
    match owner {
        Ok(Some(Owner::Process(pid))) => {
            let (command, database) = (command_of(pid), shown.into());
            let holder = FileHolder { pid, command, database, held: Held::Locked };
            RestoreError::InUse { holders: vec![holder] }
        }
        _ => {
            let limits = limits(!geteuid().is_root());
            RestoreError::HeldUnseen { database: shown.into(), limits }
        }
    }
}

/// The processes that wait for this one in opening a file, by its inode, which this one has leased.
///
/// A line of `/proc/locks` names the lease, and the ones behind it with an arrow whoever waits for
/// it (proc_locks(5)).
pub(crate) fn waiting(inode: u64, database: &Path) -> Vec<FileHolder> {
    let text = fs::read_to_string("/proc/locks").unwrap_or_default();
    let (own, file) = (std::process::id().to_string(), format!(":{inode}"));
    let mut pids = Vec::new();
    let mut is_ours = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "->", "LEASE", _, _, pid, ..] if is_ours => pids.extend(pid.parse::<u32>().ok()),
            [_, "->", ..] => {}
            [_, kind, _, _, pid, place, ..] => {
                is_ours = kind == "LEASE" && pid == own && place.ends_with(&file);
            }
            _ => is_ours = false,
        }
    }
    // A process of which nothing can be seen has no number here.
    pids.retain(|pid| *pid > 0);
    let named = |pid| FileHolder {
        pid,
        command: command_of(pid),
        database: database.into(),
        held: Held::Opening,
    };
    pids.into_iter().map(named).collect()
}

/// Which database a descriptor belongs to, if to any.
fn held_by<'a>(wanted: &'a Wanted, descriptor: &Path) -> Option<(&'a PathBuf, Held)> {
    // Follows the link to the open file itself, also when its name is gone.
    let found = fs::metadata(descriptor).ok()?;
    if let Some(database) = wanted.files.get(&(found.dev(), found.ino())) {
        return Some((database, Held::Open));
    }
    if found.nlink() > 0 || !found.is_file() {
        return None;
    }
    let link = fs::read_link(descriptor).ok()?;
    let name = link.as_os_str().as_bytes().strip_suffix(DELETED)?;
    let name = Path::new(std::ffi::OsStr::from_bytes(name));
    Some((wanted.names.get(name)?, Held::Deleted))
}

/// Why not every process can be looked into.
fn limits(is_barred: bool) -> Vec<Limit> {
    let mut limits = Vec::new();
    if is_barred {
        limits.push(Limit::OtherUsers);
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut proc = mounts.lines().filter(|line| line.split(' ').nth(2) == Some("proc"));
    let hides = |line: &str| {
        let hidden = ["hidepid=2", "hidepid=invisible", "hidepid=4", "hidepid=ptraceable"];
        hidden.iter().any(|option| line.contains(option))
    };
    if !geteuid().is_root() && proc.any(hides) {
        limits.push(Limit::Hidden);
    }
    let namespace = fs::metadata("/proc/self/ns/pid").map(|found| found.ino());
    if namespace.is_ok_and(|inode| inode != FIRST_NAMESPACE) {
        limits.push(Limit::Namespace);
    }
    if fs::metadata("/proc/self/fd").is_err() {
        limits.push(Limit::NoProc);
    }
    limits
}

fn is_one_of(own: &[RawFd], descriptor: &Path) -> bool {
    let name = descriptor.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).is_some_and(|number: RawFd| own.contains(&number))
}

fn command_of(pid: u32) -> String {
    let line = process::command_line(pid);
    match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// The databases of a data directory, and those of them that another process may have open: all
/// where not every process can be looked into.
///
/// # Errors
/// The system's, with the path.
pub fn open_databases(data: &Path) -> Result<(Vec<PathBuf>, BTreeSet<PathBuf>)> {
    let all = Filter::new::<&str>(&[])?;
    let tree = scan::scan(scan::Scope { data, excluded: &all, left_out: &[] })?;
    let found = holders(&wanted(data, tree.databases.keys())?, &[]);
    let names: Vec<PathBuf> = tree.databases.keys().map(|path| path.as_path().into()).collect();
    let open = match found.view() {
        View::Partial => names.iter().cloned().collect(),
        View::Whole => found
            .holders
            .into_iter()
            .filter(|holder| holder.pid != std::process::id())
            .map(|holder| holder.database)
            .collect(),
    };
    Ok((names, open))
}

/// The processes other than this one that hold any database of a data directory.
///
/// # Errors
/// The system's, with the path.
pub fn holders_of(data: &Path, excluded: &Filter) -> Result<Vec<FileHolder>> {
    if !disk::exists(data)? {
        return Ok(Vec::new());
    }
    let scope = scan::Scope { data, excluded, left_out: &[] };
    let tree = scan::scan(scope)?;
    let databases = tree.databases.keys().chain(&tree.opaque);
    let mut found = holders(&wanted(data, databases)?, &[]).holders;
    found.retain(|holder| holder.pid != std::process::id());
    Ok(found)
}
