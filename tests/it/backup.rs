//! `backup`: taken, verified, unpacked by tar alone.

use crate::sandbox::Sandbox;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn is_taken_once() {
    let sandbox = Sandbox::with_users().file("data/uploads/a b.txt", "hello");
    sandbox.run("backup --label before-talk").success().stderr("").stdout(
        "backup [ID]: 1 database, 2 files, [SIZE] in the archive, verified\n  \
         backups/[ID].tar.gz\n",
    );
    sandbox.run("backup").success().stdout("nothing to do: [ID] has the same content\n");
    sandbox.run("backups").success().says("before-talk").says("1 database, at 001");
    let mode = |path| sandbox.path(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("backups"), 0o700);
    assert_eq!(
        sandbox.archive(&sandbox.backups()[0]).metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn tar_unpacks_it() {
    let sandbox = Sandbox::with_users().file("data/uploads/a.txt", "hello");
    symlink("a.txt", sandbox.path("data/uploads/link")).unwrap();
    let id = sandbox.back_up();
    std::fs::create_dir(sandbox.path("out")).unwrap();
    let mut tar = sandbox.program("tar");
    tar.arg("xzf").arg(sandbox.archive(&id)).args(["-C", "out"]);
    sandbox.finish(tar).success();
    let found = crate::sandbox::files(&sandbox.path("out"));
    let names: Vec<_> = found.keys().map(|path| path.to_string_lossy().into_owned()).collect();
    let database = names.iter().find(|name| name.ends_with("app.db")).unwrap();
    let unpacked = sandbox.path("out").join(database);
    assert_eq!(crate::sandbox::dump(&unpacked), sandbox.dump("app.db"));
    let link = unpacked.with_file_name("uploads").join("link");
    assert_eq!(std::fs::read_link(link).unwrap().to_str(), Some("a.txt"));
}

#[test]
fn leaves_out_what_is_excluded_and_what_is_its_own() {
    let sandbox = Sandbox::with_users()
        .config("exclude = [\"cache\", \"*.log\"]\nbackups = \"data/backups\"\n")
        .file("data/cache/x", "x")
        .file("data/a.log", "x")
        .file("data/a.txt", "x");
    sandbox.run("backup").success().says("1 database, 1 file");
    sandbox.run("backup").success().says("nothing to do");
    sandbox.run("restore --yes").success();
    assert!(sandbox.exists("data/cache/x") && sandbox.exists("data/a.log"));
    assert_eq!(sandbox.backups().len(), 1);
}

#[test]
fn of_a_database_with_a_log() {
    let sandbox = Sandbox::with_users();
    let open = sandbox.database("app.db");
    open.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO users (name) VALUES ('in the log')")
        .unwrap();
    sandbox.run("backup").success();
    sandbox.run("restore --to out").success();
    assert!(crate::sandbox::dump(&sandbox.path("out/app.db")).contains("in the log"));
    assert!(!sandbox.exists("out/app.db-wal"));
}
