//! The part of a large schema that pending statements can reach, so that planning one migration does not
//! make thousands of tables that it never names.
//!
//! An object is reached if its text has a name that a statement has, or that a reached object has: whatever
//! refers to it and whatever it refers to, in either direction. Where a statement reaches beyond what it
//! names, nothing is left out.

use super::partition::mentioned;
use crate::{
    history::Migration,
    schema::{Object, ObjectName, Schema},
    sql::{
        class, fold,
        token::{Token, TokenKind, scan},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Below this number of objects the whole schema is made in less time than this takes.
const FROM: usize = 256;

/// What the statements reach; none where that is everything, or not certain.
pub fn reached(pending: &[Arc<Migration>], live: &Schema) -> Option<Schema> {
    if live.objects.len() < FROM {
        return None;
    }
    let mut names: BTreeSet<String> =
        live.objects.keys().map(|name| name.name.to_string()).collect();
    let mut words = BTreeSet::new();
    for migration in pending {
        for statement in migration.statements() {
            let text = statement.text(&migration.text);
            words.extend(mentioned(text)?);
            words.extend(strings(text));
            names.extend(class::defined_object(text).map(|(_, name)| name));
            names.extend(class::renamed_table(text).map(|(_, new)| new));
        }
    }
    words.retain(|word| names.contains(word));
    // ALTER TABLE makes plain strings of double-quoted ones, wherever they are in the schema.
    words.extend(with_quoted_strings(live, &names));
    let objects = close(words, &links(live, &names));
    let all = objects.len() == live.objects.len();
    let found = objects.into_iter().map(|name| (name.clone(), live.objects[name].clone()));
    (!all).then(|| Schema { objects: found.collect() })
}

/// The names that each object's text has.
fn links<'a>(
    live: &'a Schema,
    names: &BTreeSet<String>,
) -> Vec<(&'a ObjectName, BTreeSet<String>)> {
    let of = |(name, object): (&'a ObjectName, &Arc<Object>)| {
        let mut words = class::mentions(&object.sql);
        words.extend(strings(&object.sql));
        words.extend([name.name.to_string(), object.table.to_string()]);
        words.retain(|word| names.contains(word));
        (name, words)
    };
    live.objects.iter().map(of).collect()
}

/// All objects that hang together with these names.
fn close<'a>(
    words: BTreeSet<String>,
    links: &[(&'a ObjectName, BTreeSet<String>)],
) -> BTreeSet<&'a ObjectName> {
    let mut by_word: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, (_, words)) in links.iter().enumerate() {
        words.iter().for_each(|word| by_word.entry(word).or_default().push(at));
    }
    let mut objects = BTreeSet::new();
    let mut open: Vec<String> = words.iter().cloned().collect();
    let mut seen = words;
    while let Some(word) = open.pop() {
        for &at in by_word.get(word.as_str()).into_iter().flatten() {
            let (name, further) = &links[at];
            if objects.insert(*name) {
                open.extend(further.iter().filter(|word| seen.insert((*word).clone())).cloned());
            }
        }
    }
    objects
}

/// The names of objects that have a double-quoted word that is neither an object nor a column.
fn with_quoted_strings<'a>(
    live: &'a Schema,
    names: &'a BTreeSet<String>,
) -> impl Iterator<Item = String> + 'a {
    let columns: BTreeSet<&str> =
        live.objects.values().flat_map(|object| object.columns.iter().map(|it| &**it)).collect();
    let is_string = move |text: &str, token: &Token| {
        token.kind == TokenKind::Quoted
            && token
                .name(text)
                .map(|name| fold(&name))
                .is_some_and(|name| !names.contains(&name) && !columns.contains(&*name))
    };
    live.objects
        .iter()
        .filter(move |(_, it)| scan(&it.sql).any(|token| is_string(&it.sql, &token)))
        .map(|(name, _)| name.name.to_string())
}

/// The strings of a text, which SQLite takes for names in some places.
fn strings(text: &str) -> BTreeSet<String> {
    scan(text)
        .filter(|token| token.kind == TokenKind::Text)
        .filter_map(|token| token.name(text))
        .map(|name| fold(&name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database, history::Version, schema::Introspector};
    use std::path::Path;

    /// The names that a statement reaches beside 300 tables that hang together with nothing.
    fn reach(text: &str) -> Option<BTreeSet<String>> {
        let connection = database::open_scratch().unwrap();
        for number in 0..300 {
            connection.execute_batch(&format!("CREATE TABLE t{number} (id, title)")).unwrap();
        }
        connection
            .execute_batch(
                "CREATE TABLE authors (id INTEGER PRIMARY KEY);
                 CREATE TABLE books (id INTEGER PRIMARY KEY, author REFERENCES authors);
                 CREATE INDEX books_author ON books (author);
                 CREATE VIEW shelf AS SELECT * FROM books;
                 CREATE TABLE log (word TEXT);
                 CREATE TRIGGER logged AFTER INSERT ON log BEGIN DELETE FROM t7; END;
                 CREATE VIEW later AS SELECT \"future\" AS word FROM log;
                 CREATE VIEW spelt AS SELECT \"some text\" AS word, \"title\" FROM t11;
                 CREATE VIRTUAL TABLE search USING fts5(title, content='t9');",
            )
            .unwrap();
        let live = Introspector::default().read(&connection).unwrap();
        let version = Version::parse("1").unwrap();
        let file = Migration::from_sql(version, "", Path::new("m.sql"), text.into()).unwrap();
        let found = reached(&[Arc::new(file)], &live)?;
        Some(found.objects.keys().map(|name| name.name.to_string()).collect())
    }

    #[test]
    fn what_hangs_together_is_reached() {
        let library = ["authors", "books", "books_author", "shelf"];
        let logs = ["later", "log", "logged", "t7"];
        for (text, wanted) in [
            ("CREATE TABLE new (id INTEGER PRIMARY KEY, title)", &[] as &[&str]),
            ("ALTER TABLE authors ADD COLUMN name", &library),
            ("CREATE VIEW v AS SELECT * FROM \"Shelf\"", &library),
            ("DROP TABLE 'books'", &library),
            ("ALTER TABLE t1 RENAME TO t2", &["t1", "t2"]),
            ("DELETE FROM t7", &logs),
            ("CREATE TABLE future (x)", &logs),
            (
                "UPDATE t9 SET title = 'Books'",
                &["authors", "books", "books_author", "search", "shelf", "t9"],
            ),
        ] {
            // What has a double-quoted string is reached by everything.
            let wanted = wanted.iter().chain(&["spelt", "t11", "later", "log", "logged", "t7"]);
            let wanted: BTreeSet<String> = wanted.map(ToString::to_string).collect();
            assert_eq!(reach(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_reaches_further_is_everything() {
        for text in [
            "UPDATE sqlite_schema SET sql = ''",
            "PRAGMA writable_schema = ON",
            "CREATE VIRTUAL TABLE v USING fts5(a)",
            "VACUUM",
        ] {
            assert_eq!(reach(text), None, "{text}");
        }
    }
}
