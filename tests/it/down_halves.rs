//! Down halves of other tools' files: refused by name, and nothing of them runs.

use crate::sandbox::Sandbox;

const MARKS: [(&str, &str); 10] = [
    ("-- migrate:up", "-- migrate:down"),
    ("-- +goose Up", "-- +goose Down"),
    ("-- +migrate Up", "-- +migrate Down"),
    ("", "---- create above / drop below ----"),
    ("-- Up Migration", "-- Down Migration"),
    ("", "-- //@UNDO"),
    ("", "-- ==== DOWN ===="),
    ("-- rambler up", "-- rambler down"),
    ("-- +micrate Up", "-- +micrate Down"),
    ("-- Up", "--DOWN"),
];

fn text(up: &str, down: &str) -> String {
    format!("{up}\nCREATE TABLE users (id INTEGER PRIMARY KEY);\n{down}\nDROP TABLE users;\n")
}

#[test]
fn every_command_that_would_run_it_refuses_and_names_the_line() {
    for (up, down) in MARKS {
        let sandbox = Sandbox::new().migration("20260101000000_users.sql", &text(up, down));
        let place = "migrations/20260101000000_users.sql:3:1";
        for command in ["check", "plan --exit-code", "up", "rehearse", "up --dry-run"] {
            sandbox.run(command).code(4).says("[down-half]").says(place).says(down);
        }
        assert!(!sandbox.exists("data/app.db"), "{down}");
    }
}

#[test]
fn rows_that_are_there_stay() {
    for (up, down) in MARKS {
        let sandbox = Sandbox::new().migration("1_users.sql", &text(up, down));
        sandbox.execute(
            "app.db",
            "CREATE TABLE users (id INTEGER PRIMARY KEY); INSERT INTO users VALUES (1)",
        );
        let before = sandbox.data();
        sandbox.run("up").code(4).says("[down-half]");
        sandbox.run("deploy").code(4).says("for going back");
        assert_eq!(sandbox.data(), before, "{down}");
        // The hint, followed: the half goes to a file of its own.
        sandbox.write(
            "migrations/1_users.sql",
            format!("{up}\nCREATE TABLE users (id INTEGER PRIMARY KEY);\n"),
        );
        sandbox.write("migrations/1_users.down.sql", "DROP TABLE users;\n");
        sandbox.run("up").success();
        assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM users"), "1", "{down}");
    }
}

#[test]
fn what_ran_before_is_not_held_up_and_a_reason_lets_it_run() {
    let sandbox = Sandbox::new().migration(
        "1_a.sql",
        "-- allow: down-half only a heading\nCREATE TABLE a (x);\n-- Down\nCREATE TABLE b (x);\n",
    );
    sandbox.run("up").success();
    assert_eq!(
        sandbox.query("app.db", "SELECT count(*) FROM sqlite_schema WHERE name IN ('a', 'b')"),
        "2"
    );
    sandbox.write("migrations/1_a.sql", "CREATE TABLE a (x);\n-- Down\nCREATE TABLE b (x);\n");
    sandbox.run("adopt --accept 1").success();
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn companions_are_named_and_never_run() {
    let names = ["2_b.rollback.sql", "3_c.undo.sql", "U1__a.sql", "1_a_down.sql", "4_d.Down.sql"];
    let mut sandbox = Sandbox::new().migration("1_a_up.sql", "CREATE TABLE a (x);");
    for name in names {
        sandbox = sandbox.migration(name, "CREATE TABLE never (x);");
    }
    sandbox.run("up").success();
    assert_eq!(
        sandbox.query("app.db", "SELECT name FROM sqlite_schema WHERE name IN ('a', 'never')"),
        "a"
    );
    let ran = sandbox.run("status").success();
    names
        .into_iter()
        .fold(ran, |ran, name| ran.says(&format!("not a migration: migrations/{name}")));
}
