//! A real database: migrated, migrated again, without its ledger, and given back as it was.

use crate::sandbox::Sandbox;

const ORIGINAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chinook.db");

/// The rebuild of a parent: with foreign keys on, dropping the old table would fail or take the
/// lines along.
const REBUILD: &str = "
-- verify: SELECT (SELECT count(*) FROM InvoiceLine) = 2240
CREATE TABLE Invoice_new (
    InvoiceId INTEGER NOT NULL,
    CustomerId INTEGER NOT NULL,
    InvoiceDate DATETIME NOT NULL,
    BillingAddress NVARCHAR(70),
    BillingCity NVARCHAR(40),
    BillingState NVARCHAR(40),
    BillingCountry NVARCHAR(40),
    BillingPostalCode NVARCHAR(10),
    Total NUMERIC(10,2) NOT NULL CHECK (Total >= 0),
    CONSTRAINT PK_Invoice PRIMARY KEY (InvoiceId),
    FOREIGN KEY (CustomerId) REFERENCES Customer (CustomerId)
);
INSERT INTO Invoice_new SELECT * FROM Invoice;
DROP TABLE Invoice;
ALTER TABLE Invoice_new RENAME TO Invoice;
CREATE INDEX IFK_InvoiceCustomerId ON Invoice (CustomerId);
";

const VIEW: &str = "CREATE VIEW CustomerTotal AS
SELECT Customer.CustomerId, Nickname, sum(Total) AS Spent
FROM Customer LEFT JOIN Invoice USING (CustomerId) GROUP BY Customer.CustomerId;";

const TRIGGER: &str = "CREATE TRIGGER InvoiceLine_positive BEFORE INSERT ON InvoiceLine
WHEN NEW.Quantity < 1 BEGIN SELECT RAISE(ABORT, 'a line has at least one'); END;";

fn shop() -> Sandbox {
    let sandbox = Sandbox::new()
        .config("database = \"chinook.db\"\n")
        .migration("001_nickname.sql", "ALTER TABLE Customer ADD COLUMN Nickname TEXT;")
        .migration("002_writers.sql", "ALTER TABLE Track RENAME COLUMN Composer TO Writers;")
        .migration("003_total_check.sql", REBUILD)
        .migration("004_customer_total.sql", VIEW)
        .migration("005_positive.sql", TRIGGER);
    sandbox.write("data/chinook.db", std::fs::read(ORIGINAL).unwrap());
    sandbox
}

fn count_rows(sandbox: &Sandbox) -> i64 {
    let connection = sandbox.database("chinook.db");
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_piton%' ESCAPE '\\'";
    let tables = crate::sandbox::rows(&connection, tables);
    let count = |table: &String| {
        let query = format!("SELECT count(*) FROM \"{table}\"");
        connection.query_row(&query, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    tables.iter().map(count).sum()
}

#[test]
fn three_runs_and_back() {
    let sandbox = shop();
    let original = sandbox.dump("chinook.db");
    assert_eq!(count_rows(&sandbox), 15_607);
    sandbox.run("up").success().says("done: 5 migrations");
    let first = sandbox.dump("chinook.db");
    assert!(first != original);
    assert_eq!(count_rows(&sandbox), 15_607);
    assert_eq!(sandbox.query("chinook.db", "PRAGMA foreign_key_check"), "");

    let bytes = sandbox.data();
    sandbox.run("up").success().stdout("nothing to do: every migration is applied\n");
    assert_eq!(sandbox.data(), bytes);

    sandbox.execute("chinook.db", "DROP TABLE _piton_ledger");
    sandbox.run("up").success().says("recorded").never_says("applied ");
    assert!(sandbox.dump("chinook.db") == first);
    sandbox.run("up").success().says("nothing to do");

    let oldest = sandbox.backups().pop().unwrap();
    sandbox.run(&format!("restore {oldest} --yes")).success();
    assert!(sandbox.dump("chinook.db") == original);
    sandbox.run("up").success().says("done: 5 migrations");
    assert!(sandbox.dump("chinook.db") == first);
}

#[test]
fn equals_what_the_plain_sql_makes() {
    let sandbox = shop();
    let by_hand = rusqlite::Connection::open(sandbox.path("by-hand.db")).unwrap();
    std::fs::copy(ORIGINAL, sandbox.path("by-hand.db")).unwrap();
    by_hand.pragma_update(None, "foreign_keys", false).unwrap();
    for file in crate::sandbox::files(&sandbox.path("migrations")).keys() {
        by_hand.execute_batch(&sandbox.read(&format!("migrations/{}", file.display()))).unwrap();
    }
    sandbox.run("up").success();
    assert!(sandbox.dump("chinook.db") == crate::sandbox::dump(&sandbox.path("by-hand.db")));
}

#[test]
fn a_half_done_history_is_completed() {
    let sandbox = shop();
    sandbox.execute("chinook.db", "ALTER TABLE Customer ADD COLUMN Nickname TEXT");
    sandbox.execute("chinook.db", "ALTER TABLE Track RENAME COLUMN Composer TO Writers");
    sandbox
        .run("up")
        .success()
        .says("recorded chinook.db: 001_nickname.sql")
        .says("applied  chinook.db: 003_total_check.sql");
    let other = shop();
    other.run("up").success();
    assert!(sandbox.dump("chinook.db") == other.dump("chinook.db"));
}
