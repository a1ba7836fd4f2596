//! Copies in an object store: moto's server, on a loopback port; for faults that it does not have,
//! a listener that answers as it is told.

use crate::{
    sandbox::Sandbox,
    servers::{Moto, free_port},
};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

const SECRET: &str = "secret+with/signs";

/// A project whose place is below `prefix` in the bucket.
fn with_store(port: u16, keys: &str) -> Sandbox {
    let sandbox = Sandbox::new()
        .migration("001_users.sql", crate::sandbox::USERS)
        .variable("AWS_ACCESS_KEY_ID", "the-key")
        .variable("AWS_SECRET_ACCESS_KEY", SECRET);
    sandbox.run("up").success();
    sandbox.remove("backups");
    configure(&sandbox, port, keys);
    sandbox
}

fn configure(sandbox: &Sandbox, port: u16, keys: &str) {
    let mut text = String::from("[store.offsite]\n");
    for (name, value) in [
        ("url", "s3://bucket/a/prefix".into()),
        ("endpoint", format!("http://127.0.0.1:{port}")),
        ("patience", "0s".into()),
    ] {
        if !keys.lines().any(|line| line.starts_with(name)) {
            text.push_str(&format!("{name} = \"{value}\"\n"));
        }
    }
    sandbox.write("piton.toml", text + keys);
}

fn whole(id: &str) -> Vec<String> {
    vec![format!("a/prefix/{id}.json"), format!("a/prefix/{id}.tar.gz")]
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

/// The first byte of an archive that went over the line, from the events of a command.
fn first_sent(stderr: &str) -> u64 {
    let line = stderr.lines().find(|line| line.contains("\"work\":\"copy\",\"done_bytes\""));
    let event: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    event["done_bytes"].as_u64().unwrap()
}

#[test]
fn a_backup_goes_there_and_comes_back() {
    let Some(server) = Moto::start() else { return };
    let sandbox = with_store(server.port, "[store.offsite.retention]\nlast = 1\n");
    sandbox.write("data/noise", noise(300_000));
    // Somebody else's.
    server.ask("PUT", "/bucket/a/prefix-of-others", b"x");
    server.ask("PUT", "/bucket/a/prefix/deeper/x", b"x");
    let ran = sandbox.run("backup").success();
    ran.says("to s3://bucket/a/prefix\n").never_says(SECRET);
    let id = sandbox.backups()[0].clone();
    let others = ["a/prefix-of-others".to_string(), "a/prefix/deeper/x".to_string()];
    let mut wanted = whole(&id);
    wanted.extend(others.clone());
    let mut keys = server.keys();
    keys.sort();
    wanted.sort();
    assert_eq!(keys, wanted);
    sandbox.run("backups --offsite").success().says("here too").says("1 copy, ");
    sandbox.run("verify --offsite").success().says(&format!("verified {id}"));
    let before = sandbox.content();
    sandbox.remove("backups");
    sandbox.remove("data");
    sandbox.run("restore --offsite --yes").success();
    assert_eq!(sandbox.content(), before);
    for text in ["two", "three"] {
        sandbox.write("data/file", text);
        sandbox.run("backup").success();
    }
    assert!(server.keys().iter().all(|key| !key.contains(&id)), "it is pruned there");
    assert!(others.iter().all(|key| server.keys().contains(key)));
}

#[test]
fn a_large_one_goes_in_parts_and_is_taken_up_where_piton_died() {
    let Some(server) = Moto::start() else { return };
    let sandbox = with_store(server.port, "copy-after = []\nbandwidth = \"16MiB\"\n");
    sandbox.write("data/noise", noise(26 << 20));
    let id = sandbox.back_up();
    let mut sync = sandbox.start("backups sync --json");
    // Until the second part is under way.
    let events = BufReader::new(sync.stderr.take().unwrap()).lines().map(Result::unwrap);
    let sent = |line: &String| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        event["work"] == "copy" && event["done_bytes"].as_u64() > Some(10 << 20)
    };
    assert!(events.into_iter().any(|line| sent(&line)), "nothing is sent");
    sync.kill().unwrap();
    sync.wait().unwrap();
    assert_eq!((server.keys().len(), server.uploads()), (0, 1));
    sandbox.run("backups --offsite").success().says("0 copies");
    let ran = sandbox.run("backups sync --json").success();
    assert!(first_sent(&ran.stderr) > 8 << 20, "it began anew");
    assert_eq!((server.keys(), server.uploads()), (whole(&id), 0));
    sandbox.run("verify --offsite").success();
}

#[test]
fn a_server_that_dies_in_the_middle_fails_no_backup_and_is_caught_up() {
    let Some(mut server) = Moto::start() else { return };
    let sandbox = with_store(server.port, "bandwidth = \"8MiB\"\ntimeout = \"10s\"\n");
    sandbox.write("data/noise", noise(12 << 20));
    let backup = sandbox.start("backup");
    let began = Instant::now();
    while server.uploads() == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing arrives");
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(300));
    server.kill();
    let ran = sandbox.ended(backup).success();
    ran.says("warning: ").says("`s3://bucket/a/prefix`").says("1 backup is only here");
    let id = sandbox.backups()[0].clone();
    sandbox.run("verify").success();
    sandbox.run("backups sync").code(5).one_error().says("cannot reach `s3://bucket/a/prefix`");
    sandbox.run("status").success().says("only here: 1 backup");
    server.restart();
    sandbox.run("backups sync").success().says(&format!("copied  {id}"));
    assert_eq!((server.keys(), server.uploads()), (whole(&id), 0));
    sandbox.run("verify --offsite").success();
}

#[test]
fn what_others_left_is_swept_when_it_is_old_and_ours() {
    let Some(server) = Moto::start() else { return };
    let sandbox = with_store(server.port, "copy-after = []\n");
    let id = sandbox.back_up();
    let begin = |key: &str| server.ask("POST", &format!("/bucket/{key}?uploads"), b"").0;
    // An upload of this very backup, though it is too small for parts; one of another machine (moto
    // says of every upload that it began in 2010); one of somebody else.
    assert_eq!(begin(&format!("a/prefix/{id}.tar.gz")), 200);
    assert_eq!(begin("a/prefix/20260101T000000Z-aaaaaa.tar.gz"), 200);
    assert_eq!(begin("a/prefix/film.mkv"), 200);
    sandbox.run("backups sync").success();
    assert_eq!(server.uploads(), 2);
    // Now it is whole, so nobody goes on with the upload.
    sandbox.run("backups sync").success();
    assert_eq!(server.uploads(), 1);
}

#[test]
fn an_object_that_was_damaged_there_is_found() {
    let Some(server) = Moto::start() else { return };
    let sandbox = with_store(server.port, "");
    sandbox.write("data/noise", noise(100_000));
    let id = sandbox.back_up();
    let mut bytes = std::fs::read(sandbox.archive(&id)).unwrap();
    bytes[50_000] ^= 1;
    server.ask("PUT", &format!("/bucket/a/prefix/{id}.tar.gz"), &bytes);
    sandbox.run("verify --offsite").code(10).says("is damaged: its SHA-256 is not that");
    let before = sandbox.content();
    sandbox.remove("backups");
    sandbox.run("restore --offsite --yes").code(10).one_error();
    assert_eq!(sandbox.content(), before);
}

#[test]
fn each_thing_that_is_wrong_has_its_own_words() {
    let Some(server) = Moto::start() else { return };
    let sandbox = with_store(server.port, "copy-after = []\n");
    sandbox.run("backup").success();
    let sync = |keys: &str, code: i32| {
        configure(&sandbox, server.port, keys);
        sandbox.run("backups sync").code(code).one_error().never_says(SECRET)
    };
    sync("url = \"s3://nowhere/x\"\n", 5).says("there is no bucket `nowhere`");
    let nobody = format!("endpoint = \"http://127.0.0.1:{}\"\n", free_port());
    sync(&nobody, 5).says("cannot reach `s3://bucket/a/prefix`: ").says("refused");
    let nowhere = "endpoint = \"http://no-such-host.invalid\"\n";
    sync(nowhere, 5).says("cannot reach `s3://bucket/a/prefix`: the host is not known");
    sync("endpoint = \"http://:0\"\n", 5).says("`endpoint`");
    sync("credentials = \"none\"\n", 5).says("cannot read `none`");
    sandbox.write("keys", format!("aws_access_key_id = k\naws_secret_access_key = {SECRET}\n"));
    sync("credentials = \"keys\"\n", 2).says("has mode 0644: others may read it");
    let mut close = std::process::Command::new("chmod");
    assert!(close.arg("600").arg(sandbox.path("keys")).status().unwrap().success());
    configure(&sandbox, server.port, "credentials = \"keys\"\n");
    sandbox.run("backups sync").success();
    let bare =
        Sandbox::with_users().config(&sandbox.read("piton.toml").replace("credentials", "#"));
    bare.run("backups sync").code(2).one_error().says("AWS_ACCESS_KEY_ID");
}

#[test]
fn tls_needs_an_authority_that_vouches() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &path("key"), "-out", &path("certificate")])
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        return crate::programs::skip("openssl is not installed");
    }
    let options = ["-c", &path("certificate"), "-k", &path("key")];
    let Some(server) = Moto::start_with(&options) else { return };
    let endpoint = format!("endpoint = \"https://127.0.0.1:{}\"\n", server.port);
    let sandbox = with_store(server.port, &endpoint);
    let ran = sandbox.run("backup").success();
    ran.says("warning: the certificate of `s3://bucket/a/prefix` is not trusted: ")
        .says("`ca-file`");
    let vouched = format!("{endpoint}ca-file = \"{}\"\n", path("certificate"));
    configure(&sandbox, server.port, &vouched);
    // The bucket was never made, and that is what is said through the line.
    sandbox.run("backups sync").code(5).one_error().says("there is no bucket `bucket`");
    sandbox.write("empty", "");
    configure(&sandbox, server.port, &format!("{endpoint}ca-file = \"empty\"\n"));
    sandbox.run("backups sync").code(2).one_error().says("it holds no certificate");
}

/// A listener that gives the same answer to every request.
fn answering(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut head).is_ok_and(|count| count > 2) {}
            let _ = stream.write_all(answer.as_bytes());
            // Closed gently, so that the answer is not lost.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    port
}

#[test]
fn refusals_are_told_apart() {
    let answers = [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 83\r\n\r\n<Error><Code>RequestTimeTooSkewed</Code><Message>too far apart</Message></Error>   ",
            "because the clocks differ",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 0\r\n\r\n",
            "because the clocks differ",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 41\r\n\r\n<Error><Code>AccessDenied</Code></Error>  ",
            "refuses access: AccessDenied",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 84\r\n\r\n<Error><Code>InvalidAccessKeyId</Code><Message>It does not exist.</Message></Error>   ",
            "refuses access: InvalidAccessKeyId: It does not exist; ",
        ),
        ("HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\n\r\n", "is full: status 507"),
        (
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 44\r\n\r\n<Error><Code>MethodNotAllowed</Code></Error>",
            "cannot be written to: MethodNotAllowed",
        ),
        (
            "HTTP/1.1 503 Busy\r\nContent-Length: 37\r\n\r\n<Error><Code>SlowDown</Code></Error>  ",
            "the connection to `s3://bucket/a/prefix` broke: SlowDown",
        ),
        (
            "HTTP/1.1 301 Moved\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
            "could not list objects: status 301; check `region` and `endpoint`",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n<ListBucketResult>", "broke: "),
        ("what is this?\r\n\r\n", "broke: "),
        ("", "broke: "),
    ];
    for (answer, said) in answers {
        let sandbox = with_store(answering(answer), "timeout = \"5s\"\n");
        let ran = sandbox.run("backup").success().never_says(SECRET).never_says("Signature=");
        ran.says("warning: ").says(said);
    }
}

/// A store that gives no digest of what arrives, and stores something else where it is to.
fn forgetful(flipped: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut objects: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                    break;
                }
                lines.push(line);
            }
            let Some(first) = lines.first().cloned() else { continue };
            let (method, path) = first.split_once(' ').unwrap();
            let path = path.split(['?', ' ']).next().unwrap().replace("/bucket/", "");
            let length = lines.iter().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then_some(value)
            });
            let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
            reader.read_exact(&mut body).unwrap();
            let (mut said, mut status) = (Vec::new(), "200 OK");
            match (method, objects.get(&path)) {
                ("PUT", _) => {
                    if flipped && path.ends_with("gz") {
                        body[7] ^= 1;
                    }
                    objects.insert(path, body);
                }
                ("DELETE", _) => drop(objects.remove(&path)),
                (_, Some(object)) => said = object.clone(),
                _ if first.contains("list-type") => {
                    for (key, object) in &objects {
                        let size = object.len();
                        let entry = format!("<Key>{key}</Key><Size>{size}</Size>");
                        said.extend(format!("<Contents>{entry}</Contents>").bytes());
                    }
                }
                _ if first.contains("uploads") => {}
                _ => status = "404 Not Found",
            }
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                said.len()
            );
            let mut stream = &stream;
            let _ = stream.write_all(head.as_bytes());
            if method != "HEAD" {
                let _ = stream.write_all(&said);
            }
        }
    });
    port
}

#[test]
fn a_store_that_gives_no_digest_is_read_back() {
    let sandbox = with_store(forgetful(false), "");
    let ran = sandbox.run("backup --json").success();
    let compared = ran.stderr.lines().any(|line| line.contains("\"work\":\"compare\""));
    assert!(compared, "{}", ran.whole());
    assert_eq!(ran.json()["offsite"]["copied"].as_array().unwrap().len(), 1);
    let sandbox = with_store(forgetful(true), "");
    let ran = sandbox.run("backup").success();
    ran.says("is damaged: it reads back differently; 1 backup is only here");
    sandbox.run("backups --offsite").success().says("0 copies");
}

#[test]
fn a_store_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sandbox = with_store(port, "timeout = \"1s\"\n");
    let began = Instant::now();
    sandbox.run("backup").success().says("warning: the connection to `s3://bucket/a/prefix` broke");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
