//! Every end is a sentence and a documented exit code: signals while planning, no threads, a clock before
//! 1970, an output that is full.

use crate::{
    lock::wait_for,
    sandbox::{PITON, Sandbox, USERS},
};
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::PermissionsExt,
    process::Command,
    thread,
    time::{Duration, Instant},
};

const SLOW: &str = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<4000000000) \
                    SELECT max(n)<0 FROM c";

/// A run that plans for a long time: by a guard, or by a statement that the replay carries out.
fn slow(text: &str) -> Sandbox {
    let sandbox = Sandbox::with_users();
    sandbox.write("migrations/002_slow.sql", text);
    sandbox
}

#[test]
fn a_signal_ends_a_run_that_is_still_planning() {
    let guard = format!("-- skip-if: {SLOW}\nINSERT INTO users (name) VALUES ('x');\n");
    let replay = format!("CREATE TABLE much AS {SLOW};\n");
    for (text, signal) in [(&guard, "TERM"), (&guard, "INT"), (&guard, "HUP"), (&replay, "TERM")] {
        let sandbox = slow(text);
        let before = sandbox.data();
        let child = sandbox.start("up");
        thread::sleep(Duration::from_millis(700));
        let pid = child.id().to_string();
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success()
        );
        let clock = Instant::now();
        sandbox.ended(child).code(14).says("interrupted");
        assert!(clock.elapsed() < Duration::from_secs(5), "{signal}");
        assert_eq!(sandbox.data(), before);
    }
}

#[test]
fn an_output_that_is_full_is_said_and_is_no_success() {
    let sandbox = Sandbox::with_users();
    for words in ["status", "status --json", "history", "backups --json"] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = sandbox.command(words);
        command.stdout(full).stderr(std::process::Stdio::piped());
        let ended = command.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{words}");
        let said = String::from_utf8_lossy(&ended.stderr).to_string();
        assert!(said.contains("the output could not be written"), "{words}: {said}");
    }
    // A reader that went away is no problem.
    let mut pipe = sandbox.program("bash");
    pipe.args(["-c", &format!("{PITON} status | true; exit ${{PIPESTATUS[0]}}")]);
    sandbox.finish(pipe).success().stderr("");
}

#[test]
fn a_clock_before_1970_is_only_a_clock() {
    if Command::new("faketime").arg("--version").output().is_err() {
        return;
    }
    let sandbox = Sandbox::new().migration("001_users.sql", USERS);
    for words in ["up --yes", "backup", "backups", "status", "history", "verify --all"] {
        let mut command = sandbox.program("faketime");
        command.args(["1960-01-01 00:00:00", PITON]).args(words.split(' '));
        let ran = sandbox.finish(command);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.whole());
        ran.success();
    }
}

#[test]
fn where_no_thread_starts_it_ends_in_a_sentence_or_does_without() {
    let sandbox = Sandbox::new().migration("001_users.sql", USERS);
    let piton = sandbox.path("piton");
    fs::copy(PITON, &piton).unwrap();
    let own = |path: &str| {
        fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(0o777)).unwrap();
    };
    own("");
    own("migrations");
    own("piton");
    for words in ["up --yes", "status --json", "backup --json", "verify --all", "status"] {
        let mut command = sandbox.program("setpriv");
        // A user whom nobody else here is, so that the limit counts this process alone.
        command.args(["--reuid=64321", "--regid=64321", "--clear-groups", "prlimit", "--nproc=1"]);
        command.arg(&piton).args(words.split(' '));
        let Ok(output) = command.output() else { return };
        let said = String::from_utf8_lossy(&output.stderr).to_string();
        if said.contains("setpriv:") || said.contains("prlimit:") {
            return;
        }
        assert!(!said.contains("panicked"), "{words}: {said}");
        let code = output.status.code().expect("it ends by itself");
        assert!([0, 2, 5].contains(&code), "{words}: {code}: {said}");
        if words.ends_with("--json") {
            let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(document["exit_code"].as_i64(), Some(code.into()));
        }
    }
}

#[test]
fn a_file_that_lost_its_pages_ends_in_a_sentence() {
    let sandbox = Sandbox::with_users();
    sandbox
        .write("migrations/002_slow.sh", "#!/bin/sh\n: $PITON_DATABASE\ntouch begun\nsleep 60\n");
    let child = sandbox.start("up");
    wait_for(&sandbox, "begun");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-BUS", &pid]).status().unwrap().success());
    sandbox.ended(child).code(7).says("has lost its pages").says("piton recover");
    sandbox.run("status").says("was cut off");
}
