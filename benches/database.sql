-- A shop's database of mixed text, numbers and blobs, about 1 GiB at :rows = 690000. Text is drawn
-- from a pool of made-up words, so that it compresses about as well as prose does.
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA page_size = 4096;

CREATE TEMP TABLE word (id INTEGER PRIMARY KEY, text TEXT);
INSERT INTO word (text)
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 4000)
SELECT substr('ba be bi bo bu da de di do du ga ge gi go gu ka ke ki ko ku la le li lo lu ma me mi mo mu ',
              1 + 3 * (abs(random()) % 30), 2)
    || substr('nanenonisasosetatotetirarurorevavovewa', 1 + 2 * (abs(random()) % 19), 2)
    || CASE abs(random()) % 3 WHEN 0 THEN '' WHEN 1 THEN 'n' ELSE 'rst' END
FROM number;
CREATE TEMP TABLE pool (text BLOB);
INSERT INTO pool
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 300000)
SELECT CAST(group_concat(text, ' ') AS BLOB)
FROM (SELECT text FROM number CROSS JOIN word
      -- Squared, because a few words of a language are far more frequent than the rest.
      ON word.id = 1 + (abs(random()) % 63) * (abs(random()) % 63));

CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, mail TEXT NOT NULL UNIQUE, joined TEXT NOT NULL);
CREATE TABLE item (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer (id),
                   price REAL NOT NULL, amount INTEGER NOT NULL, sold TEXT NOT NULL, remark TEXT NOT NULL, picture BLOB);
CREATE INDEX item_customer ON item (customer);
CREATE INDEX item_sold ON item (sold);

BEGIN;
INSERT INTO customer
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :rows / 10)
SELECT n, CAST(substr(pool.text, 1 + abs(random()) % 1000000, 20) AS TEXT), 'customer' || n || '@example.org',
       date('2020-01-01', (abs(random()) % 2000) || ' days')
FROM number, pool;
INSERT INTO item
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :rows)
SELECT n, 1 + abs(random()) % (:rows / 10), abs(random()) % 100000 / 100.0, abs(random()) % 100,
       datetime('2020-01-01', (abs(random()) % 100000000) || ' seconds'),
       CAST(substr(pool.text, 1 + abs(random()) % 1000000, 300 + abs(random()) % 1000) AS TEXT),
       CASE abs(random()) % 4 WHEN 0 THEN randomblob(1000 + abs(random()) % 1000) END
FROM number, pool;
COMMIT;
