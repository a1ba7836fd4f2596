//! Who may read and write backups: nobody else, from the first instant.

use crate::{
    programs::lacks,
    sandbox::{PITON, Ran, Sandbox},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// A user without any right of its own.
pub const NOBODY: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn give(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
}

fn give_all(path: &Path, user: u32) {
    for entry in walkdir::WalkDir::new(path) {
        give(entry.unwrap().path(), user);
    }
}

/// Whether this process may act for other users.
pub fn is_root() -> bool {
    let is = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is {
        eprintln!("LEFT OUT: acting for other users needs root");
    }
    is
}

/// The binary as a user without rights, with everything that a file of mode 0666 would need.
fn as_nobody(sandbox: &Sandbox, words: &str) -> Ran {
    let mut command = sandbox.program("setpriv");
    let user = NOBODY.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", PITON]);
    command.args(words.split_whitespace());
    sandbox.finish(command)
}

#[test]
fn nothing_is_readable_by_others_even_under_an_open_umask() {
    if lacks("strace") {
        return;
    }
    let sandbox = Sandbox::with_users();
    sandbox.remove("backups");
    sandbox.write("data/folder/file", vec![b'x'; 100_000]);
    let trace = sandbox.path("trace");
    for (words, kinds) in [("backup", "gzip"), ("backup", "zstd"), ("verify --all", "gzip")] {
        sandbox.write("data/folder/file", kinds);
        let mut shell = sandbox.program("bash");
        let calls = "open,openat,creat,mkdir,mkdirat,chmod,fchmod,fchmodat";
        let command = format!(
            "umask 000; exec strace -f -o trace -e trace={calls} {PITON} {words} --compression {kinds}"
        );
        shell.args(["-c", &command]);
        sandbox.finish(shell).success();
        let text = fs::read_to_string(&trace).unwrap();
        let mut made = 0;
        for line in text.lines().filter(|line| line.contains("backups")) {
            let creates = line.contains("O_CREAT") || line.contains("mkdir");
            // Nobody else gets into the staging area, whatever mode SQLite gives its copies there.
            let staged = line.contains("/.staging/");
            if !creates || staged || line.contains("= -1") || line.contains("resumed") {
                continue;
            }
            made += 1;
            // The last argument is the mode, in octal.
            let mode = line.rsplit(", ").next().unwrap();
            let end = mode.find(|letter: char| !letter.is_ascii_digit()).unwrap();
            let mode = u32::from_str_radix(&mode[..end], 8).unwrap();
            assert_eq!(mode & 0o077, 0, "{line}");
        }
        assert!(made > 2 && text.contains(".staging\", 0700)"), "{text}");
    }
    for entry in walkdir::WalkDir::new(sandbox.path("backups")) {
        let entry = entry.unwrap();
        let found = entry.metadata().unwrap();
        let wanted = if found.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(found.mode() & 0o777, wanted, "{}", entry.path().display());
    }
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    for (mode, fix) in [(0o777, "go-w"), (0o770, "go-w"), (0o703, "go-w"), (0o1777, "go-w")] {
        let sandbox = Sandbox::with_users();
        set_mode(&sandbox.path("backups"), mode);
        let before = fs::read_dir(sandbox.path("backups")).unwrap().count();
        sandbox.write("data/file", "new");
        for words in ["backup", "verify", "backups pin latest", "restore --yes"] {
            let ran = sandbox.run(words).code(4).one_error();
            ran.says("may be written to by others").says(&format!("`chmod {fix} "));
        }
        assert_eq!(fs::read_dir(sandbox.path("backups")).unwrap().count(), before);
        set_mode(&sandbox.path("backups"), 0o750);
        sandbox.run("backup").success();
    }
}

#[test]
fn a_directory_of_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::with_users();
    give(&sandbox.path("backups"), NOBODY);
    sandbox.write("data/file", "new");
    let ran = sandbox.run("backup").code(4).one_error();
    ran.says("belongs to another user").says("`chown root ");
    give(&sandbox.path("backups"), 0);
    sandbox.run("backup").success();
}

#[test]
fn a_user_without_rights_works_on_its_own_and_cannot_read_others() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::with_users();
    set_mode(&sandbox.path(""), 0o755);
    as_nobody(&sandbox, "backups show latest").code(5).one_error();
    give_all(&sandbox.path(""), NOBODY);
    as_nobody(&sandbox, "verify").success().stdout("verified [ID]\n");
    // What belongs to root may be used by others, and not the other way round.
    sandbox.write("data/file", "new");
    give(&sandbox.path("data/file"), NOBODY);
    as_nobody(&sandbox, "backup").success();
    sandbox.run("backup").code(4).says("belongs to another user");
}

#[test]
fn verify_needs_no_right_to_write() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::with_users();
    let sandbox = sandbox.variable("TMPDIR", "/tmp");
    set_mode(&sandbox.path(""), 0o755);
    give_all(&sandbox.path(""), NOBODY);
    as_nobody(&sandbox, "backup --label x").success();
    set_mode(&sandbox.path("backups"), 0o500);
    sandbox.remove("backups/.lock");
    let listing = || {
        let names = fs::read_dir(sandbox.path("backups")).unwrap();
        let mut names: Vec<_> = names.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = listing();
    let said = "verified [ID], not noted: the directory is read-only\n";
    as_nobody(&sandbox, "verify").success().stdout(said);
    // A file system that nobody can write to, not even root.
    let mut unshare = sandbox.program("unshare");
    let command = format!(
        "mount --bind backups backups && mount -o remount,ro,bind backups && exec {PITON} verify --all"
    );
    unshare.args(["-m", "bash", "-c", &command]);
    give_all(&sandbox.path("backups"), 0);
    sandbox.finish(unshare).success().says("not noted");
    assert_eq!(listing(), before);
    let archive = sandbox.archive(&sandbox.backups()[0]);
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    give_all(&sandbox.path("backups"), NOBODY);
    as_nobody(&sandbox, "verify").code(10).one_error();
    set_mode(&sandbox.path("backups"), 0o700);
}
