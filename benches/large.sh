#!/usr/bin/env bash
# Times what grows: a data file of 300,000 INSERTs into a table with an index, run and planned without a
# ledger, against the sqlite3 shell in one transaction; and one pending migration behind 10,000 that ran.
#
#   benches/large.sh [ROWS] [MIGRATIONS]
#
# Needs: a release build (cargo build --release), sqlite3, GNU time, Python.
set -euo pipefail
piton=$(cd "$(dirname "$0")/.." && pwd)/target/release/piton
rows=${1:-300000}
count=${2:-10000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# The seconds of a command, which may fail with the code for "pending".
seconds() { command time -f %e "$@" 2>&1 >/dev/null | tail -n 1; }
say() { printf '%-46s %s s\n' "$1" "$2"; }

for key in keyed keyless; do
    mkdir -p "$key/migrations" "$key/data"
    python3 - "$rows" "$key" >"$key/migrations/001_t.sql" <<'PYTHON'
import sys
rows, keyed = int(sys.argv[1]), sys.argv[2] == "keyed"
print("CREATE TABLE t (%sname TEXT, amount INTEGER);" % ("id INTEGER PRIMARY KEY, " if keyed else ""))
print("CREATE INDEX t_name ON t (name);")
for i in range(rows):
    row = "'name %d', %d" % (i * 7919 % rows, i % 977)
    print("INSERT INTO t (%sname, amount) VALUES (%s%s);" % (
        "id, " if keyed else "", "%d, " % (i + 1) if keyed else "", row))
PYTHON
    { echo 'BEGIN;'; cat "$key/migrations/001_t.sql"; echo 'COMMIT;'; } >"$key.sql"
    for round in 1 2 3; do
        rm -rf "$key/data"/* "$key/backups" "$key.db"
        say "$key, round $round: piton up" "$(seconds env -C "$key" "$piton" up --quiet)"
        say "$key, round $round: sqlite3, one transaction" "$(seconds sqlite3 "$key.db" ".read $key.sql")"
        rm -rf "$key/data" "$key/backups"
        mkdir "$key/data"
        cp "$key.db" "$key/data/app.db"
        say "$key, round $round: piton plan without a ledger" "$(seconds env -C "$key" "$piton" plan --quiet)"
    done
done

mkdir -p many/migrations
for number in $(seq -f %05g "$count"); do
    printf 'CREATE TABLE t%s (id INTEGER PRIMARY KEY, a TEXT);\n' "$number" >"many/migrations/${number}_t.sql"
done
cd many
say "$count migrations: piton up" "$(seconds "$piton" up --quiet)"
say "$count migrations: piton plan, up to date" "$(seconds "$piton" plan --quiet)"
printf 'CREATE TABLE more (id INTEGER PRIMARY KEY, a TEXT);\n' >migrations/99999_more.sql
say "$count migrations and one pending: piton plan" "$(seconds "$piton" plan --quiet)"
say "$count migrations and one pending: piton up" "$(seconds "$piton" up --quiet)"
