//! `restore --only app.db:orders`: one table comes back, the rest stays. Judged by SQLite, not by piton.

use crate::sandbox::Sandbox;

/// Shop tables of every kind, in WAL mode, with a backup of it.
fn shop() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.execute(
        "app.db",
        "PRAGMA journal_mode = WAL;
        CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL);
        CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer INTEGER REFERENCES customers,
            cents INTEGER CHECK (cents > 0), euros REAL AS (cents / 100.0) STORED);
        CREATE INDEX orders_by_customer ON orders (customer);
        CREATE TABLE log (text);
        CREATE TRIGGER orders_logged AFTER INSERT ON orders BEGIN INSERT INTO log VALUES (new.id); END;
        CREATE TRIGGER orders_gone AFTER DELETE ON orders BEGIN INSERT INTO log VALUES (-old.id); END;
        CREATE TABLE prices (sku TEXT COLLATE NOCASE, day TEXT, cents, PRIMARY KEY (sku, day)) WITHOUT ROWID;
        CREATE TABLE notes (code TEXT PRIMARY KEY, body BLOB);
        INSERT INTO customers (name) VALUES ('ada'), ('bob'), ('cyd');
        INSERT INTO orders (customer, cents) VALUES (1, 100), (1, 250), (2, 300), (3, 1);
        INSERT INTO prices VALUES ('a', '2026-01-01', 1), ('a', '2026-01-02', 2.0), ('b', '2026-01-01', x'00ff');
        INSERT INTO notes (rowid, code, body) VALUES (10, 'x', x'00'), (20, 'y', NULL), (30, NULL, 'one'), (31, NULL, 'two');",
    );
    let id = sandbox.back_up();
    (sandbox, id)
}

fn table(sandbox: &Sandbox, name: &str) -> String {
    let rowid = if name == "prices" { "''" } else { "rowid" };
    sandbox.query(
        "app.db",
        &format!("SELECT {rowid}, *, quote(x.cents) FROM {name} AS x").replace(
            ", quote(x.cents)",
            if ["orders", "prices"].contains(&name) { ", quote(x.cents)" } else { "" },
        ),
    )
}

/// The schema and all rows of the database.
fn whole(sandbox: &Sandbox) -> Vec<String> {
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0";
    let mut all = vec![sandbox.query("app.db", "SELECT * FROM sqlite_schema")];
    for name in sandbox.query("app.db", names).lines() {
        all.push(sandbox.query("app.db", &format!("SELECT * FROM \"{name}\"")));
    }
    all
}

#[test]
fn the_rows_of_one_table_come_back_and_the_rest_stays() {
    let (sandbox, id) = shop();
    let then = table(&sandbox, "orders");
    sandbox.execute(
        "app.db",
        "DELETE FROM orders WHERE id = 2; UPDATE orders SET cents = 7 WHERE id = 3;
         INSERT INTO orders (id, customer, cents) VALUES (90, 2, 5), (91, 2, 6);
         INSERT INTO customers (name) VALUES ('dan'); DELETE FROM prices; DELETE FROM log;",
    );
    let now = table(&sandbox, "orders");
    let command = format!("restore {id} --only app.db:orders");
    let preview = "backup [ID] of [AGO]\n  app.db: orders, 5 rows now, 4 then\n    \
        1 row comes back\n    1 row gets its values of then\n    \
        2 rows are only there now and go\n    \
        triggers that do not fire: orders_gone, orders_logged\n";
    let before = whole(&sandbox);
    sandbox.run(&format!("{command} --dry-run")).success().stderr("").stdout(preview);
    assert_eq!(whole(&sandbox), before);
    let asked = sandbox.run(&command).code(2).says("hint: add `--yes`");
    asked.says("1 row comes back");
    assert_eq!(table(&sandbox, "orders"), now);
    sandbox.run(&format!("{command} --yes")).success().stdout(&format!(
        "{preview}restored `orders` of app.db\n  the state before it is backup [ID]\n\
         next: piton status; to undo it: piton restore [ID] --only app.db:orders\n"
    ));
    assert_eq!(table(&sandbox, "orders"), then);
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM customers"), "4");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM prices"), "0");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM log"), "0", "no trigger fired");
    assert_eq!(sandbox.query("app.db", "PRAGMA integrity_check"), "ok");
    let seq = "SELECT seq FROM sqlite_sequence WHERE name = 'orders'";
    assert_eq!(sandbox.query("app.db", seq), "91", "no number is given out twice");
    sandbox
        .run(&format!("{command} --yes"))
        .success()
        .stdout("nothing to do: the table is as in backup [ID]\n");
    // What the end said undoes it, `--undo` does not take an older restore for it.
    let undo = sandbox.run("restore --undo --yes").code(4).one_error();
    undo.says("the last restore was of tables (`app.db:orders`)");
    let safety = sandbox.backups()[0].clone();
    sandbox.run(&format!("restore {safety} --only app.db:orders --yes")).success();
    assert_eq!(table(&sandbox, "orders"), now);
    // A restore of files is the last one again.
    sandbox.run(&format!("restore {id} --yes")).success();
    sandbox.run("restore --undo --yes").success();
    assert_eq!(table(&sandbox, "orders"), now);
}

#[test]
fn every_kind_of_table_gets_exactly_its_rows_and_numbers() {
    for (name, wreck) in [
        ("prices", "UPDATE prices SET cents = 2 WHERE day = '2026-01-02'; DELETE FROM prices WHERE sku = 'b';
            INSERT INTO prices VALUES ('c', '', NULL)"),
        ("prices", "UPDATE prices SET sku = upper(sku)"),
        ("notes", "DELETE FROM notes WHERE code IS NULL; INSERT INTO notes (rowid, code) VALUES (30, 'z')"),
        ("notes", "UPDATE notes SET rowid = rowid + 100"),
        ("notes", "UPDATE notes SET code = 'q' WHERE code = 'x'; UPDATE notes SET code = 'x' WHERE code = 'y';
            UPDATE notes SET code = 'y' WHERE code = 'q'"),
        ("customers", "UPDATE customers SET name = 'q' WHERE id = 1; UPDATE customers SET name = 'ada' WHERE id = 2;
            UPDATE customers SET name = 'bob' WHERE id = 1"),
        ("log", "INSERT INTO log VALUES (1), (1.0), ('1'), (NULL)"),
        ("orders", "DELETE FROM orders"),
    ] {
        for mode in ["WAL", "DELETE"] {
            let (sandbox, id) = shop();
            sandbox.execute("app.db", &format!("PRAGMA journal_mode = {mode}"));
            let then = table(&sandbox, name);
            sandbox.execute("app.db", wreck);
            assert_ne!(table(&sandbox, name), then, "{wreck}");
            sandbox.run(&format!("restore {id} --only app.db:{name} --yes")).success();
            assert_eq!(table(&sandbox, name), then, "{wreck}");
            assert_eq!(sandbox.query("app.db", "PRAGMA integrity_check"), "ok");
            assert_eq!(sandbox.query("app.db", "PRAGMA journal_mode"), mode.to_lowercase());
        }
    }
}

#[test]
fn a_missing_table_comes_back_with_its_indexes_and_triggers() {
    let (sandbox, id) = shop();
    let schema =
        "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name = 'orders' ORDER BY 1, 2";
    let (then, objects) = (table(&sandbox, "orders"), sandbox.query("app.db", schema));
    sandbox.execute("app.db", "DROP TABLE orders; DELETE FROM log");
    let ran = sandbox.run(&format!("restore {id} --only app.db:orders --yes")).success();
    let ran = ran.says("app.db: orders is missing and comes back, 4 rows");
    ran.says("with index `orders_by_customer`, trigger `orders_logged`, trigger `orders_gone`");
    assert_eq!(table(&sandbox, "orders"), then);
    assert_eq!(sandbox.query("app.db", schema), objects);
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM log"), "0");
    let seq = "SELECT seq FROM sqlite_sequence WHERE name = 'orders'";
    assert_eq!(sandbox.query("app.db", seq), "4");
    // What undoes that is the whole database.
    let safety = sandbox.backups()[0].clone();
    let undo = sandbox.run("restore --undo").code(4);
    undo.says(&format!("`piton restore {safety} --only /app.db`"));
    sandbox.run(&format!("restore {safety} --only /app.db --yes")).success();
    assert_eq!(sandbox.query("app.db", schema), "");
    // A name that something else has taken by now.
    sandbox.execute("app.db", "CREATE VIEW orders_by_customer AS SELECT 1");
    let ran =
        sandbox.run(&format!("restore {id} --only app.db:orders --dry-run")).code(4).one_error();
    ran.says("+ view `orders_by_customer`");
}

#[test]
fn references_are_checked_before_the_commit_and_two_tables_go_together() {
    let (sandbox, id) = shop();
    let then = table(&sandbox, "orders");
    sandbox.execute("app.db", "DELETE FROM orders; DELETE FROM customers WHERE id = 3");
    let before = whole(&sandbox);
    let ran = sandbox.run(&format!("restore {id} --only app.db:orders --yes")).code(4).one_error();
    let ran = ran.says("`orders` would have 1 row more that refers to no row of `customers`");
    let both = format!("restore {id} --only app.db:orders --only app.db:customers");
    ran.says(&format!("`piton {both}`"));
    assert_eq!(whole(&sandbox), before);
    sandbox.run(&format!("{both} --yes")).success();
    assert_eq!(table(&sandbox, "orders"), then);
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM customers"), "3");
    // Rows that others refer to now must not go unnoticed.
    sandbox.execute(
        "app.db",
        "INSERT INTO customers VALUES (50, 'new'); INSERT INTO orders (customer, cents) VALUES (50, 1)",
    );
    let before = whole(&sandbox);
    let ran =
        sandbox.run(&format!("restore {id} --only app.db:customers --yes")).code(4).one_error();
    ran.says("--only app.db:customers --only app.db:orders");
    assert_eq!(whole(&sandbox), before);
}

#[test]
fn another_definition_is_refused_with_the_difference() {
    for (change, line) in [
        ("ALTER TABLE orders ADD COLUMN note TEXT", "+ table `orders`, column `note`: text"),
        ("DROP TRIGGER orders_logged; DROP TRIGGER orders_gone; ALTER TABLE orders RENAME COLUMN cents TO c", "- table `orders`, column `cents`"),
        ("DROP TABLE orders; CREATE VIEW orders AS SELECT 1", "+ view `orders`"),
        ("DROP TABLE orders; CREATE TABLE orders (id INTEGER PRIMARY KEY, customer, cents)", "column `euros`"),
        ("DROP TABLE orders; CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer INTEGER,
            cents INTEGER CHECK (cents > 0), euros REAL AS (cents / 100.0) STORED)", "foreign key"),
    ] {
        let (sandbox, id) = shop();
        sandbox.execute("app.db", change);
        let before = whole(&sandbox);
        for flag in ["--dry-run", "--yes"] {
            let ran = sandbox.run(&format!("restore {id} --only app.db:orders {flag}")).code(4);
            ran.one_error().says(line).says(&format!("piton restore {id} --to DIR --only /app.db"));
        }
        assert_eq!(whole(&sandbox), before, "{change}");
    }
}

#[test]
fn what_is_no_ordinary_table_or_not_there_is_refused() {
    let (sandbox, _) = shop();
    sandbox.execute(
        "app.db",
        "CREATE VIRTUAL TABLE found USING fts5(text); CREATE VIEW v AS SELECT 1; INSERT INTO found VALUES ('a');
         CREATE TABLE taken (rowid, _rowid_, oid)",
    );
    sandbox.write("data/a:b.txt", "x");
    let id = sandbox.back_up();
    let before = whole(&sandbox);
    for (only, code, says) in [
        ("app.db:found", 4, "it is a virtual table"),
        ("app.db:found_data", 4, "a virtual table keeps its rows in it"),
        ("app.db:v", 4, "it is a view"),
        ("app.db:taken", 4, "every name of the row's number"),
        ("app.db:sqlite_sequence", 4, "SQLite's or piton's own"),
        ("app.db:_piton_ledger", 4, "SQLite's or piton's own"),
        ("app.db:order", 2, "has no table `order` in `app.db`"),
        ("app.db:", 2, "has no table ``"),
        ("other.db:orders", 2, "nothing in backup"),
        ("app.db:orders --only a:b.txt", 2, "is a table and `a:b.txt` is a path"),
        ("app.db:orders --to out", 2, "`--to` does not go with a single table"),
        ("app.db:orders --save-lost x.sql", 2, "`--save-lost` does not go"),
    ] {
        let dry = if only.contains("--to") || only.contains("--save") { "" } else { "--dry-run" };
        sandbox.run(&format!("restore {id} --only {only} {dry}")).code(code).one_error().says(says);
        sandbox.run(&format!("restore {id} --only {only} --yes")).code(code).says(says);
    }
    assert_eq!(whole(&sandbox), before);
    // A file with a colon in its name is a file.
    sandbox.write("data/a:b.txt", "changed");
    sandbox.run(&format!("restore {id} --only a:b.txt --yes")).success();
    assert_eq!(sandbox.read("data/a:b.txt"), "x");
}

#[test]
fn a_service_may_have_it_open_and_a_writer_is_waited_for() {
    let (sandbox, id) = shop();
    let then = table(&sandbox, "orders");
    let service = sandbox.database("app.db");
    service.execute_batch("UPDATE orders SET cents = cents + 1").unwrap();
    let command = format!("restore {id} --only app.db:ORDERS --yes --busy-timeout 100ms");
    service.execute_batch("BEGIN IMMEDIATE").unwrap();
    sandbox.run(&command).code(5);
    service.execute_batch("COMMIT").unwrap();
    sandbox.run(&command).success();
    assert_eq!(table(&sandbox, "orders"), then);
    service.execute_batch("INSERT INTO orders (customer, cents) VALUES (1, 1)").unwrap();
}

#[test]
fn the_json_has_what_the_text_says_and_history_names_it() {
    let (sandbox, id) = shop();
    sandbox.execute("app.db", "DELETE FROM orders WHERE id > 2");
    let command = format!("restore {id} --only app.db:orders --json");
    let dry = sandbox.run(&format!("{command} --dry-run")).success().json();
    assert_eq!(dry["preview"]["tables"][0]["comes_back"], 2);
    assert!(dry["restored"].is_null());
    let done = sandbox.run(&format!("{command} --yes")).success().json();
    let safety = sandbox.backups()[0].clone();
    assert_eq!(done["restored"]["safety"], safety.as_str());
    assert_eq!(done["restored"]["undo"], format!("piton restore {safety} --only app.db:orders"));
    assert_eq!(done["preview"]["tables"][0]["change"], "replaced");
    sandbox.run("history").success().says("--only app.db:orders");
}

#[test]
fn a_search_index_over_the_table_is_named() {
    let (sandbox, _) = shop();
    sandbox.execute(
        "app.db",
        "CREATE VIRTUAL TABLE find_notes USING fts5(body, content='notes'); INSERT INTO find_notes(find_notes) VALUES ('rebuild')",
    );
    let id = sandbox.back_up();
    sandbox.execute("app.db", "DELETE FROM notes WHERE code = 'x'");
    let ran = sandbox.run(&format!("restore {id} --only app.db:notes --yes")).success();
    let ran = ran.says("a search index does not follow: `find_notes`");
    ran.says("INSERT INTO \"find_notes\" (\"find_notes\") VALUES ('rebuild')");
    sandbox.execute(
        "app.db",
        "INSERT INTO find_notes (find_notes) VALUES ('rebuild'), ('integrity-check')",
    );
}

#[test]
fn rows_that_change_after_the_preview_stop_it() {
    let (sandbox, id) = shop();
    sandbox
        .execute("app.db", "DELETE FROM orders WHERE id = 2; DELETE FROM prices WHERE sku = 'a'");
    let project = piton::project::Project::at(&sandbox.path(""), "a test").unwrap();
    let source = piton::project::Source::Named(id.parse().unwrap());
    let observer = piton::event::Silent;
    let preview = |only: &str| {
        project.preview_tables(&source, &[only.to_string()], &observer).unwrap().unwrap()
    };
    let (orders, prices) = (preview("app.db:orders"), preview("app.db:prices"));
    // As many rows as before, and other values.
    sandbox.execute(
        "app.db",
        "UPDATE orders SET cents = 251 WHERE id = 1; DELETE FROM orders WHERE id = 4",
    );
    sandbox.execute("app.db", "INSERT INTO orders (id, customer, cents) VALUES (4, 3, 2)");
    let before = whole(&sandbox);
    let patience = piton::lock::Patience::Refuse;
    let error = project.restore_tables_previewed(orders, patience, &observer).unwrap_err();
    assert_eq!(error.kind(), piton::Kind::Refused, "{error}");
    assert_eq!(whole(&sandbox), before);
    // What was written elsewhere is no reason to stop.
    project.restore_tables_previewed(prices, patience, &observer).unwrap();
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM prices"), "3");
}
