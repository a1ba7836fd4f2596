//! What differs between two backups, or between a backup and the live data.
//!
//! Nothing live is changed: live databases are copied at one instant, backups are unpacked, both
//! into the private staging area of the store, and the copies are compared.

mod files;
mod literal;
mod lost;
mod merge;
mod rows;
#[cfg(test)]
mod tests;

pub use files::FileDifference;
pub use lost::Lost;
pub(crate) use lost::{Sides, write_lost};
pub(crate) use rows::{compare_table, differs};

use crate::{
    Result, backup,
    database::failed,
    disk,
    event::Observer,
    schema::{self, Introspector},
    store::{self, Backup, Digest, FileRecord, Filter, Store, StoredPath, digest_of},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Seek as _},
    path::{Path, PathBuf},
};

/// One of the two that are compared.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// A backup.
    Backup(&'a Backup),
    /// The live data, as the request for a backup of it says.
    Live(&'a backup::Request<'a>),
}

/// How much is to be found out.
#[derive(Clone, Copy)]
pub struct Depth<'a> {
    /// Only what these patterns mean; with none, everything.
    pub only: &'a Filter,
    /// How many keys of each kind are listed per table.
    pub keys: usize,
}

/// What differs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Difference {
    /// The databases that differ.
    pub databases: Vec<DatabaseDifference>,
    /// The files that differ.
    pub files: FileDifference,
    /// The content of every database of the second side that was compared.
    #[serde(skip)]
    pub second: BTreeMap<StoredPath, Digest>,
    /// The live databases of the second side that differ from the first in nothing but the journal mode.
    #[serde(skip)]
    pub alike: BTreeSet<StoredPath>,
    /// How many paths of either side were looked at.
    pub compared: usize,
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty() && self.files.is_empty()
    }
}

/// What differs in a database.
#[derive(Clone, Debug, Serialize)]
pub struct DatabaseDifference {
    /// Its path.
    pub path: StoredPath,
    /// Which side has it.
    pub presence: Presence,
    /// Its position on the first side.
    pub first_position: Option<String>,
    /// Its position on the second side.
    pub second_position: Option<String>,
    /// The facts of the schema that differ: `-` only first, `+` only second, `~` changed.
    pub schema: Vec<String>,
    /// The tables whose rows differ.
    pub tables: Vec<TableDifference>,
    /// Why it could not be compared.
    pub note: Option<String>,
}

/// Which side has a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Both.
    Both,
    /// The first alone.
    OnlyFirst,
    /// The second alone.
    OnlySecond,
}

/// What differs in a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableDifference {
    /// Its name.
    pub table: String,
    /// Rows of the first side alone, by key.
    pub only_first: u64,
    /// Rows of the second side alone, by key.
    pub only_second: u64,
    /// Rows of both sides that differ.
    pub changed: u64,
    /// The keys of these rows, as far as they were asked for.
    pub keys: Keys,
    /// What cannot be said in numbers.
    pub note: Option<String>,
}

/// Keys of rows; each is the row's number or the values of its primary key.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Keys {
    /// Rows of the first side alone.
    pub only_first: Vec<Vec<Value>>,
    /// Rows of the second side alone.
    pub only_second: Vec<Vec<Value>>,
    /// Rows that differ.
    pub changed: Vec<Vec<Value>>,
}

/// A value of a key; a blob is text in hexadecimal.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// Text, or a blob.
    Text(String),
}

impl TableDifference {
    fn of(table: &str) -> Self {
        let (table, keys) = (table.to_string(), Keys::default());
        Self { table, only_first: 0, only_second: 0, changed: 0, keys, note: None }
    }

    fn is_equal(&self) -> bool {
        self.note.is_none() && self.only_first + self.only_second + self.changed == 0
    }
}

/// What a side has.
struct Side {
    databases: BTreeMap<StoredPath, Copy>,
    files: BTreeMap<StoredPath, FileRecord>,
}

struct Copy {
    sha256: Digest,
    position: Option<String>,
    /// Where it is, or is going to be.
    file: PathBuf,
}

/// Compares two sides. What both left out, or either, is not compared.
///
/// # Errors
/// A backup that is damaged, a live database that cannot be read; the system's, with the path.
pub fn find(
    store: &Store,
    (first, second): (Source<'_>, Source<'_>),
    depth: Depth<'_>,
    observer: &dyn Observer,
) -> Result<Difference> {
    let mut excluded = Filter::default();
    for source in [first, second] {
        excluded = excluded.or(&match source {
            Source::Backup(backup) => backup.manifest.left_out()?,
            Source::Live(request) => request.excluded.clone(),
        });
    }
    let wanted = |path: &StoredPath| {
        (depth.only.is_empty() || depth.only.matches(path)) && !excluded.matches(path)
    };
    let session = store.session()?;
    let folders = ["first", "second"].map(|name| session.staging().join(name));
    for folder in &folders {
        disk::create_private_folder("difference-folder", folder)?;
    }
    let known = |source| match source {
        Source::Backup(backup) => files_of(backup),
        Source::Live(_) => BTreeMap::new(),
    };
    let mut sides = [
        side(store, first, &folders[0], &known(second))?,
        side(store, second, &folders[1], &known(first))?,
    ];
    for side in &mut sides {
        side.databases.retain(|path, _| wanted(path));
        side.files.retain(|path, _| wanted(path));
    }
    let [ours, theirs] = &sides;
    let differing: Vec<&StoredPath> = ours
        .databases
        .iter()
        .filter(|(path, copy)| {
            theirs.databases.get(*path).is_some_and(|other| other.sha256 != copy.sha256)
        })
        .map(|(path, _)| path)
        .collect();
    let mut alike = BTreeSet::new();
    for path in differing.iter().filter(|_| matches!(second, Source::Live(_))) {
        if has_content_in_other_mode(&theirs.databases[*path].file, &ours.databases[*path].sha256)?
        {
            alike.insert((*path).clone());
        }
    }
    for (source, side) in [first, second].into_iter().zip(&sides) {
        if let Source::Backup(backup) = source {
            let target = |path: &StoredPath| {
                differing.contains(&path).then(|| side.databases[path].file.clone())
            };
            if !differing.is_empty() {
                store.unpack_databases(backup, &target, observer)?;
            }
        }
    }
    Ok(Difference {
        databases: databases(ours, theirs, depth.keys),
        files: files::compare(ours, theirs),
        second: theirs.databases.iter().map(|(path, it)| (path.clone(), it.sha256)).collect(),
        alike,
        compared: sides.iter().map(|side| side.databases.len() + side.files.len()).sum(),
    })
}

/// Whether a database would have this digest in the other journal mode, of which bytes 18 and 19 tell
/// (SQLite file format, 1.3.3). An open database keeps its mode whatever is restored into it.
fn has_content_in_other_mode(file: &Path, digest: &Digest) -> Result<bool> {
    const MODE: std::ops::Range<usize> = 18..20;
    let mut open = disk::open_to_read(file)?;
    let mut head = Vec::with_capacity(100);
    std::io::Read::by_ref(&mut open)
        .take(100)
        .read_to_end(&mut head)
        .map_err(disk::failed("read", file))?;
    let Some(mode) = head.get_mut(MODE) else { return Ok(false) };
    let other = if mode == [2, 2] { 1 } else { 2 };
    mode.fill(other);
    open.seek(std::io::SeekFrom::Start(head.len() as u64)).map_err(disk::failed("read", file))?;
    let (found, _) = digest_of(head.as_slice().chain(open)).map_err(disk::failed("read", file))?;
    Ok(found == *digest)
}

fn files_of(backup: &Backup) -> BTreeMap<StoredPath, FileRecord> {
    backup.manifest.files.iter().map(|record| (record.path.clone(), record.clone())).collect()
}

fn side(
    store: &Store,
    source: Source<'_>,
    folder: &Path,
    known: &BTreeMap<StoredPath, FileRecord>,
) -> Result<Side> {
    let mut databases = BTreeMap::new();
    let request = match source {
        Source::Backup(backup) => {
            for (number, record) in backup.manifest.databases.iter().enumerate() {
                let file = folder.join(format!("{number}.db"));
                let (sha256, position) = (record.sha256, record.position.clone());
                databases.insert(record.path.clone(), Copy { sha256, position, file });
            }
            return Ok(Side { databases, files: files_of(backup) });
        }
        Source::Live(request) => request,
    };
    let copies = backup::copy_databases(request, store, folder)?;
    for (path, file) in copies.databases {
        let read = disk::open_to_read(&file)?;
        let (sha256, _) = digest_of(read).map_err(disk::failed("read", &file))?;
        // A damaged one has no position, and says why when it is compared.
        let opened = store::open_copy(&file).ok();
        let position = opened.and_then(|copy| (request.inspect)(&copy, path.as_path()));
        databases.insert(path, Copy { sha256, position, file });
    }
    let files = files::of_tree(request.data, &copies.tree, known)?;
    Ok(Side { databases, files })
}

fn databases(first: &Side, second: &Side, keys: usize) -> Vec<DatabaseDifference> {
    let mut found = Vec::new();
    for (path, copy) in &first.databases {
        match second.databases.get(path) {
            None => found.push(alone(path, copy, Presence::OnlyFirst)),
            Some(other) if other.sha256 == copy.sha256 => {}
            Some(other) => found.push(both(path, copy, other, keys)),
        }
    }
    for (path, copy) in &second.databases {
        if !first.databases.contains_key(path) {
            found.push(alone(path, copy, Presence::OnlySecond));
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn alone(path: &StoredPath, copy: &Copy, presence: Presence) -> DatabaseDifference {
    let position = |side| if presence == side { copy.position.clone() } else { None };
    DatabaseDifference {
        path: path.clone(),
        presence,
        first_position: position(Presence::OnlyFirst),
        second_position: position(Presence::OnlySecond),
        schema: Vec::new(),
        tables: Vec::new(),
        note: None,
    }
}

/// One that cannot be compared does not keep the others from it.
fn both(path: &StoredPath, first: &Copy, second: &Copy, keys: usize) -> DatabaseDifference {
    let mut difference = DatabaseDifference {
        path: path.clone(),
        presence: Presence::Both,
        first_position: first.position.clone(),
        second_position: second.position.clone(),
        schema: Vec::new(),
        tables: Vec::new(),
        note: None,
    };
    let shown = path.as_path();
    let read = |copy: &Copy| -> Result<schema::Schema> {
        let connection = store::open_copy(&copy.file)?;
        Ok(Introspector::default()
            .read(&connection)
            .map_err(failed("read the schema of", shown))?)
    };
    let compared = (|| {
        let changes = schema::diff(&read(first)?, &read(second)?);
        difference.schema = changes.iter().map(ToString::to_string).collect();
        difference.tables = rows::compare(shown, &first.file, &second.file, keys)?;
        Ok::<_, crate::Error>(())
    })();
    difference.note = match compared {
        Err(error) => Some(format!("cannot be compared: {error}")),
        Ok(()) if difference.schema.is_empty() && difference.tables.is_empty() => {
            Some("the rows are equal, the pages differ".into())
        }
        Ok(()) => None,
    };
    difference
}
