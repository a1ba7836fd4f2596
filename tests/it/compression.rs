//! `compression`: archives of every kind side by side, and unpacked by other programs alone.

use crate::{
    programs::lacks,
    sandbox::{Sandbox, dump},
};
use std::fs;

const KINDS: [(&str, &str); 3] = [("gzip", ".tar.gz"), ("zstd", ".tar.zst"), ("none", ".tar")];

/// One backup of each kind, each of other content; the ids, oldest first.
fn with_every_kind() -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::with_users();
    let ids = KINDS.map(|(kind, end)| {
        sandbox.write("data/file", kind);
        let document = sandbox.run(&format!("backup --json --compression {kind}")).success().json();
        let id = document["backup"]["manifest"]["id"].as_str().unwrap().to_string();
        assert_eq!(document["archive"], format!("backups/{id}{end}"));
        id
    });
    (sandbox, ids.to_vec())
}

#[test]
fn every_command_takes_every_kind() {
    let (sandbox, ids) = with_every_kind();
    sandbox.write("data/file", "live");
    assert_eq!(sandbox.backups().len(), 4);
    sandbox.run("backups").success().never_says("not a backup").never_says("damaged");
    sandbox.run("verify --all").success().says("verified");
    for ((kind, end), id) in KINDS.iter().zip(&ids) {
        assert!(sandbox.exists(&format!("backups/{id}{end}")), "{kind}");
        sandbox.run(&format!("backups show {id}")).success().says(id);
        sandbox.run(&format!("backups pin {id}")).success();
        sandbox.run(&format!("backups unpin {id}")).success();
        sandbox.run(&format!("verify {id}")).success();
        sandbox.run(&format!("diff {id}")).success().says("file");
        sandbox.run(&format!("restore {id} --to out-{kind}")).success();
        assert_eq!(sandbox.read(&format!("out-{kind}/file")), *kind);
        sandbox.run(&format!("restore {id} --yes")).success();
        assert_eq!(sandbox.read("data/file"), *kind);
    }
    sandbox.run(&format!("diff {} {}", ids[0], ids[1])).success().says("file");
    let pruned = sandbox.config("[retention]\nlast = 1\n");
    pruned.run("prune").success();
    let names: Vec<String> = fs::read_dir(pruned.path("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    // The newest stays: the backups that restores took since are of no rule.
    let (newest, older) = ids.split_last().unwrap();
    let is_there = |id: &String| names.iter().any(|name| name.starts_with(id.as_str()));
    assert!(is_there(newest) && !older.iter().any(is_there), "{names:?}");
}

#[test]
fn a_run_goes_back_with_every_kind() {
    for (kind, _) in KINDS {
        let sandbox = Sandbox::with_users().variable("PITON_COMPRESSION", kind);
        let sandbox = sandbox
            .migration("002_more.sql", "INSERT INTO users (name) VALUES ('cy');\n")
            .migration("003_bad.sh", "#!/bin/sh\nexit 1\n");
        let before = sandbox.dump("app.db");
        sandbox.run("up").code(6);
        assert_eq!(sandbox.dump("app.db"), before, "{kind}");
        sandbox.remove("migrations/003_bad.sh");
        sandbox.run("up").success();
        sandbox.run("rollback --yes").success();
        assert_eq!(sandbox.dump("app.db"), before, "{kind}");
    }
}

#[test]
fn equal_content_is_not_stored_again_in_another_kind() {
    let sandbox = Sandbox::with_users();
    let id = sandbox.back_up();
    for (kind, _) in KINDS {
        sandbox.run(&format!("backup --compression {kind}")).success().says("has the same content");
    }
    assert_eq!(sandbox.backups()[0], id);
}

#[test]
fn equal_content_gives_equal_archives() {
    for (kind, end) in KINDS {
        let sandbox = Sandbox::bare();
        sandbox.execute("app.db", "CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(9000000))");
        // The manifest inside, which lies in the last piece, has id and time.
        let [one, other] = [1, 2].map(|_| {
            let document =
                sandbox.run(&format!("backup --json --compression {kind}")).success().json();
            let archive = sandbox.path(document["archive"].as_str().unwrap());
            assert!(archive.to_str().unwrap().ends_with(end));
            let bytes = fs::read(archive).unwrap();
            sandbox.remove("backups");
            bytes
        });
        let half = one.len() / 2;
        assert!(half > 200 && one[..half] == other[..half], "{kind}");
    }
}

#[test]
fn other_programs_unpack_them() {
    if lacks("python3") || lacks("zstd") {
        return;
    }
    let (sandbox, ids) = with_every_kind();
    let live = sandbox.dump("app.db");
    let python = "import sys, tarfile\ntarfile.open(sys.argv[1]).extractall(sys.argv[2])";
    let ways: [(&str, &str, usize); 9] = [
        ("tar xzf", "tar xzf \"$1\" -C \"$2\"", 0),
        ("tar xf of gzip", "tar xf \"$1\" -C \"$2\"", 0),
        ("gzip", "gzip -dc \"$1\" | tar x -C \"$2\"", 0),
        ("python, gzip", "python3 -c \"$3\" \"$1\" \"$2\"", 0),
        ("tar --zstd", "tar --zstd -xf \"$1\" -C \"$2\"", 1),
        ("tar xf of zstd", "tar xf \"$1\" -C \"$2\"", 1),
        ("zstd", "zstd -dc \"$1\" | tar x -C \"$2\"", 1),
        ("tar xf", "tar xf \"$1\" -C \"$2\"", 2),
        ("python", "python3 -c \"$3\" \"$1\" \"$2\"", 2),
    ];
    for (way, command, which) in ways {
        sandbox.write("out/keep", "");
        let (archive, out) = (sandbox.archive(&ids[which]), sandbox.path("out"));
        let mut shell = sandbox.program("bash");
        shell.args(["-o", "pipefail", "-c", command, way]).arg(archive).arg(&out).arg(python);
        sandbox.finish(shell).success();
        assert_eq!(dump(&out.join("data/app.db")), live, "{way}");
        assert_eq!(sandbox.read("out/data/file"), KINDS[which].0, "{way}");
        assert!(sandbox.read("out/manifest.json").contains(&ids[which]), "{way}");
        sandbox.remove("out");
    }
}

#[test]
fn an_unknown_kind_is_refused_with_its_place() {
    let sandbox = Sandbox::with_users();
    let known = "`compression` is `gzip`, `zstd` or `none`, not `xz`";
    sandbox.run("backup --compression xz").code(2).one_error().says(known);
    let sandbox = sandbox.config("compression = \"xz\"\n");
    sandbox.run("backup").code(2).one_error().says("piton.toml:1:15").says(known);
}
