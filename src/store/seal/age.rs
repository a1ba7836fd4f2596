//! The age format (age-encryption.org/v1), by the crate of that name.

use super::Refusal;
use age::{
    DecryptError, Decryptor, EncryptError, Encryptor, IdentityFile,
    armor::{ArmoredReader, ArmoredWriter, Format},
    stream::{StreamReader, StreamWriter},
    x25519,
};
use std::{
    io::{self, BufRead, Read, Write},
    sync::Arc,
};

/// Whom something is encrypted to.
#[derive(Clone)]
pub(super) struct Recipient(x25519::Recipient);

impl Recipient {
    /// Understands `age1…`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(str::to_string)
    }
}

type Identity = dyn age::Identity + Send + Sync;

/// Keys that open what is encrypted to their recipients.
#[derive(Clone)]
pub(super) struct Identities {
    all: Arc<[Box<Identity>]>,
    recipient: Option<Recipient>,
}

impl Identities {
    /// A new key, from the system's random numbers.
    pub(super) fn generate() -> Self {
        let identity = x25519::Identity::generate();
        let recipient = Some(Recipient(identity.to_public()));
        Self { all: Arc::new([Box::new(identity)]), recipient }
    }

    /// Understands what `age-keygen` writes; the reason has nothing of the text.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let file = IdentityFile::from_buffer(text).map_err(|error| error.to_string())?;
        let all = file.into_identities().map_err(|error| error.to_string())?;
        if all.is_empty() {
            return Err("there is no identity in it".into());
        }
        Ok(Self { all: all.into(), recipient: None })
    }

    /// Those that a generated key opens.
    pub(super) fn recipients(&self) -> Option<Recipient> {
        self.recipient.clone()
    }
}

/// A writer that encrypts.
pub(in crate::store) struct Sealing<W: Write>(StreamWriter<W>);

impl<W: Write> Sealing<W> {
    pub(super) fn begin(out: W, recipients: &[Recipient]) -> io::Result<Self> {
        encryptor(recipients).map_err(io::Error::other)?.wrap_output(out).map(Self)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A reader that decrypts.
pub(in crate::store) struct Opening<R: BufRead>(StreamReader<R>);

impl<R: BufRead> Opening<R> {
    pub(super) fn begin(reader: R, identities: &[Identities]) -> Result<Self, Refusal> {
        let all = identities.iter().flat_map(|it| it.all.iter());
        let all = all.map(|identity| &**identity as &dyn age::Identity);
        Ok(Self(Decryptor::new_buffered(reader)?.decrypt(all)?))
    }
}

impl<R: BufRead> Read for Opening<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Encrypts a text, in armor.
pub(super) fn seal_text(text: &[u8], recipients: &[Recipient]) -> io::Result<String> {
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut sealing = Sealing::begin(armor, recipients)?;
    sealing.write_all(text)?;
    let armored = sealing.finish()?.finish()?;
    String::from_utf8(armored).map_err(io::Error::other)
}

/// Decrypts what [`seal_text`] made.
pub(super) fn open_text(text: &str, identities: &[Identities]) -> Result<Vec<u8>, Refusal> {
    let armor = io::BufReader::new(ArmoredReader::new(text.as_bytes()));
    let mut content = Vec::new();
    let mut opening = Opening::begin(armor, identities)?;
    opening.read_to_end(&mut content).map_err(|error| Refusal::Malformed(error.to_string()))?;
    Ok(content)
}

fn encryptor(recipients: &[Recipient]) -> Result<Encryptor, EncryptError> {
    Encryptor::with_recipients(recipients.iter().map(|it| &it.0 as &dyn age::Recipient))
}

impl From<DecryptError> for Refusal {
    fn from(error: DecryptError) -> Self {
        match error {
            DecryptError::NoMatchingKeys => Self::NoMatch,
            DecryptError::Io(error) if error.raw_os_error().is_some() => Self::Io(error),
            DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Malformed("it ends too early".into())
            }
            other => Self::Malformed(format!("it does not decrypt ({other})")),
        }
    }
}
