//! Copies off the machine when something goes wrong: no disk, a full one, damage, a crash.

use crate::offsite::{back_up, names, there, whole, with_disk};
use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

/// As if it had been left days ago.
fn make_old(path: &std::path::Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(2 * 86_400)).unwrap();
}

#[test]
fn a_disk_that_is_not_mounted_fails_no_backup_and_is_caught_up() {
    let sandbox = with_disk("");
    sandbox.remove("disk");
    let ran = sandbox.run("backup").success();
    ran.says("warning: there is no folder `[ROOT]/disk`; 1 backup is only here\n")
        .says("  hint: mount the disk");
    assert!(!sandbox.exists("disk"), "it would lie below the mount point");
    let document = sandbox.run("backup --json").success().json();
    assert_eq!(document["outcome"], "nothing-to-do");
    assert_eq!(document["offsite"]["only_here"].as_array().unwrap().len(), 1);
    let message = document["offsite"]["failure"]["message"].as_str().unwrap();
    assert!(message.starts_with("there is no folder"), "{message}");
    let first = sandbox.backups()[0].clone();
    let second = back_up(&sandbox, "two");
    // Even where nothing else is said.
    sandbox.write("data/file", "three");
    sandbox.run("backup --quiet").success().says("warning: ").says("3 backups are only here");
    let third = sandbox.backups()[0].clone();
    let status = sandbox.run("status").success();
    status
        .says("only here: 3 backups are not copied to file://[ROOT]/disk\n")
        .says("  the last attempt failed ")
        .says("next: piton backups sync\n");
    let document = sandbox.run("status --json").success().json();
    assert_eq!(document["offsite"]["only_here"].as_array().unwrap().len(), 3);
    sandbox.run("backups sync").code(5).one_error();
    fs::create_dir(sandbox.path("disk")).unwrap();
    sandbox.run("backups sync --dry-run").success().says(&format!("{third} would be copied to"));
    assert_eq!(names(&sandbox), Vec::<String>::new());
    sandbox.run("backups sync").success().says("copied  3 backups to file://[ROOT]/disk\n");
    assert_eq!(names(&sandbox), whole(&[&first, &second, &third]));
    sandbox.run("status").success().says("all of them copied");
}

#[test]
fn a_copy_that_is_damaged_there_is_found_and_never_put_back() {
    let sandbox = with_disk("");
    let id = back_up(&sandbox, "one");
    let before = sandbox.content();
    let mut bytes = fs::read(there(&sandbox, &id)).unwrap();
    sandbox.run("verify --offsite").success().says(&format!("verified {id}"));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(there(&sandbox, &id), &bytes).unwrap();
    let ran = sandbox.run(&format!("verify --offsite {id}")).code(10);
    ran.says("is damaged: its SHA-256 is not that of what was copied");
    sandbox.remove("backups");
    sandbox.run("restore --offsite --yes").code(10).one_error();
    assert_eq!(sandbox.content(), before);
    assert_eq!(sandbox.backups(), Vec::<String>::new());
    assert!(!sandbox.exists(&format!("backups/.offsite/{id}.tar.gz")));
}

#[test]
fn a_copy_of_the_wrong_length_is_copied_anew() {
    let sandbox = with_disk("");
    let id = back_up(&sandbox, "one");
    fs::write(there(&sandbox, &id), "short").unwrap();
    let ran = sandbox.run("backups sync").success();
    ran.says("has 5 bytes instead of").says(&format!("copied  {id}"));
    sandbox.run("verify --offsite").success();
}

#[test]
fn a_copy_that_somebody_removed_there_is_made_again() {
    let sandbox = with_disk("");
    let id = back_up(&sandbox, "one");
    fs::remove_file(there(&sandbox, &id)).unwrap();
    sandbox.run("backups sync").success().says(&format!("copied  {id}"));
    sandbox.run("verify --offsite").success();
}

#[test]
fn what_interrupted_uploads_left_is_taken_up_or_swept_and_nothing_else() {
    let sandbox = with_disk("copy-after = []\n");
    let id = back_up(&sandbox, "one");
    assert_eq!(names(&sandbox), Vec::<String>::new());
    let foreign = "20260101T000000Z-aaaaaa";
    // An archive whose description is missing, half an upload of it, and those of others.
    fs::copy(sandbox.archive(&id), there(&sandbox, &id)).unwrap();
    sandbox.write(&format!("disk/{id}.tar.gz.partial"), "half");
    let old = [format!("disk/{foreign}.tar.gz.partial"), format!("disk/{foreign}.tar.zst")];
    let young = "disk/20260102T000000Z-aaaaaa.tar.gz.partial";
    let not_ours = "disk/film.mkv.partial";
    for name in old.iter().map(String::as_str).chain([young, not_ours]) {
        sandbox.write(name, "left");
    }
    old.iter().map(String::as_str).chain([not_ours]).for_each(|name| make_old(&sandbox.path(name)));
    sandbox.run("backups --offsite").success().says("0 copies");
    sandbox.run("backups sync").success().says(&format!("copied  {id}"));
    assert!(old.iter().all(|name| !sandbox.exists(name)));
    assert!(sandbox.exists(young) && sandbox.exists(not_ours));
    sandbox.remove(young);
    sandbox.remove(not_ours);
    // What was left of this very upload went with the next copying.
    sandbox.run("backups sync").success();
    assert_eq!(names(&sandbox), whole(&[&id]));
    sandbox.run("verify --offsite").success();
}

#[test]
fn killed_at_any_step_it_is_caught_up_without_a_trace() {
    for point in ["offsite-create", "offsite-sync", "offsite-rename", "offsite-note"] {
        for nth in [1, 2] {
            let sandbox = with_disk("");
            sandbox.remove("disk");
            let ids = [back_up(&sandbox, "one"), back_up(&sandbox, "two")];
            fs::create_dir(sandbox.path("disk")).unwrap();
            let mut command = sandbox.command("backups sync");
            command.env("PITON_FAULT", format!("{point}:{nth}:kill"));
            let ran = sandbox.finish(command);
            assert!(ran.whole().contains("None"), "{point}: {}", ran.whole());
            sandbox.run("verify --all").success();
            sandbox.run("backups sync").success();
            assert_eq!(names(&sandbox), whole(&[&ids[0], &ids[1]]), "{point} {nth}");
            sandbox.run("verify --offsite --all").success();
        }
    }
}

#[test]
fn killed_while_it_fetches_it_leaves_nothing_that_matters() {
    for point in ["fetch-create", "fetch-sync", "fetch-rename", "publish-rename"] {
        let sandbox = with_disk("");
        let id = back_up(&sandbox, "one");
        let before = sandbox.content();
        sandbox.remove("backups");
        sandbox.remove("data/file");
        let mut command = sandbox.command("restore --offsite --yes");
        command.env("PITON_FAULT", format!("{point}:1:kill"));
        let ran = sandbox.finish(command);
        assert!(ran.whole().contains("None"), "{point}: {}", ran.whole());
        assert_eq!(sandbox.backups(), Vec::<String>::new(), "{point}");
        sandbox.run("restore --offsite --yes").success().says(&format!("restored {id}"));
        assert_eq!(sandbox.content(), before, "{point}");
        sandbox.run("verify --all").success();
        let left = std::fs::read_dir(sandbox.path("backups")).unwrap();
        let partial = |name: &str| name.ends_with(".partial");
        let mut names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(!names.any(|name| partial(&name)), "{point}");
    }
}

#[test]
fn a_place_that_is_full_or_read_only_is_named() {
    // No space, a read-only file system, not permitted.
    for (number, said) in [(28, "is full"), (30, "cannot be written to"), (13, "refuses access")] {
        let sandbox = with_disk("");
        let mut command = sandbox.command("backup");
        command.env("PITON_FAULT", format!("offsite-create:1:{number}"));
        let ran = sandbox.finish(command).success();
        ran.says(said).says("warning: `file://[ROOT]/disk`").says("1 backup is only here");
        assert_eq!(names(&sandbox), Vec::<String>::new());
        sandbox.run("backups sync").success().says("copied  ");
    }
}
