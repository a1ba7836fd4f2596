//! `diff`: between a backup and the live data, and between two backups.

use crate::sandbox::Sandbox;

#[test]
fn equal_ones_and_what_has_changed() {
    let sandbox = Sandbox::with_users().file("data/note", "one");
    sandbox.run("diff --backups none").code(2).one_error().says("there is no backup");
    let id = sandbox.back_up();
    let equal = sandbox.run("diff").success().stderr("");
    assert_eq!(equal.stdout, format!("equal: {id} and the live data\n"));
    sandbox.execute(
        "app.db",
        "INSERT INTO users (name) VALUES ('later'); DELETE FROM users WHERE id = 1; \
         UPDATE users SET name = 'x' WHERE id = 2; CREATE TABLE extra (a)",
    );
    sandbox.write("data/note", "changed");
    sandbox.write("data/new", "new");
    let live = sandbox.data();
    sandbox.run("diff").success().stderr("").says("users: -1 +1 ~1 rows\n").says("+ new\n~ note\n");
    sandbox
        .run("diff --rows")
        .success()
        .says("      - 1\n      + 3\n      ~ 2\n")
        .says("    + table `extra`");
    assert_eq!(sandbox.data(), live);
    let later = sandbox.back_up();
    let document = sandbox.run(&format!("diff {id} {later} --rows=1 --json")).success().json();
    assert_eq!(
        (&document["first"], &document["second"]),
        (&id.as_str().into(), &later.as_str().into())
    );
    assert_eq!(document["equal"], false);
    let tables = document["databases"][0]["tables"].as_array().unwrap();
    let users = tables.iter().find(|table| table["table"] == "users").unwrap();
    assert_eq!(users["keys"]["only_first"][0][0], 1);
    assert_eq!(document["files"]["changed"][0], "note");
    sandbox.run(&format!("diff {later}")).success().says("equal: ");
}

#[test]
fn of_a_part_and_as_a_test() {
    let sandbox = Sandbox::with_users().file("data/notes/a", "a").file("data/b", "b");
    sandbox.back_up();
    sandbox.run("diff --exit-code").success().says("equal: ");
    sandbox.write("data/notes/a", "changed");
    sandbox.write("data/b", "changed");
    let document = sandbox.run("diff --exit-code --json --only notes").code(3).json();
    assert_eq!(document["outcome"], "pending");
    assert_eq!(document["files"]["changed"], serde_json::json!(["notes/a"]));
    sandbox.run("diff --only notes --only b").success().says("~ b").says("~ notes/a");
    sandbox.run("diff --exit-code --only *.db").success().says("equal: ");
    sandbox.run("diff --only nowhere").code(2).one_error().says("nothing on either side");
    sandbox.run("diff --only [a").code(2).one_error();
}

#[test]
fn what_is_damaged_is_said() {
    let sandbox = Sandbox::with_users();
    let id = sandbox.back_up();
    sandbox.execute("app.db", "DELETE FROM users");
    let archive = sandbox.archive(&id);
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    sandbox.run("diff").code(10).one_error();
}

#[test]
fn databases_of_another_encoding_are_compared_too() {
    let sandbox = Sandbox::new();
    sandbox.execute(
        "app.db",
        "PRAGMA encoding = 'UTF-16be'; CREATE TABLE t (a); INSERT INTO t VALUES ('ä')",
    );
    sandbox.run("backup").success();
    sandbox.execute("app.db", "INSERT INTO t VALUES ('ö')");
    let document = sandbox.run("diff --json").success().json();
    assert_eq!(document["databases"][0]["tables"][0]["only_second"], 1, "{document}");
}
