//! Search indexes (FTS3, FTS4, FTS5) that are out of step with their text.
//!
//! SQLite's checks report such an index in one list with damage. It is not damage: the text is whole, and
//! `rebuild` makes the index from it again. What no `rebuild` can fix is damage, and so is a broken
//! page, also in a table that belongs to a search index. SQLite's messages are compared here, never read.

use crate::{
    database,
    sql::{
        fold, quote,
        token::{Token, TokenKind, scan},
    },
};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Result};

/// What a check has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// What is wrong with the database; empty if it is sound.
    pub(crate) damage: Vec<String>,
    /// The search indexes that a `rebuild` fixes.
    pub(crate) stale: Vec<String>,
}

/// Runs `integrity_check` or `quick_check` and separates damage from indexes that are out of step.
/// It returns at most this number of lines of damage.
///
/// # Errors
/// SQLite's, if the check itself cannot run.
pub(crate) fn check(connection: &Connection, pragma: &str, most: usize) -> Result<Found> {
    let mut damage = match lines(connection, pragma, &most.to_string()) {
        Err(error) if is_plain(&error) => one_by_one(connection, pragma, most).ok_or(error)?,
        whole => whole?,
    };
    let mut found = Found { damage: Vec::new(), stale: Vec::new() };
    if is_sound(&damage) {
        return Ok(found);
    }
    // Damage is found already: from here on no error may hide it.
    let mut about_indexes = Vec::new();
    for index in indexes(connection).unwrap_or_default() {
        let own = lines(connection, pragma, &quote(&index.name)).unwrap_or_default();
        if own.is_empty() || is_sound(&own) || !index.is_rebuildable(connection) {
            continue;
        }
        about_indexes.extend(own);
        found.stale.push(index.name);
    }
    if !about_indexes.is_empty() && damage.len() >= most {
        // The list was full, perhaps of lines about search indexes: ask for as many lines more.
        let longer = (most + about_indexes.len()).to_string();
        damage = lines(connection, pragma, &longer).unwrap_or(damage);
    }
    damage.retain(|line| !about_indexes.contains(line));
    damage.truncate(most);
    found.damage = damage;
    Ok(found)
}

/// What is wrong with the tables, each checked alone; none where nothing is found. One table that needs what
/// is not here, such as a collation or a part of a search index, keeps SQLite from checking all.
fn one_by_one(connection: &Connection, pragma: &str, most: usize) -> Option<Vec<String>> {
    let tables =
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name";
    let mut statement = connection.prepare(tables).ok()?;
    let names = statement.query_map([], |row| row.get::<_, String>(0)).ok()?;
    let mut damage: Vec<String> = Vec::new();
    for name in names.flatten().filter(|name| is_checked_alone(name)) {
        match lines(connection, pragma, &quote(&name)) {
            Ok(found) => damage.extend(found.into_iter().filter(|line| line != "ok")),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                damage.push(format!("`{name}`: {error}"));
            }
            // It needs what is not here.
            Err(_) => {}
        }
    }
    damage.truncate(most);
    (!damage.is_empty()).then_some(damage)
}

/// Whether an error is about the statement: only such a one can mean a missing function or collation.
pub(crate) fn is_plain(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(cause, _) => cause.extended_code & 0xFF == 1,
        rusqlite::Error::SqlInputError { error: cause, .. } => cause.extended_code & 0xFF == 1,
        _ => false,
    }
}

/// What to say about an index that is out of step.
pub(crate) fn advice(database: &str, index: &str) -> String {
    let name = quote(index);
    format!(
        "the search index `{index}` of `{database}` is out of step with its text; \
         `INSERT INTO {name} ({name}) VALUES ('rebuild')` builds it again"
    )
}

/// The search indexes that take their text from a table. Triggers alone keep them in step with it.
///
/// # Errors
/// SQLite's.
pub(crate) fn over(connection: &Connection, table: &str) -> Result<Vec<String>> {
    let reads = |index: &Index| {
        index.option("content").is_some_and(|content| fold(&content) == fold(table))
    };
    Ok(indexes(connection)?.into_iter().filter(reads).map(|index| index.name).collect())
}

fn is_sound(lines: &[String]) -> bool {
    lines == ["ok"]
}

fn lines(connection: &Connection, pragma: &str, argument: &str) -> Result<Vec<String>> {
    let sql = format!("PRAGMA main.{pragma}({argument})");
    connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect()
}

/// A search index and the text that made it.
struct Index {
    name: String,
    sql: String,
}

/// The search indexes whose own check can be asked for.
fn indexes(connection: &Connection) -> Result<Vec<Index>> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND rootpage = 0 ORDER BY name",
    )?;
    let tables =
        statement.query_map([], |row| Ok(Index { name: row.get(0)?, sql: row.get(1)? }))?;
    let tables: Vec<Index> = tables.collect::<Result<_>>()?;
    let asked = |index: &Index| index.is_search() && is_checked_alone(&index.name);
    Ok(tables.into_iter().filter(asked).collect())
}

/// Whether a table of this name can be checked alone. SQLite takes a name that starts like a number for the
/// number of lines that it should return, and then checks all tables.
fn is_checked_alone(name: &str) -> bool {
    name.starts_with(|first: char| first != '-' && first != '+' && !first.is_ascii_digit())
}

impl Index {
    fn is_search(&self) -> bool {
        let tokens = self.tokens();
        let using = tokens.iter().position(|token| token.is_word(&self.sql, "using"));
        let module = using.and_then(|at| tokens.get(at + 1)?.name(&self.sql));
        module.is_some_and(|name| ["fts3", "fts4", "fts5"].contains(&&*fold(&name)))
    }

    /// Whether everything is there that a `rebuild` needs: the tables of the index, and its text.
    fn is_rebuildable(&self, connection: &Connection) -> bool {
        let content = self.option("content").filter(|_| self.is_search());
        let has_text = match content.as_deref() {
            None => true,
            // An index without a text.
            Some("") => false,
            Some(content) => self.reads(connection, content).is_ok(),
        };
        has_text && self.has_tables(connection, content.as_deref()).unwrap_or(false)
    }

    /// Whether the index could read its text from a table or view.
    fn reads(&self, connection: &Connection, content: &str) -> Result<()> {
        let index = connection.prepare(&format!("SELECT * FROM main.{}", quote(&self.name)))?;
        let rowid = self.option("content_rowid").unwrap_or_else(|| "rowid".into());
        // With the table's name before it, a quoted name is never taken for a string.
        let names = index.column_names().chain([rowid.as_str()]);
        let columns: Vec<_> = names.map(|name| format!("t.{}", quote(name))).collect();
        let sql = format!("SELECT {} FROM main.{} AS t", columns.join(", "), quote(content));
        connection.prepare(&sql).map(drop)
    }

    /// Whether the tables are there that an index of this text has, as SQLite makes them.
    fn has_tables(&self, connection: &Connection, content: Option<&str>) -> crate::Result<bool> {
        let failed = |error| database::failed("check", std::path::Path::new(&self.name))(error);
        let scratch = database::open_scratch()?;
        let text = "SELECT sql FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE";
        if let Some(content) = content {
            let made = connection.query_row(text, [content], |row| row.get::<_, String>(0));
            // FTS4 may take its columns from this table. Of a view that needs more, none are taken.
            let _ = made.and_then(|sql| scratch.execute_batch(&sql));
        }
        scratch.execute_batch(&self.sql).map_err(failed)?;
        let mut statement = scratch
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0")
            .map_err(failed)?;
        let names = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        for name in names {
            let name = name.map_err(failed)?;
            let there = connection.query_row(text, [&name], |_| Ok(())).optional();
            if there.map_err(failed)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn tokens(&self) -> Vec<Token> {
        scan(&self.sql).filter(|token| !token.is_blank()).collect()
    }

    /// The value of an option such as `content=t`; empty if there is nothing after the sign.
    fn option(&self, name: &str) -> Option<String> {
        let tokens = self.tokens();
        let is_it = |at: usize| {
            matches!(tokens[at].kind, TokenKind::Open | TokenKind::Comma)
                && tokens[at + 1].name(&self.sql).is_some_and(|word| fold(&word) == name)
                && &self.sql[tokens[at + 2].span.clone()] == "="
        };
        let at = (0..tokens.len().saturating_sub(3)).find(|&at| is_it(at))?;
        Some(tokens[at + 3].name(&self.sql).unwrap_or_default())
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
