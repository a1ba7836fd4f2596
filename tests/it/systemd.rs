//! Units of a real systemd. Not run by default: they need root on a machine that systemd runs and
//! that may be thrown away.

use piton::{
    clock::{Clock, System},
    deploy::{
        health,
        service::{Ground, Part, Running, Service, Settings, State},
    },
    event::{Event, Observer},
};
use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// Warnings that came.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn event(&self, event: Event) {
        if let Event::Warning { text } = event {
            self.0.lock().unwrap().push(text);
        }
    }
}

/// Unit files and a data directory of one test; both are gone at its end.
struct Machine {
    folder: tempfile::TempDir,
    data: PathBuf,
    units: PathBuf,
    names: Vec<String>,
    clock: System<'static>,
    warnings: Warnings,
    user: &'static [&'static str],
}

impl Machine {
    /// Units are named after the test, so that tests may run at the same time.
    fn new(units: &[(&str, &str)]) -> Self {
        Self::with(units, Path::new("/etc/systemd/system"), &[])
    }

    fn with(units: &[(&str, &str)], folder: &Path, user: &'static [&'static str]) -> Self {
        let temporary = tempfile::Builder::new().prefix("da ta%").tempdir().unwrap();
        let data = temporary.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::create_dir_all(folder).unwrap();
        let mut machine = Self {
            folder: temporary,
            data,
            units: folder.into(),
            names: Vec::new(),
            clock: System::uninterrupted(),
            warnings: Warnings::default(),
            user,
        };
        for (name, text) in units {
            machine.write(name, text);
        }
        machine.systemctl(&["daemon-reload"]);
        machine
    }

    fn write(&mut self, name: &str, text: &str) {
        let log = self.log_file();
        let text = text.replace("LOG", log.to_str().unwrap()).replace('%', "%%");
        fs::write(self.units.join(name), text).unwrap();
        self.names.push(name.into());
    }

    fn log_file(&self) -> PathBuf {
        // Without the blank and the per cent sign of the data directory: this is for a shell.
        let name = self.folder.path().to_str().unwrap().replace([' ', '%', '/'], "");
        PathBuf::from(format!("/run/{name}.log"))
    }

    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.log_file()).unwrap_or_default();
        text.lines().map(ToString::to_string).collect()
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            root: self.folder.path(),
            data: &self.data,
            run: Path::new("/run"),
            environment: &[],
            clock: &self.clock,
            observer: &self.warnings,
        }
    }

    fn systemctl(&self, words: &[&str]) -> bool {
        let mut command = Command::new("systemctl");
        command.env("XDG_RUNTIME_DIR", "/run/user/0").args(self.user).args(words);
        command.output().unwrap().status.success()
    }

    fn is_active(&self, unit: &str) -> bool {
        self.systemctl(&["is-active", "--quiet", unit])
    }

    fn drop_ins(&self) -> Vec<PathBuf> {
        let run = match self.user {
            [] => "/run/systemd/system",
            _ => "/run/user/0/systemd/user",
        };
        let all =
            walkdir::WalkDir::new(run).into_iter().flatten().map(walkdir::DirEntry::into_path);
        let mut ours: Vec<PathBuf> = all
            .filter(|path| {
                let unit = path.parent().and_then(|it| it.file_name()).unwrap_or_default();
                let unit = unit.to_str().unwrap().trim_end_matches(".d");
                self.names.iter().any(|name| name == unit) && path.is_file()
            })
            .collect();
        ours.sort();
        ours
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for name in &self.names {
            self.systemctl(&["kill", "-s", "KILL", name]);
            self.systemctl(&["stop", name]);
            let _ = fs::remove_file(self.units.join(name));
            self.systemctl(&["reset-failed", name]);
        }
        let _ = fs::remove_file(self.log_file());
        for path in self.drop_ins() {
            let _ = fs::remove_file(path);
        }
        self.systemctl(&["daemon-reload"]);
    }
}

fn settings(text: &str) -> Settings {
    toml::from_str(&format!("manager = 'systemd'\n{text}")).unwrap()
}

fn part(service: &dyn Service) -> Part {
    service.state().unwrap().remove(0)
}

#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A unit that says when it starts and when it has stopped.
fn telling(name: &str, more: &str) -> String {
    format!(
        "[Unit]\n{more}\n[Service]\nExecStartPre=/bin/sh -c 'echo start {name} >> LOG'\n\
         ExecStart=/bin/sleep 1000\nExecStopPost=/bin/sh -c 'echo stop {name} >> LOG'\n"
    )
}

#[test]
#[ignore = "needs a machine that systemd runs"]
fn several_units_stop_in_the_reverse_order() {
    let machine = Machine::new(&[
        ("order-a.service", &telling("a", "")),
        ("order-b.service", &telling("b", "")),
    ]);
    let settings = settings("units = ['order-a', 'order-b.service']");
    let service = settings.service(machine.ground());
    assert_eq!(service.name(), "`order-a.service`, `order-b.service`");
    service.check().unwrap();
    assert!(service.state().unwrap().iter().all(|part| part.state == State::Stopped));
    let what = service.running().unwrap();
    for _ in 0..2 {
        service.start(&what).unwrap();
        assert!(service.state().unwrap().iter().all(|part| part.state == State::Running));
    }
    for _ in 0..2 {
        assert_eq!(service.stop().unwrap().killed, Vec::<String>::new());
        assert!(service.state().unwrap().iter().all(|part| part.state == State::Stopped));
    }
    assert_eq!(machine.log(), ["start a", "start b", "stop b", "stop a"]);
    service.start(&what).unwrap();
    let life = part(&*service).life;
    service.restart().unwrap();
    assert_ne!(part(&*service).life, life);
    assert!(machine.is_active("order-b.service"));
}

#[test]
#[ignore = "needs a machine that systemd runs"]
fn what_starts_it_stops_too_and_comes_back_only_if_it_stood() {
    let machine = Machine::new(&[
        ("kin.service", &telling("kin", "")),
        ("kin.socket", "[Socket]\nListenStream=127.0.0.1:7771\n"),
        ("kin.timer", "[Timer]\nOnCalendar=hourly\n"),
        ("kin.path", "[Path]\nPathExists=/nowhere\n"),
        ("kin-part.service", &telling("part", "PartOf=kin.service")),
        ("kin-needs.service", &telling("needs", "Requires=kin.service\nAfter=kin.service")),
    ]);
    for unit in ["kin.socket", "kin.service", "kin.timer", "kin-needs.service"] {
        assert!(machine.systemctl(&["start", unit]), "{unit}");
    }
    let settings = settings("units = ['kin']");
    let service = settings.service(machine.ground());
    let what = service.running().unwrap();
    assert_eq!(what.units, ["kin.socket", "kin.service", "kin-needs.service", "kin.timer"]);
    let kept = serde_json::to_string(&what).unwrap();
    service.stop().unwrap();
    for unit in &what.units {
        assert!(!machine.is_active(unit), "{unit}");
    }
    assert_eq!(service.running().unwrap().units, ["kin.service"]);
    let what: Running = serde_json::from_str(&kept).unwrap();
    service.start(&what).unwrap();
    for unit in &what.units {
        assert!(machine.is_active(unit), "{unit}");
    }
    assert!(!machine.is_active("kin.path") && !machine.is_active("kin-part.service"));
}

#[test]
#[ignore = "needs a machine that systemd runs"]
fn nothing_gets_over_the_fence() {
    let machine = Machine::new(&[
        ("fence.service", "[Service]\nExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=1\n"),
        ("fence.socket", "[Socket]\nListenStream=127.0.0.1:7772\n"),
        ("fence.timer", "[Timer]\nOnActiveSec=1s\nOnUnitInactiveSec=1s\nAccuracySec=10ms\n"),
    ]);
    machine.systemctl(&["start", "fence.socket", "fence.service"]);
    let settings = settings("units = ['fence']");
    let service = settings.service(machine.ground());
    service.check().unwrap();
    assert_eq!(machine.drop_ins(), Vec::<PathBuf>::new(), "the check changed something");
    service.prepare_fence().unwrap();
    assert_eq!(machine.drop_ins().len(), 3, "{:?}", machine.drop_ins());
    service.prepare_fence().unwrap();
    let what = service.running().unwrap();
    service.raise_fence().unwrap();
    assert!(machine.is_active("fence.service"), "the fence ended what ran");
    // It was killed and would be restarted: the fence alone holds it.
    machine.systemctl(&["kill", "-s", "KILL", "fence.service"]);
    thread::sleep(Duration::from_millis(1500));
    assert!(!machine.is_active("fence.service"), "an automatic restart");
    service.stop().unwrap();
    for verb in ["start", "restart", "reload-or-restart", "try-restart"] {
        machine.systemctl(&[verb, "fence.service"]);
        assert!(!machine.is_active("fence.service"), "{verb}");
    }
    assert!(!machine.systemctl(&["start", "fence.socket"]));
    let _ = TcpStream::connect("127.0.0.1:7772");
    machine.systemctl(&["start", "fence.timer"]);
    thread::sleep(Duration::from_millis(1500));
    assert!(!machine.is_active("fence.service"), "a socket or a timer");
    let error = service.start(&what).unwrap_err().to_string();
    assert!(error.contains("Assertion failed"), "{error}");
    service.stop().unwrap();

    service.lift_fence().unwrap();
    service.start(&what).unwrap();
    assert!(machine.is_active("fence.service") && machine.is_active("fence.socket"));
    service.remove_fence().unwrap();
    service.remove_fence().unwrap();
    assert_eq!(machine.drop_ins(), Vec::<PathBuf>::new());
    // What is loaded knows the fence no more.
    service.raise_fence().unwrap();
    assert!(machine.systemctl(&["restart", "fence.service"]));
}

#[test]
#[ignore = "needs a machine that systemd runs"]
fn a_unit_file_may_heed_the_fence_itself() {
    let mut machine = Machine::new(&[]);
    let fence = machine.data.join(".piton/fence");
    let line = format!("AssertPathExists=!{}", fence.to_str().unwrap());
    machine.write("built-in.service", &telling("x", &line));
    machine.systemctl(&["daemon-reload"]);
    let settings = settings("units = ['built-in']");
    let service = settings.service(machine.ground());
    service.prepare_fence().unwrap();
    assert_eq!(machine.drop_ins(), Vec::<PathBuf>::new());
    service.raise_fence().unwrap();
    assert!(!machine.systemctl(&["start", "built-in.service"]));
    service.lift_fence().unwrap();
    assert!(machine.systemctl(&["start", "built-in.service"]));
}

#[test]
#[ignore = "needs a machine that systemd runs"]
fn one_that_does_not_stop_is_killed() {
    let machine = Machine::new(&[(
        "hang.service",
        "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n\
         TimeoutStopSec=infinity\nRestart=always\n",
    )]);
    let settings = settings("units = ['hang']\nstop-timeout = '1s'");
    let service = settings.service(machine.ground());
    service.start(&service.running().unwrap()).unwrap();
    thread::sleep(Duration::from_millis(300));
    let began = machine.clock.now();
    assert_eq!(service.stop().unwrap().killed, ["hang.service"]);
    assert!(machine.clock.now() - began < Duration::from_secs(5));
    assert!(part(&*service).state.is_stopped());
}

#[test]
#[ignore = "needs a machine that systemd runs"]
fn one_that_crashes_at_once_is_unhealthy_soon_and_can_be_started_when_mended() {
    let mut machine = Machine::new(&[(
        "crash.service",
        "[Service]\nExecStart=/bin/sh -c 'echo no such table >&2; exit 3'\nRestart=always\n",
    )]);
    let settings = settings("units = ['crash']");
    let service = settings.service(machine.ground());
    let what = service.running().unwrap();
    service.start(&what).unwrap();
    let began = machine.clock.now();
    let error = health::check(&health::Settings::default(), &*service, &machine.ground());
    let text = error.unwrap_err().to_string();
    assert!(text.contains("crash.service: exited with status 3"), "{text}");
    assert!(machine.clock.now() - began < Duration::from_secs(10), "it took too long");
    eventually("the limit of starts", || matches!(part(&*service).state, State::Failed { .. }));
    assert!(service.log_tail(20).unwrap().contains("no such table"));
    service.stop().unwrap();
    drop(service);
    // The new release brings a new unit file, and nobody tells systemd.
    machine.write("crash.service", "[Service]\nExecStart=/bin/sleep 1000\n");
    let service = settings.service(machine.ground());
    service.start(&what).unwrap();
    let quick: health::Settings = toml::from_str("window = '1s'").unwrap();
    let report = health::check(&quick, &*service, &machine.ground()).unwrap();
    assert_eq!((report.restarts, report.passed), (0, vec!["crash.service".to_string()]));
}

#[test]
#[ignore = "needs a machine that systemd runs"]
fn a_restart_within_the_window_is_seen() {
    let machine = Machine::new(&[(
        "flap.service",
        "[Service]\nExecStart=/bin/sleep 0.4\nRestart=always\nRestartSec=10ms\n\
         [Unit]\nStartLimitIntervalSec=0\n",
    )]);
    let settings = settings("units = ['flap']");
    let service = settings.service(machine.ground());
    service.start(&service.running().unwrap()).unwrap();
    let health: health::Settings = toml::from_str("interval = '100ms'").unwrap();
    let text = health::check(&health, &*service, &machine.ground()).unwrap_err().to_string();
    assert!(text.contains("it was restarted 4 times"), "{text}");
}

#[test]
#[ignore = "needs a machine that systemd runs"]
fn what_cannot_be_managed_is_said_beforehand() {
    let machine = Machine::new(&[
        ("job.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n"),
        (
            "held.service",
            "[Unit]\nConditionPathExists=/nowhere\n[Service]\nExecStart=/bin/true\n\
             [Install]\nWantedBy=multi-user.target\n",
        ),
        ("bad.service", "[Service]\nType=simple\n"),
        ("gone.service", ""),
    ]);
    fs::remove_file(machine.units.join("gone.service")).unwrap();
    std::os::unix::fs::symlink("/dev/null", machine.units.join("gone.service")).unwrap();
    machine.systemctl(&["daemon-reload"]);
    let refused = |unit: &str| {
        let settings = settings(&format!("units = ['{unit}']"));
        let error = settings.service(machine.ground()).check().unwrap_err();
        (error.to_string(), error.hint().unwrap(), error.kind())
    };
    let (text, hint, kind) = refused("no-such");
    assert_eq!(text, "there is no unit `no-such.service`");
    assert!(hint.contains("systemctl status no-such.service"), "{hint}");
    assert_eq!(kind, piton::Kind::Usage);
    assert!(refused("job").0.contains("Type=oneshot"));
    assert!(refused("bad").0.contains("bad-setting"), "{}", refused("bad").0);
    assert!(refused("gone").0.contains("it is masked"), "{}", refused("gone").0);
    // systemd forgets about a unit that nobody refers to.
    machine.systemctl(&["enable", "held.service"]);
    let settings_of = settings("units = ['held']");
    let service = settings_of.service(machine.ground());
    service.start(&service.running().unwrap()).unwrap();
    let State::Failed { reason } = part(&*service).state else { panic!() };
    assert!(reason.contains("ConditionResult=no"), "{reason}");
    machine.systemctl(&["disable", "held.service"]);
    let tool = settings("units = ['held']\nsystemctl = ['/nowhere/systemctl']");
    let error = tool.service(machine.ground()).check().unwrap_err().to_string();
    assert!(error.contains("cannot run `/nowhere/systemctl`: No such file"), "{error}");
}

#[test]
#[ignore = "needs a machine that systemd runs"]
fn units_of_a_user() {
    // A session brings the user's systemd. It ends when its input does, at the end of the test.
    let mut session = Command::new("runuser");
    let session = session.args(["-l", "root", "-c", "cat"]).stdin(Stdio::piped());
    let mut session = session.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the session", || {
        let mut ask = Command::new("systemctl");
        ask.env("XDG_RUNTIME_DIR", "/run/user/0").args(["--user", "show", "--property=Version"]);
        ask.output().is_ok_and(|it| it.status.success())
    });
    let folder = Path::new("/root/.config/systemd/user");
    let units = [("mine.service", telling("mine", ""))];
    let units = units.each_ref().map(|(name, text)| (*name, text.as_str()));
    let machine = Machine::with(&units, folder, &["--user"]);
    let settings = settings("units = ['mine']\nuser = true");
    let service = settings.service(machine.ground());
    service.check().unwrap();
    let warnings = machine.warnings.0.lock().unwrap().clone();
    assert!(warnings[0].contains("`loginctl enable-linger`"), "{warnings:?}");
    let what = service.running().unwrap();
    service.prepare_fence().unwrap();
    assert_eq!(machine.drop_ins().len(), 1);
    service.start(&what).unwrap();
    service.raise_fence().unwrap();
    service.stop().unwrap();
    assert!(!machine.systemctl(&["start", "mine.service"]));
    service.lift_fence().unwrap();
    service.start(&what).unwrap();
    assert!(machine.is_active("mine.service"));
    service.remove_fence().unwrap();
    assert_eq!(machine.drop_ins(), Vec::<PathBuf>::new());
    drop(session.stdin.take());
    session.wait().unwrap();
}

/// What a deploy asks of a service, over and over: the part that is killed in the next test.
#[test]
#[ignore = "is started by the next test"]
fn the_victim() {
    let Ok(data) = std::env::var("PITON_VICTIM") else { return };
    let settings = settings("units = ['victim']");
    let (clock, warnings) = (System::uninterrupted(), Warnings::default());
    let data = Path::new(&data);
    let run = Path::new("/run");
    let (clock, observer) = (&clock, &warnings);
    let ground = Ground { root: data, data, run, environment: &[], clock, observer };
    let service = settings.service(ground);
    let what = Running { units: vec!["victim.socket".into(), "victim.service".into()] };
    loop {
        service.prepare_fence().unwrap();
        service.raise_fence().unwrap();
        service.stop().unwrap();
        service.lift_fence().unwrap();
        service.start(&what).unwrap();
        service.remove_fence().unwrap();
    }
}

#[test]
#[ignore = "needs a machine that systemd runs"]
fn killed_anywhere_it_can_be_done_again() {
    let machine = Machine::new(&[
        ("victim.service", "[Service]\nExecStart=/bin/sleep 1000\nRestart=always\n"),
        ("victim.socket", "[Socket]\nListenStream=127.0.0.1:7773\n"),
    ]);
    let settings = settings("units = ['victim']");
    let service = settings.service(machine.ground());
    let what = Running { units: vec!["victim.socket".into(), "victim.service".into()] };
    for trial in 0..30 {
        let mut victim = Command::new(std::env::current_exe().unwrap());
        victim.args(["--ignored", "--exact", "systemd::the_victim"]);
        victim.env("PITON_VICTIM", &machine.data).stdout(Stdio::null()).stderr(Stdio::null());
        let mut victim = victim.spawn().unwrap();
        thread::sleep(Duration::from_millis(20 + trial * 29));
        assert!(victim.try_wait().unwrap().is_none(), "the victim failed by itself");
        victim.kill().unwrap();
        victim.wait().unwrap();

        service.prepare_fence().unwrap();
        service.raise_fence().unwrap();
        service.stop().unwrap();
        assert!(part(&*service).state.is_stopped(), "trial {trial}");
        assert!(!machine.systemctl(&["start", "victim.service"]), "trial {trial}");
        assert!(!machine.systemctl(&["start", "victim.socket"]), "trial {trial}");
        service.lift_fence().unwrap();
        service.start(&what).unwrap();
        assert!(machine.is_active("victim.service") && machine.is_active("victim.socket"));
        service.remove_fence().unwrap();
        assert_eq!(machine.drop_ins(), Vec::<PathBuf>::new(), "trial {trial}");
    }
}
