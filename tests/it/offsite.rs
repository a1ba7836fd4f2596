//! Copies off the machine: in a folder, which stands for every kind of place; what is particular to
//! servers is in `offsite_s3.rs` and `offsite_sftp.rs`.

use crate::sandbox::{Sandbox, files};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command, time::Duration};

/// A project whose place is the folder `disk` beside it, with more keys for it.
pub fn with_disk(keys: &str) -> Sandbox {
    let sandbox = Sandbox::with_users();
    sandbox.remove("backups");
    fs::create_dir(sandbox.path("disk")).unwrap();
    configure(&sandbox, keys);
    sandbox
}

pub fn configure(sandbox: &Sandbox, keys: &str) {
    let url = format!("file://{}", sandbox.path("disk").display());
    sandbox.write(
        "piton.toml",
        format!("[store.offsite]\nurl = \"{url}\"\npatience = \"0s\"\n{keys}"),
    );
}

/// A backup of content that no other one has.
pub fn back_up(sandbox: &Sandbox, text: &str) -> String {
    sandbox.write("data/file", text);
    sandbox.back_up()
}

pub fn names(sandbox: &Sandbox) -> Vec<String> {
    files(&sandbox.path("disk")).into_keys().map(|path| path.display().to_string()).collect()
}

pub fn whole(ids: &[&String]) -> Vec<String> {
    let mut names: Vec<String> =
        ids.iter().flat_map(|id| [format!("{id}.json"), format!("{id}.tar.gz")]).collect();
    names.sort();
    names
}

pub fn there(sandbox: &Sandbox, id: &str) -> PathBuf {
    sandbox.path(&format!("disk/{id}.tar.gz"))
}

#[test]
fn a_backup_is_copied_and_its_copy_needs_no_piton() {
    let sandbox = with_disk("");
    sandbox.write("data/file", "one");
    let ran = sandbox.run("backup").success();
    let id = sandbox.backups()[0].clone();
    let place = format!("file://{}", "[ROOT]/disk");
    ran.says(&format!("copied  {id} to {place}\n"));
    assert_eq!(names(&sandbox), whole(&[&id]));
    assert_eq!(fs::read(there(&sandbox, &id)).unwrap(), fs::read(sandbox.archive(&id)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("xzf").arg(there(&sandbox, &id)).arg("-C").arg(folder.path());
    assert!(tar.status().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path().join("data/file")).unwrap(), "one");
    sandbox.run("backups --offsite").success().stdout(&format!(
        "[ID]    [SIZE]  [AGO]        here too\n1 copy, [SIZE] in {place}\n\
         next: piton restore ID --offsite puts one back\n"
    ));
    sandbox.run("status").success().says(&format!("all of them copied to {place}\n"));
    let document = sandbox.run("backups --offsite --json").success().json();
    assert_eq!(document["copies"][0]["backup"], id.as_str());
    assert_eq!(document["copies"][0]["here"], true);
    // Nothing to copy, and said so; the catalog here takes no notice.
    sandbox.run("backups sync").success().says("nothing to do");
    assert_eq!(sandbox.run("backups --json").success().json()["strays"], Value::Array(vec![]));
}

#[test]
fn everything_here_is_lost_and_comes_back() {
    let sandbox = with_disk("");
    let id = back_up(&sandbox, "one");
    let before = sandbox.content();
    sandbox.remove("backups");
    sandbox.remove("data");
    // What to type is said by the error.
    sandbox.run("restore --yes").code(2).one_error().says("`piton restore latest --offsite`");
    sandbox.run("restore --offsite --yes").success().says(&format!("restored {id}"));
    assert_eq!(sandbox.content(), before);
    assert!(sandbox.backups().contains(&id));
    // A second time it is here already.
    sandbox.remove("data/file");
    sandbox.remove("disk");
    fs::create_dir(sandbox.path("disk")).unwrap();
    sandbox.run("backups sync").success();
    sandbox.run(&format!("restore {id} --offsite --yes")).success();
    assert_eq!(sandbox.content(), before);
}

#[test]
fn a_backup_that_is_damaged_here_is_replaced_by_its_copy() {
    let sandbox = with_disk("");
    let id = back_up(&sandbox, "one");
    let before = sandbox.content();
    let mut bytes = fs::read(sandbox.archive(&id)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(sandbox.archive(&id), &bytes).unwrap();
    sandbox.remove("data/file");
    sandbox.run(&format!("restore {id} --yes")).code(10);
    sandbox.run(&format!("restore {id} --offsite --yes")).success();
    assert_eq!(sandbox.content(), before);
    sandbox.run(&format!("verify {id}")).success();
}

#[test]
fn restoring_beside_the_data_and_going_back_fetch_too() {
    let sandbox = with_disk("").migration("002_more.sql", "CREATE TABLE more (id INTEGER);");
    let before = sandbox.content();
    sandbox.run("up").success().says("copied  ");
    let id = sandbox.backups()[0].clone();
    sandbox.remove(&format!("backups/{id}.tar.gz"));
    sandbox.remove(&format!("backups/{id}.json"));
    sandbox.run("restore --offsite --to elsewhere").success();
    assert!(sandbox.exists("elsewhere/app.db"));
    sandbox.remove(&format!("backups/{id}.tar.gz"));
    sandbox.remove(&format!("backups/{id}.json"));
    sandbox.run("rollback --offsite --yes").success().says(&format!("restored {id}"));
    assert_eq!(sandbox.content(), before);
    sandbox.run("rollback --offsite --yes").success().says("rolled back already");
}

#[test]
fn rules_there_are_others_than_here() {
    let sandbox = with_disk("[store.offsite.retention]\nlast = 2\n[retention]\nlast = 1\n");
    let ids: Vec<String> =
        ["one", "two", "three"].iter().map(|text| back_up(&sandbox, text)).collect();
    // The run that made the table took no backup: there was nothing before it.
    assert_eq!(sandbox.backups(), [ids[2].clone()]);
    assert_eq!(names(&sandbox), whole(&[&ids[1], &ids[2]]));
    let lines = sandbox.run("backups --offsite").success();
    lines.says("only there").says("here too");
    // A pin counts there too, set here before.
    sandbox.run(&format!("backups pin {}", ids[2])).success();
    let fourth = back_up(&sandbox, "four");
    let fifth = back_up(&sandbox, "five");
    assert_eq!(names(&sandbox), whole(&[&ids[2], &fourth, &fifth]));
    let document = sandbox.run("prune --dry-run --json").success().json();
    assert_eq!(document["offsite"]["remove"], Value::Array(vec![]));
    sandbox.run(&format!("backups unpin {}", ids[2])).success();
    let ran = sandbox.run("prune --dry-run").success();
    ran.says(&format!("{} would be removed from file://", ids[2]));
    sandbox.run("prune").success().says("removed  1 old copy from file://");
    assert_eq!(names(&sandbox), whole(&[&fourth, &fifth]));
}

#[test]
fn what_the_rules_there_would_not_keep_is_not_missing() {
    let sandbox = with_disk("[store.offsite.retention]\nlast = 1\n");
    sandbox.remove("disk");
    let ids: Vec<String> = ["one", "two"].iter().map(|text| back_up(&sandbox, text)).collect();
    fs::create_dir(sandbox.path("disk")).unwrap();
    sandbox.run("backups sync").success().says(&format!("copied  {}", ids[1]));
    assert_eq!(names(&sandbox), whole(&[&ids[1]]));
    let said = "copied to file://[ROOT]/disk, all but those that its rules drop\n";
    sandbox.run("status").success().says(said);
    sandbox.run("backups --offsite").success().never_says("only here");
    sandbox.run("backups sync").success().says("nothing to do");
}

#[test]
fn words_and_pins_follow() {
    let sandbox = with_disk("");
    let id = back_up(&sandbox, "one");
    sandbox.run(&format!("backups label {id} weekly")).success();
    sandbox.run("backups sync").success();
    assert!(sandbox.read(&format!("disk/{id}.json")).contains("\"label\": \"weekly\""));
    sandbox.remove("backups");
    sandbox.run("restore --offsite --yes").success();
    sandbox.run("backups").success().says("weekly");
}

#[test]
fn a_copy_that_is_only_there_can_be_pinned_and_unpinned() {
    let sandbox = with_disk("[store.offsite.retention]\nlast = 1\n[retention]\nlast = 1\n");
    let first = back_up(&sandbox, "one");
    sandbox.run(&format!("backups pin {first}")).success();
    sandbox.remove(&format!("backups/{first}.tar.gz"));
    sandbox.remove(&format!("backups/{first}.json"));
    let second = back_up(&sandbox, "two");
    assert_eq!(names(&sandbox), whole(&[&first, &second]));
    let document = sandbox.run(&format!("backups unpin {first} --json")).success().json();
    assert_eq!(document["backup"]["pinned"], false);
    let document = sandbox.run(&format!("backups unpin {first} --json")).success().json();
    assert_eq!(document["outcome"], "nothing-to-do");
    sandbox.run("prune").success().says("removed  1 old copy");
    assert_eq!(names(&sandbox), whole(&[&second]));
    sandbox.run("backups pin 2020").code(2).one_error();
}

#[test]
fn copying_waits_for_the_reasons_that_are_named() {
    let sandbox = with_disk("copy-after = [\"manual\"]\n")
        .migration("002_more.sql", "CREATE TABLE more (id INTEGER);");
    sandbox.run("up").success().never_says("copied");
    assert_eq!(names(&sandbox), Vec::<String>::new());
    sandbox.run("status").success().says("only here: 1 backup is not copied");
    // The next opportunity takes it along.
    sandbox.run("backup").success().says("copied  2 backups");
    sandbox.run("status").success().says("all of them copied");
    // The default leaves out what stands between somebody and their restored service.
    configure(&sandbox, "");
    sandbox.write("data/file", "of now");
    sandbox.run("restore --yes").success().never_says("copied");
    sandbox.run("status").success().says("only here: 1 backup is not copied");
}

#[test]
fn scripts_and_restores_say_what_became_of_the_copy() {
    let sandbox = with_disk("copy-after = [\"script\", \"safety\"]\n")
        .script("more.sql", "INSERT INTO users (name) VALUES ('eve');");
    let document = sandbox.run("run more --json").success().json();
    assert_eq!(document["offsite"]["copied"].as_array().unwrap().len(), 1);
    let document = sandbox.run("rollback --yes --json").success().json();
    assert_eq!(document["offsite"]["copied"].as_array().unwrap().len(), 1);
    sandbox.run("status").success().says("all of them copied");
}

#[test]
fn a_run_that_failed_is_told_at_once() {
    let sandbox = with_disk("").migration("002_wrong.sh", "#!/bin/sh\nrm -f data/app.db\nexit 1\n");
    let document = sandbox.run("up --json").code(6).json();
    assert_eq!(document["offsite"], Value::Null);
    assert_eq!(names(&sandbox), Vec::<String>::new());
    sandbox.run("backups sync").success().says("copied  ");
}

#[test]
fn without_a_place_that_is_said() {
    let sandbox = Sandbox::with_users();
    for words in
        ["backups --offsite", "backups sync", "verify --offsite", "restore --offsite --yes"]
    {
        sandbox.run(words).code(2).one_error().says("`[store.offsite]`");
    }
    assert_eq!(sandbox.run("backup --json").success().json()["offsite"], Value::Null);
    assert_eq!(sandbox.run("status --json").success().json()["offsite"], Value::Null);
}

#[test]
fn wrong_keys_are_named_with_their_place_and_without_secrets() {
    for (keys, said) in [
        ("url = \"disk\"", "`url`: `disk` is no place"),
        ("url = \"sftp://ann:secret@host/x\"", "`[store.offsite] url`: a password does not"),
        ("url = \"s3://key:secret@bucket\"", "`[store.offsite] url`: a password does not"),
        ("url = \"file:///x\"\nregion = \"eu\"", "`region` means nothing for `file:///x`"),
        ("url = \"s3://b\"\nidentity = \"key\"", "`identity` means nothing for `s3://b`"),
        ("url = \"s3://b\"\nendpoint = \"host\"", "`endpoint`: write it like"),
        ("url = \"file:///x\"\nbandwidth = \"2\"", "`bandwidth`: `2` is no size"),
        ("url = \"file:///x\"\nbandwidth = \"0MiB\"", "`bandwidth`"),
        ("url = \"file:///x\"\npatience = \"soon\"", "`patience`: `soon` is no time"),
        ("url = \"file:///x\"\ncopy-after = [\"never\"]", "unknown variant `never`"),
        ("url = \"file:///x\"\nretention = { within = \"3\" }", "`within`"),
        ("endpoint = \"http://host\"", "missing field `url`"),
        ("url = \"file:///x\"\nendpont = \"http://host\"", "unknown field `endpont`"),
    ] {
        let sandbox = Sandbox::new().config(&format!("[store.offsite]\n{keys}\n"));
        let ran = sandbox.run("status").code(2).one_error();
        ran.says(said).never_says("secret");
    }
}

#[test]
fn a_limit_of_the_line_is_kept() {
    let sandbox = with_disk("bandwidth = \"256KiB\"\n");
    // What does not compress.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(384 << 10)
    .collect();
    sandbox.write("data/noise", noise);
    let began = std::time::Instant::now();
    sandbox.run("backup").success().says("copied  ");
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
}
