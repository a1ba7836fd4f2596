//! Bad input: databases that cannot be used, and archives that cannot be read. Nothing is touched.

use crate::sandbox::Sandbox;
use std::fs;

const MORE: &str = "CREATE TABLE more (id INTEGER PRIMARY KEY);";

fn pending() -> Sandbox {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/002_more.sql", MORE);
    sandbox
}

#[test]
fn a_file_that_is_not_a_database() {
    let sandbox = pending();
    sandbox.write("data/app.db", "Dear diary, this is not a database at all.");
    let before = sandbox.data();
    for command in ["status", "plan", "up", "history", "adopt --at 1"] {
        sandbox.run(command).code(10).one_error().says("`data/app.db` is not a SQLite database");
    }
    assert_eq!(sandbox.data(), before);
}

#[test]
fn a_folder_in_its_place() {
    let sandbox = pending();
    sandbox.remove("data/app.db");
    fs::create_dir(sandbox.path("data/app.db")).unwrap();
    sandbox.run("up").code(5).one_error().says("`data/app.db`");
    assert!(sandbox.path("data/app.db").is_dir());
}

#[test]
fn an_empty_file_is_a_new_database() {
    let sandbox = Sandbox::new().migration("001_more.sql", MORE).file("data/app.db", "");
    sandbox.run("up").success();
    assert!(sandbox.dump("app.db").contains("more"));
}

/// A name, and what it does to a file.
type Damage = (&'static str, fn(&mut Vec<u8>));

#[test]
fn a_corrupt_database() {
    let sandbox = pending();
    let path = sandbox.path("data/app.db");
    let whole = fs::read(&path).unwrap();
    let cases: [Damage; 4] = [
        ("a schema page of rubbish", |bytes| bytes[100..4096].fill(0xa5)),
        ("every page but the first", |bytes| bytes[4096..].fill(0xa5)),
        ("cut in the middle of a page", |bytes| bytes.truncate(6000)),
        ("cut in the first page", |bytes| bytes.truncate(600)),
    ];
    for (what, damage) in cases {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let before = sandbox.data();
        let ran = sandbox.run("up").code(10);
        assert!(
            ran.stderr.contains("app.db") && ran.stderr.contains("hint: "),
            "{what}: {}",
            ran.whole()
        );
        let ran = sandbox.run("backup").code(10);
        assert!(
            ran.stderr.contains("app.db") && ran.stderr.contains("hint: "),
            "{what}: {}",
            ran.whole()
        );
        assert_eq!(sandbox.data(), before, "{what}");
    }
    fs::write(&path, whole).unwrap();
    sandbox.run("up").success();
}

#[test]
fn a_locked_database() {
    for lock in ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"] {
        for journal in ["DELETE", "WAL"] {
            let sandbox = pending();
            sandbox.execute("app.db", &format!("PRAGMA journal_mode = {journal}"));
            let before = sandbox.data()[std::path::Path::new("app.db")];
            let holder = sandbox.database("app.db");
            holder.execute_batch(lock).unwrap();
            let ran = sandbox.run("up --busy-timeout 1s").code(5);
            let case = format!("{lock} {journal}: {}", ran.whole());
            assert!(ran.stderr.contains("app.db"), "{case}");
            assert!(ran.stderr.contains("database is locked"), "{case}");
            assert!(ran.stderr.contains("another process is writing"), "{case}");
            assert_eq!(ran.stderr.matches("error: ").count(), 1, "{case}");
            drop(holder);
            assert_eq!(sandbox.data()[std::path::Path::new("app.db")], before, "{case}");
            sandbox.run("up").success();
        }
    }
}

#[test]
fn a_lock_that_is_soon_released_is_waited_for() {
    let sandbox = pending();
    let holder = sandbox.database("app.db");
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let child = sandbox.start("up");
    std::thread::sleep(std::time::Duration::from_millis(400));
    drop(holder);
    sandbox.ended(child).success();
}

#[test]
fn an_archive_that_is_truncated_or_something_else() {
    let sandbox = Sandbox::with_users().file("data/a.txt", "old");
    let id = sandbox.back_up();
    sandbox.write("data/a.txt", "new");
    let before = sandbox.data();
    let archive = sandbox.archive(&id);
    let whole = fs::read(&archive).unwrap();
    for bytes in
        [&b""[..], b"hello", &whole[..20], &whole[..whole.len() / 2], &whole[..whole.len() - 4]]
    {
        fs::write(&archive, bytes).unwrap();
        for words in [
            format!("restore {id} --yes"),
            "restore --yes".into(),
            format!("restore {id} --to out"),
            format!("verify {id}"),
        ] {
            let ran = sandbox.run(&words).code(10);
            assert!(ran.stderr.contains(&format!("{id}.tar.gz")), "{}", ran.whole());
            assert!(ran.stderr.contains("hint: "), "{}", ran.whole());
        }
        assert_eq!(sandbox.data(), before);
        assert!(!sandbox.exists("out"));
    }
    fs::write(&archive, whole).unwrap();
    let manifest = sandbox.path(&format!("backups/{id}.json"));
    fs::write(&manifest, "{ not json").unwrap();
    sandbox.run(&format!("restore {id} --yes")).code(10).says(".json");
    fs::remove_file(manifest).unwrap();
    sandbox.run(&format!("restore {id} --yes")).success();
    assert_eq!(sandbox.read("data/a.txt"), "old");
}

#[test]
fn an_archive_of_somebody_else() {
    let (one, other) = (Sandbox::with_users(), Sandbox::with_users().file("data/b.txt", "x"));
    let (id, foreign) = (one.back_up(), other.back_up());
    fs::copy(other.archive(&foreign), one.archive(&id)).unwrap();
    let before = one.data();
    one.run(&format!("restore {id} --yes")).code(10).says("hint: ");
    assert_eq!(one.data(), before);
}

#[test]
fn a_database_that_no_backup_would_hold() {
    let sandbox = Sandbox::new().migration("001_more.sql", MORE).script("x.sql", "DELETE FROM t;");
    sandbox.write("elsewhere/x.db", "");
    fs::create_dir(sandbox.path("data")).unwrap();
    std::os::unix::fs::symlink("../elsewhere/x.db", sandbox.path("data/app.db")).unwrap();
    for words in ["up", "run x"] {
        let ran = sandbox.run(words).code(4).one_error();
        ran.says("no backup would hold the database `app.db`").says("outside the data directory");
    }
    assert_eq!(sandbox.read("elsewhere/x.db"), "");
    sandbox.remove("data/app.db");
    for pattern in ["*.db", "app.db"] {
        sandbox
            .run(&format!("up --exclude {pattern}"))
            .code(4)
            .one_error()
            .says("`exclude` leaves it out");
    }
    assert!(!sandbox.exists("data/app.db"));

    // A link that stays inside is a second name of what every backup holds.
    sandbox.execute("releases/2.db", "PRAGMA user_version = 1");
    std::os::unix::fs::symlink("releases/2.db", sandbox.path("data/app.db")).unwrap();
    sandbox.run("up").success();
    std::os::unix::fs::symlink("data", sandbox.path("link")).unwrap();
    sandbox.run("up --data link").success().says("nothing to do");
}
