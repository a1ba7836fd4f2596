//! Copies of folders as they are: with second names of files, modes and times.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Copies a folder over one that is removed first; second names of a file stay second names.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    fill_folder(from, to)
}

/// Copies the content of a folder into an empty one.
pub fn fill_folder(from: &Path, to: &Path) -> io::Result<()> {
    let mut names: BTreeMap<u64, PathBuf> = BTreeMap::new();
    let mut folders = Vec::new();
    for entry in walkdir::WalkDir::new(from).sort_by_file_name() {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from).expect("it lies below"));
        let found = entry.metadata()?;
        if found.is_dir() {
            if entry.depth() > 0 {
                fs::create_dir(&target)?;
            }
            folders.push((target, found));
        } else if let Some(first) = names.get(&found.ino()) {
            fs::hard_link(first, &target)?;
        } else {
            match entry.path_is_symlink() {
                true => std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?,
                false => copy_file(entry.path(), &target)?,
            }
            names.insert(found.ino(), target);
        }
    }
    // Children first: they change the times of what holds them.
    for (folder, found) in folders.iter().rev() {
        fs::set_permissions(folder, found.permissions())?;
        File::open(folder)?.set_modified(found.modified()?)?;
    }
    Ok(())
}

/// Copies one file with its mode and time.
pub fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.set_modified(fs::metadata(from)?.modified()?)
}

/// The names in a folder, sorted; none where it is not there.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
