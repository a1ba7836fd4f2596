//! What is in a backup: the manifest, inside the archive and beside it.
//!
//! The JSON form is a documented contract that is only added to. A manifest that comes from a file
//! is untrusted until [`Manifest::check`] has accepted it.

use super::{
    BackupId, Digest, Extended, Filter, Item, LinkTarget, Segment, StoredPath, digest::Hashing,
    segment,
};
use crate::{database::SIDE_SUFFIXES, records::is_private};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
};

/// The newest archive format that this version reads. It writes 1 where that is enough: 2 is for
/// archives with extended attributes or sparse files, which stand in headers of their own, and for
/// those that hold only what was included.
pub const FORMAT: u32 = 2;

/// Everything about a backup except the bytes of its files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the archive's and the manifest's format.
    pub format: u32,
    /// The backup's id, which is also the name of its archive.
    pub id: BackupId,
    /// Its number in the order in which backups were taken, which the clock does not decide; older
    /// pitons wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// When all databases were cut, UTC.
    pub created: DateTime<Utc>,
    /// Name of the machine it was taken on.
    pub host: String,
    /// Version of the piton that took it.
    pub piton_version: String,
    /// Version of the SQLite library that took it.
    pub sqlite_version: String,
    /// Why it was taken.
    pub reason: Reason,
    /// A word that its taker gave it.
    pub label: Option<String>,
    /// Git revision of the project at that time, where known.
    pub git_revision: Option<String>,
    /// Whether all databases show one instant.
    pub cut: Cut,
    /// Patterns of the paths that were left out; a restore leaves them alone.
    pub excluded: Vec<String>,
    /// Where not everything was taken, patterns of what was; a restore leaves the rest alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<String>,
    /// Mode and owner of the data directory itself; older pitons wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_directory: Option<Access>,
    /// The databases, in the order in which they lie in the archive.
    pub databases: Vec<DatabaseRecord>,
    /// Folders, ordinary files and symbolic links, sorted by path; they follow the databases.
    pub files: Vec<FileRecord>,
    /// One digest over paths, kinds, modes, owners and bytes of everything above. Two backups with
    /// the same one are interchangeable; times are not content.
    pub content: Digest,
    /// What the reader should know: files that changed while they were read, sockets left out.
    pub notes: Vec<String>,
}

/// What a restore goes by: the content, and the lists that tell it what to leave alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Substance<'a> {
    pub(crate) content: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_directory: Option<&'a Access>,
    pub(crate) excluded: &'a [String],
    pub(crate) included: &'a [String],
}

/// Why a backup was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// `up`, before it changed anything.
    Run,
    /// The `backup` command.
    Manual,
    /// A restore, before it replaced the live data.
    Safety,
    /// A deploy, after the service stopped.
    Deploy,
    /// `run SCRIPT`, before the script began.
    Script,
}

/// Whether the databases show one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Cut {
    /// All databases were read as of one instant.
    All,
    /// Each database is consistent in itself, but they may be of slightly different instants.
    PerDatabase {
        /// Why the one instant could not be had.
        reason: String,
    },
}

/// Permissions, owner and time of a file, link or folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission bits, as `chmod` takes them.
    pub mode: u32,
    /// Number of the owning user.
    pub user: u32,
    /// Number of the owning group.
    pub group: u32,
    /// When it was last modified.
    pub modified: DateTime<Utc>,
    /// Extended attributes, such as access control lists.
    #[serde(default, skip_serializing_if = "Extended::is_empty")]
    pub extended: Extended,
}

/// Who may do what with a folder. Its time is none of it: that of the data directory changes whenever
/// something in it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Permission bits, as `chmod` takes them.
    pub mode: u32,
    /// Number of the owning user.
    pub user: u32,
    /// Number of the owning group.
    pub group: u32,
}

/// One database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabaseRecord {
    /// Path relative to the data directory; `%XX` stands for a byte that is not printable.
    pub path: StoredPath,
    /// Permissions, owner, time.
    #[serde(flatten)]
    pub attributes: Attributes,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the file in the archive. Its change counter is set to 1, so that two copies of
    /// the same content are equal byte for byte.
    pub sha256: Digest,
    /// What was found in it.
    #[serde(flatten)]
    pub facts: DatabaseFacts,
    /// How far along its history it was: the newest migration's version, or nothing.
    pub position: Option<String>,
}

/// What reading a copy of a database shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFacts {
    /// Bytes per page.
    pub page_size: u32,
    /// SHA-256 over the schema's rows (type, name, table, sql), sorted.
    pub schema_hash: Digest,
    /// Rows per table; a table that cannot be counted here is not listed.
    pub rows: BTreeMap<String, u64>,
    /// Rows that `foreign_key_check` reports; absent where that check itself fails.
    pub foreign_key_violations: Option<u64>,
    /// How thoroughly the copy could be checked.
    pub check: Check,
    /// Search indexes (FTS) that are out of step with their text, which a `rebuild` fixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale_indexes: Vec<String>,
}

/// How thoroughly a copy of a database could be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// `integrity_check` says ok.
    Full,
    /// `quick_check` says ok; the full one needs a function or collation of the application.
    Quick,
    /// Neither check could run, for want of a function or collation of the application.
    Impossible,
}

/// A folder, an ordinary file or a symbolic link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Path relative to the data directory; `%XX` stands for a byte that is not printable.
    pub path: StoredPath,
    /// Permissions, owner, time.
    #[serde(flatten)]
    pub attributes: Attributes,
    /// What it is.
    #[serde(flatten)]
    pub kind: FileKind,
    /// Of a file with holes: the parts that hold data. The digest is of the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<Vec<Segment>>,
}

/// What a path of a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FileKind {
    /// A folder.
    Folder,
    /// An ordinary file.
    File {
        /// Bytes.
        size: u64,
        /// SHA-256 of its bytes.
        sha256: Digest,
    },
    /// A symbolic link, never followed.
    Symlink {
        /// What it points to, escaped as paths are.
        target: LinkTarget,
    },
}

impl Manifest {
    /// Bytes that its files take when they are unpacked.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.items().map(Item::data_bytes).fold(0, u64::saturating_add)
    }

    /// What another backup must have too in order to stand for this one.
    pub(crate) fn substance(&self) -> Substance<'_> {
        let Self { content, data_directory, excluded, included, .. } = self;
        let data_directory = data_directory.as_ref();
        Substance { content: *content, data_directory, excluded, included }
    }

    /// The oldest format that holds what is in it, whatever [`Manifest::format`] says.
    #[must_use]
    pub fn oldest_format(&self) -> u32 {
        let newer = !self.included.is_empty() || self.items().any(Item::needs_extended_header);
        if newer { FORMAT } else { 1 }
    }

    /// What it left out, and what a restore leaves alone.
    ///
    /// # Errors
    /// [`crate::error::StoreError::BadPattern`].
    pub(crate) fn left_out(&self) -> Result<Filter, crate::error::StoreError> {
        Filter::leaving_out(&self.excluded, &self.included)
    }

    /// The digest that [`Manifest::content`] must be.
    #[must_use]
    pub fn content_of(databases: &[DatabaseRecord], files: &[FileRecord]) -> Digest {
        let databases = databases.iter().map(Item::Database);
        let mut items: Vec<Item<'_>> = databases.chain(files.iter().map(Item::File)).collect();
        // As the lines would be sorted, of which only one at a time is in memory. The files are
        // nearly so already, which the sort makes use of.
        items.sort_by(|one, other| one.path().cmp_escaped(other.path()));
        let mut digest = Hashing::new(io::sink());
        for item in items {
            digest.write_all(line(item).as_bytes()).expect("a sink takes everything");
        }
        digest.finish().1
    }

    /// Accepts a manifest that came from a file, or says what in it piton never writes.
    ///
    /// # Errors
    /// One sentence that names the path.
    pub(crate) fn check(&self) -> Result<(), String> {
        let folders: BTreeSet<&StoredPath> = self
            .files
            .iter()
            .filter(|record| record.kind == FileKind::Folder)
            .map(|record| &record.path)
            .collect();
        let mut seen = BTreeSet::new();
        let paths =
            self.databases.iter().map(|it| &it.path).chain(self.files.iter().map(|it| &it.path));
        for path in paths {
            if !seen.insert(path) {
                return Err(format!("`{path}` is listed twice"));
            }
            if is_private(OsStr::from_bytes(path.first_part())) {
                return Err(format!("`{path}` lies in the private folder"));
            }
            // A link or file as parent would lead the children elsewhere.
            if path.parent().is_some_and(|parent| !folders.contains(&parent)) {
                return Err(format!("`{path}` lies in something that is not a listed folder"));
            }
        }
        for record in &self.databases {
            let side = SIDE_SUFFIXES.iter().map(|suffix| record.path.with_suffix(suffix));
            if let Some(path) = side.into_iter().find(|path| seen.contains(path)) {
                return Err(format!("`{path}` would be taken for a log of `{}`", record.path));
            }
        }
        for record in &self.files {
            let sound = match (&record.kind, &record.segments) {
                (_, None) => true,
                (FileKind::File { size, .. }, Some(segments)) => {
                    segment::are_sound(segments, *size)
                }
                (_, Some(_)) => false,
            };
            if !sound {
                return Err(format!("the segments of `{}` are not in order", record.path));
            }
        }
        if !self.files.is_sorted_by(|one, next| one.path < next.path) {
            return Err("the files are not sorted".into());
        }
        if self.content != Self::content_of(&self.databases, &self.files) {
            return Err("the content digest is not that of the records".into());
        }
        Ok(())
    }
}

fn line(item: Item<'_>) -> String {
    let what = match item {
        Item::Database(record) => format!("database {}", record.sha256),
        Item::File(record) => match &record.kind {
            FileKind::Folder => "folder".into(),
            FileKind::File { sha256, .. } => format!("file {sha256}"),
            FileKind::Symlink { target } => {
                format!("symlink {}", super::Escaped::from(target.clone()).0)
            }
        },
    };
    let (path, Attributes { mode, user, group, .. }) = (item.path(), item.attributes());
    let mut line = format!("{path}\t{mode:o}\t{user}\t{group}\t{what}");
    for (name, value) in item.attributes().extended.iter() {
        line.push_str(&format!("\t{}={}", super::escape(name.as_bytes()), super::escape(value)));
    }
    line.push('\n');
    line
}
