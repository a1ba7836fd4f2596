//! Differences between real databases, backups and live directories.
#![allow(clippy::disallowed_methods)]

use super::{Depth, Difference, Presence, Source, TableDifference, Value, find, rows};
use crate::{
    backup::{self, BARRIER_LIMIT, Request},
    event::Silent,
    store::{Backup, Filter, Reason, Store},
};
use chrono::{TimeDelta, TimeZone, Utc};
use rusqlite::Connection;
use std::{fs, path::Path};

const BASE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT COLLATE NOCASE);
    INSERT INTO t VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z');
    CREATE TABLE w (k TEXT, n INT, v, PRIMARY KEY (k, n)) WITHOUT ROWID;
    INSERT INTO w VALUES ('a', 1, 0), ('b', 2, 0);
    CREATE TABLE p (k TEXT PRIMARY KEY, v); INSERT INTO p VALUES ('k', 0), (NULL, 0);
    CREATE TABLE \"odd \"\" name\" (\"a \"\" b\", rowid); INSERT INTO \"odd \"\" name\" VALUES (1, 2);";

/// A table, and its rows of the first side alone, of the second alone, and changed.
type Counts = (&'static str, u64, u64, u64);

/// Two databases, the second being the first and then a change.
fn compared(change: &str, limit: usize) -> Vec<TableDifference> {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["first.db", "second.db"].map(|name| folder.path().join(name));
    for (path, sql) in paths.iter().zip(["", change]) {
        Connection::open(path).unwrap().execute_batch(&format!("{BASE}{sql}")).unwrap();
    }
    rows::compare(Path::new("app.db"), &paths[0], &paths[1], limit).unwrap()
}

#[test]
fn rows_are_compared_by_key() {
    let cases: [(&str, &[Counts]); 12] = [
        ("", &[]),
        ("DELETE FROM t WHERE id = 2", &[("t", 1, 0, 0)]),
        ("INSERT INTO t VALUES (9, 0, 0)", &[("t", 0, 1, 0)]),
        ("UPDATE t SET a = a + 1 WHERE id > 1", &[("t", 0, 0, 2)]),
        ("UPDATE t SET b = 'X' WHERE id = 1", &[("t", 0, 0, 1)]),
        ("UPDATE t SET a = 1.0 WHERE id = 1", &[("t", 0, 0, 1)]),
        ("UPDATE t SET a = NULL WHERE id = 1", &[("t", 0, 0, 1)]),
        ("UPDATE t SET id = 7 WHERE id = 1", &[("t", 1, 1, 0)]),
        ("UPDATE w SET v = 5 WHERE k = 'a'; DELETE FROM w WHERE k = 'b'", &[("w", 1, 0, 1)]),
        ("UPDATE p SET v = 1 WHERE k IS NULL; INSERT INTO p VALUES ('l', 1)", &[("p", 0, 1, 1)]),
        ("UPDATE \"odd \"\" name\" SET rowid = 3", &[("odd \" name", 0, 0, 1)]),
        ("ALTER TABLE t ADD COLUMN c DEFAULT 1", &[]),
    ];
    for (change, expected) in cases {
        let found = compared(change, 0);
        let found: Vec<_> = found
            .iter()
            .map(|it| (&*it.table, it.only_first, it.only_second, it.changed))
            .collect();
        assert_eq!(found, expected, "{change}");
    }
}

/// The same rows under other numbers, at both ends of what a number can be, held against a plain join.
#[test]
fn rows_with_numbers_are_counted_as_a_join_counts_them() {
    let fill = |seed: i64| {
        format!(
            "DELETE FROM t; WITH n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 60)
             INSERT INTO t SELECT CASE (i * {seed}) % 7 WHEN 0 THEN -9223372036854775808 + i WHEN 1 THEN
                 9223372036854775807 - i ELSE (i * {seed}) % 61 - 30 END, i * {seed} % 4, 'x'
             FROM n WHERE true ON CONFLICT DO NOTHING;"
        )
    };
    for (one, other) in [(1, 1), (1, 2), (3, 5), (5, 3), (11, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["first.db", "second.db"].map(|name| folder.path().join(name));
        for (path, seed) in paths.iter().zip([one, other]) {
            Connection::open(path)
                .unwrap()
                .execute_batch(&(BASE.to_string() + &fill(seed)))
                .unwrap();
        }
        let found = rows::compare(Path::new("app.db"), &paths[0], &paths[1], 0).unwrap();
        let judge = Connection::open(&paths[0]).unwrap();
        judge.execute("ATTACH ?1 AS o", [paths[1].to_str().unwrap()]).unwrap();
        let sql = "SELECT (SELECT count(*) FROM t WHERE id NOT IN (SELECT id FROM o.t)),
            (SELECT count(*) FROM o.t WHERE id NOT IN (SELECT id FROM main.t)),
            (SELECT count(*) FROM main.t AS a JOIN o.t AS b USING (id) WHERE a.a <> b.a)";
        let expected: (u32, u32, u32) =
            judge.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let of = |table: &TableDifference| {
            [table.only_first, table.only_second, table.changed]
                .map(|count| u32::try_from(count).unwrap())
        };
        let (gone, new, changed) = expected;
        assert_eq!(found.first().map_or([0; 3], of), [gone, new, changed], "{one} and {other}");
    }
}

#[test]
fn tables_of_one_side_and_other_keys_are_said() {
    let found = compared("DROP TABLE w; CREATE TABLE n (a); INSERT INTO n VALUES (1), (2)", 5);
    let found: Vec<_> =
        found.iter().map(|it| (&*it.table, it.only_first, it.only_second)).collect();
    assert_eq!(found, [("n", 0, 2), ("w", 2, 0)]);
    let found = compared("DROP TABLE w; CREATE TABLE w (k TEXT PRIMARY KEY, n, v)", 5);
    assert!(found[0].note.as_ref().unwrap().contains("primary key"), "{found:?}");
}

#[test]
fn keys_are_listed_up_to_a_limit() {
    let change = "DELETE FROM t; UPDATE w SET v = x'00FF'; INSERT INTO p VALUES (x'00FF', 1)";
    let found = compared(change, 2);
    let text = |text: &str| Value::Text(text.into());
    assert_eq!(found[0].keys.only_second, [[text("00ff")]]);
    assert_eq!(found[1].keys.only_first, [[Value::Integer(1)], [Value::Integer(2)]]);
    assert_eq!(found[1].only_first, 3);
    assert_eq!(
        found[2].keys.changed,
        [[text("a"), Value::Integer(1)], [text("b"), Value::Integer(2)]]
    );
}

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn with_request<T>(&self, number: u8, act: impl FnOnce(&Request<'_>) -> T) -> T {
        let excluded = Filter::new(&["*.tmp"]).unwrap();
        act(&Request {
            data: &self.folder.path().join("data"),
            excluded: &excluded,
            left_out: &[],
            reason: Reason::Manual,
            label: None,
            now: Utc.with_ymd_and_hms(2026, 11, 20, 13, 0, 0).unwrap()
                + TimeDelta::minutes(number.into()),
            random: [0, 0, number],
            host: "host",
            git_revision: None,
            barrier_limit: BARRIER_LIMIT,
            inspect: &|connection, _| {
                connection.query_row("SELECT max(id) FROM t", [], |row| row.get(0)).ok()
            },
        })
    }

    fn backup(&self, number: u8) -> Backup {
        self.with_request(number, |it| backup::take(it, &self.store, &Silent)).unwrap().backup
    }

    fn find(&self, only: &[&str], first: &Backup, second: Option<&Backup>) -> Difference {
        self.with_request(99, |live| {
            let second = second.map_or(Source::Live(live), Source::Backup);
            let only = Filter::new(only).unwrap();
            let depth = Depth { only: &only, keys: 3 };
            find(&self.store, (Source::Backup(first), second), depth, &Silent).unwrap()
        })
    }
}

#[test]
fn backups_and_live_data_are_compared_as_wholes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let store = Store::new(folder.path().join("backups"));
    let place = Place { folder, store };
    let open = |name: &str| Connection::open(data.join(name)).unwrap();
    let service = open("app.db");
    service.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    service.execute_batch(BASE).unwrap();
    open("old.db").execute_batch("CREATE TABLE t (id)").unwrap();
    for name in ["kept", "changed", "gone"] {
        fs::write(data.join(name), name).unwrap();
    }
    let first = place.backup(1);
    assert!(place.find(&[], &first, None).is_empty());
    // The service goes on, and has the database open.
    service.execute_batch("DELETE FROM t WHERE id = 3; ALTER TABLE w ADD COLUMN x").unwrap();
    fs::remove_file(data.join("old.db")).unwrap();
    open("new.db").execute_batch("CREATE TABLE t (id)").unwrap();
    fs::remove_file(data.join("gone")).unwrap();
    fs::write(data.join("changed"), "CHANGED").unwrap();
    fs::write(data.join("new"), "new").unwrap();
    fs::write(data.join("new.tmp"), "excluded").unwrap();
    let live = place.find(&[], &first, None);
    let second = place.backup(2);
    for found in [&live, &place.find(&[], &first, Some(&second))] {
        let shown = |paths: &[_]| format!("{paths:?}");
        assert_eq!(shown(&found.files.only_first), "[gone]");
        assert_eq!(shown(&found.files.only_second), "[new]");
        assert_eq!(shown(&found.files.changed), "[changed]");
        let presences: Vec<_> =
            found.databases.iter().map(|it| (it.path.to_string(), it.presence)).collect();
        let expected = [
            ("app.db", Presence::Both),
            ("new.db", Presence::OnlySecond),
            ("old.db", Presence::OnlyFirst),
        ];
        assert_eq!(presences, expected.map(|(path, presence)| (path.to_string(), presence)));
        let app = &found.databases[0];
        assert_eq!(app.schema, ["+ table `w`, column `x`: any type"]);
        assert_eq!(app.tables.len(), 1, "{:?}", app.tables);
        assert_eq!((app.tables[0].only_first, app.tables[0].only_second), (1, 0));
    }
    let one = place.find(&["new.db"], &first, None);
    assert_eq!((one.databases.len(), one.files.is_empty()), (1, true));
    assert!(place.find(&[], &second, None).is_empty());
    assert!(!place.store.root().join(".staging").exists());
}
