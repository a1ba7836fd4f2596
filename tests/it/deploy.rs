//! `deploy.sh` on the worked example, as a person meets it in a fresh clone.

use crate::sandbox::{PITON, Ran, Sandbox};
use std::path::Path;

/// The worked example in a folder of its own.
fn example() -> Sandbox {
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

fn deploy(sandbox: &Sandbox, words: &str) -> Ran {
    let mut command = sandbox.program("./deploy.sh");
    command.args(words.split_whitespace());
    sandbox.finish(command)
}

#[test]
fn does_everything_once() {
    let sandbox = example();
    deploy(&sandbox, "--dry-run").success().says("only the plan was shown");
    assert!(!sandbox.exists("data"));
    deploy(&sandbox, "")
        .success()
        .says("done: 10 migrations")
        .says("deploy: migrated; no restart command is set");
    let before = sandbox.data();
    deploy(&sandbox, "").success().says("deploy: nothing was to be done, nothing was touched");
    assert_eq!(sandbox.data(), before);
    sandbox.run("run forget_former_members").success();
    sandbox.run("run extend_over_summer").success();
    sandbox.run("run extend_over_summer").success().says("nothing to do");
    deploy(&sandbox, "").success().says("nothing was to be done");
}

#[test]
fn a_failing_migration() {
    let sandbox = example();
    deploy(&sandbox, "").success();
    let before = sandbox.content();
    sandbox.write("migrations/011_bad.sql", "INSERT INTO members (id) VALUES (1);");
    let restarts = "touch restarted";
    sandbox.write(".deploy.env", format!("PITON_RESTART='{restarts}'\n"));
    let ran = deploy(&sandbox, "").code(5);
    ran.says("migrations/011_bad.sql:1:1")
        .says("the data is as before, the service was not restarted");
    sandbox.remove("migrations/011_bad.sql");
    sandbox.write("migrations/011_bad.sh", "#!/bin/sh\nrm \"$PITON_DATABASE\"\nexit 1\n");
    deploy(&sandbox, "").code(6).says("the backup was restored, the service was not restarted");
    sandbox.remove("migrations/011_bad.sh");
    sandbox.write("migrations/011_bad.sql", "SELEC 1;");
    deploy(&sandbox, "").code(4).says("refused, nothing was touched");
    assert_eq!(sandbox.content(), before);
    assert!(!sandbox.exists("restarted"));
}

#[test]
fn a_restart_that_fails_once_or_always() {
    let sandbox = example();
    deploy(&sandbox, "").success();
    let before = sandbox.dump("app.db");
    sandbox.write("migrations/011_more.sql", "CREATE TABLE more (id INTEGER PRIMARY KEY);");
    sandbox.write(".deploy.env", "PITON_RESTART='test -e tried || { touch tried; exit 1; }'\n");
    deploy(&sandbox, "").code(11).says("rolled back, and the service was restarted");
    assert_eq!(sandbox.dump("app.db"), before);
    sandbox.write(".deploy.env", "PITON_RESTART=false\n");
    deploy(&sandbox, "").code(12).says("rolled back, but the service does not start");
    assert_eq!(sandbox.dump("app.db"), before);
    sandbox.write(".deploy.env", "PITON_RESTART='touch restarted'\n");
    deploy(&sandbox, "").success().says("migrated, and the service was restarted");
    assert!(sandbox.exists("restarted") && sandbox.dump("app.db").contains("more"));
}

#[test]
fn wrong_words_and_wrong_settings() {
    let sandbox = example();
    deploy(&sandbox, "--frobnicate").code(2).says("nothing was touched");
    sandbox.write(".deploy.env", "PITON=/no/such/program\n");
    deploy(&sandbox, "").code(2).says("no program at PITON=/no/such/program");
    sandbox.write(".deploy.env", "");
    sandbox.write("piton.toml", "dta = 1\n");
    deploy(&sandbox, "").code(2).says("the settings are wrong, nothing was touched");
    assert!(!sandbox.exists("data"));
}
