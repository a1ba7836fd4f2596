//! `deploy.sh` and the files of a host: what an earlier deploy put there may go, everything else stays, and
//! a release whose plan is refused is never in place.

use crate::{
    deploy::deploy,
    deploy_names::{set_up, small},
    sandbox::Ran,
};

fn all(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

/// In the folders of migrations and scripts too, only what a deploy has put there goes.
#[test]
fn what_no_deploy_has_copied_stays() {
    let Some(sandbox) = small("migrations = \"db\"\n") else { return };
    sandbox.remove("migrations");
    sandbox.write("db/001_t.sql", "CREATE TABLE t (a);");
    sandbox.write("db/sub/notes.txt", "of this machine");
    sandbox.write("scripts/old.sql", "SELECT 1;");
    sandbox.write("scripts/edited.sql", "SELECT 1;");
    let ignored = sandbox.read(".deployignore") + "\nscripts/local.env\n";
    sandbox.write(".deployignore", ignored);
    deploy(&sandbox, "").success();
    for name in ["scripts/local.env", "scripts/report.csv", "db/uploads/a.png", "db/sub/vault.db"] {
        sandbox.write(&format!("host/{name}"), "of the host");
    }
    sandbox.write("host/db/002_by_hand.sql", "CREATE TABLE by_hand (a);");
    sandbox.write("host/scripts/edited.sql", "SELECT 2;");
    for name in ["db/sub", "scripts/old.sql", "scripts/edited.sql"] {
        sandbox.remove(name);
    }
    let ran = deploy(&sandbox, "");
    assert!(all(&ran).contains("left there: db/002_by_hand.sql"), "{}", all(&ran));
    for name in ["scripts/local.env", "scripts/report.csv", "db/uploads/a.png", "db/sub/vault.db"] {
        assert_eq!(sandbox.read(&format!("host/{name}")), "of the host", "{name}");
    }
    assert_eq!(sandbox.read("host/scripts/edited.sql"), "SELECT 2;");
    assert!(!sandbox.exists("host/scripts/old.sql") && !sandbox.exists("host/db/sub/notes.txt"));
}

/// A database that only its own program reads is one by its name.
#[test]
fn a_database_that_sqlite_does_not_read() {
    let Some(sandbox) = small("") else { return };
    for name in ["secret.db", "Keys.SQLite3"] {
        sandbox.write(name, "of this machine");
        sandbox.write(&format!("host/{name}"), "of the host");
    }
    let ran = deploy(&sandbox, "").success();
    for name in ["secret.db", "Keys.SQLite3"] {
        assert!(all(&ran).contains(&format!("not overwritten: {name}")), "{}", all(&ran));
        assert_eq!(sandbox.read(&format!("host/{name}")), "of the host");
    }
    // One that a deploy has copied goes with the next release.
    sandbox.write("seed.db", "first");
    deploy(&sandbox, "").success();
    sandbox.write("seed.db", "second");
    deploy(&sandbox, "").success();
    assert_eq!(sandbox.read("host/seed.db"), "second");
}

/// New code on the old schema would run at the next start of the service.
#[test]
fn a_release_whose_plan_is_refused_is_not_in_place() {
    let Some(sandbox) = small("") else { return };
    sandbox.write("app.txt", "one");
    deploy(&sandbox, "").success();
    sandbox.write("app.txt", "two");
    sandbox.write("migrations/002_u.sql", "CREATE TABEL u (a);");
    let ran = deploy(&sandbox, "").code(4).says("no file of the release was put in its place");
    ran.says("002_u.sql");
    assert_eq!(sandbox.read("host/app.txt"), "one");
    assert!(!sandbox.exists("host/migrations/002_u.sql"));
    sandbox.write("migrations/002_u.sql", "CREATE TABLE u (a);");
    deploy(&sandbox, "").success();
    assert_eq!(sandbox.read("host/app.txt"), "two");
}

/// A backups folder that the configuration names no more holds copies of the data.
#[test]
fn an_older_backups_folder_does_not_travel() {
    let Some(sandbox) = small("backups = \"safe\"\n") else { return };
    set_up(&sandbox, "");
    sandbox.write("old/.point/data/app.db", "in the clear");
    sandbox.write("old/.staging/app.db", "in the clear");
    sandbox.write("old/20261201T000000Z-abcdef.tar.gz", "x");
    deploy(&sandbox, "").success();
    for name in ["old/.point", "old/.staging", "old/20261201T000000Z-abcdef.tar.gz"] {
        assert!(!sandbox.exists(&format!("host/{name}")), "{name}");
    }
}
