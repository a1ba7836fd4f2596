//! Bad input: disks without room, folders that cannot be written, users without rights.
//!
//! These tests mount file systems in a namespace of their own and so need root; elsewhere they say
//! on standard error that they were left out.

use crate::sandbox::{Ran, Sandbox};
use std::process::Command;

/// Whether file systems can be mounted here, in a namespace of their own.
pub fn can_mount() -> bool {
    let tried = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"])
        .output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("LEFT OUT: mounting needs root and `unshare`");
    }
    can
}

/// A shell in the project, in a mount namespace of its own, with the binary as `$PITON`.
pub fn shell(sandbox: &Sandbox, text: &str) -> Ran {
    let mut command = sandbox.program("unshare");
    command.args(["-m", "sh", "-euc", text]).env("PITON_BIN", crate::sandbox::PITON);
    sandbox.finish(command)
}

fn pending() -> Sandbox {
    Sandbox::with_users().file("migrations/002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;")
}

#[test]
fn a_backup_disk_without_room() {
    if !can_mount() {
        return;
    }
    let sandbox = pending().file("data/big.bin", &"x".repeat(300_000));
    let before = sandbox.data();
    std::fs::create_dir(sandbox.path("small")).unwrap();
    let full = "mount -t tmpfs -o size=200k tmpfs small\n";
    for command in ["up", "backup"] {
        let words = format!("{full} \"$PITON_BIN\" {command} --backups small/b");
        let ran = shell(&sandbox, &words).code(4).one_error();
        ran.says("`small/b` has 200.0 KiB free, and ")
            .says("the backups there take 0 B, of which `piton prune` would free 0 B")
            .says("hint: free some space");
        assert_eq!(sandbox.data(), before);
    }
}

#[test]
fn a_data_disk_without_room_for_a_restore() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::with_users().file("data/big.bin", &"x".repeat(3_000_000));
    let id = sandbox.back_up();
    let words = format!(
        "mkdir small; mount -t tmpfs -o size=1m tmpfs small; cp data/app.db small\n\
         \"$PITON_BIN\" restore {id} --yes --data small || code=$?; cmp data/app.db small/app.db; exit $code"
    );
    shell(&sandbox, &words).code(4).says(" KiB free, and ").says("hint: free some space");
}

#[test]
fn a_data_directory_that_is_read_only() {
    if !can_mount() {
        return;
    }
    for journal in ["DELETE", "WAL"] {
        let sandbox = pending();
        sandbox.execute("app.db", &format!("PRAGMA journal_mode = {journal}"));
        // So that a restore has something to do.
        sandbox.write("data/later.txt", "later");
        let before = sandbox.data();
        let read_only = "mount --bind data data; mount -o remount,ro,bind data\n";
        for command in ["restore --yes", "up", "run x"] {
            sandbox.write("scripts/x.sql", "DELETE FROM users;");
            let ran = shell(&sandbox, &format!("{read_only} \"$PITON_BIN\" {command}"));
            let ran = ran.code(5).says("Read-only file system").says("hint: ");
            assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.whole());
        }
        shell(&sandbox, &format!("{read_only} \"$PITON_BIN\" adopt --at 2 --missing"))
            .code(5)
            .one_error();
        // The lock is on the directory itself: what changes nothing there works.
        for command in ["status", "plan", "history", "backups", "backup", "recover"] {
            shell(&sandbox, &format!("{read_only} \"$PITON_BIN\" {command}")).success();
        }
        assert_eq!(sandbox.data(), before, "{journal}");
    }
}

#[test]
fn a_backups_directory_that_is_read_only() {
    if !can_mount() {
        return;
    }
    let sandbox = pending();
    let before = sandbox.data();
    let read_only = "mount --bind backups backups; mount -o remount,ro,bind backups\n";
    for command in ["up", "backup"] {
        let ran = shell(&sandbox, &format!("{read_only} \"$PITON_BIN\" {command}")).code(5);
        ran.one_error().says("`backups").says("Read-only file system").says("remount it writable");
    }
    shell(&sandbox, &format!("{read_only} \"$PITON_BIN\" restore --to out")).success();
    assert_eq!(sandbox.data(), before);
}

#[test]
fn a_user_without_rights() {
    let sandbox = pending();
    let before = sandbox.data();
    let nobody = |words: &str| {
        let mut command = sandbox.program("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(crate::sandbox::PITON).args(words.split(' '));
        command
    };
    // The binary itself may lie where only root can go.
    if !nobody("--version").status().is_ok_and(|status| status.success()) {
        eprintln!("LEFT OUT: becoming another user needs root and `setpriv`");
        return;
    }
    std::fs::set_permissions(sandbox.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    for words in ["up", "backup", "verify", "restore --yes"] {
        let ran = sandbox.finish(nobody(words)).code(5).one_error();
        ran.says("Permission denied").says("hint: run piton as the user that owns");
    }
    // A database that cannot be looked at is not one that is missing and would be made.
    for words in ["plan", "status"] {
        sandbox.finish(nobody(words)).code(5).one_error().says("Permission denied");
    }
    assert_eq!(sandbox.data(), before);
}
