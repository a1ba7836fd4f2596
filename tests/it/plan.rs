//! `plan`: what `up` would do, and nothing done.

use crate::sandbox::{Sandbox, USERS};

#[test]
fn shows_effects_and_touches_nothing() {
    let sandbox = Sandbox::with_users()
        .migration("002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;")
        .migration("003_index.sql", "CREATE INDEX users_mail ON users (mail);");
    let before = sandbox.data();
    sandbox.run("plan").success().stderr("").stdout(
        "app.db: at 001 (by its ledger), 1 of 3 migrations done\n  \
         run     002_mail.sql (1 statement)\n            \
         + table `users`, column `mail`: text\n  \
         run     003_index.sql (1 statement)\n            \
         + index `users_mail`\n\
         next: piton up carries this out (2 migrations, after a backup)\n",
    );
    let dry = sandbox.run("up --dry-run").success();
    assert_eq!(dry.stdout, sandbox.run("plan").stdout);
    assert_eq!(sandbox.data(), before);
}

#[test]
fn exit_codes_tell_pending_refused_and_done() {
    let sandbox = Sandbox::new().migration("001_users.sql", USERS);
    sandbox.run("plan").success();
    sandbox.run("plan --exit-code").code(3);
    assert!(!sandbox.exists("data"));
    sandbox.run("up").success();
    sandbox
        .run("plan --exit-code")
        .success()
        .stdout("app.db: at 001, the last (by its ledger), 1 of 1 migration done\nnothing to do\n");
    sandbox.execute("app.db", "ALTER TABLE users ADD COLUMN by_hand TEXT");
    sandbox.run("plan --exit-code").success().says("warning [drift]").says("by_hand");
    sandbox.execute("app.db", "ALTER TABLE users RENAME COLUMN name TO title");
    sandbox.run("plan --exit-code").code(4).says("refused [drift]").says("column `name`");
}

#[test]
fn what_was_planned_is_what_up_does() {
    let sandbox = Sandbox::with_users()
        .migration("002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;")
        .migration("003_more.sql", "CREATE TABLE more (id INTEGER PRIMARY KEY);");
    let planned = sandbox.run("plan --json").success().json();
    let files = |value: &serde_json::Value| {
        let all = value["databases"][0]["migrations"].as_array().unwrap().clone();
        let acts = all.into_iter().filter(|found| found["action"] != "none");
        acts.map(|found| found["file"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    let did = sandbox.run("up --json").success().json();
    let ran = did["ran"][0]["ran"].as_array().unwrap();
    let ran: Vec<&str> = ran.iter().map(|done| done["migration"].as_str().unwrap()).collect();
    assert_eq!(files(&planned), ran);
}

#[test]
fn only_up_to_a_version() {
    let sandbox = Sandbox::with_users()
        .migration("002_a.sql", "CREATE TABLE a (id INTEGER PRIMARY KEY);")
        .migration("003_b.sql", "CREATE TABLE b (id INTEGER PRIMARY KEY);");
    sandbox.run("plan --to 2").success().says("002_a.sql").never_says("003_b.sql");
    sandbox.run("plan --to 9").code(2).one_error().says("`9`");
    sandbox.run("plan --to two").code(2).one_error().says("`two`");
    sandbox.run("up --to 2").success().says("done: 1 migration");
    sandbox.run("plan").success().says("003_b.sql").never_says("002_a.sql");
}
