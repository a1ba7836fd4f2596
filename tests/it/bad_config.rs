//! Bad input: what is typed and what `piton.toml` says. Nothing is touched.

use crate::sandbox::Sandbox;

#[track_caller]
fn refused(config: &str, message: &str, hint: &str) {
    let sandbox = Sandbox::with_users().config(config);
    let before = sandbox.data();
    for command in ["status", "up", "backup", "run x", "history"] {
        sandbox.run(command).code(2).one_error().says(message).says(hint);
    }
    assert_eq!(sandbox.data(), before);
}

#[test]
fn an_unknown_key() {
    refused(
        "# mine\nmigration = \"m\"\n",
        "piton.toml:2:1: unknown field `migration`",
        "is `migrations` meant?",
    );
    refused("[targets.a]\ndatabase = \"x.db\"\n", "piton.toml:2:1", "is `databases` meant?");
    refused("frobnicate = 1\n", "piton.toml:1:1", "hint: ");
}

#[test]
fn a_wrong_type() {
    refused("data = 3\n", "piton.toml:1:8", "line 1");
    refused("\nexclude = \"x\"\n", "piton.toml:2:11", "line 2");
    refused("json = \"yes\"\n", "piton.toml:1:8", "line 1");
    refused("data = \"a\"\ndata = \"b\"\n", "piton.toml:2:1", "line 2");
    refused("data = \"unfinished\n", "piton.toml:1:", "line 1");
}

#[test]
fn a_wrong_value() {
    refused(
        "busy-timeout = \"5 parsecs\"\n",
        "piton.toml:1:16: `busy-timeout`: `5 parsecs` is no time",
        "line 1",
    );
    refused(
        "color = \"mauve\"\n",
        "piton.toml:1:9: `color` is `auto`, `always` or `never`, not `mauve`",
        "line 1",
    );
    refused("database = \"../outside.db\"\n", "piton.toml:1:12: `database`", "line 1");
    refused("[targets.out]\ndatabases = \"../outside.db\"\n", "piton.toml:2:13", "line 2");
}

#[test]
fn a_path_that_does_not_exist() {
    refused(
        "migrations = \"nowhere\"\n",
        "piton.toml:1:14: `migrations`: there is no folder `nowhere`",
        "line 1",
    );
    refused(
        "scripts = \"nowhere\"\n",
        "piton.toml:1:11: `scripts`: there is no folder `nowhere`",
        "line 1",
    );
}

#[test]
fn a_target_without_migrations() {
    let sandbox = Sandbox::with_users().config("[targets.a]\ndatabases = \"a.db\"\n");
    for command in ["status", "plan", "up"] {
        sandbox.run(command).code(2).one_error().says("`migrations/a` does not exist");
    }
    // A backup needs no migrations: it must be possible whatever the folder looks like.
    sandbox.run("backup").success();
}

#[test]
fn a_configuration_that_is_not_there() {
    let sandbox = Sandbox::with_users();
    sandbox.run("status --config nope.toml").code(2).one_error().says("`nope.toml`");
    sandbox.run("status --config migrations").code(5).one_error().says("`migrations`");
}

#[test]
fn wrong_flags() {
    let sandbox = Sandbox::with_users();
    let before = sandbox.data();
    for words in [
        "up --busy-timeout soon",
        "up --database ../outside.db",
        "up --database /etc/passwd",
        "status --target nope",
        "up --target nope",
        "restore nonsense --yes",
        "verify 2026x",
    ] {
        let ran = sandbox.run(words).code(2).one_error();
        assert!(!ran.stderr.contains("panicked"), "{}", ran.whole());
    }
    for words in ["up --frobnicate", "up extra", "frobnicate", "up --color mauve"] {
        sandbox.run(words).code(2).says("error: ");
    }
    assert_eq!(sandbox.data(), before);
}

#[test]
fn wrong_variables() {
    for (name, value) in [("PITON_BUSY_TIMEOUT", "soon"), ("PITON_DATABASE", "/etc/passwd")] {
        Sandbox::with_users().variable(name, value).run("up").code(2).one_error();
    }
    Sandbox::bare().variable("PITON_JSON", "perhaps").run("status").code(2).says("--json");
}

#[test]
fn a_data_directory_that_holds_the_source_is_refused() {
    let rows = [
        ("data = '.'", "", "the migrations and the configuration"),
        ("data = 'x/..'\n", "x/y", "the migrations and the configuration"),
        (
            "data = 'all'\nmigrations = 'all/migrations'",
            "all/migrations/x.md",
            "holds the migrations,",
        ),
        ("data = 'site'", "site/.git/HEAD", "holds a repository (`.git`),"),
    ];
    for (config, file, words) in rows {
        let sandbox = Sandbox::new().migration("001_t.sql", "CREATE TABLE t (a);").config(config);
        if !file.is_empty() {
            sandbox.write(file, "");
        }
        for command in ["up", "status", "deploy", "backup", "rollback --yes", "status --paths"] {
            sandbox.run(command).code(2).says(words).says("data = \"data\"");
        }
        assert!(!sandbox.exists("backups") && !sandbox.exists(".piton"), "{config}");
    }
    // A variable and a flag say the same.
    let sandbox = Sandbox::new().migration("001_t.sql", "CREATE TABLE t (a);");
    sandbox.run("--data . up").code(2).says("holds the migrations,");
    // Data below the migrations, or beside a repository, is no such thing.
    let sandbox = Sandbox::new().migration("001_t.sql", "CREATE TABLE t (a);");
    sandbox.write(".git/HEAD", "");
    sandbox.run("up").success();
}
