//! What a data directory holds, read without piton: files byte by byte, databases row by row.
//!
//! Databases are read from copies, with their logs, so that looking changes nothing.

use crate::files::copy_file;
use piton::rusqlite::{Connection, types::Value};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

const SIDES: [&str; 3] = ["-wal", "-shm", "-journal"];
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Everything in a data directory but piton's own folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By path, the permission bits and the content.
    pub entries: BTreeMap<String, (u32, String)>,
    /// By database, the state of each version in its ledger.
    pub ledgers: BTreeMap<String, BTreeMap<String, String>>,
}

impl State {
    /// Reads a data directory; `scratch` is a folder for the copies of databases.
    pub fn read(data: &Path, scratch: &Path) -> Self {
        let mut state = Self::default();
        for entry in walkdir::WalkDir::new(data).min_depth(1).sort_by_file_name() {
            let Ok(entry) = entry else { continue };
            let path = entry.path().strip_prefix(data).expect("it lies below");
            let name = path.display().to_string();
            if path.starts_with(".piton") {
                continue;
            }
            let kind = entry.file_type();
            let content = if kind.is_symlink() {
                let target = fs::read_link(entry.path()).unwrap_or_default();
                format!("link to {}", target.display())
            } else if kind.is_dir() {
                "folder".into()
            } else {
                match fs::read(entry.path()) {
                    Err(error) => format!("unreadable: {error}"),
                    // What lies beside a database is read with it.
                    Ok(_) if is_side_file(entry.path()) => continue,
                    Ok(bytes) if bytes.starts_with(MAGIC) => {
                        let (dump, ledger) = read_database(entry.path(), scratch);
                        state.ledgers.insert(name.clone(), ledger);
                        dump
                    }
                    Ok(bytes) => format!("file {}", String::from_utf8_lossy(&bytes)),
                }
            };
            let mode = entry.metadata().map_or(0, |found| found.mode() & 0o7777);
            state.entries.insert(name, (mode, content));
        }
        state
    }

    /// The contents alone: an archive that was unpacked by other means has other modes.
    pub fn contents(&self) -> BTreeMap<&str, &str> {
        let all = self.entries.iter();
        all.map(|(path, (_, content))| (path.as_str(), content.as_str())).collect()
    }

    /// The first path in which two states differ, and how.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let paths = self.entries.keys().chain(other.entries.keys());
        let path =
            paths.into_iter().find(|path| self.entries.get(*path) != other.entries.get(*path))?;
        let side = |state: &Self| match state.entries.get(path) {
            None => "absent".into(),
            Some((mode, content)) => format!("{mode:o} {}", shortened(content)),
        };
        Some(format!("`{path}` is {} and not {}", side(self), side(other)))
    }
}

fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|it| if it == '\n' { '|' } else { it }).collect();
    match line.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

fn is_side_file(path: &Path) -> bool {
    let name = path.to_string_lossy();
    SIDES
        .iter()
        .any(|suffix| name.strip_suffix(suffix).is_some_and(|main| Path::new(main).exists()))
}

/// The schema and all rows of a database as text, and its ledger.
fn read_database(path: &Path, scratch: &Path) -> (String, BTreeMap<String, String>) {
    let copy = scratch.join("look.db");
    let beside = |path: &Path, suffix: &str| format!("{}{suffix}", path.display());
    for suffix in ["", "-wal", "-shm", "-journal"] {
        drop(fs::remove_file(beside(&copy, suffix)));
        // The index of the log is made anew by whoever comes first.
        if suffix != "-shm" {
            drop(copy_file(Path::new(&beside(path, suffix)), Path::new(&beside(&copy, suffix))));
        }
    }
    drop(fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)));
    let read = Connection::open(&copy).and_then(|connection| {
        connection.execute_batch("PRAGMA synchronous = OFF")?;
        Ok((dump(&connection)?, ledger(&connection)?))
    });
    read.unwrap_or_else(|error| (format!("broken database: {error}"), BTreeMap::new()))
}

fn dump(connection: &Connection) -> piton::rusqlite::Result<String> {
    let mut text = String::new();
    let sound: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        text.push_str(&format!("DAMAGED: {sound}\n"));
    }
    let mut schema = connection.prepare(
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' \
         AND tbl_name NOT LIKE '\\_piton\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let objects = schema
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<(String, String, Option<String>)>, _>>()?;
    for (kind, name, sql) in objects {
        text.push_str(&format!("{}\n", sql.unwrap_or_default()));
        if kind != "table" {
            continue;
        }
        let mut rows = connection.prepare(&format!("SELECT * FROM \"{name}\" ORDER BY 1"))?;
        let columns = rows.column_count();
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let values = (0..columns).map(|at| row.get::<_, Value>(at));
            let values = values.collect::<Result<Vec<_>, _>>()?;
            let values: Vec<String> = values.iter().map(shown).collect();
            text.push_str(&format!("{}\n", values.join("|")));
        }
    }
    Ok(text)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        // Long texts are there to fill pages.
        Value::Text(text) if text.len() > 40 => format!("{}…{}", &text[..20], text.len()),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("blob of {}", bytes.len()),
    }
}

fn ledger(connection: &Connection) -> piton::rusqlite::Result<BTreeMap<String, String>> {
    let there: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = '_piton_ledger'",
        [],
        |row| row.get(0),
    )?;
    if there == 0 {
        return Ok(BTreeMap::new());
    }
    let mut rows = connection.prepare("SELECT version, state FROM _piton_ledger ORDER BY id")?;
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
