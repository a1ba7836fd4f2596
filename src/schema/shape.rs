//! What it takes to compare the rows of a table: its columns, and by what its rows are known.

use rusqlite::{Connection, Result};

/// By what the rows of a table are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The row's number, by a name that no column has taken.
    Rowid(&'static str),
    /// The columns of the primary key.
    Columns(Vec<String>),
}

/// A table with rows of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its name as written.
    pub name: String,
    /// Its columns as written, without those that are computed from others.
    pub columns: Vec<String>,
    /// By what its rows are known.
    pub key: Key,
}

/// The tables of `main` that have rows of their own; virtual tables have none.
///
/// # Errors
/// SQLite's.
pub fn shapes(connection: &Connection) -> Result<Vec<Shape>> {
    let mut statement = connection.prepare(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name",
    )?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut shapes = Vec::new();
    for name in names {
        let name = name?;
        if !super::is_internal(&name) {
            shapes.extend(shape(connection, name)?);
        }
    }
    Ok(shapes)
}

/// One table; none where its rows have no number that can be named.
///
/// # Errors
/// SQLite's.
pub fn shape(connection: &Connection, name: String) -> Result<Option<Shape>> {
    let mut statement = connection
        .prepare_cached("SELECT name, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid")?;
    let mut rows = statement.query([&name])?;
    let (mut columns, mut key) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let column: String = row.get(0)?;
        let (place, hidden): (i64, i64) = (row.get(1)?, row.get(2)?);
        if place > 0 {
            key.push((place, column.clone()));
        }
        if hidden == 0 {
            columns.push(column);
        }
    }
    key.sort_unstable();
    // An INTEGER PRIMARY KEY needs no index: it is the row's number.
    let indexed: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk')")?
        .query_row([&name], |row| row.get(0))?;
    if indexed {
        let key = Key::Columns(key.into_iter().map(|(_, column)| column).collect());
        return Ok(Some(Shape { name, columns, key }));
    }
    let taken = |alias: &&str| columns.iter().any(|column| column.eq_ignore_ascii_case(alias));
    let alias = ["rowid", "_rowid_", "oid"].into_iter().find(|alias| !taken(alias));
    Ok(alias.map(|alias| Shape { name, columns, key: Key::Rowid(alias) }))
}

#[cfg(test)]
mod tests {
    use super::{Key, shapes};

    #[test]
    fn keys_of_all_kinds_of_tables() {
        let columns = |names: &[&str]| Key::Columns(names.iter().map(|it| (*it).into()).collect());
        let cases = [
            ("CREATE TABLE t (a, b)", Key::Rowid("rowid")),
            ("CREATE TABLE t (a INTEGER PRIMARY KEY, b)", Key::Rowid("rowid")),
            ("CREATE TABLE t (rowid, b)", Key::Rowid("_rowid_")),
            ("CREATE TABLE t (a INT PRIMARY KEY, b)", columns(&["a"])),
            ("CREATE TABLE t (a, B, PRIMARY KEY (B, a))", columns(&["B", "a"])),
            ("CREATE TABLE t (a TEXT PRIMARY KEY, b) WITHOUT ROWID", columns(&["a"])),
        ];
        for (sql, key) in cases {
            let connection = crate::database::open_scratch().unwrap();
            connection.execute_batch(sql).unwrap();
            assert_eq!(shapes(&connection).unwrap()[0].key, key, "{sql}");
        }
        let connection = crate::database::open_scratch().unwrap();
        let sql = "CREATE TABLE t (a, b AS (a + 1)); CREATE VIRTUAL TABLE f USING fts5(x); CREATE TABLE _piton_x (a)";
        connection.execute_batch(sql).unwrap();
        let found = shapes(&connection).unwrap();
        let t = found.iter().find(|shape| shape.name == "t").unwrap();
        assert_eq!(t.columns, ["a"]);
        assert!(found.iter().all(|shape| shape.name != "f" && shape.name != "_piton_x"));
    }
}
