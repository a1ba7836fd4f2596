//! A folder on a server that speaks SFTP, through the `ssh` program.
//!
//! The program knows the user's keys, agent, jump hosts and known hosts, and is kept up to date by
//! the system; here is only the protocol that goes through it. A file is written under a partial
//! name, read back, and then renamed.

mod session;
mod ssh;
mod wire;

use super::{
    content::Content,
    place::{Object, PARTIAL, Place, Unfinished, damaged},
    settings::Server,
};
use crate::{
    Error, Result,
    error::OffsiteError,
    event::{Event, Work},
    store::{Digest, Hashing},
};
use chrono::{DateTime, Utc};
use session::{AHEAD, BLOCK, Blocks, Session, Trouble};
use std::{
    collections::VecDeque,
    io::{self, Read, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use wire::{Ask, Code};

/// What a file type is in a mode, and the type of an ordinary file.
const TYPE: u32 = 0o170_000;
const ORDINARY: u32 = 0o100_000;
/// With fewer free bytes a refused write means a full disk.
const NO_ROOM: u64 = 1 << 20;

/// What only fails for want of a file where the folder itself is missing.
const LIST: &str = "list the folder";
const WRITE: &str = "write";

/// The folder.
pub(super) struct Remote<'a> {
    server: &'a Server,
    shown: String,
    timeout: Duration,
    session: Mutex<Option<Session>>,
}

impl<'a> Remote<'a> {
    pub(super) fn new(server: &'a Server, shown: String, timeout: Duration) -> Self {
        Self { server, shown, timeout, session: Mutex::new(None) }
    }

    fn session(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &str) -> String {
        match self.server.path.as_str() {
            "" => name.into(),
            folder => format!("{}/{name}", folder.trim_end_matches('/')),
        }
    }

    fn folder(&self) -> &str {
        if self.server.path.is_empty() { "." } else { &self.server.path }
    }

    /// Acts on the connection, which is made if need be and dropped once it broke.
    fn with<T>(
        &self,
        action: &str,
        act: impl FnOnce(&mut Session) -> session::Result<T>,
    ) -> Result<T> {
        let mut guard = self.session();
        let session = match guard.take().filter(Session::is_usable) {
            Some(session) => session,
            None => match Session::open(self.server, &self.shown, self.timeout) {
                Ok(session) => session,
                Err(trouble) => return Err(self.named(trouble, action, None).into()),
            },
        };
        let session = guard.insert(session);
        act(session).map_err(|trouble| self.named(trouble, action, Some(session)).into())
    }

    /// What a server's no means.
    fn named(&self, trouble: Trouble, action: &str, session: Option<&mut Session>) -> OffsiteError {
        let (code, said) = match trouble {
            Trouble::Line(error) => return error,
            Trouble::Refusal(code, said) => (code, said),
        };
        let (place, reason) = (self.shown.clone(), said);
        match code {
            Code::NotPermitted => OffsiteError::Denied { place, reason },
            Code::Lost => OffsiteError::Broken { place, reason },
            Code::NoSuchFile if matches!(action, LIST | WRITE) => {
                OffsiteError::Missing { what: "folder", name: self.folder().into() }
            }
            // `Failure` is all that the protocol has for a full or read-only disk.
            _ => match session.and_then(|session| session.room(self.folder())) {
                Some((_, true)) => {
                    OffsiteError::ReadOnly { place, reason: "it is mounted read-only".into() }
                }
                Some((free, _)) if free < NO_ROOM => {
                    OffsiteError::Full { place, reason: format!("{free} bytes are free") }
                }
                _ => OffsiteError::Failed { place, action: action.into(), reason },
            },
        }
    }

    fn entries(&self) -> Result<Vec<Object>> {
        let entries = self.with(LIST, |session| session.folder(self.folder()))?;
        let ordinary = entries
            .into_iter()
            .filter(|entry| entry.attributes.mode.is_none_or(|mode| mode & TYPE == ORDINARY));
        let objects = ordinary.filter_map(|entry| {
            let modified = i64::from(entry.attributes.modified.unwrap_or(0));
            Some(Object {
                // No name that piton gives is anything but text.
                name: String::from_utf8(entry.name).ok()?,
                bytes: entry.attributes.bytes?,
                modified: DateTime::<Utc>::from_timestamp(modified, 0)?,
            })
        });
        Ok(objects.collect())
    }

    /// Sends what is missing of a partial file.
    fn upload(&self, partial: &str, content: &Content<'_>) -> Result<Start> {
        self.with(WRITE, |session| {
            let there = session.attributes(partial)?.and_then(|found| found.bytes).unwrap_or(0);
            // What was under way when the line broke may have arrived in any order.
            let start = there.saturating_sub((AHEAD * BLOCK) as u64);
            let resumed = there <= content.bytes() && start > 0;
            let (start, how) = match resumed {
                true => (start, wire::WRITE),
                false => (0, wire::WRITE | wire::CREATE | wire::TRUNCATE),
            };
            let handle = session.open_file(partial, how)?;
            send(session, &handle, content, start)?;
            session.sync(&handle)?;
            session.close(&handle)?;
            Ok(if resumed { Start::Resumed } else { Start::Fresh })
        })
    }

    /// Writes a partial file whole, compares it, and gives it its name.
    fn write(&self, name: &str, partial: &str, content: &Content<'_>) -> Result<()> {
        let wanted = (content.sha256(), content.bytes());
        let start = self.upload(partial, content)?;
        let mut found = self.digest(partial, content)?;
        if found != wanted && start == Start::Resumed {
            // What lay there was no beginning of this.
            self.with("remove", |session| session.remove(partial))?;
            self.upload(partial, content)?;
            found = self.digest(partial, content)?;
        }
        if found != wanted {
            return Err(damaged(&self.shown, name, "it reads back differently").into());
        }
        self.with("rename", |session| session.rename(partial, &self.path(name)))
    }

    /// The digest and length of what lies there.
    fn digest(&self, partial: &str, content: &Content<'_>) -> Result<(Digest, u64)> {
        let total_bytes = Some(content.bytes());
        content.observer().event(Event::WorkStarted { work: Work::Compare, total_bytes });
        let mut hashing = Hashing::new(io::sink());
        self.with("read back", |session| {
            let (handle, end) = open(session, partial)?;
            let mut blocks = Blocks::new(handle, 0, end);
            while let Some(block) = blocks.next(session)? {
                content.pace().keep(block.len() as u64);
                hashing.write_all(&block).expect("a sink takes everything");
                let done_bytes = hashing.count();
                content.observer().event(Event::WorkAdvanced { work: Work::Compare, done_bytes });
            }
            blocks.close(session)
        })?;
        content.observer().event(Event::WorkEnded { work: Work::Compare });
        let (_, sha256, bytes) = hashing.finish();
        Ok((sha256, bytes))
    }
}

/// How an upload began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Fresh,
    Resumed,
}

/// Opens a file to read, and tells its length.
fn open(session: &mut Session, path: &str) -> session::Result<(Vec<u8>, u64)> {
    let handle = session.open_file(path, wire::READ)?;
    let id = session.ask(Ask::FileAttributes, |packet| packet.text(&handle))?;
    match session.answer(id)? {
        wire::Answer::Attributes(found) => Ok((handle, found.bytes.unwrap_or(0))),
        other => Err(session.unexpected(other)),
    }
}

/// Sends blocks, a number of them ahead of their answers.
fn send(
    session: &mut Session,
    handle: &[u8],
    content: &Content<'_>,
    from: u64,
) -> session::Result<()> {
    let mut reader = content.send(from, content.bytes() - from);
    let mut block = vec![0; BLOCK];
    let (mut at, mut asked) = (from, VecDeque::new());
    while at < content.bytes() {
        let wanted = BLOCK.min(usize::try_from(content.bytes() - at).unwrap_or(BLOCK));
        reader.read_exact(&mut block[..wanted]).map_err(|error| {
            let (place, action) = ("this machine".into(), "read the archive".into());
            OffsiteError::Failed { place, action, reason: error.to_string() }
        })?;
        let id = session
            .ask(Ask::Write, |packet| packet.text(handle).long(at).text(&block[..wanted]))?;
        asked.push_back(id);
        at += wanted as u64;
        if asked.len() >= AHEAD
            && let Some(id) = asked.pop_front()
        {
            session.settle(id)?;
        }
    }
    asked.into_iter().try_for_each(|id| session.settle(id))
}

impl Place for Remote<'_> {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn list(&self) -> Result<Vec<Object>> {
        let mut found = self.entries()?;
        found.retain(|object| !object.name.ends_with(PARTIAL));
        Ok(found)
    }

    fn put(&self, name: &str, content: &Content<'_>) -> Result<()> {
        let partial = self.path(&format!("{name}{PARTIAL}"));
        let written = self.write(name, &partial, content);
        if let Err(Error::Offsite(error)) = &written
            && !error.is_transient()
        {
            // Nobody goes on with it, and it may be what fills the disk. Best effort.
            drop(self.with("remove", |session| session.remove(&partial)));
        }
        written
    }

    fn get(&self, name: &str, from: u64) -> Result<Box<dyn Read + '_>> {
        let (handle, end) = self.with("read", |session| open(session, &self.path(name)))?;
        let blocks = Blocks::new(handle, from, end);
        Ok(Box::new(Reader { remote: self, blocks, block: Vec::new(), used: 0, ended: false }))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.with("remove", |session| session.remove(&self.path(name)))
    }

    fn unfinished(&self) -> Result<Vec<Unfinished>> {
        Ok(self.entries()?.into_iter().filter_map(Unfinished::from_partial).collect())
    }

    fn abandon(&self, upload: &Unfinished) -> Result<()> {
        self.delete(&upload.handle)
    }
}

/// Reads a file from an offset to its end.
struct Reader<'a> {
    remote: &'a Remote<'a>,
    blocks: Blocks,
    block: Vec<u8>,
    used: usize,
    ended: bool,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.block.len() && !self.ended {
            let lost = || io::Error::from(io::ErrorKind::NotConnected);
            let remote = self.remote;
            let mut guard = remote.session();
            let session = guard.as_mut().ok_or_else(lost)?;
            let next = self.blocks.next(session).map_err(|trouble| {
                io::Error::other(remote.named(trouble, "read", Some(session)).to_string())
            })?;
            self.ended = next.is_none();
            (self.block, self.used) = (next.unwrap_or_default(), 0);
        }
        let count = buffer.len().min(self.block.len() - self.used);
        buffer[..count].copy_from_slice(&self.block[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut guard = self.remote.session();
        if guard.as_mut().is_some_and(|session| self.blocks.close(session).is_err()) {
            // The next question makes a new connection.
            *guard = None;
        }
    }
}
