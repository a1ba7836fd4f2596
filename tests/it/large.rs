//! Large data files: each statement counts, though the same one with other values is asked about once.

use crate::sandbox::Sandbox;
use std::fmt::Write;

const TABLE: &str = "CREATE TABLE d (id INTEGER PRIMARY KEY, w TEXT CHECK (w <> 'no'));";

fn insertions(numbers: std::ops::Range<usize>) -> String {
    numbers.fold(String::new(), |mut text, number| {
        writeln!(text, "INSERT INTO d VALUES ({number}, 'word; number {number}');").unwrap();
        text
    })
}

#[test]
fn every_row_arrives() {
    let sandbox =
        Sandbox::new().migration("1_d.sql", TABLE).migration("2_f.sql", &insertions(0..5000));
    sandbox.run("up").success();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM d"), "5000");
    assert_eq!(sandbox.query("app.db", "SELECT sum(id) FROM d"), "12497500");
}

#[test]
fn one_bad_statement_among_many_is_named_with_its_line() {
    let good = insertions(0..2000);
    for (bad, word) in [
        ("INSERT INTO d VALUES (2000, 'no');\n", "CHECK"),
        ("INSERT INTO d VALUES (2000, no_such);\n", "no_such"),
        ("INSERT INTO d VALUES (2000, 'a', 'b');\n", "columns"),
        ("INSERT INTO d VALUES (1999, 'a');\n", "UNIQUE"),
    ] {
        let text = format!("{good}{bad}{}", insertions(2001..4000));
        let sandbox = Sandbox::new().migration("1_d.sql", TABLE).migration("2_f.sql", &text);
        sandbox.run("up").says("2_f.sql:2001:").says(word).never_says("done: 2");
    }
}

#[test]
fn a_file_whose_rows_are_all_there_is_recorded_without_a_ledger() {
    let sandbox =
        Sandbox::new().migration("1_d.sql", TABLE).migration("2_f.sql", &insertions(0..3000));
    sandbox.run("up").success();
    sandbox.execute("app.db", "DROP TABLE _piton_ledger");
    sandbox.run("up").success().says("recorded").never_says("applied");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM d"), "3000");
}

#[test]
fn what_ran_is_not_replayed_while_nothing_changed() {
    let sandbox = Sandbox::new()
        .migration("1_a.sql", "CREATE TABLE a (x); CREATE INDEX i ON a (x);")
        .migration("2_b.sql", "ALTER TABLE a ADD COLUMN y; CREATE VIEW v AS SELECT y FROM a;");
    sandbox.run("up").success();
    sandbox.write("migrations/3_c.sql", "ALTER TABLE a RENAME COLUMN y TO z;");
    sandbox.run("plan").success().says("3_c.sql");
    // A name that is not there is found all the same.
    sandbox.write("migrations/4_d.sql", "ALTER TABLE a DROP COLUMN nope;");
    sandbox.run("up").code(4).says("nope");
    sandbox.write("migrations/4_d.sql", "CREATE INDEX j ON a (z);");
    sandbox.run("up").success().says("done: 2 migrations");
    sandbox.run("up").success().says("nothing to do");
    assert_eq!(sandbox.query("app.db", "SELECT z FROM v"), "");
    // Where the schema is not what the last run left, the whole history is asked.
    sandbox.write("migrations/5_e.sql", "CREATE TABLE e (x);");
    sandbox.execute("app.db", "DROP INDEX i");
    sandbox.run("up").code(4).says("drift").says("1_a.sql");
}

/// A long data file whose rows are there is recorded, also where its table has no key; with one row that is
/// not its own, nothing tells.
#[test]
fn rows_of_a_long_data_file_are_found_without_a_ledger() {
    for (columns, first) in [("id INTEGER PRIMARY KEY, name TEXT", "id, "), ("name TEXT", "")] {
        let mut file = format!("CREATE TABLE t ({columns});\n");
        for number in 1..=500 {
            let key = if first.is_empty() { String::new() } else { format!("{number}, ") };
            file.push_str(&format!("INSERT INTO t ({first}name) VALUES ({key}'name {number}');\n"));
        }
        let sandbox = Sandbox::new().migration("001_t.sql", &file);
        sandbox.execute("app.db", &file);
        sandbox.run("plan").success().says("done already");
        sandbox.execute("app.db", "UPDATE t SET name = 'Name 7' WHERE name = 'name 7'");
        sandbox.run("up").code(4).says("undecided");
        sandbox.execute("app.db", "UPDATE t SET name = 'name 7' WHERE name = 'Name 7'");
        sandbox.run("up").success().says("recorded");
        assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM t"), "500");
    }
}
