//! `[backup] recipients`: archives that only an identity opens, held against the `age` program.

use crate::{
    programs::lacks,
    sandbox::{Sandbox, USERS, dump},
};
use age::secrecy::ExposeSecret;
use std::{fs, path::PathBuf};

/// A project with an identity file `key`, and its recipient.
struct Keyed {
    sandbox: Sandbox,
    recipient: String,
}

fn generate(sandbox: &Sandbox, name: &str) -> String {
    let identity = age::x25519::Identity::generate();
    sandbox.write(name, format!("{}\n", identity.to_string().expose_secret()));
    identity.to_public().to_string()
}

/// One migration has run, and backups are encrypted from now on.
fn keyed() -> Keyed {
    let sandbox = Sandbox::with_users();
    sandbox.remove("backups");
    let recipient = generate(&sandbox, "key");
    let config = format!("[backup]\nrecipients = [\"{recipient}\"]\n");
    Keyed { sandbox: sandbox.config(&config), recipient }
}

impl Keyed {
    fn archive(&self, id: &str) -> PathBuf {
        self.sandbox.path(&format!("backups/{id}.tar.gz.age"))
    }

    /// What lies in the backups directory, as one text.
    fn stored(&self) -> String {
        let entries = walkdir::WalkDir::new(self.sandbox.path("backups"));
        let files = entries.into_iter().map(Result::unwrap).filter(|it| it.file_type().is_file());
        let texts =
            files.map(|it| String::from_utf8_lossy(&fs::read(it.path()).unwrap()).into_owned());
        texts.collect()
    }
}

#[test]
fn the_age_program_unpacks_it() {
    if lacks("age") || lacks("zstd") {
        return;
    }
    let Keyed { sandbox, .. } = keyed();
    for (kind, end, pipe) in [
        ("gzip", ".tar.gz.age", "tar xz"),
        ("zstd", ".tar.zst.age", "zstd -d | tar x"),
        ("none", ".tar.age", "tar x"),
    ] {
        sandbox.write("data/file", kind);
        let document = sandbox.run(&format!("backup --json --compression {kind}")).success().json();
        let archive = document["archive"].as_str().unwrap().to_string();
        assert!(archive.ends_with(end), "{archive}");
        sandbox.write("out/keep", "");
        let mut shell = sandbox.program("bash");
        let command = format!("age -d -i key {archive} | (cd out && {pipe})");
        shell.args(["-o", "pipefail", "-c", &command]);
        sandbox.finish(shell).success();
        assert_eq!(dump(&sandbox.path("out/data/app.db")), sandbox.dump("app.db"));
        assert_eq!(sandbox.read("out/data/file"), kind);
        sandbox.remove("out");
    }
}

#[test]
fn two_recipients_can_each_open_it() {
    if lacks("age") {
        return;
    }
    let Keyed { sandbox, recipient } = keyed();
    let other = generate(&sandbox, "other");
    let sandbox = sandbox.variable("PITON_RECIPIENTS", &format!("{recipient},{other}"));
    let id = sandbox.back_up();
    for key in ["key", "other"] {
        sandbox.run(&format!("verify --identity {key} {id}")).success();
        let mut age = sandbox.program("age");
        age.args(["-d", "-i", key, "-o", "/dev/null", &format!("backups/{id}.tar.gz.age")]);
        sandbox.finish(age).success();
    }
}

#[test]
fn nothing_in_the_directory_tells_what_is_in_it() {
    let keyed = keyed();
    let sandbox = &keyed.sandbox;
    sandbox.write("data/private-name", "private words");
    let document = sandbox.run("backup --json --label word").success().json();
    let content = document["backup"]["manifest"]["content"].as_str().unwrap().to_string();
    let sha256 = document["backup"]["manifest"]["databases"][0]["sha256"].as_str().unwrap();
    let stored = keyed.stored();
    for secret in ["users", "app.db", "private", "\"position\"", "AGE-SECRET", &content, sha256] {
        assert!(!stored.contains(secret), "{secret}");
    }
    assert!(stored.contains("BEGIN AGE ENCRYPTED FILE") && stored.contains("word"));
    // The staging area, where copies lie while it is made, is gone.
    assert!(!sandbox.exists("backups/.staging"));
    sandbox.run("backups").success().says("encrypted").says("word").never_says("database");
    let shown = sandbox.run("backups show latest").success();
    shown.says(&format!("encrypted to {}", keyed.recipient)).never_says("app.db");
    let shown = sandbox.run("backups show latest --identity key").success();
    shown.says("app.db").says("3 rows in 3 tables").never_says("AGE-SECRET");
}

#[test]
fn every_command_takes_it_with_the_identity() {
    let Keyed { sandbox, .. } = keyed();
    sandbox.write("data/file", "one");
    let one = sandbox.back_up();
    sandbox.write("data/file", "two");
    let two = sandbox.back_up();
    sandbox.write("data/file", "three");
    let hint = "hint: name the file of the identity with `--identity FILE` or PITON_IDENTITY";
    for words in [
        format!("restore {one} --yes"),
        format!("restore {one} --dry-run"),
        format!("restore {one} --to out"),
        format!("diff {one}"),
        format!("diff {one} {two}"),
    ] {
        sandbox.run(&words).code(2).one_error().says(hint);
        assert!(!sandbox.exists("out"));
        assert_eq!(sandbox.read("data/file"), "three");
    }
    sandbox.run(&format!("diff {one} {two} --identity key")).success().says("file");
    sandbox.run(&format!("diff {one} --identity key")).success().says("file");
    sandbox.run(&format!("restore {two} --to out --identity key")).success();
    assert_eq!(sandbox.read("out/file"), "two");
    sandbox.run(&format!("restore {one} --yes --identity key")).success();
    assert_eq!(sandbox.read("data/file"), "one");
    let sandbox = sandbox.variable("PITON_IDENTITY", "key");
    sandbox.run(&format!("restore {two} --yes")).success();
    assert_eq!(sandbox.read("data/file"), "two");
    sandbox.run(&format!("backups pin {one}")).success();
    sandbox.run("backups").success().says("pinned");
    sandbox.run("verify --all").success();
}

#[test]
fn the_identity_may_stand_in_the_file() {
    let Keyed { sandbox, recipient } = keyed();
    let config = format!("[backup]\nrecipients = [\"{recipient}\"]\nidentity = \"key\"\n");
    let sandbox = sandbox.config(&config);
    sandbox.write("data/file", "one");
    let id = sandbox.back_up();
    sandbox.run(&format!("verify {id}")).success().stdout("verified [ID]\n");
    sandbox.run("rehearse").success();
}

#[test]
fn without_an_identity_verify_compares_the_archive_and_says_so() {
    let keyed = keyed();
    let sandbox = &keyed.sandbox;
    let id = sandbox.back_up();
    let said = "verified [ID]: the archive only, for want of an identity\n";
    sandbox.run("verify").success().stdout(said);
    let document = sandbox.run("verify --json").success().json();
    assert_eq!(document["checks"][0]["checked"], "archive");
    let document = sandbox.run("verify --json --identity key").success().json();
    assert_eq!(document["checks"][0]["checked"], "content");
    let archive = keyed.archive(&id);
    let whole = fs::read(&archive).unwrap();
    for at in (0..whole.len()).step_by(97) {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        fs::write(&archive, &flipped).unwrap();
        sandbox.run("verify").code(10).one_error();
        sandbox.run("verify --identity key").code(10).one_error();
    }
    for length in (0..whole.len()).step_by(211) {
        fs::write(&archive, &whole[..length]).unwrap();
        sandbox.run("verify --identity key").code(10).one_error();
        sandbox.run("restore --yes --identity key").code(10);
    }
    fs::write(&archive, &whole).unwrap();
    sandbox.run("verify --identity key").success().stdout("verified [ID]\n");
}

#[test]
fn a_wrong_identity_opens_nothing_and_is_named() {
    let Keyed { sandbox, .. } = keyed();
    generate(&sandbox, "other");
    let id = sandbox.back_up();
    let live = sandbox.data();
    let said = "is not encrypted to any identity in `other`";
    sandbox.run(&format!("restore {id} --yes --identity other")).code(2).one_error().says(said);
    sandbox.run("verify --identity other").code(2).one_error().says(said);
    sandbox.run("diff --identity missing").code(5).one_error().says("`missing`");
    sandbox.write("prose", "AGE-SECRET-KEY-1NONSENSE\n");
    let ran = sandbox.run("diff --identity prose").code(2).one_error();
    ran.says("`prose` is no file of age identities").never_says("NONSENSE");
    assert_eq!(sandbox.data(), live);
}

#[test]
fn a_run_goes_back_without_an_identity_on_the_machine() {
    let Keyed { sandbox, .. } = keyed();
    let sandbox =
        sandbox.migration("002_more.sql", "INSERT INTO users (name) VALUES ('cy');\n").migration(
            "003_bad.sh",
            "#!/bin/sh\nsqlite3 \"$PITON_DATABASE\" 'DROP TABLE users'\nexit 1\n",
        );
    // A backup of the same content, which another process has encrypted, does not do.
    sandbox.back_up();
    let before = sandbox.dump("app.db");
    sandbox.run("up").code(6).never_says("AGE-SECRET");
    assert_eq!(sandbox.dump("app.db"), before);
    let sandbox = sandbox.script("wreck.sh", "#!/bin/sh\necho x > \"$PITON_DATA_DIR/x\"\nexit 1\n");
    sandbox.run("run wreck.sh").code(6);
    assert_eq!(sandbox.dump("app.db"), before);
    sandbox.remove("migrations/003_bad.sh");
    sandbox.run("rehearse").success();
    sandbox.run("up").success();
    sandbox.run("rollback --yes").code(2).one_error().says("--identity FILE");
    sandbox.run("rollback --yes --identity key").success();
    assert_eq!(sandbox.dump("app.db"), before);
}

#[test]
fn unchanged_content_is_recognised_for_the_same_recipients() {
    let Keyed { sandbox, recipient } = keyed();
    let id = sandbox.back_up();
    sandbox.run("backup").success().says("has the same content").says(&id);
    // A restore leaves alone what a list leaves out, so under another list it is another backup.
    sandbox.run("backup --exclude cache").success().never_says("has the same content");
    // Another one was taken since, which `latest` would mean.
    sandbox.run("backup").success().never_says("has the same content");
    sandbox.run("backup").success().says("has the same content");
    let other = generate(&sandbox, "other");
    sandbox
        .run(&format!("backup --recipients {recipient},{other}"))
        .success()
        .never_says("nothing");
    let config = "";
    let sandbox = sandbox.config(config);
    sandbox.run("backup").success().never_says("nothing to do");
    let secret = fs::read(sandbox.path("data/.piton/likeness")).unwrap();
    assert_eq!(secret.len(), 32);
}

#[test]
fn a_manifest_that_is_lost_needs_the_identity() {
    let Keyed { sandbox, .. } = keyed();
    let id = sandbox.back_up();
    sandbox.remove(&format!("backups/{id}.json"));
    sandbox.run("backups").success().says("is encrypted, and no identity is named");
    sandbox.run("verify").code(2).one_error();
    sandbox.run("verify --identity key").success().stdout("verified [ID]\n");
    sandbox.run(&format!("restore {id} --to out --identity key")).success();
    assert_eq!(dump(&sandbox.path("out/app.db")), sandbox.dump("app.db"));
}

#[test]
fn open_and_encrypted_ones_lie_side_by_side() {
    let sandbox = Sandbox::new().migration("001_users.sql", USERS);
    sandbox.run("up").success();
    let open = sandbox.back_up();
    let recipient = generate(&sandbox, "key");
    sandbox.write("data/file", "new");
    sandbox.run(&format!("backup --recipients {recipient}")).success();
    sandbox.run("verify --all").success().says("for want of an identity");
    sandbox.run("backups").success().says("1 database").says("encrypted");
    sandbox.run(&format!("restore {open} --yes")).success();
    assert!(!sandbox.exists("data/file"));
}

#[test]
fn a_recipient_that_is_none_is_refused_with_its_place() {
    let Keyed { sandbox, .. } = keyed();
    let sandbox = sandbox.variable("PITON_RECIPIENTS", "");
    sandbox.run("backup --recipients age1nonsense").code(2).one_error().says("`age1nonsense`");
    let sandbox = sandbox.config("[backup]\nrecipients = [\"ssh-rsa AAAA\"]\n");
    sandbox.run("backup").code(2).one_error().says("piton.toml:2:14");
}

#[test]
fn a_table_out_of_an_encrypted_backup_and_a_drill_of_it() {
    let Keyed { sandbox, .. } = keyed();
    sandbox.run("backup").success();
    for command in ["drill", "restore --only app.db:users --dry-run"] {
        sandbox.run(command).code(2).one_error().says("--identity");
    }
    sandbox.run("drill --identity key").success().says("proved ");
    let before = sandbox.query("app.db", "SELECT * FROM users");
    sandbox.execute("app.db", "DELETE FROM users");
    sandbox.run("restore latest --only app.db:users --identity key --yes").success();
    assert_eq!(sandbox.query("app.db", "SELECT * FROM users"), before);
}
