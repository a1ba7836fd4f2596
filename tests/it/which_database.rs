//! The database that is meant: found, named, or refused; never a second one beside it.

use crate::sandbox::{Sandbox, USERS};

const PLACE: &str = "db/production.sqlite3";

fn elsewhere() -> Sandbox {
    let sandbox = Sandbox::new().file("db/.keep", "");
    let database = rusqlite::Connection::open(sandbox.path(PLACE)).unwrap();
    database
        .execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY); INSERT INTO users VALUES (1)")
        .unwrap();
    sandbox
}

#[test]
fn init_finds_the_one_that_lies_there() {
    let sandbox = elsewhere().file(".gitignore", "*.log\n");
    sandbox.run("init").success().says("database db/production.sqlite3");
    let text = sandbox.read("piton.toml");
    assert!(
        text.contains("\ndata = \"db\"\ndatabase")
            || text.contains("\ndatabase = \"production.sqlite3\"\n"),
        "{text}"
    );
    assert!(text.contains("\n[retention]\nlast = 10\n"), "{text}");
    assert_eq!(
        sandbox.read(".gitignore"),
        "*.log\n/db/production.sqlite3*\n/db/.piton/\n/backups/\n"
    );
    assert!(!sandbox.exists("data"));
    sandbox.run("backup").success();
    let document = sandbox.run("backups --json").success().json();
    assert_eq!(document["backups"][0]["manifest"]["databases"][0]["path"], "production.sqlite3");
    sandbox.run("init").success().says("is there").never_says("made ");
}

#[test]
fn init_lists_several_and_takes_what_settings_name() {
    let sandbox = elsewhere();
    rusqlite::Connection::open(sandbox.path("db/test.sqlite3"))
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    sandbox
        .run("init")
        .success()
        .says("found   db/production.sqlite3")
        .says("found   db/test.sqlite3");
    assert!(sandbox.read("piton.toml").contains("\n#   db/test.sqlite3\n"));
    for (variable, setting) in [
        (Some("sqlite:///db/test.sqlite3"), None),
        (None, Some("export DATABASE_URL=\"sqlite://db/test.sqlite3?mode=rwc\"\n")),
    ] {
        sandbox.remove("piton.toml");
        if let Some(text) = setting {
            sandbox.write(".env", text);
        }
        let mut command = sandbox.command("init");
        variable.map(|value| command.env("DATABASE_URL", value));
        sandbox.finish(command).success().says("database db/test.sqlite3");
    }
}

#[test]
fn up_makes_none_beside_others() {
    let sandbox =
        Sandbox::new().migration("1_u.sql", "CREATE TABLE audit (id INTEGER PRIMARY KEY);");
    sandbox.execute("smally.db", "CREATE TABLE users (id INTEGER PRIMARY KEY)");
    for command in ["up", "plan --exit-code", "rehearse", "deploy"] {
        sandbox.run(command).code(4).says("`smally.db`");
        assert!(!sandbox.exists("data/app.db"), "{command}");
    }
    let named = Sandbox::new().migration("1_u.sql", "CREATE TABLE audit (id INTEGER PRIMARY KEY);");
    named.execute("smally.db", "CREATE TABLE users (id INTEGER PRIMARY KEY)");
    named.run("up --database smally.db").success();
    assert_eq!(named.query("smally.db", "SELECT count(*) FROM audit"), "0");
    // One that is named is meant.
    sandbox.run("up --database app.db").success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM audit"), "0");
}

#[test]
fn a_backup_without_the_configured_database_is_none() {
    let sandbox = Sandbox::new().file("data/notes.txt", "x").config("database = \"app.sqlite3\"\n");
    sandbox.run("backup").code(2).one_error().says("`data/app.sqlite3` does not exist");
    assert!(sandbox.backups().is_empty());
    sandbox.write("piton.toml", "");
    sandbox.run("backup").success();
}

#[test]
fn files_absolute_paths_and_urls() {
    let sandbox = elsewhere().migration("001_a.sql", "CREATE TABLE a (x);");
    let absolute = sandbox.path(PLACE);
    let absolute = absolute.to_str().unwrap();
    for flag in [
        format!("--data {PLACE}"),
        format!("--database {absolute}"),
        format!("--database sqlite://{PLACE}"),
        format!("--database sqlite:///{PLACE}"),
        format!("--database sqlite:///{absolute}"),
        format!("--data db --database {absolute}"),
    ] {
        sandbox
            .run(&format!("status {flag}"))
            .success()
            .says("production.sqlite3: before the first");
    }
    sandbox
        .run("status --database sqlite:///no/such.db")
        .code(2)
        .one_error()
        .says("neither is there");
    sandbox.run(&format!("status --data migrations --database {absolute}")).code(2).one_error();
}

#[test]
fn the_configuration_is_found_from_below_and_must_be_there_when_named() {
    let sandbox = Sandbox::new()
        .migration("001_users.sql", USERS)
        .config("database = \"own.db\"\n")
        .file("src/deep/x.txt", "");
    sandbox.run("up").success();
    let mut command = sandbox.command("status --json");
    command.current_dir(sandbox.path("src/deep"));
    let document = sandbox.finish(command).success().json();
    assert_eq!(document["databases"][0]["database"], "own.db");
    sandbox.run("status --config other.toml").code(2).one_error().says("`other.toml`");
    // What lies above the repository is another project's.
    std::fs::create_dir(sandbox.path("src/.git")).unwrap();
    let mut command = sandbox.command("status");
    command.current_dir(sandbox.path("src/deep"));
    sandbox.finish(command).code(2);
}
