//! The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), as far as they are needed here.
//!
//! What comes from the server is untrusted: nothing is read beyond its packet.

use std::io;

/// Bytes of the longest packet that is believed.
pub(super) const LONGEST: u32 = 1 << 20;

/// What a client asks.
#[derive(Clone, Copy)]
pub(super) enum Ask {
    Init = 1,
    Open = 3,
    Close = 4,
    Read = 5,
    Write = 6,
    FileAttributes = 8,
    OpenFolder = 11,
    ReadFolder = 12,
    Remove = 13,
    Attributes = 17,
    Rename = 18,
    Extended = 200,
}

/// How a file is opened.
pub(super) const READ: u32 = 1;
pub(super) const WRITE: u32 = 2;
pub(super) const CREATE: u32 = 8;
pub(super) const TRUNCATE: u32 = 16;

/// The code of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Good,
    End,
    NoSuchFile,
    NotPermitted,
    Lost,
    Unsupported,
    Other,
}

/// What a server answers.
#[derive(Debug)]
pub(super) enum Answer {
    Status(Code, String),
    Handle(Vec<u8>),
    Data(Vec<u8>),
    Names(Vec<Entry>),
    Attributes(Attributes),
    /// The answer to an extension, as it came.
    Extended(Vec<u8>),
}

/// A name in a folder.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) attributes: Attributes,
}

/// What is known about a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) bytes: Option<u64>,
    pub(super) mode: Option<u32>,
    /// Seconds since 1970.
    pub(super) modified: Option<u32>,
}

/// A packet that is being put together.
pub(super) struct Packet(Vec<u8>);

impl Packet {
    pub(super) fn new(ask: Ask) -> Self {
        // The first four bytes are the length, known at the end.
        Self(vec![0, 0, 0, 0, ask as u8])
    }

    pub(super) fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn text(mut self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).expect("names and blocks are short");
        self.0.extend(length.to_be_bytes());
        self.0.extend(bytes);
        self
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).expect("packets are short");
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// The rest of a packet that came.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> io::Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }

    pub(super) fn long(&mut self) -> io::Result<u64> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    pub(super) fn text(&mut self) -> io::Result<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| malformed())?)
    }

    fn attributes(&mut self) -> io::Result<Attributes> {
        let flags = self.number()?;
        let mut found = Attributes::default();
        if flags & 1 != 0 {
            found.bytes = Some(self.long()?);
        }
        if flags & 2 != 0 {
            self.take(8)?;
        }
        if flags & 4 != 0 {
            found.mode = Some(self.number()?);
        }
        if flags & 8 != 0 {
            self.number()?;
            found.modified = Some(self.number()?);
        }
        if flags & 0x8000_0000 != 0 {
            for _ in 0..self.number()? {
                self.text()?;
                self.text()?;
            }
        }
        Ok(found)
    }
}

impl Answer {
    /// Understands the packet behind its length: the id of the question, and the answer to it.
    pub(super) fn parse(packet: &[u8]) -> io::Result<(u32, Self)> {
        let mut rest = Rest(packet);
        let kind = rest.byte()?;
        let id = rest.number()?;
        let answer = match kind {
            101 => {
                let code = match rest.number()? {
                    0 => Code::Good,
                    1 => Code::End,
                    2 => Code::NoSuchFile,
                    3 => Code::NotPermitted,
                    6 | 7 => Code::Lost,
                    8 => Code::Unsupported,
                    _ => Code::Other,
                };
                // Old servers leave the text out.
                let text = rest.text().unwrap_or_default();
                Self::Status(code, String::from_utf8_lossy(text).into_owned())
            }
            102 => Self::Handle(rest.text()?.into()),
            103 => Self::Data(rest.text()?.into()),
            104 => {
                let mut names = Vec::new();
                for _ in 0..rest.number()? {
                    let name = rest.text()?.into();
                    rest.text()?;
                    names.push(Entry { name, attributes: rest.attributes()? });
                }
                Self::Names(names)
            }
            105 => Self::Attributes(rest.attributes()?),
            201 => Self::Extended(rest.0.into()),
            _ => return Err(malformed()),
        };
        Ok((id, answer))
    }
}

pub(super) fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the server sent a malformed answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<u8> {
        let packet = Packet(vec![104])
            .number(7)
            .number(1)
            .text(b"a.tar.gz")
            .text(b"-rw------- a.tar.gz")
            .number(1 | 2 | 4 | 8 | 0x8000_0000)
            .long(42)
            .number(0)
            .number(0)
            .number(0o100_600)
            .number(1)
            .number(1_700_000_000)
            .number(1)
            .text(b"name")
            .text(b"value");
        packet.0
    }

    #[test]
    fn answers_are_understood() {
        let (id, answer) = Answer::parse(&names()).unwrap();
        let Answer::Names(found) = answer else { panic!("{answer:?}") };
        assert_eq!((id, found[0].name.as_slice()), (7, &b"a.tar.gz"[..]));
        let wanted =
            Attributes { bytes: Some(42), mode: Some(0o100_600), modified: Some(1_700_000_000) };
        assert_eq!(found[0].attributes, wanted);
    }

    #[test]
    fn every_packet_that_is_cut_off_is_malformed() {
        let whole = names();
        for length in 0..whole.len() {
            assert!(Answer::parse(&whole[..length]).is_err(), "{length}");
        }
        // A length that goes beyond the packet.
        assert!(Answer::parse(&[103, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 1]).is_err());
        assert!(Answer::parse(&[99, 0, 0, 0, 1]).is_err());
    }

    #[test]
    fn questions_have_their_length_in_front() {
        let packet = Packet::new(Ask::Remove).number(1).text(b"x").finish();
        assert_eq!(packet, [0, 0, 0, 10, 13, 0, 0, 0, 1, 0, 0, 0, 1, b'x']);
    }
}
