//! `deploy.sh` and what a host calls its data: however it is spelt, by either side, a copy of the
//! project never writes over it.

use crate::{
    deploy::{deploy, with_host},
    sandbox::{PITON, Ran, Sandbox},
};
use rusqlite::Connection;
use std::{os::unix::fs::symlink, path::Path};

/// A small project and a host: no example, whose ten migrations take their time.
pub fn small(config: &str) -> Option<Sandbox> {
    let sandbox = with_host("")?;
    for name in ["migrations", "scripts", "host/piton.toml"] {
        sandbox.remove(name);
    }
    sandbox.write("migrations/001_t.sql", "CREATE TABLE t (a);");
    sandbox.write("piton.toml", config);
    Some(sandbox)
}

pub fn set_up(sandbox: &Sandbox, more: &str) {
    sandbox.write(".deploy.env", sandbox.read(".deploy.env") + more);
}

/// A database with one row in a table `t`, which may be there.
pub fn insert(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let database = Connection::open(path).unwrap();
    database.execute_batch("CREATE TABLE IF NOT EXISTS t (a)").unwrap();
    database.execute("INSERT INTO t VALUES (?1)", [text]).unwrap();
}

pub fn texts(path: &Path) -> String {
    let database = Connection::open(path).unwrap();
    let mut found = database.prepare("SELECT a FROM t ORDER BY rowid").unwrap();
    let rows = found.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join(",")
}

fn all(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn fifteen_spellings() {
    let rows = [
        ("data = 'live'", "live"),
        ("data = \"\"\"live\"\"\"", "live"),
        ("data = '''\nlive'''", "live"),
        ("\"data\" = \"live\"", "live"),
        ("'data'='live'", "live"),
        ("data = \".//live\"", "live"),
        ("data = \"x/../live\"", "live"),
        ("data = \"live/\"", "live"),
        ("data = \"live\" # ours, not 'data'", "live"),
        ("# data = \"data\"\n  data\t=\t\"l\\u0069ve\"", "live"),
        ("data = \"dätä\"", "dätä"),
        ("data = \"my  data \"", "my  data "),
        ("data = 'a[b]*'", "a[b]*"),
        ("data = 'deep/er/live'", "deep/er/live"),
        ("data = 'link'", "store/real"),
        ("backup.reserve = '1MiB'\ndata = 'migrations/live'", "migrations/live"),
    ];
    for (line, folder) in rows {
        let Some(sandbox) = small(&format!("backups = 'safe'\n{line}\n")) else { return };
        let (here, there) =
            (sandbox.path(folder).join("app.db"), sandbox.path("host").join(folder).join("app.db"));
        for name in ["x/y", "host/x/y", "store/z", "host/store/z"] {
            sandbox.write(name, "");
        }
        symlink("store/real", sandbox.path("link")).unwrap();
        symlink("store/real", sandbox.path("host/link")).unwrap();
        insert(&there, "customer");
        insert(&here, "toy");
        sandbox.write("safe/mine.tar.gz", "of this machine");
        let ran = deploy(&sandbox, "").success();
        assert_eq!(texts(&there), "customer", "{line}: {}", all(&ran));
        assert_eq!(texts(&here), "toy", "{line}");
        assert!(!sandbox.exists("host/safe/mine.tar.gz"), "{line}");
        assert!(sandbox.path("host/link").is_symlink(), "{line}");
    }
}

#[test]
fn names_by_variables() {
    // In the settings here, in the environment here, and in the environment of the host.
    for at in 0..3 {
        let Some(sandbox) = small("") else { return };
        let sandbox = match at {
            1 => sandbox.variable("PITON_DATA", "live"),
            _ => sandbox,
        };
        match at {
            0 => set_up(&sandbox, "PITON_DATA=live\nPITON_BACKUPS=kept\n"),
            2 => sandbox.write("wire.env", "PITON_DATA=live\n"),
            _ => {}
        }
        insert(&sandbox.path("host/live/app.db"), "customer");
        insert(&sandbox.path("live/app.db"), "toy");
        sandbox.write("kept/mine.tar.gz", "of this machine");
        deploy(&sandbox, "").success();
        assert_eq!(texts(&sandbox.path("host/live/app.db")), "customer", "{at}");
        assert_eq!(sandbox.exists("host/kept/mine.tar.gz"), at != 0);
    }
}

#[test]
fn the_host_has_other_names_than_this_side() {
    let Some(sandbox) = small("data = 'here'\n") else { return };
    sandbox.write("host/piton.toml", "data = 'there'\nbackups = 'copies'\n");
    sandbox.write("here/mine.txt", "of this machine");
    sandbox.write("host/here/theirs.txt", "of the host");
    for name in ["there/app.txt", "copies/x.tar.gz"] {
        sandbox.write(name, "of this machine");
        sandbox.write(&format!("host/{name}"), "of the host");
    }
    let ran = deploy(&sandbox, "").success();
    assert!(
        all(&ran).contains("not overwritten: there, which belongs to the host"),
        "{}",
        all(&ran)
    );
    for name in ["host/there/app.txt", "host/copies/x.tar.gz", "host/here/theirs.txt"] {
        assert_eq!(sandbox.read(name), "of the host");
    }
    assert!(!sandbox.exists("host/here/mine.txt"));
}

#[test]
fn an_absolute_folder_of_the_host_and_a_database_elsewhere() {
    let Some(sandbox) = small("") else { return };
    let live = sandbox.path("host/live");
    sandbox.write("piton.toml", format!("data = '{}'\n", live.display()));
    sandbox.write("host/piton.toml", "data = 'other'\n");
    insert(&live.join("app.db"), "customer");
    insert(&sandbox.path("live/app.db"), "toy");
    // The database itself is a link to another folder of the project.
    insert(&sandbox.path("host/var/real.db"), "customer");
    insert(&sandbox.path("var/real.db"), "toy");
    symlink("../var/real.db", live.join("linked.db")).unwrap();
    deploy(&sandbox, "").success();
    assert_eq!(texts(&live.join("app.db")), "customer");
    assert_eq!(texts(&sandbox.path("host/var/real.db")), "customer");
}

#[test]
fn a_database_that_no_deploy_copied() {
    let Some(sandbox) = small("") else { return };
    // No name says what it is, and a pattern of rsync would match more than it.
    let names = ["state", "od[d] n*me.db", "migrations/cache", "scripts/theirs.db"];
    for name in names {
        sandbox.write(name, "no database");
        insert(&sandbox.path("host").join(name), "customer");
    }
    for name in ["migrations/cache", "scripts/theirs.db"] {
        sandbox.remove(name);
    }
    sandbox.write("scripts/x.sql", "SELECT 1;");
    insert(&sandbox.path("seed.db"), "first");
    let ran = deploy(&sandbox, "").success();
    for name in names {
        let comes = sandbox.exists(name);
        let named = all(&ran).contains(&format!("not overwritten: {name}"));
        assert_eq!(named, comes, "{name}: {}", all(&ran));
        assert_eq!(texts(&sandbox.path("host").join(name)), "customer");
    }
    // What a deploy has copied goes with the next release, until the host has written to it.
    let seed = sandbox.path("host/seed.db");
    insert(&sandbox.path("seed.db"), "second");
    deploy(&sandbox, "").success();
    assert_eq!(texts(&seed), "first,second");
    insert(&seed, "customer");
    insert(&sandbox.path("seed.db"), "third");
    let ran = deploy(&sandbox, "").success();
    assert!(all(&ran).contains("not overwritten: seed.db"), "{}", all(&ran));
    assert_eq!(texts(&seed), "first,second,customer");
}

#[test]
fn a_log_belongs_to_its_database() {
    let Some(sandbox) = small("") else { return };
    insert(&sandbox.path("seed.db"), "first");
    deploy(&sandbox, "").success();
    // The host writes, and all of it is in the log yet.
    let seed = sandbox.path("host/seed.db");
    let writer = Connection::open(&seed).unwrap();
    writer.pragma_update(None, "journal_mode", "wal").unwrap();
    writer.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    writer.execute("INSERT INTO t VALUES ('customer')", []).unwrap();
    sandbox.write("seed.db-wal", "of this machine");
    insert(&sandbox.path("seed.db"), "second");
    deploy(&sandbox, "").success();
    assert_eq!(texts(&seed), "first,customer");
}

#[test]
fn links_and_folders_of_the_host_stay() {
    let Some(sandbox) = small("") else { return };
    sandbox.write("uploads/pic", "of this machine");
    sandbox.write("volume/pic", "of the host");
    symlink("../volume", sandbox.path("host/uploads")).unwrap();
    deploy(&sandbox, "").code(4).says("uploads is a folder here, and a link or a file on the host");
    assert!(sandbox.path("host/uploads").is_symlink());
    assert_eq!(sandbox.read("volume/pic"), "of the host");
    assert!(!sandbox.exists("host/migrations"));
    sandbox.write(".deployignore", "/host\n/wire*\n/volume\n/uploads\n");
    sandbox.write("thing", "");
    sandbox.write("host/thing/kept", "of the host");
    deploy(&sandbox, "").code(4).says("thing is a folder on the host, and none here");
    assert!(sandbox.exists("host/thing/kept"));
}

#[test]
fn content_decides_and_not_the_time() {
    let Some(sandbox) = small("") else { return };
    let set_time = |name: &str| {
        let file = std::fs::File::options().write(true).open(sandbox.path(name)).unwrap();
        let then =
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        file.set_modified(then).unwrap();
    };
    sandbox.write("app.txt", "one");
    set_time("app.txt");
    deploy(&sandbox, "").success();
    sandbox.write("app.txt", "two");
    set_time("app.txt");
    deploy(&sandbox, "").success();
    assert_eq!(sandbox.read("host/app.txt"), "two");
}

#[test]
fn where_piton_cannot_say_nothing_is_copied() {
    let refused = |sandbox: &Sandbox, words: &str| {
        let ran = deploy(sandbox, "");
        assert!([Some(2), Some(4)].contains(&ran.status), "{}", all(&ran));
        assert!(all(&ran).contains(words), "{}", all(&ran));
        assert!(!sandbox.exists("host/migrations") && !sandbox.exists("host/data"));
    };
    let Some(sandbox) = small("dta = 'live'\n") else { return };
    refused(&sandbox, "must not be copied from here, nothing was touched");
    sandbox.write("piton.toml", "");
    sandbox.write("host/piton.toml", "data = \n");
    refused(&sandbox, "must not be overwritten, no release was copied");
    sandbox.remove("host/piton.toml");
    symlink("endless", sandbox.path("host/endless")).unwrap();
    sandbox.write("piton.toml", "data = 'endless'\n");
    refused(&sandbox, "no file of the release was put in its place");
    // An older piton does not know the question.
    let old = "#!/bin/sh\n[ \"$1\" != --version ] || { echo piton 0.0.1; exit; }\n\
               echo 'error: unexpected argument --paths' >&2; exit 2\n";
    sandbox.write("old", old);
    set_up(&sandbox, &format!("PITON={}\n", sandbox.path("old").display()));
    refused(&sandbox, "an older piton knows no --paths");
    set_up(&sandbox, &format!("PITON={PITON}\n"));
    sandbox.write(".deployignore", "/host\n!\n");
    refused(&sandbox, "begins with !");
}

#[test]
fn hosts_that_are_options() {
    let sandbox = crate::deploy::example();
    for target in
        ["-oProxyCommand=touch${IFS}owned:/srv", "me@-oProxyCommand=x:/srv", "host:/", "host"]
    {
        sandbox.write(".deploy.env", format!("DEPLOY_TARGET='{target}'\n"));
        deploy(&sandbox, "").code(2).says("nothing was touched");
    }
    sandbox.write(".deploy.env", "");
    for words in ["-oProxyCommand=x:/srv", "me@-oProxyCommand=x:/srv"] {
        deploy(&sandbox, words).code(2).says("nothing was touched");
    }
    assert!(!sandbox.exists("owned") && !sandbox.exists("data"));
}

#[test]
fn data_inside_a_release_is_refused() {
    let Some(sandbox) = small("") else { return };
    sandbox.write("host/piton.toml", "data = 'rel/live'\n[deploy]\n\"releases\" = 'rel'\n");
    deploy(&sandbox, "").code(4).says("is data or backups, where deploy.sh keeps its own");
    assert!(!sandbox.exists("host/rel"));
    sandbox.write(
        "host/piton.toml",
        "migrations='current/migrations'\ndeploy = { releases = 'rel' }\n",
    );
    insert(&sandbox.path("host/data/app.db"), "customer");
    insert(&sandbox.path("data/app.db"), "toy");
    deploy(&sandbox, "").success().says("deployed");
    assert!(sandbox.path("host/current/migrations").exists());
    assert!(!sandbox.exists("host/current/data"));
    assert_eq!(texts(&sandbox.path("host/data/app.db")), "customer");
}

#[test]
fn a_dry_run_shows_the_release_that_comes() {
    let Some(sandbox) = small("data = 'live'\nmigrations = 'db/steps'\n") else { return };
    sandbox.remove("migrations");
    sandbox.write("db/steps/001_t.sql", "CREATE TABLE t (a);");
    deploy(&sandbox, "").success().says("deployed: 1 migration");
    sandbox.write("db/steps/002_u.sql", "CREATE TABLE u (a);");
    deploy(&sandbox, "--dry-run").success().says("002_u.sql");
    assert!(!sandbox.exists("host/db/steps/002_u.sql"));
    deploy(&sandbox, "").success().says("deployed: 1 migration");
    sandbox.remove("db/steps/002_u.sql");
    deploy(&sandbox, "").code(4);
    assert!(sandbox.exists("host/db/steps/002_u.sql"), "nothing of a refused release is in place");
}

#[test]
fn private_folders_of_either_side_are_neither_copied_nor_removed() {
    for (here, there) in [("data", "data"), ("live", "live"), ("mine", "theirs"), ("link", "link")]
    {
        let Some(sandbox) = small(&format!("data = '{here}'\n")) else { return };
        sandbox.write("host/piton.toml", format!("data = '{there}'\n"));
        if here == "link" {
            for side in [sandbox.path("link"), sandbox.path("host/link")] {
                symlink("store", side).unwrap();
            }
        }
        let sides =
            [(String::from(here), "of this machine"), (format!("host/{there}"), "of the host")];
        let names = [".piton/service.log", ".piton-root/undo/x", ".piton-4711/staging/x"];
        for (data, text) in &sides {
            if here == "link" {
                sandbox.write(&data.replace("link", "store/of"), "");
            }
            for name in names {
                sandbox.write(&format!("{data}/{name}"), *text);
            }
            // What a restore that has ended may leave: its records have no journal.
            let mark = format!("{}\n", sandbox.path("migrations").display());
            sandbox.write(&format!("{data}/.piton-restore"), mark);
        }
        let mark = sandbox.read(&format!("host/{there}/.piton-restore"));
        let ran = deploy(&sandbox, "").success();
        for (data, text) in &sides {
            for name in names {
                assert_eq!(sandbox.read(&format!("{data}/{name}")), *text, "{data}: {}", all(&ran));
            }
        }
        let left = sandbox.path("host").join(there).join(".piton-restore");
        assert!(!left.exists() || std::fs::read_to_string(left).unwrap() == mark);
        assert!(here == there || !sandbox.exists(&format!("host/{here}/.piton-4711")));
    }
}
