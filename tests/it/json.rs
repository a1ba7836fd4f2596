//! `--json`: one document on standard output, events on standard error.

use crate::sandbox::{Sandbox, USERS};
use serde_json::Value;

#[test]
fn every_command_gives_one_document() {
    let sandbox = Sandbox::with_users()
        .script("tidy.sql", "UPDATE users SET name = upper(name);")
        .migration("002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    for (words, outcome) in [
        ("init --json", "done"),
        ("status --json", "done"),
        ("status --json --exit-code", "pending"),
        ("plan --json", "done"),
        ("up --json --dry-run", "done"),
        ("up --json", "done"),
        ("up --json", "nothing-to-do"),
        ("new --json x", "done"),
        ("up --json", "nothing-to-do"),
        ("run --json", "done"),
        ("run --json tidy", "done"),
        ("history --json", "done"),
        ("history --json --text 1", "done"),
        ("backup --json", "done"),
        ("backup --json", "nothing-to-do"),
        ("backups --json", "done"),
        ("backups --json latest", "done"),
        ("verify --json", "done"),
        ("restore --json --dry-run", "nothing-to-do"),
        ("restore --json --yes --to out", "done"),
        ("restore --json --yes", "nothing-to-do"),
        ("restore --json --yes --undo", "refused"),
        ("recover --json", "nothing-to-do"),
        ("adopt --json --at 1", "nothing-to-do"),
        ("completions --json bash", "done"),
        ("man --json", "done"),
        ("rollback --json --yes", "done"),
        ("restore --json --yes --undo", "done"),
        ("restore --json --yes --undo", "nothing-to-do"),
        ("rollback --json --yes", "refused"),
        ("rollback --json --yes --lose-rows", "done"),
        ("rollback --json --yes", "nothing-to-do"),
        ("rollback --json", "nothing-to-do"),
    ] {
        let ran = sandbox.run(words);
        let document = ran.json();
        assert_eq!(document["outcome"], outcome, "{}", ran.whole());
        let command = words.split(' ').next().unwrap();
        assert_eq!(document["command"], command, "{}", ran.whole());
        for line in ran.stderr.lines() {
            let event: Result<Value, _> = serde_json::from_str(line);
            assert!(event.is_ok(), "{line}\n{}", ran.whole());
        }
    }
}

#[test]
fn so_does_every_failure() {
    let sandbox = Sandbox::with_users().script("fails.sh", "#!/bin/sh\nexit 1\n");
    sandbox.write("migrations/002_bad.sql", "INSERT INTO users (id, name) VALUES (1, 'x');");
    let ran = sandbox.run("up --json").code(5);
    let failure = &ran.json()["ran"][0]["failure"];
    assert_eq!(failure["migration"], "002_bad.sql");
    assert!(failure["message"].as_str().unwrap().contains("002_bad.sql:1:1"));
    assert_eq!(sandbox.run("run --json fails").code(6).json()["outcome"], "restored");
    sandbox.write("migrations/002_bad.sql", "SELEC 1;");
    let refused = sandbox.run("up --json").code(4).json();
    assert_eq!(refused["databases"][0]["findings"][0]["code"], "sql");
    sandbox.write("data/app.db", "rubbish");
    assert_eq!(sandbox.run("up --json").code(10).json()["outcome"], "damaged");
    sandbox.write("piton.toml", "dta = 1");
    let usage = sandbox.run("up --json").code(2).json();
    assert!(usage["error"]["message"].as_str().unwrap().starts_with("piton.toml:1:1"));
}

#[test]
fn and_every_wrong_word() {
    let sandbox = Sandbox::bare();
    for words in
        ["--json", "--json bogus", "up --json --bogus", "adopt --json", "--json=true up --x"]
    {
        let document = sandbox.run(words).code(2).json();
        assert_eq!(document["outcome"], "usage", "{words}");
    }
    let asked = Sandbox::bare().variable("PITON_JSON", "1");
    assert_eq!(asked.run("bogus").code(2).json()["outcome"], "usage");
    assert_eq!(asked.run("status").code(2).json()["outcome"], "usage");
}

#[test]
fn asked_for_by_the_file() {
    let sandbox = Sandbox::new().migration("001_users.sql", USERS).config("json = true\n");
    assert_eq!(sandbox.run("up").success().json()["outcome"], "done");
    sandbox.run("status --json=false").success().says("nothing to do");
}

#[test]
fn events_are_lines_on_standard_error() {
    let sandbox =
        Sandbox::with_users().migration("002_says.sh", "#!/bin/sh\necho one\necho two >&2\n");
    let ran = sandbox.run("up --json").success();
    let events: Vec<Value> =
        ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(ran.stderr.contains("\"one\"") && ran.stderr.contains("\"two\""), "{}", ran.whole());
    assert!(events.len() > 3);
}
