//! What `--only` means: paths, or tables of a database as `app.db:orders`.

use crate::{
    Result,
    error::TableError,
    sql::fold,
    store::{Backup, Filter, Item, StoredPath},
};

/// Tables of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The database.
    pub database: StoredPath,
    /// The tables, as they were typed.
    pub tables: Vec<String>,
}

impl Tables {
    /// The way to say the same on a command line.
    #[must_use]
    pub fn words(&self) -> String {
        let words = self.tables.iter().map(|table| {
            let word = format!("{}:{table}", self.database);
            let is_plain = |it: char| it.is_alphanumeric() || "._-/:".contains(it);
            match word.chars().all(is_plain) {
                true => format!("--only {word}"),
                false => format!("--only '{}'", word.replace('\'', r"'\''")),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Finds out whether tables are meant; nothing where paths are. A path of the backup that has a colon in
/// its name is meant before a table.
///
/// # Errors
/// [`TableError::AndPaths`], [`TableError::TwoDatabases`]; a malformed pattern.
pub fn chosen_tables(only: &[String], backup: &Backup) -> Result<Option<Tables>> {
    let mut chosen: Option<Tables> = None;
    let mut path = None;
    for text in only {
        let filter = Filter::new(&[text])?;
        let is_path = backup.manifest.items().map(Item::path).any(|path| filter.matches(path));
        let Some((database, table)) = of_database(text, backup).filter(|_| !is_path) else {
            path = Some(text);
            continue;
        };
        match &mut chosen {
            None => chosen = Some(Tables { database, tables: vec![table] }),
            Some(first) if first.database == database => {
                if first.tables.iter().all(|known| fold(known) != fold(&table)) {
                    first.tables.push(table);
                }
            }
            Some(first) => {
                let (first, second) = (first.database.to_string(), database.to_string());
                return Err(TableError::TwoDatabases { first, second }.into());
            }
        }
    }
    match (chosen, path) {
        (Some(chosen), Some(path)) => {
            let table = format!("{}:{}", chosen.database, chosen.tables[0]);
            Err(TableError::AndPaths { table, path: path.clone() }.into())
        }
        (chosen, _) => Ok(chosen),
    }
}

fn of_database(text: &str, backup: &Backup) -> Option<(StoredPath, String)> {
    let text = text.strip_prefix("./").or_else(|| text.strip_prefix('/')).unwrap_or(text);
    text.match_indices(':').find_map(|(at, _)| {
        let (database, table) = (&text[..at], &text[at + 1..]);
        let mut records = backup.manifest.databases.iter();
        let record = records.find(|record| record.path.to_string() == database)?;
        Some((record.path.clone(), table.to_string()))
    })
}
