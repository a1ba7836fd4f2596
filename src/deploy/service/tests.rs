//! Services that commands manage, as real processes.
#![allow(clippy::disallowed_methods)]

use super::{FENCE_FILE, Ground, Running, Scope, Service, Settings, State};
use crate::{
    clock::{Clock, System},
    error::{Error, ServiceError},
    event::{Event, Observer},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A service that is one `sleep`, with its process id in a file.
const SLEEPER: &str = r#"
    manager = "command"
    start = "sleep 1000 & echo $! > pid"
    stop = "kill $(cat pid); rm pid"
    status = "test -e pid && kill -0 $(cat pid) || exit 3"
"#;

#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Observer for Recorder {
    fn event(&self, event: Event) {
        let text = match event {
            Event::Output { line } => line,
            Event::Warning { text } => format!("warning: {text}"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

struct Place {
    folder: tempfile::TempDir,
    data: PathBuf,
    clock: System<'static>,
    observer: Recorder,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        Self { folder, data, clock: System::uninterrupted(), observer: Recorder::default() }
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            root: self.folder.path(),
            data: &self.data,
            run: self.folder.path(),
            environment: &[],
            clock: &self.clock,
            observer: &self.observer,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn seen(&self) -> Vec<String> {
        self.observer.0.lock().unwrap().clone()
    }
}

impl Drop for Place {
    /// A failed test leaves no process behind.
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.path("pid")) {
            let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap()
}

fn state(service: &dyn Service) -> State {
    service.state().unwrap().remove(0).state
}

fn lives(pid: &Path) -> bool {
    let pid = fs::read_to_string(pid).unwrap();
    fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z"))
}

#[test]
fn commands_start_and_stop_as_often_as_asked() {
    let (place, settings) = (Place::new(), settings(SLEEPER));
    let service = settings.service(place.ground());
    service.check().unwrap();
    assert_eq!(state(&*service), State::Stopped);
    let what = service.running().unwrap();
    for _ in 0..2 {
        service.start(&what).unwrap();
        assert_eq!(state(&*service), State::Running);
        assert!(lives(&place.path("pid")), "the service was killed with its start command");
    }
    for _ in 0..2 {
        assert_eq!(service.stop().unwrap().killed, Vec::<String>::new());
        assert_eq!(state(&*service), State::Stopped);
    }
    service.restart().unwrap();
    assert_eq!(state(&*service), State::Running);
    service.stop().unwrap();
}

#[test]
fn what_a_started_service_writes_has_somewhere_to_go() {
    let place = Place::new();
    // Its third line comes long after the start command has ended.
    let settings = settings(
        r#"
        manager = "command"
        start = "echo begun; (while sleep 0.1; do echo on || exit; done) & echo $! > pid"
        stop = ["sh", "-c", "kill $(cat pid); rm pid"]
        status = "test -e pid && kill -0 $(cat pid) || exit 3"
        "#,
    );
    let service = settings.service(place.ground());
    service.start(&Running::default()).unwrap();
    assert_eq!(place.seen(), ["begun"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while service.log_tail(2).as_deref() != Some("on\non") {
        assert!(Instant::now() < deadline, "{:?}", service.log_tail(5));
        thread::sleep(Duration::from_millis(20));
    }
    assert!(lives(&place.path("pid")));
    service.stop().unwrap();
}

#[test]
fn a_stop_command_that_hangs_is_ended_and_the_service_killed() {
    let place = Place::new();
    let text = SLEEPER.replace("kill $(cat pid); rm pid", "sleep 1000") + "stop-timeout = '300ms'";
    let without = settings(&text);
    let service = without.service(place.ground());
    service.start(&Running::default()).unwrap();
    let error = service.stop().unwrap_err().to_string();
    assert!(error.contains("ran longer than 300 ms and was stopped"), "{error}");
    assert!(lives(&place.path("pid")));

    let with = settings(&format!("{text}\nkill = 'kill -9 $(cat pid); rm pid'"));
    let service = with.service(place.ground());
    assert_eq!(service.stop().unwrap().killed, ["service"]);
    service.start(&Running::default()).unwrap();
    service.restart().unwrap();
    assert_eq!(state(&*service), State::Running);
    assert_eq!(place.seen(), ["warning: the service did not stop in time and was killed"]);
}

#[test]
fn a_stop_that_only_says_so_is_found_out() {
    let place = Place::new();
    let text = SLEEPER.replace("kill $(cat pid); rm pid", "true") + "stop-timeout = '300ms'";
    let settings = settings(&text);
    let service = settings.service(place.ground());
    service.start(&Running::default()).unwrap();
    let error = service.stop().unwrap_err();
    assert!(matches!(error, Error::Service(ServiceError::NotStopped { .. })), "{error}");
    assert!(error.to_string().contains("`status` says that it runs"), "{error}");
}

#[test]
fn a_start_that_fails_shows_what_it_wrote() {
    let place = Place::new();
    let text = SLEEPER.replace("sleep 1000 & echo $! > pid", "echo no such port >&2; exit 7");
    let settings = settings(&text);
    let service = settings.service(place.ground());
    let error = service.start(&Running::default()).unwrap_err().to_string();
    assert!(error.contains("exited with status 7; it wrote last:\n  no such port"), "{error}");
    assert_eq!(place.seen(), ["no such port"]);
}

#[test]
fn a_start_that_never_comes_back_is_ended() {
    let place = Place::new();
    let text = SLEEPER.replace("sleep 1000 & echo $! > pid", "echo $$ > pid; sleep 1000");
    let settings = settings(&(text + "start-timeout = '1s'"));
    let service = settings.service(place.ground());
    let error = service.start(&Running::default()).unwrap_err().to_string();
    assert!(error.contains("`start` command") && error.contains("ran longer"), "{error}");
    assert!(!lives(&place.path("pid")));
    fs::remove_file(place.path("pid")).unwrap();
}

#[test]
fn exit_status_of_status() {
    for (code, expected) in [(0, "running"), (1, "stopped"), (2, "stopped"), (3, "stopped")] {
        let place = Place::new();
        let settings = settings(&SLEEPER.replace("test -e pid &&", &format!("exit {code};")));
        let found = serde_json::to_value(state(&*settings.service(place.ground()))).unwrap();
        assert_eq!(found["state"], expected, "{code}");
    }
    for code in [4, 126, 127] {
        let place = Place::new();
        let text = SLEEPER.replace("test -e pid &&", &format!("echo what; exit {code};"));
        let settings = settings(&text);
        let service = settings.service(place.ground());
        let reason = format!("`status` exited with status {code}: what");
        assert_eq!(state(&*service), State::Unclear { reason: reason.clone() });
        let error = service.check().unwrap_err().to_string();
        assert!(error.contains(&reason), "{error}");
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let place = Place::new();
    let settings = settings(
        r#"
        manager = "command"
        start = ["/nowhere/start"]
        stop = ["/nowhere/stop"]
        status = ["/nowhere/status"]
        "#,
    );
    let error = settings.service(place.ground()).check().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`status`") && text.contains("/nowhere/status"), "{text}");
    assert!(error.hint().unwrap().contains("[deploy.service]"));
}

#[test]
fn the_fence_is_a_file_and_a_command() {
    let place = Place::new();
    let settings =
        settings(&format!("{SLEEPER}\nfence = 'touch fenced'\nunfence = 'rm -f fenced'"));
    let service = settings.service(place.ground());
    let file = place.data.join(".piton").join(FENCE_FILE);
    service.lift_fence().unwrap();
    service.prepare_fence().unwrap();
    assert!(!file.exists());
    for _ in 0..2 {
        service.raise_fence().unwrap();
        assert!(file.exists() && place.path("fenced").exists());
    }
    for _ in 0..2 {
        service.lift_fence().unwrap();
        assert!(!file.exists() && !place.path("fenced").exists());
    }
    service.remove_fence().unwrap();
}

#[test]
fn without_a_service_everything_succeeds() {
    for text in ["manager = 'none'", ""] {
        let settings = if text.is_empty() { Settings::default() } else { settings(text) };
        let place = Place::new();
        let service = settings.service(place.ground());
        service.check().unwrap();
        assert_eq!((service.name().as_str(), service.state().unwrap().len()), ("no service", 0));
        service.raise_fence().unwrap();
        assert!(place.data.join(".piton").join(FENCE_FILE).exists());
        service.stop().unwrap();
        service.lift_fence().unwrap();
        service.start(&service.running().unwrap()).unwrap();
        service.restart().unwrap();
    }
}

#[test]
fn an_interrupt_ends_a_wait() {
    let place = Place::new();
    let stopped = AtomicBool::new(false);
    let clock_asks = || stopped.load(Ordering::Relaxed);
    let clock = System::new(&clock_asks);
    let text = SLEEPER.replace("kill $(cat pid); rm pid", "sleep 1000");
    let settings = settings(&text);
    let service = settings.service(Ground { clock: &clock, ..place.ground() });
    service.start(&Running::default()).unwrap();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            stopped.store(true, Ordering::Relaxed);
        });
        service.stop().unwrap_err()
    });
    assert!(matches!(error, Error::Service(ServiceError::Interrupted { .. })), "{error}");
    assert!(clock.now() < Duration::from_secs(5));
}

#[test]
fn units_have_their_suffix() {
    let text = "manager = 'systemd'\nunits = ['app', 'app@2', 'jobs.timer']\nstop-timeout = '9s'";
    let Settings::Systemd(systemd) = settings(text) else { panic!() };
    assert_eq!(systemd.units, ["app.service", "app@2.service", "jobs.timer"]);
    assert_eq!((systemd.scope, systemd.systemctl), (Scope::System, vec!["systemctl".to_string()]));
    assert_eq!(systemd.stop_timeout, Duration::from_secs(9));
    assert_eq!(systemd.start_timeout, Duration::from_secs(120));
}

#[test]
fn wrong_settings_say_what_is_wrong() {
    let wrong = [
        ("manager = 'systemd'", "`units` lists the service's units"),
        ("manager = 'systemd'\nunits = ['a b']", "`a b` is no name of a unit"),
        ("manager = 'systemd'\nunits = ['--now']", "`--now` is no name of a unit"),
        ("manager = 'systemd'\nunits = ['a', 'a.service']", "lists `a.service` twice"),
        ("manager = 'systemd'\nunits = ['a']\nsystemctl = []", "a program and its arguments"),
        (
            "manager = 'systemd'\nunits = ['a']\nstop = 'x'",
            "`stop` has no meaning with `manager = \"systemd\"`",
        ),
        ("manager = 'command'\nuser = true", "`user` has no meaning with `manager = \"command\"`"),
        ("manager = 'runit'", "unknown variant `runit`"),
        ("stop = 'x'", "missing field `manager`"),
        ("manager = 'none'\nstop = 'x'\nkill = 'y'", "`stop`, `kill` has no meaning"),
        ("manager = 'command'\nstop = 'x'\nstart = 'y'", "needs `status = \"…\"`"),
        ("manager = 'command'\nstop = ''\nstart = 'y'", "an empty line is no command"),
        ("manager = 'command'\nstop = []\nstart = 'y'", "the first word of a list"),
        ("manager = 'command'\nstop = 3", "a line for the shell, or a list"),
        ("manager = 'command'\nstop-timeout = '5'", "`5` is no time"),
        ("manager = 'command'\nstopp = '5'", "unknown field `stopp`"),
        (
            "manager = 'command'\nstop = 'x'\nstart = 'y'\nstatus = 'z'\nfence = 'f'",
            "`fence` and `unfence` belong together",
        ),
    ];
    for (text, expected) in wrong {
        let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n{error}");
    }
}
