//! Findings: the same ones from `check`, `plan`, `up` and `rehearse`, with the numbers of the live rows.

use crate::sandbox::Sandbox;

const TABLE: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, old TEXT);";

fn with_rows(pending: &str) -> Sandbox {
    let sandbox = Sandbox::new().migration("001_users.sql", TABLE);
    sandbox.run("up").success();
    sandbox.execute("app.db", "INSERT INTO users VALUES (1, 'x'), (2, 'y'), (3, NULL)");
    sandbox.migration("002_next.sql", pending)
}

#[test]
fn what_goes_is_said_with_its_number_before_it_goes() {
    let sandbox =
        with_rows("ALTER TABLE users ADD COLUMN fresh TEXT;\nALTER TABLE users DROP COLUMN old;\n");
    let text = "002_next.sql:2:1: column `old` of table `users` goes with its 2 values";
    sandbox.run("check").success().says("warning [destructive]").says(text);
    sandbox.run("plan").success().says("warning [destructive]").says(text);
    let planned = sandbox.run("plan --json").success().json();
    let finding = planned["databases"][0]["findings"][0].clone();
    assert_eq!(
        (&finding["code"], &finding["severity"]),
        (&"destructive".into(), &"warning".into())
    );
    sandbox.run("rehearse").success().says(text);
    let did = sandbox.run("up --json").success().says("[destructive]").json();
    assert_eq!(did["databases"][0]["findings"][0], finding);
    // What ran is a warning of check alone, without numbers.
    sandbox.run("plan").success().never_says("destructive");
    sandbox.run("check").success().says("goes with its values");
}

#[test]
fn an_empty_table_loses_nothing() {
    let sandbox = Sandbox::new().migration("001_users.sql", TABLE);
    sandbox.run("up").success();
    let sandbox = sandbox.migration("002_next.sql", "DROP TABLE users;");
    sandbox.run("plan").success().never_says("destructive");
    sandbox.run("up").success().never_says("destructive");
}

#[test]
fn a_new_database_runs_an_old_history_without_a_word() {
    let sandbox = Sandbox::new()
        .migration("001_users.sql", TABLE)
        .migration("002_drop.sql", "ALTER TABLE users DROP COLUMN old;")
        .migration("003_rename.sql", "ALTER TABLE users RENAME TO people;");
    sandbox.run("up").success().never_says("warning");
}

#[test]
fn the_project_sets_what_is_done() {
    let sandbox = with_rows("DROP TABLE users;").config("[findings]\ndestructive = \"refuse\"\n");
    sandbox.run("plan --exit-code").code(4).says("refused [destructive]");
    sandbox.run("check").code(4).says("refused [destructive]");
    let before = sandbox.data();
    sandbox.run("up").code(4).says("refused [destructive]").says("goes with its 3 rows");
    assert_eq!(sandbox.data(), before);
    sandbox.write("piton.toml", "[findings]\ndestructive = \"ignore\"\n");
    sandbox.run("plan --exit-code").code(3).never_says("destructive");
    sandbox.write("piton.toml", "[findings]\ndestructiv = \"ignore\"\n");
    sandbox.run("plan").code(2).one_error().says("piton.toml:").says("`destructive`");
    sandbox.write("piton.toml", "[findings]\ndestructive = \"no\"\n");
    sandbox.run("plan").code(2).one_error().says("piton.toml:2:");
}

#[test]
fn the_file_says_that_it_means_it() {
    let sandbox = with_rows("-- allow: destructive nobody reads it\nDROP TABLE users;")
        .config("[findings]\ndestructive = \"refuse\"\n");
    sandbox.run("up").success().never_says("destructive");
}

#[test]
fn a_misspelt_name_replaces_no_row() {
    let sandbox = with_rows("UPDATE users SET old = \"odl\" WHERE id = 1;");
    for command in ["check", "plan --exit-code", "up", "rehearse"] {
        sandbox.run(command).code(4).says("refused [quoted-text]").says("`\"odl\"` is no column");
    }
    let old = sandbox.query("app.db", "SELECT old FROM users WHERE id = 1");
    assert_eq!(old, "x");
}

#[test]
fn the_house_rule_holds_for_up_and_deploy() {
    let sandbox =
        with_rows("UPDATE users SET old = '' WHERE old IS NULL;").config("schema-only = true\n");
    for command in ["check", "plan --exit-code", "up", "deploy"] {
        sandbox.run(command).code(4).says("scripts folder");
    }
}

#[test]
fn a_constraint_that_rows_break_names_them() {
    let sandbox = with_rows(
        "CREATE TABLE n (id INTEGER PRIMARY KEY, old TEXT NOT NULL);\n\
         INSERT INTO n SELECT id, old FROM users;\nDROP TABLE users;\nALTER TABLE n RENAME TO users;\n",
    );
    for command in ["check", "plan --exit-code", "up"] {
        sandbox
            .run(command)
            .code(4)
            .says("refused [rows-break]")
            .says("002_next.sql:2:1: 1 row would break NOT NULL of `n.old`: id = 3");
    }
    sandbox.execute("app.db", "UPDATE users SET old = '' WHERE old IS NULL");
    sandbox.run("up").success();
}

#[test]
fn a_misspelt_column_of_a_pending_update_is_refused_before_anything_runs() {
    let sandbox = with_rows("UPDATE users SET odl = 1 WHERE id = 1;");
    for command in ["check", "plan --exit-code", "up"] {
        sandbox.run(command).code(4).says("refused [sql]").says("no such column: odl");
    }
}

#[test]
fn a_plan_shows_what_a_file_changes_as_a_whole() {
    let sandbox = with_rows(
        "CREATE TABLE n (id INTEGER PRIMARY KEY, old TEXT CHECK (old <> 'no'));\n\
         INSERT INTO n SELECT id, old FROM users;\nDROP TABLE users;\nALTER TABLE n RENAME TO users;\n\
         UPDATE users SET old = 'x' WHERE id = 2;\n",
    );
    let planned = sandbox.run("plan").success();
    planned
        .says("~ table `users` rebuilt: + check (old <> 'no')\n")
        .says("~ rows of `users` (update)");
    let json = sandbox.run("plan --json").success().json();
    let effects = &json["databases"][0]["migrations"][1]["effects"];
    assert_eq!(effects[0], "~ table `users` rebuilt: + check (old <> 'no')");
}
