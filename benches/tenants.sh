#!/usr/bin/env bash
# Times `piton up` over many databases of one pattern that are all up to date: 50 migrations each.
#
#   benches/tenants.sh [DATABASES]     10000 where nothing is said
#
# Needs: a release build (cargo build --release), GNU time. Prints seconds and the peak of memory,
# for a tenth, a half and all of the databases, so that the growth can be seen.
set -euo pipefail
piton=$(cd "$(dirname "$0")/.." && pwd)/target/release/piton
count=${1:-10000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p migrations/tenants data/tenants
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
: >data/tenants/00001.db
"$piton" up --quiet
rm -rf backups

made=1
for part in $((count / 10)) $((count / 2)) "$count"; do
    while [ "$made" -lt "$part" ]; do
        made=$((made + 1))
        cp data/tenants/00001.db "$(printf 'data/tenants/%05d.db' "$made")"
    done
    for _ in 1 2 3; do
        command time -f "$part databases: %e s, %M KiB" "$piton" up --quiet
    done
done
