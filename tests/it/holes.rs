//! Sparse files, extended attributes, owner, mode and time: out of the archive by `restore` and by
//! other programs.

use crate::{programs::lacks, sandbox::Sandbox};
use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const SIZE: u64 = 12 << 20;

/// A file with data at its beginning, in its middle, and none at its end.
fn sparse(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_len(SIZE).unwrap();
    file.write_all_at(b"the beginning", 0).unwrap();
    file.write_all_at(&[7; 100_000], 4 << 20).unwrap();
    file.write_all_at(b"late", 8 << 20).unwrap();
}

fn taken(path: &Path) -> u64 {
    path.metadata().unwrap().blocks() * 512
}

fn same(one: &Path, other: &Path) {
    assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{}", other.display());
}

fn unpacked(sandbox: &Sandbox, program: &str, words: &[&str]) -> PathBuf {
    let out = sandbox.path(&format!("out-{program}"));
    fs::create_dir(&out).unwrap();
    let mut command = sandbox.program(program);
    command.args(words).current_dir(&out);
    sandbox.finish(command).success();
    out.join("data")
}

#[test]
fn sparse_files_stay_sparse() {
    if lacks("python3") {
        return;
    }
    let sandbox = Sandbox::with_users();
    // The name that the list gets is longer than a plain header holds.
    let name = format!("disks/{}", "n".repeat(120));
    let live = sandbox.path("data").join(&name);
    sparse(&live);
    File::create(sandbox.path("data/empty")).unwrap().set_len(SIZE).unwrap();
    assert!(taken(&live) < 1 << 20, "the file system of the tests has no holes");
    let id = sandbox.back_up();
    let archive = sandbox.archive(&id);
    assert!(archive.metadata().unwrap().len() < 1 << 20);
    sandbox.run("backup").success().says("nothing to do");
    sandbox.run("verify").success();
    sandbox.run("diff").success().says("equal: ");

    sandbox.run("restore --to out").success();
    for (path, most) in [(format!("out/{name}"), 1 << 20), ("out/empty".into(), 0)] {
        let path = sandbox.path(&path);
        assert!(taken(&path) <= most, "{}: {}", path.display(), taken(&path));
    }
    same(&live, &sandbox.path("out").join(&name));
    same(&sandbox.path("data/empty"), &sandbox.path("out/empty"));

    let archive = archive.to_str().unwrap();
    let python = format!("import tarfile; tarfile.open({archive:?}).extractall('.', filter='tar')");
    for (program, words) in [("tar", vec!["xzf", archive]), ("python3", vec!["-c", &python])] {
        let data = unpacked(&sandbox, program, &words);
        same(&live, &data.join(&name));
        same(&sandbox.path("data/empty"), &data.join("empty"));
        assert!(taken(&data.join(&name)) < 1 << 20, "{program}");
    }

    // Without the manifest beside it, the one inside is found behind the segments.
    sandbox.remove(&format!("backups/{id}.json"));
    fs::write(&live, "replaced").unwrap();
    sandbox.run("restore --yes").success();
    same(&sandbox.path("out").join(&name), &live);
    assert!(taken(&live) < 1 << 20);
}

/// The sandbox's files can have attributes of users, else there is nothing to test.
fn has_attributes(path: &Path) -> bool {
    lsetxattr(path, "user.comment", b"of the \xFF test", XattrFlags::empty()).is_ok()
}

fn comment(path: &Path) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 100];
    let length = lgetxattr(path, "user.comment", &mut buffer[..]).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

#[test]
fn extended_attributes_come_back() {
    let sandbox = Sandbox::with_users().file("data/folder/a", "a").file("data/b", "b");
    let marked = ["app.db", "folder", "folder/a"];
    for name in marked {
        if !has_attributes(&sandbox.path("data").join(name)) {
            eprintln!("not tested: this file system has no extended attributes");
            return;
        }
    }
    let plain = Sandbox::with_users().file("data/b", "b");
    let format = |sandbox: &Sandbox| {
        let document = sandbox.run("backup --json").success().json();
        document["backup"]["manifest"]["format"].as_u64()
    };
    // Older versions go on reading what they can read.
    assert_eq!((format(&plain), format(&sandbox)), (Some(1), Some(2)));
    let id = sandbox.backups().remove(0);
    sandbox.run("verify").success();
    sandbox.run("diff").success().says("equal: ");

    let archive = sandbox.archive(&id);
    let data = unpacked(&sandbox, "tar", &["--xattrs", "-xzf", archive.to_str().unwrap()]);
    sandbox.run("restore --to out").success().stderr("");
    for (root, name) in [data, sandbox.path("out")].iter().flat_map(|it| marked.map(|n| (it, n))) {
        let found = comment(&root.join(name));
        assert_eq!(found.as_deref(), Some(&b"of the \xFF test"[..]), "{}", root.display());
    }

    rustix::fs::lremovexattr(sandbox.path("data/folder/a"), "user.comment").unwrap();
    sandbox.run("diff").success().says("~ folder/a");
    sandbox.run("restore --yes").success().stderr("");
    assert!(comment(&sandbox.path("data/folder/a")).is_some());
    assert_eq!(comment(&sandbox.path("data/b")), None);
}

#[test]
fn owner_mode_and_time_come_back() {
    let sandbox = Sandbox::with_users().file("data/folder/a", "a");
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    let root = rustix::process::geteuid().is_root();
    for name in ["app.db", "folder", "folder/a"] {
        let path = sandbox.path("data").join(name);
        let mode = if path.is_dir() { 0o2750 } else { 0o640 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        if root {
            chown(&path, Some(12_345), Some(54_321)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        File::open(&path).unwrap().set_modified(time).unwrap();
    }
    sandbox.back_up();
    sandbox.run("restore --to out").success();
    for name in ["app.db", "folder", "folder/a"] {
        let look = |folder: &str| sandbox.path(folder).join(name).metadata().unwrap();
        let (was, is) = (look("data"), look("out"));
        assert_eq!(is.modified().unwrap(), time, "{name}");
        assert_eq!((was.mode(), was.uid(), was.gid()), (is.mode(), is.uid(), is.gid()), "{name}");
    }
}
