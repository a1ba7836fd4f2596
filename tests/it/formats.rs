//! What an older piton wrote is read for ever, and what a later one wrote is refused in one sentence.

use crate::sandbox::{Sandbox, USERS};
use std::{
    fs,
    path::{Path, PathBuf},
};

const LEDGER: &str = include_str!("../data/formats/0.1/ledger.sql");

/// A database in which piton 0.1 ran `USERS`.
fn of_the_first_format() -> Sandbox {
    let sandbox = Sandbox::with_users();
    let (head, _) = LEDGER.split_once("INSERT").unwrap();
    sandbox.execute(
        "app.db",
        &format!(
            "ALTER TABLE _piton_ledger RENAME TO later; {head}
             INSERT INTO _piton_ledger SELECT id, version, name, kind, state, known_by, file_sha256,
               text_sha256, text, started_at, duration_ms, statements_done, schema_hash, backup, '0.1.0',
               output, changed_objects FROM later;
             DROP TABLE later;"
        ),
    );
    sandbox
}

fn ledger(sandbox: &Sandbox) -> String {
    let sql = "SELECT sql FROM sqlite_schema WHERE name = '_piton_ledger'";
    sandbox.query("app.db", sql)
}

#[test]
fn a_ledger_of_the_first_format_is_read_by_all_and_upgraded_by_a_run_alone() {
    let sandbox = of_the_first_format();
    let before = ledger(&sandbox);
    sandbox.run("status").success().says("at 001, the last (by its ledger)");
    sandbox.run("history").success().says("001 users");
    sandbox.run("up").success().says("nothing to do");
    sandbox.write("migrations/002_more.sql", "ALTER TABLE users ADD COLUMN more TEXT;\n");
    sandbox.run("plan").success().says("002_more.sql");
    sandbox.run("up --dry-run").success();
    assert_eq!(ledger(&sandbox), before, "nothing that only looks writes");
    sandbox.run("up").success().says("002_more.sql");
    assert!(ledger(&sandbox).contains("format          INTEGER"));
    let rows = "SELECT group_concat(version || name || state, ' ') FROM _piton_ledger";
    assert_eq!(sandbox.query("app.db", rows), "001usersapplied 002moreapplied");
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn a_run_that_fails_leaves_the_ledger_in_its_format() {
    let sandbox = of_the_first_format();
    let before = ledger(&sandbox);
    sandbox.write("migrations/002_more.sql", "INSERT INTO users (id, name) VALUES (1, 'again');\n");
    sandbox.run("up").code(5);
    assert_eq!(ledger(&sandbox), before);
}

#[test]
fn adopting_upgrades_as_well() {
    let sandbox = of_the_first_format();
    sandbox.write("migrations/002_data.sql", "UPDATE users SET name = upper(name);\n");
    sandbox.run("adopt --at 2").success();
    assert!(ledger(&sandbox).contains("format          INTEGER"));
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn a_ledger_of_a_later_format_is_refused_and_left_alone() {
    let sandbox = Sandbox::with_users();
    sandbox.execute("app.db", "UPDATE _piton_ledger SET format = 3");
    let before = sandbox.data();
    for command in ["status", "plan", "up", "history", "adopt --at 1"] {
        sandbox.run(command).code(4).one_error().says("made by a newer piton").says("update piton");
    }
    assert_eq!(sandbox.data(), before);
}

#[test]
fn an_object_of_that_name_that_is_no_ledger_is_refused_and_left_alone() {
    for (sql, kind) in [
        ("CREATE VIEW _piton_ledger AS SELECT 1 AS a", "`_piton_ledger` (view)"),
        ("CREATE TABLE t (a); CREATE INDEX _piton_ledger ON t (a)", "`_piton_ledger` (index)"),
        ("CREATE TABLE _Piton_Ledger (page, entry)", "`_Piton_Ledger` (table)"),
    ] {
        let sandbox = Sandbox::new().migration("001_users.sql", USERS);
        sandbox.execute("app.db", sql);
        let before = sandbox.data();
        for command in ["status", "plan", "up"] {
            sandbox.run(command).code(4).one_error().says(kind).says("of this name");
        }
        assert_eq!(sandbox.data(), before, "{sql}");
    }
}

/// A folder of what piton 0.1 wrote.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats/0.1").join(name)
}

/// Copies a folder of fixtures into the project.
fn place(sandbox: &Sandbox, name: &str, to: &str) {
    for entry in walkdir::WalkDir::new(fixture(name)).into_iter().map(Result::unwrap) {
        let target = sandbox.path(to).join(entry.path().strip_prefix(fixture(name)).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn record(sandbox: &Sandbox, name: &str, to: &str) {
    let to = sandbox.path(to);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(fixture("records").join(name), to).unwrap();
}

fn rows(sandbox: &Sandbox) -> String {
    sandbox.query("app.db", "SELECT group_concat(a) FROM t")
}

/// The ids of the backups of the fixtures, oldest first: of a run, by hand, by hand with a sparse file.
fn ids() -> Vec<String> {
    let entries = fs::read_dir(fixture("backups")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.filter_map(|name| name.to_str()?.strip_suffix(".json").map(String::from));
    let mut ids: Vec<String> = names.collect();
    ids.sort_by_key(|id| {
        fs::metadata(fixture("backups").join(format!("{id}.json"))).unwrap().len()
    });
    ids
}

#[test]
fn backups_of_the_first_piton_verify_and_restore() {
    let sandbox = Sandbox::with_users();
    place(&sandbox, "backups", "backups");
    let [run, first, second] = &ids()[..] else { panic!("three backups") };
    sandbox.run("backups").success().says(run).says(first).says(second);
    for id in [run, first, second] {
        sandbox.run(&format!("verify {id}")).success();
    }
    for (id, files) in [(first, vec!["note.txt"]), (second, vec!["note.txt", "sparse"])] {
        sandbox.run(&format!("restore {id} --yes")).success();
        assert_eq!(rows(&sandbox), "one");
        files.iter().for_each(|name| assert!(sandbox.exists(&format!("data/{name}")), "{name}"));
    }
    sandbox.run("restore --undo --yes").success();
    assert!(!sandbox.exists("data/sparse"));
}

#[test]
fn a_restore_that_the_first_piton_did_not_finish_is_finished() {
    let sandbox = Sandbox::new();
    place(&sandbox, "interrupted-restore", "data");
    place(&sandbox, "backups", "backups");
    sandbox.run("recover").success();
    assert_eq!(rows(&sandbox), "one");
    assert_eq!(sandbox.read("data/note.txt"), "note\n");
    assert!(!sandbox.exists("data/sparse") && !sandbox.exists("data/.piton/restore.json"));
    sandbox.run("status").success();
}

#[test]
fn a_restore_of_the_first_piton_is_undone() {
    let sandbox = Sandbox::new();
    place(&sandbox, "restored", "data");
    place(&sandbox, "backups", "backups");
    assert_eq!(rows(&sandbox), "one");
    sandbox.run("restore --undo --yes").success();
    assert_eq!(rows(&sandbox), "one,two");
    assert!(sandbox.exists("data/sparse") && !sandbox.exists("data/note.txt"));
}

#[test]
fn the_last_run_of_the_first_piton_is_rolled_back() {
    let sandbox = Sandbox::new();
    place(&sandbox, "restored", "data");
    place(&sandbox, "backups", "backups");
    record(&sandbox, "last-run.json", "data/.piton/last-run.json");
    // Its note does not say what the run left, so the rows may have been written since.
    sandbox.run("rollback --yes").code(4).says("--lose-rows");
    sandbox.run("rollback --yes --lose-rows").success();
    assert!(!sandbox.exists("data/app.db"), "that run made the database");
}

#[test]
fn notes_and_deploys_of_the_first_piton_are_understood() {
    let sandbox = Sandbox::with_users();
    record(&sandbox, "deploy.json", "data/.piton/deploy.json");
    sandbox.run("deploy --status").success().says("health-again");
    record(&sandbox, "deploy-open.json", "data/.piton/deploy.json");
    sandbox.run("deploy --status").says("backup");
    sandbox.remove("data/.piton/deploy.json");
    record(&sandbox, "hold.json", "data/.piton/hold.json");
    sandbox.write("migrations/002_more.sql", "ALTER TABLE users ADD COLUMN more TEXT;\n");
    sandbox.run("up").code(4).says("migrations are held").says("test ! -f sick");
    sandbox.remove("data/.piton/hold.json");
    record(&sandbox, "hot.json", "data/.piton/hot.json");
    sandbox.run("status").code(7).says("other.db");
}

#[test]
fn a_record_of_a_later_piton_is_refused_in_one_sentence_and_left_alone() {
    const RECORDS: [(&str, &str); 5] = [
        ("restore.json", "status"),
        ("hot.json", "status"),
        ("last-run.json", "up"),
        ("last-run.json", "rollback --yes"),
        ("deploy.json", "deploy --status"),
    ];
    for (name, command) in RECORDS {
        let sandbox = Sandbox::with_users();
        let path = format!("data/.piton/{name}");
        sandbox.write(&path, r#"{"format": 9, "of": ["another", "shape"]}"#);
        let before = (sandbox.data(), sandbox.backups());
        sandbox.run(command).code(4).one_error().says("made by a newer piton").says("update piton");
        assert!(sandbox.read(&path).contains("another"), "{name}");
        sandbox.remove(&path);
        assert_eq!((sandbox.data(), sandbox.backups()), before, "{name}");
    }
    let sandbox = Sandbox::with_users();
    sandbox.write("data/.piton/hold.json", r#"{"format": 9}"#);
    sandbox.write("migrations/002_more.sql", "ALTER TABLE users ADD COLUMN more TEXT;\n");
    sandbox.run("up").code(4).says("made by a newer piton");
}

#[test]
fn a_backup_of_a_later_piton_is_no_damaged_one() {
    let sandbox = Sandbox::with_users();
    let id = sandbox.back_up();
    let path = format!("backups/{id}.json");
    let text = sandbox.read(&path);
    for (from, to) in [
        (r#""format": 1"#, r#""format": 9"#),
        (r#""reason": "manual""#, r#""reason": "a word of tomorrow", "format": 9"#),
    ] {
        sandbox.write(&path, text.replace(r#""format": 1,"#, "").replace(from, to));
        if from.contains("format") {
            sandbox.write(&path, text.replace(from, to));
        }
        let command = format!("restore {id} --yes");
        sandbox.run(&command).code(4).says("made by a newer piton").says("update piton");
        sandbox.run("backups").success().says("unreadable: ").never_says("damaged");
        let document = sandbox.run("backups --json").success().json();
        assert_eq!(document["strays"][0]["newer"], true);
    }
}

/// A ledger of piton's own columns with a value that piton never writes is no table of somebody else.
#[test]
fn a_damaged_ledger_is_called_so() {
    for change in ["format = 'x'", "format = 1", "state = 'x'"] {
        let sandbox = Sandbox::with_users();
        let strange = format!(
            "PRAGMA ignore_check_constraints = ON; CREATE TABLE copy AS SELECT * FROM _piton_ledger;
             DROP TABLE _piton_ledger; ALTER TABLE copy RENAME TO _piton_ledger;
             UPDATE _piton_ledger SET {change}"
        );
        sandbox.execute("app.db", &strange);
        let before = sandbox.data();
        for command in ["status", "plan", "up", "history"] {
            let ran = sandbox.run(command).code(10).one_error().says("is damaged");
            ran.says("piton restore").never_says("RENAME TO");
        }
        assert_eq!(sandbox.data(), before, "{change}");
    }
}

/// A note that a later piton left beside the data stops a restore as it stops everything else.
#[test]
fn the_note_of_a_later_piton_is_not_thrown_away() {
    let sandbox = Sandbox::with_users();
    sandbox.back_up();
    sandbox.execute("app.db", "DELETE FROM users");
    sandbox.write("data/.piton/hot.json", r#"{"format": 7}"#);
    let before = sandbox.data();
    for command in ["restore latest --yes", "restore --undo --yes", "rollback --yes", "up"] {
        sandbox.run(command).code(4).one_error().says("made by a newer piton");
    }
    assert_eq!(sandbox.data(), before);
}
