//! A small project in a folder, and the real binary run in it.

use crate::{
    calls::{self, is_changing},
    tracer::{End, Moment, Point, Then, trace},
};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The binary, and where it is run.
#[derive(Clone, Debug)]
pub struct Project {
    pub piton: PathBuf,
    pub folder: PathBuf,
    /// Variables beyond PATH.
    pub variables: Vec<(String, String)>,
    pub showing: Showing,
}

/// What is printed of a traced command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    Nothing,
    /// Every change of the disk, with its number.
    Changes,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; nothing where it was killed.
    pub code: Option<i32>,
    /// What it wrote on standard output and standard error.
    pub output: String,
}

impl Ended {
    /// Code and the beginning of the output, on one line.
    pub fn shown(&self) -> String {
        let code = self.code.map_or("killed".into(), |code| format!("exit code {code}"));
        let output: Vec<&str> = self.output.lines().take(4).collect();
        format!("{code}: {}", output.join(" | "))
    }

    /// Refuses any other code.
    pub fn expect(self, code: i32, what: &str) -> Result<Self, String> {
        match self.code == Some(code) {
            true => Ok(self),
            false => Err(format!("{what}: {}", self.shown())),
        }
    }
}

impl Project {
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn backups(&self) -> PathBuf {
        self.folder.join("backups")
    }

    /// Writes a file with its folders; one that begins with `#!` is executable.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder"))?;
        fs::write(&path, text)?;
        if text.starts_with("#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Runs piton to its end.
    pub fn run(&self, words: &str) -> io::Result<Ended> {
        let output = self.command(words).output()?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Ended { code: output.status.code(), output: text })
    }

    /// Starts piton in the background.
    pub fn start(&self, words: &str) -> io::Result<Child> {
        self.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    /// Runs piton and meets each of its system calls.
    pub fn traced(&self, words: &str, meet: &mut dyn FnMut(&Point) -> Then) -> io::Result<Ended> {
        let path = self.talk();
        let talk = fs::File::create(&path)?;
        let mut command = self.command(words);
        command.stdout(talk.try_clone()?).stderr(talk);
        let mut number = 0;
        let end = trace(&mut command, &mut |point| {
            if self.showing == Showing::Changes && is_changing(point) {
                number += u32::from(point.moment == Moment::Before);
                if point.moment == Moment::Before {
                    println!("{number:>5} {}", calls::shown(point));
                }
            }
            meet(point)
        })?;
        let mut output = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        let code = match end {
            End::Code(code) => Some(code),
            End::Signal(signal) => {
                output.push_str(signal.as_str());
                None
            }
        };
        Ok(Ended { code, output })
    }

    /// What the command that is being traced has said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.talk()).unwrap_or_default()).into_owned()
    }

    /// Where the output of a traced command goes: beside the project, not into it.
    fn talk(&self) -> PathBuf {
        std::env::temp_dir().join(format!("piton-campaign-{}.out", std::process::id()))
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.piton);
        command.args(words.split_whitespace()).current_dir(&self.folder).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Arms one more fault, beside those that are armed.
    pub fn arm(&mut self, fault: &str) {
        match self.variables.iter_mut().find(|(name, _)| name == "PITON_FAULT") {
            Some((_, armed)) => *armed = format!("{armed},{fault}"),
            None => self.variables.push(("PITON_FAULT".into(), fault.into())),
        }
    }

    /// The same binary in another folder.
    pub fn at(&self, folder: &Path) -> Self {
        Self { folder: folder.into(), ..self.clone() }
    }
}
