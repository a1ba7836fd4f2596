//! `adopt`: a person's word, where nothing else can tell.

use crate::sandbox::{Sandbox, USERS};

#[test]
fn settles_what_only_data_could_tell() {
    let sandbox = Sandbox::new()
        .migration(
            "001_users.sql",
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);",
        )
        .migration("002_rows.sql", "INSERT INTO users (name) VALUES ('ann');");
    let made = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL); \
                INSERT INTO users (name) VALUES ('bob')";
    sandbox.execute("app.db", made);
    let before = sandbox.dump("app.db");
    sandbox.run("up").code(4).says("adopt --at").says("nothing was touched");
    sandbox.run("adopt --at 2").success().stdout(
        "recorded app.db: 001_users.sql\nrecorded app.db: 002_rows.sql\nnext: piton status\n",
    );
    sandbox.run("up").success().says("nothing to do");
    assert_eq!(sandbox.dump("app.db"), before);
    assert_eq!(sandbox.run("adopt --at 2 --json").success().json()["outcome"], "nothing-to-do");
}

#[test]
fn accepts_an_edited_file() {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/001_users.sql", format!("-- a better comment\n{USERS}"));
    sandbox.run("up").code(4).says("adopt --accept");
    sandbox.run("adopt --accept 1").success().says("recorded app.db: 001_users.sql");
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn of_wrong_words() {
    let sandbox = Sandbox::with_users();
    let before = sandbox.data();
    sandbox.run("adopt").code(2);
    sandbox.run("adopt --at 9").code(2).one_error().says("`9`");
    sandbox.run("adopt --at x").code(2).one_error().says("`x`");
    sandbox.run("adopt --accept 9").code(2).one_error().says("`9`");
    sandbox.run("adopt --at 1 --accept 1").code(2);
    sandbox.run("adopt --at 1 --target nope").code(2).one_error();
    assert_eq!(sandbox.data(), before);
    let empty = Sandbox::new().migration("001_users.sql", USERS);
    empty.run("adopt --at 1").code(2).one_error().says("does not exist");
    assert!(!empty.exists("data/app.db"));
}

#[test]
fn says_that_nothing_of_the_history_ran() {
    let sandbox = Sandbox::new()
        .migration("001_double.sql", "UPDATE users SET n = n * 2;")
        .migration("002_x.sql", "ALTER TABLE users ADD COLUMN x;");
    sandbox.execute(
        "app.db",
        "CREATE TABLE users (id INTEGER PRIMARY KEY, n); INSERT INTO users VALUES (1, 1)",
    );
    sandbox.run("up").code(4).says("refused [undecided]");
    sandbox.run("adopt --at 0").success().says("baseline");
    sandbox.run("up").success().says("001_double.sql").says("002_x.sql");
    sandbox.run("up").success().says("nothing to do");
    sandbox.run("adopt --at 0").success();
}
