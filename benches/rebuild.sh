#!/usr/bin/env bash
# Times the rebuild of a table with many rows (create new, copy, drop old, rename new) against the
# same SQL in the sqlite3 shell; both in one transaction, on copies of one database.
#
#   benches/rebuild.sh [ROWS]     5000000 where nothing is said
#
# Needs: a release build (cargo build --release), sqlite3, bc, GNU time. The backup that `up` takes is
# left out of its time, since the shell takes none.
set -euo pipefail
piton=$(cd "$(dirname "$0")/.." && pwd)/target/release/piton
rows=${1:-5000000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p migrations data
cat >migrations/1_events.sql <<'SQL'
CREATE TABLE events (id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT, body TEXT);
CREATE INDEX events_at ON events (at);
SQL
"$piton" up --quiet
sqlite3 data/app.db "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
    INSERT INTO events SELECT i, datetime(1700000000 + i, 'unixepoch'), 'kind' || (i % 7),
        'a body of some words, number ' || i FROM n;"
cat >migrations/2_rebuild.sql <<'SQL'
CREATE TABLE events_new (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT CHECK (kind <> ''), body TEXT
);
INSERT INTO events_new SELECT id, at, kind, body FROM events;
DROP TABLE events;
ALTER TABLE events_new RENAME TO events;
CREATE INDEX events_at ON events (at);
SQL
cp data/app.db before.db
for _ in 1 2 3; do
    cp before.db plain.db
    sync
    command time -f 'sqlite3: %e s' sqlite3 plain.db \
        'PRAGMA foreign_keys = OFF' BEGIN '.read migrations/2_rebuild.sql' COMMIT
    cp before.db data/app.db
    sync
    rm -rf backups
    # From the end of the backup to the end of the run, by the events on standard error.
    "$piton" up --json 2>&1 >/dev/null | while IFS= read -r event; do
        case $event in *'"backup-taken"'*) printf '%s\n' "$EPOCHREALTIME" >began ;; esac
    done
    printf 'piton:   %s s after the backup: guards, account and commit included\n' \
        "$(echo "$EPOCHREALTIME - $(cat began)" | bc)"
done
