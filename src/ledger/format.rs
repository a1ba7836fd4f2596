//! Which format a ledger has: format 1 (piton 0.1) has no column `format`, every later one says it
//! in each row.
//!
//! Reading never changes a ledger. A format is never taken out of here: databases live long.

use crate::{error::LedgerError, sql::fold};
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;

/// The name of the ledger's table.
pub const TABLE: &str = "_piton_ledger";

/// The format that this piton writes.
pub const FORMAT: i64 = 2;

/// The ledger as piton writes it. The text columns that may be long come last, so that reading the
/// others reads no overflow pages.
pub(super) const CREATE: &str = "\
CREATE TABLE main._piton_ledger (
  id              INTEGER PRIMARY KEY,  -- the order in which things ran
  format          INTEGER NOT NULL,     -- of this row; see docs/formats.md of piton
  kind            TEXT    NOT NULL,     -- sql, script or operation
  version         TEXT    NOT NULL,     -- as the file name spells it; 0 for an operation
  name            TEXT    NOT NULL,
  state           TEXT    NOT NULL,     -- started, applied or recorded
  known_by        TEXT    NOT NULL,     -- run, schema, later, guard or adopted
  started_at      TEXT    NOT NULL,     -- RFC 3339, UTC
  duration_ms     INTEGER NOT NULL,
  statements_done INTEGER NOT NULL,
  file_sha256     TEXT    NOT NULL,     -- of the bytes of the file
  text_sha256     TEXT    NOT NULL,     -- the same without line ends and trailing spaces
  schema_hash     TEXT    NOT NULL,     -- of the schema after it, in the last row of a transaction
  backup          TEXT,                 -- the backup that was taken before it
  piton_version   TEXT    NOT NULL,
  changed_objects TEXT    NOT NULL,     -- by a script, one per line
  output          TEXT,                 -- of a script
  text            TEXT    NOT NULL      -- the file as it ran
)";

/// The columns of format 1, by which its table is recognised.
const FIRST: [&str; 17] = [
    "id",
    "version",
    "name",
    "kind",
    "state",
    "witness",
    "checksum",
    "forgiving",
    "text",
    "started",
    "milliseconds",
    "statements",
    "schema_hash",
    "backup",
    "piton",
    "output",
    "objects",
];

/// A format that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Of piton 0.1.
    First,
    /// The one that is written.
    Second,
}

impl Format {
    /// The columns in the order in which rows are read, without the text.
    pub(super) const fn columns(self) -> &'static str {
        match self {
            Self::First => {
                "id, version, name, kind, state, witness, checksum, forgiving, started, \
                 milliseconds, statements, schema_hash, backup, piton, output, objects"
            }
            Self::Second => {
                "id, version, name, kind, state, known_by, file_sha256, text_sha256, started_at, \
                 duration_ms, statements_done, schema_hash, backup, piton_version, output, \
                 changed_objects"
            }
        }
    }

    /// The names of the columns that say how piton knew, and of the two checksums.
    pub(super) const fn evidence(self) -> [&'static str; 3] {
        match self {
            Self::First => ["witness", "checksum", "forgiving"],
            Self::Second => ["known_by", "file_sha256", "text_sha256"],
        }
    }
}

/// The format of the ledger; none where there is no ledger.
///
/// # Errors
/// [`LedgerError::Newer`], [`LedgerError::Foreign`], [`LedgerError::Damaged`]; SQLite's.
pub(super) fn find(connection: &Connection) -> Result<Option<Format>, LedgerError> {
    let Some((kind, name)) = object(connection, TABLE)? else { return Ok(None) };
    let columns = columns(connection, TABLE)?;
    let is_first = FIRST.iter().all(|column| columns.contains(*column));
    match kind.as_str() {
        "table" if columns.contains("format") => {
            let own = Format::Second.columns().split(", ").all(|column| columns.contains(column));
            second(connection, (kind, name), own).map(Some)
        }
        "table" if is_first => Ok(Some(Format::First)),
        _ => Err(LedgerError::Foreign { kind, name }),
    }
}

/// A ledger that says its format. A later one may have other columns, so nothing else is read; where
/// all are piton's own, another value is damage.
fn second(
    connection: &Connection,
    (kind, name): (String, String),
    own: bool,
) -> Result<Format, LedgerError> {
    let strange = |value: &str| match own {
        true => LedgerError::Damaged { reason: format!("a row has {value} as its format") },
        // A table of other origin may hold anything there.
        false => LedgerError::Foreign { kind: kind.clone(), name: name.clone() },
    };
    let newest: Option<i64> = connection
        .prepare_cached("SELECT max(format) FROM main._piton_ledger")?
        .query_row([], |row| row.get(0))
        .map_err(|error| match error {
            rusqlite::Error::InvalidColumnType(..) => strange("no number"),
            error => LedgerError::Sqlite(error),
        })?;
    match newest.unwrap_or(FORMAT) {
        FORMAT => Ok(Format::Second),
        format if format > FORMAT => Err(LedgerError::Newer { format, known: FORMAT }),
        format => Err(strange(&format.to_string())),
    }
}

/// The kind of the object that has a name, and how the name is written. Triggers have names of
/// their own and are in nobody's way.
pub(super) fn object(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<(String, String)>> {
    connection
        .prepare_cached(
            "SELECT type, name FROM main.sqlite_schema \
             WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'",
        )?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// The folded names of a table's columns.
pub(super) fn columns(connection: &Connection, table: &str) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement =
        connection.prepare_cached("SELECT name FROM pragma_table_info(?1, 'main')")?;
    let names = statement.query_map([table], |row| row.get::<_, String>(0))?;
    names.map(|name| name.map(|name| fold(&name))).collect()
}
