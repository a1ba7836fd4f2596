//! A project in a temporary folder, and the binary run in it with a clean environment.
//!
//! It must never read the developer's own environment: the same test gives the same output anywhere.

use crate::placeholders::replaced;
use rusqlite::{Connection, types::Value};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt::Write,
    fs,
    hash::{DefaultHasher, Hasher},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use tempfile::TempDir;

/// The binary under test.
pub const PITON: &str = env!("CARGO_BIN_EXE_piton");

/// A small history that most tests begin with.
pub const USERS: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n\
                         INSERT INTO users (name) VALUES ('ann'), ('bob');\n";

/// Every file of a folder with its length and a hash of its content.
pub type Files = BTreeMap<PathBuf, (usize, u64)>;

/// A project in a temporary folder.
pub struct Sandbox {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Sandbox {
    /// An empty migrations folder, and nothing else.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("piton-it-").tempdir().unwrap();
        fs::create_dir(folder.path().join("migrations")).unwrap();
        Self { folder, variables: Vec::new() }
    }

    /// A project whose one migration [`USERS`] has run.
    pub fn with_users() -> Self {
        let sandbox = Self::new().migration("001_users.sql", USERS);
        sandbox.run("up").success();
        sandbox
    }

    /// A project without even a migrations folder.
    pub fn bare() -> Self {
        let sandbox = Self::new();
        fs::remove_dir(sandbox.path("migrations")).unwrap();
        sandbox
    }

    pub fn migration(self, name: &str, text: &str) -> Self {
        self.file(&format!("migrations/{name}"), text)
    }

    pub fn script(self, name: &str, text: &str) -> Self {
        self.file(&format!("scripts/{name}"), text)
    }

    pub fn config(self, text: &str) -> Self {
        self.file("piton.toml", text)
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// A file with its folders; one that begins with `#!` is executable.
    pub fn file(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text.as_ref()).unwrap();
        if text.as_ref().starts_with(b"#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn remove(&self, name: &str) {
        let path = self.path(name);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// A command in the project with nothing in its environment but PATH.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// The binary with words that are split at spaces.
    pub fn command(&self, words: &str) -> Command {
        let mut command = self.program(PITON);
        command.args(words.split_whitespace());
        command
    }

    pub fn run(&self, words: &str) -> Ran {
        self.finish(self.command(words))
    }

    /// The binary in the background, its output kept for [`Sandbox::ended`]. It hears INT and HUP even
    /// where whoever started the tests ignores them, as a shell for what runs in its background does,
    /// and `nohup`.
    #[expect(unsafe_code, reason = "signal(2) is one of the calls that may be made there")]
    pub fn start(&self, words: &str) -> Child {
        use std::os::unix::process::CommandExt;
        let mut command = self.command(words);
        // SAFETY: the functions make system calls alone and touch no memory.
        unsafe {
            command.pre_exec(|| {
                for signal in [libc::SIGINT, libc::SIGHUP] {
                    if libc::signal(signal, libc::SIG_DFL) == libc::SIG_ERR {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn finish(&self, mut command: Command) -> Ran {
        let output = command.output().unwrap();
        self.ran(&words(&command), &output)
    }

    pub fn ended(&self, child: Child) -> Ran {
        self.ran("a command in the background", &child.wait_with_output().unwrap())
    }

    fn ran(&self, words: &str, output: &Output) -> Ran {
        let root = self.folder.path().to_str().unwrap();
        let text =
            |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(root, "[ROOT]");
        Ran {
            words: words.into(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            status: output.status.code(),
        }
    }

    /// A connection to a database of the data directory, which is made if need be.
    pub fn database(&self, name: &str) -> Connection {
        let path = self.path("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        Connection::open(path).unwrap()
    }

    pub fn execute(&self, name: &str, sql: &str) {
        self.database(name).execute_batch(sql).unwrap();
    }

    pub fn query(&self, name: &str, sql: &str) -> String {
        rows(&self.database(name), sql).join("\n")
    }

    /// Schema and rows of a database as text; piton's own table is left out.
    pub fn dump(&self, name: &str) -> String {
        dump(&self.path("data").join(name))
    }

    /// Every file of the data directory but piton's own.
    pub fn data(&self) -> Files {
        files(&self.path("data"))
    }

    /// Schema and rows of every database, and every other file.
    pub fn content(&self) -> (Vec<String>, Files) {
        let (databases, files): (Files, Files) = self
            .data()
            .into_iter()
            .partition(|(path, _)| path.extension().is_some_and(|it| it == "db"));
        (databases.keys().map(|path| self.dump(path.to_str().unwrap())).collect(), files)
    }

    /// Takes a backup and returns its id.
    pub fn back_up(&self) -> String {
        let document = self.run("backup --json").success().json();
        document["backup"]["manifest"]["id"].as_str().unwrap().into()
    }

    /// The ids of the backups, newest first.
    pub fn backups(&self) -> Vec<String> {
        let document = self.run("backups --json").success().json();
        let backups = document["backups"].as_array().unwrap();
        backups.iter().map(|backup| backup["manifest"]["id"].as_str().unwrap().into()).collect()
    }

    /// The archive of a backup.
    pub fn archive(&self, id: &str) -> PathBuf {
        let paths =
            [".tar.gz", ".tar.zst", ".tar"].map(|end| self.path(&format!("backups/{id}{end}")));
        let [first, ..] = &paths;
        paths.iter().find(|path| path.exists()).unwrap_or(first).clone()
    }
}

/// Every file below a folder with its content, piton's own folder left out.
pub fn files(folder: &Path) -> Files {
    let entries = walkdir::WalkDir::new(folder).into_iter();
    entries
        .filter_entry(|entry| !entry.file_name().to_string_lossy().starts_with(".piton"))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).unwrap().to_path_buf();
            let bytes = fs::read(entry.path()).unwrap();
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            (name, (bytes.len(), hasher.finish()))
        })
        .collect()
}

/// Schema and rows of a database as text; piton's own table is left out.
pub fn dump(path: &Path) -> String {
    let connection = Connection::open(path).unwrap();
    let ours = "name LIKE '\\_piton\\_%' ESCAPE '\\' OR tbl_name LIKE '\\_piton\\_%' ESCAPE '\\'";
    let schema =
        format!("SELECT type, name, sql FROM sqlite_schema WHERE NOT ({ours}) ORDER BY 1, 2");
    let mut text = rows(&connection, &schema).join("\n");
    let tables =
        format!("SELECT name FROM sqlite_schema WHERE type = 'table' AND NOT ({ours}) ORDER BY 1");
    for table in rows(&connection, &tables) {
        let found = rows(&connection, &format!("SELECT * FROM \"{table}\" ORDER BY rowid"));
        write!(text, "\n{table}:\n{}", found.join("\n")).unwrap();
    }
    text
}

/// The rows of a query, columns joined by `|`.
pub fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let text = |value: Value| match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text,
        Value::Blob(bytes) => format!("{bytes:02x?}"),
    };
    let found = statement.query_map([], |row| {
        let values: Result<Vec<String>, _> = (0..columns).map(|at| row.get(at).map(text)).collect();
        Ok(values?.join("|"))
    });
    found.unwrap().map(Result::unwrap).collect()
}

fn words(command: &Command) -> String {
    let words = command.get_args().map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
}

/// What a command left: its output, and how it ended.
pub struct Ran {
    words: String,
    pub stdout: String,
    pub stderr: String,
    pub status: Option<i32>,
}

impl Ran {
    #[track_caller]
    pub fn success(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, wanted: i32) -> Self {
        assert_eq!(self.status, Some(wanted), "{}", self.whole());
        self
    }

    /// A signal ended it.
    #[track_caller]
    pub fn killed(self) -> Self {
        assert_eq!(self.status, None, "{}", self.whole());
        self
    }

    /// Compares standard output whole, with placeholders for what differs from run to run.
    #[track_caller]
    pub fn stdout(self, wanted: &str) -> Self {
        pretty(&replaced(&self.stdout), wanted, &self.words);
        self
    }

    #[track_caller]
    pub fn stderr(self, wanted: &str) -> Self {
        pretty(&replaced(&self.stderr), wanted, &self.words);
        self
    }

    #[track_caller]
    pub fn says(self, part: &str) -> Self {
        let said = self.stdout.contains(part) || self.stderr.contains(part);
        assert!(said, "`{part}` is not in\n{}", self.whole());
        self
    }

    #[track_caller]
    pub fn never_says(self, part: &str) -> Self {
        let said = self.stdout.contains(part) || self.stderr.contains(part);
        assert!(!said, "`{part}` is in\n{}", self.whole());
        self
    }

    /// One error with one hint, and nothing on standard output.
    #[track_caller]
    pub fn one_error(self) -> Self {
        assert_eq!(self.stdout, "", "{}", self.whole());
        assert_eq!(self.stderr.matches("error: ").count(), 1, "{}", self.whole());
        assert_eq!(self.stderr.matches("  hint: ").count(), 1, "{}", self.whole());
        self
    }

    /// Standard output as one JSON document, which has the three fields of every document.
    #[track_caller]
    pub fn json(&self) -> Json {
        let document: Json = serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("{error}\n{}", self.whole());
        });
        assert_eq!(document["exit_code"].as_i64(), self.status.map(i64::from), "{}", self.whole());
        assert!(document["outcome"].is_string(), "{}", self.whole());
        assert!(document.get("command").is_some(), "{}", self.whole());
        document
    }

    pub fn whole(&self) -> String {
        let Self { words, stdout, stderr, status } = self;
        format!("{words}\n{status:?}\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

#[track_caller]
fn pretty(found: &str, wanted: &str, words: &str) {
    assert!(found == wanted, "{words}\n--- found\n{found}--- wanted\n{wanted}---");
}
