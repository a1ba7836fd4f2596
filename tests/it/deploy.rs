//! `deploy.sh` on the worked example, as a person meets it in a fresh clone, and over a connection.

use crate::sandbox::{PITON, Ran, Sandbox};
use std::path::Path;

/// The worked example in a folder of its own.
pub fn example() -> Sandbox {
    let sandbox = Sandbox::bare().variable("PITON", PITON);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["migrations", "scripts"] {
        for path in crate::sandbox::files(&root.join(name)).keys() {
            let name = format!("{name}/{}", path.display());
            sandbox.write(&name, std::fs::read(root.join(&name)).unwrap());
        }
    }
    sandbox.write("deploy.sh", std::fs::read(root.join("deploy.sh")).unwrap());
    sandbox
}

pub fn deploy(sandbox: &Sandbox, words: &str) -> Ran {
    let mut command = sandbox.program("./deploy.sh");
    command.args(words.split_whitespace());
    sandbox.finish(command)
}

#[test]
fn does_everything_once() {
    let sandbox = example();
    deploy(&sandbox, "--dry-run").success().says("deploy: only the plan was shown");
    assert!(!sandbox.exists("data"));
    deploy(&sandbox, "").success().says("deployed: 10 migrations").says("deploy: done; ");
    let before = sandbox.data();
    deploy(&sandbox, "").success().says("nothing to do: nothing is pending");
    assert_eq!(sandbox.data(), before);
    sandbox.run("run forget_former_members").success();
    sandbox.run("run extend_over_summer").success();
    sandbox.run("run extend_over_summer").success().says("nothing to do");
    deploy(&sandbox, "").success().says("nothing to do: nothing is pending");
    deploy(&sandbox, "--status").success().says("nothing is pending");
}

#[test]
fn a_failing_migration() {
    let sandbox = example();
    deploy(&sandbox, "").success();
    let before = sandbox.content();
    sandbox.write("migrations/011_bad.sql", "INSERT INTO members (id) VALUES (1);");
    deploy(&sandbox, "")
        .code(4)
        .says("migrations/011_bad.sql:1:1")
        .says("deploy: refused, nothing was touched");
    sandbox.remove("migrations/011_bad.sql");
    // The rehearsal's copy lies in the private folder, so only the live run fails.
    let script = "#!/bin/sh\n\
        case $PITON_DATABASE in */.piton/*) ;; *) rm \"$PITON_DATABASE\"; exit 1 ;; esac\n";
    sandbox.write("migrations/011_bad.sh", script);
    deploy(&sandbox, "").code(11).says("deploy: rolled back, the old state runs");
    deploy(&sandbox, "--status").code(11).says("rolled back");
    assert_eq!(sandbox.content(), before);
}

#[test]
fn what_went_well_is_taken_back() {
    let sandbox = example();
    deploy(&sandbox, "").success();
    let before = sandbox.dump("app.db");
    sandbox.write("migrations/011_more.sql", "CREATE TABLE more (id INTEGER PRIMARY KEY);");
    deploy(&sandbox, "").success().says("deployed: 1 migration");
    assert_ne!(sandbox.dump("app.db"), before);
    deploy(&sandbox, "--rollback").success().says("deploy: the last deploy is taken back");
    assert_eq!(sandbox.dump("app.db"), before);
}

#[test]
fn wrong_words_and_wrong_settings() {
    let sandbox = example();
    deploy(&sandbox, "--frobnicate").code(2).says("nothing was touched");
    deploy(&sandbox, "--status --resume").code(2).says("--resume does not go with --status");
    deploy(&sandbox, "--setup").code(2).says("--setup needs a host");
    sandbox.write(".deploy.env", "PITON=/no/such/program\n");
    deploy(&sandbox, "").code(2).says("no program at PITON=/no/such/program");
    sandbox.write(".deploy.env", "");
    sandbox.write("piton.toml", "dta = 1\n");
    deploy(&sandbox, "").code(2).says("the settings are wrong, nothing was touched");
    assert!(!sandbox.exists("data"));
}

/// Stands for `ssh`: leaves out options and host, and runs the command in a shell of its own.
const WIRE: &str = "#!/bin/bash\n\
    unset ${!PITON@}\n\
    while [[ $1 == -* ]]; do case $1 in -o | -l) shift 2 ;; *) shift ;; esac; done\n\
    shift\n\
    if [ -e \"$0.cut\" ]; then exit 255; fi\n\
    if [ -e \"$0.env\" ]; then set -a; . \"$0.env\"; set +a; fi\n\
    exec bash -c \"$*\"\n";

/// The example with a host that is a folder beside it; nothing where rsync is not installed.
pub fn with_host(config: &str) -> Option<Sandbox> {
    if crate::programs::lacks("rsync") {
        return None;
    }
    let sandbox = example();
    sandbox.write("wire", WIRE);
    let (wire, host) = (sandbox.path("wire"), sandbox.path("host"));
    let text =
        format!("DEPLOY_SSH={}\nDEPLOY_TARGET=me@there:{}\n", wire.display(), host.display());
    sandbox.write(".deploy.env", text + "SECRET=hush-hush\nDEPLOY_RECONNECTS=0\n");
    sandbox.write(".deployignore", "/host\n/wire*\n");
    sandbox.write("host/piton.toml", config);
    Some(sandbox)
}

#[test]
fn over_a_connection_in_place() {
    let Some(sandbox) = with_host("") else { return };
    sandbox.write("data/mine.txt", "of this machine");
    sandbox.write("host/data/theirs.txt", "of the host");
    let ran = deploy(&sandbox, "").success();
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("hush-hush"));
    ran.says("deployed: 10 migrations").says("deploy: done; ./deploy.sh --status");
    assert_eq!(sandbox.read("host/data/theirs.txt"), "of the host");
    for name in ["host/data/mine.txt", "host/.deploy.env", "host/host", "host/wire"] {
        assert!(!sandbox.exists(name), "{name}");
    }
    sandbox.write("migrations/011_more.sql", "CREATE TABLE more (id INTEGER PRIMARY KEY);");
    deploy(&sandbox, "--dry-run").success().says("011_more.sql").says("only the plan was shown");
    assert!(!sandbox.exists("host/migrations/011_more.sql"));
    deploy(&sandbox, "").success().says("deployed: 1 migration");
    deploy(&sandbox, "").success().says("nothing to do");
    deploy(&sandbox, "--rollback").code(4);
    // A release without a migration that ran is refused, and nothing of it is in place.
    sandbox.write("host/kept.txt", "of the host");
    sandbox.remove("migrations/011_more.sql");
    deploy(&sandbox, "").code(4);
    assert!(sandbox.exists("host/migrations/011_more.sql") && sandbox.exists("host/kept.txt"));
}

#[test]
fn over_a_connection_with_releases() {
    let config = "migrations = \"current/migrations\"\n[deploy]\nreleases = \"releases\"\n";
    let Some(sandbox) = with_host(config) else { return };
    let current = || std::fs::read_link(sandbox.path("host/current")).unwrap();
    deploy(&sandbox, "--dry-run").code(4).says("there is no piton in");
    deploy(&sandbox, "").success().says("deployed: 10 migrations");
    let first = current();
    sandbox.write("migrations/011_bad.sql", "SELEC 1;");
    deploy(&sandbox, "").code(4).says("deploy: refused");
    assert_eq!(current(), first);
    sandbox.remove("migrations/011_bad.sql");
    sandbox.write("migrations/011_more.sql", "CREATE TABLE more (id INTEGER PRIMARY KEY);");
    deploy(&sandbox, "--dry-run").success().says("011_more.sql");
    assert_eq!(current(), first);
    deploy(&sandbox, "").success().says("deployed: 1 migration");
    assert_ne!(current(), first);
    deploy(&sandbox, "--rollback").success().says("the last deploy is taken back");
    assert_eq!(current(), first);
}

#[test]
fn a_lost_connection_ends_nothing() {
    let Some(sandbox) = with_host("") else { return };
    let hook = "#!/bin/sh\ntouch \"$0.there\"\nwhile [ ! -e \"$0.go\" ]; do sleep 0.02; done\n";
    sandbox.write("hooks/before-migrate", hook);
    let mut command = sandbox.program("./deploy.sh");
    let mut client = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !sandbox.exists("host/hooks/before-migrate.there") {
        assert!(client.try_wait().unwrap().is_none(), "the deploy has ended already");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    deploy(&sandbox, "--status").code(14).says("a deploy runs there");
    deploy(&sandbox, "--abort").code(8).says("a deploy runs there");
    // The client and what stands for its connection.
    for pid in below(client.id()) {
        let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    }
    sandbox.ended(client);
    sandbox.write("host/hooks/before-migrate.go", "");
    deploy(&sandbox, "").success().says("deployed: 10 migrations");
}

/// A process and all below it, but not a session of its own.
fn below(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let children = text.split_whitespace().map(|it| it.parse::<u32>().unwrap());
    std::iter::once(pid).chain(children.flat_map(below)).collect()
}
