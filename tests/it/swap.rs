//! A process that opens a database while a restore exchanges its files: it never has a file that
//! is not the database any more.

use crate::{
    programs::lacks,
    sandbox::{PITON, Ran, Sandbox},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Opens the database that is named, says which file it has, and goes on once it has written.
const SERVICE: &str = "
import os, sqlite3, sys
live = sqlite3.connect(sys.argv[1], timeout=30)
fds = ['/proc/self/fd/' + fd for fd in os.listdir('/proc/self/fd')]
print(*[os.stat(fd).st_ino for fd in fds if '.db' in os.path.realpath(fd)], flush=True)
live.execute('INSERT INTO users (name) VALUES (\"late\")')
live.commit()
print([name for (name,) in live.execute('SELECT name FROM users')], flush=True)
";

const DATABASES: [&str; 2] = ["app.db", "notes.db"];

/// A restore of two databases that waits at a point, and the data as it was before it.
struct Stopped {
    sandbox: Sandbox,
    child: Child,
}

fn changed() -> (Sandbox, String) {
    let sandbox = Sandbox::with_users();
    let make = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)";
    sandbox.execute("notes.db", make);
    let id = sandbox.back_up();
    for name in DATABASES {
        sandbox.execute(name, "INSERT INTO users (name) VALUES ('cy')");
    }
    (sandbox, id)
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let clock = Instant::now();
    while !is() {
        assert!(clock.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(5));
    }
}

fn stopped_at(faults: &str) -> Stopped {
    let (sandbox, id) = changed();
    let mut command = sandbox.command(&format!("restore {id} --yes"));
    command.env("PITON_FAULT", faults).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    until("it never stops", || fs::read_to_string(&stat).unwrap().contains(") T "));
    Stopped { sandbox, child }
}

impl Stopped {
    /// A service that comes to a database now, and waits in opening it.
    fn waiting_for(&self, database: &str) -> Child {
        let service = self.service(database);
        let pid = format!(" {} ", service.id());
        until("it does not wait", || {
            let locks = fs::read_to_string("/proc/locks").unwrap();
            locks.lines().any(|line| line.contains("BREAKER") && line.contains(&pid))
        });
        service
    }

    fn service(&self, database: &str) -> Child {
        let mut command = self.sandbox.program("python3");
        command.args(["-c", SERVICE, &format!("data/{database}")]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }

    fn go_on(self) -> (Sandbox, Ran) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
        let ran = self.sandbox.ended(self.child);
        (self.sandbox, ran)
    }
}

/// The service has the file that has the name, with this many rows beside its own.
fn works(sandbox: &Sandbox, mut service: Child, database: &str, rows: usize) {
    let mut said = String::new();
    service.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(service.wait().unwrap().success(), "{said}");
    let live = fs::metadata(sandbox.path(&format!("data/{database}"))).unwrap();
    let (opened, names) = said.split_once('\n').unwrap();
    assert_eq!(opened, live.ino().to_string());
    assert!(names.contains("'late'") && names.matches('\'').count() == 2 * (rows + 1), "{names}");
    assert_eq!(sandbox.query(database, "SELECT count(*) FROM users"), (rows + 1).to_string());
}

fn rows(sandbox: &Sandbox) -> [String; 2] {
    DATABASES.map(|name| sandbox.query(name, "SELECT count(*) FROM users"))
}

#[test]
fn who_opens_an_old_file_gets_it_back_and_is_named() {
    if lacks("python3") {
        return;
    }
    // Before the first name changes, between the first and the second, and before the last.
    for (point, database) in [
        ("keep:1", "app.db"),
        ("keep:2", "notes.db"),
        ("place:1", "app.db"),
        ("place:1", "notes.db"),
        ("place:2", "notes.db"),
    ] {
        let stopped = stopped_at(&format!("{point}:stop"));
        let service = stopped.waiting_for(database);
        let pid = service.id();
        let (sandbox, ran) = stopped.go_on();
        let ran = ran.code(9).one_error();
        ran.says("the data is as before")
            .says(&format!("`{database}` by pid {pid} ("))
            .says("which was just opening it");
        let before = if database == "app.db" { 3 } else { 1 };
        works(&sandbox, service, database, before);
        let mut now = ["3".to_string(), "1".to_string()];
        now[usize::from(database == "notes.db")] = (before + 1).to_string();
        assert_eq!(rows(&sandbox), now, "{point}");
        assert!(!sandbox.exists("data/.piton/restore.json"));
        sandbox.run("restore latest --yes").success();
    }
}

#[test]
fn who_opens_a_new_file_waits_until_it_is_there_to_stay() {
    if lacks("python3") {
        return;
    }
    for point in ["place:2", "journal-end:1"] {
        let stopped = stopped_at(&format!("{point}:stop"));
        let service = stopped.waiting_for("app.db");
        let (sandbox, ran) = stopped.go_on();
        ran.success();
        works(&sandbox, service, "app.db", 2);
        assert_eq!(rows(&sandbox)[1], "0", "{point}");
    }
}

#[test]
fn who_has_given_up_is_said_all_the_same() {
    if lacks("python3") {
        return;
    }
    let stopped = stopped_at("place:1:stop");
    let mut service = stopped.waiting_for("app.db");
    service.kill().unwrap();
    service.wait().unwrap();
    let (sandbox, ran) = stopped.go_on();
    ran.code(9).one_error().says("`app.db` was opened while it was being replaced");
    assert_eq!(rows(&sandbox), ["3", "1"]);
}

#[test]
fn without_leases_whoever_has_an_old_file_open_is_found_by_looking() {
    if lacks("python3") {
        return;
    }
    for number in [libc_numbers::EINVAL, libc_numbers::EACCES, libc_numbers::ENOLCK] {
        let stopped = stopped_at(&format!("lease:1:{number}+,place:1:stop"));
        let service = stopped.service("app.db");
        let opened = format!("/proc/{}/fd", service.id());
        until("it does not open it", || {
            let links = fs::read_dir(&opened).into_iter().flatten().flatten();
            links
                .filter_map(|link| fs::read_link(link.path()).ok())
                .any(|it| it.ends_with("app.db"))
        });
        let pid = service.id();
        let (sandbox, ran) = stopped.go_on();
        ran.code(9).one_error().says(&format!("`app.db` by pid {pid} ("));
        works(&sandbox, service, "app.db", 3);

        let (sandbox, id) = changed();
        let mut command = sandbox.command(&format!("restore {id} --yes"));
        command.env("PITON_FAULT", format!("lease:1:{number}+"));
        sandbox.finish(command).success();
        assert_eq!(rows(&sandbox), ["2", "0"]);
    }
}

/// Error numbers of Linux, as the binary is told them.
mod libc_numbers {
    pub const EACCES: i32 = 13;
    pub const EINVAL: i32 = 22;
    pub const ENOLCK: i32 = 37;
}

/// A file that is mapped stays open without a descriptor that anybody could find.
const MAPPED: &str = "
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
file = os.open(sys.argv[1], os.O_RDWR)
# PROT_READ, MAP_SHARED
assert libc.mmap(None, ctypes.c_size_t(4096), 1, 1, file, ctypes.c_long(0)) != -1
os.close(file)
print('ready', flush=True)
sys.stdin.read()
";

fn mapped(sandbox: &Sandbox, database: &str) -> Child {
    let mut command = sandbox.program("python3");
    command.args(["-c", MAPPED, &format!("data/{database}")]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    child
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn a_database_that_is_only_mapped_is_held() {
    if lacks("python3") {
        return;
    }
    let (sandbox, id) = changed();
    let child = mapped(&sandbox, "app.db");
    let ran = sandbox.run(&format!("restore {id} --yes")).code(9).one_error();
    ran.says("`app.db` is in use by a process that cannot be seen from here");
    assert_eq!(rows(&sandbox), ["3", "1"]);
    end(child);
    sandbox.run(&format!("restore {id} --yes")).success();
}

#[test]
fn a_recovery_replaces_nothing_under_a_holder_either() {
    if lacks("python3") {
        return;
    }
    let (sandbox, id) = changed();
    let mut command = sandbox.command(&format!("restore {id} --yes"));
    command.env("PITON_FAULT", "place:2:kill");
    sandbox.finish(command).killed();
    // The first is new already, the second still old.
    let old = mapped(&sandbox, "notes.db");
    let ran = sandbox.run("recover").code(9).one_error();
    ran.says("`notes.db` is in use by a process that cannot be seen from here");
    end(old);
    let new = mapped(&sandbox, "app.db");
    sandbox.run("recover").success();
    assert_eq!(rows(&sandbox), ["2", "0"]);
    end(new);
}

/// A lease is for the owner, and a database need not be the service's.
#[test]
fn a_database_of_another_user_is_restored_without_a_lease() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("LEFT OUT: acting for other users needs root");
        return;
    }
    let (sandbox, id) = changed();
    let all = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    all(&sandbox.path(""), 0o755);
    for entry in walkdir::WalkDir::new(sandbox.path("")) {
        std::os::unix::fs::lchown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let live = sandbox.path("data/app.db");
    std::os::unix::fs::chown(&live, Some(0), Some(0)).unwrap();
    all(&live, 0o666);
    let mut command = Command::new("setpriv");
    let user = NOBODY.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", PITON]);
    command.args(["restore", &id, "--yes"]).current_dir(sandbox.path(""));
    sandbox.finish(command).success();
    assert_eq!(rows(&sandbox), ["2", "0"]);
    assert_eq!(fs::metadata(&live).unwrap().uid(), NOBODY);
}
