//! `history`: what ran when, under which backup.

use crate::sandbox::{Sandbox, USERS};

#[test]
fn lists_what_ran() {
    let sandbox = Sandbox::new();
    sandbox.run("history").success().stdout("nothing has run yet\nnext: piton plan\n");
    sandbox.write("migrations/001_users.sql", USERS);
    sandbox.run("history").success().stdout("nothing has run yet\nnext: piton plan\n");
    sandbox.run("up").success();
    sandbox.write("migrations/002_script.sh", "#!/bin/sh\necho moved\n");
    sandbox.run("up").success();
    sandbox.run("history").success().stderr("").stdout(
        "app.db\n  [TIME] UTC  applied  run     001 users ([DURATION], [ID])\n  \
         [TIME] UTC  applied  run     002 script ([DURATION], [ID])\n",
    );
}

#[test]
fn keeps_the_text_that_ran() {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/001_users.sql", "-- edited\n");
    sandbox.run("history --text 1").success().stdout(USERS);
    sandbox.run("history --text 001").success().stdout(USERS);
    sandbox.run("history --text 2").code(2).one_error();
}

#[test]
fn of_one_target() {
    let sandbox = Sandbox::with_users().file("migrations/logs/001_l.sql", "CREATE TABLE l (x);");
    sandbox.run("up").success();
    sandbox.run("history --target logs").success().says("logs.db").never_says("app.db");
    sandbox.run("history --target nope").code(2).one_error().says("there are: app, logs");
}
