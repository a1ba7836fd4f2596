//! `restore --hot`: databases that a service has open, and what is left when it stops among them.

use crate::sandbox::Sandbox;
use rusqlite::Connection;

/// Two databases that a service has open, with a row more than their backup has.
fn served() -> (Sandbox, String, [Connection; 2]) {
    let sandbox = Sandbox::with_users();
    sandbox.execute("b.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    let id = sandbox.back_up();
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('cy')");
    sandbox.execute("b.db", "INSERT INTO t VALUES (2)");
    sandbox.write("data/new.txt", "new");
    let services = ["app.db", "b.db"].map(|name| sandbox.database(name));
    for service in &services {
        service.execute_batch("PRAGMA journal_mode = WAL; SELECT * FROM sqlite_schema").unwrap();
    }
    (sandbox, id, services)
}

fn counts([app, other]: &[Connection; 2]) -> [i64; 2] {
    let count = |service: &Connection, table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        service.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    [count(app, "users"), count(other, "t")]
}

#[test]
fn it_can_be_undone_while_they_are_still_open() {
    let (sandbox, id, services) = served();
    let ran = sandbox.run(&format!("restore {id} --hot --yes --save-lost lost.d")).success();
    ran.says("app.db was written into while open").says("saved in lost.d/app.db.sql");
    assert_eq!(counts(&services), [2, 1]);
    assert!(!sandbox.exists("data/new.txt"));
    sandbox.run("restore --undo --yes").success().says("was written into while open");
    assert_eq!(counts(&services), [3, 2]);
    assert_eq!(sandbox.read("data/new.txt"), "new");
    services[0].execute_batch("DELETE FROM users WHERE id = 3").unwrap();
    services[0].execute_batch(&sandbox.read("lost.d/app.db.sql")).unwrap();
    assert_eq!(counts(&services), [3, 2]);
}

#[test]
fn a_part_can_be_undone_alone() {
    let (sandbox, id, services) = served();
    sandbox.run(&format!("restore {id} --hot --yes --only b.db")).success();
    assert_eq!(counts(&services), [3, 1]);
    services[0].execute_batch("INSERT INTO users (name) VALUES ('later')").unwrap();
    sandbox.run("restore --undo --yes").success();
    assert_eq!(counts(&services), [4, 2]);
}

#[test]
fn where_it_is_killed_among_them_it_is_said_what_is_what() {
    let (new, old) = ("has the content of the backup", "is as before");
    let either = "has the one or the other";
    // Each note takes two steps: its file, and the folder.
    for (nth, found, app, other) in [
        (1, [3, 2], "", ""),
        (2, [3, 2], either, old),
        (3, [2, 2], either, old),
        (4, [2, 2], new, either),
        (5, [2, 1], new, either),
        (6, [2, 1], "`app.db`, `b.db`", new),
    ] {
        for way in ["restore --undo --yes", "restore ID --hot --yes"] {
            let (sandbox, id, services) = served();
            let mut command = sandbox.command(&format!("restore {id} --hot --yes"));
            command.env("PITON_FAULT", format!("hot-note:{nth}:kill"));
            assert!(!command.output().unwrap().status.success());
            assert_eq!(counts(&services), found);
            if nth == 1 {
                sandbox.run("status").success();
                continue;
            }
            for words in ["status", "up", "backup", "recover"] {
                let ran = sandbox.run(words).code(7).one_error();
                ran.says(app)
                    .says(other)
                    .says(old)
                    .says("restore --undo")
                    .says("it was interrupted");
            }
            sandbox.run(&way.replace("ID", &id)).success();
            let wanted = if way.contains("undo") { [3, 2] } else { [2, 1] };
            assert_eq!(counts(&services), wanted, "{nth} {way}");
            sandbox.run("status").success();
        }
    }
}

#[test]
fn a_note_that_cannot_be_read_says_what_to_type() {
    let (sandbox, id, services) = served();
    sandbox.run(&format!("restore {id} --hot --yes")).success();
    sandbox.write("data/.piton/hot.json", "{ half a no");
    for words in ["status", "recover", "restore --undo --yes"] {
        let ran = sandbox.run(words).code(7);
        ran.says("stopped in the middle").says("restore all from one backup");
    }
    // What it says can be typed, and ends it.
    sandbox.run("backups").success().says("safety");
    sandbox.run(&format!("restore {id} --hot --yes")).success();
    assert_eq!(counts(&services), [2, 1]);
    sandbox.run("status").success();
}

#[test]
fn a_record_that_cannot_be_read_says_where_the_files_are() {
    let sandbox = Sandbox::with_users();
    let id = sandbox.back_up();
    let restore = format!("restore {id} --yes");
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('cy')");
    sandbox.run(&restore).success();
    let area = std::fs::read_dir(sandbox.path("data/.piton/undo")).unwrap().next().unwrap();
    let area = area.unwrap().path();
    std::fs::write(area.join("record.json"), "{").unwrap();
    let ran = sandbox.run("restore --undo --yes").code(5).says("cannot be read");
    ran.says(&format!("{}/tree", area.file_name().unwrap().to_str().unwrap()));
    // The next restore has a record of its own, and says that it left the other.
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('di')");
    sandbox.run(&restore).success().says("of an earlier restore cannot be read");
    sandbox.run("restore --undo --yes").success();
}
