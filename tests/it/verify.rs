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
