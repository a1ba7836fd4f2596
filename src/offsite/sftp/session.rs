//! One connection: questions with numbers, answers that may come in any order.

use super::{
    ssh::{Ssh, last_line, no_connection},
    wire::{self, Answer, Ask, Attributes, Code, Entry, Packet, Rest},
};
use crate::{error::OffsiteError, offsite::settings::Server};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    time::Duration,
};

/// The block size that every server must take.
pub(super) const BLOCK: usize = 32 * 1024;
/// Blocks under way at a time: enough for a fast line with a long way, and bounded memory.
pub(super) const AHEAD: usize = 64;

/// What went wrong with a question.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection is of no use any more.
    Line(OffsiteError),
    /// The server said no.
    Refusal(Code, String),
}

impl From<OffsiteError> for Trouble {
    fn from(error: OffsiteError) -> Self {
        Self::Line(error)
    }
}

pub(super) type Result<T> = std::result::Result<T, Trouble>;

/// A connection to a server.
pub(super) struct Session {
    /// Gone once the line broke.
    ssh: Option<Ssh>,
    shown: String,
    next: u32,
    arrived: HashMap<u32, Answer>,
    extensions: HashSet<Vec<u8>>,
}

impl Session {
    /// Connects.
    pub(super) fn open(server: &Server, shown: &str, timeout: Duration) -> Result<Self> {
        let mut ssh = Ssh::start(server, shown, timeout)?;
        let greeting = Packet::new(Ask::Init).number(3).finish();
        let greeted = ssh.send(&greeting).and_then(|()| packet(&mut ssh));
        let version = match greeted {
            Ok(version) => version,
            Err(error) => return Err(no_connection(shown, &error, &ssh.end()).into()),
        };
        let extensions = extensions(&version).map_err(|error| no_connection(shown, &error, ""))?;
        let (next, arrived) = (0, HashMap::new());
        Ok(Self { ssh: Some(ssh), shown: shown.into(), next, arrived, extensions })
    }

    /// Whether it can still be used.
    pub(super) fn is_usable(&self) -> bool {
        self.ssh.is_some()
    }

    /// Whether the server knows an extension.
    pub(super) fn knows(&self, extension: &str) -> bool {
        self.extensions.contains(extension.as_bytes())
    }

    /// Asks, and gives the number of the question.
    pub(super) fn ask(&mut self, ask: Ask, body: impl FnOnce(Packet) -> Packet) -> Result<u32> {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let bytes = body(Packet::new(ask).number(id)).finish();
        let sent = match &mut self.ssh {
            Some(ssh) => ssh.send(&bytes),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        sent.map_err(|error| self.broken(&error))?;
        Ok(id)
    }

    /// Waits for the answer to a question.
    pub(super) fn answer(&mut self, id: u32) -> Result<Answer> {
        loop {
            if let Some(answer) = self.arrived.remove(&id) {
                return Ok(answer);
            }
            let read = match &mut self.ssh {
                Some(ssh) => packet(ssh).and_then(|packet| Answer::parse(&packet)),
                None => Err(io::ErrorKind::NotConnected.into()),
            };
            let (number, answer) = read.map_err(|error| self.broken(&error))?;
            self.arrived.insert(number, answer);
        }
    }

    /// Waits for a plain yes.
    pub(super) fn settle(&mut self, id: u32) -> Result<()> {
        match self.answer(id)? {
            Answer::Status(Code::Good, _) => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    /// Opens a file or folder.
    pub(super) fn handle(&mut self, id: u32) -> Result<Vec<u8>> {
        match self.answer(id)? {
            Answer::Handle(handle) => Ok(handle),
            other => Err(self.unexpected(other)),
        }
    }

    /// What is known about a path; nothing where there is nothing.
    pub(super) fn attributes(&mut self, path: &str) -> Result<Option<Attributes>> {
        let id = self.ask(Ask::Attributes, |packet| packet.text(path.as_bytes()))?;
        match self.answer(id)? {
            Answer::Attributes(found) => Ok(Some(found)),
            Answer::Status(Code::NoSuchFile, _) => Ok(None),
            other => Err(self.unexpected(other)),
        }
    }

    /// All names in a folder.
    pub(super) fn folder(&mut self, path: &str) -> Result<Vec<Entry>> {
        let id = self.ask(Ask::OpenFolder, |packet| packet.text(path.as_bytes()))?;
        let handle = self.handle(id)?;
        let mut found = Vec::new();
        loop {
            let id = self.ask(Ask::ReadFolder, |packet| packet.text(&handle))?;
            match self.answer(id)? {
                Answer::Names(names) => found.extend(names),
                Answer::Status(Code::End, _) => break,
                other => return Err(self.unexpected(other)),
            }
        }
        self.close(&handle)?;
        Ok(found)
    }

    /// Opens a file; a new one has mode 0600.
    pub(super) fn open_file(&mut self, path: &str, how: u32) -> Result<Vec<u8>> {
        let id = self.ask(Ask::Open, |packet| {
            // Only the permissions are given.
            packet.text(path.as_bytes()).number(how).number(4).number(0o600)
        })?;
        self.handle(id)
    }

    pub(super) fn close(&mut self, handle: &[u8]) -> Result<()> {
        let id = self.ask(Ask::Close, |packet| packet.text(handle))?;
        self.settle(id)
    }

    /// Removes a file; one that is not there is as good as removed.
    pub(super) fn remove(&mut self, path: &str) -> Result<()> {
        let id = self.ask(Ask::Remove, |packet| packet.text(path.as_bytes()))?;
        match self.settle(id) {
            Err(Trouble::Refusal(Code::NoSuchFile, _)) => Ok(()),
            other => other,
        }
    }

    /// Renames over whatever has the new name.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        const OVER: &str = "posix-rename@openssh.com";
        let id = if self.knows(OVER) {
            self.ask(Ask::Extended, |packet| {
                packet.text(OVER.as_bytes()).text(from.as_bytes()).text(to.as_bytes())
            })?
        } else {
            // The plain request refuses a name that exists.
            self.remove(to)?;
            self.ask(Ask::Rename, |packet| packet.text(from.as_bytes()).text(to.as_bytes()))?
        };
        self.settle(id)
    }

    /// Flushes a file to the server's disk, where the server knows how.
    pub(super) fn sync(&mut self, handle: &[u8]) -> Result<()> {
        const SYNC: &str = "fsync@openssh.com";
        if !self.knows(SYNC) {
            return Ok(());
        }
        let id = self.ask(Ask::Extended, |packet| packet.text(SYNC.as_bytes()).text(handle))?;
        self.settle(id)
    }

    /// Free bytes of the file system of a path and whether it is read-only, where the server
    /// tells.
    pub(super) fn room(&mut self, path: &str) -> Option<(u64, bool)> {
        const ROOM: &str = "statvfs@openssh.com";
        const READ_ONLY: u64 = 1;
        if !self.knows(ROOM) {
            return None;
        }
        let ask = |packet: Packet| packet.text(ROOM.as_bytes()).text(path.as_bytes());
        let id = self.ask(Ask::Extended, ask).ok()?;
        let Ok(Answer::Extended(bytes)) = self.answer(id) else { return None };
        let mut rest = Rest(&bytes);
        // f_bsize, f_frsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree, f_favail, f_fsid, f_flag
        let numbers: Vec<u64> = (0..10).map_while(|_| rest.long().ok()).collect();
        let [_, fragment, _, _, available, _, _, _, _, flags] = numbers.try_into().ok()?;
        Some((available.saturating_mul(fragment), flags & READ_ONLY != 0))
    }

    /// A server's no, or an answer to something else.
    pub(super) fn unexpected(&mut self, answer: Answer) -> Trouble {
        match answer {
            Answer::Status(code, text) if code != Code::Good => Trouble::Refusal(code, text),
            _ => self.broken(&wire::malformed()),
        }
    }

    fn broken(&mut self, error: &io::Error) -> Trouble {
        let said = self.ssh.take().map(Ssh::end).unwrap_or_default();
        let reason = last_line(&said).unwrap_or_else(|| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "it ended early".into(),
            _ => error.to_string(),
        });
        Trouble::Line(OffsiteError::Broken { place: self.shown.clone(), reason })
    }
}

/// Blocks of a file that have been asked for and come in order.
pub(super) struct Blocks {
    handle: Vec<u8>,
    /// Questions under way: number, offset, length.
    asked: VecDeque<(u32, u64, usize)>,
    at: u64,
    end: u64,
}

impl Blocks {
    pub(super) fn new(handle: Vec<u8>, from: u64, end: u64) -> Self {
        Self { handle, asked: VecDeque::new(), at: from, end }
    }

    /// The next block; nothing at the end.
    pub(super) fn next(&mut self, session: &mut Session) -> Result<Option<Vec<u8>>> {
        while self.asked.len() < AHEAD && self.at < self.end {
            let length = BLOCK.min(usize::try_from(self.end - self.at).unwrap_or(BLOCK));
            let id = self.ask(session, self.at, length)?;
            self.asked.push_back((id, self.at, length));
            self.at += length as u64;
        }
        let Some((id, offset, length)) = self.asked.pop_front() else { return Ok(None) };
        match session.answer(id)? {
            Answer::Data(data) if !data.is_empty() && data.len() <= length => {
                if data.len() < length {
                    // A server may give less than was asked for.
                    let (offset, left) = (offset + data.len() as u64, length - data.len());
                    let id = self.ask(session, offset, left)?;
                    self.asked.push_front((id, offset, left));
                }
                Ok(Some(data))
            }
            other => Err(session.unexpected(other)),
        }
    }

    /// Ends the reading; what is still under way is waited for.
    pub(super) fn close(&mut self, session: &mut Session) -> Result<()> {
        for (id, ..) in std::mem::take(&mut self.asked) {
            session.answer(id)?;
        }
        session.close(&self.handle)
    }

    fn ask(&self, session: &mut Session, offset: u64, length: usize) -> Result<u32> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        session.ask(Ask::Read, |packet| packet.text(&self.handle).long(offset).number(length))
    }
}

/// A packet without its length.
fn packet(ssh: &mut Ssh) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    ssh.receive(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > wire::LONGEST {
        return Err(wire::malformed());
    }
    let mut packet = vec![0; usize::try_from(length).map_err(|_| wire::malformed())?];
    ssh.receive(&mut packet)?;
    Ok(packet)
}

/// The extensions that a server names in its greeting.
fn extensions(greeting: &[u8]) -> io::Result<HashSet<Vec<u8>>> {
    let mut rest = Rest(greeting);
    if rest.byte()? != 2 || rest.number()? < 3 {
        return Err(wire::malformed());
    }
    let mut found = HashSet::new();
    while !rest.0.is_empty() {
        found.insert(rest.text()?.to_vec());
        rest.text()?;
    }
    Ok(found)
}
