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
    sandbox.run("new fourth").success().says("migrations/20260101120001_fourth.sql");
}

#[test]
fn the_empty_file_is_a_migration_that_does_nothing() {
    let sandbox = Sandbox::with_users();
    sandbox.run("new nothing").success();
    sandbox.run("up").success().says("002_nothing.sql");
    sandbox.run("up").success().says("nothing to do");
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
