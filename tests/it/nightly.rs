//! What happens at night: who is told of a failure, a promise of backups, and timers.

use crate::{
    bad_disk::{can_mount, shell},
    programs::lacks,
    sandbox::Sandbox,
};
use chrono::{TimeDelta, Utc};
use piton::{
    event::Silent,
    lock::Patience,
    project::{Config, Overrides, Project, World},
};

const TELL: &str = "[notify]\non-failure = ['sh', '-c', 'echo \"$PITON_COMMAND|$PITON_CODE|$PITON_OUTCOME|$PITON_MESSAGE\" >> told']\n";

fn told(sandbox: &Sandbox) -> String {
    if !sandbox.exists("told") {
        return String::new();
    }
    let text = sandbox.read("told");
    sandbox.remove("told");
    text
}

#[test]
fn a_failure_is_told_and_changes_no_exit_code() {
    let sandbox = Sandbox::with_users().config(TELL);
    for good in ["backup", "up", "prune", "drill"] {
        sandbox.run(good).success();
    }
    assert_eq!(told(&sandbox), "");
    sandbox.write("migrations/002_bad.sql", "CREATE TABLE users (id);");
    for quiet in
        ["up --dry-run", "plan", "status", "restore --only nothing --dry-run", "deploy --dry-run"]
    {
        sandbox.run(quiet);
        assert_eq!(told(&sandbox), "", "{quiet}");
    }
    sandbox.run("up").code(4);
    let text = told(&sandbox);
    assert!(text.starts_with("up|4|refused|") && text.contains("002_bad.sql"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let json = sandbox.run("up --json").code(4).json();
    assert_eq!(json["outcome"], "refused");
    assert!(told(&sandbox).starts_with("up|4|refused|"));
    sandbox.run("deploy --yes").code(4);
    assert!(told(&sandbox).starts_with("deploy|4|refused|"));
    sandbox.run("backups sync").code(2);
    assert!(told(&sandbox).starts_with("sync|2|usage|"));
    std::fs::rename(sandbox.path("data/app.db"), sandbox.path("app.db")).unwrap();
    sandbox.write("piton.toml", format!("database = 'app.db'\n{TELL}"));
    sandbox.run("backup").code(2);
    let text = told(&sandbox);
    assert!(text.starts_with("backup|2|usage|") && text.contains("app.db`"), "{text}");
    sandbox.write("piton.toml", format!("{TELL}[drill]\ncommand = 'false'\n"));
    sandbox.run("drill").code(5);
    assert!(told(&sandbox).starts_with("drill|5|failed|"));
}

#[test]
fn a_mistake_elsewhere_in_the_file_is_told_too() {
    let sandbox = Sandbox::with_users().config(&format!("retentoin = 3\n{TELL}"));
    sandbox.run("backup").code(2);
    let text = told(&sandbox);
    assert!(text.starts_with("backup|2|usage|") && text.contains("retentoin"), "{text}");
    sandbox.write("piton.toml", "[notify]\non-failure = []\n");
    sandbox.run("backup").code(2).says("the first word of a list is the program");
    sandbox.write("piton.toml", "[notify]\non-failure = 'true'\ntimeout = '3 days'\n");
    sandbox.run("backup").code(2).says("`notify.timeout`");
}

#[test]
fn what_is_told_does_not_hold_anything_up() {
    let config = |command: &str| format!("[notify]\ntimeout = '200ms'\non-failure = {command}\n");
    let sandbox = Sandbox::with_users().migration("002_bad.sql", "CREATE TABLE users (id);");
    for (command, says) in [
        ("'sleep 60'", "ran longer than 200 ms"),
        ("'exit 7'", "exited with status 7"),
        ("['./nothing']", "cannot be run"),
    ] {
        sandbox.write("piton.toml", config(command));
        let ran = sandbox.run("up").code(4).says(says);
        ran.says("warning: `[notify] on-failure` did not succeed");
    }
    // A message of any length and any bytes.
    sandbox.write("piton.toml", config("'printf %s \"$PITON_MESSAGE\" > told'"));
    sandbox.write("migrations/002_bad.sql", format!("SELECT '{}';", "ä".repeat(300_000)));
    sandbox
        .write("migrations/003_bad.sql", format!("CREATE TABLE users ({});", "ä".repeat(300_000)));
    sandbox.run("up").code(4).never_says("warning: `[notify]");
    assert!(told(&sandbox).len() <= 4096);
}

/// A backup that was taken some time ago.
fn backed_up_before(sandbox: &Sandbox, age: TimeDelta) {
    let config = Config::load(&Overrides {
        config: Some(sandbox.path("piton.toml")),
        data: Some(sandbox.path("data")),
        ..Overrides::default()
    });
    let mut world = World::system("a test");
    world.clock = Box::new(move || Utc::now() - age);
    let project = Project::new(config.unwrap(), world);
    project.backup(None, Patience::Refuse, &Silent).unwrap();
}

#[test]
fn status_says_when_a_promise_of_backups_is_not_kept() {
    let sandbox = Sandbox::with_users().config("[backup]\nevery = \"1d\"\n");
    sandbox.remove("backups");
    sandbox.run("status").success().says("no backup yet; one is promised every 1 d");
    backed_up_before(&sandbox, TimeDelta::hours(29));
    sandbox.run("status").success().never_says("look at the timer");
    assert!(sandbox.run("status --json").json()["overdue"].is_null());
    sandbox.remove("backups");
    backed_up_before(&sandbox, TimeDelta::hours(31));
    sandbox.run("status").success().says("; one is promised every 1 d");
    let overdue = &sandbox.run("status --json").json()["overdue"];
    assert_eq!(overdue["every_seconds"], 86_400);
    assert!(overdue["age_seconds"].as_i64().unwrap() >= 31 * 3600);
    sandbox.run("drill").code(5).says("the newest backup is 31 hours old");
    // Nothing has changed, which is known by a look and no new backup.
    sandbox.run("backup").success().says("has the same content");
    sandbox.run("status").success().never_says("look at the timer");
    sandbox.run("drill").success();
    assert_eq!(sandbox.backups().len(), 1);
    assert_eq!(sandbox.run("backups --json").json()["strays"], serde_json::json!([]));
    for wrong in ["1 day", "0h", ""] {
        sandbox.write("piton.toml", format!("[backup]\nevery = \"{wrong}\"\n"));
        sandbox.run("status").code(2).says("`backup.every`");
    }
}

#[test]
fn timers_are_written_once_and_systemd_understands_them() {
    let sandbox = Sandbox::with_users();
    let name = sandbox.path("").file_name().unwrap().to_string_lossy().into_owned();
    let name: String = name
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() || it == '_' { it } else { '-' })
        .collect();
    let ran = sandbox.run("init --timers").success();
    let ran = ran.says(&format!(
        "systemctl enable --now piton-{name}-backup.timer piton-{name}-drill.timer"
    ));
    ran.says("`every = \"1d\"`").never_says("deploy.sh");
    assert!(!sandbox.exists("deploy.sh"));
    let service = sandbox.read(&format!("systemd/piton-{name}-backup.service"));
    assert!(service.contains(" backup --wait\n") && service.contains("Type=oneshot"), "{service}");
    assert!(
        service.contains(&format!(
            "WorkingDirectory={}\n",
            sandbox.path("").components().collect::<std::path::PathBuf>().display()
        )),
        "{service}"
    );
    let timer = sandbox.read(&format!("systemd/piton-{name}-backup.timer"));
    assert!(
        timer.contains("OnCalendar=*-*-* 02:00:00") && timer.contains("Persistent=true"),
        "{timer}"
    );
    let again = sandbox.run("init --timers --json").success().json();
    assert_eq!(again["outcome"], "nothing-to-do");
    sandbox.write(
        "piton.toml",
        "[backup]\nevery = \"6h\"\n[retention]\nlast = 3\n[store.offsite]\nurl = \"file:///mnt/x\"\n",
    );
    let ran = sandbox.run("init --timers=units").success().never_says("`every");
    for job in ["backup", "prune", "sync", "drill"] {
        ran.stdout.contains(&format!("piton-{name}-{job}.timer")).then_some(()).unwrap();
    }
    let service = sandbox.read(&format!("units/piton-{name}-sync.service"));
    assert!(service.contains("piton.toml backups sync\n"), "{service}");
    assert!(
        sandbox
            .read(&format!("units/piton-{name}-backup.timer"))
            .contains("OnCalendar=*-*-* 00/6:05:00")
    );
    // What is in the unit does what it says.
    let line = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let line = line.replace("backups sync", "drill");
    let ran = sandbox
        .program("sh")
        .args(["-c", &format!("{line} --json; echo ended $?")])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&ran.stdout).contains("ended "), "{ran:?}");
    if lacks("systemd-analyze") {
        return;
    }
    let units = std::fs::read_dir(sandbox.path("units")).unwrap().map(|it| it.unwrap().path());
    let verified = sandbox.program("systemd-analyze").arg("verify").args(units).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

/// `systemctl` only writes down what it is told, and the folder of the units is one of the test's own.
#[test]
fn the_setup_of_a_host_installs_the_timers() {
    if !can_mount() || lacks("bash") {
        return;
    }
    let sandbox =
        Sandbox::with_users().file("bin/systemctl", "#!/bin/sh\necho \"$@\" >> calls\n").file(
            "setup.sh",
            "set -e\nprogram=$PITON_BIN\n. ./functions\nPATH=$PWD/bin:$PATH\nhost_timers\n",
        );
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy.sh");
    let text = format!(
        "mount -t tmpfs tmpfs /etc/systemd/system\n\
         sed -n '/^host_ask()/p;/^host_timers()/,/^}}/p' {script} > functions\n\
         bash setup.sh; bash setup.sh; cat calls; ls /etc/systemd/system"
    );
    let ran = shell(&sandbox, &text).success();
    let calls: Vec<&str> = ran.stdout.lines().take(4).collect();
    assert_eq!(calls[0], "daemon-reload");
    assert!(calls[1].starts_with("--quiet enable --now piton-"), "{calls:?}");
    assert!(calls[1].ends_with("-drill.timer") && !calls[1].contains('/'), "{calls:?}");
    assert_eq!(calls[..2], calls[2..], "the second time is like the first");
    assert_eq!(ran.stdout.matches(".service").count(), 2, "{}", ran.stdout);
}
