//! `new`: the next number, and nothing overwritten.

use crate::sandbox::Sandbox;
use std::os::unix::fs::PermissionsExt;

#[test]
fn counts_on_in_the_width_of_the_last() {
    let sandbox = Sandbox::new();
    sandbox.run("new").code(2);
    let words = "made migrations/001_create_users.sql\nnext: edit it, then: piton plan\n";
    let mut command = sandbox.command("new");
    command.arg("Create Users!");
    sandbox.finish(command).success().stdout(words);
    sandbox.run("new second").success().says("migrations/002_second.sql");
    sandbox.write("migrations/0099_x.sql", "");
    sandbox.run("new third").success().says("migrations/0100_third.sql");
    sandbox.write("migrations/20260101120000_y.sql", "");
    let made =
        sandbox.run("new fourth --json").success().json()["path"].as_str().unwrap().to_string();
    let number = made.trim_start_matches("migrations/").trim_end_matches("_fourth.sql");
    assert!(number.len() == 14 && number > "20260101120000", "{made}");
}

#[test]
fn a_file_without_statements_waits_for_them() {
    let sandbox = Sandbox::with_users();
    sandbox.run("new second").success();
    let before = sandbox.data();
    for command in ["up", "plan", "status", "check"] {
        sandbox.run(command).success();
    }
    sandbox.run("up").success().says("nothing to do");
    assert_eq!(sandbox.data(), before);
    let text = sandbox.read("migrations/002_second.sql") + "CREATE TABLE second (x);\n";
    sandbox.write("migrations/002_second.sql", text);
    sandbox.run("up").success().says("002_second.sql");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM second"), "0");
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn of_a_new_database_too() {
    let sandbox = Sandbox::new();
    sandbox.run("new first").success();
    sandbox.run("up").success().says("nothing to do");
    assert!(!sandbox.exists("data/app.db"));
    sandbox.write("migrations/001_first.sql", "CREATE TABLE first (x);\n");
    sandbox.run("up").success();
}

#[test]
fn from_a_template_of_the_project() {
    let sandbox = Sandbox::with_users()
        .migration(".template.sql", "-- {name}\nSELECT 'write something here';\n");
    sandbox.run("new more").success();
    let text = sandbox.read("migrations/002_more.sql");
    assert_eq!(text, "-- more\nSELECT 'write something here';\n");
    sandbox.write("migrations/.template.sql", &text);
    sandbox.run("up").success().says("nothing to do");
    sandbox.run("status").success().says("migrations/002_more.sql (only its template is in it)");
}

#[test]
fn a_script_is_executable_and_runs() {
    let sandbox = Sandbox::with_users();
    sandbox.run("new move_files --script").success().says("migrations/002_move_files.sh");
    let mode = sandbox.path("migrations/002_move_files.sh").metadata().unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o755);
    sandbox.run("up").success().says("002_move_files.sh");
}

#[test]
fn belongs_to_a_target() {
    let sandbox = Sandbox::with_users().file("migrations/logs/001_lines.sql", "SELECT 1;");
    sandbox.run("new more --target logs").success().says("migrations/logs/002_more.sql");
    sandbox.run("new more --target app").success().says("made migrations/002_more.sql");
    sandbox.run("new more --target log").code(2).one_error().says("there are: app, logs");
}

#[test]
fn a_name_needs_letters() {
    let sandbox = Sandbox::new();
    sandbox.run("new !!!").code(2).one_error().says("`NAME`");
    sandbox.run("new ../../etc/x").success().says("migrations/001_etc_x.sql");
}
