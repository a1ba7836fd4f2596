//! `verify`: reads backups back.

use crate::sandbox::Sandbox;
use std::fs;

#[test]
fn reads_one_or_all() {
    let sandbox = Sandbox::new();
    sandbox.run("verify").code(2).one_error();
    sandbox.run("verify --all").success().stdout("no backup yet\n");
    let sandbox = Sandbox::with_users();
    sandbox.run("backup").success();
    sandbox.run("verify").success().stdout("verified [ID]\n");
    sandbox.run("verify --all").success().stdout("verified [ID]\nverified [ID]\n");
}

#[test]
fn finds_every_kind_of_damage() {
    let sandbox = Sandbox::with_users();
    let archive = sandbox.archive(&sandbox.back_up());
    let whole = fs::read(&archive).unwrap();
    let live = sandbox.data();
    let middle = whole.len() / 2;
    let mut flipped = whole.clone();
    flipped[middle] ^= 1;
    let mut longer = whole.clone();
    longer.push(0);
    for (what, bytes) in [
        ("a flipped bit", flipped),
        ("half of it", whole[..middle].to_vec()),
        ("all but one byte", whole[..whole.len() - 1].to_vec()),
        ("one byte more", longer),
        ("empty", Vec::new()),
    ] {
        fs::write(&archive, bytes).unwrap();
        let ran = sandbox.run("verify").code(10).one_error();
        assert!(ran.stderr.contains("tar.gz"), "{what}: {}", ran.whole());
        sandbox.run("verify --all").code(10);
        sandbox.run("restore --yes").code(10).says("error: ");
        sandbox.run("restore --to out").code(10);
        assert!(!sandbox.exists("out"), "{what}");
        assert_eq!(sandbox.data(), live, "{what}");
    }
    fs::write(&archive, whole).unwrap();
    sandbox.run("verify").success();
}

#[test]
fn an_archive_that_is_gone_is_no_backup() {
    let sandbox = Sandbox::with_users();
    let id = sandbox.back_up();
    fs::remove_file(sandbox.archive(&id)).unwrap();
    sandbox.run(&format!("verify {id}")).code(10).one_error().says("the archive is missing");
    sandbox.run("backups").success().says("damaged: the backup");
}

#[test]
fn a_damaged_one_no_longer_counts_until_it_is_mended() {
    let sandbox = Sandbox::with_users().config("[retention]\nlast = 1\n");
    let older = sandbox.back_up();
    sandbox.write("data/file", "new");
    let newer = sandbox.back_up();
    let sound = fs::read(sandbox.archive(&newer)).unwrap();
    let mut bytes = sound.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(sandbox.archive(&newer), &bytes).unwrap();
    // Nobody knows yet.
    assert_eq!(sandbox.backups()[0], newer);
    sandbox.run("verify").code(10).one_error();
    assert!(!sandbox.backups().contains(&newer));
    sandbox.run("backups").success().says("damaged: the backup").says("(found ");
    let said = "not the one that was written";
    let ran = sandbox.run("restore --yes").code(10).one_error();
    assert!(ran.stderr.contains(said) || ran.stderr.contains("(found "), "{}", ran.whole());
    sandbox.run("verify").code(10).one_error();
    // The same content is stored again, since the damaged one does not stand for it.
    let again = sandbox.back_up();
    assert_ne!(again, newer);
    assert!(!sandbox.backups().contains(&newer) && sandbox.backups()[0] == again);
    let verdicts = sandbox.run("prune --json --dry-run").success().json();
    assert!(!verdicts["verdicts"].to_string().contains(&newer), "{verdicts}");
    assert!(sandbox.archive(&newer).exists());
    sandbox.run("verify --all").code(10);
    fs::write(sandbox.archive(&newer), &sound).unwrap();
    sandbox.run(&format!("verify {newer}")).success();
    assert!(sandbox.backups().contains(&newer));
    drop(older);
}

#[test]
fn a_damaged_backup_of_the_last_run_is_said_by_rollback() {
    let sandbox = Sandbox::with_users();
    let sandbox = sandbox.migration("002_more.sql", "INSERT INTO users (name) VALUES ('cy');\n");
    sandbox.run("up").success();
    let id = sandbox.backups()[0].clone();
    let mut bytes = fs::read(sandbox.archive(&id)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(sandbox.archive(&id), bytes).unwrap();
    sandbox.run("verify --all").code(10);
    let live = sandbox.dump("app.db");
    sandbox.run("rollback --yes").code(10).one_error().says(&id);
    assert_eq!(sandbox.dump("app.db"), live);
}
