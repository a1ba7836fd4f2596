//! `rollback`: the backup of the last run, once.

use crate::sandbox::Sandbox;

fn twice_migrated() -> Sandbox {
    let sandbox =
        Sandbox::with_users().migration("002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    sandbox.run("up").success();
    sandbox
}

#[test]
fn goes_back_to_before_the_last_run_and_no_further() {
    let sandbox = twice_migrated();
    sandbox.run("rollback").code(2).says("hint: add `--yes`");
    sandbox.run("rollback --dry-run").success().says("from 002 to 001");
    sandbox.run("rollback --yes").success().says("from 002 to 001").says("restored ");
    assert!(!sandbox.dump("app.db").contains("mail"));
    sandbox.run("rollback --yes").success().says("nothing to do").says("piton restore ID");
    sandbox.run("up").success().says("002_mail.sql");
    sandbox.run("rollback --yes").success();
}

#[test]
fn where_nothing_has_run() {
    let sandbox = Sandbox::new();
    sandbox.run("rollback --yes").code(4).one_error().says("no run of piton has taken a backup");
}

#[test]
fn after_a_run_that_did_nothing_it_is_still_the_last_that_did() {
    let sandbox = twice_migrated();
    sandbox.run("up").success().says("nothing to do");
    sandbox.run("backup").success();
    sandbox.run("rollback --yes").success().says("from 002 to 001");
}

#[test]
fn after_a_run_that_failed_there_is_nothing_to_take_back() {
    let sandbox =
        twice_migrated().migration("003_bad.sql", "INSERT INTO users (id, name) VALUES (1, 'x');");
    sandbox.run("up").code(5);
    let before = sandbox.data();
    sandbox.run("rollback --yes").success().says("nothing to do");
    assert_eq!(sandbox.data(), before);
}

#[test]
fn a_restore_of_a_later_state_does_not_take_the_run_back() {
    let sandbox = twice_migrated();
    sandbox.run("backup").success();
    sandbox.execute("app.db", "DELETE FROM users");
    sandbox.run("restore latest --yes").success();
    sandbox.run("rollback --yes").success().says("from 002 to 001");
}

#[test]
fn after_it_was_undone_it_can_be_done_again() {
    let sandbox = twice_migrated();
    sandbox.run("rollback --yes").success();
    sandbox.run("restore --undo --yes").success();
    assert!(sandbox.dump("app.db").contains("mail"));
    sandbox.run("rollback --yes").success().says("from 002 to 001");
}

#[test]
fn works_where_the_database_is_damaged() {
    let sandbox = twice_migrated();
    sandbox.write("data/app.db", "rubbish");
    sandbox.run("rollback --yes").success();
    sandbox.run("status").success().says("at 001");
}

#[test]
fn the_first_run_can_be_taken_back() {
    let sandbox = Sandbox::with_users();
    sandbox.run("rollback --yes").success().says("is set aside");
    assert!(sandbox.data().is_empty());
    sandbox.run("restore --undo --yes").success();
    assert!(sandbox.dump("app.db").contains("ann"));
}

/// Without the note of the last run, on another machine say, the ledgers tell which run is meant; typed
/// again it goes no further.
#[test]
fn without_its_note_it_goes_back_once_too() {
    for note in [None, Some("garbage")] {
        let sandbox = twice_migrated();
        let path = "data/.piton/last-run.json";
        std::fs::remove_file(sandbox.path(path)).unwrap();
        if let Some(text) = note {
            sandbox.write(path, text);
        }
        sandbox.run("rollback --yes --lose-rows").success().says("from 002 to 001");
        let after = sandbox.dump("app.db");
        assert!(!after.contains("mail") && after.contains("users"));
        for _ in 0..2 {
            sandbox.run("rollback --yes --lose-rows").success().says("nothing to do");
            assert_eq!(sandbox.dump("app.db"), after);
        }
    }
}

/// A run that was cut off and one that went on with it are one: going back is to before both.
#[test]
fn what_goes_on_with_a_run_that_was_cut_off_belongs_to_it() {
    let sandbox = twice_migrated();
    let note = "data/.piton/last-run.json";
    let cut_off = sandbox.read(note).replace("\"done\"", "\"open\"");
    sandbox.write(note, &cut_off);
    let sandbox = sandbox.migration("003_more.sql", "CREATE TABLE more (x);");
    sandbox.run("up").success().says("was cut off").says("003_more.sql");
    assert!(sandbox.read(note).contains("\"continues\""));
    sandbox.run("rollback --yes --lose-rows").success().says("from 003 to 001");
    sandbox.run("rollback --yes").success().says("nothing to do");
    sandbox.run("up").success();
    assert!(!sandbox.read(note).contains("\"continues\""));
    sandbox.run("rollback --yes").success().says("from 003 to 001");
}
