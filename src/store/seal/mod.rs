//! Encryption of archives to age recipients, of which this machine need not have the identity.
//!
//! Every archive is also encrypted to a key of the process that writes it. That key lives in its
//! memory alone and ends with it: so what lies on the disk can be read back before it is listed,
//! and a run can put its own backup back. No secret is ever printed or written.

#[cfg(not(feature = "encryption"))]
#[path = "absent.rs"]
mod engine;
#[cfg(feature = "encryption")]
#[path = "age.rs"]
mod engine;

use super::{Digest, Manifest, Substance};
use crate::{Result, disk, error::StoreError};
use engine::{Identities, Opening, Recipient, Sealing};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// More than an identity file takes.
const MAX_IDENTITY: u64 = 1 << 20;
/// Bytes of the secret that likenesses are made with.
pub const SECRET: usize = 32;

/// What the file beside an encrypted archive says besides its id, times, sizes, reason and label:
/// nothing of what is in it that could be read without an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The age recipients whose identities open it.
    pub recipients: Vec<String>,
    /// Bytes that its files take when they are unpacked.
    pub data_bytes: u64,
    /// A digest of the content, the lists of what was left out and a secret of this data directory:
    /// it tells this machine alone that all of that is unchanged.
    pub likeness: Option<Digest>,
    /// The manifest as an age file in armor, encrypted as the archive is; nothing where that file
    /// beside the archive is gone.
    pub manifest: String,
}

/// Whom archives are encrypted to, and what opens them. Clones share the key of the process.
#[derive(Clone, Default)]
pub struct Keys(Arc<Inner>);

#[derive(Default)]
struct Inner {
    names: Vec<String>,
    recipients: Vec<Recipient>,
    identity: Option<PathBuf>,
    secret: Option<PathBuf>,
    own: OnceLock<Identities>,
}

/// Never with what is in it.
impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("recipients", &self.0.names).finish_non_exhaustive()
    }
}

/// Why something encrypted was not opened.
#[allow(dead_code, reason = "each of the two engines makes its own of these")]
pub(super) enum Refusal {
    /// No identity fits.
    NoMatch,
    /// It is not what an age program writes.
    Malformed(String),
    /// It could not be read.
    Io(io::Error),
    /// This piton was built without encryption.
    Absent,
}

impl Keys {
    /// Takes recipients such as `age1…`, the file of the identities, and the file of the secret
    /// that likenesses are made with; the files are read when they are needed.
    ///
    /// # Errors
    /// [`StoreError::BadRecipient`].
    pub fn new(
        recipients: &[String],
        identity: Option<PathBuf>,
        secret: Option<PathBuf>,
    ) -> Result<Self, StoreError> {
        let parse = |text: &String| {
            Recipient::parse(text)
                .map_err(|reason| StoreError::BadRecipient { text: text.clone(), reason })
        };
        let mut names = recipients.to_vec();
        names.sort();
        names.dedup();
        let recipients = names.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner { names, recipients, identity, secret, own: OnceLock::new() })))
    }

    /// Whether new archives are encrypted.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        !self.0.recipients.is_empty()
    }

    /// The recipients, sorted.
    pub(super) fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Encrypts a manifest, and says what may be known without opening it.
    pub(super) fn seal(&self, manifest: &Manifest) -> Result<Sealed> {
        let json = super::to_json(manifest)?;
        let sealed = engine::seal_text(&json, &self.all_recipients());
        let sealed = sealed.map_err(|error| crate::Error::Internal(format!("age: {error}")))?;
        Ok(Sealed {
            recipients: self.0.names.clone(),
            data_bytes: manifest.data_bytes(),
            likeness: self.likeness(manifest.substance()),
            manifest: sealed,
        })
    }

    /// Decrypts the manifest of the file beside an archive.
    pub(super) fn open(&self, sealed: &Sealed, archive: &Path) -> Result<Manifest> {
        let opened = engine::open_text(&sealed.manifest, &self.identities()?);
        let json = opened.map_err(|refusal| self.refused(refusal, archive))?;
        super::manifest_from_json(&json, archive)
    }

    /// The likeness of a backup; nothing without the secret.
    pub(super) fn likeness(&self, substance: Substance<'_>) -> Option<Digest> {
        let file = disk::open_to_read(self.0.secret.as_deref()?).ok()?;
        let mut secret = Vec::new();
        file.take(SECRET as u64 + 1).read_to_end(&mut secret).ok()?;
        // The secret has a fixed length and JSON tells every text and list from the next, so nothing
        // can be moved from one part to another.
        (secret.len() == SECRET).then(|| {
            serde_json::to_writer(&mut secret, &substance).expect("texts always have a JSON form");
            Digest::of(&secret)
        })
    }

    /// The error of something encrypted that was not opened.
    pub(super) fn refused(&self, refusal: Refusal, archive: &Path) -> crate::Error {
        let archive = archive.into();
        match (refusal, &self.0.identity) {
            (Refusal::NoMatch, None) => StoreError::NoIdentity { archive }.into(),
            (Refusal::NoMatch, Some(identity)) => {
                StoreError::WrongIdentity { archive, identity: identity.clone() }.into()
            }
            (Refusal::Malformed(reason), _) => StoreError::Damaged { archive, reason }.into(),
            (Refusal::Io(error), _) => disk::failed("read", &archive)(error).into(),
            (Refusal::Absent, _) => StoreError::NoEncryption { archive }.into(),
        }
    }

    fn all_recipients(&self) -> Vec<Recipient> {
        let own = self.0.own.get_or_init(Identities::generate).recipients();
        self.0.recipients.iter().cloned().chain(own).collect()
    }

    /// The process's own key first: it fits most often.
    fn identities(&self) -> Result<Vec<Identities>> {
        let own = self.0.own.get().cloned();
        let Some(path) = &self.0.identity else { return Ok(own.into_iter().collect()) };
        let file = std::fs::File::open(path).map_err(disk::failed("read the identity", path))?;
        let mut text = Vec::new();
        let read = file.take(MAX_IDENTITY).read_to_end(&mut text);
        read.map_err(disk::failed("read the identity", path))?;
        let read = Identities::parse(&text)
            .map_err(|reason| StoreError::BadIdentity { path: path.clone(), reason })?;
        Ok(own.into_iter().chain([read]).collect())
    }
}

/// Where an archive's bytes go: to the file as they are, or encrypted.
pub(super) enum Outlet<W: Write> {
    Open(W),
    Sealed(Box<Sealing<W>>),
}

impl<W: Write> Outlet<W> {
    /// Encrypts where there is a recipient.
    ///
    /// # Errors
    /// The writer's.
    pub(super) fn new(out: W, keys: &Keys) -> io::Result<Self> {
        if !keys.encrypts() {
            return Ok(Self::Open(out));
        }
        Ok(Self::Sealed(Box::new(Sealing::begin(out, &keys.all_recipients())?)))
    }

    /// Writes the end and gives the writer back.
    ///
    /// # Errors
    /// The writer's.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Open(out) => Ok(out),
            Self::Sealed(sealing) => sealing.finish(),
        }
    }
}

impl<W: Write> Write for Outlet<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(out) => out.write(bytes),
            Self::Sealed(sealing) => sealing.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Open(out) => out.flush(),
            // A piece of what is encrypted ends where it is full.
            Self::Sealed(_) => Ok(()),
        }
    }
}

/// Where an archive's bytes come from: the file as it is, or decrypted.
pub(super) enum Inlet<R: BufRead> {
    Open(R),
    Sealed(BufReader<Box<Opening<R>>>),
}

impl<R: BufRead> Inlet<R> {
    /// Opens what is encrypted.
    ///
    /// # Errors
    /// Those of [`Keys::refused`]; an identity file that cannot be read.
    pub(super) fn open(reader: R, keys: &Keys, archive: &Path) -> Result<Self> {
        let opening = Opening::begin(reader, &keys.identities()?);
        let opening = opening.map_err(|refusal| keys.refused(refusal, archive))?;
        Ok(Self::Sealed(BufReader::with_capacity(128 * 1024, Box::new(opening))))
    }
}

impl<R: BufRead> Read for Inlet<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Open(reader) => reader.read(buffer),
            Self::Sealed(reader) => reader.read(buffer),
        }
    }
}

impl<R: BufRead> BufRead for Inlet<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Open(reader) => reader.fill_buf(),
            Self::Sealed(reader) => reader.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::Open(reader) => reader.consume(count),
            Self::Sealed(reader) => reader.consume(count),
        }
    }
}
