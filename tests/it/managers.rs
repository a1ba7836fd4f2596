//! The examples of docs/service.md under the real managers. Not run by default: they need runit,
//! supervisord or pm2.

use piton::{
    clock::System,
    deploy::service::{Ground, Service, Settings, State},
    event::Silent,
};
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The example below a heading of docs/service.md.
fn example(heading: &str) -> Settings {
    #[derive(serde::Deserialize)]
    struct File {
        deploy: Deploy,
    }
    #[derive(serde::Deserialize)]
    struct Deploy {
        service: Settings,
    }
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/service.md")).unwrap();
    let after = text.split(&format!("# {heading}\n")).nth(1).unwrap();
    let block = after.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    toml::from_str::<File>(block).unwrap().deploy.service
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A manager that runs in the foreground; it is asked to end at the end of the test.
struct Daemon(Child);

impl Daemon {
    fn new(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn state(service: &dyn Service) -> State {
    service.state().unwrap().remove(0).state
}

#[track_caller]
fn eventually(service: &dyn Service, wanted: &State) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while state(service) != *wanted {
        assert!(Instant::now() < deadline, "{:?}", state(service));
        thread::sleep(Duration::from_millis(100));
    }
}

/// Stops and starts a service that runs, as a deploy would.
fn go_round(settings: &Settings, folder: &Path, environment: &[(String, OsString)]) {
    let clock = System::uninterrupted();
    let data = folder.join("data");
    fs::create_dir_all(&data).unwrap();
    let ground = Ground {
        root: folder,
        data: &data,
        run: Path::new("/run"),
        environment,
        clock: &clock,
        observer: &Silent,
    };
    let service = settings.service(ground);
    eventually(&*service, &State::Running);
    service.check().unwrap();
    let what = service.running().unwrap();
    for _ in 0..2 {
        service.raise_fence().unwrap();
        service.stop().unwrap();
        // Again, as after a crash of piton.
        assert_eq!(service.stop().unwrap().killed, Vec::<String>::new());
        assert_eq!(state(&*service), State::Stopped);
        service.lift_fence().unwrap();
        service.start(&what).unwrap();
        service.start(&what).unwrap();
        eventually(&*service, &State::Running);
    }
    service.restart().unwrap();
    eventually(&*service, &State::Running);
    service.stop().unwrap();
}

#[test]
fn the_examples_can_be_read() {
    for heading in ["systemd", "runit", "supervisord", "Docker Compose", "pm2"] {
        assert_ne!(example(heading), Settings::None, "{heading}");
    }
}

#[test]
#[ignore = "needs runit"]
fn runit() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("services/app/run"), "#!/bin/sh\nexec sleep 1000\n");
    let _daemon = Daemon::new(Command::new("runsv").arg(folder.path().join("services/app")));
    let services = folder.path().join("services");
    go_round(&example("runit"), folder.path(), &[("SVDIR".into(), services.into())]);
}

#[test]
#[ignore = "needs supervisord"]
fn supervisord() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let text = format!(
        "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={0}.pid\n\
         [unix_http_server]\nfile={0}\n[supervisorctl]\nserverurl=unix://{0}\n\
         [rpcinterface:supervisor]\n\
         supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
         [program:app]\ncommand=sleep 1000\n",
        socket.display()
    );
    write(&folder.path().join("supervisord.conf"), &text);
    let _daemon = Daemon::new(Command::new("supervisord").current_dir(folder.path()).arg("-n"));
    go_round(&example("supervisord"), folder.path(), &[]);
}

#[test]
#[ignore = "needs pm2"]
fn pm2() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("app.sh"), "exec sleep 1000\n");
    let home = folder.path().join("pm2");
    let pm2 = |words: &[&str]| {
        let mut command = Command::new("pm2");
        command.env("PM2_HOME", &home).current_dir(folder.path()).args(words);
        assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{words:?}");
    };
    pm2(&["start", "app.sh", "--name", "app", "--interpreter", "sh"]);
    go_round(&example("pm2"), folder.path(), &[("PM2_HOME".into(), home.clone().into())]);
    pm2(&["kill"]);
}
