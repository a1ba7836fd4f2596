//! Ways by which a script could reach live data although a copy is in the place of the data directory:
//! links that lead out of it, and second names of a database.
//!
//! A second mount of the data directory is covered by the copy as well (`process/enclosure.rs`).

use crate::{Result, disk};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Why scripts are kept out of a rehearsal on a copy, in words; nothing where there is no such way.
/// `databases` are relative to the live data directory.
///
/// # Errors
/// The system's, with the path.
pub fn way_out(live: &Path, copy: &Path, databases: &[PathBuf]) -> Result<Option<String>> {
    for name in databases {
        let path = live.join(name);
        let found = fs::metadata(&path).map_err(disk::failed("look at", &path))?;
        if found.nlink() > 1 {
            return Ok(Some(format!(
                "`{}` has a second name (a hard link), by which a script could reach the live database",
                name.display()
            )));
        }
    }
    let live = live.canonicalize().map_err(disk::failed("find", live))?;
    Ok(link_out(&live, copy)?.map(|name| {
        format!(
            "`{}` in the data directory is a link that leads out of it, to what has no copy",
            name.display()
        )
    }))
}

/// A link of the copy that leads out of the live data directory from its place there.
fn link_out(live: &Path, copy: &Path) -> Result<Option<PathBuf>> {
    let mut left = vec![PathBuf::new()];
    while let Some(folder) = left.pop() {
        let whole = copy.join(&folder);
        for entry in fs::read_dir(&whole).map_err(disk::failed("list the folder", &whole))? {
            let entry = entry.map_err(disk::failed("list the folder", &whole))?;
            let kind = entry.file_type().map_err(disk::failed("look at", &whole))?;
            let name = folder.join(entry.file_name());
            if kind.is_dir() {
                left.push(name);
            } else if kind.is_symlink() {
                // One that leads nowhere reaches nothing.
                let end = live.join(&name).canonicalize();
                if end.is_ok_and(|end| !end.starts_with(live)) {
                    return Ok(Some(name));
                }
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::way_out;
    use std::{fs, os::unix::fs::symlink, path::PathBuf};

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn links_and_second_names() {
        let folder = tempfile::tempdir().unwrap();
        let (live, copy) = (folder.path().join("live"), folder.path().join("live/own/copy"));
        fs::create_dir_all(copy.join("sub")).unwrap();
        fs::create_dir_all(live.join("sub")).unwrap();
        fs::write(live.join("app.db"), "x").unwrap();
        let databases = [PathBuf::from("app.db")];
        let find = || way_out(&live, &copy, &databases).unwrap();
        for (name, target) in
            [("in", "sub"), ("sub/up", "../app.db"), ("nowhere", "/nowhere/at/all")]
        {
            for place in [&live, &copy] {
                symlink(target, place.join(name)).unwrap();
            }
        }
        assert_eq!(find(), None);
        fs::create_dir(folder.path().join("outside")).unwrap();
        symlink("../../outside", live.join("sub/photos")).unwrap();
        // What is in no copy is reached by no copy.
        assert_eq!(find(), None);
        symlink("../../outside", copy.join("sub/photos")).unwrap();
        assert!(find().unwrap().contains("`sub/photos`"));
        fs::hard_link(live.join("app.db"), folder.path().join("second.db")).unwrap();
        assert!(find().unwrap().contains("`app.db` has a second name"));
    }
}
