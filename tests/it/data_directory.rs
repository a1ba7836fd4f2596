//! Owner and mode of the data directory itself: in the backup, restored, undone, also where it is killed.

use crate::{
    permissions::{NOBODY, give, is_root},
    programs::lacks,
    sandbox::{PITON, Sandbox},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

fn own(sandbox: &Sandbox) -> (u32, u32, u32) {
    let found = fs::metadata(sandbox.path("data")).unwrap();
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

fn set_mode(sandbox: &Sandbox, mode: u32) {
    fs::set_permissions(sandbox.path("data"), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn only_its_mode_differs() {
    let sandbox = Sandbox::with_users();
    set_mode(&sandbox, 0o2750);
    let id = sandbox.back_up();
    sandbox.run(&format!("restore {id} --yes")).success().says("nothing to do");
    set_mode(&sandbox, 0o711);
    let shown = sandbox.run(&format!("restore {id} --dry-run")).success();
    shown.says("the data directory itself: ").says(" 711 becomes ");
    let json = sandbox.run(&format!("restore {id} --dry-run --json")).success().json();
    assert_eq!(json["preview"]["data_directory"]["before"]["mode"], 0o711);
    assert_eq!(json["preview"]["data_directory"]["after"]["mode"], 0o2750);
    sandbox.run(&format!("restore {id} --yes --only /app.db")).success();
    assert_eq!(own(&sandbox).2, 0o711, "a part is not the whole");
    sandbox.run(&format!("restore {id} --yes")).success();
    assert_eq!(own(&sandbox).2, 0o2750);
    sandbox.run(&format!("restore {id} --yes")).success().says("nothing to do");
    sandbox.run("restore --undo --dry-run").success().says(" 2750 becomes ");
    sandbox.run("restore --undo --yes").success();
    assert_eq!(own(&sandbox).2, 0o711);
    sandbox.run(&format!("restore {id} --yes")).success();
    assert_eq!(own(&sandbox).2, 0o2750);
}

#[test]
fn another_mode_is_another_backup() {
    let sandbox = Sandbox::with_users();
    set_mode(&sandbox, 0o750);
    let id = sandbox.back_up();
    assert_eq!(sandbox.back_up(), id);
    set_mode(&sandbox, 0o700);
    assert_ne!(sandbox.back_up(), id);
}

#[test]
fn a_lost_one_comes_back_for_its_service() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::with_users();
    set_mode(&sandbox, 0o2750);
    give(&sandbox.path("data"), NOBODY);
    set_mode(&sandbox, 0o2750);
    let wanted = own(&sandbox);
    sandbox.run("backup").success();
    fs::remove_dir_all(sandbox.path("data")).unwrap();
    sandbox.run("restore latest --yes").success();
    assert_eq!(own(&sandbox), wanted);
    sandbox.run("restore latest --yes").success().says("nothing to do");
    sandbox.run("status").success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users"), "2");
}

#[test]
fn another_owner_is_changed_and_changed_again_by_an_undo() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::with_users();
    let before = own(&sandbox);
    give(&sandbox.path("data"), NOBODY);
    let wanted = own(&sandbox);
    let id = sandbox.back_up();
    give(&sandbox.path("data"), 0);
    assert_eq!(own(&sandbox), before);
    // With the records where nobody but root has been.
    sandbox.remove("backups/.records");
    sandbox.run(&format!("restore {id} --yes")).success();
    assert_eq!(own(&sandbox), wanted);
    sandbox.run(&format!("restore {id} --yes")).success().says("nothing to do");
    sandbox.run("restore --undo --yes").success();
    assert_eq!(own(&sandbox), before);
    sandbox.run("restore --undo --yes").success().says("nothing to do");
    sandbox.run(&format!("restore {id} --yes")).success();
    assert_eq!(own(&sandbox), wanted);
}

#[test]
fn what_only_root_could_give_to_its_owner_is_said() {
    if !is_root() || lacks("setpriv") {
        return;
    }
    let sandbox = Sandbox::with_users();
    sandbox.write("data/note", "old");
    let id = sandbox.back_up();
    for entry in walkdir::WalkDir::new(sandbox.path("")) {
        give(entry.unwrap().path(), NOBODY);
    }
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.write("data/note", "new");
    let restore = |words: &str| {
        let mut command = sandbox.program("setpriv");
        let user = NOBODY.to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", PITON]);
        command.args(["restore", &id, "--yes"]).args(words.split_whitespace());
        sandbox.finish(command)
    };
    let ran = restore("").success();
    ran.says("2 paths are of another owner in the backup")
        .says("the data directory itself, `note`");
    sandbox.write("data/note", "newer");
    let json = restore("--json").success().json();
    assert_eq!(json["restored"]["not_owned"].as_array().unwrap().len(), 2);
}

/// The owner decides where root keeps its records, and changes in the middle.
#[test]
fn killed_anywhere_around_the_change_of_its_owner_the_same_command_ends_it() {
    if !is_root() || lacks("strace") {
        return;
    }
    for call in ["lchown", "chmod", "rename"] {
        for nth in (1..).step_by(if call == "rename" { 3 } else { 1 }) {
            let sandbox = Sandbox::with_users();
            sandbox.write("data/note", "old");
            give(&sandbox.path("data"), NOBODY);
            let (wanted, id) = (own(&sandbox), sandbox.back_up());
            give(&sandbox.path("data"), 0);
            sandbox.remove("backups/.records");
            sandbox.write("data/note", "new");
            let mut command = sandbox.program("strace");
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject, PITON]);
            command.args(["restore", &id, "--yes"]);
            let is_killed = !command.output().unwrap().status.success();
            sandbox.run(&format!("restore {id} --yes")).success();
            assert_eq!(own(&sandbox), wanted, "{call} {nth}");
            assert_eq!(sandbox.read("data/note"), "old");
            sandbox.run(&format!("restore {id} --yes")).success().says("nothing to do");
            sandbox.run("restore --undo --yes").success();
            assert_eq!(own(&sandbox).0, 0, "{call} {nth}");
            assert_eq!(sandbox.read("data/note"), "new");
            if !is_killed {
                break;
            }
        }
    }
}
