-- The condition had become free text. SQLite cannot add a CHECK, so the table is built anew.
-- Its loans would vanish by cascade if foreign keys were on while the old table is dropped.
-- verify: SELECT NOT EXISTS (SELECT 1 FROM loans WHERE tool_id NOT IN (SELECT id FROM tools))
CREATE TABLE tools_new (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL,
    shelf     TEXT NOT NULL,
    condition TEXT NOT NULL DEFAULT 'good' CHECK (condition IN ('good', 'worn', 'broken'))
);

INSERT INTO tools_new (id, name, shelf, condition)
SELECT id, name, shelf, lower(trim(condition)) FROM tools;

DROP TABLE tools;

ALTER TABLE tools_new RENAME TO tools;
