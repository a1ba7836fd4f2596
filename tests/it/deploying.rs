//! `deploy` with a service that commands manage: a process that holds the database open.

use crate::sandbox::{PITON, Sandbox};
use std::{fs, path::Path};

/// A service that opens the database and idles; with a file `sick` beside it, one that is never well.
const SERVICE: &str = "#!/bin/bash\n\
    echo $$ > service.pid\n\
    trap 'rm -f service.pid; exit 0' TERM\n\
    exec 9<> data/app.db\n\
    while :; do sleep 0.05 & wait $!; done\n";

const CONFIG: &str = r#"
[deploy]
hooks = "hooks"
[deploy.service]
manager = "command"
start = "setsid ./service.sh > service.log 2>&1 & until test -f service.pid; do sleep 0.02; done"
stop = "kill $(cat service.pid); while test -f service.pid; do sleep 0.02; done"
status = "test -f service.pid && kill -0 $(cat service.pid) 2>/dev/null || exit 3"
stop-timeout = "10s"
start-timeout = "10s"
[deploy.health]
window = "50ms"
deadline = "1s"
interval = "20ms"
[[deploy.health.command]]
run = "test ! -f sick"
"#;

/// Ends the service when a test ends, however it ends.
struct Served(Sandbox);

impl Drop for Served {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.0.path("service.pid")) {
            let _ = std::process::Command::new("kill").args(["-9", pid.trim()]).status();
        }
    }
}

/// A running service on one migration, and a second migration that is pending.
fn served() -> Served {
    let sandbox = Sandbox::with_users().config(CONFIG).file("service.sh", SERVICE);
    let mut start = sandbox.program("bash");
    start.args([
        "-c",
        "setsid ./service.sh > service.log 2>&1 & until test -f service.pid; do sleep 0.02; done",
    ]);
    sandbox.finish(start).success();
    sandbox.write("migrations/002_email.sql", "ALTER TABLE users ADD COLUMN email TEXT;\n");
    Served(sandbox)
}

fn is_up(sandbox: &Sandbox) -> bool {
    let pid = fs::read_to_string(sandbox.path("service.pid")).unwrap_or_default();
    !pid.trim().is_empty() && Path::new("/proc").join(pid.trim()).exists()
}

fn has_email(sandbox: &Sandbox) -> bool {
    let sql = "SELECT count(*) FROM pragma_table_info('users') WHERE name = 'email'";
    sandbox.query("app.db", sql).trim() == "1"
}

#[test]
fn with_more_databases_than_files_may_be_open() {
    let served = served();
    let sandbox = &served.0;
    for number in 0..30 {
        let name = format!("more/{number}.db");
        sandbox.execute(&name, "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    }
    let mut limited = sandbox.program("bash");
    limited.args(["-c", "ulimit -n 90 && exec \"$0\" deploy", PITON]);
    sandbox
        .finish(limited)
        .success()
        .says("1 migration, down for")
        .never_says("not of one instant");
    assert!(has_email(sandbox) && is_up(sandbox));
    sandbox.execute("more/7.db", "DELETE FROM t");
    sandbox.run("deploy --rollback --yes").success().says("taken back");
    assert!(!has_email(sandbox) && is_up(sandbox));
    assert_eq!(sandbox.query("more/7.db", "SELECT count(*) FROM t"), "1");
}

#[test]
fn a_release_is_deployed_and_taken_back() {
    let served = served();
    let sandbox = &served.0;
    sandbox.run("deploy").success().says("1 migration, down for");
    assert!(has_email(sandbox) && is_up(sandbox));
    sandbox.run("deploy --status --exit-code").success().says("final-backup");
    sandbox.run("deploy --rollback").code(2).says("nobody can answer");
    sandbox.run("deploy --rollback --yes").success().says("taken back");
    assert!(!has_email(sandbox) && is_up(sandbox));
    // The new code must not migrate again by being restarted.
    sandbox.run("up").code(4).says("migrations are held");
    sandbox.run("deploy --rollback --yes").success().says("nothing to do");
    sandbox.run("deploy").success();
    assert!(has_email(sandbox));
}

#[test]
fn a_way_back_that_failed_is_gone_on_with_whatever_is_typed() {
    for (verb, code) in [("--rollback --yes", 0), ("--resume", 11), ("--abort", 11)] {
        let served = served();
        let sandbox = &served.0;
        sandbox.run("deploy").success();
        let mut failing = sandbox.program(PITON);
        failing.args(["deploy", "--rollback", "--yes"]).env("PITON_FAULT", "publish-rename:1:5+");
        sandbox.finish(failing).code(13).says("rollback FAILED");
        sandbox.run("deploy").code(4).says("is not finished");
        sandbox.run(&format!("deploy {verb}")).code(code);
        assert!(!has_email(sandbox) && is_up(sandbox), "{verb}");
    }
}

#[test]
fn the_backups_of_a_deploy_are_copied_off_the_machine_once_the_service_is_up() {
    let served = served();
    let sandbox = &served.0;
    fs::create_dir(sandbox.path("disk")).unwrap();
    let url = format!("url = \"file://{}\"", sandbox.path("disk").display());
    sandbox.write("piton.toml", format!("{CONFIG}\n[store.offsite]\n{url}\npatience = \"0s\"\n"));
    let document = sandbox.run("deploy --json").success().json();
    assert!(!document["offsite"]["copied"].as_array().unwrap().is_empty(), "{document}");
    sandbox.run("status").success().says("all of them copied");
    // What does not work there is no concern of the deploy.
    sandbox.remove("disk");
    sandbox.write("migrations/003_more.sql", "CREATE TABLE more (id INTEGER);");
    let ran = sandbox.run("deploy").success();
    ran.says("warning: there is no folder").says("only here");
}

#[test]
fn a_sick_release_is_rolled_back() {
    let served = served();
    let sandbox = &served.0;
    // Sick from the start of the new release until the old one is started again.
    sandbox.write("hooks/after-migrate", "#!/bin/sh\ntouch sick\n");
    sandbox.write("hooks/rollback", "#!/bin/sh\nrm -f sick\n");
    sandbox.run("deploy").code(11).says("the data is restored from").says("runs again");
    assert!(!has_email(sandbox) && is_up(sandbox));
    sandbox.run("deploy --status --exit-code").code(11).says("put-back").says("held");
    sandbox.run("up --lift-hold").code(0);
}

#[test]
fn a_service_that_stays_sick_is_said_to_be() {
    let served = served();
    let sandbox = &served.0;
    sandbox.write("hooks/after-migrate", "#!/bin/sh\ntouch sick\n");
    sandbox.run("deploy").code(12).says("NOT healthy");
    assert!(!has_email(sandbox));
    fs::remove_file(sandbox.path("sick")).unwrap();
    sandbox.run("deploy --resume").code(11);
    assert!(is_up(sandbox));
}

#[test]
fn what_is_refused_touches_nothing() {
    let served = served();
    let sandbox = &served.0;
    let before = fs::read_to_string(sandbox.path("service.pid")).unwrap();
    sandbox.write("migrations/003_wrong.sql", "ALTER TABLE nothing ADD COLUMN a;\n");
    sandbox.run("deploy").code(4).says("no migration ran").says("003_wrong.sql");
    sandbox.write("migrations/003_wrong.sql", "UPDATE users SET id = 1;\n");
    sandbox.run("deploy").code(4).says("the rehearsal failed");
    assert_eq!(fs::read_to_string(sandbox.path("service.pid")).unwrap(), before);
    assert!(is_up(sandbox) && !has_email(sandbox));
}

#[test]
fn killed_in_any_phase_it_is_resumed_or_given_up() {
    let phases = [
        "backup",
        "rehearsal",
        "stop",
        "fence",
        "final-backup",
        "migrate",
        "switch",
        "start",
        "health",
        "archive",
    ];
    for (index, phase) in phases.into_iter().enumerate() {
        let served = served();
        let sandbox = &served.0;
        // The hook kills the very piton that runs it.
        sandbox.write(&format!("hooks/before-{phase}"), "#!/bin/sh\nrm -f \"$0\"\nkill -9 $PPID\n");
        sandbox.run("deploy").killed();
        sandbox.run("deploy --status --exit-code").code(14).says("not finished");
        let touched = !matches!(phase, "backup" | "rehearsal");
        if touched {
            sandbox.run("deploy").code(4).says("is not finished");
            sandbox.run("restore --yes").code(4).says("is not finished");
        }
        if matches!(phase, "fence" | "final-backup" | "migrate" | "switch") {
            sandbox.run("recover").code(14).says("between two releases");
        }
        // Of two neighbours, one goes on and one goes back.
        let goes_on = index % 2 == 0;
        if goes_on {
            sandbox.run("deploy --resume").success();
        } else {
            sandbox.run("deploy --abort").code(if touched { 11 } else { 14 });
        }
        assert_eq!(has_email(sandbox), goes_on, "{phase}");
        assert!(!sandbox.exists("backups/.point"), "{phase}");
        assert!(is_up(sandbox), "{phase}");
        assert!(!sandbox.exists("data/.piton/fence"), "{phase}");
    }
}

#[test]
fn the_rollback_point_is_archived_once_the_service_is_healthy() {
    let served = served();
    let sandbox = &served.0;
    let seen = "#!/bin/sh\nls backups > seen-$PITON_PHASE; echo \"$PITON_BACKUP_ID\" >> point\n";
    sandbox.write("hooks/before-migrate", seen);
    sandbox.write("hooks/after-archive", seen);
    // What the service writes until it stops is in no backup yet.
    sandbox.write("data/upload", "before the stop");
    sandbox.write("hooks/before-stop", "#!/bin/sh\necho later > data/upload\n");
    sandbox.run("deploy").success().says("equal to the data").says("archive ");
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    let point = read("point").lines().next().unwrap().to_string();
    let archive = format!("{point}.tar.gz");
    assert!(!read("seen-migrate").contains(&archive), "{}", read("seen-migrate"));
    assert!(read("seen-archive").contains(&archive), "{}", read("seen-archive"));
    assert!(!sandbox.exists("backups/.point"));
    sandbox.run(&format!("verify {point}")).success();
    sandbox.run(&format!("restore {point} --to look")).success();
    assert_eq!(read("look/upload"), "later\n");
    assert!(sandbox.query("app.db", "SELECT backup FROM _piton_ledger").contains(&point));
}

#[test]
fn a_healthy_release_stays_where_its_rollback_point_cannot_be_archived() {
    for (verb, code) in [("--resume", 0), ("--abort", 11)] {
        let served = served();
        let sandbox = &served.0;
        sandbox.write("hooks/before-archive", "#!/bin/sh\nexit 1\n");
        let ran = sandbox.run("deploy").code(14);
        ran.says("the new release runs and is healthy").says("piton deploy --resume");
        assert!(has_email(sandbox) && is_up(sandbox));
        sandbox.run("deploy --status --exit-code").code(14).says("has no archive yet");
        sandbox.run("rollback --yes").code(4).says("is not finished");
        fs::remove_file(sandbox.path("hooks/before-archive")).unwrap();
        sandbox.run(&format!("deploy {verb}")).code(code);
        assert_eq!(has_email(sandbox), code == 0);
        assert!(is_up(sandbox) && !sandbox.exists("backups/.point"));
    }
}

#[test]
fn a_rollback_point_that_turns_out_damaged_gives_way_to_the_backup_before_the_stop() {
    let served = served();
    let sandbox = &served.0;
    let hook = "#!/bin/sh\nhead -c 4096 /dev/zero | tr '\\0' x |\n\
        dd of=backups/.point/data/app.db bs=4096 seek=1 conv=notrunc status=none\n";
    sandbox.write("hooks/before-archive", hook);
    sandbox.write("hooks/after-archive", "#!/bin/sh\necho \"$PITON_BACKUP_ID\" > point\n");
    // So that the copy is not the backup before the stop, which is verified already.
    sandbox.write("hooks/before-stop", "#!/bin/sh\necho later > data/upload\n");
    let ran = sandbox.run("deploy").success();
    ran.says("was damaged already").says("from before the stop, is the last sound one");
    assert!(has_email(sandbox) && is_up(sandbox));
    let point = fs::read_to_string(sandbox.path("point")).unwrap();
    sandbox.run(&format!("verify {}", point.trim())).success();
    sandbox.run("verify --all").success();
    assert!(!sandbox.exists("backups/.point"));
    sandbox.run("deploy --status").success().says("from before the stop");
    sandbox.run("deploy --rollback --yes").success();
    assert!(!has_email(sandbox) && is_up(sandbox) && !sandbox.exists("data/upload"));
}

#[test]
fn what_cannot_be_rolled_back_is_put_back_before_there_is_an_archive() {
    let served = served();
    let sandbox = &served.0;
    // Fails only on the live data, when the first statement is done.
    let sql = "-- transaction: none\nCREATE TABLE half (id INTEGER);\n\
               INSERT INTO users (id, name) SELECT 1, '' FROM pragma_database_list, (SELECT 1 UNION ALL SELECT 2)\n\
               WHERE file NOT LIKE '%rehearsal%';\n";
    sandbox.write("migrations/003_half.sql", sql);
    sandbox.write("hooks/before-stop", "#!/bin/sh\necho later > data/upload\n");
    let ran = sandbox.run("deploy").code(11);
    ran.says("UNIQUE constraint failed").says("equal to the data");
    assert_eq!(fs::read_to_string(sandbox.path("data/upload")).unwrap(), "later\n");
    assert!(!has_email(sandbox) && is_up(sandbox));
    assert_eq!(
        sandbox.query("app.db", "SELECT count(*) FROM pragma_table_info('half')").trim(),
        "0"
    );
    assert!(!sandbox.exists("backups/.point"));
}

#[test]
fn a_script_finds_the_archive_of_the_rollback_point() {
    let served = served();
    let sandbox = &served.0;
    sandbox.write("migrations/003_script.sh", "#!/bin/sh\ntest -s \"$PITON_BACKUP\"\n");
    sandbox.run("deploy").success().says("verified: the rollback point");
}

#[test]
fn releases_are_switched_and_switched_back() {
    let served = served();
    let sandbox = &served.0;
    let config =
        CONFIG.replace("hooks = \"hooks\"", "releases = \"releases\"\nhooks = \"current/hooks\"");
    sandbox.write("piton.toml", format!("migrations = \"current/migrations\"\n{config}"));
    for release in ["a", "b"] {
        let users = fs::read_to_string(sandbox.path("migrations/001_users.sql")).unwrap();
        sandbox.write(&format!("releases/{release}/migrations/001_users.sql"), users);
    }
    sandbox
        .write("releases/b/migrations/002_email.sql", "ALTER TABLE users ADD COLUMN email TEXT;\n");
    sandbox.write("releases/b/hooks/after-migrate", "#!/bin/sh\ntouch sick\n");
    sandbox.write(
        "releases/b/hooks/rollback",
        "#!/bin/sh\nrm -f sick; echo \"$PITON_RELEASE\" > undone\n",
    );
    let current = || fs::read_link(sandbox.path("current")).unwrap();
    sandbox.run("deploy --release a").success();
    assert_eq!(current(), Path::new("releases/a"));
    sandbox.run("deploy --release c").code(2).says("there are: a, b");
    sandbox.run("deploy --release b").code(11);
    assert_eq!(current(), Path::new("releases/a"));
    assert_eq!(fs::read_to_string(sandbox.path("undone")).unwrap(), "b\n");
    fs::remove_file(sandbox.path("releases/b/hooks/after-migrate")).unwrap();
    sandbox.run("deploy --release b --markdown").success().says("| migrate | done |");
    assert_eq!(current(), Path::new("releases/b"));
    assert!(has_email(sandbox));
    sandbox.run("deploy --rollback --yes").success();
    assert_eq!(current(), Path::new("releases/a"));
    assert!(!has_email(sandbox));
}

#[test]
fn two_at_once_are_refused() {
    let served = served();
    let sandbox = &served.0;
    let hook = format!("#!/bin/sh\n{PITON} deploy > inner 2>&1; echo $? >> inner\n");
    sandbox.write("hooks/before-rehearsal", hook);
    sandbox.run("deploy").success();
    let inner = fs::read_to_string(sandbox.path("inner")).unwrap();
    assert!(inner.ends_with("8\n"), "{inner}");
}

#[test]
fn a_probe_that_fails_already_is_found_before_the_stop() {
    let served = served();
    let sandbox = &served.0;
    let pid = sandbox.read("service.pid");
    sandbox.write("sick", "");
    let ran = sandbox.run("deploy").code(4);
    ran.says("does not pass its probes: command `test ! -f sick`").says("--ignore-failing-probes");
    assert!(!has_email(sandbox));
    assert_eq!(sandbox.read("service.pid"), pid, "it was stopped");
    // One that comes with the release is not asked of the service before it.
    let config = format!("{CONFIG}new = true\n");
    sandbox.write("piton.toml", &config);
    sandbox.write("hooks/after-migrate", "#!/bin/sh\nrm -f sick\n");
    sandbox.run("deploy").success();
    assert!(has_email(sandbox));
    // The flag deploys all the same, and a service that does not run is asked nothing.
    sandbox.write("piton.toml", CONFIG);
    for (name, words) in [("003_a", "deploy --ignore-failing-probes"), ("004_b", "deploy")] {
        sandbox.write("sick", "");
        sandbox.write(&format!("migrations/{name}.sql"), format!("CREATE TABLE t{name} (a);"));
        if words == "deploy" {
            let pid = sandbox.read("service.pid");
            sandbox.finish({
                let mut stop = sandbox.program("bash");
                stop.args([
                    "-c",
                    &format!("kill {pid}; while test -f service.pid; do sleep 0.02; done"),
                ]);
                stop
            });
        }
        sandbox.run(words).success();
    }
}

#[test]
fn a_restart_with_nothing_pending_asks_the_probes_too() {
    let served = served();
    let sandbox = &served.0;
    sandbox.run("deploy").success();
    let pid = sandbox.read("service.pid");
    sandbox.write("sick", "");
    sandbox.run("deploy").code(4).says("no migration ran, and").says("was not stopped");
    assert_eq!(sandbox.read("service.pid"), pid);
}

#[test]
fn a_refused_deploy_leaves_no_folders() {
    let sandbox = Sandbox::new().migration("001_bad.sql", "SELEC 1;");
    sandbox.run("deploy").code(4).says("refused: no migration ran").never_says("service");
    assert!(!sandbox.exists("data") && !sandbox.exists("backups"));
    // What was there stays, with the record of the deploy.
    let sandbox = Sandbox::with_users().migration("002_bad.sql", "SELEC 1;");
    let backups = sandbox.backups();
    sandbox.run("deploy").code(4);
    assert_eq!(sandbox.backups(), backups);
    sandbox.run("deploy --status").success().says("refused");
}

#[test]
fn a_dry_run_shows_phases_service_and_probes() {
    let served = served();
    let sandbox = &served.0;
    let ran = sandbox.run("deploy --dry-run").success();
    let ran = ran.says("phases:  preflight, backup, rehearsal, stop, fence, final-backup, migrate");
    ran.says("probes:  command `test ! -f sick`").says("piton deploy carries this out");
    let document = sandbox.run("deploy --dry-run --json").success().json();
    assert_eq!(document["phases"].as_array().unwrap().len(), 11, "{document}");
    assert!(document["service"].is_string() && document["probes"][0].is_string());
    let sandbox = Sandbox::with_users();
    let ran = sandbox.run("deploy --dry-run").success();
    ran.says("phases:  preflight\n").says("service: none is managed").says("probes:  none");
}

#[test]
fn a_rollback_that_was_asked_for_is_no_failure_afterwards() {
    let served = served();
    let sandbox = &served.0;
    sandbox.run("deploy").success();
    sandbox.run("deploy --rollback --yes").success();
    let ran = sandbox.run("deploy --status --exit-code").success();
    ran.says("taken back: the data is restored from").never_says("error:");
}

#[test]
fn only_what_was_looked_at_is_said() {
    // No service and no release: nothing is said of either.
    let sandbox = Sandbox::with_users().migration("002_fail.sh", FAILS_LIVE);
    let ran = sandbox.run("deploy").code(11).says("rolled back: ");
    ran.never_says("down for").never_says("release").never_says("runs again");
}

/// A script whose failure the rehearsal, in the private folder, does not show.
const FAILS_LIVE: &str = "#!/bin/sh\n\
    case $PITON_DATABASE in */.piton/*) ;; *) exit 1 ;; esac\n";

#[test]
fn a_long_reason_is_printed_once() {
    let served = served();
    let sandbox = &served.0;
    sandbox.write(
        "piton.toml",
        CONFIG.replace("test ! -f sick", "test ! -f sick || { echo the long reason; exit 1; }"),
    );
    sandbox.write("hooks/after-migrate", "#!/bin/sh\ntouch sick\n");
    let ran = sandbox.run("deploy").code(12);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(
        all.matches("\nthe long reason").count() + all.matches("    the long reason").count(),
        1,
        "{all}"
    );
}
