//! A name that was of one kind and is of another: a file, a link, a folder, a database. A restore and
//! its undo bring each pair of them back, also where root works on the data of another user.

use crate::{
    permissions::{NOBODY, give, is_root},
    sandbox::{PITON, Sandbox, dump, files},
};
use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

/// What a name can be.
const KINDS: [&str; 9] = [
    "nothing",
    "file",
    "link-to-a-folder",
    "link-inside",
    "link-to-nothing",
    "folder",
    "folders",
    "folder-with-database",
    "database",
];

fn database(path: &Path, row: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = format!("CREATE TABLE t (a); INSERT INTO t VALUES ('{row}')");
    connection.execute_batch(&sql).unwrap();
}

fn make(path: &Path, kind: &str, outside: &Path, row: &str) {
    match kind {
        "nothing" => {}
        "file" => fs::write(path, row).unwrap(),
        "link-to-a-folder" => symlink(outside, path).unwrap(),
        "link-inside" => symlink("beside", path).unwrap(),
        "link-to-nothing" => symlink("/nowhere", path).unwrap(),
        "folder" => {
            fs::create_dir(path).unwrap();
            fs::write(path.join("b.txt"), row).unwrap();
        }
        "folders" => {
            fs::create_dir_all(path.join("a/empty")).unwrap();
            fs::write(path.join("a/b.txt"), row).unwrap();
        }
        "folder-with-database" => {
            fs::create_dir(path).unwrap();
            database(&path.join("app.db"), row);
        }
        "database" => database(path, row),
        other => panic!("{other}"),
    }
}

type Picture = BTreeMap<String, String>;

/// Everything in the data directory, links as links.
fn picture(sandbox: &Sandbox) -> Picture {
    let data = sandbox.path("data");
    let mut seen = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&data).min_depth(1) {
        let entry = entry.unwrap();
        let name = entry.path().strip_prefix(&data).unwrap().to_str().unwrap().to_string();
        let what = match entry.file_type() {
            kind if kind.is_symlink() => format!("{:?}", fs::read_link(entry.path()).unwrap()),
            kind if kind.is_dir() => "folder".to_string(),
            _ if fs::read(entry.path()).unwrap().starts_with(b"SQLite") => dump(entry.path()),
            _ => fs::read_to_string(entry.path()).unwrap(),
        };
        if !name.starts_with(".piton") {
            seen.insert(name, what);
        }
    }
    seen
}

fn fill(sandbox: &Sandbox, row: &str, chosen: impl Fn(usize, usize) -> usize, owner: Option<u32>) {
    let data = sandbox.path("data");
    for entry in fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.file_name().unwrap().to_str().unwrap().starts_with("n-") {
            let is_folder = fs::symlink_metadata(&entry).unwrap().is_dir();
            if is_folder { fs::remove_dir_all(entry) } else { fs::remove_file(entry) }.unwrap();
        }
    }
    for first in 0..KINDS.len() {
        for second in 0..KINDS.len() {
            let path = data.join(format!("n-{}-then-{}", KINDS[first], KINDS[second]));
            make(&path, KINDS[chosen(first, second)], &sandbox.path("outside"), row);
        }
    }
    if let Some(owner) = owner {
        for entry in walkdir::WalkDir::new(&data) {
            let entry = entry.unwrap();
            if !entry.path().strip_prefix(&data).unwrap().starts_with(".piton-root") {
                give(entry.path(), owner);
            }
        }
    }
}

/// A backup of the first kind of each name, and live the second one.
fn exchanged(owner: Option<u32>) -> (Sandbox, [Picture; 2]) {
    let sandbox = Sandbox::new();
    sandbox.execute("app.db", "CREATE TABLE t (a)");
    // Where links lead, there are the same names as in the folders.
    for place in ["outside", "data/beside"] {
        let path = sandbox.path(place);
        fs::create_dir_all(path.join("a/empty")).unwrap();
        fs::write(path.join("b.txt"), "of another").unwrap();
        fs::write(path.join("a/b.txt"), "of another").unwrap();
        database(&path.join("app.db"), "of another");
    }
    fill(&sandbox, "old", |first, _| first, owner);
    let old = picture(&sandbox);
    sandbox.run("backup").success();
    fill(&sandbox, "new", |_, second| second, owner);
    let new = picture(&sandbox);
    (sandbox, [old, new])
}

fn there_and_back(owner: Option<u32>) {
    let (sandbox, [old, new]) = exchanged(owner);
    let outside = files(&sandbox.path("outside"));
    sandbox.run("restore --yes").success();
    assert_eq!(picture(&sandbox), old);
    sandbox.run("restore --yes").success().says("nothing to do");
    sandbox.run("restore --undo --yes").success();
    assert_eq!(picture(&sandbox), new);
    assert_eq!(files(&sandbox.path("outside")), outside);
}

#[test]
fn every_pair_of_kinds_comes_back() {
    there_and_back(None);
}

#[test]
fn every_pair_of_kinds_comes_back_to_another_owner() {
    if is_root() {
        there_and_back(Some(NOBODY));
    }
}

#[test]
fn whatever_a_kill_leaves_of_it_the_same_command_again_finishes() {
    // Two of three are killed while names change.
    for nth in [40, 260, 500, 620, 740, 860, 980] {
        let (sandbox, [old, new]) = exchanged(None);
        let outside = files(&sandbox.path("outside"));
        for (words, wanted) in [("restore --yes", &old), ("restore --undo --yes", &new)] {
            let mut command = sandbox.program(PITON);
            command.args(words.split(' ')).env("PITON_FAULT", format!("*:{nth}:kill"));
            sandbox.finish(command).killed();
            let ran = sandbox.run(words).success();
            assert_eq!(&picture(&sandbox), wanted, "{words} {nth}: {}", ran.whole());
            assert_eq!(files(&sandbox.path("outside")), outside, "{words} {nth}");
        }
    }
}
