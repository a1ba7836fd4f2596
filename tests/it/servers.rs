//! Real servers on a loopback port, each started by the test that needs it and ended with it.
//!
//! Where the program of a server is not installed, its tests are skipped and say so, unless
//! PITON_DEMAND_SERVERS is set, as `.ci/run` does.

use crate::programs::skip;
use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A port that nobody listens to, and that no other test gets. Below those that the system gives to
/// whoever connects, so that none is taken between this and the server's start.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let first = u16::try_from(std::process::id() % 200).unwrap() * 100;
        let port = 10_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until somebody listens to a port.
#[track_caller]
pub fn wait_for(port: u16, server: &mut Child) {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(server.try_wait().unwrap().is_none(), "the server has ended");
        assert!(began.elapsed() < Duration::from_secs(60), "the server does not listen");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends a process and all that it has started, without a chance to tidy up.
pub fn kill_all(server: &mut Child) {
    let mut all = vec![server.id()];
    let mut at = 0;
    while at < all.len() {
        all.extend(children_of(all[at]));
        at += 1;
    }
    for id in all {
        let pid = rustix::process::Pid::from_raw(id.cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    server.wait().unwrap();
}

fn children_of(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |id: &u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        line.is_some_and(|line| line.trim() == parent.to_string())
    };
    ids.filter(is_child).collect()
}

/// OpenSSH's server with keys of its own.
pub struct Sshd {
    folder: tempfile::TempDir,
    child: Option<Child>,
    pub port: u16,
    program: PathBuf,
}

impl Sshd {
    /// Starts one; nothing where it is not installed.
    pub fn start() -> Option<Self> {
        let program = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/lib/ssh/sshd"];
        let Some(program) = program.iter().map(Path::new).find(|path| path.exists()) else {
            skip("OpenSSH's sshd is not installed");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("piton-sshd-").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["host", "user", "stranger"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", ""]).arg("-f").arg(path(name));
            assert!(keygen.status().unwrap().success());
        }
        fs::copy(path("user.pub"), path("authorized_keys")).unwrap();
        let port = free_port();
        let host_key = fs::read_to_string(path("host.pub")).unwrap();
        fs::write(path("known_hosts"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n\
             MaxStartups 100\n",
            path("host").display(),
            path("authorized_keys").display(),
        );
        fs::write(path("config"), config).unwrap();
        // Where the daemon locks itself up when it runs as root.
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let program = program.to_path_buf();
        let mut server = Self { folder, child: None, port, program };
        server.restart();
        Some(server)
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("-D").arg("-f").arg(self.path("config")).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_for(self.port, &mut child);
        self.child = Some(child);
    }

    /// Ends it and every connection.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_all(&mut child);
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The user that it lets in: the one who runs the tests.
    pub fn user() -> String {
        let output = Command::new("id").arg("-un").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().into()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An object store in memory: moto.
#[cfg(feature = "s3")]
pub struct Moto {
    child: Option<Child>,
    pub port: u16,
    program: PathBuf,
    options: Vec<String>,
}

#[cfg(feature = "s3")]
impl Moto {
    /// Starts one with an empty bucket `bucket`; nothing where it is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with options of its own; then without the bucket.
    pub fn start_with(options: &[&str]) -> Option<Self> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/moto_server");
        let named = std::env::var_os("PITON_MOTO_SERVER").map(PathBuf::from);
        let Some(program) = named.into_iter().chain([beside]).find(|path| path.exists()) else {
            skip(
                "moto is not installed: `python3 -m venv target/moto`, then `target/moto/bin/pip install 'moto[server]'`",
            );
            return None;
        };
        let options = options.iter().map(ToString::to_string).collect();
        let mut server = Self { child: None, port: free_port(), program, options };
        server.restart();
        Some(server)
    }

    /// Starts it again on the same port; what it held is gone, and the bucket is empty.
    pub fn restart(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(["-H", "127.0.0.1", "-p", &self.port.to_string()]).args(&self.options);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_for(self.port, &mut child);
        self.child = Some(child);
        if self.options.is_empty() {
            let (status, text) = self.ask("PUT", "/bucket", b"");
            assert_eq!(status, 200, "{text}");
        }
    }

    /// Ends it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_all(&mut child);
        }
    }

    /// A request without a signature, which moto does not ask for.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        use std::io::Read;
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\n\
             Connection: close\r\nAuthorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        (status, text.split_once("\r\n\r\n").map(|(_, body)| body.into()).unwrap_or_default())
    }

    /// The keys in the bucket.
    pub fn keys(&self) -> Vec<String> {
        let (_, text) = self.ask("GET", "/bucket?list-type=2", b"");
        let keys = text.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap());
        keys.map(ToString::to_string).collect()
    }

    /// How many uploads in parts have not ended.
    pub fn uploads(&self) -> usize {
        let (_, text) = self.ask("GET", "/bucket?uploads", b"");
        text.matches("<Upload>").count()
    }
}

#[cfg(feature = "s3")]
impl Drop for Moto {
    fn drop(&mut self) {
        self.kill();
    }
}
