//! Data directories on real file systems: mount points, mounts inside, read-only parts, files that
//! cannot have another link. Mounting needs root; without it these tests say that they are skipped.

use crate::sandbox::Sandbox;
use std::{fs, path::PathBuf, process::Command};

/// Runs a tool and tells whether it did what it was to do.
fn tool(words: &str) -> bool {
    let mut words = words.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output();
    output.is_ok_and(|output| output.status.success())
}

/// A mount namespace of this thread's own, and a file system mounted on a folder of a sandbox. It
/// goes with what is returned, which must be dropped before the sandbox.
fn mounted(sandbox: &Sandbox, kind: &str, folder: &str) -> Option<Mounted> {
    let image = sandbox.path(&format!("{}.img", folder.replace('/', "-")));
    let target = sandbox.path(folder);
    fs::create_dir_all(&target).unwrap();
    fs::File::create(&image).unwrap().set_len(320 << 20).unwrap();
    let image = image.display();
    let done = private_mounts()
        && tool(&format!("mkfs.{kind} -q {image}"))
        && tool(&format!("mount -o loop {image} {}", target.display()));
    if !done {
        eprintln!("skipped: {kind} cannot be mounted here");
    }
    done.then_some(Mounted(vec![target]))
}

/// Mounts to be undone.
struct Mounted(Vec<PathBuf>);

impl Drop for Mounted {
    fn drop(&mut self) {
        for target in &self.0 {
            tool(&format!("umount -l {}", target.display()));
        }
    }
}

/// The same, whatever is in its path.
struct Unmounting(PathBuf);

impl Drop for Unmounting {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn private_mounts() -> bool {
    let flags = rustix::thread::UnshareFlags::NEWNS;
    #[expect(unsafe_code, reason = "the thread that calls it starts processes and nothing else")]
    // SAFETY: only the mounts of this thread are unshared; no memory or descriptor is.
    let unshared = unsafe { rustix::thread::unshare_unsafe(flags) };
    unshared.is_ok() && tool("mount --make-rprivate /")
}

fn wreck(sandbox: &Sandbox) {
    sandbox.execute("app.db", "DELETE FROM users; CREATE TABLE later (a)");
    sandbox.write("data/deep/er/file.txt", "changed");
    sandbox.write("data/added/file.txt", "added");
}

/// A project whose data directory has something of everything, and a backup of it.
fn filled(sandbox: &Sandbox) -> String {
    sandbox.execute(
        "app.db",
        "CREATE TABLE users (id INTEGER PRIMARY KEY); INSERT INTO users VALUES (1)",
    );
    sandbox.execute("deep/b.db", "PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
    sandbox.write("data/deep/er/file.txt", "first");
    sandbox.back_up()
}

#[test]
fn a_data_directory_that_is_a_mount_point_on_another_file_system() {
    for kind in ["ext4", "xfs"] {
        let sandbox = Sandbox::new();
        let Some(_mounted) = mounted(&sandbox, kind, "data") else { continue };
        let id = filled(&sandbox);
        let before = sandbox.content();
        wreck(&sandbox);
        let wrecked = sandbox.content();
        sandbox.run(&format!("restore {id} --yes")).success();
        assert_eq!(sandbox.content(), before, "{kind}");
        sandbox.run("restore --undo --yes").success();
        assert_eq!(sandbox.content(), wrecked, "{kind}");
    }
}

#[test]
fn a_mount_inside_is_refused_and_the_rest_can_be_restored() {
    let sandbox = Sandbox::new();
    let Some(_mounted) = mounted(&sandbox, "ext4", "data/deep/er") else { return };
    let id = filled(&sandbox);
    wreck(&sandbox);
    let wrecked = sandbox.data();
    let ran = sandbox.run(&format!("restore {id} --yes")).code(4).one_error();
    ran.says("`data/deep/er` lies on another file system").says("`--only GLOB`");
    assert_eq!(sandbox.data(), wrecked);
    sandbox.run(&format!("restore {id} --yes --only app.db")).success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users"), "1");
    assert_eq!(sandbox.read("data/deep/er/file.txt"), "changed");
}

#[test]
fn the_same_file_system_mounted_inside_once_more_is_refused_too() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("elsewhere")).unwrap();
    fs::create_dir_all(sandbox.path("data/deep/er")).unwrap();
    let (from, to) = (sandbox.path("elsewhere"), sandbox.path("data/deep/er"));
    if !private_mounts() || !tool(&format!("mount --bind {} {}", from.display(), to.display())) {
        eprintln!("skipped: nothing can be mounted here");
        return;
    }
    let _mounted = Mounted(vec![sandbox.path("data/other"), to.clone()]);
    let id = filled(&sandbox);
    wreck(&sandbox);
    let wrecked = sandbox.data();
    let ran = sandbox.run(&format!("restore {id} --yes")).code(4).one_error();
    ran.says("`data/deep/er` lies on another file system");
    assert_eq!(sandbox.data(), wrecked);
    // One that the backup does not have at all: it would have to go.
    sandbox.remove("data/added");
    let id = sandbox.back_up();
    fs::create_dir_all(sandbox.path("data/other")).unwrap();
    let other = sandbox.path("data/other");
    assert!(tool(&format!("mount --bind {} {}", from.display(), other.display())));
    let ran = sandbox.run(&format!("restore {id} --yes --only other --only app.db")).code(4);
    ran.says("`data/other");
}

#[test]
fn a_backup_says_once_what_a_restore_in_place_cannot_replace() {
    let sandbox = Sandbox::with_users();
    let bind = |from: &str, to: &str| {
        let paths = [sandbox.path(from), sandbox.path(to)];
        let done = Command::new("mount").arg("--bind").args(&paths).status();
        done.is_ok_and(|done| done.success()).then(|| Unmounting(paths[1].clone()))
    };
    sandbox.write("volume/folder/picture", "of another place");
    sandbox.write("volume/settings", "one file of another place");
    sandbox.write("data/settings", "");
    fs::create_dir_all(sandbox.path("data/up loads")).unwrap();
    let (true, Some(_folder), Some(file)) = (
        private_mounts(),
        bind("volume/folder", "data/up loads"),
        bind("volume/settings", "data/settings"),
    ) else {
        eprintln!("skipped: nothing can be mounted here");
        return;
    };
    let said = sandbox.run("backup").success();
    said.says("`settings` is mounted there: a restore in place leaves it alone")
        .says("`up loads` is mounted there");
    sandbox.run("backup --exclude up* --exclude settings").success().never_says("mounted there");
    sandbox.run("restore latest --yes").success().says("nothing to do");
    drop(file);
}

#[test]
fn read_only_parts() {
    let sandbox = Sandbox::new();
    let Some(_mounted) = mounted(&sandbox, "ext4", "data") else { return };
    let id = filled(&sandbox);
    wreck(&sandbox);
    let wrecked = sandbox.data();
    let data = sandbox.path("data");
    // A file that cannot be replaced: found when it is its turn, and everything is put back.
    let file = sandbox.path("data/deep/er/file.txt");
    assert!(tool(&format!("chattr +i {}", file.display())));
    let ran = sandbox.run(&format!("restore {id} --yes")).code(5).one_error();
    ran.says("the restore failed and the data is as before").says("file.txt");
    assert_eq!(sandbox.data(), wrecked);
    assert!(tool(&format!("chattr -i {}", file.display())));
    assert!(tool(&format!("mount -o remount,ro {}", data.display())));
    let ran = sandbox.run(&format!("restore {id} --yes")).code(5);
    ran.says("Read-only file system");
    sandbox.run("restore --dry-run").success();
    assert_eq!(sandbox.data(), wrecked);
    assert!(tool(&format!("mount -o remount,rw {}", data.display())));
    sandbox.run(&format!("restore {id} --yes")).success();
}

#[test]
fn a_file_that_has_as_many_links_as_it_can_have() {
    let sandbox = Sandbox::new();
    // No more than 65,000 of them (ext4).
    let Some(_mounted) = mounted(&sandbox, "ext4", "data") else { return };
    let id = filled(&sandbox);
    wreck(&sandbox);
    let wrecked = sandbox.content();
    let (file, folder) = (sandbox.path("data/deep/er/file.txt"), sandbox.path("data/.links"));
    fs::create_dir(&folder).unwrap();
    let link = |number: u32| fs::hard_link(&file, folder.join(number.to_string()));
    let refused = (0..70_000).find(|number| link(*number).is_err());
    assert!(refused.is_some(), "there is no limit");
    sandbox.run(&format!("restore {id} --yes --exclude .links")).success();
    assert_eq!(sandbox.read("data/deep/er/file.txt"), "first");
    sandbox.run("restore --undo --yes").success();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(sandbox.content(), wrecked);
    assert!(!sandbox.exists("data/.piton/scratch"));
}

/// As on FAT: no file can have a second name.
#[test]
fn a_file_system_without_links() {
    let sandbox = Sandbox::new();
    let id = filled(&sandbox);
    let before = sandbox.content();
    wreck(&sandbox);
    let wrecked = sandbox.content();
    let mut command = sandbox.command(&format!("restore {id} --yes"));
    command.env("PITON_FAULT", "keep:1:1+");
    sandbox.finish(command).success();
    assert_eq!(sandbox.content(), before);
    sandbox.run("restore --undo --yes").success();
    assert_eq!(sandbox.content(), wrecked);
}
