//! What SQLite itself says of a statement: the tables and columns that it reads and writes, the
//! table that it makes, changes or drops, and the names in it that are no names.
//!
//! SQLite calls an authorizer for each of them while it prepares a statement, with quoted words
//! and views resolved; the words of the statement say less. The recorder never denies anything.

use super::{column_order::Orders, scratch::Problem, text_only::TextChange};
use crate::sql::{
    Class,
    copy::{self, Copy, Item},
    fold,
    token::{TokenKind, tokens},
};
use rusqlite::{
    Connection, OptionalExtension,
    config::DbConfig,
    hooks::{AuthAction, AuthContext, Authorization},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

/// A folded table and one of its folded columns.
pub type TableColumn = (String, String);

/// What one statement does by itself; what its triggers do is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The columns that it reads.
    pub reads: BTreeSet<TableColumn>,
    /// The tables into which it inserts rows.
    pub inserts: BTreeSet<String>,
    /// The columns that it updates, by table.
    pub updates: BTreeMap<String, BTreeSet<String>>,
    /// The tables from which it deletes rows.
    pub deletes: BTreeSet<String>,
    /// The table that it makes or changes, as it is afterwards.
    pub table: Option<TableNow>,
    /// The table that it drops.
    pub dropped: Option<String>,
    /// The rows that it copies from one table to another, where its form is simple.
    pub copied: Option<Copied>,
    /// The folded functions that it calls.
    pub functions: BTreeSet<String>,
    /// What SQLite says where a double-quoted word that is no name is not taken for a text.
    pub quoted: Option<Problem>,
    /// What SQLite says of it as soon as the table has a row.
    pub with_a_row: Option<Problem>,
    /// The tables of which a data statement gives or takes values by position, as they were then.
    pub positions: Orders,
    /// What it changes of the stored text of its table, where that is all that it changes.
    pub text: Option<TextChange>,
}

/// A table with its stored columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNow {
    /// Its folded name.
    pub name: String,
    /// Its folded columns, without those that are computed.
    pub columns: Vec<String>,
}

/// Rows that are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The form of the statement.
    pub form: Copy,
    /// Each column that is filled, with what fills it.
    pub pairs: Vec<(String, Filler)>,
    /// The text of the table that is filled.
    pub table: Option<String>,
}

/// What fills a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filler {
    /// A column as it is.
    Column(TableColumn),
    /// A value computed from these columns.
    Computed(BTreeSet<TableColumn>),
}

/// Hears what a connection prepares.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    listens: bool,
    trace: Trace,
    made: Option<String>,
}

impl Recorder {
    /// A recorder of a connection.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of(connection: &mut Connection) -> rusqlite::Result<Self> {
        let recorder = Self::default();
        let heard = recorder.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            heard.hear(&context);
            Authorization::Allow
        }))?;
        Ok(recorder)
    }

    /// Begins with an empty trace.
    pub fn start(&self) {
        *self.heard() = Heard { listens: true, ..Heard::default() };
    }

    /// Ends, and completes the trace of the statement that was prepared or run since.
    ///
    /// # Errors
    /// SQLite's, from the questions about columns.
    pub fn finish(
        &self,
        connection: &Connection,
        text: &str,
        class: &Class,
    ) -> rusqlite::Result<Trace> {
        let Heard { mut trace, made, .. } = std::mem::take(&mut *self.heard());
        if *class == Class::Definition {
            // What SQLite does to its own tables, and to the rows of a table that is dropped.
            trace.deletes.clear();
            trace.inserts.clear();
            trace.updates.clear();
            let renamed = crate::sql::class::renamed_table(text).map(|(_, new)| new);
            if let Some(name) = renamed.or(made) {
                let columns = stored_columns(connection, &name)?;
                trace.table =
                    (!columns.is_empty()).then_some(TableNow { name: fold(&name), columns });
            }
        }
        // A query that reads a table says so; a list of values need not be read word by word.
        let copies = !trace.inserts.is_empty() || trace.table.is_some();
        if copies
            && !trace.reads.is_empty()
            && let Some(form) = copy::read(text)
        {
            trace.copied = resolve(connection, form)?;
        }
        Ok(trace)
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, context: &AuthContext<'_>) {
        let mut heard = self.heard();
        // A trigger's work has the trigger's name; a view's reads have the view's.
        if !heard.listens {
            return;
        }
        let own = context.accessor.is_none();
        let trace = &mut heard.trace;
        match context.action {
            AuthAction::Read { table_name, column_name } if is_counted(table_name) => {
                trace.reads.insert((fold(table_name), fold(column_name)));
            }
            AuthAction::Insert { table_name } if own && is_counted(table_name) => {
                trace.inserts.insert(fold(table_name));
            }
            AuthAction::Update { table_name, column_name } if own && is_counted(table_name) => {
                trace.updates.entry(fold(table_name)).or_default().insert(fold(column_name));
            }
            AuthAction::Delete { table_name } if own && is_counted(table_name) => {
                trace.deletes.insert(fold(table_name));
            }
            AuthAction::Function { function_name } if own => {
                trace.functions.insert(fold(function_name));
            }
            AuthAction::CreateTable { table_name }
            | AuthAction::CreateTempTable { table_name }
            | AuthAction::CreateVtable { table_name, .. }
            | AuthAction::AlterTable { table_name, .. } => {
                heard.made.get_or_insert_with(|| table_name.into());
            }
            AuthAction::DropTable { table_name }
            | AuthAction::DropTempTable { table_name }
            | AuthAction::DropVtable { table_name, .. } => {
                trace.dropped.get_or_insert_with(|| fold(table_name));
            }
            _ => {}
        }
    }
}

/// SQLite's own tables do not count, but for the numbers that AUTOINCREMENT has given out.
fn is_counted(table: &str) -> bool {
    let own = table.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"));
    !own || table.eq_ignore_ascii_case("sqlite_sequence")
}

/// What SQLite says of a statement that it accepts, once double-quoted words that are no names are
/// not taken for texts.
pub fn quoted_text(connection: &Connection, text: &str) -> Option<Problem> {
    if !tokens(text).iter().any(|token| token.kind == TokenKind::Quoted) {
        return None;
    }
    let switch = |on| {
        [DbConfig::SQLITE_DBCONFIG_DQS_DML, DbConfig::SQLITE_DBCONFIG_DQS_DDL]
            .into_iter()
            .all(|config| connection.set_db_config(config, on).is_ok())
    };
    let prepare = || connection.prepare(text).map(drop).map_err(Problem::from);
    let strict = switch(false).then(prepare);
    switch(true);
    match strict {
        Some(Err(problem)) if prepare().is_ok() => Some(problem),
        _ => None,
    }
}

fn stored_columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    Ok(columns(connection, table)?
        .into_iter()
        .filter_map(|(name, is_stored)| is_stored.then_some(name))
        .collect())
}

/// The visible columns of a table, folded, each with whether it is stored.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<(String, bool)>> {
    let mut statement = connection
        .prepare_cached("SELECT name, hidden FROM pragma_table_xinfo(?1) WHERE hidden <> 1")?;
    let found = statement.query_map([table], |row| {
        Ok((fold(&row.get::<_, String>(0)?), row.get::<_, i64>(1)? == 0))
    })?;
    found.collect()
}

/// Says which column each item of a copy fills; none where that is not certain.
fn resolve(connection: &Connection, form: Copy) -> rusqlite::Result<Option<Copied>> {
    let mut sources = Vec::new();
    for source in &form.sources {
        let found = columns(connection, &source.table)?;
        sources.push((source, found.into_iter().map(|(name, _)| name).collect::<Vec<_>>()));
    }
    let named = |of: &Option<String>, (source, _): &(&copy::Source, Vec<String>)| {
        of.as_ref().is_none_or(|of| match &source.alias {
            Some(alias) => alias == of,
            None => source.table == *of,
        })
    };
    let lookup = |of: &Option<String>, column: &String| {
        let mut found = sources
            .iter()
            .filter(|source| named(of, source) && source.1.contains(column))
            .map(|(source, _)| (source.table.clone(), column.clone()));
        found.next()
    };
    let mut fillers = Vec::new();
    for item in &form.items {
        match item {
            Item::All(of) => {
                for (source, names) in sources.iter().filter(|source| named(of, source)) {
                    let all = names.iter().map(|name| (source.table.clone(), name.clone()));
                    fillers.extend(all.map(Filler::Column));
                }
            }
            Item::Column(of, name) => fillers.push(match lookup(of, name) {
                Some(found) => Filler::Column(found),
                None => Filler::Computed(BTreeSet::new()),
            }),
            Item::Expression(names) => fillers.push(Filler::Computed(
                names.iter().filter_map(|name| lookup(&None, name)).collect(),
            )),
        }
    }
    let targets = match &form.columns {
        Some(names) => names.clone(),
        None => stored_columns(connection, &form.target)?,
    };
    if targets.len() != fillers.len() {
        return Ok(None);
    }
    let query = "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND lower(name) = ?1";
    let table =
        connection.prepare_cached(query)?.query_row([&form.target], |row| row.get(0)).optional()?;
    Ok(Some(Copied { form, pairs: targets.into_iter().zip(fillers).collect(), table }))
}
