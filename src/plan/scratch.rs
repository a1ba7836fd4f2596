//! The private in-memory database in which a history is replayed, statement by statement.
//!
//! Functions and collations that only the application registers get stand-ins, so that they do
//! not stop a replay; their names are kept, because the real run has no stand-ins.

use super::{
    column_order::Orders,
    model::Image,
    text_only::TextChange,
    trace::{Recorder, Trace, quoted_text},
    trial::Trial,
};
use crate::{
    Result, database,
    guard::Effect,
    schema::{self, Introspector, Object, ObjectKind, Part, Schema},
    sql::{Class, class, classify, rows},
};
use rusqlite::{Connection, functions::FunctionFlags, types::Null};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// Why a statement did not work in the scratch database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What SQLite said.
    pub message: String,
    /// The byte in the statement at which it said it, where it told.
    pub offset: usize,
}

/// What running a statement showed.
pub struct Shown {
    /// What the statement is.
    pub class: Class,
    /// What it does to the schema.
    pub effect: Arc<Effect>,
    /// Whether it worked only with `legacy_alter_table`.
    pub legacy: bool,
    /// What it works on.
    pub realm: Realm,
    /// What it reads and writes.
    pub trace: Trace,
}

/// Where the object of a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// In the database.
    Main,
    /// Among the temporary objects, which are gone with the connection.
    Temporary,
}

/// The scratch database.
pub struct Scratch {
    connection: Connection,
    introspector: Introspector,
    schema: Schema,
    nothing: Arc<Effect>,
    recorder: Recorder,
    trial: Trial,
    /// Whether the history switched `writable_schema` on.
    writable: bool,
    /// Tables that the file has dropped so far, by their folded names.
    dropped: BTreeSet<String>,
    /// Functions and collations that got stand-ins.
    pub stand_ins: BTreeSet<String>,
}

impl Scratch {
    /// Makes one that holds the base objects; those that SQLite refuses are left out.
    pub fn new(base: &[String]) -> Result<Self> {
        let mut connection = database::open_scratch()?;
        let place = Path::new("the scratch database");
        let recorder = Recorder::of(&mut connection).map_err(database::failed("open", place))?;
        let mut scratch = Self {
            connection,
            introspector: Introspector::default(),
            schema: Schema::default(),
            nothing: Arc::new(Effect::default()),
            recorder,
            trial: Trial::default(),
            writable: false,
            dropped: BTreeSet::new(),
            stand_ins: BTreeSet::new(),
        };
        for sql in base {
            // A view over a table that does not exist, say: later statements will show it.
            while let Err(problem) = scratch.execute(sql) {
                if !scratch.stand_in(&problem.message) {
                    break;
                }
            }
        }
        scratch.schema = scratch.introspect(false)?;
        Ok(scratch)
    }

    /// The whole database as bytes; none where SQLite cannot give it.
    pub fn image(&mut self) -> Option<Image> {
        self.connection.serialize("main").ok().map(|data| Image::new(&data))
    }

    /// The schema as it is now.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Runs or prepares one statement, as its class asks.
    pub fn run(&mut self, text: &str) -> Result<std::result::Result<Shown, Problem>> {
        if database::is_stopped() {
            return Err(crate::Error::Interrupted);
        }
        let class = classify(text);
        loop {
            let shown = self.attempt(text, &class)?;
            match shown {
                Err(problem) if self.stand_in(&problem.message) => {}
                other => return Ok(other),
            }
        }
    }

    fn attempt(
        &mut self,
        text: &str,
        class: &Class,
    ) -> Result<std::result::Result<Shown, Problem>> {
        let mut legacy = false;
        let traced = matches!(class, Class::Definition | Class::Data | Class::Query);
        let quoted = if traced { quoted_text(&self.connection, text) } else { None };
        let changed = match class {
            Class::Definition => class::defined_object(text)
                .and_then(|(_, name)| self.schema.get(ObjectKind::Table, &name).cloned()),
            _ => None,
        };
        self.recorder.start();
        let touches_schema_table = || {
            let words = class::mentions(text);
            words.contains("sqlite_master") || words.contains("sqlite_schema")
        };
        let outcome = match class {
            Class::Definition => match self.execute(text) {
                Err(problem) if self.is_rebuilt(text) => {
                    legacy = self.with_legacy(text).is_ok();
                    if legacy { Ok(()) } else { Err(problem) }
                }
                other => other,
            },
            Class::Data if touches_schema_table() => {
                let outcome = self.execute(text);
                // SQLite keeps the old schema in memory until it is told to read it again.
                self.reload();
                outcome
            }
            Class::Pragma { name, argument } => {
                if name == "writable_schema" {
                    self.writable =
                        matches!(argument.as_deref(), Some("on" | "1" | "true" | "yes"));
                }
                match name.as_str() {
                    "legacy_alter_table" | "writable_schema" => self.execute(text),
                    _ if class.sets_number() => self.execute(text),
                    _ => Ok(()),
                }
            }
            Class::Data | Class::Query | Class::Other | Class::Maintenance => self.prepare(text),
            Class::TransactionControl
            | Class::Rollback
            | Class::Vacuum
            | Class::Attach
            | Class::DotCommand => Ok(()),
        };
        if let Err(problem) = outcome {
            return Ok(Err(problem));
        }
        let mut trace = match traced {
            true => self
                .recorder
                .finish(&self.connection, text, class)
                .map_err(database::failed("read", Path::new("the scratch database")))?,
            false => Trace::default(),
        };
        trace.quoted = quoted;
        if *class == Class::Data {
            trace.positions = self.positions(text, &trace);
        }
        let rereads = matches!(class, Class::Data) && self.writable;
        let effect = if matches!(class, Class::Definition) || rereads || class.sets_number() {
            self.observe(rereads)?
        } else {
            self.nothing.clone()
        };
        let realm = self.realm(text, class);
        if let Some(table) = changed {
            trace.text = self.text_change(&table, &effect);
            trace.with_a_row = self.trial.with_a_row(&table, &effect, text);
        }
        Ok(Ok(Shown { class: class.clone(), effect, legacy, realm, trace }))
    }

    /// What a statement without another effect did to the stored text of its table.
    fn text_change(&self, table: &Object, effect: &Effect) -> Option<TextChange> {
        let after = self.schema.get(ObjectKind::Table, &table.name)?;
        if effect.is_empty() { TextChange::between(table, after) } else { None }
    }

    /// The tables of which a statement gives or takes values by position, with their columns.
    fn positions(&self, text: &str, trace: &Trace) -> Orders {
        let filled = trace.inserts.iter().filter(|_| rows::is_by_position(text));
        let read = trace.reads.iter().map(|(table, _)| table);
        let tables: BTreeSet<&String> =
            filled.chain(read.filter(|_| rows::takes_all_columns(text))).collect();
        let columns =
            |table: &String| Some(self.schema.get(ObjectKind::Table, table)?.columns.clone());
        tables.into_iter().filter_map(|it| Some((it.clone(), columns(it)?))).collect()
    }

    /// Undoes the settings that a file may make, so that each file begins with the same ones.
    pub fn begin_file(&mut self) {
        // Neither can fail: they are settings of the connection.
        drop(self.execute("PRAGMA legacy_alter_table = OFF"));
        self.dropped.clear();
        if std::mem::take(&mut self.writable) {
            drop(self.execute("PRAGMA writable_schema = OFF"));
        }
    }

    /// Whether a statement gives a table the name of one that its file has dropped: the rename at the
    /// end of a rebuild, at which a view or trigger may name what is not there just now.
    fn is_rebuilt(&self, text: &str) -> bool {
        class::renamed_table(text).is_some_and(|(_, new)| self.dropped.contains(&new))
    }

    /// The views and triggers that SQLite cannot prepare, with what it says.
    pub fn broken(&self) -> BTreeMap<String, String> {
        schema::broken(&self.connection, &self.schema)
    }

    fn realm(&self, text: &str, class: &Class) -> Realm {
        let name = match class {
            Class::Definition => class::defined_object(text).map(|(_, name)| name),
            Class::Data => class::written_table(text),
            _ => None,
        };
        let Some(name) = name else { return Realm::Main };
        let query = "SELECT EXISTS (SELECT 1 FROM temp.sqlite_schema WHERE lower(name) = ?1)";
        let temporary = self
            .connection
            .prepare_cached(query)
            .and_then(|mut found| found.query_row([&name], |row| row.get(0)));
        if temporary == Ok(true) { Realm::Temporary } else { Realm::Main }
    }

    fn observe(&mut self, anew: bool) -> Result<Arc<Effect>> {
        let after = self.introspect(anew)?;
        let effect = Effect::between(&self.schema, &after);
        let gone = effect.changes.iter().filter(|it| it.part == Part::Whole && it.after.is_none());
        self.dropped.extend(gone.map(|change| change.object.name.to_string()));
        self.schema = after;
        Ok(if effect.is_empty() { self.nothing.clone() } else { Arc::new(effect) })
    }

    fn introspect(&mut self, anew: bool) -> Result<Schema> {
        let read = if anew {
            self.introspector.read_anew(&self.connection)
        } else {
            self.introspector.read(&self.connection)
        };
        let place = Path::new("the scratch database");
        Ok(read.map_err(database::failed("read the schema of", place))?)
    }

    fn execute(&self, text: &str) -> std::result::Result<(), Problem> {
        let mut statement = self.connection.prepare(text).map_err(Problem::from)?;
        let mut rows = statement.raw_query();
        while rows.next().map_err(Problem::from)?.is_some() {}
        Ok(())
    }

    fn prepare(&self, text: &str) -> std::result::Result<(), Problem> {
        self.connection.prepare(text).map(drop).map_err(Problem::from)
    }

    fn with_legacy(&self, text: &str) -> std::result::Result<(), Problem> {
        self.execute("PRAGMA legacy_alter_table = ON")?;
        let outcome = self.execute(text);
        self.execute("PRAGMA legacy_alter_table = OFF")?;
        outcome
    }

    fn reload(&self) {
        let again = if self.writable { "PRAGMA writable_schema = ON" } else { "SELECT 1" };
        // A schema that does not parse shows at the next statement.
        drop(self.execute("PRAGMA writable_schema = RESET").and_then(|()| self.execute(again)));
    }

    /// Registers a stand-in for what the message says is unknown; false where it says no such thing.
    fn stand_in(&mut self, message: &str) -> bool {
        let unknown = |start: &str| {
            let name = message.split_once(start)?.1.trim();
            Some(name.split([' ', '(']).next().unwrap_or(name).to_string())
        };
        let (name, registered) = if let Some(name) = unknown("no such function: ") {
            let flags = FunctionFlags::SQLITE_UTF8
                | FunctionFlags::SQLITE_DETERMINISTIC
                | FunctionFlags::SQLITE_INNOCUOUS;
            let registered =
                self.connection.create_scalar_function(name.as_str(), -1, flags, |_| Ok(Null));
            (name, registered)
        } else if let Some(name) = unknown("no such collation sequence: ") {
            let registered = self.connection.create_collation(name.as_str(), |a, b| a.cmp(b));
            (name, registered)
        } else {
            return false;
        };
        registered.is_ok() && self.stand_ins.insert(name)
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqlInputError { msg, offset, .. } => {
                Self { message: msg, offset: usize::try_from(offset).unwrap_or(0) }
            }
            rusqlite::Error::SqliteFailure(_, Some(message)) => Self { message, offset: 0 },
            other => Self { message: other.to_string(), offset: 0 },
        }
    }
}
