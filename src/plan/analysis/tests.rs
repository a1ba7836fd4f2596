//! Histories, live rows, and the findings with their weights, for plan and check alike.

use super::Rules;
use crate::{
    database,
    history::{Migration, Version},
    ledger::{self, Entry, EntryKind, EntryState, Witness},
    plan::{
        Finding, HouseRule, Level, Policy, Request, Settings, Severity, check, plan_database,
        policy::is_about_files,
    },
    schema::schema_hash,
};
use rusqlite::Connection;
use std::{collections::BTreeMap, path::Path, sync::Arc};

fn history(files: &[&str]) -> Vec<Arc<Migration>> {
    let read = |(at, text): (usize, &&str)| {
        let version = Version::parse(&(at + 1).to_string()).unwrap();
        let path = format!("{}.sql", at + 1);
        Arc::new(Migration::from_sql(version, "", Path::new(&path), (*text).into()).unwrap())
    };
    files.iter().enumerate().map(read).collect()
}

/// What weighs more than a note, as `code!` where it refuses and `code` where it warns.
fn shown(findings: &[Finding]) -> String {
    let words = findings.iter().filter_map(|finding| match finding.severity {
        Severity::Denied => Some(format!("{}!", finding.code)),
        Severity::Warning => Some(finding.code.into()),
        Severity::Note => None,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Runs a migration, notes it in the ledger, and adds rows.
fn run(live: &Connection, migration: &Migration, rows: &str) {
    live.execute_batch(&migration.text).unwrap();
    ledger::create(live).unwrap();
    let entry = Entry {
        id: 0,
        version: migration.version.clone(),
        name: migration.name.clone(),
        kind: EntryKind::Sql,
        state: EntryState::Applied,
        witness: Witness::Run,
        checksum: migration.checksum.exact.clone(),
        forgiving: migration.checksum.forgiving.clone(),
        text: migration.text.clone(),
        started: String::new(),
        milliseconds: 0,
        statements: 0,
        schema_hash: schema_hash(live).unwrap(),
        objects: String::new(),
        backup: None,
        piton: String::new(),
        output: None,
    };
    ledger::insert(live, &entry).unwrap();
    live.execute_batch(rows).unwrap();
}

fn of(
    migrations: &[Arc<Migration>],
    live: Option<&Connection>,
    rules: &Rules,
) -> (Vec<Finding>, Vec<Finding>) {
    let request = Request {
        target: "",
        database: Path::new("app.db"),
        path: Path::new("app.db"),
        migrations,
        settings: &Settings::default(),
        rules: Some(rules),
    };
    let plan = plan_database(&request, live).unwrap();
    (plan.findings, check(&request, live).unwrap())
}

/// The findings of `plan` and `check` where the first file ran and left these rows, and of `check`
/// without a database.
fn codes(ran: &str, rows: &str, pending: &[&str]) -> (String, String) {
    let files: Vec<&str> = [&[ran], pending].concat();
    let migrations = history(&files);
    let live = database::open_scratch().unwrap();
    run(&live, &migrations[0], rows);
    let rules = Rules::default();
    let (planned, checked) = of(&migrations, Some(&live), &rules);
    let about = |findings: &[Finding]| -> Vec<Finding> {
        let later = |finding: &&Finding| finding.migration.as_deref() != Some("1.sql");
        findings.iter().filter(later).filter(|it| is_about_files(it)).cloned().collect()
    };
    assert_eq!(about(&planned), about(&checked), "check says something else: {pending:?}");
    let (_, alone) = of(&migrations, None, &rules);
    (shown(&planned), shown(&alone))
}

const USERS: &str = "CREATE TABLE u (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT); \
    CREATE INDEX ub ON u (b);";
const ROWS: &str = "INSERT INTO u VALUES (1, 'x', 'y'), (2, 'z', 'w'), (3, 'q', NULL);";

#[track_caller]
fn hold(table: &[(&str, &str, &str)]) {
    for (pending, with_rows, alone) in table {
        let files: Vec<&str> = pending.split("\n--\n").collect();
        let found = codes(USERS, ROWS, &files);
        assert_eq!((found.0.as_str(), found.1.as_str()), (*with_rows, *alone), "{pending}");
        // A guard is wrong whatever the rows are.
        if !pending.contains("skip-if") {
            let empty = codes(USERS, "", &files).0;
            assert!(!empty.contains('!'), "{pending}: refused on an empty table: {empty}");
        }
    }
}

#[test]
fn what_goes() {
    hold(&[
        ("DROP TABLE u;", "destructive", "destructive"),
        (
            "ALTER TABLE u ADD COLUMN c; DROP INDEX ub; ALTER TABLE u DROP COLUMN b;",
            "destructive",
            "destructive",
        ),
        ("-- allow: destructive nobody reads it\nDROP TABLE u;", "", ""),
        ("DELETE FROM u;", "destructive", "destructive"),
        ("DELETE FROM u WHERE id > 3;", "", ""),
        ("UPDATE u SET a = 'delete' WHERE id = 1;", "", ""),
        ("CREATE TABLE n (a); INSERT INTO n VALUES (1); DROP TABLE n;", "", ""),
        ("CREATE TABLE n (a)\n--\nDROP TABLE n;", "", "destructive"),
        // Merged into another table: nothing is lost.
        ("CREATE TABLE v (id, a, b); INSERT INTO v SELECT id, a, b FROM u; DROP TABLE u;", "", ""),
        (
            "CREATE TABLE v (n); INSERT INTO v SELECT count(a) FROM u; DROP TABLE u;",
            "destructive",
            "destructive",
        ),
    ]);
}

#[test]
fn what_a_rebuild_loses() {
    let by_the_book = "CREATE TABLE n (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT NOT NULL DEFAULT ''); \
        INSERT INTO n SELECT id, a, coalesce(b, '') FROM u; DROP TABLE u; ALTER TABLE n RENAME TO u; \
        CREATE INDEX ub ON u (b);";
    let over_files = by_the_book.replace("; ", ";\n--\n");
    let renamed_first = "ALTER TABLE u RENAME TO old; DROP INDEX ub; \
        CREATE TABLE u (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT); \
        INSERT INTO u (id, a, b) SELECT id, a, b FROM old; DROP TABLE old; CREATE INDEX ub ON u (b);";
    let aside_and_back = "CREATE TEMP TABLE k AS SELECT * FROM u; DROP TABLE u; \
        CREATE TABLE u (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT); INSERT INTO u SELECT * FROM k; \
        DROP TABLE k; CREATE INDEX ub ON u (b);";
    let filled_later = "CREATE TABLE n (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT); \
        INSERT INTO n (id, a) SELECT id, a FROM u; \
        UPDATE n SET b = (SELECT b FROM u WHERE u.id = n.id); DROP TABLE u; \
        ALTER TABLE n RENAME TO u; CREATE INDEX ub ON u (b);";
    let rebuilt = |columns: &str, copy: &str| {
        format!("CREATE TABLE n ({columns}); {copy} DROP TABLE u; ALTER TABLE n RENAME TO u;")
    };
    let full = "id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT";
    let left_out =
        rebuilt("id INTEGER PRIMARY KEY, a TEXT UNIQUE", "INSERT INTO n SELECT id, a FROM u;");
    let with_index = |text: String| text + " CREATE INDEX ub ON u (b);";
    let not_filled = with_index(rebuilt(full, "INSERT INTO n (id, a) SELECT id, a FROM u;"));
    let nothing = with_index(rebuilt(full, ""));
    let positions = with_index(rebuilt(
        "id INTEGER PRIMARY KEY, b TEXT, a TEXT UNIQUE",
        "INSERT INTO n SELECT * FROM u;",
    ));
    let through_a_view = format!(
        "CREATE VIEW w AS SELECT * FROM u; {} DROP VIEW w; CREATE INDEX ub ON u (b);",
        rebuilt(full, "INSERT INTO n SELECT * FROM w;")
    );
    let through_a_view = through_a_view
        .replace("DROP TABLE u;", "DROP VIEW w; DROP TABLE u;")
        .replace("u; DROP VIEW w; CREATE", "u; CREATE");
    let unique_lost = with_index(rebuilt(
        "id INTEGER PRIMARY KEY, a TEXT, b TEXT",
        "INSERT INTO n SELECT id, a, b FROM u;",
    ));
    let unique_index = format!("{unique_lost} CREATE UNIQUE INDEX ua ON u (a);");
    let cast = with_index(rebuilt(
        "id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INT",
        "INSERT INTO n SELECT id, a, CAST(b AS INTEGER) FROM u;",
    ));
    let opaque = with_index(rebuilt(full, "INSERT INTO n SELECT * FROM u UNION SELECT * FROM u;"));
    hold(&[
        (by_the_book, "", ""),
        (&over_files, "", ""),
        (renamed_first, "", ""),
        (aside_and_back, "", ""),
        (filled_later, "", ""),
        (&opaque, "", ""),
        (&left_out, "destructive", "destructive"),
        (&not_filled, "column-not-copied!", "column-not-copied"),
        (&nothing, "rows-not-copied!", "rows-not-copied"),
        (&positions, "columns-swapped!", "columns-swapped"),
        (&unique_lost, "constraint-lost", "constraint-lost"),
        (&unique_index, "", ""),
        (&cast, "values-cast", "values-cast"),
        (&through_a_view, "", ""),
        // A table that is dropped and made again in plain words is dropped.
        (
            "DROP TABLE u; CREATE TABLE u (id INTEGER PRIMARY KEY, a TEXT, b TEXT);",
            "destructive",
            "destructive",
        ),
        ("DROP TABLE u; CREATE TABLE u (id INTEGER PRIMARY KEY, c);", "destructive", "destructive"),
    ]);
}

#[test]
fn texts_in_double_quotes() {
    hold(&[
        ("UPDATE u SET b = \"aa\" WHERE id = 1;", "quoted-text!", "quoted-text"),
        (
            "CREATE TABLE n (a); INSERT INTO n SELECT \"nmae\" FROM u;",
            "quoted-text!",
            "quoted-text",
        ),
        ("UPDATE u SET b = \"a\" WHERE \"id\" = 1;", "", ""),
        ("INSERT INTO u (a) VALUES (\"theme\");", "quoted-text", "quoted-text"),
        ("CREATE TABLE n (a DEFAULT \"x\", CHECK (a <> \"none\"));", "quoted-text", "quoted-text"),
        (
            "-- skip-if: SELECT 1 FROM u WHERE \"bb\" = 'w'\nUPDATE u SET b = 'w';",
            "quoted-text!",
            "",
        ),
        (
            "-- skip-if: SELECT 1 FROM u WHERE \"b\" = 'w'\nUPDATE u SET b = 'v' WHERE id = 9;",
            "",
            "",
        ),
    ]);
}

#[test]
fn what_rows_do_not_allow() {
    hold(
        &[
            ("ALTER TABLE u ADD COLUMN c TEXT NOT NULL;", "not-null!", "not-null"),
            (
                "ALTER TABLE u ADD COLUMN c DEFAULT CURRENT_TIMESTAMP;",
                "refused-with-rows!",
                "refused-with-rows",
            ),
            ("ALTER TABLE u ADD COLUMN c TEXT NOT NULL DEFAULT '';", "", ""),
            ("ALTER TABLE u ADD COLUMN c UNIQUE;", "sql!", "sql!"),
        ][..3],
    );
    assert_eq!(codes(USERS, "", &["ALTER TABLE u ADD COLUMN c UNIQUE;"]).0, "sql!");
}

#[test]
fn rows_that_break_what_comes() {
    let rebuilt = |columns: &str, copy: &str| {
        format!(
            "CREATE TABLE n ({columns}); INSERT INTO n {copy} FROM u; DROP TABLE u; \
             ALTER TABLE n RENAME TO u; CREATE INDEX ub ON u (b);"
        )
    };
    let not_null = "id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT NOT NULL";
    let check = "id INTEGER PRIMARY KEY, a TEXT UNIQUE CHECK (a <> 'z'), b TEXT";
    let unique = "id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT UNIQUE";
    let more = "id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT, c TEXT NOT NULL";
    let plain = "SELECT id, a, b";
    let filled = format!("UPDATE u SET b = '' WHERE b IS NULL; {}", rebuilt(not_null, plain));
    hold(&[
        (&rebuilt(not_null, plain), "rows-break!", ""),
        (&rebuilt(not_null, "SELECT id, a, coalesce(b, '')"), "", ""),
        (&filled, "", ""),
        (&rebuilt(check, plain), "rows-break!", ""),
        (&rebuilt(&check.replace("'z'", "'other'"), plain), "", ""),
        (&rebuilt(unique, plain), "", ""),
        (
            &rebuilt(unique, "SELECT id, a, 'same'"),
            "rows-break! column-not-copied",
            "column-not-copied",
        ),
        (&rebuilt(more, "(id, a, b) SELECT id, a, b"), "rows-break!", ""),
        ("CREATE UNIQUE INDEX ui ON u (length(a) DESC);", "rows-break!", ""),
        ("CREATE UNIQUE INDEX ui ON u (a COLLATE NOCASE, b) WHERE id > 1;", "", ""),
    ]);
    let (_, said) = {
        let migrations = history(&[USERS, "CREATE UNIQUE INDEX ui ON u (length(a));"]);
        let live = database::open_scratch().unwrap();
        run(&live, &migrations[0], ROWS);
        of(&migrations, Some(&live), &Rules::default())
    };
    assert_eq!(
        said.iter().find(|found| found.code == "rows-break").map(|found| found.message.as_str()),
        Some("3 rows would break the unique index `ui`: length(a) = 1")
    );
}

#[test]
fn numbers_that_would_be_given_out_again() {
    let table = "CREATE TABLE u (id INTEGER PRIMARY KEY AUTOINCREMENT, a);";
    let rows = "INSERT INTO u (a) VALUES (1), (2), (3); DELETE FROM u WHERE id = 3;";
    let rebuild = "CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT); \
        INSERT INTO n SELECT id, a FROM u; DROP TABLE u; ALTER TABLE n RENAME TO u;";
    let kept = format!("{rebuild} UPDATE sqlite_sequence SET seq = 3 WHERE name = 'u';");
    assert_eq!(codes(table, rows, &[rebuild]).0, "sequence-lost");
    assert_eq!(codes(table, "INSERT INTO u (a) VALUES (1), (2), (3);", &[rebuild]).0, "");
    assert_eq!(codes(table, rows, &[&kept]).0, "");
}

#[test]
fn other_rules() {
    let lost = "CREATE TABLE n (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT); INSERT INTO n SELECT * FROM u; \
        DROP TABLE u; ALTER TABLE n RENAME TO u;";
    let (with_rows, alone) = codes(USERS, ROWS, &[lost]);
    assert_eq!((with_rows.as_str(), alone.as_str()), ("object-lost!", "object-lost!"));
    hold(&[
        ("ALTER TABLE u RENAME TO people;", "rename", "rename"),
        ("ALTER TABLE u RENAME COLUMN b TO c;", "rename", "rename"),
        ("ALTER TABLE u RENAME TO k; ALTER TABLE k RENAME TO u;", "", ""),
        ("-- transaction: none\nVACUUM;", "", ""),
    ]);
    for (text, found) in [
        ("UPDATE u SET nope = 1;", "sql!"),
        ("VACUUM;", "in-transaction!"),
        ("ATTACH 'x' AS y;", "attach!"),
    ] {
        assert_eq!(codes(USERS, ROWS, &[text]).0, found, "{text}");
    }
    let (_, alone) = of(&history(&["ALTER TABLE users ADD COLUMN x;"]), None, &Rules::default());
    assert_eq!(shown(&alone), "base");
}

#[test]
fn notes() {
    let notes = |text: &str| {
        let (_, alone) = of(&history(&[USERS, text]), None, &Rules::default());
        alone.iter().map(|finding| finding.code).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(notes("UPDATE u SET a = random();"), "non-deterministic no-guard");
    assert_eq!(notes("UPDATE u SET a = datetime('now');"), "non-deterministic no-guard");
    assert_eq!(notes("UPDATE u SET a = 'now random';"), "no-guard");
    assert_eq!(notes("-- skip-if: SELECT 1\nUPDATE u SET a = 1;"), "");
    assert_eq!(notes("ALTER TABLE u ADD COLUMN c; UPDATE u SET c = a;"), "mixed");
}

#[test]
fn policies() {
    let migrations = history(&[USERS, "UPDATE u SET b = 'x'; DROP TABLE u;"]);
    let live = database::open_scratch().unwrap();
    run(&live, &migrations[0], ROWS);
    let found = |levels: &[(&str, Level)], house| {
        let levels = levels.iter().map(|(code, level)| ((*code).into(), *level));
        let policy = Policy::new(levels.collect::<BTreeMap<String, Level>>()).unwrap();
        shown(&of(&migrations, Some(&live), &Rules { policy, house }).0)
    };
    assert_eq!(found(&[], HouseRule::Free), "destructive");
    assert_eq!(found(&[("destructive", Level::Ignore)], HouseRule::Free), "");
    assert_eq!(found(&[("destructive", Level::Refuse)], HouseRule::Free), "destructive!");
    assert_eq!(found(&[("mixed", Level::Warn)], HouseRule::Free), "destructive mixed");
    assert_eq!(found(&[], HouseRule::SchemaOnly), "schema-only! destructive");
}
