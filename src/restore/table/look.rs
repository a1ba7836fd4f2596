//! Looking at the tables before anything changes: what they are, whether their rows can be exchanged, and
//! what that would change. It only reads, and a doubt is a refusal.

use super::{Change, Request, TableChange};
use crate::{
    Result,
    database::failed,
    difference::{compare_table, differs},
    error::TableError,
    schema::{
        self, Introspector, Key, ObjectKind, ObjectName, Schema, Shape, is_internal, search, shapes,
    },
    sql::{fold, quote},
    store::{Digest, Hashing, StoredPath},
};
use rusqlite::{Connection, types::ValueRef};
use std::{collections::BTreeMap, io::Write as _};

/// The names of the backup's database and of the live one in their connection.
pub(super) const SIDES: [&str; 2] = ["first", "main"];

/// A table whose rows can be exchanged.
pub(super) struct Table {
    /// Its name as the backup writes it.
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) identity: Identity,
    /// The statement that makes it.
    pub(super) sql: String,
    /// The statements that make its indexes and triggers.
    pub(super) objects: Vec<String>,
    pub(super) change: TableChange,
    /// What the rows of the live table are now.
    pub(super) content: Option<Digest>,
}

/// What makes two rows of the two tables the same row.
pub(super) enum Identity {
    /// The row's number, by a name that no column has, and whether a column has the number too.
    Number(&'static str, Holder),
    /// The primary key of a table without row numbers.
    Key(Vec<String>),
}

/// Whether a column holds the number of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// An INTEGER PRIMARY KEY does.
    Column,
    /// None does.
    Nothing,
}

/// The two databases and their schemas.
pub(super) struct Look<'a> {
    request: &'a Request<'a>,
    connection: &'a Connection,
    backup: &'a Connection,
    schemas: [Schema; 2],
    shapes: [Vec<Shape>; 2],
}

impl<'a> Look<'a> {
    /// Reads the schemas; `backup` is a connection to the backup's database alone.
    pub(super) fn new(
        request: &'a Request<'a>,
        connection: &'a Connection,
        backup: &'a Connection,
    ) -> Result<Self> {
        let shown = request.tables.database.as_path();
        let read = |connection: &Connection| -> Result<(Schema, Vec<Shape>)> {
            let reading = || failed("read the schema of", shown);
            let schema = Introspector::default().read(connection).map_err(reading())?;
            Ok((schema, shapes(connection).map_err(reading())?))
        };
        let (ours, theirs) = (read(backup)?, read(connection)?);
        let (schemas, shapes) = ([ours.0, theirs.0], [ours.1, theirs.1]);
        Ok(Self { request, connection, backup, schemas, shapes })
    }

    /// Looks at all tables that were asked for.
    pub(super) fn tables(&self) -> Result<Vec<Table>> {
        self.request.tables.tables.iter().map(|name| self.table(name)).collect()
    }

    /// Whether the tables are still as they were looked at: one look at each live row, and none at the backup.
    pub(super) fn finds_again(&self, tables: &[Table]) -> Result<bool> {
        for table in tables {
            let now = match self.shape(1, &table.name) {
                Some(_) if self.differences(&table.name).is_empty() => Some(self.content(table)?),
                Some(_) => return Ok(false),
                None => None,
            };
            // Names that come back with a table must still be free.
            if now.is_none() || now != table.content {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn table(&self, typed: &str) -> Result<Table> {
        let (name, sql) = self.require_ordinary(typed)?;
        let shape = self.shape(0, &name).cloned();
        let live = self.shape(1, &name).cloned();
        let names = self.all_columns(&name)?;
        let identity = self.identity(&name, shape.as_ref(), &names)?;
        let Some((shape, identity)) = shape.zip(identity) else {
            let what = "its columns have taken every name of the row's number".into();
            return Err(self.refuse_kind(&name, what));
        };
        let objects = self.objects(&name)?;
        let mut table = Table {
            change: TableChange::of(&name),
            name,
            shape,
            identity,
            sql,
            objects: objects.iter().map(|(_, sql)| sql.clone()).collect(),
            content: None,
        };
        match live {
            Some(live) => self.compare(&mut table, &live)?,
            None => self.create(&mut table, objects)?,
        }
        Ok(table)
    }

    /// Refuses what has no rows of its own, or rows that only its owner may write.
    fn require_ordinary(&self, typed: &str) -> Result<(String, String)> {
        if is_internal(typed) {
            let what = "it is SQLite's or piton's own".into();
            return Err(self.refuse_kind(typed, what));
        }
        let sql = "SELECT name, type FROM pragma_table_list(?1) WHERE schema = 'main'";
        let found = self.backup.query_row(sql, [typed], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        let (name, kind) = match found {
            Ok(found) => found,
            Err(rusqlite::Error::QueryReturnedNoRows) => return Err(self.missing(typed)),
            Err(error) => return Err(self.sqlite(error)),
        };
        let what = match kind.as_str() {
            "view" => Some("it is a view, which has no rows of its own".into()),
            "virtual" => Some("it is a virtual table, whose rows are in other tables".into()),
            "shadow" => Some("a virtual table keeps its rows in it".into()),
            _ => self.virtual_owner(&name)?,
        };
        if let Some(what) = what {
            return Err(self.refuse_kind(&name, what));
        }
        let sql = "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1";
        let sql = self.backup.query_row(sql, [&name], |row| row.get(0));
        Ok((name, sql.map_err(|error| self.sqlite(error))?))
    }

    /// Where a virtual table cannot be opened here, nothing says which tables are its own: those whose
    /// names begin with its name may be.
    fn virtual_owner(&self, name: &str) -> Result<Option<String>> {
        let sql = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage = 0";
        let mut statement = self.backup.prepare(sql).map_err(|error| self.sqlite(error))?;
        let owners = statement.query_map([], |row| row.get::<_, String>(0));
        for owner in owners.map_err(|error| self.sqlite(error))? {
            let owner = owner.map_err(|error| self.sqlite(error))?;
            let begins = fold(name).starts_with(&format!("{}_", fold(&owner)));
            let look = format!("SELECT 1 FROM main.{} LIMIT 0", quote(&owner));
            if begins && self.backup.prepare(&look).is_err() {
                let what = format!(
                    "it may belong to `{owner}`, a virtual table that cannot be opened here"
                );
                return Ok(Some(what));
            }
        }
        Ok(None)
    }

    fn missing(&self, typed: &str) -> crate::Error {
        let is_own = |shape: &&Shape| !is_internal(&shape.name);
        let known = self.shapes[0].iter().filter(is_own).map(|shape| shape.name.clone()).collect();
        let (database, backup) = self.names();
        TableError::Missing { database, table: typed.into(), backup, known }.into()
    }

    fn names(&self) -> (String, String) {
        (self.request.tables.database.to_string(), self.request.backup.id().to_string())
    }

    fn refuse_kind(&self, table: &str, what: String) -> crate::Error {
        let (database, backup) = self.names();
        TableError::NotAlone { database, table: table.into(), what, backup }.into()
    }

    fn sqlite(&self, error: rusqlite::Error) -> crate::Error {
        failed("compare the tables of", self.request.tables.database.as_path())(error).into()
    }

    fn shape(&self, side: usize, name: &str) -> Option<&Shape> {
        self.shapes[side].iter().find(|shape| fold(&shape.name) == fold(name))
    }

    fn all_columns(&self, table: &str) -> Result<Vec<String>> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut statement =
                self.backup.prepare("SELECT lower(name) FROM pragma_table_xinfo(?1, 'main')")?;
            statement.query_map([table], |row| row.get(0))?.collect()
        };
        read().map_err(|error| self.sqlite(error))
    }

    fn identity(
        &self,
        table: &str,
        shape: Option<&Shape>,
        columns: &[String],
    ) -> Result<Option<Identity>> {
        let sql = "SELECT wr FROM pragma_table_list(?1) WHERE schema = 'main'";
        let without_rowid: bool = self
            .backup
            .query_row(sql, [table], |row| row.get(0))
            .map_err(|error| self.sqlite(error))?;
        let Some(shape) = shape else { return Ok(None) };
        if without_rowid {
            return Ok(match &shape.key {
                Key::Columns(key) => Some(Identity::Key(key.iter().map(|it| quote(it)).collect())),
                Key::Rowid(_) => None,
            });
        }
        let sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_xinfo(?1, 'main') WHERE pk > 0)";
        let has_key: bool = self
            .backup
            .query_row(sql, [table], |row| row.get(0))
            .map_err(|error| self.sqlite(error))?;
        let holder = match (&shape.key, has_key) {
            (Key::Rowid(_), true) => Holder::Column,
            _ => Holder::Nothing,
        };
        let is_free = |alias: &&str| columns.iter().all(|column| column != alias);
        let alias = ["rowid", "_rowid_", "oid"].into_iter().find(is_free);
        Ok(alias.map(|alias| Identity::Number(alias, holder)))
    }

    /// The indexes and triggers of the table in the backup, with their statements.
    fn objects(&self, table: &str) -> Result<Vec<(ObjectName, String)>> {
        // In the order in which they were made.
        let read = || -> rusqlite::Result<Vec<(String, String, String)>> {
            let mut statement = self.backup.prepare(
                "SELECT type, name, sql FROM main.sqlite_schema WHERE type IN ('index', 'trigger')
                 AND tbl_name = ?1 COLLATE NOCASE AND sql IS NOT NULL ORDER BY rowid",
            )?;
            let rows =
                statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        };
        let rows = read().map_err(|error| self.sqlite(error))?.into_iter();
        Ok(rows
            .filter_map(|(kind, name, sql)| {
                Some((ObjectName::new(ObjectKind::from_word(&kind)?, &name), sql))
            })
            .collect())
    }

    /// A table that is not there comes back whole, unless a name of it is taken.
    fn create(&self, table: &mut Table, objects: Vec<(ObjectName, String)>) -> Result<()> {
        let own = ObjectName::new(ObjectKind::Table, &table.name);
        let taken = objects.iter().map(|(name, _)| name).chain([&own]);
        let taken = taken.filter_map(|name| {
            let (there, object) = self.schemas[1].find(&name.name)?;
            Some(format!("+ {there} (of `{}`), where the backup has {name}", object.table))
        });
        self.refuse_differences(&table.name, taken.collect())?;
        let change = &mut table.change;
        change.change = Change::Created;
        let count = format!("SELECT count(*) FROM first.{}", quote(&table.name));
        change.backup = self.count(&count)?;
        change.comes_back = change.backup;
        change.created = objects.into_iter().map(|(name, _)| name.to_string()).collect();
        Ok(())
    }

    fn compare(&self, table: &mut Table, live: &Shape) -> Result<()> {
        self.refuse_differences(&table.name, self.differences(&table.name))?;
        let live = &self.told_apart(table, live)?;
        let shown = self.request.tables.database.as_path();
        let found = compare_table((self.connection, SIDES), (&table.shape, live), shown);
        if let Some(note) = found.note {
            return Err(self.refuse_kind(&table.name, format!("it {note}")));
        }
        let name = quote(&table.name);
        let change = &mut table.change;
        (change.comes_back, change.goes) = (found.only_first, found.only_second);
        change.changed = found.changed;
        change.backup = self.count(&format!("SELECT count(*) FROM first.{name}"))?;
        change.live = Some(self.count(&format!("SELECT count(*) FROM main.{name}"))?);
        if let Some(sql) = table.renumbered(live) {
            table.change.renumbered = self.count(&sql)?;
        }
        let triggers = self.schemas[1].objects.iter().filter(|(name, object)| {
            name.kind == ObjectKind::Trigger && *object.table == *fold(&table.name)
        });
        table.change.silent_triggers = triggers.map(|(_, it)| it.name.clone()).collect();
        table.change.search_indexes =
            search::over(self.connection, &table.name).map_err(|error| self.sqlite(error))?;
        table.content = Some(self.content(table)?);
        Ok(())
    }

    /// A key with a NULL in it is no key: such rows are known by their numbers.
    fn told_apart(&self, table: &mut Table, live: &Shape) -> Result<Shape> {
        let mut live = live.clone();
        let (Identity::Number(alias, _), Key::Columns(key)) = (&table.identity, &table.shape.key)
        else {
            return Ok(live);
        };
        let nulls: Vec<String> = key.iter().map(|it| format!("{} IS NULL", quote(it))).collect();
        for side in SIDES {
            let (name, nulls) = (quote(&table.name), nulls.join(" OR "));
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {side}.{name} WHERE {nulls})");
            if self.count(&sql)? > 0 {
                live.key = Key::Rowid(alias);
            }
        }
        if live.key == Key::Rowid(alias) {
            table.shape.key = live.key.clone();
        }
        Ok(live)
    }

    /// The facts of the table that are not the same in both.
    fn differences(&self, table: &str) -> Vec<String> {
        let name = ObjectName::new(ObjectKind::Table, table);
        let only = |schema: &Schema| Schema {
            objects: BTreeMap::from_iter(
                schema.objects.get(&name).map(|object| (name.clone(), object.clone())),
            ),
        };
        let changes = schema::diff(&only(&self.schemas[0]), &only(&self.schemas[1]));
        changes.iter().map(ToString::to_string).collect()
    }

    fn refuse_differences(&self, table: &str, differences: Vec<String>) -> Result<()> {
        if differences.is_empty() {
            return Ok(());
        }
        let (database, backup) = self.names();
        let table = table.into();
        Err(TableError::Differs { database, table, backup, differences }.into())
    }

    fn count(&self, sql: &str) -> Result<u64> {
        let count: i64 = self
            .connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|error| self.sqlite(error))?;
        Ok(count.unsigned_abs())
    }

    /// A digest of every row of the live table, so that the act takes away what was shown and nothing else.
    fn content(&self, table: &Table) -> Result<Digest> {
        let read = || -> rusqlite::Result<Digest> {
            let (key, columns) = match &table.identity {
                Identity::Number(alias, _) => (vec![(*alias).to_string()], true),
                Identity::Key(key) => (key.clone(), false),
            };
            let mut all: Vec<String> = table.shape.columns.iter().map(|it| quote(it)).collect();
            all.extend(columns.then(|| key[0].clone()));
            let sql = format!(
                "SELECT {} FROM main.{} ORDER BY {}",
                all.join(", "),
                quote(&table.name),
                key.join(", ")
            );
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            let mut hashing = Hashing::new(std::io::sink());
            while let Some(row) = rows.next()? {
                for at in 0..all.len() {
                    hash(&mut hashing, row.get_ref(at)?);
                }
            }
            Ok(hashing.finish().1)
        };
        read().map_err(|error| self.sqlite(error))
    }
}

impl Table {
    /// Counts the rows that are equal and have another number, where no column holds the number and the
    /// rows are known by a key.
    fn renumbered(&self, live: &Shape) -> Option<String> {
        let Identity::Number(alias, _) = &self.identity else { return None };
        let Key::Columns(key) = &self.shape.key else { return None };
        let equal: Vec<String> = key
            .iter()
            .map(|name| quote(name))
            .map(|column| format!("a.{column} IS b.{column}"))
            .collect();
        let (name, differs) = (quote(&self.name), differs(&self.shape, live));
        Some(format!(
            "SELECT count(*) FROM first.{name} AS a CROSS JOIN main.{name} AS b ON {} \
             WHERE a.{alias} <> b.{alias} AND NOT {differs}",
            equal.join(" AND ")
        ))
    }
}

/// The kind and the length come first, so that no two rows hash alike by accident.
fn hash(hashing: &mut Hashing<std::io::Sink>, value: ValueRef<'_>) {
    let mut add = |kind: u8, bytes: &[u8]| {
        let length = (bytes.len() as u64).to_le_bytes();
        let all = [&[kind][..], &length, bytes];
        all.into_iter().for_each(|it| hashing.write_all(it).expect("a sink takes everything"));
    };
    match value {
        ValueRef::Null => add(0, &[]),
        ValueRef::Integer(number) => add(1, &number.to_le_bytes()),
        ValueRef::Real(number) => add(2, &number.to_bits().to_le_bytes()),
        ValueRef::Text(text) => add(3, text),
        ValueRef::Blob(bytes) => add(4, bytes),
    }
}

/// The path of the database, as errors name it.
pub(super) fn shown(database: &StoredPath) -> &std::path::Path {
    database.as_path()
}
