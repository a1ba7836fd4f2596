//! The rows of two copies of a database, compared by key. SQLite does the comparing, so nothing
//! has to fit into memory.

use super::{
    TableDifference, Value,
    merge::{Tables, merge},
};
use crate::{
    Result,
    database::{self, failed},
    schema::{Key, Shape, shapes},
    sql::quote,
    store,
};
use rusqlite::{Connection, types::ValueRef};
use std::path::Path;

/// How many bytes of each copy are mapped at most: SQLite's own limit is just below that.
const MAPPED: i64 = 2 << 30;

/// The names of the two copies in their connection.
pub(super) const SIDES: [&str; 2] = ["first", "second"];

/// The two that are compared, under two names of one connection.
pub(super) struct Pair<'a> {
    pub(super) connection: &'a Connection,
    /// Their names there.
    pub(super) sides: [&'static str; 2],
    pub(super) shown: &'a Path,
    pub(super) limit: usize,
}

/// Compares a table of two databases that are open in one connection under these names. What cannot be
/// compared is in the note of the result.
pub(crate) fn compare_table(
    (connection, sides): (&Connection, [&'static str; 2]),
    (ours, theirs): (&Shape, &Shape),
    shown: &Path,
) -> TableDifference {
    Pair { connection, sides, shown, limit: 0 }.both(ours, theirs)
}

/// Compares all tables; those that are equal are not in the result.
///
/// # Errors
/// [`crate::error::DatabaseError`] where a copy cannot be read.
pub(super) fn compare(
    shown: &Path,
    first: &Path,
    second: &Path,
    limit: usize,
) -> Result<Vec<TableDifference>> {
    let read = |copy: &Path| -> Result<Vec<Shape>> {
        Ok(shapes(&store::open_copy(copy)?).map_err(failed("read the schema of", shown))?)
    };
    let (ours, mut theirs) = (read(first)?, read(second)?);
    let connection = connect(Some(first), second)?;
    let pair = Pair { connection: &connection, sides: SIDES, shown, limit };
    let mut tables = Vec::new();
    for shape in ours {
        let name = crate::sql::fold(&shape.name);
        let other = theirs.iter().position(|other| crate::sql::fold(&other.name) == name);
        tables.push(match other.map(|at| theirs.swap_remove(at)) {
            Some(other) => pair.both(&shape, &other),
            None => pair.one("first", &shape)?,
        });
    }
    for shape in &theirs {
        tables.push(pair.one("second", shape)?);
    }
    tables.sort_by(|one, other| one.table.cmp(&other.table));
    tables.retain(|table| !table.is_equal());
    Ok(tables)
}

/// A connection with the two attached. SQLite attaches only what has the encoding of the main
/// database, which an empty one takes from whatever it is told.
pub(super) fn connect(first: Option<&Path>, second: &Path) -> Result<Connection> {
    let encoding: String = store::open_copy(second)?
        .pragma_query_value(None, "encoding", |row| row.get(0))
        .map_err(failed("read the encoding of", second))?;
    let connection = database::open_scratch()?;
    connection
        .pragma_update(None, "encoding", encoding)
        .map_err(failed("take the encoding of", second))?;
    if let Some(first) = first {
        database::attach_copy(&connection, first, "first")?;
    }
    database::attach_copy(&connection, second, "second")?;
    // Rows are looked up by key in no order: from the small default cache that is a read for each.
    // Nobody else changes or truncates the copies, so they can be mapped.
    connection.pragma_update(None, "mmap_size", MAPPED).map_err(failed("map the copy", second))?;
    Ok(connection)
}

impl Pair<'_> {
    /// A table that only one of the two has.
    fn one(&self, side: &str, shape: &Shape) -> Result<TableDifference> {
        let sql = format!("SELECT count(*) FROM {side}.{}", quote(&shape.name));
        let rows = self.count(&sql).map_err(failed("count the rows of", self.shown))?;
        let mut table = TableDifference::of(&shape.name);
        let place = if side == "first" { &mut table.only_first } else { &mut table.only_second };
        *place = rows;
        table.note = Some(format!("only the {side} has this table"));
        Ok(table)
    }

    /// A table of both; what cannot be compared is said, because the rest still can.
    fn both(&self, ours: &Shape, theirs: &Shape) -> TableDifference {
        let mut table = TableDifference::of(&ours.name);
        let compared = self.compare(ours, theirs, &mut table);
        if let Err(reason) = compared {
            table.note = Some(format!("cannot be compared: {reason}"));
        }
        table
    }

    fn compare(
        &self,
        ours: &Shape,
        theirs: &Shape,
        table: &mut TableDifference,
    ) -> Result<(), String> {
        let says = |error: rusqlite::Error| error.to_string();
        let (one, other) = keys(ours, theirs)?;
        let name = quote(&ours.name);
        if let (Key::Rowid(_), [one], [other]) = (&ours.key, &one[..], &other[..]) {
            let (columns, limit) = (&shared(ours, theirs)[..], self.limit);
            let (sides, numbers) = (self.sides, [one.as_str(), other]);
            let tables = Tables { name: &name, sides, numbers, columns, limit };
            let found = merge(self.connection, &tables).map_err(says)?;
            (table.only_first, table.only_second) = (found.only_first, found.only_second);
            (table.changed, table.keys) = (found.changed, found.keys);
            return Ok(());
        }
        let equal: Vec<String> =
            one.iter().zip(&other).map(|(a, b)| format!("a.{a} IS b.{b}")).collect();
        let equal = equal.join(" AND ");
        let missing = |here: &str, there: &str, [a, b]: [&str; 2]| {
            format!(
                " FROM {here}.{name} AS {a} WHERE NOT EXISTS \
                 (SELECT 1 FROM {there}.{name} AS {b} WHERE {equal})"
            )
        };
        let [first, second] = self.sides;
        let gone = missing(first, second, ["a", "b"]);
        let new = missing(second, first, ["b", "a"]);
        let differs = differs(ours, theirs);
        let changed = format!(
            " FROM {first}.{name} AS a CROSS JOIN {second}.{name} AS b ON {equal} WHERE {differs}"
        );
        table.only_first = self.count(&format!("SELECT count(*){gone}")).map_err(says)?;
        table.only_second = self.count(&format!("SELECT count(*){new}")).map_err(says)?;
        table.changed = self.count(&format!("SELECT count(*){changed}")).map_err(says)?;
        table.keys.only_first = self.list("a", &one, &gone).map_err(says)?;
        table.keys.only_second = self.list("b", &other, &new).map_err(says)?;
        table.keys.changed = self.list("a", &one, &changed).map_err(says)?;
        Ok(())
    }

    fn count(&self, sql: &str) -> rusqlite::Result<u64> {
        let count: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn list(&self, side: &str, key: &[String], from: &str) -> rusqlite::Result<Vec<Vec<Value>>> {
        if self.limit == 0 {
            return Ok(Vec::new());
        }
        let key: Vec<String> = key.iter().map(|column| format!("{side}.{column}")).collect();
        let sql = format!("SELECT {}{from} LIMIT {}", key.join(", "), self.limit);
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement
            .query_map([], |row| (0..key.len()).map(|at| Ok(value(row.get_ref(at)?))).collect())?;
        rows.collect()
    }
}

/// The key columns of both, quoted.
pub(super) fn keys(ours: &Shape, theirs: &Shape) -> Result<(Vec<String>, Vec<String>), String> {
    let fold = |columns: &[String]| -> Vec<String> {
        columns.iter().map(|column| crate::sql::fold(column)).collect()
    };
    match (&ours.key, &theirs.key) {
        (Key::Rowid(one), Key::Rowid(other)) => {
            Ok((vec![(*one).to_string()], vec![(*other).to_string()]))
        }
        (Key::Columns(one), Key::Columns(other)) if fold(one) == fold(other) => {
            let quote = |columns: &[String]| columns.iter().map(|it| quote(it)).collect();
            Ok((quote(one), quote(other)))
        }
        _ => Err("its primary key is another one".into()),
    }
}

/// The columns that both tables have, quoted.
fn shared(ours: &Shape, theirs: &Shape) -> Vec<String> {
    let folded: Vec<String> = theirs.columns.iter().map(|it| crate::sql::fold(it)).collect();
    let is_shared = |column: &&String| folded.contains(&crate::sql::fold(column));
    ours.columns.iter().filter(is_shared).map(|column| quote(column)).collect()
}

/// Whether a row that both have differs in a column that both have: byte for byte, whatever the
/// collation, and 1 is not 1.0.
pub(crate) fn differs(ours: &Shape, theirs: &Shape) -> String {
    let terms: Vec<String> = shared(ours, theirs)
        .iter()
        .map(|column| {
            format!(
                "a.{column} IS NOT b.{column} COLLATE BINARY \
                 OR typeof(a.{column}) <> typeof(b.{column})"
            )
        })
        .collect();
    if terms.is_empty() { "0".into() } else { format!("({})", terms.join(" OR ")) }
}

pub(super) fn value(found: ValueRef<'_>) -> Value {
    match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => {
            Value::Text(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
    }
}
