//! Where piton keeps what it believes (records) and what it stages for a data directory.
//!
//! Both are in a private folder inside the data directory, as long as nobody else can change what
//! is there. Root's piton often works on the data of a service. The user of that service can
//! rename and replace everything in it, so root's records are beside the backups instead. Only
//! files whose content decides nothing stay in the data directory then.

use crate::{Result, disk, error::RecordsError};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io::{ErrorKind, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
};

/// The private folder inside a data directory.
pub const PRIVATE_FOLDER: &str = ".piton";
/// The same for a user who cannot have that one: the user's number follows, or `root`.
const OTHER_PRIVATE: &str = ".piton-";
/// What follows there for root.
const ROOT: &str = "root";
/// The mark that a restore goes on whose records are not in the private folder of everybody.
const MARK: &str = ".piton-restore";
/// The folder in a backups directory that holds root's records.
pub const BESIDE: &str = ".records";
/// The name of the journal of a restore.
pub const JOURNAL: &str = "restore.json";
/// The names of all records but those of restores that ended.
const NAMES: [&str; 6] =
    [JOURNAL, "hot.json", "last-run.json", "last-tables.json", "deploy.json", "hold.json"];
/// The longest record that is read, in bytes. A journal has some hundred bytes for each file.
const LONGEST: u64 = 1 << 30;

/// The backups of each data directory that a project has opened.
static BACKUPS: LazyLock<Mutex<HashMap<PathBuf, PathBuf>>> = LazyLock::new(Mutex::default);

/// Says where the backups of a data directory are, beside which root may have to keep its records.
pub fn keep_beside(data: &Path, backups: &Path) {
    let mut known = BACKUPS.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(data.into(), backups.into());
}

/// Whether a name directly below a data directory is one of piton's own, which no backup holds.
#[must_use]
pub fn is_private(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name == PRIVATE_FOLDER.as_bytes() || name.starts_with(OTHER_PRIVATE.as_bytes())
}

/// What piton keeps in a data directory: the names that it gives, and those of that kind that are there.
/// They are sorted, and none is followed.
///
/// # Errors
/// The system's, with the path.
pub fn private_paths(data: &Path) -> Result<Vec<PathBuf>> {
    let own = [PRIVATE_FOLDER, MARK].map(OsString::from);
    let of_users =
        [ROOT.to_string(), user().to_string()].map(|user| OTHER_PRIVATE.to_string() + &user);
    let mut names: BTreeSet<OsString> =
        own.into_iter().chain(of_users.map(OsString::from)).collect();
    let there = disk::entries(data)?.unwrap_or_default();
    names.extend(there.into_iter().filter(|name| is_private(name)));
    Ok(names.into_iter().map(|name| data.join(name)).collect())
}

/// The folder of the records. It need not exist, and nothing is created.
///
/// # Errors
/// [`RecordsError::Unsafe`] where root's records would not be safe there, and those of [`private`].
pub fn folder(data: &Path) -> Result<PathBuf> {
    if !is_root() {
        return private(data);
    }
    let beside = beside(data)?;
    let is_known = beside.as_deref().map(disk::find).transpose()?.flatten().is_some();
    if !is_known && !is_shared(data)? && is_free_or_ours(&data.join(PRIVATE_FOLDER))? {
        return Ok(data.join(PRIVATE_FOLDER));
    }
    let beside = beside.ok_or_else(|| RecordsError::Unknown { data: data.into() })?;
    require_safe(&beside)?;
    Ok(beside)
}

/// The folder of the records, created if need be.
///
/// # Errors
/// Those of [`folder`]; the system's, with the path.
pub fn make_folder(data: &Path) -> Result<PathBuf> {
    let folder = folder(data)?;
    if folder.parent() == Some(data) {
        return make_private(data);
    }
    if disk::find(&folder)?.is_none() {
        disk::create_private_folders("records-folder", &folder)?;
        for made in folder.ancestors().skip(1).take(3) {
            disk::sync_folder("records-folder-sync", made)?;
        }
    }
    require_ours(&folder)?;
    Ok(folder)
}

/// Takes over what root's piton has kept in the private folder before another user could write to the
/// data directory. It happens once: later nothing that is there is believed.
///
/// # Errors
/// Those of [`folder`] and [`read`]; the system's, with the path.
pub fn take_over(data: &Path) -> Result<()> {
    let (folder, old) = (folder(data)?, data.join(PRIVATE_FOLDER));
    let is_ours = disk::find(&old)?.is_some_and(|found| fault_of(&found).is_none());
    if !is_root() || folder == old || !is_ours || disk::find(&folder)?.is_some() {
        return Ok(());
    }
    let mut names: Vec<PathBuf> = NAMES.iter().map(PathBuf::from).collect();
    for id in disk::entries(&old.join("undo"))?.unwrap_or_default() {
        names.push(Path::new("undo").join(id).join("record.json"));
    }
    let new = folder.with_extension(format!("{}.new", std::process::id()));
    disk::remove_tree("records-take-over", &new)?;
    disk::create_private_folders("records-take-over", &new)?;
    for name in names {
        if let Some(bytes) = read(&old.join(&name))? {
            let path = new.join(name);
            disk::create_private_folders("records-take-over", path.parent().unwrap_or(&new))?;
            disk::write_atomic("records-take-over", &path, disk::PRIVATE_FILE, &bytes)?;
        }
    }
    match disk::rename("records-take-over", &new, &folder) {
        // Another process of root was faster.
        Err(_) if disk::find(&folder)?.is_some() => {
            return Ok(disk::remove_tree("records-take-over", &new)?);
        }
        other => other?,
    }
    Ok(disk::sync_parent("records-take-over", &folder)?)
}

/// The folder for staged files, on the file system of the data. It need not exist, and nothing is
/// created.
///
/// # Errors
/// [`RecordsError::NotOurs`] where another user has taken its name.
pub fn private(data: &Path) -> Result<PathBuf> {
    let common = data.join(PRIVATE_FOLDER);
    let own = match is_root() {
        true => format!("{OTHER_PRIVATE}{ROOT}"),
        false => format!("{OTHER_PRIVATE}{}", user()),
    };
    let own = data.join(own);
    if disk::find(&own)?.is_some() {
        require_ours(&own)?;
        return Ok(own);
    }
    let is_common = match disk::find(&common)? {
        None => !is_root() || !is_shared(data)?,
        Some(found) => !is_root() && is_odd(&found) || fault_of(&found).is_none(),
    };
    Ok(if is_common { common } else { own })
}

/// The folder for staged files, created if need be, its name durable.
///
/// # Errors
/// Those of [`private`]; the system's, with the path.
pub fn make_private(data: &Path) -> Result<PathBuf> {
    let folder = private(data)?;
    if disk::find(&folder)?.is_none() {
        disk::create_private_folders("private-folder", &folder)?;
        // Notes written there must not go with the folder's own name.
        disk::sync_folder("private-folder-sync", data)?;
    }
    require_ours(&folder)?;
    Ok(folder)
}

/// Reads a record: never through a link, never waiting for a pipe, and nothing that another user
/// has written.
///
/// # Errors
/// [`RecordsError::NotARecord`], [`RecordsError::TooLong`]; the system's, with the path.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let odd = |reason| RecordsError::NotARecord { path: path.into(), reason };
    let file = match disk::open_to_read(path) {
        Err(error)
            if matches!(error.source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => match error.source.raw_os_error() {
            Some(libc::ELOOP) => return Err(odd("is a symbolic link").into()),
            Some(libc::ENXIO) => return Err(odd("is a socket or a device").into()),
            _ => return Err(error.into()),
        },
        Ok(file) => file,
    };
    let found = file.metadata().map_err(disk::failed("read", path))?;
    if let Some(reason) = odd_file(&found) {
        return Err(odd(reason).into());
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(disk::failed("read", path))?;
    match bytes.len() as u64 > LONGEST {
        true => Err(RecordsError::TooLong { path: path.into() }.into()),
        false => Ok(Some(bytes)),
    }
}

/// Why an open file is no record, if it is none.
fn odd_file(found: &Metadata) -> Option<&'static str> {
    let kind = found.file_type();
    Some(match () {
        () if kind.is_dir() => "is a folder",
        () if kind.is_fifo() => "is a pipe",
        () if !kind.is_file() => "is a device",
        () if ![0, user()].contains(&found.uid()) => "belongs to another user",
        () => return None,
    })
}

/// Refuses where another user's restore of this data was interrupted: this user does not believe its
/// journal, and what is there may be half of each.
///
/// # Errors
/// [`RecordsError::OfAnother`], [`RecordsError::Elsewhere`].
pub fn refuse_restore_of_others(data: &Path) -> Result<()> {
    let own = std::path::absolute(folder(data)?).map_err(disk::failed("find", data))?;
    let journal = data.join(PRIVATE_FOLDER).join(JOURNAL);
    if is_root() && !own.ends_with(PRIVATE_FOLDER) {
        // It may be planted, so it is looked at and never read.
        let planted = disk::find(&journal).ok().flatten().filter(Metadata::is_file);
        if let Some(found) = planted.filter(|found| found.uid() != 0) {
            return Err(RecordsError::OfAnother { journal, user: found.uid() }.into());
        }
    }
    let mark = data.join(MARK);
    if let Some(records) = read_mark(&mark)?
        && records != own
    {
        // Where its journal is gone, that restore has ended.
        let is_over = disk::find(&records).is_ok_and(|found| found.is_some())
            && disk::find(&records.join(JOURNAL)).is_ok_and(|found| found.is_none());
        if !is_over {
            return Err(RecordsError::Elsewhere { data: data.into(), records, mark }.into());
        }
    }
    Ok(())
}

/// The folder that a mark names; nothing where there is none. It is only ever compared and looked at.
fn read_mark(mark: &Path) -> Result<Option<PathBuf>> {
    let Ok(file) = disk::open_to_read(mark) else { return Ok(None) };
    if !file.metadata().map_err(disk::failed("read", mark))?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes).map_err(disk::failed("read", mark))?;
    Ok(Some(PathBuf::from(OsStr::from_bytes(bytes.trim_ascii_end()))))
}

/// Marks that a restore begins, where others could not see its journal.
///
/// # Errors
/// The system's, with the path.
pub fn mark_restore(data: &Path) -> Result<()> {
    let records = folder(data)?;
    if records == data.join(PRIVATE_FOLDER) && !is_shared(data)? {
        return Ok(());
    }
    let mut text = std::path::absolute(&records).unwrap_or(records).into_os_string();
    text.push("\n");
    let (mark, mode) = (data.join(MARK), 0o644);
    Ok(disk::write_atomic("restore-mark", &mark, mode, text.as_bytes())?)
}

/// Removes the mark, when the restore has ended.
///
/// # Errors
/// The system's, with the path.
pub fn unmark_restore(data: &Path) -> Result<()> {
    let mark = data.join(MARK);
    if disk::find(&mark)?.is_none_or(|found| found.is_dir()) {
        return Ok(());
    }
    disk::remove_file("restore-mark-end", &mark)?;
    Ok(disk::sync_folder("restore-mark-sync", data)?)
}

/// Where root's records of a data directory are beside its backups; nothing where these are not known.
fn beside(data: &Path) -> Result<Option<PathBuf>> {
    let known = BACKUPS.lock().unwrap_or_else(PoisonError::into_inner).get(data).cloned();
    let Some(backups) = known else { return Ok(None) };
    let real = real(data);
    let digest = Sha256::digest(real.as_os_str().as_bytes());
    let short: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let mut name = real.file_name().unwrap_or_default().to_os_string();
    name.push(format!("-{short}"));
    let backups = std::path::absolute(&backups).map_err(disk::failed("find", &backups))?;
    Ok(Some(backups.join(BESIDE).join(name)))
}

/// A path without links; of a data directory that is lost, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let parent = || Some(fs::canonicalize(absolute.parent()?).ok()?.join(absolute.file_name()?));
    fs::canonicalize(&absolute).ok().or_else(parent).unwrap_or(absolute)
}

/// Whether somebody besides this user (and root) can rename or replace what is in a folder.
fn is_shared(folder: &Path) -> Result<bool> {
    let found = match fs::metadata(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(disk::failed("read", folder)(error).into()),
    };
    Ok(found.uid() != user() || is_open(&found))
}

/// Whether others may write there. An access control list that lets them shows in the bits of the
/// group as well.
fn is_open(found: &Metadata) -> bool {
    found.mode() & 0o002 != 0 || (found.mode() & 0o020 != 0 && found.gid() != 0)
}

fn is_free_or_ours(folder: &Path) -> Result<bool> {
    Ok(disk::find(folder)?.is_none_or(|found| fault_of(&found).is_none()))
}

/// Whether something else than a folder has the name: that is said, and no other name taken.
fn is_odd(found: &Metadata) -> bool {
    !found.is_dir() && found.uid() == user()
}

/// Why a folder is not one of this user alone, if it is not.
fn fault_of(found: &Metadata) -> Option<&'static str> {
    Some(match () {
        () if found.is_symlink() => "is a symbolic link",
        () if !found.is_dir() => "is not a folder",
        () if found.uid() != user() => "belongs to another user",
        // An owner may share what is theirs; root's piton must not believe it then.
        () if is_root() && is_open(found) => "may be written to by others",
        () => return None,
    })
}

fn require_ours(folder: &Path) -> Result<()> {
    let path = folder.to_path_buf();
    let Some(found) = disk::find(folder)? else {
        return Err(RecordsError::NotOurs { path, reason: "is gone again" }.into());
    };
    match fault_of(&found) {
        Some(reason) => Err(RecordsError::NotOurs { path, reason }.into()),
        None => Ok(()),
    }
}

/// Refuses where another user than root could rename or replace a folder, or one above it.
fn require_safe(records: &Path) -> Result<()> {
    let there = records.ancestors().find(|it| fs::symlink_metadata(it).is_ok());
    let there = there.and_then(|it| fs::canonicalize(it).ok()).unwrap_or_else(|| "/".into());
    for folder in there.ancestors() {
        let found = fs::symlink_metadata(folder).map_err(disk::failed("read", folder))?;
        let is_sticky = found.mode() & 0o1000 != 0 && folder != there;
        let (reason, fix) = match () {
            () if found.uid() != 0 => ("belongs to another user", "chown root"),
            () if is_open(&found) && !is_sticky => ("may be written to by others", "chmod go-w"),
            () => continue,
        };
        let (path, records) = (folder.into(), records.into());
        return Err(RecordsError::Unsafe { path, reason, fix, records }.into());
    }
    Ok(())
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn is_root() -> bool {
    user() == 0
}
