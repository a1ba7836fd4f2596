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
fn holds_what_is_included_and_a_restore_leaves_the_rest_alone() {
    let sandbox = Sandbox::with_users()
        .config("include = [\"*.db\", \"uploads/*/kept\"]\nexclude = [\"old.db\"]\n")
        .file("data/uploads/a/kept/1", "1")
        .file("data/uploads/a/rest", "x")
        .file("data/uploads/none/rest", "x")
        .file("data/note", "x");
    sandbox.execute("sub/deep.db", "PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
    sandbox.execute("old.db", "CREATE TABLE t (a)");
    let log = sandbox.database("sub/deep.db");
    log.execute_batch("INSERT INTO t VALUES ('in the log')").unwrap();
    let document = sandbox.run("backup --json").success().json();
    let manifest = &document["backup"]["manifest"];
    let paths = |list: &str| -> Vec<String> {
        let records = manifest[list].as_array().unwrap();
        records.iter().map(|it| it["path"].as_str().unwrap().into()).collect()
    };
    assert_eq!(paths("databases"), ["app.db", "sub/deep.db"]);
    let folders = ["sub", "uploads", "uploads/a", "uploads/a/kept", "uploads/a/kept/1"];
    assert_eq!(paths("files"), folders);
    assert_eq!(manifest["included"], serde_json::json!(["*.db", "uploads/*/kept"]));
    drop(log);

    sandbox.remove("data/uploads");
    sandbox.write("data/note", "changed");
    sandbox.write("data/later", "came later");
    sandbox.execute("app.db", "DELETE FROM users");
    sandbox.execute("later.db", "CREATE TABLE t (a)");
    // Also where the file says nothing of it by then: the backup itself knows.
    sandbox.write("piton.toml", "");
    sandbox.run("restore --yes").success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users"), "2");
    assert_eq!(sandbox.read("data/uploads/a/kept/1"), "1");
    assert_eq!(
        (sandbox.read("data/note"), sandbox.read("data/later")),
        ("changed".into(), "came later".into())
    );
    assert!(sandbox.exists("data/old.db") && !sandbox.exists("data/later.db"));

    // Equal content of another part is another backup.
    sandbox.remove("data/note");
    sandbox.remove("data/later");
    sandbox.remove("data/old.db");
    sandbox.run("backup").success().says("verified");
    sandbox.write("migrations/002_more.sql", "CREATE TABLE more (id INTEGER PRIMARY KEY);");
    let refused = sandbox.run("up --include uploads").code(4).one_error();
    refused.says("`include` does not name it");
    sandbox.run("backup --include [a").code(2).one_error();
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
