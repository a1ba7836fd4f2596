//! Rows that refer to a parent which is not there, as `PRAGMA foreign_key_check` finds them.
//!
//! That PRAGMA reads every row of a table whole. Where a table refers to rows by their number only,
//! a query counts the same from an index over the reference, which is a fraction of the table.

use crate::sql::quote;
use rusqlite::{Connection, OptionalExtension, Result};
use std::collections::BTreeMap;

/// One foreign key from a column with INTEGER affinity to an INTEGER PRIMARY KEY.
struct ByNumber {
    column: String,
    /// As the foreign key spells it, and the name of its key.
    parent: String,
    key: String,
}

/// How many rows of a table have no parent, by the name of the parent as the foreign key spells it; a
/// row counts once for every foreign key that it violates. Parents without such rows are not named.
///
/// # Errors
/// SQLite's; also where a parent has not the key that is referred to.
pub(crate) fn violations(connection: &Connection, table: &str) -> Result<BTreeMap<String, u64>> {
    match by_number(connection, table) {
        Ok(Some(keys)) => count(connection, table, keys),
        // What could not be found out is left to the PRAGMA, which says why.
        Ok(None) | Err(_) => check(connection, table),
    }
}

/// The same of all tables together; the names are those of the children.
///
/// # Errors
/// As of [`violations`].
pub(crate) fn all_violations(connection: &Connection) -> Result<u64> {
    let mut statement =
        connection.prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table'")?;
    let names: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<_>>>()?;
    names
        .iter()
        .try_fold(0, |sum, name| Ok(sum + violations(connection, name)?.into_values().sum::<u64>()))
}

fn count(
    connection: &Connection,
    table: &str,
    keys: Vec<ByNumber>,
) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for ByNumber { column, parent, key } in keys {
        let (child, column, above) = (quote(table), quote(&column), quote(&parent));
        let sql = format!(
            "SELECT count(*) FROM main.{child} AS child WHERE child.{column} IS NOT NULL AND NOT EXISTS
             (SELECT 1 FROM main.{above} AS parent WHERE parent.{} = child.{column})",
            quote(&key)
        );
        let violations: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if violations > 0 {
            *found.entry(parent).or_default() += violations.unsigned_abs();
        }
    }
    Ok(found)
}

fn check(connection: &Connection, table: &str) -> Result<BTreeMap<String, u64>> {
    let check = format!("PRAGMA main.foreign_key_check({})", quote(table));
    let mut statement = connection.prepare(&check)?;
    let mut rows = statement.raw_query();
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        *found.entry(row.get(2)?).or_default() += 1;
    }
    Ok(found)
}

/// The foreign keys of a table, where all of them are such.
fn by_number(connection: &Connection, table: &str) -> Result<Option<Vec<ByNumber>>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, \"from\", \"table\", \"to\" FROM pragma_foreign_key_list(?1, 'main')",
    )?;
    let mut rows = statement.query([table])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let (place, column): (i64, String) = (row.get(0)?, row.get(1)?);
        let (parent, to): (String, Option<String>) = (row.get(2)?, row.get(3)?);
        let Some(key) = number_of(connection, &parent)? else { return Ok(None) };
        let refers = to.is_none_or(|to| to.eq_ignore_ascii_case(&key));
        if place > 0 || !refers || !is_integer(connection, table, &column)? {
            return Ok(None);
        }
        keys.push(ByNumber { column, parent, key });
    }
    Ok(Some(keys))
}

/// The name by which a table knows the numbers of its rows.
fn number_of(connection: &Connection, table: &str) -> Result<Option<String>> {
    // A primary key that is not the row's number has an index, or is the table.
    let mut statement = connection.prepare_cached(
        "SELECT max(name) FROM pragma_table_xinfo(?1, 'main') WHERE pk > 0
         HAVING count(*) = 1 AND upper(max(type)) = 'INTEGER'
           AND EXISTS (SELECT 1 FROM pragma_table_list(?1)
                       WHERE schema = 'main' AND type = 'table' AND wr = 0)
           AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1, 'main') WHERE origin = 'pk')",
    )?;
    statement.query_row([table], |row| row.get(0)).optional()
}

/// Whether a column has INTEGER affinity (SQLite's "Datatypes", 3.1) and holds what was written to it.
fn is_integer(connection: &Connection, table: &str, column: &str) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_xinfo(?1, 'main')
         WHERE name = ?2 COLLATE NOCASE AND hidden = 0 AND upper(type) LIKE '%INT%')",
    )?;
    statement.query_row([table, column], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::{all_violations, by_number, check, violations};

    const PARENTS: &str = "
        CREATE TABLE number (id INTEGER PRIMARY KEY, t);
        CREATE TABLE text (id TEXT PRIMARY KEY);
        CREATE TABLE integer_index (id INT PRIMARY KEY);
        CREATE TABLE downwards (id INTEGER PRIMARY KEY DESC);
        CREATE TABLE rowless (id INTEGER PRIMARY KEY) WITHOUT ROWID;
        CREATE TABLE pair (a INTEGER, b INTEGER, PRIMARY KEY (a, b));
        CREATE TABLE \"od\"\"d\" (\"Select\" integer PRIMARY KEY);
        CREATE VIEW view AS SELECT id FROM number;
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 2 FROM n WHERE n < 40)
        INSERT INTO number SELECT n, n FROM n;
        INSERT INTO number VALUES (9223372036854775807, 1), (-4, 1);
        INSERT INTO text SELECT id FROM number; INSERT INTO integer_index SELECT id FROM number;
        INSERT INTO downwards SELECT id FROM number; INSERT INTO rowless SELECT id FROM number;
        INSERT INTO pair SELECT id, id FROM number; INSERT INTO \"od\"\"d\" SELECT id FROM number;";

    const VALUES: &str = "
        WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 45)
        INSERT INTO child (id, a) SELECT n, n FROM n;
        INSERT INTO child (id, a) VALUES (100, NULL), (101, 'x'), (102, '7'), (103, '07'), (104, 3.0),
            (105, 3.5), (106, x'33'), (107, 9223372036854775807), (108, 9.3e18), (109, -4), (110, ''),
            (111, 1e300), (112, '3.0'), (113, -9223372036854775808), (114, ' 5 '), (115, 9.2233720368547758e18);";

    #[test]
    fn counts_what_the_pragma_finds_for_every_kind_of_key() {
        // The columns of a child, and whether all its keys are those that a query counts.
        let cases = [
            ("a INTEGER REFERENCES number", true),
            ("a INTEGER REFERENCES number (id)", true),
            ("a BIGINT REFERENCES NUMBER (ID)", true),
            ("a INTEGER REFERENCES \"od\"\"d\" (\"sELECT\")", true),
            ("a INTEGER REFERENCES number, b INTEGER DEFAULT 2 REFERENCES number", true),
            ("a INTEGER COLLATE NOCASE REFERENCES number", true),
            ("a INTEGER, b INTEGER DEFAULT 7 REFERENCES child (id)", true),
            ("\"A\" INTEGER, FOREIGN KEY (a) REFERENCES number", true),
            ("a REFERENCES number", false),
            ("a TEXT REFERENCES number", false),
            ("a REAL REFERENCES number", false),
            ("a INTEGER REFERENCES text", false),
            ("a INTEGER REFERENCES integer_index", false),
            ("a INTEGER REFERENCES downwards", false),
            ("a INTEGER REFERENCES rowless", false),
            ("a INTEGER REFERENCES missing", false),
            ("a INTEGER REFERENCES missing (id)", false),
            ("a INTEGER REFERENCES number, b TEXT DEFAULT '3' REFERENCES text", false),
            ("a INTEGER, b INTEGER AS (a + 1) STORED REFERENCES number", false),
            ("a INTEGER, b INTEGER AS (a + 1) REFERENCES number", false),
            ("a INTEGER, b INTEGER DEFAULT 3, FOREIGN KEY (a, b) REFERENCES pair", false),
            ("a INTEGER REFERENCES number (t)", false),
            ("a INTEGER REFERENCES view (id)", false),
            ("a INTEGER", true),
        ];
        for (columns, fast) in cases {
            for index in
                ["", "CREATE INDEX i ON child (a)", "CREATE INDEX i ON child (a) WHERE a > 9"]
            {
                let connection = crate::database::open_scratch().unwrap();
                connection.execute_batch(PARENTS).unwrap();
                let child =
                    format!("CREATE TABLE child (id INTEGER PRIMARY KEY, {columns}); {index}");
                connection.execute_batch(&child).unwrap();
                connection.execute_batch(VALUES).unwrap();
                assert_eq!(by_number(&connection, "child").unwrap().is_some(), fast, "{columns}");
                let all = connection.query_row(
                    "SELECT count(*) FROM pragma_foreign_key_check",
                    [],
                    |row| row.get::<_, i64>(0),
                );
                match check(&connection, "child") {
                    Ok(expected) => {
                        assert_eq!(
                            violations(&connection, "child").unwrap(),
                            expected,
                            "{columns}"
                        );
                        assert_eq!(
                            all_violations(&connection).unwrap(),
                            all.unwrap().unsigned_abs(),
                            "{columns}"
                        );
                    }
                    Err(_) => {
                        violations(&connection, "child").unwrap_err();
                        all.unwrap_err();
                    }
                }
            }
        }
    }

    #[test]
    fn an_index_is_enough() {
        let connection = crate::database::open_scratch().unwrap();
        connection.execute_batch(PARENTS).unwrap();
        let child = "CREATE TABLE child (id INTEGER PRIMARY KEY, a INTEGER REFERENCES number, b);
            CREATE INDEX i ON child (a)";
        connection.execute_batch(child).unwrap();
        let plan =
            "EXPLAIN QUERY PLAN SELECT count(*) FROM main.child AS child WHERE child.a IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM main.number AS parent WHERE parent.id = child.a)";
        let mut statement = connection.prepare(plan).unwrap();
        let steps = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        assert!(steps.iter().any(|it| it.contains("USING COVERING INDEX i")), "{steps:?}");
        assert!(steps.iter().any(|it| it.contains("USING INTEGER PRIMARY KEY")), "{steps:?}");
    }
}
