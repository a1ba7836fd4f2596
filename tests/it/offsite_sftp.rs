//! Copies on a server that speaks SFTP: OpenSSH's own, on a loopback port.

use crate::{
    sandbox::{Sandbox, files},
    servers::{Sshd, free_port},
};
use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// A project whose place is the folder `there` of the server's machine.
fn with_server(server: &Sshd, keys: &str) -> Sandbox {
    let sandbox = Sandbox::with_users();
    sandbox.remove("backups");
    fs::create_dir(server.path("there")).unwrap();
    configure(&sandbox, server, "there", keys);
    sandbox
}

fn configure(sandbox: &Sandbox, server: &Sshd, folder: &str, keys: &str) {
    let (user, path) = (Sshd::user(), server.path(folder).display().to_string());
    let (port, known, key) = (server.port, server.path("known_hosts"), server.path("user"));
    let given = |name: &str| keys.lines().any(|line| line.starts_with(name));
    let mut text = String::from("[store.offsite]\n");
    for (name, value) in [
        ("url", format!("sftp://{user}@127.0.0.1:{port}{path}")),
        ("known-hosts", known.display().to_string()),
        ("identity", key.display().to_string()),
        ("patience", "0s".into()),
    ] {
        if !given(name) {
            text.push_str(&format!("{name} = \"{value}\"\n"));
        }
    }
    sandbox.write("piton.toml", text + keys);
}

fn names(server: &Sshd) -> Vec<String> {
    files(&server.path("there")).into_keys().map(|path| path.display().to_string()).collect()
}

fn whole(id: &str) -> Vec<String> {
    vec![format!("{id}.json"), format!("{id}.tar.gz")]
}

/// What does not compress.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// Waits until so much of an upload has arrived.
fn wait_for_partial(server: &Sshd, bytes: u64) -> PathBuf {
    let began = Instant::now();
    loop {
        for entry in fs::read_dir(server.path("there")).unwrap().filter_map(Result::ok) {
            let name = entry.file_name().into_string().unwrap();
            if name.ends_with(".tar.gz.partial") && entry.metadata().unwrap().len() > bytes {
                return entry.path();
            }
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nothing arrives");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_backup_goes_there_and_comes_back() {
    let Some(server) = Sshd::start() else { return };
    let sandbox = with_server(&server, "[store.offsite.retention]\nlast = 2\n");
    sandbox.write("data/noise", noise(300_000));
    let id = sandbox.back_up();
    assert_eq!(names(&server), whole(&id));
    let there = server.path(&format!("there/{id}.tar.gz"));
    assert_eq!(fs::read(&there).unwrap(), fs::read(sandbox.archive(&id)).unwrap());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o777, 0o600);
    sandbox.run("backups --offsite").success().says("here too").says("1 copy, ");
    sandbox.run("verify --offsite").success().says(&format!("verified {id}"));
    let before = sandbox.content();
    sandbox.remove("backups");
    sandbox.remove("data");
    sandbox.run("restore --offsite --yes").success();
    assert_eq!(sandbox.content(), before);
    // Pruned there, the description first.
    for text in ["two", "three"] {
        sandbox.write("data/file", text);
        sandbox.run("backup").success();
    }
    assert!(!there.exists() && !names(&server).contains(&format!("{id}.json")));
}

#[test]
fn killed_in_the_middle_it_goes_on_there() {
    let Some(mut server) = Sshd::start() else { return };
    let sandbox = with_server(&server, "bandwidth = \"6MiB\"\ntimeout = \"10s\"\n");
    sandbox.write("data/noise", noise(12 << 20));
    let backup = sandbox.start("backup");
    wait_for_partial(&server, 5 << 20);
    server.kill();
    let ran = sandbox.ended(backup).success();
    ran.says("warning: the connection to `sftp://").says("1 backup is only here");
    let id = sandbox.backups()[0].clone();
    sandbox.run("verify").success();
    assert_eq!(names(&server), [format!("{id}.tar.gz.partial")]);
    sandbox.run("backups sync").code(5).one_error().says("cannot reach `sftp://");
    sandbox.run("status").success().says("only here: 1 backup").says("cannot reach");
    server.restart();
    let ran = sandbox.run("backups sync --json").success();
    let first = ran.stderr.lines().find(|line| line.contains("\"work\":\"copy\",\"done_bytes\""));
    let first: serde_json::Value = serde_json::from_str(first.unwrap()).unwrap();
    assert!(first["done_bytes"].as_u64().unwrap() > 2 << 20, "it began anew: {first}");
    assert_eq!(names(&server), whole(&id));
    sandbox.run("verify --offsite").success();
    sandbox.run("status").success().says("all of them copied");
}

#[test]
fn a_server_that_comes_back_in_time_is_not_even_noticed() {
    let Some(mut server) = Sshd::start() else { return };
    let keys = "bandwidth = \"4MiB\"\ntimeout = \"10s\"\npatience = \"30s\"\n";
    let sandbox = with_server(&server, keys);
    sandbox.write("data/noise", noise(6 << 20));
    let backup = sandbox.start("backup");
    wait_for_partial(&server, 3 << 20);
    server.kill();
    thread::sleep(Duration::from_millis(300));
    server.restart();
    sandbox.ended(backup).success().says("copied  ").never_says("warning");
    let id = sandbox.backups()[0].clone();
    assert_eq!(names(&server), whole(&id));
    // And on the way back.
    sandbox.remove("backups");
    let verify = sandbox.start("verify --offsite");
    thread::sleep(Duration::from_millis(700));
    server.kill();
    thread::sleep(Duration::from_millis(300));
    server.restart();
    sandbox.ended(verify).success().says("verified ");
}

#[test]
fn what_lies_under_the_partial_name_is_not_trusted() {
    let Some(server) = Sshd::start() else { return };
    let sandbox = with_server(&server, "copy-after = []\n");
    sandbox.write("data/noise", noise(5 << 20));
    let id = sandbox.back_up();
    // As long as to be gone on with, and something else.
    fs::write(server.path(&format!("there/{id}.tar.gz.partial")), vec![7; 4 << 20]).unwrap();
    sandbox.run("backups sync").success().says("copied  ");
    assert_eq!(names(&server), whole(&id));
    sandbox.run("verify --offsite").success();
}

#[test]
fn what_is_damaged_there_is_found() {
    let Some(server) = Sshd::start() else { return };
    let sandbox = with_server(&server, "");
    let id = sandbox.back_up();
    let there = server.path(&format!("there/{id}.tar.gz"));
    let mut bytes = fs::read(&there).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&there, bytes).unwrap();
    sandbox.run("verify --offsite").code(10).says("is damaged");
}

#[test]
fn each_thing_that_is_wrong_has_its_own_words() {
    let Some(mut server) = Sshd::start() else { return };
    let sandbox = with_server(&server, "");
    sandbox.run("backup").success().says("copied  ");
    let known = server.path("known_hosts");
    let good = fs::read_to_string(&known).unwrap();
    let sync = |keys: &str, folder: &str| {
        configure(&sandbox, &server, folder, keys);
        sandbox.run("backups sync").code(5).one_error()
    };
    sync("", "elsewhere").says("there is no folder `").says("create the folder");
    let stranger = format!("identity = \"{}\"\n", server.path("stranger").display());
    sync(&stranger, "there").says("refuses access: ").says("Permission denied (publickey)");
    fs::write(&known, "").unwrap();
    sync("", "there").says("the host key of `sftp://").says("`ssh-keyscan HOST`");
    let other = fs::read_to_string(server.path("stranger.pub")).unwrap();
    fs::write(&known, format!("[127.0.0.1]:{} {other}", server.port)).unwrap();
    sync("", "there").says("the host key of `sftp://").says("it is another one than before");
    fs::write(&known, &good).unwrap();
    let nobody = format!("url = \"sftp://127.0.0.1:{}/srv\"\n", free_port());
    sync(&nobody, "there").says("cannot reach `sftp://").says("Connection refused");
    let nowhere = "url = \"sftp://no-such-host.invalid/srv\"\n";
    sync(nowhere, "there").says("cannot reach `sftp://no-such-host.invalid/srv`: ");
    configure(&sandbox, &server, "there", "");
    sandbox.run("backups sync").success();
    // No subsystem: sftp is switched off there.
    let config = fs::read_to_string(server.path("config")).unwrap();
    let without = config.replace("Subsystem sftp internal-sftp\n", "");
    fs::write(server.path("config"), without).unwrap();
    server.kill();
    server.restart();
    sandbox.run("backups sync").code(5).one_error().says("has no such subsystem");
}

#[test]
fn a_full_disk_there_is_named_and_nothing_stays_on_it() {
    let Some(server) = Sshd::start() else { return };
    let sandbox = with_server(&server, "copy-after = []\n");
    sandbox.write("data/noise", noise(5 << 20));
    let id = sandbox.back_up();
    let there = server.path("there");
    // A disk that is there as long as one command.
    let on_a_disk = |options: &str| {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&there);
        if !mount.output().is_ok_and(|output| output.status.success()) {
            return None;
        }
        let (ran, left) = (sandbox.run("backups sync"), names(&server));
        // At once, though the server may not have ended the connection yet.
        let mut unmount = std::process::Command::new("umount");
        assert!(unmount.arg("-l").arg(&there).status().unwrap().success());
        Some((ran, left))
    };
    let Some((ran, left)) = on_a_disk("size=3m") else {
        return crate::programs::skip("only root may mount a small disk");
    };
    let (refused, _) = on_a_disk("size=20m,ro").unwrap();
    ran.code(5).one_error().says("is full: ").says("`[store.offsite.retention]`");
    assert_eq!(left, Vec::<String>::new());
    refused.code(5).one_error().says("cannot be written to: it is mounted read-only");
    sandbox.run("backups sync").success();
    assert_eq!(names(&server), whole(&id));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    // It takes connections, and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let Some(server) = Sshd::start() else { return };
    let sandbox = with_server(&server, "timeout = \"1s\"\ncopy-after = []\n");
    sandbox.run("backup").success();
    let url = format!("url = \"sftp://127.0.0.1:{port}/srv\"\ntimeout = \"1s\"\n");
    configure(&sandbox, &server, "there", &url);
    let began = Instant::now();
    sandbox.run("backups sync").code(5).one_error().says("cannot reach `sftp://");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
