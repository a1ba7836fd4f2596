//! The rows that only the second of two databases has, or has otherwise, as SQL that puts them
//! back: one row after the other, so that nothing has to fit into memory.
//!
//! The SQL never overwrites what is there when it runs. A key that is taken is an error, and a
//! changed row is put back only where it is still as the first database has it.

use super::{
    literal::{Encoding, write_literal},
    rows::{Pair, SIDES, connect, differs, keys},
};
use crate::{
    Result,
    database::failed,
    disk,
    schema::{Key, Shape, shapes},
    sql::quote,
    store,
};
use rusqlite::{Connection, Row, types::ValueRef};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Lost {
    /// Rows that only the live database had.
    pub rows: u64,
    /// Rows that it had otherwise.
    pub changed: u64,
    /// Tables that could not be written, one sentence each.
    pub left_out: Vec<String>,
}

impl Lost {
    /// Whether there was nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Two databases that nobody changes, and what is said about them.
pub(crate) struct Sides<'a> {
    /// The path that messages name.
    pub(crate) shown: &'a Path,
    /// The one that is put back; nothing where the backup does not have it.
    pub(crate) backup: Option<&'a Path>,
    /// The one whose rows get lost.
    pub(crate) live: &'a Path,
}

/// Writes the SQL of one database to a file that is being made.
///
/// # Errors
/// [`crate::error::DatabaseError`] where a database cannot be read; the system's, with `path`.
pub(crate) fn write_lost(
    sides: &Sides<'_>,
    heading: &str,
    (out, path): (&mut dyn Write, &Path),
) -> Result<Lost> {
    let read = |file: &Path| -> Result<Vec<Shape>> {
        Ok(shapes(&store::open_copy(file)?).map_err(failed("read the schema of", sides.shown))?)
    };
    let (ours, theirs) = match sides.backup {
        Some(backup) => (read(backup)?, read(sides.live)?),
        None => (Vec::new(), read(sides.live)?),
    };
    let connection = connect(sides.backup, sides.live)?;
    let encoding: String = connection
        .query_row("PRAGMA second.encoding", [], |row| row.get(0))
        .map_err(failed("read the encoding of", sides.shown))?;
    let pair = Pair { connection: &connection, sides: SIDES, shown: sides.shown, limit: 0 };
    let mut writer = Writer {
        pair: &pair,
        encoding: Encoding::named(&encoding),
        out,
        path: path.into(),
        lost: Lost::default(),
    };
    writer.say(heading)?;
    writer.say("BEGIN IMMEDIATE;\nPRAGMA defer_foreign_keys = ON;\n")?;
    let shadows = shadows(pair.connection).map_err(failed("read the schema of", sides.shown))?;
    for shape in theirs.iter().filter(|shape| !shadows.contains(&shape.name)) {
        let name = crate::sql::fold(&shape.name);
        let other = ours.iter().find(|other| crate::sql::fold(&other.name) == name);
        writer.table(shape, other)?;
    }
    writer.say("COMMIT;\n")?;
    Ok(writer.lost)
}

/// The tables in which virtual tables keep what they have; only the virtual table may write there.
fn shadows(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'second' AND type = 'shadow'";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

struct Writer<'a, 'b> {
    pair: &'a Pair<'a>,
    encoding: Encoding,
    out: &'b mut dyn Write,
    path: PathBuf,
    lost: Lost,
}

/// One table, and the columns by which its rows are written.
struct Plan<'a> {
    name: String,
    /// What is inserted: the row's number where no column holds it, and the columns of both.
    columns: Vec<String>,
    /// The columns that only the live table has.
    extra: Vec<&'a String>,
    /// The key in the backup and in the live table, quoted.
    keys: (Vec<String>, Vec<String>),
}

impl Writer<'_, '_> {
    fn table(&mut self, live: &Shape, backup: Option<&Shape>) -> Result<()> {
        let both = backup.map_or_else(|| keys(live, live), |backup| keys(backup, live));
        let keys = match both {
            Ok(keys) => keys,
            Err(reason) => return self.leave_out(&live.name, &reason),
        };
        let plan = self.plan(live, backup, keys)?;
        let before = self.lost.clone();
        let written = self.missing(&plan, live, backup).and_then(|()| match backup {
            Some(backup) => self.changed(&plan, backup, live),
            None => Ok(()),
        });
        match written {
            Err(Stop::Table(reason)) => {
                self.lost = before;
                self.leave_out(&live.name, &reason)
            }
            Err(Stop::Write(error)) => Err(disk::failed("write", &self.path)(error).into()),
            Ok(()) => Ok(()),
        }
    }

    fn plan<'c>(
        &self,
        live: &'c Shape,
        backup: Option<&Shape>,
        keys: (Vec<String>, Vec<String>),
    ) -> Result<Plan<'c>> {
        let is_shared = |column: &&String| {
            backup.is_none_or(|backup| {
                let mut all = backup.columns.iter();
                all.any(|it| crate::sql::fold(it) == crate::sql::fold(column))
            })
        };
        let (shared, extra): (Vec<_>, Vec<_>) = live.columns.iter().partition(is_shared);
        let mut columns: Vec<String> = shared.into_iter().map(|it| quote(it)).collect();
        if let Key::Rowid(alias) = live.key
            && !self.has_number(&live.name).map_err(failed("read", self.pair.shown))?
        {
            columns.insert(0, alias.to_string());
        }
        Ok(Plan { name: quote(&live.name), columns, extra, keys })
    }

    /// Whether a column is the row's number, an INTEGER PRIMARY KEY.
    fn has_number(&self, table: &str) -> rusqlite::Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_xinfo(?1, 'second') WHERE pk > 0)";
        self.pair.connection.query_row(sql, [table], |row| row.get(0))
    }

    /// The rows that only the live table has.
    fn missing(
        &mut self,
        plan: &Plan<'_>,
        live: &Shape,
        backup: Option<&Shape>,
    ) -> Result<(), Stop> {
        let name = &plan.name;
        let from = match backup {
            None => format!("FROM second.{name} AS b"),
            Some(backup) => {
                let equal = equal(&plan.keys);
                let there = quote(&backup.name);
                format!(
                    "FROM second.{name} AS b WHERE NOT EXISTS \
                     (SELECT 1 FROM first.{there} AS a WHERE {equal})"
                )
            }
        };
        let extra = plan.extra.iter().map(|column| quote(column));
        let all: Vec<String> = plan.columns.iter().cloned().chain(extra).collect();
        let sql = format!("SELECT {} {from}", of("b", &all));
        let mut statement = self.pair.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let start = format!("INSERT INTO {name} ({}) VALUES (", plan.columns.join(", "));
        let mut first = true;
        while let Some(row) = rows.next()? {
            if std::mem::take(&mut first) {
                self.introduce(live, backup)?;
            }
            self.out.write_all(start.as_bytes())?;
            for at in 0..plan.columns.len() {
                if at > 0 {
                    self.out.write_all(b", ")?;
                }
                write_literal(self.out, row.get_ref(at)?, self.encoding)?;
            }
            self.out.write_all(b");\n")?;
            self.extra(plan, row, plan.columns.len())?;
            self.lost.rows += 1;
        }
        Ok(())
    }

    /// The rows that both have, with other values.
    fn changed(&mut self, plan: &Plan<'_>, backup: &Shape, live: &Shape) -> Result<(), Stop> {
        let shared: Vec<&String> = plan.columns.iter().filter(|it| it.starts_with('"')).collect();
        let (name, there, count) = (&plan.name, quote(&backup.name), shared.len());
        let extra: Vec<String> = plan.extra.iter().map(|column| quote(column)).collect();
        let columns = [of("a", &plan.keys.0), of("a", &shared), of("b", &shared), of("b", &extra)];
        let columns: Vec<&str> =
            columns.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        let sql = format!(
            "SELECT {} FROM first.{there} AS a CROSS JOIN second.{name} AS b ON {} WHERE {}",
            columns.join(", "),
            equal(&plan.keys),
            differs(backup, live),
        );
        let mut statement = self.pair.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let (old, new) = (plan.keys.0.len(), plan.keys.0.len() + count);
        while let Some(row) = rows.next()? {
            let mut changed = Vec::new();
            for (at, column) in shared.iter().enumerate() {
                if !is_same(row.get_ref(old + at)?, row.get_ref(new + at)?) {
                    changed.push((at, *column));
                }
            }
            if changed.is_empty() {
                continue;
            }
            write!(self.out, "UPDATE {name} SET ")?;
            for (nth, (at, column)) in changed.iter().enumerate() {
                write!(self.out, "{}{column} = ", if nth > 0 { ", " } else { "" })?;
                write_literal(self.out, row.get_ref(new + at)?, self.encoding)?;
            }
            self.out.write_all(b" WHERE ")?;
            self.key(plan, row)?;
            for (at, column) in &changed {
                write!(self.out, " AND {column} IS ")?;
                write_literal(self.out, row.get_ref(old + at)?, self.encoding)?;
                self.out.write_all(b" COLLATE BINARY")?;
            }
            self.out.write_all(b";\n")?;
            // An UPDATE that finds nothing is no error: it says so itself.
            let said = format!("a row of {} has changed since and stays as it is: ", live.name);
            write!(self.out, "SELECT '{}', ", said.replace('\'', "''"))?;
            for at in 0..plan.keys.0.len() {
                self.out.write_all(if at > 0 { b", " } else { b"" })?;
                write_literal(self.out, row.get_ref(at)?, self.encoding)?;
            }
            self.out.write_all(b" WHERE changes() = 0;\n")?;
            self.extra(plan, row, new + count)?;
            self.lost.changed += 1;
        }
        Ok(())
    }

    fn key(&mut self, plan: &Plan<'_>, row: &Row<'_>) -> Result<(), Stop> {
        for (at, column) in plan.keys.0.iter().enumerate() {
            write!(self.out, "{}{column} IS ", if at > 0 { " AND " } else { "" })?;
            write_literal(self.out, row.get_ref(at)?, self.encoding)?;
        }
        Ok(())
    }

    /// Values of columns that the backup's table does not have, for whoever reads the file.
    fn extra(&mut self, plan: &Plan<'_>, row: &Row<'_>, first: usize) -> Result<(), Stop> {
        for (at, column) in plan.extra.iter().enumerate() {
            let value = row.get_ref(first + at)?;
            if value != ValueRef::Null {
                let mut text = Vec::new();
                write_literal(&mut text, value, self.encoding)?;
                let text = String::from_utf8_lossy(&text).replace(['\n', '\r'], " ");
                let column = column.replace(['\n', '\r'], " ");
                writeln!(self.out, "--   its `{column}`, which the backup does not have: {text}")?;
            }
        }
        Ok(())
    }

    /// Before the first row of a table: what it needs that the backup does not have.
    fn introduce(&mut self, live: &Shape, backup: Option<&Shape>) -> Result<(), Stop> {
        if backup.is_some() {
            return Ok(());
        }
        let sql = "SELECT sql FROM second.sqlite_schema WHERE type = 'table' AND name = ?1";
        let text: String = self.pair.connection.query_row(sql, [&live.name], |row| row.get(0))?;
        writeln!(self.out, "-- The backup does not have this table; it must be made first:")?;
        text.lines().try_for_each(|line| writeln!(self.out, "--   {line}"))?;
        Ok(())
    }

    fn leave_out(&mut self, table: &str, reason: &str) -> Result<()> {
        let text = format!("not all rows of `{table}` are in it: {reason}");
        self.say(&format!("-- {}\n", text.replace(['\n', '\r'], " ")))?;
        self.lost.left_out.push(text);
        Ok(())
    }

    fn say(&mut self, text: &str) -> Result<()> {
        Ok(self.out.write_all(text.as_bytes()).map_err(disk::failed("write", &self.path))?)
    }
}

/// Why a table ends early.
enum Stop {
    /// It cannot be read; the others may.
    Table(String),
    /// The file cannot be written.
    Write(std::io::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Table(error.to_string())
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Write(error)
    }
}

fn equal((one, other): &(Vec<String>, Vec<String>)) -> String {
    let terms: Vec<String> =
        one.iter().zip(other).map(|(a, b)| format!("a.{a} IS b.{b}")).collect();
    terms.join(" AND ")
}

fn of(side: &str, columns: &[impl AsRef<str>]) -> String {
    let named: Vec<String> = columns.iter().map(|it| format!("{side}.{}", it.as_ref())).collect();
    named.join(", ")
}

fn is_same(one: ValueRef<'_>, other: ValueRef<'_>) -> bool {
    match (one, other) {
        (ValueRef::Real(one), ValueRef::Real(other)) => one.to_bits() == other.to_bits(),
        (one, other) => one == other,
    }
}
