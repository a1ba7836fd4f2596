//! `drill`: a backup is restored into a scratch folder and looked at. A clean run never alarms; backups that
//! are valid and bad do.

use crate::sandbox::Sandbox;

/// A shop with a backup of it, and a drill of that.
fn shop(config: &str) -> Sandbox {
    let sandbox = Sandbox::new()
        .migration(
            "001_shop.sql",
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, created_at TEXT);
             CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT);
             CREATE TABLE sessions (id INTEGER PRIMARY KEY);",
        )
        .config(config);
    sandbox.run("up").success();
    sandbox.execute(
        "app.db",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4012)
         INSERT INTO orders SELECT i, datetime('now', '-1 hour') FROM n;
         INSERT INTO customers SELECT id, 'c' FROM orders WHERE id <= 200;
         INSERT INTO sessions SELECT id FROM orders;",
    );
    sandbox.write("data/uploads/a.txt", "hello");
    sandbox.run("backup").success();
    sandbox
}

fn left(sandbox: &Sandbox) -> Vec<String> {
    let entries = std::fs::read_dir(sandbox.path("backups")).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name == ".drill" || name.ends_with(".partial")).collect()
}

#[test]
fn a_clean_backup_is_proved_and_everyone_says_when() {
    let sandbox = shop("");
    sandbox.run("status").success().never_says("proved");
    let before = sandbox.content();
    let ran = sandbox.run("drill").success().stderr("");
    ran.says("proved ").says("unpacked in ").says("counts compared with 1 earlier backup");
    assert_eq!(sandbox.content(), before);
    assert_eq!(left(&sandbox), [""; 0]);
    let id = sandbox.backups()[0].clone();
    sandbox.run("status").success().says(&format!("last proved: {id}, "));
    let status = sandbox.run("status --json").success().json();
    assert_eq!(status["drill"]["proved"]["backup"], id.as_str());
    assert_eq!(status["drill"]["last"]["result"], "proved");
    sandbox.run("backups").success().says("  proved ");
    let listed = sandbox.run("backups --json").success().json();
    assert_eq!(listed["drills"][0]["backup"], id.as_str());
    assert_eq!(listed["strays"], serde_json::json!([]));
    // Ordinary work, night after night.
    for night in 0..4 {
        sandbox.execute(
            "app.db",
            "INSERT INTO orders (created_at) VALUES (datetime('now')); DELETE FROM sessions WHERE id % 3 = 0;
             UPDATE orders SET created_at = datetime('now')",
        );
        if night == 2 {
            sandbox.write(
                "migrations/002_more.sql",
                "DROP TABLE customers; CREATE TABLE people (id);",
            );
            sandbox.run("up").success();
        }
        sandbox.run("backup").success();
        sandbox.run("drill").success();
    }
    let document = sandbox.run("drill --json").success().json();
    assert_eq!(document["result"], "proved");
    assert!(document["compared"].as_u64().unwrap() >= 4, "{document}");
}

#[test]
fn a_zoo_of_valid_and_bad_backups_is_alarmed() {
    for (wreck, code, says) in [
        ("DELETE FROM orders WHERE id > 2003", "halved", "`app.db`: orders: 4,012 → 2,003, halved"),
        ("DELETE FROM orders; DELETE FROM customers; DELETE FROM sessions", "empty", "`app.db` is empty"),
        ("DROP TABLE customers", "table-gone", "the table `customers` is gone; it had 200 rows"),
        (
            "DROP TABLE customers; DROP TABLE orders; DROP TABLE sessions; DROP TABLE _piton_ledger;
             CREATE TABLE posts (a)",
            "another-database",
            "none of its tables is there",
        ),
    ] {
        let sandbox = shop("[drill]\nignore = [\"sess*\"]\n");
        sandbox.run("drill").success();
        let good = sandbox.backups()[0].clone();
        sandbox.execute("app.db", wreck);
        sandbox.run("backup").success();
        sandbox.run("verify").success();
        let bad = sandbox.backups()[0].clone();
        let ran = sandbox.run("drill").code(5).says(says);
        ran.says(&format!("piton drill {bad} --accept"));
        assert_eq!(left(&sandbox), [""; 0]);
        // The next night it is no better, and is not forgotten.
        sandbox.write("data/uploads/b.txt", "later");
        sandbox.run("backup").success();
        let document = sandbox.run("drill --json").code(5).json();
        let codes: Vec<_> =
            document["alarms"].as_array().unwrap().iter().map(|it| it["code"].clone()).collect();
        assert!(codes.contains(&code.into()), "{document}");
        let said = sandbox.run("status").success().says(&format!("last proved: {good}"));
        said.says("did not prove it");
        sandbox.run("backups").success().says("not proved");
        // The one that is good is proved at any time.
        sandbox.run(&format!("drill {good}")).success();
        // What is meant is accepted, once and for all.
        sandbox.run("drill --accept").success().says("accepted: ");
        sandbox.run("drill").success();
        sandbox.write("data/uploads/c.txt", "later");
        sandbox.run("backup").success();
        sandbox.run("drill").success();
    }
}

#[test]
fn a_backup_of_another_database_with_the_same_tables_is_found_by_its_ledger() {
    let sandbox = shop("");
    let elsewhere = shop("");
    std::fs::copy(elsewhere.path("data/app.db"), sandbox.path("other.db")).unwrap();
    std::fs::rename(sandbox.path("data/app.db"), sandbox.path("mine.db")).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(sandbox.path(&format!("data/app.db{suffix}")));
    }
    std::fs::rename(sandbox.path("other.db"), sandbox.path("data/app.db")).unwrap();
    sandbox.run("backup").success();
    std::fs::rename(sandbox.path("mine.db"), sandbox.path("data/app.db")).unwrap();
    sandbox.run("drill").code(5).says("its ledger has no row in common with the live one");
}

#[test]
fn the_newest_row_queries_and_the_command_of_the_project() {
    let config = |more: &str| {
        format!(
            "[drill]\nnewest = \"SELECT max(created_at) FROM orders\"\nmax-age = \"2d\"\n{more}\n\
             [[deploy.health.query]]\ndatabase = \"app.db\"\nsql = \"SELECT count(*) > 100 FROM orders\"\n"
        )
    };
    let check = "command = ['sh', '-c', 'test -f \"$1/uploads/a.txt\" && test -f \"$PITON_DATABASE\"', 'x', '{data}']";
    let sandbox = shop(&config(check));
    let ran = sandbox.run("drill").success().says("query of `app.db`: well");
    ran.says("before the backup: well").says("command `sh");
    let line = "command = \"test $(cat {data}/uploads/a.txt) = hello\"";
    sandbox.write("piton.toml", config(line));
    sandbox.run("drill").success();
    sandbox.execute("app.db", "UPDATE orders SET created_at = datetime('now', '-9 days')");
    sandbox.run("backup").success();
    sandbox.run("drill").code(5).says("9 days before the backup");
    sandbox.execute("app.db", "UPDATE orders SET created_at = 'soon'");
    sandbox.run("backup").success();
    sandbox.run("drill").code(5).says("is not a time that piton understands");
    sandbox.execute(
        "app.db",
        "UPDATE orders SET created_at = datetime('now'); DELETE FROM orders WHERE id > 90",
    );
    sandbox.run("backup").success();
    let document = sandbox.run("drill --json").code(5).json();
    assert_eq!(document["alarms"][1]["code"], "query", "{document}");
    let failing = "command = ['sh', '-c', 'echo so it is; exit 3']\ntimeout = \"5s\"";
    sandbox.write("piton.toml", config(failing));
    let ran = sandbox.run("drill").code(5);
    ran.says("exited with status 3").says("so it is");
    sandbox.write("piton.toml", config("command = 'sleep 60'\ntimeout = '100ms'"));
    sandbox.run("drill").code(5).says("ran longer than 100 ms");
    assert_eq!(left(&sandbox), [""; 0]);
    for (wrong, says) in [
        ("newest = 'SELECT 1'", "needs `max-age`"),
        ("newest = 'SELECT 1'\nmax-age = '2 days'", "is no time"),
        ("max-age = '2d'", "needs `newest`"),
        ("ignore = ['[a']", "`drill.ignore`"),
        ("newset = 'SELECT 1'", "newest"),
    ] {
        sandbox.write("piton.toml", format!("[drill]\n{wrong}\n"));
        sandbox.run("drill").code(2).says(says);
    }
}

#[test]
fn a_query_that_a_later_migration_makes_possible_is_no_alarm() {
    let sandbox = shop(
        "[[deploy.health.query]]\ndatabase = \"app.db\"\nsql = \"SELECT count(*) >= 0 FROM later\"\n",
    );
    sandbox.run("drill").code(5).says("no such table: later");
    sandbox.write("migrations/002_later.sql", "CREATE TABLE later (a);");
    // The newest backup is the one from before that run.
    sandbox.run("up").success();
    sandbox.run("drill").success().says("was not asked");
    sandbox.run("backup").success();
    sandbox.run("drill").success().says("query of `app.db`: well");
}

#[test]
fn what_does_not_restore_is_noted_and_another_drill_is_kept_out() {
    let sandbox = shop("");
    let id = sandbox.backups()[0].clone();
    let archive = sandbox.archive(&id);
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&archive, &bytes).unwrap();
    sandbox.run(&format!("drill {id}")).code(10).one_error();
    let status = sandbox.run("status --json").json();
    assert_eq!(status["drill"]["last"]["result"], "failed");
    assert_eq!(left(&sandbox), [""; 0]);
    let lock = std::fs::File::open(sandbox.path("backups/.drill.lock")).unwrap();
    lock.lock().unwrap();
    sandbox.run(&format!("drill {id}")).code(8).one_error().says("another drill works in");
    lock.unlock().unwrap();
    // What a drill that was killed has left goes with the next one.
    sandbox.write("backups/.drill/data/app.db", "left");
    sandbox.run("backup").success();
    sandbox.run("drill").success();
    assert_eq!(left(&sandbox), [""; 0]);
    sandbox.run("verify --all").code(10);
    // A backup from before there was anything.
    Sandbox::with_users().run("drill").code(5).says("`app.db` is not in it");
    Sandbox::new().run("drill").code(2).one_error();
}

#[test]
fn migrations_of_another_tool_are_seen_by_its_ledger_and_search_tables_do_not_count() {
    let sandbox = Sandbox::new();
    sandbox.execute(
        "app.db",
        "CREATE TABLE django_migrations (id INTEGER PRIMARY KEY, app TEXT, name TEXT, applied TEXT);
         INSERT INTO django_migrations (app, name) VALUES ('shop', '0001');
         CREATE TABLE orders (id INTEGER PRIMARY KEY); CREATE TABLE old (id INTEGER PRIMARY KEY);
         CREATE VIRTUAL TABLE find USING fts5(text);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO orders SELECT i FROM n; INSERT INTO old SELECT id FROM orders;
         INSERT INTO find SELECT 'word' || id FROM orders",
    );
    sandbox.run("backup").success();
    sandbox.run("drill").success();
    sandbox.execute(
        "app.db",
        "INSERT INTO django_migrations (app, name) VALUES ('shop', '0002'); DROP TABLE old; DELETE FROM find",
    );
    sandbox.run("backup").success();
    sandbox
        .run("drill")
        .success()
        .says("the table `old` is gone; it had 5,000 rows; migrations ran");
    sandbox.execute("app.db", "DROP TABLE orders; CREATE TABLE basket (id)");
    sandbox.run("backup").success();
    sandbox.run("drill").code(5).says("none of its tables is there (`orders`)");
}

#[test]
fn the_scratch_folder_is_apart_and_goes_and_no_link_is_followed() {
    let sandbox = shop("[drill]\nfolder = \"scratch\"\n");
    std::fs::create_dir(sandbox.path("scratch")).unwrap();
    sandbox.write("data/closed/file.txt", "x");
    let closed = sandbox.path("data/closed");
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(&closed, mode(0o555)).unwrap();
    sandbox.run("backup").success();
    sandbox.run("drill").success();
    let names = || std::fs::read_dir(sandbox.path("scratch")).unwrap().count();
    assert_eq!(names(), 1, "the lock alone");
    // A link of the name of a database leads out of the backup.
    sandbox.write(
        "piton.toml",
        "[[deploy.health.query]]\ndatabase = \"link.db\"\nsql = \"SELECT 1\"\n[drill]\nfolder = \"scratch\"\n",
    );
    let outside = sandbox.path("outside.db");
    rusqlite::Connection::open(&outside).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    std::os::unix::fs::symlink(&outside, sandbox.path("data/link.db")).unwrap();
    sandbox.run("backup").success();
    sandbox.run("drill").code(5).says("query of `link.db`: the backup has no such database");
    std::fs::set_permissions(&closed, mode(0o755)).unwrap();
    std::fs::create_dir(sandbox.path("data/in")).unwrap();
    sandbox.write("piton.toml", "[drill]\nfolder = \"data/in\"\n");
    sandbox.run("drill").code(2).one_error().says("is inside the data directory");
    sandbox.write("piton.toml", "[drill]\nfolder = \"nowhere\"\n");
    sandbox.run("drill").code(5).one_error().says("nowhere");
}
