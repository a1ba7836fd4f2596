//! Random statements that change rows: with keys of their own, so that a second run shows.

use crate::statements::{Column, Writer, quoted};

impl Writer {
    /// A row of the application's.
    pub fn application_row(&mut self) -> Option<Vec<String>> {
        let table = self.table()?;
        Some(vec![self.insertion(&table)])
    }

    /// A row that a query finds again.
    pub fn guarded_row(&mut self) -> Option<Vec<String>> {
        let table = self.table()?;
        let key = self.columns(&table).into_iter().find(|column| column.is_key)?.name;
        let sql = self.insertion(&table);
        let (key, table) = (quoted(&key), quoted(&table));
        let value =
            if sql.contains("('k") { format!("'k{}'", self.keys) } else { self.keys.to_string() };
        self.guard = Some(format!("-- skip-if: SELECT 1 FROM {table} WHERE {key} = {value}"));
        Some(vec![sql])
    }

    /// A statement that changes rows.
    pub fn data(&mut self) -> Option<Vec<String>> {
        let table = self.table()?;
        let columns = self.columns(&table);
        let name = self.spelt(&table);
        let column = quoted(&self.random.pick(&columns).name);
        let key =
            columns.iter().find(|found| found.is_key).map_or("rowid".into(), |k| quoted(&k.name));
        let filters = [
            String::new(),
            format!(" WHERE {key} % 2 = 0"),
            format!(" WHERE {column} IS NULL"),
            format!(" WHERE {key} > {}", self.keys / 2),
            format!(" where {key} IN (SELECT max({key}) FROM {name})"),
        ];
        let filter = self.random.pick(&filters);
        let values = [
            "'u'".to_string(),
            "7".into(),
            format!("{column} || '+'"),
            format!("{column} + 1"),
            format!("CASE WHEN {column} IS NULL THEN 'none' ELSE lower({column}) END"),
            format!("coalesce({column}, 0)"),
            format!("(SELECT count(*) FROM {name})"),
            quoted(&self.random.pick(&columns).name),
        ];
        Some(vec![match self.random.below(8) {
            0..3 => {
                let first = self.insertion(&table);
                return Some(match self.random.below(3) {
                    0 => vec![first, self.insertion(&table)],
                    _ => vec![first],
                });
            }
            3 | 4 => format!("UPDATE {name} SET {column} = {}{filter}", self.random.pick(&values)),
            5 => format!("DELETE FROM {name}{}", self.random.pick(&filters[1..])),
            _ => return self.copy(&table),
        }])
    }

    /// A virtual table with its shadow tables, filled, and now and then gone again.
    pub fn search(&mut self) -> Option<Vec<String>> {
        self.keys += 1;
        let name = format!("search_{}", self.keys);
        let mut sql = vec![
            format!("CREATE VIRTUAL TABLE {name} USING fts5(title, body)"),
            format!(
                "INSERT INTO {name} (title, body) VALUES ('k{}', 'words; and more')",
                self.keys
            ),
        ];
        if self.random.once_in(2) {
            sql.push(format!("DROP TABLE {name}"));
        }
        Some(sql)
    }

    /// A temporary table that is filled from another and read once.
    pub fn temporary(&mut self) -> Option<Vec<String>> {
        let table = self.table()?;
        let key = self.columns(&table).into_iter().find(|column| column.is_key)?.name;
        self.keys += 1;
        let (name, table, key) = (format!("kept_{}", self.keys), self.spelt(&table), quoted(&key));
        Some(vec![
            format!("CREATE TEMP TABLE {name} AS SELECT {key} AS kept FROM {table}"),
            format!("DELETE FROM {table} WHERE {key} IN (SELECT max(kept) FROM {name})"),
            format!("DROP TABLE {name}"),
        ])
    }

    fn copy(&mut self, table: &str) -> Option<Vec<String>> {
        let source = self.table()?;
        let key = |columns: Vec<Column>| columns.into_iter().find(|column| column.is_key);
        let to = quoted(&key(self.columns(table))?.name);
        let from = key(self.columns(&source)).map_or("rowid".into(), |key| quoted(&key.name));
        let (table, source) = (self.spelt(table), self.spelt(&source));
        self.keys += 100;
        let shift = self.keys * 1000;
        Some(vec![match self.random.below(3) {
            0 => format!("INSERT OR IGNORE INTO {table} ({to}) SELECT {from} FROM {source}"),
            1 => format!(
                "INSERT INTO {table} ({to}) SELECT {from} + {shift} FROM {source} WHERE {from} < 1000"
            ),
            _ => format!(
                "insert into {table} ({to}) select {from} from {source} where not exists \
                 (select 1 from {table} as other where other.{to} = {source}.{from})"
            ),
        }])
    }

    /// An INSERT of one row with a key of its own.
    fn insertion(&mut self, table: &str) -> String {
        self.keys += 1;
        let key = self.keys;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in self.columns(table) {
            if !column.is_key && !column.is_needed && self.random.once_in(3) {
                continue;
            }
            names.push(quoted(&column.name));
            values.push(match column.kind.as_str() {
                "INT" | "INTEGER" => key.to_string(),
                "REAL" => format!("{key}.5"),
                "BLOB" => format!("x'{key:04}'"),
                _ => format!("'k{key}'"),
            });
        }
        let (names, values) = (names.join(", "), values.join(", "));
        format!("INSERT INTO {} ({names}) VALUES ({values})", self.spelt(table))
    }
}
