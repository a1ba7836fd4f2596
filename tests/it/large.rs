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
fn a_file_that_adds_rows_twice_is_still_undecided_without_a_ledger() {
    let sandbox =
        Sandbox::new().migration("1_d.sql", TABLE).migration("2_f.sql", &insertions(0..3000));
    sandbox.run("up").success();
    sandbox.execute("app.db", "DROP TABLE _piton_ledger");
    sandbox.run("up").code(4).says("undecided");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM d"), "3000");
}
