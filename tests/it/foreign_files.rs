//! A migrations folder with files that piton does not read: named and refused, or harmless.

use crate::sandbox::Sandbox;

const COMMANDS: [&str; 7] =
    ["up", "up --dry-run", "plan", "check", "status", "rehearse", "deploy --dry-run"];

/// Every command refuses, names the file and what it looks like, and changes nothing.
#[track_caller]
fn refused(sandbox: &Sandbox, parts: &[&str]) {
    sandbox.execute("app.db", "CREATE TABLE IF NOT EXISTS own (x)");
    let before = sandbox.data();
    for command in COMMANDS {
        let ran = sandbox.run(command).code(4).says("hint: ").never_says("nothing to do");
        parts.iter().fold(ran, |ran, part| ran.says(part)).never_says("chmod");
    }
    let document = sandbox.run("up --json").code(4).json();
    assert_eq!(document["outcome"], "refused");
    let document = sandbox.run("status --json").code(4).json();
    assert!(!document["not_understood"].as_array().unwrap().is_empty());
    assert_eq!(sandbox.data(), before);
    // What is no migration is backed up all the same.
    sandbox.run("backup").success();
}

#[test]
fn folders_of_other_tools() {
    let cases: [(&str, &str, &str); 27] = [
        ("V1__users.sql", "CREATE TABLE t (a);", "Flyway or refinery"),
        ("users.sql", "CREATE TABLE t (a);", "SQL without a number"),
        ("2024-01-01-000000_users/up.sql", "CREATE TABLE t (a);", "diesel"),
        ("01-users/up.sql", "CREATE TABLE t (a);", "rusqlite_migration"),
        ("20240101000000_users/migration.sql", "CREATE TABLE t (a);", "Prisma"),
        ("versions/1a2b_users.py", "revision = '1a2b'\ndown_revision = None\n", "Alembic"),
        ("0001_initial.py", "class Migration(migrations.Migration):\n", "Django"),
        ("20240101000000_users.js", "exports.up = (knex) => 1\n", "Knex"),
        ("1700000000000-Users.ts", "class U implements MigrationInterface {}\n", "TypeORM"),
        ("20240101000000_users.rb", "class U < ActiveRecord::Migration[7.0]\n", "Rails"),
        ("2024_01_01_000000_users.php", "use Illuminate\\Database\\Migrations;\n", "Laravel"),
        ("add_update_fields.py", "#!/usr/bin/env python3\nprint(1)\n", "a script without a number"),
        ("logs/old/001_a.sql", "CREATE TABLE t (a);", "inside a target's folder"),
        ("003_move.sh", "mv a b\n", "a shell file without a `#!` line"),
        ("1_users_down.sql", "DROP TABLE own;", "a file for going back"),
        ("1-down.sql", "DELETE FROM own;", "a file for going back"),
        ("002_down_users.sql", "ALTER TABLE own DROP COLUMN x;", "a file for going back"),
        ("1_users.ddl", "CREATE TABLE t (a);", "SQL with another ending"),
        ("1_users.sql.gz", "x", "packed SQL"),
        ("1_users.sql.erb", "CREATE TABLE t (a);", "a template of SQL"),
        ("1_users.json", "{}", "a numbered file that is no SQL"),
        ("changelog.xml", "<databaseChangeLog/>", "Liquibase"),
        ("sqitch.plan", "%project=x", "Sqitch"),
        ("logs/a/b/001_a.sql", "CREATE TABLE t (a);", "inside a target's folder"),
        ("down/001_a.sql", "DROP TABLE own;", "files for going back"),
        ("postgres/001_a.sql", "CREATE TABLE t (a);", "another kind of database"),
        ("1_users.sql", "-- the users\rCREATE TABLE t (a);\r", "a carriage return alone"),
    ];
    for (name, text, what) in cases {
        let sandbox = Sandbox::new().migration(name, text);
        let first = name.split('/').next().unwrap();
        refused(&sandbox, &[first, what]);
        // Beside migrations that are read, it is as little understood.
        refused(&sandbox.migration("001_a.sql", "CREATE TABLE a (x);"), &[first, what]);
    }
}

/// Folders for one direction or one kind of database make no databases of their own, also where some of
/// them are ignored.
#[test]
fn folders_of_directions_and_dialects() {
    const USERS: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, name);";
    for (folders, ignore) in [
        (["up", "down"], "down"),
        (["deploy", "revert"], "revert"),
        (["sqlite", "postgres"], "postgres"),
    ] {
        let sandbox = Sandbox::new()
            .migration(&format!("{}/1_users.sql", folders[0]), USERS)
            .migration(&format!("{}/1_users.sql", folders[1]), "DROP TABLE IF EXISTS users;");
        refused(&sandbox, &folders);
        let sandbox = sandbox.file("piton.toml", &format!("ignore = [\"{ignore}\"]\n"));
        refused(&sandbox, &[folders[0], "migrations = "]);
        let meant = format!("migrations = \"migrations/{}\"\n", folders[0]);
        sandbox.file("piton.toml", &meant).run("up").success();
    }
}

/// A folder whose database would be new, beside one that has no migrations.
#[test]
fn a_new_database_beside_one_without_a_history_is_asked_for() {
    let sandbox = Sandbox::new().migration("v1/001_t.sql", "CREATE TABLE t (a);");
    sandbox.execute("app.db", "CREATE TABLE own (x)");
    let ran = sandbox.run("up").code(4).says("new-database").says("`app.db`");
    ran.says("under `[targets.v1]`: `databases = \"app.db\"`");
    let named = sandbox.file("piton.toml", "[targets.v1]\ndatabases = \"app.db\"\n");
    named.run("up").success();
    assert_eq!(named.query("app.db", "SELECT count(*) FROM t"), "0");
}

#[test]
fn a_pair_of_names_is_one_migration() {
    let sandbox = Sandbox::new()
        .migration("001.do.users.sql", "CREATE TABLE users (a);")
        .migration("001.undo.users.sql", "DROP TABLE users;")
        .migration("002_logs.sql", "CREATE TABLE logs (a);")
        .migration("002_logs.drop.sql", "DROP TABLE logs;")
        .migration("3_down_the_road.sql", "CREATE TABLE roads (a);");
    sandbox.run("up").success();
    let tables =
        "SELECT group_concat(name) FROM sqlite_schema WHERE name IN ('users', 'logs', 'roads')";
    assert_eq!(sandbox.query("app.db", tables), "users,logs,roads");
    // Two that are no pair by their names: a person says what they are.
    let other = sandbox.migration("002_scale_down.sql", "DROP TABLE logs;");
    other.run("up").code(4).says("if it is a migration, take `down` out of its name");
    assert_eq!(other.query("app.db", tables), "users,logs,roads");
    let other = other.file("piton.toml", "ignore = [\"002_scale_down.sql\"]\n");
    let other = other.migration("002_other.sql", "DROP TABLE logs;");
    other.run("up").says("takes back what the other does");
    assert_eq!(other.query("app.db", tables), "users,logs,roads");
}

#[test]
fn the_library_refuses_too() {
    let sandbox = Sandbox::new().migration("V1__users.sql", "CREATE TABLE t (a);");
    let project = piton::project::Project::at(&sandbox.path(""), "a test").unwrap();
    let options = piton::project::UpOptions {
        selection: Default::default(),
        patience: piton::lock::Patience::Wait,
    };
    let error = project.up(&options, &piton::event::Silent).unwrap_err();
    assert_eq!(error.kind(), piton::Kind::Refused);
    assert!(!sandbox.exists("data"));
}

#[test]
fn harmless_files_stop_nothing() {
    let sandbox = Sandbox::new()
        .migration("001_a.sql", "CREATE TABLE a (x);")
        .migration("__pycache__/x.py", "import os")
        .migration("_drafts/x.sql", "SELECT 1;")
        .migration("node_modules/x/1.sql", "SELECT 1;");
    for name in [".gitkeep", "README", "notes.md", "001_a.sql~", "x.txt", "#001_a.sql#", "x.bak"] {
        sandbox.write(&format!("migrations/{name}"), "x");
    }
    for name in ["lib.sh", "embed.go", "__init__.py", "helpers.py", "seed.json", "atlas.hcl"] {
        sandbox.write(&format!("migrations/{name}"), "# helper\n");
    }
    sandbox.run("up").success();
    sandbox.run("up").success().says("nothing to do");
    sandbox.run("check").success();
    let ran = sandbox.run("status").success().never_says("README").never_says("001_a.sql~");
    ran.says("migrations/lib.sh (a helper beside the migrations)");
}

#[test]
fn what_is_listed_is_left_alone() {
    let sandbox = Sandbox::new()
        .migration("001_a.sql", "CREATE TABLE a (x);")
        .migration("seed.sql", "CREATE TABLE never (x);")
        .migration("old/V1__x.sql", "CREATE TABLE never (x);")
        .migration("sub/schema.sql", "CREATE TABLE never (x);")
        .config("ignore = [\"seed.sql\", \"old\", \"sub/*.sql\"]\n");
    sandbox.run("up").success();
    assert_eq!(
        sandbox.query("app.db", "SELECT count(*) FROM sqlite_schema WHERE name = 'never'"),
        "0"
    );
    sandbox.write("piton.toml", "ignore = [\"[\"]\n");
    sandbox.run("up").code(2).says("piton.toml:1:").says("`ignore`");
}

#[test]
fn an_executable_needs_its_first_line() {
    use std::os::unix::fs::PermissionsExt;
    for (text, what) in [
        ("touch made\n", "without a `#!` line"),
        ("#!/bin/sh\r\ntouch made\r\n", "carriage return"),
    ] {
        let sandbox = Sandbox::new().migration("001_x.sh", text).script("x.sh", text);
        for name in ["migrations/001_x.sh", "scripts/x.sh"] {
            std::fs::set_permissions(sandbox.path(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        refused(&sandbox, &["001_x.sh", what]);
        sandbox.run("run x").code(2).one_error().says("`#!` line").never_says("chmod");
        assert!(!sandbox.exists("made"), "{what}");
    }
}

#[test]
fn a_pipe_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let made = sandbox.program("mkfifo").arg(sandbox.path("migrations/001_x.sql")).status();
    assert!(made.unwrap().success());
    refused(&sandbox, &["001_x.sql", "neither a file nor a folder"]);
}

#[test]
fn ledgers_of_other_tools_are_named() {
    let sandbox = Sandbox::with_users();
    sandbox.run("status").success().never_says("ledger of");
    sandbox.execute(
        "app.db",
        "CREATE TABLE schema_migrations (version varchar(128) primary key); INSERT INTO schema_migrations VALUES ('1');
         CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);",
    );
    sandbox
        .run("status")
        .says("app.db: `schema_migrations` is the ledger of dbmate, 1 row")
        .says("`alembic_version` is the ledger of Alembic");
    let document = sandbox.run("status --json").json();
    assert_eq!(document["foreign_ledgers"][0]["tool"], "dbmate");
}
