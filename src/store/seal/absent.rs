//! What stands for encryption where piton is built without it: nothing can be made, and what is
//! encrypted is refused with the reason.

use super::Refusal;
use std::{
    convert::Infallible,
    io::{self, BufRead, Read, Write},
    marker::PhantomData,
};

#[derive(Clone)]
pub(super) struct Recipient(Infallible);

impl Recipient {
    pub(super) fn parse(_: &str) -> Result<Self, String> {
        Err("this piton was built without the feature `encryption`".into())
    }
}

#[derive(Clone)]
pub(super) struct Identities;

impl Identities {
    pub(super) fn generate() -> Self {
        Self
    }

    pub(super) fn parse(_: &[u8]) -> Result<Self, String> {
        Ok(Self)
    }

    pub(super) fn recipients(&self) -> Option<Recipient> {
        None
    }
}

pub(in crate::store) struct Sealing<W>(Infallible, PhantomData<W>);

impl<W: Write> Sealing<W> {
    pub(super) fn begin(_: W, recipients: &[Recipient]) -> io::Result<Self> {
        match recipients.first() {
            Some(Recipient(never)) => match *never {},
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn finish(self) -> io::Result<W> {
        match self.0 {}
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}

pub(in crate::store) struct Opening<R>(Infallible, PhantomData<R>);

impl<R: BufRead> Opening<R> {
    pub(super) fn begin(_: R, _: &[Identities]) -> Result<Self, Refusal> {
        Err(Refusal::Absent)
    }
}

impl<R: BufRead> Read for Opening<R> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

pub(super) fn seal_text(_: &[u8], recipients: &[Recipient]) -> io::Result<String> {
    match recipients.first() {
        Some(Recipient(never)) => match *never {},
        None => Err(io::ErrorKind::Unsupported.into()),
    }
}

pub(super) fn open_text(_: &str, _: &[Identities]) -> Result<Vec<u8>, Refusal> {
    Err(Refusal::Absent)
}
