//! Compares two tables whose rows are known by their number: both are read once, in the order of
//! that number, beside each other. Looking every row of one table up in the other would read a page
//! of a large database for each row, and again for each question.

use super::{Keys, Value, rows::value};
use rusqlite::{Connection, Result, Row, Rows, types::ValueRef};
use std::cmp::Ordering;

/// What is compared, all names quoted.
pub(super) struct Tables<'a> {
    /// The table's name in both databases.
    pub(super) name: &'a str,
    /// The names of the two databases in their connection.
    pub(super) sides: [&'a str; 2],
    /// The names of the row's number, in the first and in the second database.
    pub(super) numbers: [&'a str; 2],
    /// The columns that both have.
    pub(super) columns: &'a [String],
    /// How many keys of each kind are listed.
    pub(super) limit: usize,
}

/// How many rows differ, and the keys of the first ones.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Merged {
    pub(super) only_first: u64,
    pub(super) only_second: u64,
    pub(super) changed: u64,
    pub(super) keys: Keys,
}

/// Compares a table of two databases of a connection.
///
/// # Errors
/// SQLite's.
pub(super) fn merge(connection: &Connection, tables: &Tables<'_>) -> Result<Merged> {
    let [first, second] = [0, 1].map(|at| (tables.sides[at], tables.numbers[at]));
    let mut ours = connection.prepare(&select(first, tables))?;
    let mut theirs = connection.prepare(&select(second, tables))?;
    let (mut ours, mut theirs) = (ours.query([])?, theirs.query([])?);
    let mut merged = Merged::default();
    let (mut one, mut other) = (next(&mut ours)?, next(&mut theirs)?);
    loop {
        // A table that has ended comes after every row of the other one.
        let order = match (&one, &other) {
            (None, None) => return Ok(merged),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let (keys, limit) = (&mut merged.keys, tables.limit);
        match (order, &one, &other) {
            (Ordering::Less, Some((number, _)), _) => {
                merged.only_first += 1;
                list(&mut keys.only_first, *number, limit);
            }
            (Ordering::Greater, _, Some((number, _))) => {
                merged.only_second += 1;
                list(&mut keys.only_second, *number, limit);
            }
            (_, Some((number, one)), Some((_, other)))
                if !is_same(one, other, tables.columns.len())? =>
            {
                merged.changed += 1;
                list(&mut keys.changed, *number, limit);
            }
            _ => {}
        }
        if order != Ordering::Greater {
            one = next(&mut ours)?;
        }
        if order != Ordering::Less {
            other = next(&mut theirs)?;
        }
    }
}

fn select((side, number): (&str, &str), tables: &Tables<'_>) -> String {
    let columns: String = tables.columns.iter().map(|column| format!(", {column}")).collect();
    format!("SELECT {number}{columns} FROM {side}.{} ORDER BY {number}", tables.name)
}

fn next<'a, 's>(rows: &'a mut Rows<'s>) -> Result<Option<(i64, &'a Row<'s>)>> {
    rows.next()?.map(|row| Ok((row.get(0)?, row))).transpose()
}

fn list(keys: &mut Vec<Vec<Value>>, number: i64, limit: usize) {
    if keys.len() < limit {
        keys.push(vec![value(ValueRef::Integer(number))]);
    }
}

/// Whether the columns after the number are equal, byte for byte whatever the collation: 1 is not 1.0.
fn is_same(one: &Row<'_>, other: &Row<'_>, columns: usize) -> Result<bool> {
    for at in 1..=columns {
        if one.get_ref(at)? != other.get_ref(at)? {
            return Ok(false);
        }
    }
    Ok(true)
}
