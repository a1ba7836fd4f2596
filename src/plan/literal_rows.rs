//! Data files: long runs of `INSERT INTO t VALUES (…)` with nothing but literals. Whether their rows are in
//! the live table is looked up row by row, by the key that they name; running each of them twice and
//! comparing whole tables would take minutes.
//!
//! The rules of comparison are SQLite's own ("Datatypes", 4.2): a value is compared with the affinity of its
//! column, byte by byte.

use crate::{
    schema::{Key, shape},
    sql::{
        class::meaningful,
        fold, quote,
        repeat::differ_in_values_alone,
        token::{Token, TokenKind},
    },
};
use rusqlite::{Connection, Statement, types::Value};
use std::collections::BTreeMap;

/// Fewer statements are run, which knows more of them.
pub const FROM: usize = 64;

/// Whether every row is in its table, under its key; none where that cannot be looked up.
pub fn are_there(connection: &Connection, texts: &[&str]) -> Option<bool> {
    let mut look = Look::default();
    for text in texts {
        if !look.find(connection, text, None)? {
            return Some(false);
        }
    }
    Some(true)
}

/// How many of these statements, from the first, filled the tables that they name: each table holds just their
/// rows. None where that cannot be looked up or is not so.
pub fn filled_by(connection: &Connection, texts: &[&str]) -> Option<usize> {
    let count = prefix(connection, texts)?;
    let (mut look, mut numbers) = (Look::default(), BTreeMap::new());
    for text in &texts[..count] {
        let there = look.find(connection, text, Some(&mut numbers))?;
        if !there {
            return None;
        }
    }
    Some(count)
}

/// The number of statements that put as many rows into empty tables as these have now.
fn prefix(connection: &Connection, texts: &[&str]) -> Option<usize> {
    let (mut look, mut sums) = (Look::default(), BTreeMap::new());
    let mut open = 0_usize;
    let mut found = None;
    for text in texts {
        look.open(connection, text)?;
        let table = &look.form()?.table;
        if !sums.contains_key(table) {
            let query = format!("SELECT count(*) FROM main.{}", quote(table));
            let rows: i64 = connection.query_row(&query, [], |row| row.get(0)).ok()?;
            open += usize::from(rows > 0);
            sums.insert(table.clone(), rows);
        }
    }
    if open == 0 {
        return Some(0);
    }
    for (at, text) in texts.iter().enumerate() {
        look.open(connection, text)?;
        let form = look.form()?;
        let left = sums.get_mut(&form.table)?;
        open -= usize::from(*left > 0 && *left == form.rows);
        *left -= form.rows;
        if open == 0 && sums.values().all(|left| *left == 0) {
            found = Some(at + 1);
        }
    }
    found
}

/// What is looked up for statements of one form.
struct Form {
    /// A statement of the form, and its tokens.
    first: (String, Vec<Token>),
    /// The folded table.
    table: String,
    /// The rows of one statement.
    rows: i64,
    /// The literals among the tokens.
    literals: Vec<usize>,
    /// Asks whether all rows of a statement are there; the number of the row is its last parameter.
    query: String,
    /// Whether the rows have no key of their own and are known by their number.
    by_number: bool,
}

/// The form of the latest statement, and its prepared query.
#[derive(Default)]
struct Look<'a> {
    form: Option<Form>,
    query: Option<Statement<'a>>,
}

impl<'a> Look<'a> {
    fn form(&self) -> Option<&Form> {
        self.form.as_ref()
    }

    /// Takes the form of a statement, which is most often that of the one before; gives its tokens.
    fn open(&mut self, connection: &'a Connection, text: &str) -> Option<Vec<Token>> {
        let tokens = tokens_of(text);
        let same = self.form.as_ref().is_some_and(|form| {
            let (first, known) = &form.first;
            differ_in_values_alone((first, known), (text, &tokens))
        });
        if !same {
            self.form = Some(Form::of(connection, text, tokens.clone())?);
            self.query = None;
        }
        Some(tokens)
    }

    /// Whether the rows of a statement are there; those without a key where their numbers are counted, by
    /// table.
    fn find(
        &mut self,
        connection: &'a Connection,
        text: &str,
        numbers: Option<&mut BTreeMap<String, i64>>,
    ) -> Option<bool> {
        let tokens = self.open(connection, text)?;
        let form = self.form.as_ref()?;
        let mut number = 0;
        if form.by_number {
            // Without a key they are added each time.
            let Some(numbers) = numbers else { return Some(false) };
            if form.rows != 1 {
                return None;
            }
            if !numbers.contains_key(&form.table) {
                numbers.insert(form.table.clone(), 0);
            }
            let counted = numbers.get_mut(&form.table)?;
            *counted += 1;
            number = *counted;
        }
        if self.query.is_none() {
            self.query = Some(connection.prepare(&form.query).ok()?);
        }
        let query = self.query.as_mut()?;
        for (at, &literal) in form.literals.iter().enumerate() {
            query.raw_bind_parameter(at + 1, value(&tokens[literal], text)?).ok()?;
        }
        if form.by_number {
            query.raw_bind_parameter(form.literals.len() + 1, number).ok()?;
        }
        let mut rows = query.raw_query();
        rows.next().ok()??.get(0).ok()
    }
}

fn tokens_of(text: &str) -> Vec<Token> {
    let mut tokens = meaningful(text);
    tokens.retain(|token| token.kind != TokenKind::Semicolon);
    tokens
}

impl Form {
    fn of(connection: &Connection, text: &str, tokens: Vec<Token>) -> Option<Self> {
        let is = |at: usize, word: &str| tokens.get(at).is_some_and(|it| it.is_word(text, word));
        if !is(0, "insert") || !is(1, "into") {
            return None;
        }
        let qualified = tokens.get(3)?.kind == TokenKind::Dot;
        if qualified && fold(&tokens[2].name(text)?) != "main" {
            return None;
        }
        let name_at = if qualified { 4 } else { 2 };
        let table = fold(&tokens.get(name_at)?.name(text)?);
        let shape = shape(connection, table.clone()).ok()?.filter(|it| !it.columns.is_empty())?;
        let all: Vec<String> = shape.columns.iter().map(|column| fold(column)).collect();
        let values_at = tokens.iter().position(|token| token.is_word(text, "values"))?;
        let named = &tokens[name_at + 1..values_at];
        let columns = if named.is_empty() { all.clone() } else { names(text, named)? };
        if columns.iter().any(|column| !all.contains(column)) {
            return None;
        }
        let (values, literals, rows) = parameters(text, &tokens, values_at)?;
        let key = match &shape.key {
            Key::Columns(key) => Some(key.iter().map(|column| fold(column)).collect()),
            Key::Rowid(_) => alias(connection, &table).map(|column| vec![column]),
        };
        let key: Option<Vec<String>> =
            key.filter(|key: &Vec<String>| key.iter().all(|column| columns.contains(column)));
        let by_number = key.is_none();
        let number = match (&shape.key, &key) {
            (Key::Rowid(alias), None) => format!("t.{alias} = ?{}", literals.len() + 1),
            (Key::Columns(_), None) => return None,
            (_, Some(key)) => {
                let same = |it: &String| format!("t.{0} = x.{0}", quote(it));
                key.iter().map(same).collect::<Vec<_>>().join(" AND ")
            }
        };
        let same = compared(connection, &table, &all, &columns)?;
        let list = columns.iter().map(|column| quote(column)).collect::<Vec<_>>().join(", ");
        let query = format!(
            "WITH x ({list}) AS ({values}) SELECT NOT EXISTS (SELECT 1 FROM x WHERE NOT EXISTS \
             (SELECT 1 FROM main.{} AS t WHERE {number} AND {same}))",
            quote(&table)
        );
        Some(Self { first: (text.into(), tokens), table, rows, literals, query, by_number })
    }
}

/// The names in `(a, b)`.
fn names(text: &str, tokens: &[Token]) -> Option<Vec<String>> {
    let [open, inner @ .., close] = tokens else { return None };
    if open.kind != TokenKind::Open || close.kind != TokenKind::Close {
        return None;
    }
    let parts = inner.split(|token| token.kind == TokenKind::Comma);
    let one = |part: &[Token]| match part {
        [name] => name.name(text).map(|name| fold(&name)),
        _ => None,
    };
    parts.map(one).collect()
}

/// `VALUES (…), (…)` with parameters in place of its literals, the literals, and the number of rows. None
/// where there is anything but literals.
fn parameters(text: &str, tokens: &[Token], from: usize) -> Option<(String, Vec<usize>, i64)> {
    let (mut values, mut literals, mut rows, mut depth) = (String::new(), Vec::new(), 0, 0);
    for (at, token) in tokens.iter().enumerate().skip(from) {
        let written = &text[token.span.clone()];
        match token.kind {
            TokenKind::Open => {
                depth += 1;
                rows += 1;
            }
            TokenKind::Close => depth -= 1,
            TokenKind::Comma => {}
            TokenKind::Operator if depth == 1 && ["-", "+"].contains(&written) => {}
            TokenKind::Text | TokenKind::Literal if depth == 1 => {
                value(token, text)?;
                literals.push(at);
                values.push_str(&format!("?{} ", literals.len()));
                continue;
            }
            TokenKind::Word if at == from => {}
            TokenKind::Word
                if depth == 1
                    && ["null", "true", "false"].iter().any(|it| token.is_word(text, it)) => {}
            _ => return None,
        }
        if depth > 1 {
            return None;
        }
        values.push_str(written);
        values.push(' ');
    }
    Some((values, literals, rows))
}

/// The column that is the row's number.
fn alias(connection: &Connection, table: &str) -> Option<String> {
    let query = "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE pk > 0";
    connection.query_row(query, [table], |row| row.get::<_, String>(0)).ok().map(|it| fold(&it))
}

/// The comparison of a row with one that is there: what is given by its value, the rest by its default.
/// None where a default is no literal.
fn compared(
    connection: &Connection,
    table: &str,
    all: &[String],
    given: &[String],
) -> Option<String> {
    let mut statement = connection
        .prepare("SELECT name, upper(type), dflt_value, pk FROM pragma_table_xinfo(?1, 'main')")
        .ok()?;
    let found = statement.query_map([table], |row| {
        let (name, kind): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((fold(&name), kind, row.get::<_, Option<String>>(2)?, row.get::<_, i64>(3)?))
    });
    let mut terms = Vec::new();
    for column in found.ok()? {
        let (name, kind, default, key) = column.ok()?;
        if !all.contains(&name) {
            continue;
        }
        let quoted = quote(&name);
        let other = match given.contains(&name) {
            true => format!("x.{quoted}"),
            false if key > 0 => continue,
            false => default.unwrap_or_else(|| "NULL".into()),
        };
        let first = other.chars().next()?;
        let is_literal = first.is_ascii_digit() || "'-+.x".contains(first) || other == "NULL";
        if !given.contains(&name) && !is_literal {
            return None;
        }
        terms.push(format!("t.{quoted} COLLATE BINARY IS {other}"));
        // Without an affinity nothing is converted, and 1 is not 1.0.
        if kind.is_empty() || kind.contains("BLOB") || kind == "ANY" {
            terms.push(format!("typeof(t.{quoted}) = typeof({other})"));
        }
    }
    Some(terms.join(" AND "))
}

/// The value of a literal; none where its form is not one of a number, a string or a blob.
fn value(token: &Token, text: &str) -> Option<Value> {
    let written = &text[token.span.clone()];
    if token.kind == TokenKind::Text {
        return token.name(text).map(Value::Text);
    }
    if let Some(digits) = written.strip_prefix(['x', 'X']) {
        let digits = digits.strip_prefix('\'')?.strip_suffix('\'')?;
        let pairs = digits.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        return pairs.map(byte).collect::<Option<Vec<u8>>>().map(Value::Blob);
    }
    let is_plain = written.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match (is_plain, written.parse::<i64>()) {
        (true, Ok(number)) => Some(Value::Integer(number)),
        (true, Err(_)) => written.parse().ok().map(Value::Real),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database;

    fn database() -> Connection {
        let connection = database::open_scratch().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE k (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, n REAL DEFAULT 2);
                 INSERT INTO k VALUES (1, 'One', 1.5), (2, NULL, 2), (3, '7', -3), (4, 'it''s', 2);
                 CREATE TABLE w (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;
                 INSERT INTO w VALUES (1, 'x'), (1.0, 'y'), (x'01', 'z');
                 CREATE TABLE bare (a TEXT, b); INSERT INTO bare VALUES ('a', 1), ('b', 2);
                 CREATE TABLE stamped (id INTEGER PRIMARY KEY, at DEFAULT CURRENT_TIMESTAMP);
                 INSERT INTO stamped (id) VALUES (1);",
            )
            .unwrap();
        connection
    }

    #[test]
    fn rows_under_their_keys() {
        let connection = database();
        for (text, wanted) in [
            ("INSERT INTO k VALUES (1, 'One', 1.5)", Some(true)),
            ("INSERT INTO k VALUES (1, 'one', 1.5)", Some(false)),
            ("INSERT INTO k VALUES (2, NULL, 2), (1, 'One', '1.5');", Some(true)),
            ("INSERT INTO k VALUES (2, NULL, 2), (9, 'One', 1.5)", Some(false)),
            ("INSERT INTO main.K (name, ID) VALUES ('it''s', 4)", Some(true)),
            ("INSERT INTO k (id, name) VALUES (1, 'One')", Some(false)),
            ("INSERT INTO k VALUES (3, 7, - 3)", Some(true)),
            ("INSERT INTO k (name) VALUES ('One')", Some(false)),
            ("INSERT INTO w VALUES (1, 'x')", Some(true)),
            ("INSERT INTO w VALUES (1, 'y')", Some(false)),
            ("INSERT INTO w VALUES (X'01', 'z')", Some(true)),
            ("INSERT INTO bare VALUES ('a', 1)", Some(false)),
            ("INSERT INTO stamped VALUES (1, 'x')", Some(false)),
            ("INSERT INTO stamped (id) VALUES (1)", None),
            ("INSERT OR IGNORE INTO k VALUES (1, 'One', 1.5)", None),
            ("INSERT INTO k VALUES (1, lower('One'), 1.5)", None),
            ("INSERT INTO k VALUES (1, 0x10, 1.5)", None),
            ("INSERT INTO k SELECT 1, 'One', 1.5", None),
            ("INSERT INTO k VALUES (1, 'One', 1.5) ON CONFLICT DO NOTHING", None),
            ("UPDATE k SET n = 1", None),
            ("INSERT INTO nowhere VALUES (1)", None),
        ] {
            assert_eq!(are_there(&connection, &[text]), wanted, "{text}");
        }
    }

    #[test]
    fn what_filled_a_table() {
        let connection = database();
        let a = "INSERT INTO bare VALUES ('a', 1)";
        let b = "INSERT INTO bare VALUES ('b', 2)";
        let c = "INSERT INTO bare VALUES ('c', 3)";
        let k = "INSERT INTO w VALUES (1, 'x'), (1.0, 'y'), (x'01', 'z')";
        for (texts, wanted) in [
            (&[a, b][..], Some(2)),
            (&[a, b, c], Some(2)),
            (&[a, b, k, c], Some(3)),
            (&[k, a, c], None),
            (&[a], None),
            (&[b, a], None),
            (&["INSERT INTO bare (a) VALUES ('a')", b], None),
        ] {
            assert_eq!(filled_by(&connection, texts), wanted, "{texts:?}");
        }
        connection.execute_batch("DELETE FROM bare").unwrap();
        assert_eq!(filled_by(&connection, &[a, b]), Some(0));
    }
}
