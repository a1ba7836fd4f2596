//! Errors of restoring single tables.

use super::Kind;

/// A restore of tables that was refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The database in the backup has no such table.
    #[error("backup `{backup}` has no table `{table}` in `{database}`")]
    Missing {
        /// The database.
        database: String,
        /// The table as it was typed.
        table: String,
        /// The backup.
        backup: String,
        /// The tables that it has.
        known: Vec<String>,
    },
    /// It has no rows of its own, or not rows that can be written one by one.
    #[error("`{table}` of `{database}` cannot be restored alone: {what}")]
    NotAlone {
        /// The database.
        database: String,
        /// The table.
        table: String,
        /// Why.
        what: String,
        /// The backup.
        backup: String,
    },
    /// The live table has another definition than the one in the backup.
    #[error(
        "`{table}` of `{database}` is not defined now as in backup `{backup}`:{}",
        lines(differences)
    )]
    Differs {
        /// The database.
        database: String,
        /// The table.
        table: String,
        /// The backup.
        backup: String,
        /// The facts that differ: `-` only in the backup, `+` only now, `~` changed.
        differences: Vec<String>,
    },
    /// Texts are stored in another encoding.
    #[error("`{database}` is in {now} now and in {then} in backup `{backup}`")]
    Encoding {
        /// The database.
        database: String,
        /// The backup.
        backup: String,
        /// The encoding in the backup.
        then: String,
        /// The encoding now.
        now: String,
    },
    /// Rows would refer to a parent that is not there, and do not do so now.
    #[error(
        "`{child}` would have {} to no row of `{parent}`; nothing was changed",
        more(*count)
    )]
    Orphans {
        /// The table that refers.
        child: String,
        /// The table that is referred to.
        parent: String,
        /// How many rows.
        count: u64,
        /// What restores both.
        again: String,
    },
    /// The database itself is not there.
    #[error("`{database}` is not there, so that a table could be restored into it")]
    NoDatabase {
        /// The database.
        database: String,
        /// The backup.
        backup: String,
    },
    /// One transaction is of one database.
    #[error("tables of one database at a time: `{first}` and `{second}` are two")]
    TwoDatabases {
        /// One database.
        first: String,
        /// The other.
        second: String,
    },
    /// Paths and tables are restored in different ways.
    #[error("`{table}` is a table and `{path}` is a path: one restore is of the one or the other")]
    AndPaths {
        /// A table.
        table: String,
        /// A path or pattern.
        path: String,
    },
    /// A flag that only a restore of files has.
    #[error("`{flag}` does not go with a single table")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// What leads there nevertheless.
        way: String,
    },
    /// The last restore was one of tables, which leaves no old files.
    #[error("the last restore was of tables (`{tables}`), which leaves no old files to put back")]
    Undo {
        /// The tables.
        tables: String,
        /// What undoes it.
        way: String,
    },
}

impl TableError {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. }
            | Self::TwoDatabases { .. }
            | Self::AndPaths { .. }
            | Self::Flag { .. } => Kind::Usage,
            Self::NotAlone { .. }
            | Self::Differs { .. }
            | Self::Encoding { .. }
            | Self::Orphans { .. }
            | Self::NoDatabase { .. }
            | Self::Undo { .. } => Kind::Refused,
        }
    }

    /// What to type next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { known, .. } if known.is_empty() => None,
            Self::Missing { known, .. } => Some(format!("it has {}", known.join(", "))),
            Self::NotAlone { database, backup, .. }
            | Self::Differs { database, backup, .. }
            | Self::Encoding { database, backup, .. } => Some(format!(
                "`piton restore {backup} --to DIR --only /{database}` unpacks the database beside the live data; \
                 copy from there what you need"
            )),
            Self::NoDatabase { database, backup } => {
                Some(format!("`piton restore {backup} --only /{database}` restores the database"))
            }
            Self::Orphans { again, .. } => Some(format!("restore both: `{again}`")),
            Self::TwoDatabases { .. } => Some("restore one after the other".into()),
            Self::AndPaths { .. } => Some("run one restore for each".into()),
            Self::Flag { way, .. } | Self::Undo { way, .. } => Some(way.clone()),
        }
    }
}

fn more(rows: u64) -> String {
    match rows {
        1 => "1 row more that refers".into(),
        _ => format!("{rows} rows more that refer"),
    }
}

fn lines(differences: &[String]) -> String {
    differences.iter().map(|it| format!("\n  {it}")).collect()
}
