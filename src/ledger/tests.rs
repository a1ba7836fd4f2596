//! Every format of the ledger is read, an older one is upgraded, a later one and a stranger are
//! refused.

use super::*;
use crate::{
    database,
    ledger::{BaseObject, read_base, write_base},
    schema::ObjectKind,
};

/// A ledger of format 1 with a row of each kind, as piton 0.1 wrote it.
const FIRST: &str = include_str!("../../tests/data/formats/0.1/ledger.sql");

fn scratch(sql: &str) -> Connection {
    let connection = database::open_scratch().unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

fn text(connection: &Connection, sql: &str) -> String {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn the_first_format_is_read_and_keeps_every_value_when_it_is_upgraded() {
    let connection = scratch(FIRST);
    let (before, brief) = (read(&connection).unwrap(), read_brief(&connection).unwrap());
    assert_eq!(before.len(), 5);
    assert!(text(&connection, "SELECT sql FROM sqlite_schema").contains("forgiving"), "only read");
    create(&connection).unwrap();
    assert_eq!(read(&connection).unwrap(), before);
    assert_eq!(read_brief(&connection).unwrap(), brief);
    assert_eq!(text(&connection, "SELECT group_concat(DISTINCT format) FROM _piton_ledger"), "2");
    create(&connection).unwrap();
    assert_eq!(read(&connection).unwrap(), before, "upgraded once");
}

#[test]
fn an_upgrade_belongs_to_the_transaction_of_its_caller() {
    let connection = scratch(FIRST);
    let before = text(&connection, "SELECT group_concat(sql) FROM sqlite_schema");
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    create(&connection).unwrap();
    connection.execute_batch("ROLLBACK").unwrap();
    assert_eq!(text(&connection, "SELECT group_concat(sql) FROM sqlite_schema"), before);
}

#[test]
fn broken_views_and_triggers_are_not_in_the_way_of_an_upgrade() {
    let connection = scratch(FIRST);
    let broken = "CREATE TABLE t (a); CREATE VIEW v AS SELECT gone FROM nowhere; \
                  CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO nowhere VALUES (1); END";
    connection.execute_batch(broken).unwrap();
    create(&connection).unwrap();
    assert_eq!(read(&connection).unwrap().len(), 5);
}

#[test]
fn the_table_is_written_for_who_types_schema() {
    let connection = scratch("");
    create(&connection).unwrap();
    let written = text(&connection, "SELECT sql FROM sqlite_schema");
    assert!(written.starts_with("CREATE TABLE _piton_ledger (\n  id  "), "{written}");
    assert!(written.lines().all(|line| line.len() < 100 && !line.starts_with("    ")), "{written}");
}

#[test]
fn a_later_format_is_refused_whatever_else_it_has() {
    let connection = scratch(
        "CREATE TABLE _piton_ledger (format INTEGER, other); INSERT INTO _piton_ledger VALUES (2, 0), (3, 0)",
    );
    for refused in
        [read(&connection).map(drop), create(&connection), read_base(&connection).map(drop)]
    {
        assert!(matches!(refused, Err(LedgerError::Newer { format: 3, known: 2 })), "{refused:?}");
    }
}

#[test]
fn what_piton_did_not_make_is_refused_by_its_kind() {
    for (sql, wanted) in [
        ("CREATE TABLE _piton_ledger (a)", "table"),
        ("CREATE TABLE _PITON_Ledger (id, version, name)", "table"),
        ("CREATE TABLE _piton_ledger (format); INSERT INTO _piton_ledger VALUES ('pdf')", "table"),
        ("CREATE TABLE _piton_ledger (format); INSERT INTO _piton_ledger VALUES (1)", "table"),
        ("CREATE VIEW _piton_ledger AS SELECT 1 AS format", "view"),
        ("CREATE TABLE t (a); CREATE INDEX _piton_ledger ON t (a)", "index"),
    ] {
        let connection = scratch(sql);
        for refused in [read(&connection).map(drop), create(&connection)] {
            let Err(LedgerError::Foreign { kind, .. }) = refused else {
                panic!("{sql}: {refused:?}")
            };
            assert_eq!(kind, wanted, "{sql}");
        }
    }
    let trigger =
        "CREATE TABLE t (a); CREATE TRIGGER _piton_ledger AFTER INSERT ON t BEGIN SELECT 1; END";
    create(&scratch(trigger)).expect("a trigger may have the name");
}

#[test]
fn the_base_is_what_was_written_last() {
    let connection = scratch("");
    let object = |kind, name: &str, table: &str, sql: &str| BaseObject {
        kind,
        name: name.into(),
        table: table.into(),
        sql: sql.into(),
    };
    let table = object(ObjectKind::Table, "T", "T", "CREATE TABLE T (a)");
    let index = object(ObjectKind::Index, "i", "T", "CREATE INDEX i ON T (a)");
    create(&connection).unwrap();
    assert_eq!(read_base(&connection).unwrap(), None, "never recorded");
    write_base(&connection, &[]).unwrap();
    assert_eq!(read_base(&connection).unwrap(), Some(Vec::new()), "recorded as empty");
    write_base(&connection, &[table.clone(), index.clone()]).unwrap();
    assert_eq!(read_base(&connection).unwrap(), Some(vec![table, index]));
    connection.execute_batch("DROP TABLE _piton_ledger").unwrap();
    assert_eq!(read_base(&connection).unwrap(), None, "it belongs to the ledger");
    write_base(&connection, &[]).unwrap();
    connection.execute_batch("DROP TABLE _piton_base; CREATE TABLE _piton_base (x)").unwrap();
    assert!(matches!(write_base(&connection, &[]), Err(LedgerError::Foreign { .. })));
}
