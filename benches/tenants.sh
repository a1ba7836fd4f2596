#!/usr/bin/env bash
# Times `piton up` over many databases of one pattern, 50 migrations each: where all are up to date, and
# with one migration that is pending, verified backup included. The second is held against a shell loop
# that runs `sqlite3` once for each database, without a backup.
#
#   benches/tenants.sh [DATABASES]     10000 where nothing is said
#
# Needs: a release build (cargo build --release; PITON names another program), sqlite3, GNU time. Prints
# seconds and the peak of memory for a tenth and all of the databases, so that the growth can be seen.
# All of it runs with at most 1024 open files.
set -euo pipefail
piton=${PITON:-$(cd "$(dirname "$0")/.." && pwd)/target/release/piton}
count=${1:-10000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
ulimit -n 1024

mkdir -p migrations/tenants first
printf '[targets.tenants]\ndatabases = "tenants/*.db"\n' >piton.toml
for number in $(seq 50); do
    if [ $((number % 5)) -eq 1 ]; then
        table=t$number
        text="CREATE TABLE $table (id INTEGER PRIMARY KEY, a TEXT); CREATE INDEX i$number ON $table (a);"
    else
        text="ALTER TABLE $table ADD COLUMN c$number TEXT;"
    fi
    printf '%s\n' "$text" >"migrations/tenants/$number.sql"
done
pending='CREATE TABLE t51 (id INTEGER PRIMARY KEY, a TEXT); ALTER TABLE t1 ADD COLUMN c51 TEXT;'
mkdir -p data/tenants
: >data/tenants/00001.db
"$piton" up --quiet
sqlite3 data/tenants/00001.db "INSERT INTO t1 (a) VALUES ('one row')"
mv data/tenants/00001.db first/
rm -rf backups data

# So many databases below a folder.
databases() {
    mkdir -p "$1"
    seq -f "$1/%05g.db" "$2" | xargs -n 1 cp first/00001.db
    sync -f "$1"
}

# Runs a command; its seconds and KiB are in `seconds` and `memory`.
timed() {
    local said
    said=$(command time -f '%e %M' "$@" 2>&1 >/dev/null | tail -n 1)
    read -r seconds memory <<<"$said"
}

loop() {
    local path
    for path in loop/*.db; do sqlite3 "$path" "BEGIN; $pending COMMIT;"; done
}
export -f loop
export pending

for part in $((count / 10)) "$count"; do
    databases data/tenants "$part"
    timed "$piton" up --quiet
    printf '%s databases, up to date: %s s, %s KiB\n' "$part" "$seconds" "$memory"
    printf '%s\n' "$pending" >migrations/tenants/51.sql
    timed "$piton" up --quiet
    ours=$seconds
    printf '%s databases, one pending: %s s, %s KiB\n' "$part" "$seconds" "$memory"
    databases loop "$part"
    timed bash -c loop
    printf '%s databases, sqlite3 in a loop, no backup: %s s; piton takes %s of it\n' "$part" "$seconds" \
        "$(awk -v ours="$ours" -v loop="$seconds" 'BEGIN { printf "%.2f", ours / loop }')"
    [ "$(sqlite3 "data/tenants/$(printf %05d "$part").db" 'SELECT count(*) FROM t51')" = 0 ]
    rm -rf data backups loop migrations/tenants/51.sql
done
