//! Histories as they are in the wild, one construct each.

use crate::laws::{Ending, Fixture};

const PLAIN: Fixture =
    Fixture { name: "", base: "", files: &[], seeds: &[], refused: 0, ending: Ending::Evident };

const FAMILY: &str = "CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent INT REFERENCES parent(id) ON DELETE CASCADE);";
const MEMBERS: &str =
    "INSERT INTO parent VALUES (1, 'a'), (2, 'b'); INSERT INTO child VALUES (1, 1), (2, 2)";

/// All of them.
pub const FIXTURES: &[Fixture] = &[
    Fixture {
        name: "columns and indexes",
        files: &[
            ("1_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);"),
            (
                "2_mail.sql",
                "ALTER TABLE users ADD COLUMN mail TEXT;\nALTER TABLE users ADD COLUMN age INT NOT NULL DEFAULT 0;",
            ),
            ("3_index.sql", "CREATE UNIQUE INDEX users_mail ON users (mail) WHERE mail IS NOT NULL"),
            ("4_lower.sql", "CREATE INDEX users_lower ON users (lower(name), age DESC);"),
        ],
        seeds: &[(0, "INSERT INTO users VALUES (1, 'a')")],
        ..PLAIN
    },
    Fixture {
        name: "rebuild of a parent",
        files: &[
            ("1_family.sql", FAMILY),
            (
                "2_rebuild.sql",
                "PRAGMA foreign_keys = OFF;\nBEGIN TRANSACTION;
CREATE TABLE parent_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '');
INSERT INTO parent_new SELECT id, name FROM parent;
DROP TABLE parent;\nALTER TABLE parent_new RENAME TO parent;\nCOMMIT;\nPRAGMA foreign_keys = ON;",
            ),
        ],
        seeds: &[(0, MEMBERS)],
        ..PLAIN
    },
    Fixture {
        name: "rebuild that renames the old table first",
        files: &[
            ("1_items.sql", "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT);"),
            (
                "2_rebuild.sql",
                "ALTER TABLE items RENAME TO items_old;
CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);
INSERT INTO items (id, name) SELECT id, name FROM items_old;\nDROP TABLE items_old;",
            ),
        ],
        seeds: &[(0, "INSERT INTO items VALUES (1, 'a'), (5, 'b')")],
        ..PLAIN
    },
    Fixture {
        name: "rebuild copied aside",
        files: &[
            ("1_items.sql", "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT);"),
            (
                "2_rebuild.sql",
                "CREATE TABLE aside AS SELECT * FROM items;\nDROP TABLE items;
CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, more INT DEFAULT 1);
INSERT INTO items (id, name) SELECT id, name FROM aside;\nDROP TABLE aside;",
            ),
        ],
        // The DROP of `aside` must not meet one of another origin.
        refused: 4,
        seeds: &[(0, "INSERT INTO items VALUES (1, 'a'), (5, 'b')")],
        ..PLAIN
    },
    Fixture {
        name: "rebuild spread over several files",
        files: &[
            ("1_a.sql", "CREATE TABLE t (a INT);"),
            ("2_b.sql", "CREATE TABLE t_new (a TEXT);"),
            ("3_c.sql", "INSERT INTO t_new SELECT a FROM t;"),
            ("4_d.sql", "DROP TABLE t;"),
            ("5_e.sql", "ALTER TABLE t_new RENAME TO t;"),
        ],
        seeds: &[(0, "INSERT INTO t VALUES (1), (2)")],
        refused: 1,
        ..PLAIN
    },
    Fixture {
        name: "renames",
        files: &[
            ("1_a.sql", "CREATE TABLE a (x INT, y INT);\nCREATE INDEX a_x ON a (x);"),
            ("2_b.sql", "ALTER TABLE a RENAME TO b;\nALTER TABLE b RENAME COLUMN x TO z;"),
            ("3_c.sql", "ALTER TABLE b RENAME z TO w;"),
        ],
        seeds: &[(0, "INSERT INTO a VALUES (1, 2)")],
        ..PLAIN
    },
    Fixture {
        name: "dropped and created again with another definition",
        files: &[
            ("1_a.sql", "CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT);"),
            ("2_b.sql", "DROP TABLE log;\nCREATE TABLE log (id INTEGER PRIMARY KEY, at INT, line TEXT);"),
            ("3_c.sql", "DROP INDEX IF EXISTS log_at;\nCREATE INDEX log_at ON log (at);"),
            ("4_d.sql", "DROP INDEX log_at;\nCREATE INDEX log_at ON log (at DESC);"),
        ],
        seeds: &[(0, "INSERT INTO log VALUES (1, 'a')"), (1, "INSERT INTO log VALUES (1, 2, 'b')")],
        ..PLAIN
    },
    Fixture {
        name: "dropped and created again as it was",
        files: &[
            ("1_a.sql", "CREATE TABLE cache (k TEXT, v TEXT);"),
            ("2_b.sql", "DROP TABLE cache;\nCREATE TABLE cache (k TEXT, v TEXT);"),
        ],
        seeds: &[(0, "INSERT INTO cache VALUES ('a', 'b')"), (1, "INSERT INTO cache VALUES ('c', 'd')")],
        // With rows, a cache that was emptied and filled again looks like one never emptied.
        ending: Ending::Data,
        refused: 1,
        ..PLAIN
    },
    Fixture {
        name: "created and later dropped",
        files: &[
            ("1_a.sql", "CREATE TABLE keep (a INT);\nCREATE TABLE gone (a INT);"),
            ("2_b.sql", "ALTER TABLE keep ADD COLUMN b INT;\nDROP TABLE gone;"),
            ("3_c.sql", "ALTER TABLE keep DROP COLUMN b;"),
            ("4_d.sql", "CREATE VIEW v AS SELECT a FROM keep;"),
            ("5_e.sql", "DROP VIEW v;"),
        ],
        seeds: &[(0, "INSERT INTO keep VALUES (1); INSERT INTO gone VALUES (2)")],
        ..PLAIN
    },
    Fixture {
        name: "conditional statements",
        files: &[
            (
                "1_a.sql",
                "CREATE TABLE IF NOT EXISTS t (a INT);\nCREATE INDEX IF NOT EXISTS t_a ON t (a);",
            ),
            ("2_b.sql", "CREATE TABLE IF NOT EXISTS t (a INT);\nDROP TABLE IF EXISTS never_there;"),
            ("3_c.sql", "DROP INDEX IF EXISTS t_a;\nCREATE TABLE IF NOT EXISTS u (b INT);"),
        ],
        ..PLAIN
    },
    Fixture {
        name: "own transactions, one of them left open",
        files: &[
            ("1_a.sql", "BEGIN;\nCREATE TABLE t (a INT);\nCOMMIT;"),
            ("2_b.sql", "COMMIT;\nPRAGMA foreign_keys = OFF;\nBEGIN;\nALTER TABLE t ADD b INT;"),
            ("3_c.sql", "BEGIN EXCLUSIVE TRANSACTION; ALTER TABLE t ADD c INT; END TRANSACTION;"),
        ],
        ..PLAIN
    },
    Fixture {
        name: "full-text search",
        files: &[
            ("1_notes.sql", "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);"),
            (
                "2_fts.sql",
                "CREATE VIRTUAL TABLE notes_fts USING fts5(body, content='notes', content_rowid='id');
CREATE TRIGGER notes_ai AFTER INSERT ON notes BEGIN
  INSERT INTO notes_fts(rowid, body) VALUES (new.id, new.body);
END;",
            ),
            ("3_more.sql", "ALTER TABLE notes ADD COLUMN tags TEXT;"),
            ("4_drop.sql", "DROP TRIGGER notes_ai;\nDROP TABLE notes_fts;"),
        ],
        seeds: &[(1, "INSERT INTO notes VALUES (1, 'one two')")],
        ..PLAIN
    },
    Fixture {
        name: "generated columns",
        files: &[
            ("1_a.sql", "CREATE TABLE t (a INT, b INT AS (a * 2) STORED);"),
            ("2_b.sql", "ALTER TABLE t ADD COLUMN c TEXT GENERATED ALWAYS AS (a || '-') VIRTUAL;"),
            ("3_c.sql", "CREATE INDEX t_c ON t (c);"),
        ],
        seeds: &[(0, "INSERT INTO t (a) VALUES (1), (2)")],
        ..PLAIN
    },
    Fixture {
        name: "triggers with CASE and END",
        files: &[
            ("1_a.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY, \"end\" INT, \"begin\" TEXT);"),
            (
                "2_b.sql",
                "CREATE TRIGGER t_end AFTER UPDATE ON t WHEN new.\"end\" > 0 BEGIN
  UPDATE t SET \"begin\" = CASE WHEN new.\"end\" > 1 THEN 'x; y' ELSE CASE WHEN 1 THEN 'z' END END
  WHERE id = new.id;\n  SELECT 1;\nEND;\nCREATE INDEX t_i ON t (\"end\");",
            ),
            ("3_c.sql", "DROP TRIGGER t_end; CREATE TRIGGER t_end AFTER UPDATE ON t BEGIN SELECT 2; END"),
        ],
        seeds: &[(1, "INSERT INTO t VALUES (1, 0, ''); UPDATE t SET \"end\" = 2")],
        ..PLAIN
    },
    Fixture {
        name: "a view over a rebuilt table",
        files: &[
            ("1_a.sql", "CREATE TABLE t (a INT);\nCREATE VIEW v AS SELECT a FROM t;"),
            (
                "2_b.sql",
                "CREATE TABLE t_new (a INT NOT NULL);\nINSERT INTO t_new SELECT a FROM t;
DROP TABLE t;\nALTER TABLE t_new RENAME TO t;",
            ),
        ],
        seeds: &[(0, "INSERT INTO t VALUES (1), (2)")],
        ..PLAIN
    },
    Fixture {
        name: "writable_schema",
        files: &[
            ("1_a.sql", "CREATE TABLE t (a INT, b TEXT);"),
            (
                "2_b.sql",
                "PRAGMA writable_schema = ON;
UPDATE sqlite_master SET sql = 'CREATE TABLE t (a INT, b TEXT NOT NULL)' WHERE name = 't';
PRAGMA writable_schema = OFF;",
            ),
            ("3_c.sql", "CREATE INDEX t_b ON t (b);"),
        ],
        seeds: &[(0, "INSERT INTO t VALUES (1, 'a')")],
        ..PLAIN
    },
    Fixture {
        name: "carriage returns, byte order mark, comments, no final semicolon",
        files: &[
            ("1_a.sql", "\u{feff}-- it's; a\r\nCREATE TABLE t ( -- ;\r\n  a INT /* ; */\r\n);\r\n"),
            ("2_b.sql", "/* nothing; */ -- here\n"),
            ("3_c.sql", ""),
            ("4_d.sql", "ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'x;y'"),
            ("5_e.sql", ";;\n"),
        ],
        ..PLAIN
    },
    Fixture {
        name: "temporary tables",
        files: &[
            ("1_a.sql", "CREATE TABLE t (a INT);\nCREATE TABLE u (a INT);"),
            (
                "2_b.sql",
                "CREATE TEMP TABLE aside AS SELECT a FROM t;\nDROP TABLE t;
CREATE TABLE t (a INT, b INT);\nINSERT INTO t (a) SELECT a FROM aside;\nDROP TABLE aside;",
            ),
        ],
        seeds: &[(0, "INSERT INTO t VALUES (1), (2)")],
        // Behind the DROP the rows are gone with the connection.
        refused: 3,
        ending: Ending::Data,
        ..PLAIN
    },
    Fixture {
        name: "columns filled, then dropped",
        files: &[
            ("1_a.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);"),
            (
                "2_b.sql",
                "ALTER TABLE t ADD COLUMN title TEXT;\nUPDATE t SET title = upper(name);
ALTER TABLE t DROP COLUMN name;",
            ),
            ("3_c.sql", "UPDATE t SET title = title || '!';\nALTER TABLE t ADD COLUMN done INT;"),
        ],
        seeds: &[(0, "INSERT INTO t VALUES (1, 'a')")],
        // Whether the exclamation mark is there already cannot be told.
        refused: 2,
        ..PLAIN
    },
    Fixture {
        name: "data at the end",
        files: &[
            ("1_a.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT);"),
            ("2_b.sql", "UPDATE t SET n = n + 1;"),
        ],
        seeds: &[(0, "INSERT INTO t VALUES (1, 1)")],
        ending: Ending::Data,
        refused: 1,
        ..PLAIN
    },
    Fixture {
        name: "rows that the history itself brings",
        files: &[
            ("1_a.sql", "CREATE TABLE kinds (id INTEGER PRIMARY KEY, name TEXT);\nINSERT INTO kinds VALUES (1, 'a'), (2, 'b');"),
            ("2_b.sql", "CREATE TABLE t (kind INT);"),
        ],
        ..PLAIN
    },
    Fixture {
        name: "tables of the application",
        base: "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX users_name ON users (name);
INSERT INTO users VALUES (1, 'a'), (2, 'b'); CREATE TABLE other (x)",
        files: &[
            ("1_a.sql", "ALTER TABLE users ADD COLUMN mail TEXT;\nALTER TABLE users ADD COLUMN phone TEXT;"),
            (
                "2_b.sql",
                "CREATE TABLE users_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL, mail TEXT, phone TEXT);
INSERT INTO users_new SELECT * FROM users;\nDROP TABLE users;
ALTER TABLE users_new RENAME TO users;\nCREATE INDEX users_name ON users (name);",
            ),
            ("3_c.sql", "ALTER TABLE users RENAME TO people;"),
        ],
        ..PLAIN
    },
    Fixture {
        name: "columns that the application has made already",
        base: "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, mail TEXT, phone TEXT)",
        files: &[("1_a.sql", "CREATE TABLE IF NOT EXISTS seen (a INT);")],
        ..PLAIN
    },
    Fixture {
        name: "keys of every kind",
        files: &[
            (
                "1_a.sql",
                "CREATE TABLE p (a TEXT, b INT, c TEXT COLLATE NOCASE UNIQUE, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE q (id INTEGER PRIMARY KEY AUTOINCREMENT, x ANY, CHECK (id > 0)) STRICT;",
            ),
            ("2_b.sql", "CREATE TABLE r (a TEXT, b INT, FOREIGN KEY (a, b) REFERENCES p (a, b) DEFERRABLE INITIALLY DEFERRED);"),
            ("3_c.sql", "ALTER TABLE q ADD COLUMN y TEXT REFERENCES p(c) ON UPDATE SET NULL;"),
        ],
        seeds: &[(0, "INSERT INTO p VALUES ('a', 1, 'c'); INSERT INTO q (x) VALUES (1.5)")],
        ..PLAIN
    },
    Fixture {
        name: "settings and counters of the file",
        files: &[
            ("1_a.sql", "CREATE TABLE t (a INT);\nPRAGMA user_version = 7;"),
            ("2_b.sql", "PRAGMA legacy_alter_table = ON;\nALTER TABLE t RENAME TO u;\nPRAGMA foreign_key_check;\nSELECT count(*) FROM u;"),
        ],
        ..PLAIN
    },
    Fixture {
        name: "data before an index that comes and goes",
        files: &[
            ("1_a.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY);"),
            ("2_b.sql", "INSERT INTO t SELECT id + 100 FROM t WHERE id < 100;"),
            ("3_c.sql", "CREATE INDEX t_id ON t (id);\nDROP INDEX t_id;"),
        ],
        seeds: &[(0, "INSERT INTO t VALUES (1)")],
        ending: Ending::Data,
        refused: 2,
        ..PLAIN
    },
    Fixture {
        name: "a row behind a rebuild",
        files: &[
            ("1_a.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY);"),
            (
                "2_b.sql",
                "CREATE TABLE t_new (id INTEGER PRIMARY KEY, a TEXT);
INSERT INTO t_new (id) SELECT id FROM t;\nDROP TABLE t;
ALTER TABLE t_new RENAME TO t;\nINSERT INTO t VALUES (9, 'nine');",
            ),
        ],
        seeds: &[(0, "INSERT INTO t VALUES (1)")],
        ending: Ending::Data,
        refused: 1,
        ..PLAIN
    },
    Fixture {
        name: "a deletion that a trigger answers",
        files: &[
            ("1_a.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);"),
            (
                "2_b.sql",
                "CREATE TRIGGER kept AFTER DELETE ON t BEGIN INSERT INTO t (a) VALUES ('kept'); END;",
            ),
            (
                "3_c.sql",
                "-- allow: rows-lost they are replaced
DELETE FROM t WHERE id % 2 = 0;\nCREATE TABLE u (a INT);",
            ),
        ],
        seeds: &[(0, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")],
        ending: Ending::Data,
        refused: 1,
        ..PLAIN
    },
    Fixture {
        name: "a reference to what is no key",
        files: &[
            ("1_a.sql", "CREATE TABLE p (id INT);\nCREATE TABLE c (p INT REFERENCES p(id));"),
            ("2_b.sql", "ALTER TABLE c ADD COLUMN q INT;"),
        ],
        seeds: &[(0, "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1), (2)")],
        ..PLAIN
    },
];
