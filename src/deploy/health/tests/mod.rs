//! The health check: its order of events under a clock of its own, its probes against real
//! servers, programs and databases.
#![allow(clippy::disallowed_methods)]

mod data;
#[cfg(feature = "http")]
mod network;
#[cfg(feature = "http")]
mod secure;

use super::{Settings, check};
use crate::{
    Result,
    clock::{Clock, System},
    deploy::service::{Ground, Part, Running, Service, State, Stopped},
    error::{Error, ServiceError},
    event::Silent,
};
use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

/// A clock that stands still between pauses.
#[derive(Default)]
struct Steps {
    now: Mutex<Duration>,
    interrupted_at: Option<Duration>,
}

impl Clock for Steps {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn pause(&self, time: Duration) {
        *self.now.lock().unwrap() += time.max(Duration::from_millis(1));
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted_at.is_some_and(|at| self.now() >= at)
    }
}

/// A service that is what a script says at each look; the last entry stays.
struct Scripted {
    script: RefCell<Vec<(State, u32)>>,
    looks: Cell<u32>,
}

impl Scripted {
    fn new(script: &[(State, u32)]) -> Self {
        Self { script: RefCell::new(script.to_vec()), looks: Cell::new(0) }
    }
}

impl Service for Scripted {
    fn name(&self) -> String {
        "app.service".into()
    }

    fn state(&self) -> Result<Vec<Part>> {
        self.looks.set(self.looks.get() + 1);
        let mut script = self.script.borrow_mut();
        let (state, life) = script[0].clone();
        if script.len() > 1 {
            script.remove(0);
        }
        Ok(vec![Part { name: self.name(), state, life: Some(life.to_string()) }])
    }

    fn check(&self) -> Result<()> {
        unreachable!()
    }
    fn running(&self) -> Result<Running> {
        unreachable!()
    }
    fn prepare_fence(&self) -> Result<()> {
        unreachable!()
    }
    fn raise_fence(&self) -> Result<()> {
        unreachable!()
    }
    fn stop(&self) -> Result<Stopped> {
        unreachable!()
    }
    fn lift_fence(&self) -> Result<()> {
        unreachable!()
    }
    fn remove_fence(&self) -> Result<()> {
        unreachable!()
    }
    fn start(&self, _: &Running) -> Result<()> {
        unreachable!()
    }
    fn restart(&self) -> Result<()> {
        unreachable!()
    }
    fn log_tail(&self, _: usize) -> Option<String> {
        unreachable!()
    }
}

fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap()
}

fn ground<'a>(folder: &'a Path, clock: &'a dyn Clock) -> Ground<'a> {
    Ground { root: folder, data: folder, run: folder, environment: &[], clock, observer: &Silent }
}

/// Checks a service by a script, with no probe.
fn watch(script: &[(State, u32)], text: &str) -> (Result<super::Report, String>, Duration) {
    let clock = Steps::default();
    let service = Scripted::new(script);
    let folder = PathBuf::from("/");
    let found = check(&settings(text), &service, &ground(&folder, &clock));
    (found.map_err(|error| error.to_string()), clock.now())
}

/// Asks the one probe of some settings once; its own timeout is the only limit.
fn look(folder: &Path, text: &str) -> Result<(), String> {
    let (clock, settings) = (System::uninterrupted(), settings(text));
    let probe = settings.probes()[0];
    probe.look(&ground(folder, &clock), probe.timeout())
}

/// Checks probes alone, in real time and in a folder.
fn probe(folder: &Path, text: &str) -> Result<super::Report, String> {
    let clock = System::uninterrupted();
    let service = Scripted::new(&[(State::Running, 1)]);
    let found = check(&settings(text), &service, &ground(folder, &clock));
    found.map_err(|error| error.to_string())
}

fn bad(reason: &str) -> State {
    State::Restarting { reason: reason.into() }
}

#[test]
fn good_for_the_window() {
    let (report, time) = watch(&[(State::Running, 1)], "window = '5s'");
    assert_eq!(time, Duration::from_secs(5));
    assert_eq!(report.unwrap().milliseconds, 0);
    let (report, time) = watch(&[(State::Running, 1)], "window = '0s'");
    assert_eq!((time, report.unwrap().looks), (Duration::ZERO, 1));
}

#[test]
fn a_slow_start_is_waited_for() {
    let script = [(State::Starting, 1), (State::Starting, 1), (State::Running, 1)];
    let (report, time) = watch(&script, "window = '2s'\ninterval = '1s'");
    assert_eq!(time, Duration::from_secs(4));
    assert_eq!(report.unwrap().milliseconds, 2000);
}

#[test]
fn the_deadline_is_for_the_first_good_look() {
    let (report, time) = watch(&[(State::Starting, 1)], "deadline = '3s'");
    let text = report.unwrap_err();
    let expected = "the service is not healthy after 3.0 s: app.service: it is still starting";
    assert_eq!(text, expected);
    assert_eq!(time, Duration::from_secs(3));
    // The window may end after it.
    let script = [(State::Starting, 1), (State::Starting, 1), (State::Running, 1)];
    let (report, time) = watch(&script, "deadline = '3s'\nwindow = '9s'\ninterval = '1s'");
    assert!(report.is_ok());
    assert_eq!(time, Duration::from_secs(11));
}

#[test]
fn a_service_that_goes_away_in_its_window_begins_a_new_one() {
    let script = [
        (State::Running, 1),
        (State::Running, 1),
        (bad("exited with status 1"), 1),
        (State::Running, 2),
        (State::Running, 2),
    ];
    let (report, time) = watch(&script, "window = '3s'\ninterval = '1s'");
    // A look later than the one that showed the new life.
    assert_eq!(time, Duration::from_secs(7));
    assert_eq!(report.unwrap().restarts, 1);
    let (report, _) = watch(&script[..3], "window = '3s'\ninterval = '1s'\ndeadline = '5s'");
    let text = report.unwrap_err();
    assert!(text.contains("exited with status 1 and is about to be restarted"), "{text}");
}

#[test]
fn a_restart_between_two_looks_is_seen() {
    let script = [(State::Running, 1), (State::Running, 2), (State::Running, 2)];
    let (report, time) = watch(&script, "window = '2s'\ninterval = '1s'");
    assert_eq!(report.unwrap().restarts, 1);
    assert_eq!(time, Duration::from_secs(4));
}

#[test]
fn one_that_is_restarted_again_and_again_is_given_up() {
    let script: Vec<(State, u32)> = (0..20).map(|life| (State::Running, life)).collect();
    let (report, time) = watch(&script, "interval = '1s'\nrestarts = 2");
    assert!(report.unwrap_err().contains("it was restarted 3 times"));
    assert_eq!(time, Duration::from_secs(3));
}

#[test]
fn one_that_its_manager_gave_up_is_not_waited_for() {
    let failed = State::Failed { reason: "start-limit-hit".into() };
    let (report, time) = watch(&[(State::Starting, 1), (failed, 1)], "interval = '1s'");
    assert!(report.unwrap_err().contains("app.service: start-limit-hit"));
    assert_eq!(time, Duration::from_secs(1));
}

#[test]
fn an_interrupt_ends_the_check() {
    let at = Some(Duration::from_secs(2));
    let clock = Steps { interrupted_at: at, ..Steps::default() };
    let service = Scripted::new(&[(State::Running, 1)]);
    let error = check(&Settings::default(), &service, &ground(Path::new("/"), &clock));
    assert!(matches!(error, Err(Error::Service(ServiceError::Interrupted { .. }))));
    assert_eq!(clock.now(), Duration::from_secs(2));
}

#[test]
fn programs() {
    let folder = tempfile::tempdir().unwrap();
    let run = |text: &str| look(folder.path(), &format!("[[command]]\n{text}"));
    run("run = 'true'").unwrap();
    let text = run("run = 'echo one; echo two >&2; exit 3'").unwrap_err();
    assert!(text.starts_with("exited with status 3\n") && text.contains("one"), "{text}");
    let text = run("run = ['/nowhere/probe', 'x']").unwrap_err();
    assert!(text.starts_with("cannot be run: No such file"), "{text}");
    let text = run("run = 'sleep 100'\ntimeout = '100ms'").unwrap_err();
    assert_eq!(text, "ran longer than 100 ms and was stopped");
}

#[test]
fn a_probe_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let text = "interval = '50ms'\nwindow = '0s'\n[[command]]\n\
        run = 'echo x >> tries; test $(wc -l < tries) -ge 3'";
    let report = probe(folder.path(), text).unwrap();
    assert_eq!(report.looks, 3);
    assert_eq!(report.passed[0], "app.service");
    assert!(report.passed[1].starts_with("command `echo x"), "{:?}", report.passed);
}

#[test]
fn wrong_settings_say_what_is_wrong() {
    let wrong = [
        ("window = 5", "invalid type: integer `5`, expected a string"),
        ("interval = '0s'", "a time of nothing"),
        ("windows = '5s'", "unknown field `windows`"),
        ("[[http]]\nurl = 'localhost:80'", "begins with `http://`"),
        ("[[http]]\nurl = 'http://'", "`http://`"),
        (
            "[[http]]\nurl = 'http://a'\nstatus = 'ok'",
            "`status` is a number such as 200, or a list",
        ),
        ("[[http]]\nurl = 'http://a'\nstatus = 99", "`99` is no HTTP status"),
        ("[[http]]\nurl = 'http://a'\nstatus = []", "no status would be good"),
        ("[[http]]\nurl = 'http://a'\nheader = 'x'", "expected a map"),
        ("[tcp]\naddress = 'localhost:80'", "each under a heading in two brackets"),
        ("[[tcp]]\naddress = 'localhost'", "write host and port"),
        ("[[tcp]]\naddress = 'localhost:99999'", "write host and port"),
        ("[[command]]\nrun = ''", "an empty line is no command"),
        ("[[query]]\ndatabase = '../app.db'\nsql = 'SELECT 1'", "lie inside"),
        ("[[query]]\ndatabase = 'app.db'", "missing field `sql`"),
    ];
    for (text, expected) in wrong {
        let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n{error}");
    }
}
